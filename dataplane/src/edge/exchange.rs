//! What is said on one connection: HTTP/2 and gRPC, without the socket.

use std::ops::Range;

use crate::client_version;
use crate::clock::monotonic_ns;
use crate::edge::call::{Arrival, Call, Phase};
use crate::edge::calls::{Calls, Event};
use crate::edge::grpc::{End, Framed, RESPONSE_HEADERS};
use crate::edge::http2::{Broken, Reset, Session};
use crate::edge::limits::MAX_UNREAD_REPLIES;
use crate::edge::worker::Worker;
use crate::refusal::{Refusal, Status};
use crate::service::{Answer, CallId, Method, Service};

/// One connection's calls.
pub struct Exchange {
    connection: u64,
    session: Session<Calls>,
}

impl Exchange {
    /// Greets the peer of this connection.
    pub fn new(connection: u64, max_streams: u32) -> Result<Self, Broken> {
        Ok(Self { connection, session: Session::server(Calls::default(), max_streams)? })
    }

    /// HTTP/2's part.
    pub const fn session(&self) -> &Session<Calls> {
        &self.session
    }

    /// HTTP/2's part.
    pub const fn session_mut(&mut self) -> &mut Session<Calls> {
        &mut self.session
    }

    /// Take in what was read, and answer every message that is complete.
    pub fn receive<S: Service>(&mut self, input: &[u8], worker: &mut Worker<S>) -> Result<(), Broken> {
        let arrival = Arrival::now();
        self.session.receive(input)?;
        self.handle_events(input, arrival, worker)
    }

    /// Append what is to be sent to `output`, until it has `most` bytes or there is no more.
    pub fn transmit<S: Service>(
        &mut self,
        output: &mut Vec<u8>,
        most: usize,
        worker: &mut Worker<S>,
    ) -> Result<(), Broken> {
        self.session.send(output, most)?;
        // Calls that ended, and calls whose caller has caught up, which may have more to send.
        self.handle_events(&[], Arrival::default(), worker)
    }

    /// Deal with what the session said happened.
    fn handle_events<S: Service>(
        &mut self,
        input: &[u8],
        arrival: Arrival,
        worker: &mut Worker<S>,
    ) -> Result<(), Broken> {
        let mut events = self.session.streams_mut().take_events();
        let mut read = 0;
        for event in events.drain(..) {
            match event {
                Event::Began(key) => self.begin(key, arrival, worker)?,
                Event::Data(key, Range { start, end }) => {
                    read += end - start;
                    self.take_in(key, input.get(start..end).unwrap_or_default(), arrival, worker)?;
                }
                Event::Ended(key) => {
                    if let Some(call) = self.call(key) {
                        call.ended = true;
                    }
                    self.finish_if_ended(key, worker)?;
                }
                Event::Closed(key) => {
                    self.depart(key, worker);
                    self.session.streams_mut().release(key, &mut worker.pool);
                }
                Event::Unblocked(key) => self.take_in(key, &[], arrival, worker)?,
            }
        }
        self.session.streams_mut().reuse(events);
        if read > 0 {
            self.session.give_back_connection(read)?;
        }
        Ok(())
    }

    fn begin<S: Service>(
        &mut self,
        key: usize,
        arrival: Arrival,
        worker: &mut Worker<S>,
    ) -> Result<(), Broken> {
        let Some(call) = self.call(key) else { return Ok(()) };
        if call.gone {
            return Ok(());
        }
        match worker.admit(&call.head) {
            Ok(method) => {
                call.method = Some(method);
                call.phase = Phase::Receiving;
                if let Some(timeout_ns) = call.head.timeout_ns {
                    call.deadline_ns = arrival.arrived_ns.saturating_add(timeout_ns);
                }
                call.due_ns = call.deadline_ns;
                if !method.streaming {
                    call.due_ns = call.due_ns.min(patience_ends(arrival.arrived_ns, worker));
                }
                worker.sweep.note(call.due_ns);
                if method.limited && call.head.client.is_none() {
                    return self.refuse(key, &Refusal::invalid(client_version::REFUSAL), worker);
                }
                Ok(())
            }
            Err(end) => self.end(key, end, worker),
        }
    }

