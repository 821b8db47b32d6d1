//! One connection: its socket, and what is said on it.

use std::io::{self, ErrorKind};

use mio::{Interest, Registry, Token};

use crate::clock::monotonic_ns;
use crate::edge::exchange::Exchange;
use crate::edge::http2::Broken;
use crate::edge::limits::{LINGER, WRITE_BYTES};
use crate::edge::socket::Socket;
use crate::edge::worker::Worker;
use crate::refusal::Refusal;
use crate::service::Service;

/// The connection is over.
#[derive(Debug, PartialEq, Eq)]
pub struct Over;

impl From<Broken> for Over {
    fn from(_: Broken) -> Self {
        Self
    }
}

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// Whether a connection should have another turn before its next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There may be more to read.
    Again,
    /// Its next event says when.
    Done,
}

/// Buffers that a connection needs only while it has its turn.
pub struct Buffers {
    /// What is read.
    pub input: Box<[u8]>,
    /// What is written.
    pub output: Vec<u8>,
}

/// One connection.
pub struct Connection {
    /// Listed for a turn.
    pub has_turn: bool,
    /// Listed for having something to write.
    pub is_touched: bool,
    id: u64,
    token: Token,
    socket: Socket,
    exchange: Exchange,
    /// Was to be written and did not fit into the socket; nothing is read until it does. At most `WRITE_BYTES` and
    /// one frame.
    unsent: Vec<u8>,
    /// The peer has closed its side: read on to the end, there will be no other event.
    peer_closed: bool,
    /// Everything was said; what still arrives is thrown away.
    finished: bool,
    /// When the connection is closed unless something happens; `i64::MAX` for never.
    due_ns: i64,
}

impl Connection {
    /// Prepare to greet the peer; the first turn does it.
    pub fn open<S: Service>(
        id: u64,
        token: Token,
        socket: Socket,
        max_streams: u32,
        worker: &mut Worker<S>,
    ) -> Result<Self, Over> {
        let exchange = Exchange::new(id, max_streams)?;
        let due_ns = monotonic_ns().saturating_add(worker.patience.handshake.as_nanos() as i64);
        worker.sweep.note(due_ns);
        Ok(Self {
            has_turn: false,
            is_touched: false,
            id,
            token,
            socket,
            exchange,
            unsent: Vec::new(),
            peer_closed: false,
            finished: false,
            due_ns,
        })
    }

    /// Names it among all connections of its loop, for ever.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Be told of events.
    pub fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.register(registry, self.token, Interest::READABLE)
    }

    /// There will be no other event than the end.
    pub const fn note_peer_closed(&mut self) {
        self.peer_closed = true;
    }

    /// Read once, answer everything that is complete, write once.
    pub fn take_turn<S: Service>(
        &mut self,
        buffers: &mut Buffers,
        registry: &Registry,
        worker: &mut Worker<S>,
    ) -> Result<Turn, Over> {
        if !self.unsent.is_empty() {
            self.flush(&mut buffers.output, registry, worker)?;
            if !self.unsent.is_empty() {
                return Ok(Turn::Done);
            }
        }
        let length = match self.socket.read(&mut buffers.input) {
            Ok(0) => return Err(Over),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Turn::Done),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Turn::Again),
            Err(error) => return Err(error.into()),
        };
        if !self.finished {
            self.exchange.receive(buffers.input.get(..length).unwrap_or_default(), worker)?;
            if self.due_ns != i64::MAX && self.exchange.session().is_settled() {
                self.due_ns = i64::MAX;
            }
            self.flush(&mut buffers.output, registry, worker)?;
        }
        // A read that does not fill the buffer has emptied the socket, except of the end.
        let more = length == buffers.input.len() || self.peer_closed;
        Ok(if more { Turn::Again } else { Turn::Done })
    }

    /// Write what there is to write, as far as the socket takes it.
    pub fn flush<S: Service>(
        &mut self,
        output: &mut Vec<u8>,
        registry: &Registry,
        worker: &mut Worker<S>,
    ) -> Result<(), Over> {
        if !self.unsent.is_empty() {
            let written = write(&mut self.socket, &self.unsent)?;
            self.unsent.drain(..written);
            if written > 0 {
                self.close_at(worker.patience.message, worker);
            }
            if !self.unsent.is_empty() {
                return Ok(());
            }
            self.due_ns = i64::MAX;
            self.unsent.shrink_to_fit();
            self.socket.reregister(registry, self.token, Interest::READABLE)?;
        }
        loop {
            output.clear();
            self.exchange.transmit(output, WRITE_BYTES, worker)?;
            let written = write(&mut self.socket, output)?;
            if written < output.len() {
                self.unsent.extend_from_slice(output.get(written..).unwrap_or_default());
                self.close_at(worker.patience.message, worker);
                let both = Interest::READABLE | Interest::WRITABLE;
                return Ok(self.socket.reregister(registry, self.token, both)?);
            }
            if !self.exchange.session().wants_write() {
                break;
            }
        }
        if !self.finished && self.exchange.session().is_done() {
            self.finished = true;
            self.socket.finish_writing();
            self.close_at(LINGER, worker);
        }
        Ok(())
    }

    /// Close the connection then, unless something happens before.
    fn close_at<S: Service>(&mut self, patience: std::time::Duration, worker: &mut Worker<S>) {
        self.due_ns = monotonic_ns().saturating_add(patience.as_nanos() as i64);
        worker.sweep.note(self.due_ns);
    }

    /// Send a reply of a call that waited. The caller flushes.
    pub fn send<S: Service>(
        &mut self,
        stream: i32,
        message: &[u8],
        worker: &mut Worker<S>,
    ) -> Result<(), Over> {
        Ok(self.exchange.send(stream, message, worker)?)
    }

    /// End a call that waited. The caller flushes.
    pub fn finish<S: Service>(
        &mut self,
        stream: i32,
        end: Result<Option<Vec<u8>>, Refusal>,
        worker: &mut Worker<S>,
    ) -> Result<(), Over> {
        Ok(self.exchange.finish(stream, end, worker)?)
    }

    /// End what has waited too long, and note what may have to be ended later. The caller flushes.
    pub fn sweep<S: Service>(&mut self, now_ns: i64, worker: &mut Worker<S>) -> Result<(), Over> {
        if now_ns >= self.due_ns {
            return Err(Over);
        }
        worker.sweep.note(self.due_ns);
        Ok(self.exchange.sweep(now_ns, worker)?)
    }

    /// Tell the peer that no more calls will be taken soon. The caller flushes.
    pub fn announce_shutdown(&mut self) -> Result<(), Over> {
        Ok(self.exchange.session_mut().announce_shutdown()?)
    }

    /// Take no more calls. The caller flushes; the connection ends when its calls have.
    pub fn shut_down(&mut self) -> Result<(), Over> {
        Ok(self.exchange.session_mut().shut_down()?)
    }

    /// The connection is over: let its calls go.
    pub fn close<S: Service>(mut self, worker: &mut Worker<S>) {
        self.exchange.close(worker);
    }
}

/// Write as much as the socket takes.
fn write(socket: &mut Socket, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    loop {
        match socket.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
