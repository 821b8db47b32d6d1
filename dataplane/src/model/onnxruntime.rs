//! ONNX Runtime by its C API, out of a shared library that is named at run time.

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

use libloading::{Library, Symbol};
use ort_sys::{
    ONNXTensorElementDataType, OrtAllocator, OrtAllocatorType, OrtApi, OrtApiBase, OrtEnv, OrtErrorCode,
    OrtLoggingLevel, OrtMemType, OrtMemoryInfo, OrtStatus, OrtStatusPtr, OrtValue,
};

/// The table of functions asked for. Newer libraries still have it.
const API_VERSION: u32 = 22;

/// By status code; as ONNX Runtime spells them.
const STATUS_NAMES: [&str; 16] = [
    "SUCCESS",
    "FAIL",
    "INVALID_ARGUMENT",
    "NO_SUCHFILE",
    "NO_MODEL",
    "ENGINE_ERROR",
    "RUNTIME_EXCEPTION",
    "INVALID_PROTOBUF",
    "MODEL_LOADED",
    "NOT_IMPLEMENTED",
    "INVALID_GRAPH",
    "EP_FAIL",
    "MODEL_LOAD_CANCELED",
    "MODEL_REQUIRES_COMPILATION",
    "NOT_FOUND",
    "DEVICE_RESET",
];

/// A loaded library and its environment. The library is never unloaded: it leaves threads' data behind.
pub struct OnnxRuntime {
    api: &'static OrtApi,
    env: NonNull<OrtEnv>,
    memory: NonNull<OrtMemoryInfo>,
    allocator: NonNull<OrtAllocator>,
    version: String,
}

// SAFETY: ONNX Runtime's environment, memory descriptions and default allocator may be used by any thread.
unsafe impl Send for OnnxRuntime {}
// SAFETY: as above; nothing here changes after `load`.
unsafe impl Sync for OnnxRuntime {}

/// Held while an environment is made or released: all of a process share one, and ONNX Runtime refuses to make it anew
/// while another thread is still ending the former one.
static ENVIRONMENT: Mutex<()> = Mutex::new(());

impl OnnxRuntime {
    /// Load `library`, the file that the onnxruntime wheel ships. Loading it again shares what is loaded.
    ///
    /// The error is a sentence for the person who started the process.
    pub fn load(library: &Path) -> Result<Arc<Self>, String> {
        // SAFETY: the library's initialisers are ONNX Runtime's own, which have no requirements.
        let loaded = unsafe { Library::new(library) }
            .map_err(|error| format!("ONNX Runtime cannot be loaded: {error}"))?;
        let not_it = || format!("{} is not ONNX Runtime", library.display());
        // SAFETY: the symbol has this type in every version of ONNX Runtime.
        let base: Symbol<'_, unsafe extern "system" fn() -> *const OrtApiBase> =
            unsafe { loaded.get(b"OrtGetApiBase\0") }.map_err(|_| not_it())?;
        // SAFETY: the function has no requirements; what it gives lies in the library for good, or is null.
        let base = unsafe { base().as_ref() }.ok_or_else(not_it)?;
        // SAFETY: the string lies in the library.
        let version = unsafe { text((base.GetVersionString)()) };
        // SAFETY: as for `base`; the table only grows from version to version.
        let api: &'static OrtApi = unsafe { (base.GetApi)(API_VERSION).as_ref() }.ok_or_else(|| {
            format!("ONNX Runtime {version} has no C API {API_VERSION}; 1.22 or newer is needed")
        })?;
        std::mem::forget(loaded);
        Ok(Arc::new(Self::start(api, version)?))
    }

    fn start(api: &'static OrtApi, version: String) -> Result<Self, String> {
        let _alone = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
        let level = OrtLoggingLevel::ORT_LOGGING_LEVEL_FATAL;
        let env = made(api, |env| {
            // SAFETY: the name is copied; `env` is valid for writing.
            unsafe { (api.CreateEnv)(level, c"sidecar".as_ptr(), env) }
        })?;
        let memory = made(api, |memory| {
            let (kind, use_) = (OrtAllocatorType::OrtDeviceAllocator, OrtMemType::OrtMemTypeDefault);
            // SAFETY: `memory` is valid for writing.
            unsafe { (api.CreateCpuMemoryInfo)(kind, use_, memory) }
        });
        let allocator = made(api, |allocator| {
            // SAFETY: `allocator` is valid for writing; it is the library's own and never released.
            unsafe { (api.GetAllocatorWithDefaultOptions)(allocator) }
        });
        match (memory, allocator) {
            (Ok(memory), Ok(allocator)) => Ok(Self { api, env, memory, allocator, version }),
            (memory, allocator) => {
                if let Ok(memory) = &memory {
                    // SAFETY: made above and given to nobody.
                    unsafe { (api.ReleaseMemoryInfo)(memory.as_ptr()) };
                }
                // SAFETY: as above.
                unsafe { (api.ReleaseEnv)(env.as_ptr()) };
                Err(memory.err().or(allocator.err()).unwrap_or_default())
            }
        }
    }

    /// The library's version, as in `1.32.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(crate) const fn api(&self) -> &'static OrtApi {
        self.api
    }

    pub(crate) const fn env(&self) -> *const OrtEnv {
        self.env.as_ptr()
    }

    pub(crate) const fn allocator(&self) -> *mut OrtAllocator {
        self.allocator.as_ptr()
    }
}

