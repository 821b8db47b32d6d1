//! The bounded ring between the request path and the recorder. `sidecar/engine/ring.py` is its twin.
//!
//! Many threads push and one drains. No push waits for the drain; other pushes it meets in single atomic
//! operations only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crossbeam_queue::{ArrayQueue, SegQueue};

use crate::messages::outcome::Outcome;
use crate::rows::answered::Answered;
use crate::rows::blanks::Blanks;
use crate::rows::columns::Columns;
use crate::rows::ledger::Ledger;
use crate::rows::wake_up::WakeUp;

/// One `RecordOutcome` call that waits to be settled.
#[derive(Debug, PartialEq)]
pub struct PendingOutcomes {
    /// Names the call.
    pub ticket: u64,
    /// What it brought.
    pub outcomes: Vec<Outcome>,
}

/// What is handed to the recorder.
#[derive(Debug, Default)]
pub struct Drained {
    /// Answered rows: a batch for each model that answered, the oldest first in each.
    pub served: Vec<Columns>,
    /// Everything that waited.
    pub outcomes: Vec<PendingOutcomes>,
}

/// Holds at most `capacity` answered rows; counts what it is offered and what it drops in the ledger.
///
/// Rows of one inference call stay together: they are all kept or all dropped, and drained at once.
pub struct Ring {
    capacity: u64,
    half: u64,
    ledger: Ledger,
    /// What the ledger said before this ring.
    before: (u64, u64),
    /// Rows in `calls` and the drain's hands, and those that a push has room for and is about to bring.
    queued: AtomicU64,
    calls: ArrayQueue<Box<Answered>>,
    blanks: Blanks,
    /// Bounded by who pushes: `methods::outcome_desk` holds so many calls' outcomes at most.
    outcomes: SegQueue<PendingOutcomes>,
    due: WakeUp,
    drain: Mutex<Drain>,
}

/// What only the draining thread uses.
#[derive(Default)]
struct Drain {
    /// Inference calls drained.
    groups: i64,
    /// Taken from the queue, and too long for the drain that took it.
    next: Option<Box<Answered>>,
}

impl Ring {
    /// An empty ring.
    pub fn new(capacity_rows: usize, ledger: Ledger) -> Self {
        let capacity = capacity_rows.max(1);
        Self {
            capacity: capacity as u64,
            half: (capacity as u64 / 2).max(1),
            before: (ledger.offered(), ledger.dropped()),
            ledger,
            queued: AtomicU64::new(0),
            // Room for `capacity` calls, as each has a row at least. A push never finds this queue full, nor
            // waits for a slot that the drain is still emptying: room for a row is given back only after its
            // call was taken out, and calls leave in the order in which they came.
            calls: ArrayQueue::new(capacity),
            blanks: Blanks::new(capacity),
            outcomes: SegQueue::new(),
            due: WakeUp::default(),
            drain: Mutex::default(),
        }
    }

    /// A cleared one, used before if there is one.
    pub fn blank(&self) -> Box<Answered> {
        self.blanks.take()
    }

    /// Not answered after all.
    pub fn give_back(&self, answered: Box<Answered>) {
        self.blanks.put(answered);
    }

    /// Keep an answered call, or drop and count it when its rows do not fit. Never blocks.
    pub fn push(&self, answered: Box<Answered>) {
        let rows = answered.blocks.rows as u64;
        // Counted first: after a crash, a row that was offered and never written counts as lost.
        self.ledger.offer(rows);
        if let Err(answered) = self.keep(answered, rows) {
            self.ledger.drop_rows(rows);
            self.blanks.put(answered);
        }
    }

