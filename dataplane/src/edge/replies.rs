//! What is sent to an event loop from elsewhere: replies of calls that waited, and new connections.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crossbeam_queue::SegQueue;
use mio::{Poll, Token, Waker};

use crate::edge::socket::Socket;
use crate::refusal::Refusal;
use crate::service::CallId;

/// Answers calls that wait, from any thread. Made before the server, so that the service can have it.
#[derive(Clone)]
pub struct Replies {
    mailboxes: Arc<[Mailbox]>,
    /// Taken by the event loops when they start.
    polls: Arc<Mutex<Vec<Poll>>>,
}

/// What an event loop is asked to do.
pub enum Command {
    /// Send a reply; the call stays open.
    Send(CallId, Vec<u8>),
    /// Send the last reply, if there is one, and the status.
    Finish(CallId, Result<Option<Vec<u8>>, Refusal>),
    /// Serve this connection.
    Adopt(Socket),
    /// Take no more calls, finish those in progress, and end at this time at the latest.
    Stop(Instant),
}

/// What one event loop is asked to do. No longer than calls and connections are many, for each brings one command
/// at a time (a subscription brings more, and is ended when it does not keep up).
pub struct Mailbox {
    commands: SegQueue<Command>,
    waker: Waker,
    /// Whether the loop may be waiting for events, so that it takes a system call to reach it.
    asleep: AtomicBool,
}

/// Names the waker among an event loop's events.
pub const WAKER: Token = Token(usize::MAX);

impl Replies {
    /// For a server with this many event loops.
    pub fn new(event_loops: usize) -> io::Result<Self> {
        let mut polls = Vec::with_capacity(event_loops);
        let mut mailboxes = Vec::with_capacity(event_loops);
        for _ in 0..event_loops {
            let poll = Poll::new()?;
            let waker = Waker::new(poll.registry(), WAKER)?;
            mailboxes.push(Mailbox { commands: SegQueue::new(), waker, asleep: AtomicBool::new(false) });
            polls.push(poll);
        }
        Ok(Self { mailboxes: mailboxes.into(), polls: Arc::new(Mutex::new(polls)) })
    }

    /// Send a reply of a streaming or subscribed call; the call stays open. Nothing happens if it is gone.
    pub fn send(&self, call: CallId, message: Vec<u8>) {
        self.post(usize::from(call.event_loop), Command::Send(call, message));
    }

    /// End a call: with a last reply, if there is one, or with an error. Nothing happens if it is gone.
    pub fn finish(&self, call: CallId, end: Result<Option<Vec<u8>>, Refusal>) {
        self.post(usize::from(call.event_loop), Command::Finish(call, end));
    }

    /// Ask an event loop to do something.
    pub fn post(&self, event_loop: usize, command: Command) {
        if let Some(mailbox) = self.mailboxes.get(event_loop) {
            mailbox.post(command);
        }
    }

    /// The mailboxes, one for each event loop.
    pub fn mailboxes(&self) -> &[Mailbox] {
        &self.mailboxes
    }

    /// What the event loops wait with, in their order; nothing when it was taken before.
    pub fn take_polls(&self) -> Vec<Poll> {
        std::mem::take(&mut *self.polls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Mailbox {
    fn post(&self, command: Command) {
        self.commands.push(command);
        // Pairs with the fence in `fall_asleep`: either the loop sees the command, or we see it asleep.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            // It fails only if the kernel has no memory for 8 bytes; the loop then finds the command at its
            // next event.
            let _ = self.waker.wake();
        }
    }

    /// Say that the loop waits from now on; false when something came meanwhile, and it must not.
    pub fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.commands.is_empty()
    }

    /// Say that the loop is at work: what is posted now is found without a wake-up.
    pub fn wake_up(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// The oldest command.
    pub fn take(&self) -> Option<Command> {
        self.commands.pop()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use std::time::Duration;

    use mio::Events;

    use super::{Command, Replies, WAKER};
    use crate::service::CallId;

    #[test]
    fn only_a_loop_that_sleeps_is_woken() {
        let replies = Replies::new(1).unwrap();
        let mut poll = replies.take_polls().remove(0);
        let mut events = Events::with_capacity(4);
        let mailbox = &replies.mailboxes()[0];
        let call = CallId { event_loop: 0, connection: 1, stream: 1 };

        replies.send(call, vec![1]);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty(), "a loop at work finds it without an event");
        assert!(!mailbox.fall_asleep(), "and must not sleep before it did");
        assert!(matches!(mailbox.take(), Some(Command::Send(..))));

        assert!(mailbox.fall_asleep());
        replies.finish(call, Ok(None));
        poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
        assert!(events.iter().any(|event| event.token() == WAKER));
        replies.send(CallId { event_loop: 7, ..call }, vec![]);
    }
}
