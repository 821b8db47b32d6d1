//! `RecordOutcome` calls that wait until the recorder has stored what they brought.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::edge::replies::Replies;
use crate::messages::outcome::{self, Outcome};
use crate::refusal::{Refusal, Status};
use crate::rows::ring::{PendingOutcomes, Ring};
use crate::service::CallId;

/// Gives each waiting call a ticket, and answers it when its ticket is settled.
pub struct OutcomeDesk {
    replies: Replies,
    most: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    last_ticket: u64,
    calls: HashMap<u64, CallId>,
    /// Tickets that are not settled, also of calls that are gone: what they brought is still held.
    unsettled: usize,
}

impl OutcomeDesk {
    /// Nobody waits. `most` calls' outcomes are held at a time.
    pub fn new(replies: Replies, most: usize) -> Self {
        Self { replies, most, waiting: Mutex::default() }
    }

    /// Hand a call's outcomes to the recorder; `settle` answers the call.
    ///
    /// Refused when too many calls' outcomes wait for the log: their callers may have given up and come again.
    pub fn record(&self, call: CallId, outcomes: Vec<Outcome>, ring: &Ring) -> Result<(), Refusal> {
        let mut waiting = self.waiting();
        if waiting.unsettled >= self.most {
            let text = format!("{} calls wait for the log, the limit; retry with back-off", self.most);
            return Err(Refusal::new(Status::ResourceExhausted, text));
        }
        waiting.unsettled += 1;
        waiting.last_ticket += 1;
        let ticket = waiting.last_ticket;
        waiting.calls.insert(ticket, call);
        drop(waiting);
        ring.push_outcomes(PendingOutcomes { ticket, outcomes });
        Ok(())
    }

    /// Tell the call with this ticket, if it still waits, how its outcomes were taken.
    pub fn settle(&self, ticket: u64, stored: u32, duplicates: u32, conflicts: &[String]) {
        if let Some(call) = self.settled(ticket) {
            let mut reply = Vec::new();
            outcome::encode_receipt(stored, duplicates, conflicts, &mut reply);
            self.replies.finish(call, Ok(Some(reply)));
        }
    }

    /// End the call with this ticket, if it still waits.
    pub fn refuse(&self, ticket: u64, refusal: Refusal) {
        if let Some(call) = self.settled(ticket) {
            self.replies.finish(call, Err(refusal));
        }
    }

    fn settled(&self, ticket: u64) -> Option<CallId> {
        let mut waiting = self.waiting();
        waiting.unsettled = waiting.unsettled.saturating_sub(1);
        waiting.calls.remove(&ticket)
    }

    /// End every call that waits.
    pub fn refuse_all(&self, message: &str) {
        for (_, call) in self.waiting().calls.drain() {
            self.replies.finish(call, Err(Refusal::new(Status::Unavailable, message)));
        }
    }

    /// Forget a call whose caller has gone; its outcomes are stored all the same, and nobody is told.
    pub fn gone(&self, call: CallId) {
        self.waiting().calls.retain(|_, waits| *waits != call);
    }

    /// Shared with the recorder, for as long as it takes to find a ticket; no prediction passes here.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
