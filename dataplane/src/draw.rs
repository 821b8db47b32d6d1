//! Draws a share of the requests by a hash of a key. `sidecar/draw.py` is its twin, to the bit.

use blake2::digest::consts::U8;
use blake2::{Blake2b, Digest};

/// Whether the key is in this share, 0 to 1. purpose: what it is drawn for, so that draws are independent; both
/// are given in parts, one after the other.
pub fn is_drawn(purpose: &[&[u8]], key: &[&[u8]], share: f64) -> bool {
    let mut hash = Blake2b::<U8>::new();
    for part in purpose.iter().chain(key) {
        hash.update(part);
    }
    let ticket = u64::from_le_bytes(hash.finalize().into());
    (ticket as f64) < share * 2_f64.powi(64)
}
