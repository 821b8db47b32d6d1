//! When to look for what has waited too long: one time for all that waits, instead of a timer for each.

use std::time::Duration;

use crate::edge::limits::SWEEP_EVERY;

/// The time of the next look. Times are those of `clock::monotonic_ns`.
#[derive(Debug)]
pub struct Sweep {
    due_ns: i64,
    last_ns: i64,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { due_ns: i64::MAX, last_ns: 0 }
    }
}

impl Sweep {
    /// Look at this time; up to `SWEEP_EVERY` later if there was a look shortly before.
    pub fn note(&mut self, due_ns: i64) {
        if due_ns < self.due_ns {
            self.due_ns = due_ns.max(self.last_ns.saturating_add(SWEEP_EVERY.as_nanos() as i64));
        }
    }

    /// How long to wait for events at most; for ever if nothing can be late.
    pub fn timeout(&self, now_ns: i64) -> Option<Duration> {
        let left = || Duration::from_nanos(self.due_ns.saturating_sub(now_ns).max(0) as u64);
        (self.due_ns != i64::MAX).then(left)
    }

    /// Whether it is time. If so, whatever still waits must be noted again.
    pub fn begin(&mut self, now_ns: i64) -> bool {
        let due = now_ns >= self.due_ns;
        if due {
            *self = Self { due_ns: i64::MAX, last_ns: now_ns };
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::Sweep;

    #[test]
    fn the_earliest_time_counts_and_looks_keep_their_distance() {
        let mut sweep = Sweep::default();
        assert_eq!(sweep.timeout(0), None);
        sweep.note(50_000_000);
        sweep.note(90_000_000);
        assert_eq!(sweep.timeout(20_000_000).map(|left| left.as_millis()), Some(30));
        assert!(!sweep.begin(49_999_999));
        assert!(sweep.begin(50_000_000));
        sweep.note(50_000_001);
        assert_eq!(sweep.timeout(50_000_000).map(|left| left.as_millis()), Some(10));
    }
}
