//! One call in progress.

use crate::client_version::{self, ClientVersion};
use crate::clock::{epoch_ns, monotonic_ns};
use crate::edge::grpc::{Encoding, End, put_framed, timeout_ns};
use crate::edge::http2::Next;
use crate::edge::limits::{HEADER_FIELD_OVERHEAD, KEPT_PATH_BYTES, MAX_HEADER_LIST, STREAM_WINDOW};
use crate::edge::worker::buffers::BufferPool;
use crate::service::Method;

/// When bytes were read, on both clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival {
    /// Since the Unix epoch.
    pub received_ns: i64,
    /// On `clock::monotonic_ns`.
    pub arrived_ns: i64,
}

impl Arrival {
    /// Now.
    pub fn now() -> Self {
        Self { received_ns: epoch_ns(), arrived_ns: monotonic_ns() }
    }
}

/// What a call does next.
///
/// ```text
/// Opening --headers--> Receiving --Later--> Waiting --a streaming call's reply--> Receiving
///                          |  \--Subscribed--> Subscribed
///                          |                       |            Waiting
///                          +--answered, refused----+-----finished--+--> Ending --all sent--> (closed)
/// ```
///
/// The stream may close at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Its header fields are being read.
    #[default]
    Opening,
    /// Takes messages.
    Receiving,
    /// The service has a message and will answer it by `Replies`.
    Waiting,
    /// The service sends replies as it likes, by `Replies`.
    Subscribed,
    /// How it ends is decided; what is left is to send it.
    Ending,
}

/// What the header fields of a request say.
#[derive(Debug)]
pub struct Head {
    /// Empty if there was none.
    pub path: Vec<u8>,
    /// The method is POST.
    pub post: bool,
    /// The content type is gRPC's.
    pub grpc: bool,
    /// How long the caller waits.
    pub timeout_ns: Option<i64>,
    /// How its messages may be compressed.
    pub encoding: Encoding,
    /// Who calls; none when what was sent is no client version. Of several the last one counts.
    pub client: Option<ClientVersion>,
    /// As HTTP/2 counts it.
    bytes: usize,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            path: Vec::new(),
            post: false,
            grpc: false,
            timeout_ns: None,
            encoding: Encoding::Identity,
            client: Some(ClientVersion::UNKNOWN),
            bytes: 0,
        }
    }
}

impl Head {
    /// Take in a field. Of a header list that is too long only the length is kept.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        self.bytes = self.bytes.saturating_add(name.len() + value.len() + HEADER_FIELD_OVERHEAD);
        if self.too_long() {
            return;
        }
        match name {
            b":path" => self.path.extend_from_slice(value),
            b":method" => self.post = value == b"POST",
            b"content-type" => self.grpc = is_grpc(value),
            b"grpc-timeout" => self.timeout_ns = timeout_ns(value),
            b"grpc-encoding" => self.encoding = Encoding::named(value),
            client_version::KEY => self.client = ClientVersion::new(value),
            _ => {}
        }
    }

    /// Whether the header list is longer than allowed.
    pub const fn too_long(&self) -> bool {
        self.bytes > MAX_HEADER_LIST
    }

    fn clear(&mut self) {
        let mut path = std::mem::take(&mut self.path);
        path.clear();
        path.shrink_to(KEPT_PATH_BYTES);
        *self = Self { path, ..Self::default() };
    }
}

fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Bytes that were received and wait: a part of a message, or messages behind one that waits.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
    /// When the last of them were read.
    pub arrival: Arrival,
}

impl Inbox {
    /// What waits.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// Append bytes. `expected` is how many will have to lie together at least.
    pub fn put(&mut self, bytes: &[u8], expected: usize, arrival: Arrival, pool: &mut BufferPool) {
        pool.equip(&mut self.bytes);
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        // A long message that is only announced gets no memory yet.
        let expected = expected.min(STREAM_WINDOW as usize);
        self.bytes.reserve(expected.saturating_sub(self.bytes.len()).max(bytes.len()));
        self.bytes.extend_from_slice(bytes);
        self.arrival = arrival;
    }

    /// Forget the first bytes.
    pub fn take(&mut self, bytes: usize) {
        self.taken += bytes;
        if self.taken >= self.bytes.len() {
            self.clear();
        }
    }

    /// Forget everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.taken = 0;
    }
}

/// What is to be sent: framed messages, and then the end.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    /// How the call ends, once that is decided.
    pub end: Option<End>,
    /// The response has begun.
    pub begun: bool,
    /// The session found nothing to send and must be told when there is.
    pub idle: bool,
}

impl Outbox {
    /// Append a message.
    pub fn put(&mut self, message: &[u8], pool: &mut BufferPool) {
        pool.equip(&mut self.bytes);
        put_framed(&mut self.bytes, message);
    }

