//! Where the time of answered calls goes, stage by stage.

use std::sync::{Arc, Mutex, PoisonError};

use crate::methods::histogram::{BUCKETS, Histogram};

/// One thread's histograms, in nanoseconds; as `StageTimings` in `prediction.proto`.
#[derive(Default)]
pub struct Stages {
    /// From the message's arrival to the start of decoding.
    pub queue: Histogram,
    /// Checking the fields against the signature and packing them into blocks.
    pub decode: Histogram,
    /// The one run of the exported pipeline.
    pub infer: Histogram,
    /// Building the reply.
    pub encode: Histogram,
}

/// The histograms of all threads.
#[derive(Default)]
pub struct AllStages(Mutex<Vec<Arc<Stages>>>);

impl AllStages {
    /// Histograms for a new thread, which alone writes them.
    pub fn thread(&self) -> Arc<Stages> {
        let stages = Arc::<Stages>::default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&stages));
        stages
    }

    /// What all threads have counted: each stage's name and its buckets.
    pub fn counts(&self) -> [(&'static str, Vec<u64>); 4] {
        let threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |of: fn(&Stages) -> &Histogram| {
            let mut counts = vec![0; BUCKETS];
            for stages in threads.iter() {
                of(stages).add_to(&mut counts);
            }
            counts
        };
        [
            ("queue", sum(|stages| &stages.queue)),
            ("decode", sum(|stages| &stages.decode)),
            ("infer", sum(|stages| &stages.infer)),
            ("encode", sum(|stages| &stages.encode)),
        ]
    }
}
