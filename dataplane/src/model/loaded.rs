//! A model that is ready to answer, and what its runs cost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::exploration::Exploration;
use crate::model::onnxruntime::OnnxRuntime;
use crate::model::session::{Runner, Session};
use crate::rows::answered::{ModelInfo, Prediction};
use crate::rows::blocks::Blocks;

/// A loaded and warm model, and what its runs cost.
pub struct Loaded {
    session: Arc<Session>,
    exploration: Exploration,
    costs: Costs,
}

impl Loaded {
    /// Load a graph and run it `runs` times on one plain row, so that the first caller finds it warm.
    ///
    /// The error is a sentence for the person who deploys it.
    pub fn load(
        runtime: &Arc<OnnxRuntime>,
        graph: &Path,
        info: Arc<ModelInfo>,
        exploration: Exploration,
        plain_row: &Blocks,
        runs: usize,
    ) -> Result<Arc<Self>, String> {
        let model = info.to_string();
        let session = Session::open(runtime, graph, info)
            .map_err(|error| format!("ONNX Runtime cannot load the graph: {error}"))?;
        let fails = |error| format!("bundle {model} fails on a plain row: {error}");
        let mut runner = session.runner().map_err(fails)?;
        let loaded = Arc::new(Self { session, exploration, costs: Costs::default() });
        let mut prediction = Prediction::default();
        for _ in 0..runs.max(1) {
            runner.run(plain_row, &mut prediction).map_err(fails)?;
            loaded.costs.saw(1, prediction.cpu_ns);
        }
        Ok(loaded)
    }

    /// Which model this is.
    pub fn info(&self) -> &Arc<ModelInfo> {
        self.session.info()
    }

    /// Prepare one thread's tensors for it.
    pub fn runner(&self) -> Result<Runner, String> {
        self.session.runner()
    }

    /// Whether the runner is one of this model.
    pub fn made(&self, runner: &Runner) -> bool {
        Arc::ptr_eq(runner.session(), &self.session)
    }

    /// What of its replies is explored.
    pub const fn exploration(&self) -> Exploration {
        self.exploration
    }

    /// What its runs cost.
    pub const fn costs(&self) -> &Costs {
        &self.costs
    }
}

const CLASSES: usize = 16;
const WEIGHT: i64 = 8;

/// What a run of so many rows takes of a processor, learned from the runs: a moving average for each power of
/// two of rows.
#[derive(Default)]
pub struct Costs([AtomicI64; CLASSES]);

impl Costs {
    /// Learn from a run. Threads may overwrite each other's lesson; the next run teaches it again.
    pub fn saw(&self, rows: usize, cpu_ns: i64) {
        let Some(cost) = self.0.get(class(rows)) else { return };
        let known = cost.load(Ordering::Relaxed);
        // The first runs of a model are slow: a lower cost is believed at once.
        let learned = if known == 0 || cpu_ns < known { cpu_ns } else { known + (cpu_ns - known) / WEIGHT };
        cost.store(learned.max(1), Ordering::Relaxed);
    }

    /// What a run of `rows` will take; where none of that size was seen, as much as single rows would.
    pub fn estimate_ns(&self, rows: usize) -> i64 {
        let seen = |class: usize| self.0.get(class).map_or(0, |cost| cost.load(Ordering::Relaxed));
        match seen(class(rows)) {
            0 => seen(0).saturating_mul(rows as i64),
            known => known,
        }
    }
}

fn class(rows: usize) -> usize {
    (rows.max(1).ilog2() as usize).min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::Costs;

    #[test]
    fn a_size_that_was_not_seen_costs_as_much_as_single_rows() {
        let costs = Costs::default();
        assert_eq!(costs.estimate_ns(64), 0);
        costs.saw(1, 20_000);
        assert_eq!(costs.estimate_ns(1), 20_000);
        assert_eq!(costs.estimate_ns(64), 64 * 20_000);
        costs.saw(64, 90_000);
        assert_eq!(costs.estimate_ns(64), 90_000);
        assert_eq!(costs.estimate_ns(127), 90_000);
    }

    #[test]
    fn a_slow_run_moves_the_estimate_a_little_and_a_quick_one_at_once() {
        let costs = Costs::default();
        costs.saw(1, 10_000);
        costs.saw(1, 90_000);
        assert_eq!(costs.estimate_ns(1), 20_000);
        costs.saw(1, 5_000);
        assert_eq!(costs.estimate_ns(1), 5_000);
    }
}