    /// Bytes that are not sent yet.
    pub const fn unsent(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// What is next to send, in `most` bytes or less.
    pub fn next(&mut self, most: usize) -> Next {
        let bytes = self.unsent().min(most);
        let last = self.end.is_some() && bytes == self.unsent();
        self.idle = bytes == 0 && !last;
        if self.idle { Next::Later } else { Next::Data { bytes, last } }
    }

    /// Move the next bytes to where they are sent from.
    pub fn take(&mut self, bytes: usize, to: &mut Vec<u8>) {
        let end = self.sent + bytes;
        to.extend_from_slice(self.bytes.get(self.sent..end).unwrap_or_default());
        self.sent = end;
        if self.sent >= self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
    }
}

/// One call. Kept for the next one when it ends, with its memory.
#[derive(Debug, Default)]
pub struct Call {
    /// Its HTTP/2 stream.
    pub stream: i32,
    /// What it does next.
    pub phase: Phase,
    /// What its header fields say.
    pub head: Head,
    /// Which method, once that is known; from then on the call is counted as in progress.
    pub method: Option<Method>,
    /// When the caller stops waiting, on `clock::monotonic_ns`; `i64::MAX` for never.
    pub deadline_ns: i64,
    /// When we stop waiting, on the same clock; `i64::MAX` for never.
    pub due_ns: i64,
    /// What was received and waits.
    pub inbox: Inbox,
    /// What is to be sent.
    pub outbox: Outbox,
    /// Bytes that count against the stream's window.
    pub held: usize,
    /// The caller has sent everything.
    pub ended: bool,
    /// The caller does not take its replies, so its next messages wait.
    pub blocked: bool,
    /// The stream is gone; whatever happens to the call now concerns nobody.
    pub gone: bool,
}

impl Call {
    /// Make ready for a request on this stream.
    pub fn open(&mut self, stream: i32) {
        self.stream = stream;
        self.phase = Phase::Opening;
        self.head.clear();
        self.method = None;
        self.deadline_ns = i64::MAX;
        self.due_ns = i64::MAX;
        self.held = 0;
        self.ended = false;
        self.blocked = false;
        self.gone = false;
    }

    /// Give what memory it has to others, when it is over.
    pub fn close(&mut self, pool: &mut BufferPool) {
        pool.collect(&mut self.inbox.bytes);
        pool.collect(&mut self.outbox.bytes);
        self.inbox = Inbox::default();
        self.outbox = Outbox::default();
    }

    /// Whether a service holds the call and must be told when it goes.
    pub const fn is_held_by_service(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Subscribed)
    }

    /// Whether its next message can be answered now.
    pub const fn takes_messages(&self) -> bool {
        matches!(self.phase, Phase::Receiving) && !self.blocked
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Head, Inbox, Outbox};
    use crate::client_version::ClientVersion;
    use crate::edge::grpc::{Encoding, End};
    use crate::edge::http2::Next;
    use crate::edge::worker::buffers::BufferPool;

    #[test]
    fn a_head_keeps_what_matters() {
        let mut head = Head::default();
        for (name, value) in [
            (":method", "POST"),
            (":path", "/a/B"),
            ("content-type", "application/grpc+proto"),
            ("grpc-timeout", "2m"),
            ("grpc-encoding", "gzip"),
            ("client-version", "a b"),
            ("client-version", "app/1"),
            ("user-agent", "x"),
        ] {
            head.header(name.as_bytes(), value.as_bytes());
        }
        assert!(head.post && head.grpc && !head.too_long());
        assert_eq!(
            (&*head.path, head.timeout_ns, head.encoding),
            (&b"/a/B"[..], Some(2_000_000), Encoding::Gzip)
        );
        assert_eq!(head.client, ClientVersion::new(b"app/1"), "the last one counts");
        head.header(b"client-version", b"a b");
        assert_eq!(head.client, None);
        head.header(b"big", &[b'x'; 16_384]);
        assert!(head.too_long());
        head.clear();
        assert!(head.path.is_empty() && !head.post && !head.grpc && !head.too_long());
        assert_eq!(head.client, Some(ClientVersion::UNKNOWN));
        for (value, grpc) in
            [("application/grpc", true), ("application/grpc;x", true), ("application/grpcx", false)]
        {
            head.header(b"content-type", value.as_bytes());
            assert_eq!(head.grpc, grpc, "{value}");
        }
    }

    #[test]
    fn an_inbox_is_taken_from_the_front() {
        let (mut inbox, mut pool) = (Inbox::default(), BufferPool::default());
        inbox.put(b"abc", usize::MAX, Arrival::default(), &mut pool);
        assert!(inbox.bytes.capacity() <= 256 * 1024, "an announced length is no reason for memory");
        inbox.take(2);
        inbox.put(b"de", 0, Arrival::default(), &mut pool);
        assert_eq!(inbox.bytes(), b"cde");
        inbox.take(3);
        assert_eq!((inbox.bytes(), inbox.taken), (&b""[..], 0));
    }

    #[test]
    fn an_outbox_sends_the_end_last() {
        let (mut outbox, mut pool, mut sent) = (Outbox::default(), BufferPool::default(), Vec::new());
        assert_eq!(outbox.next(10), Next::Later);
        assert!(outbox.idle);
        outbox.put(b"abc", &mut pool);
        assert_eq!(outbox.next(10), Next::Data { bytes: 8, last: false });
        outbox.end = Some(End::Ok);
        assert_eq!(outbox.next(6), Next::Data { bytes: 6, last: false });
        outbox.take(6, &mut sent);
        assert_eq!(outbox.next(6), Next::Data { bytes: 2, last: true });
        outbox.take(2, &mut sent);
        assert_eq!(sent, b"\0\0\0\0\x03abc");
        assert_eq!(outbox.next(6), Next::Data { bytes: 0, last: true });
    }
}
