//! One exported graph, loaded once and run by many threads. `sidecar/session.py` is its twin.
//!
//! One intra-op thread, no spinning: a run costs its own thread and no other, so its CPU time is its cost. No arena:
//! each session's would keep a megabyte or more, and a run is as quick without.

use std::ffi::{CStr, CString, c_char};
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ort_sys::{ONNXTensorElementDataType as ElementType, OrtSession, OrtSessionOptions, OrtValue};

use crate::clock::Stopwatch;
use crate::model::onnxruntime::{Element, OnnxRuntime, Tensor, TextTensor, checked, made};
use crate::model::ports::{self, Port};
use crate::rows::answered::{ModelInfo, Prediction};
use crate::rows::blocks::Blocks;
use crate::signature::Kind;

const NUMBERS: &CStr = c"numbers";
const INTEGERS: &CStr = c"integers";
const TEXTS: &CStr = c"texts";

/// In the order in which `Tensors::outputs` holds them.
const OUTPUTS: [*const c_char; 3] = [c"features".as_ptr(), c"score".as_ptr(), c"decision".as_ptr()];
const AGREED_OUTPUTS: [(&str, ElementType); 3] =
    [("features", f32::TYPE), ("score", f32::TYPE), ("decision", u8::TYPE)];

/// A thread keeps the tensors of its last batch up to so many elements; those of larger ones are let go.
const MOST_KEPT: usize = 1 << 17;

/// A graph, ready to run.
pub struct Session {
    raw: NonNull<OrtSession>,
    runtime: Arc<OnnxRuntime>,
    info: Arc<ModelInfo>,
    widths: Widths,
    /// Why no run can begin.
    misfit: Option<String>,
}

// SAFETY: ONNX Runtime's sessions may be used by any thread, and run by many at once.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl Session {
    /// Load the graph in the file `graph`.
    ///
    /// The error is the first line of what Python's onnxruntime raises for it.
    pub fn open(runtime: &Arc<OnnxRuntime>, graph: &Path, info: Arc<ModelInfo>) -> Result<Arc<Self>, String> {
        let path = CString::new(graph.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        let api = runtime.api();
        let options = Options::new(runtime)?;
        // SAFETY: all are alive and valid for the call, which copies what it needs.
        let open = |session| unsafe {
            (api.CreateSession)(runtime.env(), path.as_ptr(), options.raw.as_ptr(), session)
        };
        let raw = made(api, open)?;
        let widths = Widths::new(&info);
        let mut session = Self { raw, runtime: Arc::clone(runtime), info, widths, misfit: None };
        let outputs = ports::outputs(runtime, raw)?;
        check_types(&outputs)?;
        session.misfit = session.misfit(&ports::inputs(runtime, raw)?, &outputs);
        Ok(Arc::new(session))
    }

    /// Which model this is.
    pub fn info(&self) -> &Arc<ModelInfo> {
        &self.info
    }

    /// Prepare one thread's tensors.
    pub fn runner(self: &Arc<Self>) -> Result<Runner, String> {
        Ok(Runner { one: Tensors::new(self, 1)?, batch: None, session: Arc::clone(self) })
    }

    /// What Python's onnxruntime raises when a run does not feed every input, or asks for an output that is not
    /// there.
    fn misfit(&self, inputs: &[Port], outputs: &[Port]) -> Option<String> {
        let fed: Vec<_> = self.widths.inputs().map(CStr::to_string_lossy).collect();
        let missing = inputs.iter().filter(|port| !port.optional()).map(|port| port.name.as_str());
        let missing: Vec<_> = missing.filter(|name| fed.iter().all(|fed| fed != name)).collect();
        if !missing.is_empty() {
            let (missing, fed) = (list(&missing), list(&fed));
            return Some(format!("Required inputs ({missing}) are missing from input feed ({fed})."));
        }
        let (name, _) =
            AGREED_OUTPUTS.iter().find(|(name, _)| outputs.iter().all(|port| port.name != *name))?;
        Some(format!("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Invalid output name:{name}"))
    }

    /// Run the graph; gives the wall-clock time and the thread's CPU time that it took.
    fn run(&self, tensors: &mut Tensors) -> Result<(i64, i64), String> {
        let api = self.runtime.api();
        let (inputs, outputs) = (tensors.inputs.len(), tensors.outputs.len());
        let watch = Stopwatch::start();
        // SAFETY: the session is alive; each array is as long as said; the tensors are borrowed mutably, so
        // that nobody else touches their memory. Outputs that are given are written in place, not replaced.
        let status = unsafe {
            (api.Run)(
                self.raw.as_ptr(),
                ptr::null(),
                tensors.input_names.as_ptr(),
                tensors.inputs.as_ptr(),
                inputs,
                OUTPUTS.as_ptr(),
                outputs,
                tensors.outputs.as_mut_ptr(),
            )
        };
        let times = watch.stop();
        checked(api, status)?;
        Ok(times)
    }
}

