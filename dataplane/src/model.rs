//! The deployed model, and ONNX Runtime by its C API.

mod ports;

pub mod deployment;
pub mod onnxruntime;
pub mod session;
