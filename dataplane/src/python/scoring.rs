//! A shadow worker's scorer, as Python sees it: arrays in, arrays out, none of them copied.

use std::slice;
use std::sync::atomic::AtomicI64;
use std::sync::{Mutex, PoisonError};

use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::model::session::Runner;
use crate::shadow::{self, Chunk, Results};

/// See `sidecar_dataplane.pyi`.
#[pyclass(frozen, module = "sidecar_dataplane")]
pub(super) struct Scorer(Mutex<shadow::Scorer>);

/// The attributes of `sidecar_dataplane.ResultColumns`.
#[derive(FromPyObject)]
struct ResultColumns {
    done: PyBuffer<i64>,
    score: PyBuffer<f32>,
    decision: PyBuffer<u8>,
    raised: PyBuffer<u8>,
    infer_ns: PyBuffer<i64>,
    cpu_ns: PyBuffer<i64>,
    detail: PyBuffer<u8>,
}

impl Scorer {
    pub(super) fn new(runner: Runner) -> Self {
        Self(Mutex::new(shadow::Scorer::new(runner)))
    }
}

#[pymethods]
impl Scorer {
    fn score(
        &self,
        py: Python<'_>,
        numbers: PyBuffer<f32>,
        integers: PyBuffer<i64>,
        texts: Vec<(Vec<String>, PyBuffer<i64>)>,
        ends: PyBuffer<i64>,
        results: ResultColumns,
    ) -> PyResult<()> {
        let texts_of_rows = texts.iter().map(|(values, of_row)| Ok((values.as_slice(), elements(of_row)?)));
        let chunk = Chunk {
            numbers: elements(&numbers)?,
            integers: elements(&integers)?,
            texts: texts_of_rows.collect::<PyResult<_>>()?,
            ends: elements(&ends)?,
        };
        let [done] = places(&results.done)? else {
            return Err(PyValueError::new_err("`done` is one number"));
        };
        // SAFETY: aligned and valid for as long as `results` holds its buffer; nobody here uses it otherwise.
        let done = unsafe { AtomicI64::from_ptr(done) };
        let mut columns = Results {
            done,
            score: places(&results.score)?,
            decision: places(&results.decision)?,
            raised: places(&results.raised)?,
            infer_ns: places(&results.infer_ns)?,
            cpu_ns: places(&results.cpu_ns)?,
            detail: places(&results.detail)?,
        };
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).score(&chunk, &mut columns))
            .map_err(PyValueError::new_err)
    }
}

/// What an array holds, row by row.
fn elements<T: Element>(array: &PyBuffer<T>) -> PyResult<&[T]> {
    let elements = array.as_slice_ptr().ok_or_else(|| PyValueError::new_err("an array with gaps"))?;
    if elements.is_empty() {
        return Ok(&[]);
    }
    // SAFETY: the buffer is held while the slice lives; the caller promises that nobody writes to it.
    Ok(unsafe { elements.as_ref() })
}

/// Where an array's elements go.
#[expect(clippy::mut_from_ref, reason = "the memory is Python's; that nobody else uses it is promised")]
fn places<T: Element>(array: &PyBuffer<T>) -> PyResult<&mut [T]> {
    let elements = array.as_slice_ptr().ok_or_else(|| PyValueError::new_err("an array with gaps"))?;
    if array.readonly() {
        return Err(PyValueError::new_err("an array that cannot be written"));
    }
    if elements.is_empty() {
        return Ok(&mut []);
    }
    // SAFETY: the buffer is held while the slice lives; the caller promises that nobody in this process uses
    // the memory meanwhile, and that the columns are different memory.
    Ok(unsafe { slice::from_raw_parts_mut(elements.as_ptr().cast::<T>(), elements.len()) })
}
