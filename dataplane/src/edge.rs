//! Sockets, connections, HTTP/2, gRPC framing, admission and deadlines. Knows nothing of models.

pub mod acceptor;
pub mod admission;
pub mod call;
pub mod calls;
pub mod connection;
pub mod event_loop;
pub mod exchange;
pub mod grpc;
pub mod http2;
pub mod limits;
pub mod replies;
pub mod server;
pub mod socket;
pub mod sweep;
pub mod worker;

#[cfg(test)]
mod test_peer;
