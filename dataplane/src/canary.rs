//! A canary answers a part of the calls in the champion's place, drawn by a hash of the call's id, or of whom it is
//! about. `sidecar/canary.py` is its twin.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::draw;
use crate::rows::blocks::Blocks;

const PURPOSE: &[u8] = b"canary\0";

/// Which of the two models answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All that is not the canary's.
    Champion,
    /// What is drawn for it, and what names its version.
    Canary,
}

/// One for each role.
#[derive(Debug, Default)]
pub struct ByRole<T> {
    /// The champion's.
    pub champion: T,
    /// The canary's.
    pub canary: T,
}

impl<T> ByRole<T> {
    /// The one of this role.
    pub const fn of(&mut self, role: Role) -> &mut T {
        match role {
            Role::Champion => &mut self.champion,
            Role::Canary => &mut self.canary,
        }
    }
}

/// What is drawn of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Its id.
    Id,
    /// The integer in this column of its first row.
    Integer(usize),
    /// The text in this column of its first row.
    Text(usize),
}

/// Calls since a canary answers its present share of them. Those whose callers name a version are not counted.
#[derive(Debug, Default)]
pub struct Counts {
    calls: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    /// A call that might have been drawn.
    pub fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// One that was drawn, and that the canary answered.
    pub fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// One that was drawn, on which the canary failed, and that the champion answered.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// All three, in this order.
    pub fn now(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.calls), read(&self.answered), read(&self.failed))
    }
}

/// A draw over calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// Above 0, below 1.
    pub share: f64,
    /// What has the same value goes the same way.
    pub by: Key,
}

impl Draw {
    /// Whether the canary with this digest answers the call; blocks: its rows, at least one.
    ///
    /// The digest goes into the draw of entities, so that not the same ones meet every canary. Where the entity is
    /// missing, the id is drawn, lest all that name nobody go the same way.
    #[inline]
    pub fn takes(self, request_id: &str, blocks: &Blocks, digest: &str) -> bool {
        match self.by {
            Key::Id => is_drawn(request_id, self.share),
            Key::Integer(column) => {
                let entity = blocks.integers.get(column).copied().unwrap_or_default();
                is_entity_drawn(&entity.to_le_bytes(), self.share, digest)
            }
            Key::Text(column) => match blocks.texts.get(column) {
                [] => is_drawn(request_id, self.share),
                entity => is_entity_drawn(entity, self.share, digest),
            },
        }
    }
}

/// Whether the canary answers the call with this id; share: 0 to 1.
pub fn is_drawn(request_id: &str, share: f64) -> bool {
    draw::is_drawn(&[PURPOSE], &[request_id.as_bytes()], share)
}

/// Whether the canary answers calls about this entity.
fn is_entity_drawn(entity: &[u8], share: f64, digest: &str) -> bool {
    draw::is_drawn(&[PURPOSE, digest.as_bytes(), b"\0"], &[entity], share)
}

#[cfg(test)]
mod tests {
    use super::{Draw, Key, is_drawn, is_entity_drawn};
    use crate::rows::blocks::{Blocks, Texts};

    /// The hashes are Python's; see the doctests of `sidecar/canary.py`.
    #[test]
    fn ids_and_entities_are_drawn_as_python_draws_them() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let drawn = names.map(|id| is_drawn(id, 0.25));
        assert_eq!(drawn, [false, false, true, false, false, true, true, false]);
        let drawn = names.map(|name| is_entity_drawn(name.as_bytes(), 0.5, "f00d"));
        assert_eq!(drawn, [false, false, true, false, true, false, false, false]);
    }

    #[test]
    fn what_is_drawn_at_one_share_is_drawn_at_every_greater_one() {
        for number in 0..1_000 {
            let id = format!("r{number}");
            let shares = [0.0, 0.01, 0.05, 0.25, 0.5, 1.0];
            for drawn in [
                shares.map(|share| is_drawn(&id, share)),
                shares.map(|share| is_entity_drawn(id.as_bytes(), share, "f00d")),
            ] {
                assert!(drawn.is_sorted(), "{id}: {drawn:?}");
                assert_eq!((drawn.first(), drawn.last()), (Some(&false), Some(&true)));
            }
        }
    }

    #[test]
    fn the_first_rows_entity_is_drawn_and_where_it_is_missing_the_id() {
        let mut texts = Texts::default();
        for text in ["", "ann", "bob", "eve"] {
            texts.push(text);
        }
        let blocks = Blocks { rows: 2, integers: vec![-7, 8], texts, ..Blocks::default() };
        for number in 0..200 {
            let (id, digest) = (format!("r{number}"), format!("d{number}"));
            let takes = |by| Draw { share: 0.5, by }.takes(&id, &blocks, &digest);
            assert_eq!(takes(Key::Id), is_drawn(&id, 0.5));
            assert_eq!(takes(Key::Text(0)), is_drawn(&id, 0.5));
            assert_eq!(takes(Key::Text(1)), is_entity_drawn(b"ann", 0.5, &digest));
            assert_eq!(takes(Key::Integer(0)), is_entity_drawn(&(-7_i64).to_le_bytes(), 0.5, &digest));
        }
    }
}
