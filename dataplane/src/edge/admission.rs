//! Which calls are let in, and how they ended, over all event loops.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::edge::grpc::Refused;
use crate::edge::limits::MAX_UNLIMITED_CALLS;
use crate::refusal::{Refusal, Status};

/// Counts the calls in progress and says whether one more is let in.
pub struct Admission {
    max_in_flight: usize,
    leaving: AtomicBool,
    in_flight: Alone<AtomicUsize>,
    unlimited: Alone<AtomicUsize>,
    errors: [AtomicU64; Status::COUNT],
}

/// A value that shares its cache line with no other: every call of every event loop writes to it.
#[repr(align(128))]
struct Alone<T>(T);

impl Admission {
    /// Lets this many limited calls in.
    pub fn new(max_in_flight: usize) -> Self {
        Self {
            max_in_flight,
            leaving: AtomicBool::new(false),
            in_flight: Alone(AtomicUsize::new(0)),
            unlimited: Alone(AtomicUsize::new(0)),
            errors: [const { AtomicU64::new(0) }; Status::COUNT],
        }
    }

    /// Let a call in, or say why not. One that was let in must `depart`.
    pub fn admit(&self, limited: bool) -> Result<(), Box<Refused>> {
        let (calls, most) = self.of(limited);
        if limited && self.leaving.load(Ordering::Relaxed) {
            let text = "the sidecar is stopping; nothing was done, send again";
            return Err(Box::new(self.refused(&Refusal::new(Status::Unavailable, text))));
        }
        if calls.fetch_add(1, Ordering::AcqRel) >= most {
            calls.fetch_sub(1, Ordering::AcqRel);
            let text = format!("{most} calls are in flight, the limit; retry with back-off");
            let refusal = Refusal::new(Status::ResourceExhausted, text);
            if limited {
                self.count(refusal.status);
            }
            return Err(Box::new(Refused::with_retry(&refusal)));
        }
        Ok(())
    }

    /// A call that was let in has ended.
    pub fn depart(&self, limited: bool) {
        self.of(limited).0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Count a limited call's error, and make it ready to travel.
    pub fn refused(&self, refusal: &Refusal) -> Refused {
        self.count(refusal.status);
        if refusal.status == Status::ResourceExhausted {
            Refused::with_retry(refusal)
        } else {
            Refused::new(refusal)
        }
    }

    /// Refuse limited calls from now on.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Limited calls in progress.
    pub fn in_flight(&self) -> usize {
        self.in_flight.0.load(Ordering::Acquire)
    }

    /// Limited calls that ended with an error that we gave, by code.
    pub fn errors(&self) -> [u64; Status::COUNT] {
        self.errors.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    fn of(&self, limited: bool) -> (&AtomicUsize, usize) {
        if limited {
            (&self.in_flight.0, self.max_in_flight)
        } else {
            (&self.unlimited.0, MAX_UNLIMITED_CALLS)
        }
    }

    fn count(&self, status: Status) {
        if let Some(count) = self.errors.get(status as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::Admission;
    use crate::refusal::Status;

    #[test]
    fn a_place_that_is_left_is_taken_again() {
        let admission = Admission::new(1);
        assert!(admission.admit(true).is_ok());
        assert!(admission.admit(true).is_err());
        assert!(admission.admit(false).is_ok(), "health has places of its own");
        admission.depart(true);
        assert_eq!(admission.in_flight(), 0);
        assert!(admission.admit(true).is_ok());
        assert_eq!(admission.errors()[Status::ResourceExhausted as usize], 1);
    }

    #[test]
    fn who_leaves_lets_nobody_in_but_health() {
        let admission = Admission::new(1);
        admission.leave();
        assert!(admission.admit(true).is_err());
        assert!(admission.admit(false).is_ok());
        assert_eq!(admission.errors()[Status::Unavailable as usize], 1);
    }
}
