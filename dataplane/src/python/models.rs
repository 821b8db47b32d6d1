//! ONNX Runtime and the models that it loads, as Python sees them.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOSError, PyValueError};
use pyo3::prelude::*;

use super::scoring::Scorer;
use crate::exploration::Exploration;
use crate::model::loaded;
use crate::model::onnxruntime::OnnxRuntime;
use crate::rows::answered::ModelInfo;
use crate::rows::blocks::{Blocks, Texts};
use crate::signature::{Field, Kind, Signature};

create_exception!(sidecar_dataplane, GraphError, PyException, "The graph cannot be loaded, or fails.");

const KINDS: [(&str, Kind); 3] = [("number", Kind::Number), ("integer", Kind::Integer), ("text", Kind::Text)];

type PyField = (String, String, bool, Option<f64>, Option<f64>, bool);

/// See `sidecar_dataplane.pyi`.
#[pyclass(frozen, module = "sidecar_dataplane")]
pub(super) struct Runtime(pub(super) Arc<OnnxRuntime>);

/// See `sidecar_dataplane.pyi`.
#[pyclass(frozen, module = "sidecar_dataplane")]
pub(super) struct Loaded(pub(super) Arc<loaded::Loaded>);

#[pymethods]
impl Runtime {
    #[new]
    fn new(library: PathBuf) -> PyResult<Self> {
        OnnxRuntime::load(&library).map(Self).map_err(PyOSError::new_err)
    }

    #[expect(clippy::too_many_arguments, reason = "what a bundle's manifest says")]
    fn load(
        &self,
        py: Python<'_>,
        graph: PathBuf,
        name: String,
        version: String,
        digest: String,
        signature_digest: String,
        fields: Vec<PyField>,
        features: usize,
        explore: (bool, f64),
        warm_up: (Vec<f32>, Vec<i64>, Vec<String>),
        runs: usize,
    ) -> PyResult<Loaded> {
        let fields = fields.into_iter().map(field).collect::<PyResult<_>>()?;
        let signature = Signature::new(fields, signature_digest);
        let info = Arc::new(ModelInfo { name, version, digest, signature, features });
        let (numbers, integers, words) = warm_up;
        let mut texts = Texts::default();
        for word in &words {
            texts.push(word);
        }
        let row = Blocks { rows: 1, numbers, integers, texts };
        let exploration = Exploration { instead_of: explore.0, share: explore.1 };
        py.detach(|| loaded::Loaded::load(&self.0, &graph, info, exploration, &row, runs))
            .map(Loaded)
            .map_err(GraphError::new_err)
    }
}

#[pymethods]
impl Loaded {
    #[getter]
    fn signature_digest(&self) -> &str {
        self.0.info().signature.digest()
    }

    fn column(&self, name: &str) -> Option<(&'static str, usize)> {
        let signature = &self.0.info().signature;
        let place = signature.position(name.as_bytes())?;
        let (before, from) = signature.fields().split_at_checked(place)?;
        let kind = from.first()?.kind;
        let column = before.iter().filter(|field| field.kind == kind).count();
        Some((KINDS.iter().find(|(_, named)| *named == kind)?.0, column))
    }

    fn scorer(&self) -> PyResult<Scorer> {
        self.0.runner().map(Scorer::new).map_err(GraphError::new_err)
    }
}

pub(super) fn kind_named(name: &str) -> PyResult<Kind> {
    let found = KINDS.iter().find(|(known, _)| *known == name);
    found.map(|&(_, kind)| kind).ok_or_else(|| PyValueError::new_err(format!("{name:?} is no kind of field")))
}

fn field((name, kind, missing_allowed, lower, upper, reject_outside): PyField) -> PyResult<Field> {
    Ok(Field { name, kind: kind_named(&kind)?, missing_allowed, lower, upper, reject_outside })
}