    /// Answer the messages that these bytes complete, as far as the call takes messages now.
    fn take_in<S: Service>(
        &mut self,
        key: usize,
        chunk: &[u8],
        arrival: Arrival,
        worker: &mut Worker<S>,
    ) -> Result<(), Broken> {
        let Some(call) = self.call(key) else { return Ok(()) };
        if call.gone || call.phase == Phase::Ending {
            return Ok(());
        }
        call.held += chunk.len();
        // Messages that lie whole in what was read are answered where they are.
        let mut in_place = chunk;
        if !chunk.is_empty() && !call.inbox.bytes().is_empty() {
            call.inbox.put(chunk, 0, arrival, &mut worker.pool);
            in_place = &[];
        }
        while let Some(call) = self.session.streams().get(key) {
            let Some(method) = call.method.filter(|_| call.takes_messages()) else { break };
            let direct = call.inbox.bytes().is_empty();
            let (bytes, arrival) =
                if direct { (in_place, arrival) } else { (call.inbox.bytes(), call.inbox.arrival) };
            let framed = match Framed::first(bytes, worker.max_message_bytes(method)) {
                Ok(Some(framed)) => framed,
                Ok(None) => break,
                Err(refusal) => return self.end(key, End::refused(&refusal), worker),
            };
            let size = framed.size();
            let id =
                CallId { event_loop: worker.event_loop, connection: self.connection, stream: call.stream };
            let answer = worker.answer(call, id, method, framed, arrival);
            if direct {
                in_place = in_place.get(size..).unwrap_or_default();
            } else if let Some(call) = self.call(key) {
                call.inbox.take(size);
            }
            self.apply(key, method, answer, worker)?;
        }
        let Some(call) = self.call(key) else { return Ok(()) };
        if call.phase != Phase::Ending && !in_place.is_empty() {
            call.inbox.put(in_place, Framed::size_of_first(in_place), arrival, &mut worker.pool);
        }
        self.give_back(key)?;
        self.finish_if_ended(key, worker)
    }

    /// A message that is being put together gives its bytes back at once, for a call holds one message in any
    /// case. What waits behind it does not: so a caller cannot send more than its stream's window ahead.
    fn give_back(&mut self, key: usize) -> Result<(), Broken> {
        let Some(call) = self.call(key) else { return Ok(()) };
        if call.phase == Phase::Ending {
            return Ok(());
        }
        let keeps = if call.takes_messages() { 0 } else { call.inbox.bytes().len().min(call.held) };
        let (stream, bytes) = (call.stream, call.held - keeps);
        call.held = keeps;
        if bytes > 0 {
            self.session.give_back_stream(stream, bytes)?;
        }
        Ok(())
    }

    fn apply<S: Service>(
        &mut self,
        key: usize,
        method: Method,
        answer: Result<Answer, Refusal>,
        worker: &mut Worker<S>,
    ) -> Result<(), Broken> {
        let Some(call) = self.call(key) else { return Ok(()) };
        match answer {
            Ok(Answer::Reply) => {
                call.outbox.put(&worker.reply, &mut worker.pool);
                if !method.streaming {
                    return self.end(key, End::Ok, worker);
                }
                call.blocked = call.outbox.unsent() > MAX_UNREAD_REPLIES;
                self.start_sending(key)
            }
            Ok(Answer::Refuse(refusal)) => self.refuse(key, &refusal, worker),
            Ok(Answer::Later) => {
                call.phase = Phase::Waiting;
                call.due_ns = call.deadline_ns;
                worker.sweep.note(call.due_ns);
                Ok(())
            }
            Ok(Answer::Subscribed) => {
                call.outbox.put(&worker.reply, &mut worker.pool);
                call.phase = Phase::Subscribed;
                call.due_ns = call.deadline_ns;
                worker.sweep.note(call.due_ns);
                self.start_sending(key)
            }
            Err(refusal) => self.end(key, End::refused(&refusal), worker),
        }
    }

    /// A caller that has sent everything, and whose messages are all answered, has all it gets.
    fn finish_if_ended<S: Service>(&mut self, key: usize, worker: &mut Worker<S>) -> Result<(), Broken> {
        let Some(call) = self.call(key) else { return Ok(()) };
        let Some(method) = call.method.filter(|_| call.ended && !call.gone && call.takes_messages()) else {
            return Ok(());
        };
        let end = match (call.inbox.bytes().is_empty(), method.streaming) {
            (true, true) => End::Ok,
            (true, false) => {
                End::refused(&Refusal::new(Status::Unimplemented, "the call has no message; send one"))
            }
            (false, _) => End::refused(&Refusal::new(Status::Internal, "the call ended within a message")),
        };
        self.end(key, end, worker)
    }

    /// End a call with an error of the service, or of ours in its place.
    fn refuse<S: Service>(
        &mut self,
        key: usize,
        refusal: &Refusal,
        worker: &mut Worker<S>,
    ) -> Result<(), Broken> {
        let limited = self.call(key).and_then(|call| call.method).is_some_and(|method| method.limited);
        let end = if limited { worker.admission.refused(refusal).into() } else { End::refused(refusal) };
        self.end(key, end, worker)
    }

    fn end<S: Service>(&mut self, key: usize, end: End, worker: &mut Worker<S>) -> Result<(), Broken> {
        let Some(call) = self.call(key) else { return Ok(()) };
        if call.gone || call.phase == Phase::Ending {
            return Ok(());
        }
        call.phase = Phase::Ending;
        call.inbox.clear();
        // The reply may wait for the caller to take it, but not for ever.
        call.due_ns = call.deadline_ns.min(patience_ends(monotonic_ns(), worker));
        worker.sweep.note(call.due_ns);
        if call.outbox.begun || call.outbox.unsent() > 0 {
            call.outbox.end = Some(end);
            return self.start_sending(key);
        }
        let stream = call.stream;
        end.whole(|headers| self.session.respond_headers_only(stream, headers))
    }

