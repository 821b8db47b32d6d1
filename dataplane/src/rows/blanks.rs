//! Rows that were drained and cleared, so that the next calls need no new memory.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::rows::answered::{Answered, Member};

/// A blank that has grown over this is let go.
const MOST_EACH: usize = 64 << 10;
/// What all blanks hold together.
const MOST_TOGETHER: usize = 64 << 20;
/// Of the blanks that nobody needed since the last ones were put back, this part is let go: one in so many.
const SPARE_TO_ONE: usize = 16;

/// A bounded stock of blanks for all threads. The one put in last comes out first, for it is still in the caches: a
/// queue would send every call through the memory of as many as ever waited together. Those that a backlog left, and
/// those that were made while another thread was at the stock, go again bit by bit.
pub(crate) struct Blanks {
    most: usize,
    stock: Mutex<Stock>,
}

#[derive(Default)]
#[expect(clippy::vec_box, reason = "they come and go as they are")]
struct Stock {
    blanks: Vec<Box<Answered>>,
    /// What they hold, in bytes.
    held: usize,
    /// The fewest there were since blanks were last put back together: these were not needed.
    spare: usize,
}

impl Blanks {
    /// An empty stock for at most `most` blanks.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), stock: Mutex::default() }
    }

    /// One out of the stock; a new one where there is none, or another thread is at it. Never waits.
    pub(crate) fn take(&self) -> Box<Answered> {
        self.stock_now().and_then(|mut stock| stock.take()).unwrap_or_default()
    }

    /// Clear it and put it into the stock, when there is room and nobody else at it. Never waits.
    pub(crate) fn put(&self, mut used: Box<Answered>) {
        used.clear();
        let memory = memory(&used);
        if let Some(mut stock) = self.stock_now() {
            stock.put(used, memory, self.most);
        }
    }

    /// Put back what was drained, and let go of some that were not needed; this may wait for threads that take or put
    /// one.
    #[expect(clippy::vec_box, reason = "they come and go as they are")]
    pub(crate) fn put_all(&self, mut used: Vec<Box<Answered>>) {
        used.iter_mut().for_each(|one| one.clear());
        let memory: Vec<usize> = used.iter().map(|one| memory(one)).collect();
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = stock.take_spare();
        for (one, memory) in used.into_iter().zip(memory) {
            stock.put(one, memory, self.most);
        }
        stock.spare = stock.blanks.len();
        drop(stock);
        drop(spare); // once others may take theirs
    }

    fn stock_now(&self) -> Option<MutexGuard<'_, Stock>> {
        match self.stock.try_lock() {
            Ok(stock) => Some(stock),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Stock {
    fn take(&mut self) -> Option<Box<Answered>> {
        let blank = self.blanks.pop()?;
        self.held -= memory(&blank);
        self.spare = self.spare.min(self.blanks.len());
        Some(blank)
    }

    /// The longest unused of those that nobody needed.
    #[expect(clippy::vec_box, reason = "they come and go as they are")]
    fn take_spare(&mut self) -> Vec<Box<Answered>> {
        let spare: Vec<_> = self.blanks.drain(..self.spare / SPARE_TO_ONE).collect();
        self.held -= spare.iter().map(|one| memory(one)).sum::<usize>();
        spare
    }

    fn put(&mut self, blank: Box<Answered>, memory: usize, most: usize) {
        if memory <= MOST_EACH && self.held + memory <= MOST_TOGETHER && self.blanks.len() < most {
            self.held += memory;
            self.blanks.push(blank);
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
        assert_eq!(blanks.stock.lock().unwrap().held, 0);
    }

    #[test]
    fn the_last_one_put_in_comes_out_first() {
        let blanks = Blanks::new(8);
        let drained: Vec<_> = (0..3).map(|_| Box::default()).collect();
        let place = |blank: &super::Answered| std::ptr::from_ref(blank);
        let expected: Vec<_> = drained.iter().rev().map(|blank| place(blank)).collect();
        blanks.put_all(drained);
        let taken: Vec<_> = (0..3).map(|_| blanks.take()).collect();
        assert_eq!(taken.iter().map(|blank| place(blank)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nobody_waits_for_a_thread_that_is_at_the_stock() {
        let blanks = Blanks::new(4);
        blanks.put(Box::default());
        let at_it = blanks.stock.lock().unwrap();
        drop(blanks.take()); // a new one
        blanks.put(Box::default()); // let go
        assert_eq!(at_it.blanks.len(), 1);
    }

    #[test]
    fn what_a_backlog_left_goes_bit_by_bit_and_what_is_needed_stays() {
        let blanks = Blanks::new(10_000);
        blanks.put_all((0..8_000).map(|_| Box::default()).collect());
        for _ in 0..200 {
            let needed = (0..500).map(|_| blanks.take()).collect();
            blanks.put_all(needed);
        }
        let left = blanks.stock.lock().unwrap();
        assert!((500..520).contains(&left.blanks.len()), "{}", left.blanks.len());
        assert_eq!(left.held, left.blanks.iter().map(|one| super::memory(one)).sum::<usize>());
    }

    #[test]
    fn the_stock_is_bounded_in_number_and_bytes() {
        let blanks = Blanks::new(2);
        let mut large = blanks.take();
        large.blocks.texts.push(&"x".repeat(MOST_EACH));
        blanks.put(large);
        assert!(blanks.stock.lock().unwrap().blanks.is_empty());
        blanks.put_all((0..3).map(|_| Box::default()).collect());
        let stock = blanks.stock.lock().unwrap();
        assert_eq!((stock.blanks.len(), stock.held), (2, 2 * super::memory(&Box::default())));
        let blanks = Blanks::new(10_000);
        for _ in 0..10_000 {
            let mut used = Box::<crate::rows::answered::Answered>::default();
            used.blocks.integers.reserve_exact(MOST_EACH / 16);
            blanks.put(used);
        }
        let held = blanks.stock.lock().unwrap().held;
        assert!(held <= MOST_TOGETHER && held > MOST_TOGETHER - MOST_EACH, "{held}");
    }
}
