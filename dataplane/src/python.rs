//! The one boundary to Python; described in `sidecar_dataplane.pyi`. Nothing here is on the request path.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::canary::{Draw, Key};
use crate::edge::server::Limits;
use crate::engine::Engine;
use crate::exploration::Exploration;
use crate::messages::reflection::File;
use crate::methods::Settings;
use crate::model::deployment::{Canary, Serving};
use crate::model::loaded;
use crate::model::onnxruntime::OnnxRuntime;
use crate::refusal::{Refusal, Status};
use crate::rows::answered::ModelInfo;
use crate::rows::blocks::{Blocks, Texts};
use crate::rows::columns;
use crate::signature::{Field, Kind, Signature};

create_exception!(sidecar_dataplane, GraphError, PyException, "The graph cannot be loaded, or fails.");

const KINDS: [(&str, Kind); 3] = [("number", Kind::Number), ("integer", Kind::Integer), ("text", Kind::Text)];

type PyColumn = (String, usize);
type PyField = (String, String, bool, Option<f64>, Option<f64>, bool);
type PyFile = (String, Vec<u8>, Vec<String>, Vec<String>);
type PyOutcome = (String, f64, Option<f64>, i64);
type PyDrained = (Vec<Columns>, Vec<(u64, Vec<PyOutcome>)>);
type PyCanary = (String, u64, u64, u64);
type PyStats<'py> = (u64, u64, u64, Option<PyCanary>, Bound<'py, PyDict>, Bound<'py, PyDict>);

/// See `sidecar_dataplane.pyi`.
#[pyclass(frozen, module = "sidecar_dataplane")]
struct Dataplane(Engine);

/// See `sidecar_dataplane.pyi`.
#[pyclass(frozen, module = "sidecar_dataplane")]
struct Loaded(Arc<loaded::Loaded>);

/// See `sidecar_dataplane.pyi`.
#[pyclass(frozen, module = "sidecar_dataplane")]
struct Columns(columns::Columns);

