//! Durations counted in log-linear buckets, as HdrHistogram does. `sidecar/engine/histogram.py` is its twin.
//!
//! A bucket is at most 1/64 of its values wide. Below 128 ns each nanosecond has a bucket; above, each power of
//! two has 64 of them.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

const SUB_BITS: u32 = 6;
const VALUE_BITS: u32 = 36;

/// How many buckets there are.
pub const BUCKETS: usize = ((VALUE_BITS - SUB_BITS + 1) as usize) << SUB_BITS;

/// Counts of nanoseconds, written by one thread and read by any, without a lock.
pub struct Histogram(Box<[AtomicU64; BUCKETS]>);

impl Histogram {
    /// Nothing counted.
    pub fn new() -> Self {
        Self(Box::new(array::from_fn(|_| AtomicU64::new(0))))
    }

    /// Count a duration; a negative one as 0, and what would be over 68 s as that.
    pub fn record(&self, ns: i64) {
        if let Some(count) = self.0.get(bucket(ns)) {
            // The one writer needs no read-modify-write; readers may see a count that is one behind.
            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    /// Add the counts to `counts`, bucket by bucket.
    pub fn add_to(&self, counts: &mut [u64]) {
        for (sum, count) in counts.iter_mut().zip(self.0.iter()) {
            *sum += count.load(Ordering::Relaxed);
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

fn bucket(ns: i64) -> usize {
    let value = ns.clamp(0, (1 << VALUE_BITS) - 1) as u64;
    let exponent = (u64::BITS - value.leading_zeros()).saturating_sub(SUB_BITS + 1);
    ((exponent as usize) << SUB_BITS) + (value >> exponent) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::{BUCKETS, Histogram, bucket};

    #[test]
    fn the_layout_is_the_one_agreed_with_python() {
        assert_eq!(BUCKETS, 1984);
        let agreed = |v: i64| {
            let e = v.ilog2() as usize - 6;
            64 + e * 64 + ((v >> e) as usize - 64)
        };
        assert!((0..64).all(|v| bucket(v) == v as usize));
        for power in 6..36 {
            for v in [1_i64 << power, (1 << power) + 1, (3 << power) / 2, (2 << power) - 1] {
                assert_eq!(bucket(v), agreed(v), "{v}");
            }
        }
        assert_eq!(bucket((1 << 36) - 1), BUCKETS - 1);
    }

    #[test]
    fn what_is_out_of_range_counts_at_the_ends() {
        let histogram = Histogram::new();
        for ns in [-1, i64::MIN, 1 << 36, i64::MAX] {
            histogram.record(ns);
        }
        let mut counts = [1; BUCKETS];
        histogram.add_to(&mut counts);
        assert_eq!((counts[0], counts[BUCKETS - 1]), (3, 3));
        assert_eq!(counts.iter().sum::<u64>(), BUCKETS as u64 + 4);
    }
}
