//! Messages of both protocols, read in place and written without reflection.

pub mod health;
pub mod infer;
pub mod metadata;
pub mod outcome;
pub mod predict;
pub mod reflection;
pub mod request_id;
pub mod tensors;
pub mod timestamp;
pub mod wire;
