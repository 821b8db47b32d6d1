//! A shadow worker's work: the champion's inference calls again, each by one run of the candidate.
//!
//! The runs go through the same `Runner` as the champion's, so that both sets of times mean the same.

use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use crate::clock::monotonic_ns;
use crate::model::session::Runner;
use crate::rows::answered::Prediction;
use crate::rows::blocks::Blocks;

/// After so much work the worker rests, off its core. Whatever the scheduler makes of priorities, of control groups
/// and of slices that it does not cut short, nobody waits longer for a worker than that, and one more call.
const WORK_NS: i64 = 300_000;
/// As short as a sleep can be, or another takes the core for long; the kernel adds its timer slack, 50 us.
const REST: Duration = Duration::from_micros(20);

/// Rows of several inference calls, one call after another.
pub struct Chunk<'a> {
    /// `[rows, number fields]`, row by row.
    pub numbers: &'a [f32],
    /// `[rows, integer fields]`, row by row.
    pub integers: &'a [i64],
    /// For each text field the values that it has, and which of them each row has.
    pub texts: Vec<(&'a [String], &'a [i64])>,
    /// For each call, the row after its last one.
    pub ends: &'a [i64],
}

/// What became of a chunk's rows, in memory that the supervisor reads, also when this process is gone.
pub struct Results<'a> {
    /// Rows that are complete. Raised after each call, last of all: whoever sees the number sees the rows.
    pub done: &'a AtomicI64,
    /// `[rows]`, as the next four.
    pub score: &'a mut [f32],
    /// 0 or 1.
    pub decision: &'a mut [u8],
    /// 1 where the call's run failed.
    pub raised: &'a mut [u8],
    /// Wall clock.
    pub infer_ns: &'a mut [i64],
    /// The thread's CPU clock.
    pub cpu_ns: &'a mut [i64],
    /// Where it failed, the error as UTF-8: cut, or filled with zeros, to a row's width.
    pub detail: &'a mut [u8],
}

/// Runs calls for one thread.
pub struct Scorer {
    runner: Runner,
    blocks: Blocks,
    prediction: Prediction,
}

impl Scorer {
    /// One that runs what the runner was made for.
    pub fn new(runner: Runner) -> Self {
        Self { runner, blocks: Blocks::default(), prediction: Prediction::default() }
    }

    /// Run each call of the chunk by itself and complete its rows. A run that fails is a result like others.
    ///
    /// The error is for the programmer: the parts of the chunk do not fit each other, or not the results.
    pub fn score(&mut self, chunk: &Chunk<'_>, results: &mut Results<'_>) -> Result<(), String> {
        let rows = chunk.rows()?;
        if results.rows() < rows {
            return Err(format!("a chunk of {rows} rows, and results for {}", results.rows()));
        }
        let (mut start, mut rested_ns) = (0, monotonic_ns());
        for &end in chunk.ends {
            if monotonic_ns() - rested_ns > WORK_NS {
                thread::sleep(REST);
                rested_ns = monotonic_ns();
            }
            let end = usize::try_from(end).ok().filter(|&end| start < end && end <= rows);
            let call = start..end.ok_or("the calls do not lie one after another")?;
            start = call.end;
            chunk.copy(&call, rows, &mut self.blocks).ok_or("a row has a text that is not there")?;
            let ran = self.runner.run(&self.blocks, &mut self.prediction);
            results.complete(&call, ran.map(|()| &self.prediction)).ok_or("not a score for each row")?;
        }
        Ok(())
    }
}

impl Chunk<'_> {
    /// How many rows there are; each column must have as many.
    fn rows(&self) -> Result<usize, String> {
        let rows = self.ends.last().map_or(0, |&end| usize::try_from(end).unwrap_or(0));
        let matrices = [self.numbers.len(), self.integers.len()];
        let whole = matrices.iter().all(|&elements| elements.checked_rem(rows).unwrap_or(elements) == 0);
        if whole && self.texts.iter().all(|(_, of_row)| of_row.len() == rows) {
            Ok(rows)
        } else {
            Err(format!("not each part of the chunk has the {rows} rows of its calls"))
        }
    }

    /// Fill `blocks` with the rows of one call, of `rows` in the chunk; None where it does not have them.
    fn copy(&self, call: &Range<usize>, rows: usize, blocks: &mut Blocks) -> Option<()> {
        blocks.clear();
        blocks.rows = call.len();
        blocks.numbers.extend_from_slice(part(self.numbers, call, rows)?);
        blocks.integers.extend_from_slice(part(self.integers, call, rows)?);
        for row in call.clone() {
            for (values, of_row) in &self.texts {
                let value = usize::try_from(*of_row.get(row)?).ok()?;
                blocks.texts.push(values.get(value)?);
            }
        }
        Some(())
    }
}

impl Results<'_> {
    fn rows(&self) -> usize {
        self.score.len()
    }

    /// Complete the rows of one call; None where the columns have no such rows, or the prediction others.
    fn complete(&mut self, call: &Range<usize>, ran: Result<&Prediction, String>) -> Option<()> {
        let width = self.detail.len() / self.rows().max(1);
        let score = self.score.get_mut(call.clone())?;
        let decision = self.decision.get_mut(call.clone())?;
        let raised = self.raised.get_mut(call.clone())?;
        let infer_ns = self.infer_ns.get_mut(call.clone())?;
        let cpu_ns = self.cpu_ns.get_mut(call.clone())?;
        match ran {
            Ok(made) => {
                fill(score, made.score.iter().copied())?;
                fill(decision, made.decision.iter().map(|&yes| u8::from(yes)))?;
                raised.fill(0);
                infer_ns.fill(made.infer_ns);
                cpu_ns.fill(made.cpu_ns);
            }
            Err(error) => {
                score.fill(f32::NAN);
                decision.fill(0);
                raised.fill(1);
                infer_ns.fill(0);
                cpu_ns.fill(0);
                let details = self.detail.get_mut(call.start * width..call.end * width)?;
                for detail in details.chunks_mut(width.max(1)) {
                    let text = error.bytes().chain(std::iter::repeat(0));
                    detail.iter_mut().zip(text).for_each(|(to, byte)| *to = byte);
                }
            }
        }
        // Last: a process that dies before has not claimed the rows, and one that reads this reads them whole.
        self.done.store(call.end as i64, Ordering::Release);
        Some(())
    }
}

/// The rows of a call in a matrix.
fn part<'a, T>(matrix: &'a [T], call: &Range<usize>, rows: usize) -> Option<&'a [T]> {
    let width = matrix.len() / rows.max(1);
    matrix.get(call.start * width..call.end * width)
}

/// Each place gets its value; None when there are more or fewer.
fn fill<T>(places: &mut [T], values: impl ExactSizeIterator<Item = T>) -> Option<()> {
    (places.len() == values.len()).then(|| places.iter_mut().zip(values).for_each(|(to, from)| *to = from))
}
