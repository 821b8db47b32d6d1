//! The parts of the request path, put together.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::edge::replies::Replies;
use crate::edge::server::{Limits, Server};
use crate::methods::{Methods, Settings};
use crate::model::deployment::Serving;
use crate::refusal::Status;
use crate::rows::ledger::Ledger;
use crate::rows::ring::Ring;

/// The native request path: listens, answers, and keeps what it answered for whoever drains it.
pub struct Engine {
    methods: Arc<Methods>,
    replies: Replies,
    limits: Limits,
    server: OnceLock<Server<Methods>>,
}

impl Engine {
    /// Not listening yet.
    ///
    /// The error says which file cannot be used.
    pub fn new(ledger: &Path, ring_rows: usize, limits: Limits, settings: Settings) -> Result<Self, String> {
        let ledger = Ledger::open(ledger).map_err(|error| format!("{}: {error}", ledger.display()))?;
        let replies = Replies::new(limits.event_loops).map_err(|error| error.to_string())?;
        let methods = Arc::new(Methods::new(settings, Ring::new(ring_rows, ledger), replies.clone()));
        Ok(Self { methods, replies, limits, server: OnceLock::new() })
    }

    /// Answer calls that arrive at these listening sockets.
    pub fn start(&self, listeners: Vec<OwnedFd>) -> io::Result<()> {
        self.methods.start(self.limits.event_loops)?; // dropping the engine ends them
        let server = Server::start(Arc::clone(&self.methods), self.replies.clone(), listeners, &self.limits)?;
        self.server.set(server).map_err(|_| io::Error::other("it listens already"))
    }

    /// Have these models answer from now on, and let health say so.
    pub fn deploy(&self, serving: Option<Serving>) {
        let serves = serving.is_some();
        self.methods.deployment.swap(serving);
        self.methods.health.say(serves);
    }

    /// The methods, with the ring, the outcome desk and the histograms.
    pub fn methods(&self) -> &Methods {
        &self.methods
    }

    /// Calls in progress.
    pub fn in_flight(&self) -> usize {
        self.server.get().map_or(0, Server::in_flight)
    }

    /// Calls that ended with an error, by status code.
    pub fn errors(&self) -> [u64; Status::COUNT] {
        self.server.get().map_or([0; Status::COUNT], Server::errors)
    }

    /// Refuse new calls, say NOT_SERVING for good, end the watches.
    pub fn leave(&self) {
        self.methods.health.leave();
        if let Some(server) = self.server.get() {
            server.leave();
        }
    }

    /// Give calls in progress the grace, then close every connection and end every thread.
    pub fn stop(&self, grace: Duration) {
        if let Some(server) = self.server.get() {
            server.stop(grace);
            self.methods.stop();
        }
    }
}

/// The threads for slow runs hold the methods, which hold the queue that they wait for.
impl Drop for Engine {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
        self.methods.stop();
    }
}
