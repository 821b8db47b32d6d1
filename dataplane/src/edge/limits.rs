//! What a caller may ask of the server, as one table. Each number has its reason.
//!
//! Together they bound memory: a call holds one message (`max_message_bytes`), what its window lets wait behind
//! it, and its reply; the calls are counted; and nothing is read from a connection that does not take its replies.

use std::time::Duration;

/// What the user of the server decides.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads that answer calls, each with connections of its own.
    pub event_loops: usize,
    /// Calls in progress, over all connections; more are refused.
    pub max_in_flight: usize,
    /// The longest message, uncompressed.
    pub max_message_bytes: usize,
}

/// How long a peer may keep the server waiting.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until a new connection has sent the preface and its SETTINGS. Nothing it holds is of use before.
    pub handshake: Duration,
    /// Until a unary call without a deadline has sent its whole message, and until it has taken its reply: such
    /// a call holds one of the places in flight, and no slow or silent peer may hold it for ever.
    pub message: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(5), message: Duration::from_secs(30) }
    }
}

/// Connections over all event loops; more are closed at once. Some 10 KiB each while idle, most of it HPACK's
/// and nghttp2's.
pub const MAX_CONNECTIONS: usize = 4096;

/// Calls of methods that are not limited (health, reflection): twice the connections, so that a health watch and
/// a check on each fit, and no more.
pub const MAX_UNLIMITED_CALLS: usize = 2 * MAX_CONNECTIONS;

/// Bytes of a message for a method that is not limited. They take names only, and short ones.
pub const MAX_UNLIMITED_MESSAGE: usize = 64 * 1024;

/// Streams of one connection beyond `max_in_flight`: a refusal tells the caller more than a stream that HTTP/2
/// does not let it open, and health answers while every place is taken.
pub const SPARE_STREAMS: usize = 128;

/// What a stream may send ahead of our reading: many rows in one go, and for a stream that waits, little memory.
/// A longer message is no problem: its bytes are given back as they are put together.
pub const STREAM_WINDOW: u32 = 256 * 1024;

/// What a connection may send ahead. Its bytes are given back as soon as they are read (what a stream holds, its
/// own window bounds), so that a stream that waits never holds up the others.
pub const CONNECTION_WINDOW: i32 = 4 * 1024 * 1024;

/// DATA of one frame: HTTP/2's own default, so that a long message cannot hold up the short ones behind it. Longer
/// frames were measured not to be faster.
pub const MAX_FRAME_BYTES: u32 = 16 * 1024;

/// The header fields of a request, each counted as HTTP/2 has it: name, value and 32. gRPC's usual hard limit.
pub const MAX_HEADER_LIST: usize = 16 * 1024;

/// What one header field adds to its name and value when they are counted.
pub const HEADER_FIELD_OVERHEAD: usize = 32;

/// CONTINUATION frames of one request: what fits `MAX_HEADER_LIST` needs one at most, some peers send small ones.
pub const MAX_CONTINUATIONS: usize = 8;

/// Entries of one SETTINGS frame; HTTP/2 knows eight.
pub const MAX_SETTINGS: usize = 32;

/// Acknowledgements of PING and SETTINGS that wait to be written; a peer that provokes more is not reading them.
pub const MAX_OUTBOUND_ACKS: usize = 256;

/// Streams that a peer resets: at once, and each second. A caller with short deadlines resets many for good
/// reason; what each reset costs us is a few microseconds, so this is far below what would hurt.
pub const RESET_BURST: u64 = 10_000;
/// See `RESET_BURST`.
pub const RESETS_PER_SECOND: u64 = 1_000;

/// Frames that are allowed and make no sense (empty DATA, for a stream long gone): at once, and each second.
/// DATA that crosses our refusal on its way counts too, so a burst of refused calls must fit.
pub const GLITCH_BURST: u64 = 10_000;
/// See `GLITCH_BURST`.
pub const GLITCHES_PER_SECOND: u64 = 1_000;

/// Bytes of one read: several bursts of short requests, and what stays in the processor's cache.
pub const READ_BYTES: usize = 64 * 1024;

/// Bytes that are put together for one write. Also what a connection holds at most that does not take its replies.
pub const WRITE_BYTES: usize = 256 * 1024;

/// Replies of a streaming call that its caller has not taken; from here on its next messages wait, unread. A
/// subscription that falls behind so far is ended.
pub const MAX_UNREAD_REPLIES: usize = 64 * 1024;

/// Buffers that an event loop keeps for later calls, and the longest that it keeps: 32 MiB at most, when a burst
/// of long messages has passed.
pub const KEPT_BUFFERS: usize = 256;
/// See `KEPT_BUFFERS`.
pub const KEPT_BUFFER_BYTES: usize = 128 * 1024;

/// Memory that a call keeps for the path of the next one.
pub const KEPT_PATH_BYTES: usize = 256;

/// Time between two looks at what may have waited too long: calls are ended this much late at most.
pub const SWEEP_EVERY: Duration = Duration::from_millis(10);

/// New connections that are taken before the present ones have their turn.
pub const ACCEPTS_IN_A_ROW: usize = 64;

/// Pause after a connection could not be accepted (no file descriptors, no memory): enough for some to close.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Between telling callers that the server goes and counting which calls are still answered: calls that were on
/// their way arrive meanwhile.
pub const NOTICE: Duration = Duration::from_millis(50);

/// How long a connection that is done waits for its peer to close: closing first could lose the last replies.
pub const LINGER: Duration = Duration::from_millis(250);