/// A run writes into memory of ours, so the types must be as agreed. Shapes are checked by each run.
fn check_types(outputs: &[Port]) -> Result<(), String> {
    let differs = |port: &&Port| {
        AGREED_OUTPUTS.iter().any(|&(name, element)| port.name == name && port.element != element as i32)
    };
    outputs.iter().find(differs).map_or(Ok(()), |port| {
        Err(format!("the graph's output '{}' is not of the type that serving takes", port.name))
    })
}

/// As Python shows a list of names.
fn list(names: &[impl Display]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("[{}]", quoted.join(", "))
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: every runner holds its session, so no run is in progress; the runtime is released after.
        unsafe { (self.runtime.api().ReleaseSession)(self.raw.as_ptr()) };
    }
}

/// As `open_session` of `sidecar/session.py` sets them.
struct Options<'a> {
    raw: NonNull<OrtSessionOptions>,
    runtime: &'a OnnxRuntime,
}

impl<'a> Options<'a> {
    fn new(runtime: &'a OnnxRuntime) -> Result<Self, String> {
        let api = runtime.api();
        // SAFETY: the pointer is valid for writing.
        let raw = made(api, |options| unsafe { (api.CreateSessionOptions)(options) })?;
        let options = Self { raw, runtime };
        let raw = raw.as_ptr();
        // SAFETY: the options are alive; the strings are copied.
        unsafe {
            checked(api, (api.SetIntraOpNumThreads)(raw, 1))?;
            checked(api, (api.SetInterOpNumThreads)(raw, 1))?;
            checked(api, (api.DisableCpuMemArena)(raw))?;
            let (key, no) = (c"session.intra_op.allow_spinning", c"0");
            checked(api, (api.AddSessionConfigEntry)(raw, key.as_ptr(), no.as_ptr()))?;
            checked(api, (api.SetSessionLogSeverityLevel)(raw, 4))?;
        }
        Ok(options)
    }
}

impl Drop for Options<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `new` and used by nobody any more.
        unsafe { (self.runtime.api().ReleaseSessionOptions)(self.raw.as_ptr()) };
    }
}

/// How many fields of each kind a row has.
#[derive(Clone, Copy)]
struct Widths {
    numbers: usize,
    integers: usize,
    texts: usize,
}

impl Widths {
    fn new(info: &ModelInfo) -> Self {
        let of = |kind| info.signature.fields().iter().filter(|field| field.kind == kind).count();
        Self { numbers: of(Kind::Number), integers: of(Kind::Integer), texts: of(Kind::Text) }
    }

    /// The names of the inputs that are fed: one for each kind that has fields.
    fn inputs(self) -> impl Iterator<Item = &'static CStr> {
        let all = [(NUMBERS, self.numbers), (INTEGERS, self.integers), (TEXTS, self.texts)];
        all.into_iter().filter_map(|(name, width)| (width > 0).then_some(name))
    }
}

/// Inputs and outputs of a run with a certain number of rows.
struct Tensors {
    rows: usize,
    elements: usize,
    text_count: usize,
    numbers: Tensor<f32>,
    integers: Tensor<i64>,
    texts: TextTensor,
    features: Tensor<f32>,
    score: Tensor<f32>,
    decision: Tensor<u8>,
    input_names: Vec<*const c_char>,
    inputs: Vec<*const OrtValue>,
    outputs: [*mut OrtValue; 3],
}

// SAFETY: the raw pointers are to the tensors beside them, which may go to another thread, and to constants.
unsafe impl Send for Tensors {}

