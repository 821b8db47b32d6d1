//! One thread that reads, answers and writes, for connections of its own.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use slab::Slab;

use crate::clock::monotonic_ns;
use crate::edge::acceptor::{Acceptor, Census};
use crate::edge::connection::{Buffers, Connection, Over, Turn};
use crate::edge::limits::{MAX_CONNECTIONS, NOTICE, READ_BYTES};
use crate::edge::replies::{Command, Mailbox, Replies};
use crate::edge::socket::Socket;
use crate::edge::worker::Worker;
use crate::service::{CallId, Service};

/// Events that one look at the poll brings; the others come with the next.
const EVENTS: usize = 256;
/// Commands that are obeyed before connections have their turn again.
const COMMANDS_IN_A_ROW: usize = 1024;
/// Bursts that follow from each other before connections have their turn again.
const BURSTS_IN_A_ROW: usize = 64;
/// A connection's id is a serial number above its place in the slab.
const PLACE_BITS: u32 = 16;
const _: () = assert!(MAX_CONNECTIONS <= 1 << PLACE_BITS);

/// What an event loop is made of. It is put together on its own thread.
pub struct EventLoop<S: Service> {
    /// What it waits with.
    pub poll: Poll,
    /// What it answers with.
    pub worker: Worker<S>,
    /// The mailboxes of all loops, its own among them.
    pub replies: Replies,
    /// How many connections each loop has.
    pub census: Census,
    /// The first loop's.
    pub acceptor: Option<Acceptor>,
    /// Streams that a peer may have open on one connection.
    pub max_streams: u32,
}

/// Refuse, announce, finish, close: each step follows when the one before is done or out of time.
struct Stopping {
    /// Close everything then.
    ends: Instant,
    /// Take no more calls from then on; none once that was said.
    shut_down_at: Option<Instant>,
}

struct Running<S: Service> {
    parts: EventLoop<S>,
    index: usize,
    connections: Slab<Connection>,
    opened: u64,
    buffers: Buffers,
    /// Places of connections that have their turn, this time and the next.
    ready: Vec<usize>,
    again: Vec<usize>,
    /// Places of connections that have something to write.
    touched: Vec<usize>,
    /// On `clock::monotonic_ns`, at the end of the last turn.
    now_ns: i64,
    stopping: Option<Stopping>,
}

impl<S: Service> EventLoop<S> {
    /// Run until told to stop.
    pub fn run(self) {
        let buffers = Buffers { input: vec![0; READ_BYTES].into(), output: Vec::new() };
        let index = usize::from(self.worker.event_loop);
        let mut running = Running {
            parts: self,
            index,
            connections: Slab::new(),
            opened: 0,
            buffers,
            ready: Vec::new(),
            again: Vec::new(),
            touched: Vec::new(),
            now_ns: monotonic_ns(),
            stopping: None,
        };
        let mut events = Events::with_capacity(EVENTS);
        while running.turn(&mut events) {}
        running.close_all();
    }
}

impl<S: Service> Running<S> {
    /// Wait, then do what there is to do; false when the loop is to end.
    fn turn(&mut self, events: &mut Events) -> bool {
        if !self.wait(events) {
            return false;
        }
        self.note(events);
        self.serve();
        // The replies of a burst let in the next messages of streaming calls, which are a burst too.
        for _ in 0..BURSTS_IN_A_ROW {
            self.parts.worker.end_burst();
            self.obey();
            if !self.parts.worker.burst_is_open() {
                break;
            }
        }
        self.flush_touched();
        self.now_ns = monotonic_ns();
        if self.parts.worker.sweep.begin(self.now_ns) {
            self.sweep(self.now_ns);
        }
        self.accept(self.now_ns);
        self.go_on_stopping()
    }

    fn mailbox(&self) -> Option<&Mailbox> {
        self.parts.replies.mailboxes().get(self.index)
    }