#[pymethods]
impl Dataplane {
    #[new]
    #[pyo3(signature = (*, onnxruntime, ledger, version, event_loops, max_in_flight, max_message_bytes,
                        max_rows, ring_rows, hand_off_us, batch_rows, services, files))]
    #[expect(clippy::too_many_arguments, reason = "all are named; one call makes the engine")]
    fn new(
        onnxruntime: PathBuf,
        ledger: PathBuf,
        version: String,
        event_loops: usize,
        max_in_flight: usize,
        max_message_bytes: usize,
        max_rows: usize,
        ring_rows: usize,
        hand_off_us: i64,
        batch_rows: usize,
        services: Vec<String>,
        files: Vec<PyFile>,
    ) -> PyResult<Self> {
        let files = files
            .into_iter()
            .map(|(name, descriptor, symbols, dependencies)| File { name, descriptor, symbols, dependencies })
            .collect();
        let hand_off_ns = hand_off_us.saturating_mul(1_000);
        let settings =
            Settings { version, max_in_flight, max_rows, hand_off_ns, batch_rows, services, files };
        let limits = Limits { event_loops, max_in_flight, max_message_bytes };
        Engine::new(&onnxruntime, &ledger, ring_rows, limits, settings).map(Self).map_err(PyOSError::new_err)
    }

    fn start(&self, listeners: Vec<RawFd>) -> PyResult<()> {
        // SAFETY: the caller hands over open descriptors that nobody else closes.
        let owned = listeners.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect();
        Ok(self.0.start(owned)?)
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
        let info = ModelInfo { name, version, digest, signature, features };
        let (numbers, integers, words) = warm_up;
        let mut texts = Texts::default();
        for word in &words {
            texts.push(word);
        }
        let row = Blocks { rows: 1, numbers, integers, texts };
        let exploration = Exploration { instead_of: explore.0, share: explore.1 };
        py.detach(|| self.0.load(&graph, info, exploration, &row, runs))
            .map(Loaded)
            .map_err(GraphError::new_err)
    }

    fn loaded(&self, digest: &str) -> Option<Loaded> {
        self.0.methods().deployment.loaded(digest).map(Loaded)
    }

    #[pyo3(signature = (champion, canary = None))]
    fn deploy(
        &self,
        py: Python<'_>,
        champion: Option<&Loaded>,
        canary: Option<(PyRef<'_, Loaded>, f64, Option<PyColumn>)>,
    ) -> PyResult<()> {
        let canary = match canary {
            None => None,
            Some((loaded, share, by)) => {
                Some(Canary::new(Arc::clone(&loaded.0), Draw { share, by: key(by)? }))
            }
        };
        let serving = champion.map(|loaded| Serving::new(Arc::clone(&loaded.0), canary));
        py.detach(|| self.0.deploy(serving));
        Ok(())
    }

    fn drain(&self, py: Python<'_>, max_rows: usize, wait_seconds: f64) -> PyResult<PyDrained> {
        let wait = seconds(wait_seconds)?;
        let methods = self.0.methods();
        let drained = py.detach(|| {
            methods.deployment.free_retired();
            methods.ring.drain(max_rows, wait)
        });
        let outcomes = drained.outcomes.into_iter().map(|pending| {
            let outcomes = pending.outcomes.into_iter();
            let told = outcomes.map(|each| (each.request_id, each.label, each.value, each.observed_ns));
            (pending.ticket, told.collect())
        });
        Ok((drained.served.into_iter().map(Columns).collect(), outcomes.collect()))
    }

    fn settle(&self, py: Python<'_>, ticket: u64, stored: u32, duplicates: u32, conflicts: Vec<String>) {
        py.detach(|| self.0.methods().outcomes.settle(ticket, stored, duplicates, &conflicts));
    }

    fn refuse(&self, py: Python<'_>, ticket: u64, code: u8, message: String) {
        let refusal = Refusal::new(Status::from_code(code), message);
        py.detach(|| self.0.methods().outcomes.refuse(ticket, refusal));
    }

    fn refuse_outcomes(&self, py: Python<'_>, message: &str) {
        py.detach(|| self.0.methods().outcomes.refuse_all(message));
    }

    fn leave(&self, py: Python<'_>) {
        py.detach(|| self.0.leave());
    }

    fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    fn stop(&self, py: Python<'_>, grace_seconds: f64) -> PyResult<()> {
        let grace = seconds(grace_seconds)?;
        py.detach(|| self.0.stop(grace));
        Ok(())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<PyStats<'py>> {
        let methods = self.0.methods();
        let errors = PyDict::new(py);
        for (code, count) in self.0.errors().into_iter().enumerate().filter(|&(_, count)| count > 0) {
            errors.set_item(Status::from_code(code as u8).name(), count)?;
        }
        let stages = PyDict::new(py);
        for (stage, counts) in methods.stages.counts() {
            stages.set_item(stage, little_endian(py, &counts, |count| count.to_le_bytes()))?;
        }
        let ring = &methods.ring;
        let canary = methods.deployment.get().as_ref().and_then(|serving| {
            let (calls, answered, failed) = serving.canary_counts()?.now();
            Some((serving.canary()?.info().digest.clone(), calls, answered, failed))
        });
        Ok((ring.offered(), ring.dropped(), ring.queued(), canary, errors, stages))
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
}

#[pymethods]
impl Columns {
    #[getter]
    fn model(&self) -> (&str, &str, &str) {
        let model = &self.0.model;
        (&model.name, &model.version, &model.digest)
    }

    #[getter]
    fn request_ids<'py>(&self, py: Python<'py>) -> (usize, Bound<'py, PyBytes>) {
        let ids = &self.0.request_ids;
        let width = ids.iter().map(String::len).max().unwrap_or(0).max(1);
        let mut table = Vec::with_capacity(width * ids.len());
        for (row, id) in ids.iter().enumerate() {
            table.extend_from_slice(id.as_bytes());
            table.resize((row + 1) * width, 0);
        }
        (width, PyBytes::new(py, &table))
    }

    #[getter]
    fn clients<'py>(&self, py: Python<'py>) -> (&[String], Bound<'py, PyBytes>) {
        text_column(py, &self.0.clients)
    }

    #[getter]
    fn received_ns<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        integers(py, &self.0.received_ns)
    }

    #[getter]
    fn event_ns<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        integers(py, &self.0.event_ns)
    }

    #[getter]
    fn group<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        integers(py, &self.0.group)
    }

    #[getter]
    fn queue_ns<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        integers(py, &self.0.queue_ns)
    }

    #[getter]
    fn infer_ns<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        integers(py, &self.0.infer_ns)
    }

    #[getter]
    fn cpu_ns<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        integers(py, &self.0.cpu_ns)
    }

    #[getter]
    fn integers<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        integers(py, &self.0.integers)
    }

    #[getter]
    fn numbers<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        floats(py, &self.0.numbers)
    }

    #[getter]
    fn features<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        floats(py, &self.0.features)
    }

    #[getter]
    fn score<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        floats(py, &self.0.score)
    }

    #[getter]
    fn decision<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.decision)
    }

    #[getter]
    fn propensity<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        floats(py, &self.0.propensity)
    }

    #[getter]
    fn texts<'py>(&self, py: Python<'py>) -> Vec<(&[String], Bound<'py, PyBytes>)> {
        self.0.texts.iter().map(|column| text_column(py, column)).collect()
    }
}

