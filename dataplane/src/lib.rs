//! The request path of model-sidecar: decode, validate, run the graph, encode, push to the ring.
//!
//! No Python object and no GIL between the socket and the reply. Python starts it, swaps its deployment and
//! drains its ring, through the one boundary in `python` (described in `sidecar_dataplane.pyi`).

pub mod canary;
pub mod client_version;
pub mod clock;
pub mod close_match;
pub mod draw;
pub mod edge;
pub mod engine;
pub mod exploration;
pub mod messages;
pub mod methods;
pub mod model;
pub mod python_text;
pub mod refusal;
pub mod rows;
pub mod service;
pub mod shadow;
pub mod signature;

#[cfg(feature = "python")]
mod python;
