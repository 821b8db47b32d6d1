//! Rows that were drained and cleared, so that the next calls need no new memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;

use crate::rows::answered::{Answered, Member};

/// A blank that has grown over this is let go.
const MOST_EACH: usize = 64 << 10;
/// What all blanks hold together.
const MOST_TOGETHER: usize = 64 << 20;

/// A bounded stock of blanks for all threads, without a lock.
pub(crate) struct Blanks {
    stock: ArrayQueue<Box<Answered>>,
    /// What the stock holds, in bytes; for a moment perhaps more.
    held: AtomicUsize,
}

impl Blanks {
    /// An empty stock for at most `most` blanks.
    pub(crate) fn new(most: usize) -> Self {
        Self { stock: ArrayQueue::new(most.max(1)), held: AtomicUsize::new(0) }
    }

    /// One out of the stock, else a new one.
    pub(crate) fn take(&self) -> Box<Answered> {
        let Some(blank) = self.stock.pop() else { return Box::default() };
        // Nobody touched it in the stock, so this is what was added for it.
        self.held.fetch_sub(memory(&blank), Ordering::Relaxed);
        blank
    }

    /// Clear it and put it into the stock, when there is room.
    pub(crate) fn put(&self, mut used: Box<Answered>) {
        let memory = memory(&used);
        if memory > MOST_EACH {
            return;
        }
        if self.held.fetch_add(memory, Ordering::Relaxed) + memory > MOST_TOGETHER {
            self.held.fetch_sub(memory, Ordering::Relaxed);
            return;
        }
        used.clear();
        if self.stock.push(used).is_err() {
            self.held.fetch_sub(memory, Ordering::Relaxed);
        }
    }
}

/// Bytes that it keeps when it is cleared.
fn memory(answered: &Answered) -> usize {
    let (blocks, prediction) = (&answered.blocks, &answered.prediction);
    let floats = blocks.numbers.capacity()
        + prediction.features.capacity()
        + prediction.score.capacity()
        + answered.propensity.capacity();
    size_of::<Answered>()
        + answered.request_id.capacity()
        + floats * size_of::<f32>()
        + blocks.integers.capacity() * size_of::<i64>()
        + blocks.texts.memory()
        + answered.members.capacity() * size_of::<Member>()
        + prediction.decision.capacity()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::sync::atomic::Ordering;

    use super::{Blanks, MOST_EACH, MOST_TOGETHER};

    #[test]
    fn a_blank_comes_back_cleared_with_its_memory() {
        let blanks = Blanks::new(4);
        let mut used = blanks.take();
        used.request_id.push_str("r1");
        used.blocks.rows = 1;
        used.blocks.numbers.extend([1.0; 100]);
        used.blocks.texts.push("a text");
        let memory = used.blocks.numbers.as_ptr();
        blanks.put(used);
        let again = blanks.take();
        assert_eq!(again.blocks.numbers.as_ptr(), memory);
        assert_eq!((again.blocks.rows, again.blocks.numbers.len(), again.request_id.len()), (0, 0, 0));
        assert_eq!(blanks.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_stock_is_bounded_in_number_and_bytes() {
        let blanks = Blanks::new(2);
        let mut large = blanks.take();
        large.blocks.texts.push(&"x".repeat(MOST_EACH));
        blanks.put(large);
        assert!(blanks.stock.is_empty());
        for _ in 0..3 {
            blanks.put(Box::default());
        }
        assert_eq!(blanks.stock.len(), 2);
        assert_eq!(blanks.held.load(Ordering::Relaxed), 2 * super::memory(&Box::default()));
        let blanks = Blanks::new(10_000);
        for _ in 0..10_000 {
            let mut used = Box::<crate::rows::answered::Answered>::default();
            used.blocks.integers.reserve_exact(MOST_EACH / 16);
            blanks.put(used);
        }
        let held = blanks.held.load(Ordering::Relaxed);
        assert!(held <= MOST_TOGETHER && held > MOST_TOGETHER - MOST_EACH, "{held}");
    }
}
