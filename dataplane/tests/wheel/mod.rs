//! Where the installed onnxruntime wheel keeps its library, and the Python beside it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sidecar_dataplane::model::onnxruntime::OnnxRuntime;

/// The wheel's ONNX Runtime. Panics, and says what to do, when there is none.
pub fn runtime() -> Arc<OnnxRuntime> {
    OnnxRuntime::load(&library()).expect("the wheel's library loads")
}

/// The Python of the environment that the wheel is installed in.
#[allow(dead_code, reason = "not every file of tests asks Python")]
pub fn python() -> PathBuf {
    let library = library();
    let found = library.ancestors().map(|folder| folder.join("bin/python")).find(|python| python.exists());
    found.unwrap_or_else(|| panic!("{} is in no Python environment", library.display()))
}

fn library() -> PathBuf {
    if let Some(named) = env::var_os("SIDECAR_ONNXRUNTIME") {
        return named.into();
    }
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/lib");
    let pythons =
        entries(&environment).into_iter().map(|folder| folder.join("site-packages/onnxruntime/capi"));
    let found = pythons.flat_map(|folder| entries(&folder)).find(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("libonnxruntime.") && !name.contains("providers")
    });
    found
        .expect("no ONNX Runtime: run `make setup`, or set SIDECAR_ONNXRUNTIME to the wheel's libonnxruntime")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}
