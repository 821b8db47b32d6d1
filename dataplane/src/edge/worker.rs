//! What one event loop answers calls with: the service, its thread's own state, and buffers used again and again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::clock::monotonic_ns;
use crate::edge::admission::Admission;
use crate::edge::call::{Arrival, Call, Head};
use crate::edge::grpc::{Encoding, End, Framed, Refused};
use crate::edge::limits::{MAX_HEADER_LIST, MAX_UNLIMITED_MESSAGE, Patience};
use crate::edge::sweep::Sweep;
use crate::refusal::{Refusal, Status};
use crate::service::{Answer, CallId, Method, Request, Service};

use self::buffers::BufferPool;

pub mod buffers;

/// One event loop's means to answer calls. The service may panic: that costs the one call, never the loop.
pub struct Worker<S: Service> {
    service: Arc<S>,
    thread: S::Thread,
    max_message_bytes: usize,
    inflated: Vec<u8>,
    /// A message was answered since `end_burst`.
    answered: bool,
    /// Memory for messages that wait.
    pub pool: BufferPool,
    /// The message that the service wrote last.
    pub reply: Vec<u8>,
    /// This loop's number.
    pub event_loop: u16,
    /// Which calls are let in.
    pub admission: Arc<Admission>,
    /// How long peers may take.
    pub patience: Patience,
    /// When to look for what has waited too long.
    pub sweep: Sweep,
}

impl<S: Service> Worker<S> {
    /// For the event loop with this number.
    pub fn new(
        service: Arc<S>,
        admission: Arc<Admission>,
        event_loop: u16,
        max_message_bytes: usize,
        patience: Patience,
    ) -> Self {
        Self {
            thread: service.thread(),
            service,
            max_message_bytes,
            inflated: Vec::new(),
            answered: false,
            pool: BufferPool::default(),
            reply: Vec::new(),
            event_loop,
            admission,
            patience,
            sweep: Sweep::default(),
        }
    }

    /// Which method a call with these header fields is of, or why it goes no further. From here on it counts as
    /// in progress, until `admission` is told that it is not.
    pub fn admit(&self, head: &Head) -> Result<Method, End> {
        if head.too_long() {
            let text = format!("received metadata size exceeds hard limit ({MAX_HEADER_LIST} bytes)");
            return Err(End::refused(&Refusal::new(Status::ResourceExhausted, text)));
        }
        if !head.post {
            return Err(End::NotGrpc(b"405"));
        }
        if !head.grpc {
            return Err(End::NotGrpc(b"415"));
        }
        let named = catch_unwind(AssertUnwindSafe(|| self.service.method(&head.path)));
        let Some(method) = named.ok().flatten() else {
            return Err(End::refused(&Refusal::new(Status::Unimplemented, "Method not found!")));
        };
        if head.encoding == Encoding::Unknown {
            let refusal =
                Refusal::new(Status::Unimplemented, "grpc-encoding: send identity, deflate or gzip");
            return Err(Refused::with_encodings(&refusal).into());
        }
        self.admission.admit(method.limited).map_err(End::Refused)?;
        Ok(method)
    }

    /// The longest message that this method takes.
    pub fn max_message_bytes(&self, method: Method) -> usize {
        if method.limited {
            self.max_message_bytes
        } else {
            self.max_message_bytes.min(MAX_UNLIMITED_MESSAGE)
        }
    }

    /// Have the service answer a message; `reply` holds the reply if there is one. An error is gRPC's own, not the
    /// service's.
    pub fn answer(
        &mut self,
        call: &Call,
        id: CallId,
        method: Method,
        framed: Framed<'_>,
        arrival: Arrival,
    ) -> Result<Answer, Refusal> {
        let deadline_ns = call.deadline_ns;
        if deadline_ns != i64::MAX && monotonic_ns() >= deadline_ns {
            return Ok(Answer::Refuse(Refusal::too_late()));
        }
        let most = self.max_message_bytes(method);
        let Self { service, thread, reply, inflated, .. } = self;
        let message = framed.open(call.head.encoding, most, inflated)?;
        let Arrival { received_ns, arrived_ns } = arrival;
        let client = call.head.client.unwrap_or_default();
        let request = Request { call: id, method, message, client, received_ns, arrived_ns, deadline_ns };
        reply.clear();
        // What the panic leaves behind is the thread's state, which the service keeps fit for the next call, and
        // the reply, which is thrown away.
        let answer = catch_unwind(AssertUnwindSafe(|| service.answer(thread, &request, reply)));
        self.answered = true;
        Ok(answer.unwrap_or_else(|_| Answer::Refuse(Refusal::failed())))
    }

    /// Whether something was answered since the last `end_burst`.
    pub const fn burst_is_open(&self) -> bool {
        self.answered
    }

    /// Tell the service that everything that was read together has been answered.
    pub fn end_burst(&mut self) {
        if std::mem::take(&mut self.answered) {
            let Self { service, thread, .. } = self;
            // A panic has printed itself; the calls that it concerns run into their deadlines.
            let _ = catch_unwind(AssertUnwindSafe(|| service.burst_ended(thread)));
        }
    }

    /// Tell the service that a call it holds is gone.
    pub fn gone(&self, call: CallId, method: Method) {
        // As above; nobody waits for this call.
        let _ = catch_unwind(AssertUnwindSafe(|| self.service.gone(call, method)));
    }
}