impl Drop for OnnxRuntime {
    fn drop(&mut self) {
        let _alone = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: every session holds this runtime, so none is left; both were made by `start`.
        unsafe {
            (self.api.ReleaseMemoryInfo)(self.memory.as_ptr());
            (self.api.ReleaseEnv)(self.env.as_ptr());
        }
    }
}

/// Nothing, or the text that Python's onnxruntime would raise, in its first line.
pub(crate) fn checked(api: &OrtApi, status: OrtStatusPtr) -> Result<(), String> {
    NonNull::new(status.0).map_or(Ok(()), |status| Err(raised(api, status)))
}

/// What `make` writes, checked.
pub(crate) fn made<T>(
    api: &OrtApi,
    make: impl FnOnce(*mut *mut T) -> OrtStatusPtr,
) -> Result<NonNull<T>, String> {
    let mut out = ptr::null_mut();
    checked(api, make(&raw mut out))?;
    NonNull::new(out).ok_or_else(|| "ONNX Runtime made nothing".to_owned())
}

#[cold]
fn raised(api: &OrtApi, status: NonNull<OrtStatus>) -> String {
    type GetEnum = unsafe extern "system" fn(*const OrtStatus) -> OrtErrorCode;
    type GetInt = unsafe extern "system" fn(*const OrtStatus) -> i32;
    // SAFETY: a C enum is an int; read as one, since a newer library may have codes that the Rust enum has not.
    let code = unsafe { std::mem::transmute::<GetEnum, GetInt>(api.GetErrorCode)(status.as_ptr()) };
    // SAFETY: the status lives until it is released below, and its text with it.
    let message = unsafe { text((api.GetErrorMessage)(status.as_ptr())) };
    // SAFETY: the status is ours and not used afterwards.
    unsafe { (api.ReleaseStatus)(status.as_ptr()) };
    let name = usize::try_from(code).ok().and_then(|code| STATUS_NAMES.get(code)).unwrap_or(&"GENERAL ERROR");
    first_line(&format!("[ONNXRuntimeError] : {code} : {name} : {message}"))
}

/// As `sidecar/session.py` shows an exception.
fn first_line(text: &str) -> String {
    text.trim().split('\n').next().unwrap_or_default().chars().take(300).collect()
}

/// # Safety
/// `raw` is null or a string that ends with a NUL.
pub(crate) unsafe fn text(raw: *const c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned()
}

/// A value of ONNX Runtime that we made.
struct Value {
    api: &'static OrtApi,
    raw: NonNull<OrtValue>,
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: made by us and released only here. A value may outlive the environment.
        unsafe { (self.api.ReleaseValue)(self.raw.as_ptr()) };
    }
}

/// What a tensor over our own memory can hold.
pub(crate) trait Element: Copy + Default {
    const TYPE: ONNXTensorElementDataType;
}

