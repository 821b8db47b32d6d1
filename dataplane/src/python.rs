//! The one boundary to Python; described in `sidecar_dataplane.pyi`. Nothing here is on the request path.

mod drained;
mod models;
mod scoring;

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use self::drained::Columns;
use self::models::{Loaded, kind_named};
use crate::canary::{Draw, Key};
use crate::edge::server::Limits;
use crate::engine::Engine;
use crate::messages::reflection::File;
use crate::methods::Settings;
use crate::model::deployment::{Canary, Serving};
use crate::refusal::{Refusal, Status};
use crate::signature::Kind;

type PyColumn = (String, usize);
type PyFile = (String, Vec<u8>, Vec<String>, Vec<String>);
type PyOutcome = (String, f64, Option<f64>, i64);
type PyDrained = (Vec<Columns>, Vec<(u64, Vec<PyOutcome>)>);
type PyCanary = (String, u64, u64, u64);
type PyStats<'py> = (u64, u64, u64, Option<PyCanary>, Bound<'py, PyDict>, Bound<'py, PyDict>);

/// See `sidecar_dataplane.pyi`.
#[pyclass(frozen, module = "sidecar_dataplane")]
struct Dataplane(Engine);

#[pymethods]
impl Dataplane {
    #[new]
    #[pyo3(signature = (*, ledger, version, event_loops, max_in_flight, max_message_bytes, max_rows,
                        ring_rows, hand_off_us, batch_rows, services, files))]
    #[expect(clippy::too_many_arguments, reason = "all are named; one call makes the engine")]
    fn new(
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
        Engine::new(&ledger, ring_rows, limits, settings).map(Self).map_err(PyOSError::new_err)
    }

    fn start(&self, listeners: Vec<RawFd>) -> PyResult<()> {
        // SAFETY: the caller hands over open descriptors that nobody else closes.
        let owned = listeners.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect();
        Ok(self.0.start(owned)?)
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

fn little_endian<'py, T: Copy, const N: usize>(
    py: Python<'py>,
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> Bound<'py, PyBytes> {
    let all: Vec<u8> = values.iter().flat_map(|&value| bytes(value)).collect();
    PyBytes::new(py, &all)
}

/// The native request path of model-sidecar.
#[pymodule(name = "sidecar_dataplane")]
mod module {
    #[pymodule_export]
    use super::{Columns, Dataplane, Loaded};

    #[pymodule_export]
    use super::models::{GraphError, Runtime};

    #[pymodule_export]
    use super::scoring::Scorer;

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
