//! Answered rows on their way to Python: built in place, kept in a bounded ring, drained as columns.

mod blanks;
mod wake_up;

pub mod answered;
pub mod blocks;
pub mod columns;
pub mod ledger;
pub mod ring;
