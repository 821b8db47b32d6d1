//! What was drained, as Python sees it.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::little_endian;
use crate::rows::columns;

/// See `sidecar_dataplane.pyi`.
#[pyclass(frozen, module = "sidecar_dataplane")]
pub(super) struct Columns(pub(super) columns::Columns);

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
    fn failed_ns<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        integers(py, &self.0.failed_ns)
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
