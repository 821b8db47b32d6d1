//! A canary answers a part of the calls in the champion's place, drawn by a hash of the call's id.
//! `sidecar/canary.py` is its twin.

use crate::draw;

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

/// Whether the canary answers the call with this id; share: 0 to 1.
pub fn is_drawn(request_id: &str, share: f64) -> bool {
    draw::is_drawn(PURPOSE, &[request_id], share)
}

#[cfg(test)]
mod tests {
    use super::is_drawn;

    /// The hashes are Python's; see the doctest of `sidecar/canary.py`.
    #[test]
    fn ids_are_drawn_as_python_draws_them() {
        let drawn = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|id| is_drawn(id, 0.25));
        assert_eq!(drawn, [false, false, true, false, false, true, true, false]);
    }

    #[test]
    fn what_is_drawn_at_one_share_is_drawn_at_every_greater_one() {
        for number in 0..1_000 {
            let id = format!("r{number}");
            let drawn = [0.0, 0.01, 0.05, 0.25, 0.5, 1.0].map(|share| is_drawn(&id, share));
            assert!(drawn.is_sorted(), "{id}: {drawn:?}");
            assert_eq!((drawn.first(), drawn.last()), (Some(&false), Some(&true)));
        }
    }
}
