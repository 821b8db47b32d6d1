//! The calls of one connection, and what happened to them while it was read.

use std::ops::Range;

use crate::edge::call::Call;
use crate::edge::grpc::End;
use crate::edge::http2::{Header, Next, Streams};
use crate::edge::worker::buffers::BufferPool;

/// What happened, in order. Dealt with after the read, when the service may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The header fields of a call are complete.
    Began(usize),
    /// A part of what was read belongs to a call.
    Data(usize, Range<usize>),
    /// A call's caller has sent everything.
    Ended(usize),
    /// A call's stream is gone.
    Closed(usize),
    /// A call whose caller fell behind has caught up.
    Unblocked(usize),
}

/// The calls of one connection. As many as HTTP/2 lets the peer open; those that ended are used again.
#[derive(Default)]
pub struct Calls {
    calls: Vec<Call>,
    free: Vec<usize>,
    opened_last: usize,
    events: Vec<Event>,
}

impl Calls {
    /// The call with this key.
    pub fn get(&self, key: usize) -> Option<&Call> {
        self.calls.get(key)
    }

    /// The call with this key.
    pub fn get_mut(&mut self, key: usize) -> Option<&mut Call> {
        self.calls.get_mut(key)
    }

    /// The keys of the calls in progress, and of some that are not: their stream is gone.
    pub fn keys(&self) -> Range<usize> {
        if self.is_empty() { 0..0 } else { 0..self.calls.len() }
    }

    /// Whether no call is in progress.
    pub fn is_empty(&self) -> bool {
        self.free.len() == self.calls.len()
    }

    /// A call is over: have its key and its memory used again.
    pub fn release(&mut self, key: usize, pool: &mut BufferPool) {
        if let Some(call) = self.calls.get_mut(key) {
            call.close(pool);
        }
        self.free.push(key);
    }

    /// What happened since the last time. Give the memory back with `reuse`.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Take memory for events back, unless there are new ones.
    pub fn reuse(&mut self, mut events: Vec<Event>) {
        if self.events.is_empty() {
            events.clear();
            self.events = events;
        }
    }
}

impl Streams for Calls {
    fn opened(&mut self, stream: i32) -> usize {
        let key = self.free.pop().unwrap_or_else(|| {
            self.calls.push(Call::default());
            self.calls.len() - 1
        });
        if let Some(call) = self.calls.get_mut(key) {
            call.open(stream);
        }
        self.opened_last = key;
        key
    }

    fn header(&mut self, name: &[u8], value: &[u8]) {
        if let Some(call) = self.calls.get_mut(self.opened_last) {
            call.head.header(name, value);
        }
    }

    fn headers_ended(&mut self, key: usize) {
        self.events.push(Event::Began(key));
    }

    fn data(&mut self, key: usize, bytes: Range<usize>) {
        self.events.push(Event::Data(key, bytes));
    }

    fn ended(&mut self, key: usize) {
        self.events.push(Event::Ended(key));
    }

    /// Its key stays taken until the event is dealt with.
    fn closed(&mut self, key: usize) {
        if let Some(call) = self.calls.get_mut(key) {
            call.gone = true;
        }
        self.events.push(Event::Closed(key));
    }

    fn next_data(&mut self, key: usize, most: usize) -> Next {
        self.calls.get_mut(key).map_or(Next::Later, |call| call.outbox.next(most))
    }

    fn take_data(&mut self, key: usize, bytes: usize, to: &mut Vec<u8>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.outbox.take(bytes, to);
        if call.blocked && call.outbox.unsent() == 0 {
            call.blocked = false;
            self.events.push(Event::Unblocked(key));
        }
    }

    fn trailers(&self, key: usize, send: &mut dyn FnMut(&[Header<'_>])) {
        if let Some(call) = self.calls.get(key) {
            call.outbox.end.as_ref().unwrap_or(&End::Ok).trailers(send);
        }
    }
}
