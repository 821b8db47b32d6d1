//! Exploration: where the rule's action hides the outcome, a small share of the replies take the other one.
//! `sidecar/exploration.py` is its twin, to the bit.

use crate::draw;
use crate::rows::answered::Answered;

const PURPOSE: &[u8] = b"explore\0";

/// Which action hides the outcome, and how much of it is explored.
#[derive(Clone, Copy, Debug)]
pub struct Exploration {
    /// True is act.
    pub instead_of: bool,
    /// Of the rows whose rule decides so, how many get the other action; below 0.5, 0 for none.
    pub share: f64,
}

impl Exploration {
    /// Draw for each answered row whether the reply takes the other action; nothing where none is explored.
    pub fn draw(self, answered: &mut Answered) {
        if self.share <= 0.0 {
            return;
        }
        let Answered { request_id, prediction, propensity, .. } = answered;
        let single = prediction.decision.len() == 1;
        for (row, &decision) in prediction.decision.iter().enumerate() {
            propensity.push(if decision != self.instead_of {
                1.0
            } else if self.is_drawn(request_id, (!single).then_some(row)) {
                self.share as f32
            } else {
                (1.0 - self.share) as f32
            });
        }
    }

    /// Of several rows, row i has the key `id/i`.
    fn is_drawn(self, request_id: &str, row: Option<usize>) -> bool {
        let number = row.map(|row| format!("/{row}")).unwrap_or_default();
        draw::is_drawn(&[PURPOSE], &[request_id.as_bytes(), number.as_bytes()], self.share)
    }
}

#[cfg(test)]
mod tests {
    use super::Exploration;
    use crate::rows::answered::Answered;

    fn drawn(exploration: Exploration, request_id: &str, decision: &[bool]) -> (Vec<f32>, Vec<bool>) {
        let mut answered = Answered::default();
        answered.request_id.push_str(request_id);
        answered.prediction.decision.extend_from_slice(decision);
        exploration.draw(&mut answered);
        let taken = answered.taken().collect();
        (answered.propensity, taken)
    }

    /// The hashes are Python's; see the doctest of `sidecar/exploration.py`.
    #[test]
    fn ids_are_drawn_as_python_draws_them() {
        let half = Exploration { instead_of: true, share: 0.49 };
        for (id, explored) in [("a", true), ("b", false), ("c", false), ("d", true)] {
            let propensity = if explored { 0.49 } else { 0.51 };
            assert_eq!(drawn(half, id, &[true]), (vec![propensity], vec![!explored]), "{id}");
        }
    }

    #[test]
    fn each_row_of_several_is_drawn_by_its_own_id() {
        let half = Exploration { instead_of: false, share: 0.49 };
        let (propensity, taken) = drawn(half, "r", &[false; 40]);
        for (row, (propensity, taken)) in propensity.into_iter().zip(taken).enumerate() {
            assert_eq!(drawn(half, &format!("r/{row}"), &[false]), (vec![propensity], vec![taken]));
        }
    }

    #[test]
    fn what_does_not_hide_is_never_explored_and_without_a_share_nothing_is_drawn() {
        let half = Exploration { instead_of: true, share: 0.49 };
        assert_eq!(drawn(half, "r", &[false; 3]), (vec![1.0; 3], vec![false; 3]));
        let none = Exploration { instead_of: true, share: 0.0 };
        assert_eq!(drawn(none, "r", &[true, false]), (vec![], vec![true, false]));
    }
}