impl Element for f32 {
    const TYPE: ONNXTensorElementDataType = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

impl Element for i64 {
    const TYPE: ONNXTensorElementDataType = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
}

/// A truth value as a byte, since ONNX Runtime promises no more than "not zero".
impl Element for u8 {
    const TYPE: ONNXTensorElementDataType = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL;
}

/// A tensor over our own memory: to fill or read it costs a copy and no call.
pub(crate) struct Tensor<T> {
    value: Value,
    /// A leaked box: a `Box` may not be moved while ONNX Runtime holds a pointer into it.
    data: NonNull<[T]>,
}

// SAFETY: it owns its memory and its value, and neither is tied to a thread.
unsafe impl<T: Send> Send for Tensor<T> {}

impl<T: Element> Tensor<T> {
    /// All elements have their default.
    pub(crate) fn new(runtime: &OnnxRuntime, shape: &[usize]) -> Result<Self, String> {
        let api = runtime.api;
        let elements: usize = shape.iter().product();
        let shape = dimensions(shape);
        let mut data = NonNull::from(Box::leak(vec![T::default(); elements].into_boxed_slice()));
        let made = made(api, |value| {
            // SAFETY: `data` holds as many bytes as said, for longer than the value lives; the shape is copied.
            unsafe {
                let start = data.as_mut().as_mut_ptr().cast::<c_void>();
                let bytes = elements * size_of::<T>();
                let memory = runtime.memory.as_ptr();
                let create = api.CreateTensorWithDataAsOrtValue;
                create(memory, start, bytes, shape.as_ptr(), shape.len(), T::TYPE, value)
            }
        });
        match made {
            Ok(raw) => Ok(Self { value: Value { api, raw }, data }),
            Err(error) => {
                // SAFETY: leaked above and held by nobody.
                drop(unsafe { Box::from_raw(data.as_ptr()) });
                Err(error)
            }
        }
    }

    /// The elements, row by row.
    pub(crate) fn data(&self) -> &[T] {
        // SAFETY: the memory is ours, and ONNX Runtime touches it only in a run, which borrows us mutably.
        unsafe { self.data.as_ref() }
    }

    /// The elements, row by row.
    pub(crate) fn data_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `data`.
        unsafe { self.data.as_mut() }
    }
}

impl<T> Tensor<T> {
    pub(crate) const fn raw(&self) -> *mut OrtValue {
        self.value.raw.as_ptr()
    }
}

impl<T> Drop for Tensor<T> {
    fn drop(&mut self) {
        // SAFETY: leaked by `new`. The value, released next, does not touch the memory any more.
        drop(unsafe { Box::from_raw(self.data.as_ptr()) });
    }
}

/// A tensor of texts, which ONNX Runtime holds as C++ strings of its own.
pub(crate) struct TextTensor {
    value: Value,
}

// SAFETY: it owns its value, which is not tied to a thread.
unsafe impl Send for TextTensor {}

impl TextTensor {
    /// All texts are empty.
    pub(crate) fn new(runtime: &OnnxRuntime, shape: &[usize]) -> Result<Self, String> {
        let api = runtime.api;
        let shape = dimensions(shape);
        let raw = made(api, |value| {
            let kind = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING;
            // SAFETY: the shape is copied; the allocator lives as long as the library.
            unsafe {
                (api.CreateTensorAsOrtValue)(runtime.allocator(), shape.as_ptr(), shape.len(), kind, value)
            }
        })?;
        Ok(Self { value: Value { api, raw } })
    }

    /// Replace the text at `index`, counted row by row.
    pub(crate) fn set(&mut self, index: usize, text: &[u8]) -> Result<(), String> {
        let api = self.value.api;
        let mut buffer = ptr::null_mut();
        // SAFETY: the value is a tensor of texts; the call checks the index.
        let status = unsafe {
            (api.GetResizedStringTensorElementBuffer)(self.raw(), index, text.len(), &raw mut buffer)
        };
        checked(api, status)?;
        if !text.is_empty() && !buffer.is_null() {
            // SAFETY: the buffer was made for this many bytes and is held by nobody else.
            unsafe { slice::from_raw_parts_mut(buffer.cast::<u8>(), text.len()) }.copy_from_slice(text);
        }
        Ok(())
    }

    pub(crate) const fn raw(&self) -> *mut OrtValue {
        self.value.raw.as_ptr()
    }
}

fn dimensions(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&length| length as i64).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::first_line;

    #[test]
    fn an_error_is_shown_by_its_first_line_cut_at_300_characters() {
        assert_eq!(first_line(" \n one\ntwo"), "one");
        assert_eq!(first_line(&"é".repeat(301)), "é".repeat(300));
    }
}