impl Tensors {
    fn new(session: &Session, rows: usize) -> Result<Self, String> {
        let (runtime, widths) = (&session.runtime, session.widths);
        let numbers = Tensor::new(runtime, &[rows, widths.numbers])?;
        let integers = Tensor::new(runtime, &[rows, widths.integers])?;
        let texts = TextTensor::new(runtime, &[rows, widths.texts])?;
        let features = Tensor::new(runtime, &[rows, session.info.features])?;
        let score = Tensor::new(runtime, &[rows])?;
        let decision = Tensor::new(runtime, &[rows])?;
        let all =
            [(numbers.raw(), widths.numbers), (integers.raw(), widths.integers), (texts.raw(), widths.texts)];
        let fed = all.into_iter().filter_map(|(raw, width)| (width > 0).then_some(raw.cast_const()));
        Ok(Self {
            rows,
            elements: rows * (session.info.signature.fields().len() + session.info.features),
            text_count: rows * widths.texts,
            input_names: widths.inputs().map(CStr::as_ptr).collect(),
            inputs: fed.collect(),
            outputs: [features.raw(), score.raw(), decision.raw()],
            numbers,
            integers,
            texts,
            features,
            score,
            decision,
        })
    }

    fn fill(&mut self, blocks: &Blocks) -> Result<(), String> {
        copy(&blocks.numbers, self.numbers.data_mut())?;
        copy(&blocks.integers, self.integers.data_mut())?;
        fits(blocks.texts.len(), self.text_count)?;
        for (index, text) in blocks.texts.iter().enumerate() {
            self.texts.set(index, text)?;
        }
        Ok(())
    }

    fn read(&self, into: &mut Prediction) {
        into.features.extend_from_slice(self.features.data());
        into.score.extend_from_slice(self.score.data());
        into.decision.extend(self.decision.data().iter().map(|&yes| yes != 0));
    }
}

fn copy<T: Copy>(from: &[T], to: &mut [T]) -> Result<(), String> {
    fits(from.len(), to.len())?;
    to.copy_from_slice(from);
    Ok(())
}

fn fits(packed: usize, expected: usize) -> Result<(), String> {
    if packed == expected {
        Ok(())
    } else {
        Err(format!("{packed} values were packed instead of {expected}"))
    }
}

/// Runs a graph for one thread, with tensors that were prepared.
pub struct Runner {
    one: Tensors,
    batch: Option<Tensors>,
    session: Arc<Session>,
}

impl Runner {
    /// The graph it runs.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Score the rows of `blocks` in one run.
    ///
    /// The error is the one that `Model.run` of `sidecar/session.py` raises.
    pub fn run(&mut self, blocks: &Blocks, into: &mut Prediction) -> Result<(), String> {
        into.features.clear();
        into.score.clear();
        into.decision.clear();
        self.score(blocks, into).map_err(|error| format!("{}: {error}", self.session.info))
    }

    fn score(&mut self, blocks: &Blocks, into: &mut Prediction) -> Result<(), String> {
        if let Some(error) = &self.session.misfit {
            return Err(error.clone());
        }
        let tensors = tensors(&mut self.one, &mut self.batch, &self.session, blocks.rows)?;
        let ran = tensors.fill(blocks).and_then(|()| self.session.run(tensors));
        if let Ok(times) = ran {
            (into.infer_ns, into.cpu_ns) = times;
            tensors.read(into);
        }
        if self.batch.as_ref().is_some_and(|batch| batch.elements > MOST_KEPT) {
            self.batch = None;
        }
        ran?;
        if into.score.iter().any(|score| score.is_nan()) {
            return Err("the score is not a number".to_owned());
        }
        Ok(())
    }
}

/// Those for one row, or those of the last batch when it had as many rows, or new ones.
fn tensors<'a>(
    one: &'a mut Tensors,
    batch: &'a mut Option<Tensors>,
    session: &Session,
    rows: usize,
) -> Result<&'a mut Tensors, String> {
    if rows == 1 {
        return Ok(one);
    }
    match batch.take() {
        Some(last) if last.rows == rows => Ok(batch.insert(last)),
        _ => Ok(batch.insert(Tensors::new(session, rows)?)),
    }
}
