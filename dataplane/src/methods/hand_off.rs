//! Runs that would hold up other callers: they go to threads of their own.
//!
//! What waits here is bounded by the limit on calls in flight, since each call brings one job at a time.

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

    /// Do what waits, then end the threads.
    pub fn stop(&self) {
        locked(&self.queue.waiting).ended = true;
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
