//! Takes new connections and gives each to the event loop that has the fewest.

use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mio::{Registry, Token};

use crate::edge::limits::{ACCEPT_PAUSE, ACCEPTS_IN_A_ROW, MAX_CONNECTIONS};
use crate::edge::socket::{Listener, Socket};

/// How many connections each event loop has.
#[derive(Clone)]
pub struct Census(Arc<[AtomicUsize]>);

impl Census {
    /// No connections yet.
    pub fn new(event_loops: usize) -> Self {
        Self((0..event_loops).map(|_| AtomicUsize::new(0)).collect())
    }

    /// Count a new connection; which loop is to have it, or none if there are too many.
    fn arrive(&self) -> Option<usize> {
        let counts = || self.0.iter().map(|count| count.load(Ordering::Relaxed));
        if counts().sum::<usize>() >= MAX_CONNECTIONS {
            return None;
        }
        let (event_loop, _) = counts().enumerate().min_by_key(|&(_, count)| count)?;
        self.0.get(event_loop)?.fetch_add(1, Ordering::Relaxed);
        Some(event_loop)
    }

    /// A connection of this loop is closed.
    pub fn depart(&self, event_loop: usize) {
        if let Some(count) = self.0.get(event_loop) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The listening sockets, owned by one event loop.
pub struct Acceptor {
    listeners: Vec<Listener>,
    census: Census,
    /// Connections may wait: events tell only of new ones.
    pending: bool,
    /// No connection is taken before, on `clock::monotonic_ns`.
    paused_until_ns: i64,
    /// The last attempt failed, and that was said.
    failing: bool,
}

/// Listeners have tokens above those of connections, and below the waker's.
const FIRST_LISTENER: usize = usize::MAX / 2;

impl Acceptor {
    /// Take over sockets that listen already.
    pub fn new(listening: Vec<OwnedFd>, census: Census, registry: &Registry) -> io::Result<Self> {
        let mut listeners = Vec::with_capacity(listening.len());
        for (index, each) in listening.into_iter().enumerate() {
            let mut listener = Listener::new(each)?;
            listener.register(registry, Token(FIRST_LISTENER + index))?;
            listeners.push(listener);
        }
        Ok(Self { listeners, census, pending: true, paused_until_ns: i64::MIN, failing: false })
    }

    /// Whether an event with this token is for the acceptor. If so, it has connections to take.
    pub fn notice(&mut self, token: Token) -> bool {
        let ours = (FIRST_LISTENER..FIRST_LISTENER + self.listeners.len()).contains(&token.0);
        self.pending |= ours;
        ours
    }

    /// When connections may be taken, if some may wait.
    pub fn due_ns(&self) -> Option<i64> {
        self.pending.then_some(self.paused_until_ns)
    }

    /// Whether connections may be taken now.
    pub fn is_due(&self, now_ns: i64) -> bool {
        self.pending && now_ns >= self.paused_until_ns
    }

    /// Take some of the connections that wait, and say which loop is to have each.
    pub fn accept(&mut self, now_ns: i64, mut give: impl FnMut(usize, Socket)) {
        self.pending = false;
        for listener in &self.listeners {
            for turn in 0.. {
                if turn == ACCEPTS_IN_A_ROW {
                    self.pending = true;
                    break;
                }
                match listener.accept() {
                    // One too many is dropped, which closes it.
                    Ok(socket) => {
                        self.failing = false;
                        if let Some(event_loop) = self.census.arrive() {
                            give(event_loop, socket);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        if !std::mem::replace(&mut self.failing, true) {
                            // Where nobody reads stderr any more, there is nobody to tell.
                            let _ =
                                writeln!(io::stderr(), "connections cannot be accepted, and wait: {error}");
                        }
                        self.pending = true;
                        self.paused_until_ns = now_ns.saturating_add(ACCEPT_PAUSE.as_nanos() as i64);
                        break;
                    }
                }
            }
        }
    }
}

/// The connection was gone before it was taken; the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected};
    // macOS gives InvalidInput for an option set on a socket whose peer is gone.
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | InvalidInput | NotConnected)
}

#[cfg(test)]
mod tests {
    use super::Census;
    use crate::edge::limits::MAX_CONNECTIONS;

    #[test]
    fn the_loop_with_the_fewest_connections_gets_the_next_until_there_are_too_many() {
        let census = Census::new(2);
        assert_eq!([census.arrive(), census.arrive(), census.arrive()], [Some(0), Some(1), Some(0)]);
        census.depart(0);
        census.depart(0);
        assert_eq!(census.arrive(), Some(0));
        for _ in 2..MAX_CONNECTIONS {
            assert!(census.arrive().is_some());
        }
        assert_eq!(census.arrive(), None);
        census.depart(1);
        assert_eq!(census.arrive(), Some(1));
    }
}
