//! `google.protobuf.Timestamp`, and what int64 nanoseconds can hold of it.

use std::fmt::Display;

use crate::messages::wire::{Malformed, Reader, Value};
use crate::refusal::Refusal;

const SECOND: i64 = 1_000_000_000;
const FIRST_SECOND: i64 = i64::MIN / SECOND;
const LAST_SECOND: i64 = i64::MAX / SECOND - 1;

/// A point in time as it travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// Since the Unix epoch.
    pub seconds: i64,
    /// Of the second that has begun.
    pub nanos: i32,
}

impl Timestamp {
    /// Take what the message has; what it lacks stays, as protobuf merges a field that is given twice.
    pub fn merge(&mut self, mut reader: Reader<'_>) -> Result<(), Malformed> {
        while let Some(field) = reader.field()? {
            match field {
                (1, Value::Varint(seconds)) => self.seconds = seconds as i64,
                (2, Value::Varint(nanos)) => self.nanos = nanos as i32,
                _ => {}
            }
        }
        Ok(())
    }

    /// Nanoseconds since the Unix epoch; the refusal calls the field `name`.
    pub fn nanoseconds(self, name: impl Display) -> Result<i64, Refusal> {
        let nanos = i64::from(self.nanos);
        if (FIRST_SECOND..=LAST_SECOND).contains(&self.seconds) && (0..SECOND).contains(&nanos) {
            return Ok(self.seconds * SECOND + nanos);
        }
        Err(Refusal::invalid(format!(
            "{name} is out of range; send a time from 1678 to 2261 with nanos below 1e9"
        )))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Timestamp;
    use crate::messages::wire::{Malformed, Reader, put_integer};

    fn at(seconds: i64, nanos: i32) -> Option<i64> {
        Timestamp { seconds, nanos }.nanoseconds("time").ok()
    }

    #[test]
    fn holds_what_int64_nanoseconds_hold() {
        assert_eq!(at(0, 0), Some(0));
        assert_eq!(at(1, 5), Some(1_000_000_005));
        assert_eq!(at(-1, 999_999_999), Some(-1));
        assert_eq!(at(-9_223_372_036, 0), Some(-9_223_372_036_000_000_000));
        assert_eq!(at(9_223_372_035, 999_999_999), Some(9_223_372_035_999_999_999));
        for (seconds, nanos) in [(-9_223_372_037, 0), (9_223_372_036, 0), (i64::MIN, 0), (i64::MAX, 0)] {
            assert_eq!(at(seconds, nanos), None);
        }
        for nanos in [-1, 1_000_000_000, i32::MIN, i32::MAX] {
            assert_eq!(at(0, nanos), None);
        }
    }

    #[test]
    fn the_refusal_names_the_field() {
        let refusal = Timestamp { seconds: 0, nanos: -1 }.nanoseconds(format_args!("outcome {}", 3));
        assert_eq!(
            refusal.unwrap_err().message,
            "outcome 3 is out of range; send a time from 1678 to 2261 with nanos below 1e9"
        );
    }

    #[test]
    fn merges_field_by_field() {
        let mut message = Vec::new();
        put_integer(&mut message, 1, -7_i64 as u64);
        put_integer(&mut message, 9, 1);
        let mut time = Timestamp { seconds: 1, nanos: 2 };
        time.merge(Reader::new(&message)).unwrap();
        assert_eq!(time, Timestamp { seconds: -7, nanos: 2 });
        message.clear();
        put_integer(&mut message, 2, u64::MAX);
        time.merge(Reader::new(&message)).unwrap();
        assert_eq!(time, Timestamp { seconds: -7, nanos: -1 });
        assert_eq!(time.merge(Reader::new(&[0x08])), Err(Malformed));
    }
}
