//! The request path of model-sidecar: decode, validate, run the graph, encode, push to the ring.
//!
//! No Python object and no GIL between the socket and the reply. Python starts it, swaps its deployment and
//! drains its ring, through the one boundary in `python` (described in `sidecar_dataplane.pyi`).

mod blanks;
mod ports;
mod wake_up;

pub mod acceptor;
pub mod admission;
pub mod answered;
pub mod blocks;
pub mod call;
pub mod calls;
pub mod clock;
pub mod close_match;
pub mod columns;
pub mod connection;
pub mod deployment;
pub mod engine;
pub mod event_loop;
pub mod exchange;
pub mod grpc;
pub mod hand_off;
pub mod health;
pub mod health_desk;
pub mod histogram;
pub mod http2;
pub mod infer;
pub mod inference;
pub mod ledger;
pub mod limits;
pub mod metadata;
pub mod methods;
pub mod onnxruntime;
pub mod outcome;
pub mod outcome_desk;
pub mod predict;
pub mod python_text;
pub mod reflection;
pub mod refusal;
pub mod replies;
pub mod request_id;
pub mod ring;
pub mod server;
pub mod service;
pub mod session;
pub mod signature;
pub mod socket;
pub mod stages;
pub mod sweep;
pub mod tensors;
pub mod timestamp;
pub mod wire;
pub mod worker;

#[cfg(test)]
mod test_peer;

#[cfg(feature = "python")]
mod python;