    fn wait(&mut self, events: &mut Events) -> bool {
        let at_rest = self.again.is_empty() && !self.parts.worker.burst_is_open();
        let asleep = at_rest && self.mailbox().is_some_and(Mailbox::fall_asleep);
        let timeout = if asleep { self.timeout() } else { Some(Duration::ZERO) };
        let polled = self.parts.poll.poll(events, timeout);
        if let Some(mailbox) = self.mailbox() {
            mailbox.wake_up();
        }
        match polled {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                events.clear();
                true
            }
            Err(error) => {
                // Only a closed or foreign descriptor can do this; without events the loop is of no use.
                eprintln!("event loop {} cannot wait for events: {error}", self.index);
                false
            }
        }
    }

    /// Until the earliest of what is due; for ever if nothing is.
    fn timeout(&self) -> Option<Duration> {
        let now_ns = self.now_ns;
        let until = |due_ns: i64| Duration::from_nanos(due_ns.saturating_sub(now_ns).max(0) as u64);
        let accept = self.parts.acceptor.as_ref().and_then(Acceptor::due_ns).map(until);
        let stop = self.stopping.as_ref().map(|stopping| {
            let due = stopping.shut_down_at.map_or(stopping.ends, |at| at.min(stopping.ends));
            due.saturating_duration_since(Instant::now())
        });
        [self.parts.worker.sweep.timeout(now_ns), accept, stop].into_iter().flatten().min()
    }

    /// Which connections have their turn.
    fn note(&mut self, events: &Events) {
        std::mem::swap(&mut self.ready, &mut self.again);
        for event in events {
            let Token(place) = event.token();
            if self.parts.acceptor.as_mut().is_some_and(|acceptor| acceptor.notice(event.token())) {
                continue;
            }
            // The waker has no place: what it is about lies in the mailbox.
            let Some(connection) = self.connections.get_mut(place) else { continue };
            if event.is_read_closed() || event.is_error() {
                connection.note_peer_closed();
            }
            if !connection.has_turn {
                connection.has_turn = true;
                self.ready.push(place);
            }
        }
    }

    /// Give each of them its turn.
    fn serve(&mut self) {
        for index in 0..self.ready.len() {
            let Some(&place) = self.ready.get(index) else { break };
            let Some(connection) = self.connections.get_mut(place) else { continue };
            let EventLoop { poll, worker, .. } = &mut self.parts;
            match connection.take_turn(&mut self.buffers, poll.registry(), worker) {
                Ok(Turn::Again) => self.again.push(place),
                Ok(Turn::Done) => connection.has_turn = false,
                Err(Over) => self.close(place),
            }
        }
        self.ready.clear();
    }

    /// Do what the mailbox asks.
    fn obey(&mut self) {
        for _ in 0..COMMANDS_IN_A_ROW {
            let Some(command) = self.mailbox().and_then(Mailbox::take) else { return };
            match command {
                Command::Send(call, message) => {
                    self.with_connection(call, |connection, worker| {
                        connection.send(call.stream, &message, worker)
                    });
                }
                Command::Finish(call, end) => {
                    self.with_connection(call, |connection, worker| {
                        connection.finish(call.stream, end, worker)
                    });
                }
                Command::Adopt(socket) => self.adopt(socket),
                Command::Stop(ends) => self.begin_stopping(ends),
            }
        }
    }

    fn with_connection(
        &mut self,
        call: CallId,
        act: impl FnOnce(&mut Connection, &mut Worker<S>) -> Result<(), Over>,
    ) {
        let place = (call.connection & ((1 << PLACE_BITS) - 1)) as usize;
        let connection =
            self.connections.get_mut(place).filter(|connection| connection.id() == call.connection);
        let Some(connection) = connection else { return };
        match act(connection, &mut self.parts.worker) {
            Ok(()) if connection.is_touched => {}
            Ok(()) => {
                connection.is_touched = true;
                self.touched.push(place);
            }
            Err(Over) => self.close(place),
        }
    }

    fn flush_touched(&mut self) {
        while let Some(place) = self.touched.pop() {
            let Some(connection) = self.connections.get_mut(place) else { continue };
            connection.is_touched = false;
            let EventLoop { poll, worker, .. } = &mut self.parts;
            if connection.flush(&mut self.buffers.output, poll.registry(), worker) == Err(Over) {
                self.close(place);
            }
        }
    }

    fn sweep(&mut self, now_ns: i64) {
        self.with_each(|connection, worker| connection.sweep(now_ns, worker));
    }

    /// Do something to each connection, and write what comes of it.
    fn with_each(&mut self, mut act: impl FnMut(&mut Connection, &mut Worker<S>) -> Result<(), Over>) {
        let mut over = Vec::new();
        for (place, connection) in &mut self.connections {
            match act(connection, &mut self.parts.worker) {
                Ok(()) => self.touched.push(place), // what is listed twice is written once
                Err(Over) => over.push(place),
            }
        }
        for place in over {
            self.close(place);
        }
        self.flush_touched();
    }

    fn accept(&mut self, now_ns: i64) {
        let Some(mut acceptor) = self.parts.acceptor.take_if(|acceptor| acceptor.is_due(now_ns)) else {
            return;
        };
        let replies = self.parts.replies.clone();
        acceptor.accept(now_ns, |event_loop, socket| {
            if event_loop == self.index {
                self.adopt(socket);
            } else {
                replies.post(event_loop, Command::Adopt(socket));
            }
        });
        self.parts.acceptor = Some(acceptor);
    }

    fn adopt(&mut self, socket: Socket) {
        let place = self.connections.vacant_key();
        self.opened += 1;
        let id = self.opened << PLACE_BITS | place as u64;
        let EventLoop { poll, worker, max_streams, .. } = &mut self.parts;
        let opened =
            Connection::open(id, Token(place), socket, *max_streams, worker).and_then(|mut connection| {
                connection.register(poll.registry())?;
                if self.stopping.is_some() {
                    connection.announce_shutdown()?;
                }
                Ok(connection)
            });
        match opened {
            Ok(mut connection) => {
                connection.has_turn = true;
                self.connections.insert(connection);
                self.again.push(place);
            }
            Err(Over) => self.parts.census.depart(self.index),
        }
    }

    fn close(&mut self, place: usize) {
        if let Some(connection) = self.connections.try_remove(place) {
            connection.close(&mut self.parts.worker);
            self.parts.census.depart(self.index);
        }
        // Where the place is still listed for a turn, its next owner has one turn more.
    }

    fn close_all(&mut self) {
        for connection in self.connections.drain() {
            connection.close(&mut self.parts.worker);
            self.parts.census.depart(self.index);
        }
    }

    fn begin_stopping(&mut self, ends: Instant) {
        self.parts.acceptor = None;
        self.stopping = Some(Stopping { ends, shut_down_at: Some(Instant::now() + NOTICE) });
        self.with_each(|connection, _| connection.announce_shutdown());
    }

    /// False when there is nothing left to stop.
    fn go_on_stopping(&mut self) -> bool {
        let Some(stopping) = &mut self.stopping else { return true };
        let now = Instant::now();
        if now >= stopping.ends {
            return false;
        }
        if stopping.shut_down_at.is_some_and(|at| now >= at) {
            stopping.shut_down_at = None;
            self.with_each(|connection, _| connection.shut_down());
        }
        !self.connections.is_empty() || self.stopping.as_ref().is_some_and(|left| left.shut_down_at.is_some())
    }
}
