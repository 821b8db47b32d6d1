//! Byte buffers that are used again and again, so that calls need no memory of their own while none waits.

use crate::edge::limits::{KEPT_BUFFER_BYTES, KEPT_BUFFERS};

/// One event loop's spare buffers. Bounded in number and in size, so that a burst does not stay for ever.
#[derive(Debug, Default)]
pub struct BufferPool(Vec<Vec<u8>>);

impl BufferPool {
    /// See that `buffer` has memory, if a spare one has.
    #[inline]
    pub fn equip(&mut self, buffer: &mut Vec<u8>) {
        if buffer.capacity() == 0
            && let Some(spare) = self.0.pop()
        {
            *buffer = spare;
        }
    }

    /// Take the memory of `buffer` for others.
    #[inline]
    pub fn collect(&mut self, buffer: &mut Vec<u8>) {
        if buffer.capacity() == 0 {
            return;
        }
        let mut spare = std::mem::take(buffer);
        if self.0.len() < KEPT_BUFFERS && spare.capacity() <= KEPT_BUFFER_BYTES {
            spare.clear();
            self.0.push(spare);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BufferPool;
    use crate::edge::limits::{KEPT_BUFFER_BYTES, KEPT_BUFFERS};

    #[test]
    fn memory_goes_round_and_long_buffers_do_not_stay() {
        let mut pool = BufferPool::default();
        let mut buffer = Vec::with_capacity(100);
        buffer.push(1);
        pool.collect(&mut buffer);
        assert_eq!(buffer.capacity(), 0);
        pool.equip(&mut buffer);
        assert_eq!((buffer.len(), buffer.capacity()), (0, 100));
        pool.collect(&mut Vec::with_capacity(KEPT_BUFFER_BYTES + 1));
        let mut other = Vec::new();
        pool.equip(&mut other);
        assert_eq!(other.capacity(), 0);
        for _ in 0..2 * KEPT_BUFFERS {
            pool.collect(&mut Vec::with_capacity(10));
        }
        assert_eq!(pool.0.len(), KEPT_BUFFERS);
    }
}
