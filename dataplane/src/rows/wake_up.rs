//! One thread waits until something is due; others say so, at next to no cost while it does not sleep.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A flag that one thread waits for and takes down, and any thread sets.
///
/// No wake-up is lost:
///
/// * `set` and `wait` both swap `due`, so one of them comes first. If `set` does, the swap of `wait` reads what
///   it wrote (or what a later `set` wrote) and so sees everything done before it. If `wait` does, the flag
///   stays up for the next `wait`.
/// * A `set` that finds the flag up leaves the waking to the one that put it up.
/// * A `set` that puts it up writes `due` and then reads `asleep`; `wait` writes `asleep` and then reads `due`.
///   All four are sequentially consistent, so at least one sees the other's write: either the waiter finds the
///   flag up and does not sleep, or the setter finds it asleep. The setter then takes the lock, which the waiter
///   holds from before it writes `asleep` until it really sleeps, so the notification cannot come too early.
#[derive(Default)]
pub(crate) struct WakeUp {
    due: AtomicBool,
    asleep: AtomicBool,
    lock: Mutex<()>,
    awake: Condvar,
}

impl WakeUp {
    /// Something is due. Takes the lock only when the waiter sleeps and nobody else has woken it.
    pub(crate) fn set(&self) {
        if !self.due.swap(true, Ordering::SeqCst) && self.asleep.load(Ordering::SeqCst) {
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.awake.notify_one();
        }
    }

    /// Return as soon as something is due, after `at_most` in any case; the flag is down then.
    pub(crate) fn wait(&self, at_most: Duration) {
        if self.due.swap(false, Ordering::SeqCst) || at_most.is_zero() {
            return;
        }
        let until = Instant::now().checked_add(at_most);
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.store(true, Ordering::SeqCst);
        while !self.due.load(Ordering::SeqCst) {
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            lock = self.awake.wait_timeout(lock, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.asleep.store(false, Ordering::SeqCst);
        drop(lock);
        self.due.swap(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::WakeUp;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_flag_that_is_up_ends_one_wait() {
        let wake_up = WakeUp::default();
        wake_up.set();
        wake_up.set();
        wake_up.wait(LONG);
        let start = Instant::now();
        wake_up.wait(Duration::from_millis(20));
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    /// A lost wake-up would make this wait for ten minutes.
    #[test]
    fn no_wake_up_is_lost() {
        let (wake_up, asked, seen) = (WakeUp::default(), AtomicU64::new(0), AtomicU64::new(0));
        let rounds = 50_000;
        thread::scope(|scope| {
            scope.spawn(|| {
                while seen.load(Ordering::Relaxed) < rounds {
                    wake_up.wait(LONG);
                    seen.store(asked.load(Ordering::Relaxed), Ordering::Release);
                }
            });
            for round in 1..=rounds {
                asked.store(round, Ordering::Relaxed);
                wake_up.set();
                while seen.load(Ordering::Acquire) < round {
                    std::hint::spin_loop();
                    if round % 16 == 0 {
                        thread::yield_now();
                    }
                }
            }
        });
    }
}