    fn start_sending(&mut self, key: usize) -> Result<(), Broken> {
        let Some(call) = self.call(key) else { return Ok(()) };
        let stream = call.stream;
        if call.gone {
            return Ok(());
        }
        if !call.outbox.begun {
            call.outbox.begun = true;
            self.session.respond(stream, key, &RESPONSE_HEADERS)?;
        } else if std::mem::take(&mut call.outbox.idle) {
            self.session.resume(stream)?;
        }
        Ok(())
    }

    /// Send a reply of a call that waited. The caller flushes.
    pub fn send<S: Service>(
        &mut self,
        stream: i32,
        message: &[u8],
        worker: &mut Worker<S>,
    ) -> Result<(), Broken> {
        let Some((key, call)) = self.held_call(stream) else { return Ok(()) };
        call.outbox.put(message, &mut worker.pool);
        let behind = call.outbox.unsent() > MAX_UNREAD_REPLIES;
        if call.phase == Phase::Subscribed {
            if behind {
                self.let_go(key, worker);
                return self.session.reset(stream, Reset::EnhanceYourCalm);
            }
            return self.start_sending(key);
        }
        call.phase = Phase::Receiving;
        call.blocked = behind;
        self.start_sending(key)?;
        self.take_in(key, &[], Arrival::now(), worker)
    }

    /// End a call that waited. The caller flushes.
    pub fn finish<S: Service>(
        &mut self,
        stream: i32,
        end: Result<Option<Vec<u8>>, Refusal>,
        worker: &mut Worker<S>,
    ) -> Result<(), Broken> {
        let Some((key, call)) = self.held_call(stream) else { return Ok(()) };
        match end {
            Ok(message) => {
                if let Some(message) = message {
                    call.outbox.put(&message, &mut worker.pool);
                }
                self.end(key, End::Ok, worker)
            }
            Err(refusal) => self.refuse(key, &refusal, worker),
        }
    }

    fn held_call(&mut self, stream: i32) -> Option<(usize, &mut Call)> {
        let key = self.session.key(stream)?;
        let call = self.call(key).filter(|call| call.is_held_by_service() && !call.gone)?;
        Some((key, call))
    }

    /// End what has waited too long, and note what may have to be ended later.
    pub fn sweep<S: Service>(&mut self, now_ns: i64, worker: &mut Worker<S>) -> Result<(), Broken> {
        for key in self.session.streams().keys() {
            let Some(call) = self.call(key).filter(|call| !call.gone && call.method.is_some()) else {
                continue;
            };
            if now_ns < call.due_ns {
                worker.sweep.note(call.due_ns);
                continue;
            }
            call.due_ns = i64::MAX;
            let (stream, deadline_passed, phase) = (call.stream, now_ns >= call.deadline_ns, call.phase);
            let text = match phase {
                Phase::Ending => {
                    self.session.reset(stream, Reset::Cancel)?;
                    continue;
                }
                Phase::Waiting | Phase::Subscribed => "the deadline passed before the call was done",
                _ if deadline_passed => "the deadline had passed before the work began; nothing was done",
                _ => "the message did not arrive in time; nothing was done, send it faster",
            };
            self.let_go(key, worker);
            self.refuse(key, &Refusal::new(Status::DeadlineExceeded, text), worker)?;
        }
        Ok(())
    }

    /// The connection is over, and every call with it.
    pub fn close<S: Service>(&mut self, worker: &mut Worker<S>) {
        for key in self.session.streams().keys() {
            self.depart(key, worker);
        }
    }

    /// A call's stream is gone.
    fn depart<S: Service>(&mut self, key: usize, worker: &mut Worker<S>) {
        self.let_go(key, worker);
        if let Some(method) = self.call(key).and_then(|call| call.method.take()) {
            worker.admission.depart(method.limited);
        }
    }

    /// If the service holds the call, tell it that nobody waits for the reply.
    fn let_go<S: Service>(&mut self, key: usize, worker: &Worker<S>) {
        let connection = self.connection;
        let Some(call) = self.call(key).filter(|call| call.is_held_by_service()) else { return };
        call.phase = Phase::Receiving;
        if let Some(method) = call.method {
            let id = CallId { event_loop: worker.event_loop, connection, stream: call.stream };
            worker.gone(id, method);
        }
    }

    fn call(&mut self, key: usize) -> Option<&mut Call> {
        self.session.streams_mut().get_mut(key)
    }
}

fn patience_ends<S: Service>(since_ns: i64, worker: &Worker<S>) -> i64 {
    since_ns.saturating_add(worker.patience.message.as_nanos() as i64)
}
