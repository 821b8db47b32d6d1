//! Counters that outlive the process; the file of `sidecar/ledger.py`.
//!
//! They lie in a memory-mapped file, so that after `kill -9` the next process can say how many rows were lost.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// Four int64: offered, dropped, failed, sampled out. The last two are the recorder's, in Python.
const BYTES: usize = 32;
const OFFERED: usize = 0;
const DROPPED: usize = 1;

/// Answered rows, and those of them that found the ring full. Counted by any thread.
pub struct Ledger(MmapRaw);

impl Ledger {
    /// The ledger at `path`, which `sidecar/ledger.py` has made.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        if file.metadata()?.len() != BYTES as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a ledger: it has another size"));
        }
        MmapOptions::new().len(BYTES).map_raw(&file).map(Self)
    }

    /// Count answered rows.
    pub fn offer(&self, rows: u64) {
        self.counter(OFFERED).fetch_add(rows, Ordering::Relaxed);
    }

    /// Count answered rows that found the ring full.
    pub fn drop_rows(&self, rows: u64) {
        self.counter(DROPPED).fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows answered.
    pub fn offered(&self) -> u64 {
        self.counter(OFFERED).load(Ordering::Relaxed)
    }

    /// Rows dropped at the ring.
    pub fn dropped(&self) -> u64 {
        self.counter(DROPPED).load(Ordering::Relaxed)
    }

    /// One of the first two counters.
    fn counter(&self, index: usize) -> &AtomicU64 {
        // SAFETY: the map is page-aligned, holds four of them and lives as long as `self`. Whoever else has
        // the file mapped writes only the last two while this process runs.
        unsafe { AtomicU64::from_ptr(self.0.as_mut_ptr().cast::<u64>().add(index)) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::{env, fs, process};

    use super::Ledger;

    #[test]
    fn counts_lie_in_the_file_and_the_others_are_left_alone() {
        let path = env::temp_dir().join(format!("sidecar-ledger-{}", process::id()));
        let counters = [5_i64, 1, 7, 3];
        fs::write(&path, counters.map(i64::to_le_bytes).concat()).unwrap();
        let ledger = Ledger::open(&path).unwrap();
        ledger.offer(4);
        ledger.drop_rows(2);
        assert_eq!((ledger.offered(), ledger.dropped()), (9, 3));
        drop(ledger);
        assert_eq!(fs::read(&path).unwrap(), [9_i64, 3, 7, 3].map(i64::to_le_bytes).concat());
        fs::write(&path, [0; 8]).unwrap();
        assert!(Ledger::open(&path).is_err());
        fs::remove_file(&path).unwrap();
        assert!(Ledger::open(&path).is_err());
    }
}
