//! The seam between gRPC (connections, streams, framing, limits) and the methods behind it.

use crate::client_version::ClientVersion;
use crate::refusal::Refusal;

/// How a method is called and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// The service's own number for it.
    pub id: u8,
    /// Many requests, one reply for each, instead of one of both.
    pub streaming: bool,
    /// Counts against `max_in_flight`, is refused while the server leaves, and its errors are counted.
    /// Health and reflection are not limited.
    pub limited: bool,
}

/// Names one call in progress, from any thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    /// The event loop that owns the call's connection.
    pub event_loop: u16,
    /// The connection; never used twice by a loop.
    pub connection: u64,
    /// The HTTP/2 stream.
    pub stream: i32,
}

/// One message of a call, as the service sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Which call.
    pub call: CallId,
    /// Which method.
    pub method: Method,
    /// The message, without its frame, uncompressed.
    pub message: &'a [u8],
    /// Who sent it.
    pub client: ClientVersion,
    /// When its last byte was read: nanoseconds since the Unix epoch.
    pub received_ns: i64,
    /// The same instant on `clock::monotonic_ns`.
    pub arrived_ns: i64,
    /// When the caller stops waiting, on `clock::monotonic_ns`; `i64::MAX` for never.
    pub deadline_ns: i64,
}

/// What becomes of a message.
#[derive(Debug)]
pub enum Answer {
    /// The reply buffer holds the reply's message. A unary call is finished by it.
    Reply,
    /// The call ends with this status.
    Refuse(Refusal),
    /// `Replies::finish` (unary) or `Replies::send` (streaming) will be called with this call's id. Until
    /// then, further messages of a streaming call wait, unread beyond its window.
    Later,
    /// The reply buffer holds a first message and the call stays open for `Replies::send` until
    /// `Replies::finish`, or until the caller goes (server streaming: health's Watch).
    Subscribed,
}

/// The methods. One value serves all threads; each thread brings what it has for itself.
pub trait Service: Send + Sync + 'static {
    /// What a thread needs for itself: buffers, prepared tensors.
    type Thread: Send;

    /// Make what a new thread needs.
    fn thread(&self) -> Self::Thread;

    /// The method with this path, such as `/sidecar.v1.PredictionService/Predict`.
    fn method(&self, path: &[u8]) -> Option<Method>;

    /// Answer one message. `reply` is empty; append the reply's message to it.
    fn answer(&self, thread: &mut Self::Thread, request: &Request<'_>, reply: &mut Vec<u8>) -> Answer;

    /// All messages that were read together have been answered; time to run what was put off as `Later` for
    /// the sake of a common run. The loop sends what `Replies` got for it right after, without a wake-up.
    fn burst_ended(&self, _thread: &mut Self::Thread) {}

    /// A call that was answered `Later` or `Subscribed` is gone: cancelled, out of time or disconnected.
    fn gone(&self, call: CallId, method: Method);
}
