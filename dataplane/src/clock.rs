//! Clocks in nanoseconds.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

/// How old a reading of the processor's clock may be, by the wall's, to begin a stretch with.
const CARRIED_NS: i64 = 20_000;

/// Since the Unix epoch.
pub fn epoch_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

/// A clock that never goes back; its zero is arbitrary.
pub fn monotonic_ns() -> i64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Both clocks at one moment.
#[derive(Clone, Copy)]
struct Reading {
    wall_ns: i64,
    cpu_ns: i64,
}

impl Reading {
    /// What this thread has used of a processor is asked of the kernel, which takes most of a microsecond.
    fn now() -> Self {
        let wall_ns = monotonic_ns();
        Self { wall_ns, cpu_ns: read(libc::CLOCK_THREAD_CPUTIME_ID) }
    }
}

thread_local! {
    static LAST: Cell<Reading> = const { Cell::new(Reading { wall_ns: i64::MIN / 2, cpu_ns: 0 }) };
}

/// Times a stretch of this thread's work, by the wall's clock and by the processor's.
///
/// A stretch that begins soon after another has ended takes that one's reading of the processor's clock for its
/// own. So nothing is too low, and too high is only what was interrupted, by `CARRIED_NS` at most: a stretch that
/// was not has the wall's time.
#[must_use]
pub struct Stopwatch {
    start_ns: i64,
    cpu_ns: i64,
}

impl Stopwatch {
    /// Begin.
    pub fn start() -> Self {
        let mut last = LAST.get();
        let mut start_ns = monotonic_ns();
        if start_ns - last.wall_ns > CARRIED_NS {
            last = Reading::now();
            start_ns = monotonic_ns();
        }
        Self { start_ns, cpu_ns: last.cpu_ns }
    }

    /// End; gives the wall-clock time and the thread's CPU time.
    pub fn stop(self) -> (i64, i64) {
        let now = Reading::now();
        LAST.set(now);
        let wall_ns = now.wall_ns - self.start_ns;
        (wall_ns, wall_ns.min(now.cpu_ns - self.cpu_ns))
    }
}

fn read(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing; both clocks exist on every system we build for.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{CARRIED_NS, Stopwatch};

    fn work(micros: u64) {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(micros) {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn sleep_is_no_cpu_time() {
        for _ in 0..3 {
            let watch = Stopwatch::start();
            std::thread::sleep(Duration::from_millis(20));
            let (wall_ns, cpu_ns) = watch.stop();
            assert!(wall_ns >= 20_000_000);
            assert!((0..10_000_000).contains(&cpu_ns), "{cpu_ns} ns");
        }
    }

    #[test]
    fn work_is_cpu_time_and_never_more_than_passed() {
        for _ in 0..100 {
            let watch = Stopwatch::start();
            work(300);
            let (wall_ns, cpu_ns) = watch.stop();
            assert!(wall_ns >= 300_000);
            assert!((1..=wall_ns).contains(&cpu_ns));
        }
    }

    /// What a thread did before a stretch counts for an interrupted one only, and only if it was just before.
    #[test]
    fn what_was_done_before_is_not_counted() {
        Stopwatch::start().stop();
        work(2_000);
        let watch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(5));
        let (_, cpu_ns) = watch.stop();
        assert!(cpu_ns < 1_000_000 + CARRIED_NS, "{cpu_ns} ns");
    }
}
