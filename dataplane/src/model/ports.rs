//! What a loaded graph takes and gives, as it declares it.

use std::ffi::c_char;
use std::ptr::{self, NonNull};

use ort_sys::{ONNXType, OrtAllocator, OrtSession, OrtStatusPtr, OrtTypeInfo};

use crate::model::onnxruntime::{OnnxRuntime, checked, made, text};

/// One input or output of a graph.
///
/// Its types are C enums, kept as ints: a newer library may have values that the Rust enums have not.
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) kind: i32,
    /// The type of a tensor's elements; 0 when it is no tensor.
    pub(crate) element: i32,
}

impl Port {
    /// Whether a run may leave it out.
    pub(crate) const fn optional(&self) -> bool {
        self.kind == ONNXType::ONNX_TYPE_OPTIONAL as i32
    }
}

/// The inputs that a run must feed.
pub(crate) fn inputs(runtime: &OnnxRuntime, session: NonNull<OrtSession>) -> Result<Vec<Port>, String> {
    let api = runtime.api();
    ports(runtime, session, api.SessionGetInputCount, api.SessionGetInputName, api.SessionGetInputTypeInfo)
}

/// The outputs that a run may ask for.
pub(crate) fn outputs(runtime: &OnnxRuntime, session: NonNull<OrtSession>) -> Result<Vec<Port>, String> {
    let api = runtime.api();
    ports(runtime, session, api.SessionGetOutputCount, api.SessionGetOutputName, api.SessionGetOutputTypeInfo)
}

type Count = unsafe extern "system" fn(*const OrtSession, *mut usize) -> OrtStatusPtr;
type Name =
    unsafe extern "system" fn(*const OrtSession, usize, *mut OrtAllocator, *mut *mut c_char) -> OrtStatusPtr;
type Type = unsafe extern "system" fn(*const OrtSession, usize, *mut *mut OrtTypeInfo) -> OrtStatusPtr;

fn ports(
    runtime: &OnnxRuntime,
    session: NonNull<OrtSession>,
    count: Count,
    name: Name,
    type_info: Type,
) -> Result<Vec<Port>, String> {
    let api = runtime.api();
    let session = session.as_ptr();
    let mut ports = 0;
    // SAFETY: the session is alive and `ports` valid for writing.
    checked(api, unsafe { count(session, &raw mut ports) })?;
    let port = |index| {
        let name = {
            // SAFETY: the session is alive, the allocator lives as long as the library.
            let raw = made(api, |raw| unsafe { name(session, index, runtime.allocator(), raw) })?;
            // SAFETY: a string that ends with a NUL, ours until it is freed, which is next.
            let name = unsafe { text(raw.as_ptr()) };
            // SAFETY: the allocator made it, and nobody holds it now.
            checked(api, unsafe { (api.AllocatorFree)(runtime.allocator(), raw.as_ptr().cast()) })?;
            name
        };
        // SAFETY: the session is alive.
        let info = made(api, |info| unsafe { type_info(session, index, info) })?;
        let types = types(runtime, info);
        // SAFETY: made above and held by nobody.
        unsafe { (api.ReleaseTypeInfo)(info.as_ptr()) };
        let (kind, element) = types?;
        Ok(Port { name, kind, element })
    };
    (0..ports).map(port).collect()
}

fn types(runtime: &OnnxRuntime, info: NonNull<OrtTypeInfo>) -> Result<(i32, i32), String> {
    let api = runtime.api();
    let (mut kind, mut element, mut tensor) = (0_i32, 0_i32, ptr::null());
    // SAFETY: `info` is alive, and a C enum is an int.
    checked(api, unsafe { (api.GetOnnxTypeFromTypeInfo)(info.as_ptr(), (&raw mut kind).cast()) })?;
    // SAFETY: `info` is alive; the view of it that this gives is part of it, or null when it is no tensor.
    checked(api, unsafe { (api.CastTypeInfoToTensorInfo)(info.as_ptr(), &raw mut tensor) })?;
    if !tensor.is_null() {
        // SAFETY: as above.
        checked(api, unsafe { (api.GetTensorElementType)(tensor, (&raw mut element).cast()) })?;
    }
    Ok((kind, element))
}