fn field((name, kind, missing_allowed, lower, upper, reject_outside): PyField) -> PyResult<Field> {
    Ok(Field { name, kind: kind_named(&kind)?, missing_allowed, lower, upper, reject_outside })
}

fn kind_named(name: &str) -> PyResult<Kind> {
    let found = KINDS.iter().find(|(known, _)| *known == name);
    found.map(|&(_, kind)| kind).ok_or_else(|| PyValueError::new_err(format!("{name:?} is no kind of field")))
}

fn key(by: Option<PyColumn>) -> PyResult<Key> {
    let Some((kind, column)) = by else {
        return Ok(Key::Id);
    };
    match kind_named(&kind)? {
        Kind::Integer => Ok(Key::Integer(column)),
        Kind::Text => Ok(Key::Text(column)),
        Kind::Number => Err(PyValueError::new_err("nothing is drawn by a number")),
    }
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn text_column<'a, 'py>(
    py: Python<'py>,
    column: &'a columns::TextColumn,
) -> (&'a [String], Bound<'py, PyBytes>) {
    (&column.values, little_endian(py, &column.rows, |row| row.to_le_bytes()))
}

fn integers<'py>(py: Python<'py>, values: &[i64]) -> Bound<'py, PyBytes> {
    little_endian(py, values, |value| value.to_le_bytes())
}

fn floats<'py>(py: Python<'py>, values: &[f32]) -> Bound<'py, PyBytes> {
    little_endian(py, values, |value| value.to_le_bytes())
}

fn little_endian<'py, T: Copy, const N: usize>(
    py: Python<'py>,
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> Bound<'py, PyBytes> {
    let all: Vec<u8> = values.iter().flat_map(|&value| bytes(value)).collect();
    PyBytes::new(py, &all)
}

/// See `sidecar_dataplane.pyi`.
#[pyfunction]
fn onnxruntime_version(library: PathBuf) -> PyResult<String> {
    let runtime = OnnxRuntime::load(&library).map_err(PyOSError::new_err)?;
    Ok(runtime.version().to_owned())
}

/// The native request path of model-sidecar.
#[pymodule(name = "sidecar_dataplane")]
mod module {
    #[pymodule_export]
    use super::{Columns, Dataplane, GraphError, Loaded, onnxruntime_version};

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