    fn keep(&self, answered: Box<Answered>, rows: u64) -> Result<(), Box<Answered>> {
        if !has_columns(&answered) {
            return Err(answered);
        }
        let with_these = |queued: u64| Some(queued + rows).filter(|&queued| queued <= self.capacity);
        let Ok(before) = self.queued.fetch_update(Ordering::AcqRel, Ordering::Relaxed, with_these) else {
            return Err(answered);
        };
        // Not full, see `new`; if it were, the rows would still be counted right.
        self.calls.push(answered).inspect_err(|_| {
            self.queued.fetch_sub(rows, Ordering::AcqRel);
        })?;
        if before + rows >= self.half {
            self.due.set();
        }
        Ok(())
    }

    /// Hand over outcomes and wake the drain, which takes them all. Never dropped: their call waits.
    pub fn push_outcomes(&self, pending: PendingOutcomes) {
        self.outcomes.push(pending);
        self.due.set();
    }

    /// Take what waits, oldest first; called by one thread.
    ///
    /// Returns after `wait` with what there is (perhaps nothing), and earlier as soon as outcomes wait or the
    /// ring is half full; at once where the drain before left `max_rows` behind. At most `max_rows`, except that
    /// a single call with more rows is taken whole.
    pub fn drain(&self, max_rows: usize, wait: Duration) -> Drained {
        self.due.wait(wait);
        let mut drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        let outcomes = (0..self.outcomes.len()).map_while(|_| self.outcomes.pop()).collect();
        let mut calls = self.take(&mut drain, max_rows);
        let served = batches(&mut calls, &mut drain.groups);
        self.blanks.put_all(calls);
        if self.queued() >= self.half.min(max_rows as u64) {
            self.due.set();
        }
        Drained { served, outcomes }
    }

    /// Rows that were pushed, kept or not.
    pub fn offered(&self) -> u64 {
        self.ledger.offered() - self.before.0
    }

    /// Rows that did not fit.
    pub fn dropped(&self) -> u64 {
        self.ledger.dropped() - self.before.1
    }

    /// Rows that wait now.
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }
    /// Whole calls, up to `max_rows`, and one at least if there is one.
    #[expect(clippy::vec_box, reason = "they go back into the stock of blanks as they are")]
    fn take(&self, drain: &mut Drain, max_rows: usize) -> Vec<Box<Answered>> {
        let mut taken = Vec::with_capacity(max_rows.min(self.calls.len() + 1));
        let mut rows = 0;
        while let Some(call) = drain.next.take().or_else(|| self.calls.pop()) {
            let more = rows + call.blocks.rows;
            if more > max_rows && !taken.is_empty() {
                drain.next = Some(call);
                break;
            }
            rows = more;
            taken.push(call);
        }
        self.queued.fetch_sub(rows as u64, Ordering::AcqRel);
        taken
    }
}

/// One for each model that answered, in the order in which they appear: where a canary takes every few calls,
/// one for each run of calls would be a batch for every few rows.
fn batches(calls: &mut [Box<Answered>], groups: &mut i64) -> Vec<Columns> {
    let mut models = Vec::new();
    calls.sort_by_cached_key(|call| place(&mut models, call));
    let mut batches = Vec::new();
    for run in calls.chunk_by(|one, next| digest(one) == digest(next)) {
        if let Some(model) = run.first().and_then(|call| call.model.as_ref()) {
            batches.push(Columns::new(model, run, *groups));
        }
        *groups += run.len() as i64;
    }
    batches
}

/// Where its model stands among those that have appeared.
fn place(models: &mut Vec<String>, call: &Answered) -> usize {
    let digest = digest(call).unwrap_or_default();
    models.iter().position(|model| model == digest).unwrap_or_else(|| {
        models.push(digest.to_owned());
        models.len() - 1
    })
}

/// A call that lacks a part in some column would spoil its neighbours' rows.
fn has_columns(call: &Answered) -> bool {
    let (rows, members) = (call.blocks.rows, call.members.len());
    rows > 0
        && call.prediction.score.len() == rows
        && (members == 0 || members == rows)
        && call.model.is_some()
}

fn digest(call: &Answered) -> Option<&str> {
    call.model.as_ref().map(|model| model.digest.as_str())
}

#[cfg(test)]
mod tests;
