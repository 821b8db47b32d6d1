//! The deployed models, and ONNX Runtime by its C API.

mod ports;

pub mod deployment;
pub mod loaded;
pub mod onnxruntime;
pub mod prepared;
pub mod session;
