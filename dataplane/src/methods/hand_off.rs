//! Runs that would hold up other callers: they go to threads of their own.
//!
//! What waits here is bounded by the limit on calls in flight: each call brings one job at a time, and takes it
//! along when it goes.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// A bounded set of threads that take jobs in the order they came.
pub struct HandOff<Job> {
    queue: Arc<Queue<Job>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Queue<Job> {
    waiting: Mutex<Waiting<Job>>,
    due: Condvar,
}

struct Waiting<Job> {
    jobs: VecDeque<Job>,
    ended: bool,
}

/// Without threads, until `start`.
impl<Job> Default for HandOff<Job> {
    fn default() -> Self {
        let waiting = Mutex::new(Waiting { jobs: VecDeque::new(), ended: false });
        Self { queue: Arc::new(Queue { waiting, due: Condvar::new() }), threads: Mutex::default() }
    }
}

impl<Job: Send + 'static> HandOff<Job> {
    /// Start a thread that does its jobs with `work`.
    pub fn start(&self, mut work: impl FnMut(Job) + Send + 'static) -> io::Result<()> {
        let queue = Arc::clone(&self.queue);
        let thread = thread::Builder::new().name("hand-off".into()).spawn(move || {
            while let Some(job) = queue.take() {
                work(job);
            }
        })?;
        locked(&self.threads).push(thread);
        Ok(())
    }

    /// Have a thread do this job.
    pub fn give(&self, job: Job) {
        locked(&self.queue.waiting).jobs.push_back(job);
        self.queue.due.notify_one();
    }

    /// Drop the jobs that nobody waits for any more, unless they have begun.
    pub fn forget(&self, nobody_waits: impl Fn(&Job) -> bool) {
        locked(&self.queue.waiting).jobs.retain(|job| !nobody_waits(job));
    }

    /// Drop what waits, finish what has begun, and end the threads.
    pub fn stop(&self) {
        let mut waiting = locked(&self.queue.waiting);
        waiting.ended = true;
        waiting.jobs.clear();
        drop(waiting);
        self.queue.due.notify_all();
        for thread in locked(&self.threads).drain(..) {
            // A thread that panicked has said so; its jobs' callers run into their deadlines.
            let _ = thread.join();
        }
    }
}

impl<Job> Queue<Job> {
    fn take(&self) -> Option<Job> {
        let mut waiting = locked(&self.waiting);
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.ended {
                return None;
            }
            waiting = self.due.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// No code panics while it holds these locks, and a queue stays a queue.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc::channel;

    use super::HandOff;

    #[test]
    fn jobs_are_done_in_order_except_those_that_nobody_waits_for() {
        let jobs = HandOff::default();
        for job in 1..=5 {
            jobs.give(job);
        }
        jobs.forget(|job| job % 2 == 0);
        let (done, seen) = channel();
        jobs.start(move |job| done.send(job).unwrap()).unwrap();
        assert_eq!(seen.iter().take(3).collect::<Vec<_>>(), [1, 3, 5]);
        jobs.stop();
        assert!(seen.recv().is_err(), "the thread has ended");
    }

    #[test]
    fn what_has_not_begun_at_the_end_is_not_done() {
        let jobs = HandOff::default();
        jobs.give(());
        jobs.stop();
        let (done, seen) = channel();
        jobs.start(move |()| done.send(()).unwrap()).unwrap();
        jobs.stop();
        assert!(seen.recv().is_err());
    }
}
