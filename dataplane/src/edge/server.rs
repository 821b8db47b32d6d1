//! The server: its event loops, started and stopped together.

use std::io;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::edge::acceptor::{Acceptor, Census};
use crate::edge::admission::Admission;
use crate::edge::event_loop::EventLoop;
use crate::edge::limits::{Patience, SPARE_STREAMS};
use crate::edge::replies::{Command, Replies};
use crate::edge::worker::Worker;
use crate::refusal::Status;
use crate::service::Service;

pub use crate::edge::limits::Limits;

/// Answers gRPC calls with a service until it is stopped or dropped.
pub struct Server<S: Service> {
    admission: Arc<Admission>,
    replies: Replies,
    threads: Mutex<Vec<JoinHandle<()>>>,
    service: PhantomData<S>,
}

impl<S: Service> Server<S> {
    /// Answer calls that arrive at these listening sockets.
    ///
    /// `replies` must be new, and made for as many event loops as `limits` has.
    pub fn start(
        service: Arc<S>,
        replies: Replies,
        listeners: Vec<OwnedFd>,
        limits: &Limits,
    ) -> io::Result<Self> {
        Self::start_with(service, replies, listeners, limits, Patience::default())
    }

    pub(crate) fn start_with(
        service: Arc<S>,
        replies: Replies,
        listeners: Vec<OwnedFd>,
        limits: &Limits,
        patience: Patience,
    ) -> io::Result<Self> {
        let polls = replies.take_polls();
        if limits.event_loops == 0 || polls.len() != limits.event_loops {
            return Err(io::Error::other(
                "replies were made for another number of event loops, or used before",
            ));
        }
        let census = Census::new(limits.event_loops);
        let admission = Arc::new(Admission::new(limits.max_in_flight));
        let max_streams =
            u32::try_from(limits.max_in_flight.saturating_add(SPARE_STREAMS)).unwrap_or(u32::MAX);
        let server = Self { admission, replies, threads: Mutex::default(), service: PhantomData };
        let mut listeners = Some(listeners);
        for (index, poll) in polls.into_iter().enumerate() {
            let acceptor = match listeners.take() {
                Some(listeners) => Some(Acceptor::new(listeners, census.clone(), poll.registry())?),
                None => None,
            };
            let number = u16::try_from(index).map_err(io::Error::other)?;
            let (replies, census) = (server.replies.clone(), census.clone());
            let (service, admission) = (Arc::clone(&service), Arc::clone(&server.admission));
            let max_message_bytes = limits.max_message_bytes;
            let run = move || {
                let worker = Worker::new(service, admission, number, max_message_bytes, patience);
                EventLoop { poll, worker, replies, census, acceptor, max_streams }.run();
            };
            server.threads().push(Builder::new().name(format!("event-loop-{index}")).spawn(run)?);
        }
        Ok(server)
    }

    /// Limited calls in progress.
    pub fn in_flight(&self) -> usize {
        self.admission.in_flight()
    }

    /// Limited calls that ended with an error that we gave, by code.
    pub fn errors(&self) -> [u64; Status::COUNT] {
        self.admission.errors()
    }

    /// Refuse limited calls from now on, on new connections too.
    pub fn leave(&self) {
        self.admission.leave();
    }

    /// Take no more connections and calls, give those in progress the grace, then close everything. Blocks.
    pub fn stop(&self, grace: Duration) {
        self.admission.leave();
        let now = Instant::now();
        let ends = now.checked_add(grace).unwrap_or(now);
        let threads = std::mem::take(&mut *self.threads());
        for (index, _) in threads.iter().enumerate() {
            self.replies.post(index, Command::Stop(ends));
        }
        for thread in threads {
            // A loop that panicked has said so.
            let _ = thread.join();
        }
        // A connection that was on its way to a loop that has ended is closed, too.
        for mailbox in self.replies.mailboxes() {
            while mailbox.take().is_some() {}
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Service> Drop for Server<S> {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "held_call_tests.rs"]
mod held_call_tests;

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod hostile_tests;
