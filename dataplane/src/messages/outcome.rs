//! `RecordOutcome`: what really happened after a prediction.

use std::fmt::{self, Display, Formatter};

use crate::messages::request_id::{MAX_LENGTH, is_request_id};
use crate::messages::timestamp::Timestamp;
use crate::messages::wire::{Malformed, Reader, Value, put_element, put_integer, text};
use crate::python_text::{ascii, first_characters, general, repr};
use crate::refusal::Refusal;

/// The most outcomes in one call.
pub const MAX_OUTCOMES: usize = 10_000;

/// One outcome; fields as in `sidecar.domain.Outcome`.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The prediction's key.
    pub request_id: String,
    /// 1 when the predicted event happened, else 0.
    pub label: f64,
    /// Money it moved, where known.
    pub value: Option<f64>,
    /// When the label became known, since the Unix epoch.
    pub observed_ns: i64,
}

/// Check a RecordOutcomeRequest; an outcome without a time was observed now.
///
/// The refusal names the first outcome that cannot be stored.
pub fn decode(message: &[u8], now_ns: i64) -> Result<Vec<Outcome>, Refusal> {
    let mut count = 0;
    each_outcome(message, |_| {
        count += 1;
        Ok(())
    })?;
    if !(1..=MAX_OUTCOMES).contains(&count) {
        return Err(Refusal::invalid(format!("{count} outcomes in one call; send 1 to {MAX_OUTCOMES}")));
    }
    let mut outcomes = Vec::with_capacity(count);
    each_outcome(message, |sent| {
        outcomes.push(sent.checked(outcomes.len(), now_ns)?);
        Ok(())
    })?;
    Ok(outcomes)
}

/// Append a RecordOutcomeResponse.
pub fn encode_receipt(stored: u32, duplicates: u32, conflicts: &[String], reply: &mut Vec<u8>) {
    put_integer(reply, 1, u64::from(stored));
    put_integer(reply, 2, u64::from(duplicates));
    for request_id in conflicts {
        put_element(reply, 3, request_id.as_bytes());
    }
}

fn each_outcome<'a>(
    message: &'a [u8],
    mut take: impl FnMut(Sent<'a>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut reader = Reader::new(message);
    while let Some(field) = reader.field()? {
        if let (1, Value::Bytes(outcome)) = field {
            take(Sent::read(reader.nested(outcome))?)?;
        }
    }
    Ok(())
}

/// An outcome as the caller sent it, not yet checked.
#[derive(Default)]
struct Sent<'a> {
    request_id: &'a str,
    label: f64,
    value: Option<f64>,
    observed: Option<Timestamp>,
}

impl<'a> Sent<'a> {
    fn read(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let mut sent = Self::default();
        while let Some(field) = reader.field()? {
            match field {
                (1, Value::Bytes(request_id)) => sent.request_id = text(request_id)?,
                (2, Value::Fixed64(label)) => sent.label = f64::from_bits(label),
                (3, Value::Fixed64(value)) => sent.value = Some(f64::from_bits(value)),
                (4, Value::Bytes(time)) => {
                    sent.observed.get_or_insert_default().merge(reader.nested(time))?
                }
                _ => {}
            }
        }
        Ok(sent)
    }

    fn checked(self, position: usize, now_ns: i64) -> Result<Outcome, Refusal> {
        let Self { request_id, label, value, observed } = self;
        let name = Name { position, request_id };
        if !is_request_id(request_id) {
            return Err(Refusal::invalid(format!(
                "{name}: send a request_id of 1 to {MAX_LENGTH} visible ASCII characters"
            )));
        }
        if label != 0.0 && label != 1.0 {
            return Err(Refusal::invalid(format!("{name}: label is {}; send 1 or 0", general(label))));
        }
        if let Some(value) = value.filter(|value| !value.is_finite()) {
            let value = repr(value);
            return Err(Refusal::invalid(format!(
                "{name}: value is {value}; send a finite number, or leave it out"
            )));
        }
        let observed_ns = match observed {
            Some(time) => time.nanoseconds(format_args!("{name}: observed_time"))?,
            None => now_ns,
        };
        Ok(Outcome { request_id: request_id.to_owned(), label, value, observed_ns })
    }
}

/// What a refusal calls an outcome.
#[derive(Clone, Copy)]
struct Name<'a> {
    position: usize,
    request_id: &'a str,
}

impl Display for Name<'_> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let shown = ascii(first_characters(self.request_id, MAX_LENGTH));
        write!(to, "outcome {} (request_id {shown})", self.position)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Outcome, decode, encode_receipt};

    #[test]
    fn what_is_left_out_has_its_default() {
        let given = b"\x0a\x15\x0a\x01a\x11\0\0\0\0\0\0\xf0\x3f\x19\0\0\0\0\0\0\0\xc0";
        let outcome = |request_id: &str, label, value, observed_ns| {
            let request_id = request_id.to_owned();
            Outcome { request_id, label, value, observed_ns }
        };
        let [time, default] = [b"\x0a\x09\x0a\x01b\x22\x04\x08\x05\x10\x07", &b"\x0a\x03\x0a\x01c"[..]];
        let outcomes = decode(&[&given[..], time, default].concat(), 9).unwrap();
        let expected = [
            outcome("a", 1.0, Some(-2.0), 9),
            outcome("b", 0.0, None, 5_000_000_007),
            outcome("c", 0.0, None, 9),
        ];
        assert_eq!(outcomes, expected);
    }

    #[test]
    fn outcomes_are_counted_before_any_is_looked_at() {
        let told = |count: usize| decode(&b"\x0a\x00".repeat(count), 0).unwrap_err().message;
        assert_eq!(told(0), "0 outcomes in one call; send 1 to 10000");
        assert_eq!(told(10_001), "10001 outcomes in one call; send 1 to 10000");
        assert_eq!(
            told(10_000),
            "outcome 0 (request_id ''): send a request_id of 1 to 128 visible ASCII characters"
        );
    }

    #[test]
    fn a_receipt_leaves_zeros_out() {
        let receipt = |stored, duplicates, conflicts: &[String]| {
            let mut reply = Vec::new();
            encode_receipt(stored, duplicates, conflicts, &mut reply);
            reply
        };
        assert_eq!(receipt(0, 0, &[]), b"");
        assert_eq!(receipt(300, 1, &["a".into(), "b".into()]), b"\x08\xac\x02\x10\x01\x1a\x01a\x1a\x01b");
    }
}
