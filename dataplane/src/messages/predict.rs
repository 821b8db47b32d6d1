//! `sidecar.v1` Predict: one record by named raw fields in, its score out.
//!
//! A message is read once, into a place for each field; only a message that will be refused is read again, to
//! say what Python says first.

mod given;

use std::collections::HashMap;

use crate::clock::monotonic_ns;
use crate::messages::request_id::check_request_id;
use crate::messages::timestamp::Timestamp;
use crate::messages::wire::{Malformed, put_bytes, put_float, put_integer, put_message};
use crate::python_text::{ascii, first_characters};
use crate::refusal::{Refusal, Status};
use crate::rows::answered::{Answered, ModelInfo};
use crate::signature::{FieldValue, Kind, Signature};
use given::Given;

/// How far a caller's clock may be ahead of this one.
const MOST_AHEAD_NS: i64 = 3_600 * 1_000_000_000;

/// Signatures up to this size are decoded on the stack.
const FEW_FIELDS: usize = 32;

/// How long the stages before encoding took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// From the message's arrival to the start of decoding.
    pub queue_ns: i64,
    /// Checking the fields against the signature and packing them into blocks.
    pub decode_ns: i64,
    /// The one run of the exported pipeline.
    pub infer_ns: i64,
}

/// Refuse what is no PredictRequest at all; says nothing of what is in it.
pub fn check(message: &[u8]) -> Result<(), Refusal> {
    let nothing = Signature::new(Vec::new(), String::new());
    Given::read(message, &nothing, &mut []).map(|_| ()).map_err(Refusal::from)
}

/// Check a PredictRequest and pack it as one row.
///
/// `into` is a cleared one with the time of arrival. It gets the caller's request id (none when none was sent),
/// the time of the event and the record.
pub fn decode(message: &[u8], info: &ModelInfo, into: &mut Answered) -> Result<(), Refusal> {
    let signature = &info.signature;
    let fields = signature.fields().len();
    if fields <= FEW_FIELDS {
        let mut values = [None; FEW_FIELDS];
        decode_with(message, signature, values.get_mut(..fields).unwrap_or_default(), into)
    } else {
        decode_with(message, signature, &mut vec![None; fields], into)
    }
}

fn decode_with<'a>(
    message: &'a [u8],
    signature: &Signature,
    values: &mut [Option<FieldValue<'a>>],
    into: &mut Answered,
) -> Result<(), Refusal> {
    let given = Given::read(message, signature, values)?;
    if !given.signature_digest.is_empty() && given.signature_digest != signature.digest() {
        return Err(mismatch(given.signature_digest, signature));
    }
    if !given.request_id.is_empty() {
        check_request_id(given.request_id)?;
        into.request_id.push_str(given.request_id);
    }
    into.event_ns = match given.event_time {
        Some(time) => event_ns(time, into.received_ns)?,
        None => into.received_ns,
    };
    if given.misfits {
        check_names(message, signature)?;
    }
    if values.iter().any(Option::is_none) {
        return Err(left_out(signature, values));
    }
    pack(signature, values, into)
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::invalid("the request is not the message that this method takes")
    }
}

fn event_ns(time: Timestamp, received_ns: i64) -> Result<i64, Refusal> {
    let event_ns = time.nanoseconds("event_time")?;
    if event_ns > received_ns.saturating_add(MOST_AHEAD_NS) {
        // One such row would make every other look as if its outcome must have arrived.
        let message = "event_time is over an hour in the future; send when the event happened";
        return Err(Refusal::invalid(message));
    }
    Ok(event_ns)
}

/// One row, checked column by column: numbers, integers, texts. The first bad value ends it.
#[inline]
fn pack(
    signature: &Signature,
    values: &[Option<FieldValue<'_>>],
    into: &mut Answered,
) -> Result<(), Refusal> {
    let blocks = &mut into.blocks;
    blocks.rows = 1;
    for &position in signature.packing() {
        let (Some(field), Some(&value)) = (signature.fields().get(position), values.get(position)) else {
            continue;
        };
        let value = value.unwrap_or(FieldValue::Missing);
        match field.kind {
            Kind::Number => blocks.numbers.push(field.number(value)?),
            Kind::Integer => blocks.integers.push(field.integer(value)?),
            Kind::Text => blocks.texts.push(field.text(value)?),
        }
    }
    Ok(())
}

/// Refuse a field without value, else one that is not in the signature; the first of either.
///
/// A later entry may have mended what was wrong with a field, so only all of the message tells.
#[cold]
fn check_names(message: &[u8], signature: &Signature) -> Result<(), Refusal> {
    let names = given::names(message)?;
    let has_value: HashMap<&str, bool> = names.iter().copied().collect(); // the last one of each name
    if let Some((name, _)) = names.iter().find(|(name, _)| has_value.get(name) == Some(&false)) {
        let name = ascii(name);
        let message = format!("field {name} has no value; set one of number, integer, text, missing");
        return Err(Refusal::invalid(message));
    }
    match names.iter().find(|(name, _)| signature.position(name.as_bytes()).is_none()) {
        Some((name, _)) => Err(signature.unknown(name)),
        None => Ok(()),
    }
}

#[cold]
fn left_out(signature: &Signature, values: &[Option<FieldValue<'_>>]) -> Refusal {
    let mut fields = signature.fields().iter().zip(values);
    let absent = fields.find_map(|(field, value)| value.is_none().then(|| field.left_out()));
    absent.unwrap_or_else(|| Refusal::from(Malformed))
}

#[cold]
fn mismatch(digest: &str, signature: &Signature) -> Refusal {
    let [caller, deployed] = [digest, signature.digest()].map(|digest| ascii(first_characters(digest, 8)));
    let message = format!(
        "the caller was built against signature {caller}, deployed is {deployed}; \
         build it against the deployed one"
    );
    Refusal::new(Status::FailedPrecondition, message)
}

/// Write the PredictResponse; returns how long that took since `encoding_since_ns`, as the response says too.
pub fn encode(answered: &Answered, timings: Timings, encoding_since_ns: i64, reply: &mut Vec<u8>) -> i64 {
    put_bytes(reply, 1, answered.request_id.as_bytes());
    put_float(reply, 2, answered.prediction.score.first().copied().unwrap_or_default());
    put_integer(reply, 3, answered.taken().next().unwrap_or_default().into());
    if let Some(model) = &answered.model {
        put_message(reply, 4, |reply| {
            put_bytes(reply, 1, model.name.as_bytes());
            put_bytes(reply, 2, model.version.as_bytes());
            put_bytes(reply, 3, model.digest.as_bytes());
        });
    }
    let mut encode_ns = 0;
    put_message(reply, 5, |reply| {
        put_integer(reply, 1, timings.queue_ns as u64);
        put_integer(reply, 2, timings.decode_ns as u64);
        put_integer(reply, 3, timings.infer_ns as u64);
        encode_ns = monotonic_ns() - encoding_since_ns;
        put_integer(reply, 4, encode_ns as u64);
    });
    put_integer(reply, 6, answered.explored(0).into());
    encode_ns
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::{Timings, decode, encode};
    use crate::messages::wire::{put_bytes, put_element, put_integer, put_message};
    use crate::refusal::{Refusal, Status};
    use crate::rows::answered::{Answered, ModelInfo};
    use crate::signature::{Field, FieldValue, Kind, Signature};

    const NOW: i64 = 1_700_000_000_000_000_000;

    fn info() -> ModelInfo {
        let field = |name: &str, kind, missing_allowed, upper: Option<f64>| Field {
            name: name.to_owned(),
            kind,
            missing_allowed,
            lower: upper.map(|_| 0.0),
            upper,
            reject_outside: true,
        };
        let fields = vec![
            field("colour", Kind::Text, true, None),
            field("x", Kind::Number, true, None),
            field("amount", Kind::Number, false, Some(1e6)),
            field("trigger", Kind::Integer, false, None),
        ];
        let signature = Signature::new(fields, "0123456789abcdef".to_owned());
        let (name, version, digest) = ("tiny".to_owned(), "1".to_owned(), "ab".to_owned());
        ModelInfo { name, version, digest, signature, features: 3 }
    }

    fn put_field(message: &mut Vec<u8>, name: &str, value: Option<FieldValue<'_>>) {
        put_message(message, 1, |entry| {
            put_bytes(entry, 1, name.as_bytes());
            put_message(entry, 2, |to| match value {
                Some(FieldValue::Number(number)) => to.extend([&[0x09][..], &number.to_le_bytes()].concat()),
                Some(FieldValue::Integer(0)) => to.extend([0x10, 0]),
                Some(FieldValue::Integer(integer)) => put_integer(to, 2, integer as u64),
                Some(FieldValue::Text(text)) => put_element(to, 3, text.as_bytes()),
                Some(FieldValue::Missing) => put_element(to, 4, b""),
                None => {}
            });
        });
    }

    const ROW: [(&str, Option<FieldValue<'_>>); 4] = [
        ("trigger", Some(FieldValue::Integer(-3))),
        ("amount", Some(FieldValue::Number(10.5))),
        ("colour", Some(FieldValue::Text("red"))),
        ("x", Some(FieldValue::Missing)),
    ];

    fn message(fields: &[(&str, Option<FieldValue<'_>>)]) -> Vec<u8> {
        let mut message = Vec::new();
        for &(name, value) in fields {
            put_field(&mut message, name, value);
        }
        message
    }

    fn decoded(message: &[u8]) -> Result<Answered, Refusal> {
        let mut answered = Answered { received_ns: NOW, ..Answered::default() };
        decode(message, &info(), &mut answered).map(|()| answered)
    }

    fn refused(message: &[u8]) -> String {
        decoded(message).unwrap_err().message
    }

    /// The row with this field changed, or added.
    fn with(name: &'static str, value: Option<FieldValue<'static>>) -> Vec<u8> {
        let mut fields: Vec<_> = ROW.into_iter().filter(|&(other, _)| other != name).collect();
        fields.push((name, value));
        message(&fields)
    }

    #[test]
    fn a_record_becomes_a_row_in_the_signatures_order() {
        let answered = decoded(&message(&ROW)).unwrap();
        assert_eq!(answered.blocks.rows, 1);
        assert_eq!(
            answered.blocks.numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>(),
            [0x7fc0_0000, 10.5_f32.to_bits()]
        );
        assert_eq!(answered.blocks.integers, [-3]);
        assert_eq!(answered.blocks.texts.iter().collect::<Vec<_>>(), [b"red"]);
        assert_eq!((answered.request_id.as_str(), answered.event_ns), ("", NOW));
    }

    #[test]
    fn the_request_brings_its_id_and_its_time() {
        let mut message = message(&ROW);
        put_bytes(&mut message, 2, b"order-7");
        put_element(&mut message, 3, &[0x08, 5, 0x10, 9]);
        put_bytes(&mut message, 4, b"0123456789abcdef");
        let answered = decoded(&message).unwrap();
        assert_eq!((answered.request_id.as_str(), answered.event_ns), ("order-7", 5_000_000_009));
    }

    #[test]
    fn checks_come_in_the_reference_engines_order() {
        let mut message = message(&ROW);
        let mut told = vec![];
        for (field, wrong) in [
            (1, &b"\x0a\x01y\x12\x02\x10\x01"[..]), // unknown
            (1, b"\x0a\x01z"),                      // no value
            (3, b"\x08\xff\xff\xff\xff\x0f"),       // in the future
            (3, b"\x10\x80\x94\xeb\xdc\x03"),       // out of range
            (2, b"a b"),
            (4, b"other's"),
            (3, b"\x08"), // malformed
        ] {
            put_bytes(&mut message, field, wrong);
            told.push(refused(&message));
        }
        assert_eq!(
            told,
            [
                "field 'y' is not in the signature; remove it",
                "field 'z' has no value; set one of number, integer, text, missing",
                "event_time is over an hour in the future; send when the event happened",
                "event_time is out of range; send a time from 1678 to 2261 with nanos below 1e9",
                "request_id 'a b': send 1 to 128 visible ASCII characters, or none",
                "the caller was built against signature \"other's\", deployed is '01234567'; \
             build it against the deployed one",
                "the request is not the message that this method takes",
            ]
        );
    }

    #[test]
    fn only_another_signature_is_a_failed_precondition() {
        let mut message = message(&ROW);
        put_bytes(&mut message, 4, b"other");
        assert_eq!(decoded(&message).unwrap_err().status, Status::FailedPrecondition);
        assert_eq!(decoded(b"").unwrap_err().status, Status::InvalidArgument);
    }

    #[test]
    fn fields_are_checked_column_by_column() {
        assert_eq!(refused(b""), "field 'colour' is left out; send it as missing");
        assert_eq!(refused(&message(&ROW[1..])), "field 'trigger' is left out; send an integer");
        let mut fields = ROW.map(|(name, _)| (name, Some(FieldValue::Number(-1.0))));
        let mut told = vec![];
        for name in ["amount", "trigger", "colour"] {
            told.push(refused(&message(&fields)));
            let right = ROW.into_iter().find(|&(other, _)| other == name);
            fields = fields.map(|field| if field.0 == name { right.unwrap_or(field) } else { field });
        }
        assert_eq!(
            told,
            [
                "field 'amount' is -1; send a value from 0 to 1e+06",
                "field 'trigger' is a real number; send an integer",
                "field 'colour' is a real number; send text",
            ]
        );
        assert_eq!(decoded(&message(&fields)).unwrap().blocks.numbers, [-1.0, 10.5]);
    }

    #[test]
    fn a_later_entry_mends_or_spoils_an_earlier_one() {
        let mut mended = message(&[("x", None)]);
        mended.extend(message(&ROW));
        assert!(decoded(&mended).is_ok());
        let mut spoilt = message(&ROW);
        put_field(&mut spoilt, "x", None);
        assert_eq!(refused(&spoilt), "field 'x' has no value; set one of number, integer, text, missing");
        let mut unknown = with("y", None);
        put_field(&mut unknown, "y", Some(FieldValue::Missing));
        assert_eq!(refused(&unknown), "field 'y' is not in the signature; remove it");
    }

    #[test]
    fn a_signature_too_large_for_the_stack_is_decoded_all_the_same() {
        let names: Vec<String> = (0..1000).map(|index| format!("field_{index}")).collect();
        let number = info().signature.fields().get(1).cloned().unwrap();
        let fields = names.iter().map(|name| Field { name: name.clone(), ..number.clone() });
        let info = ModelInfo { signature: Signature::new(fields.collect(), String::new()), ..info() };
        let mut message = Vec::new();
        for (index, name) in names.iter().enumerate().rev() {
            put_field(&mut message, name, Some(FieldValue::Integer(index as i64)));
        }
        let mut answered = Answered::default();
        decode(&message, &info, &mut answered).unwrap();
        assert!(answered.blocks.numbers.iter().copied().eq((0..1000_u16).map(f32::from)));
    }

    /// Written by Python's protobuf, but for the encode_ns of 1.
    #[test]
    fn the_response_is_protobufs_to_the_byte() {
        let mut answered = Answered { model: Some(Arc::new(info())), ..Answered::default() };
        answered.request_id.push_str("id-1");
        answered.prediction.score.push(0.25);
        answered.prediction.decision.push(true);
        let mut reply = Vec::new();
        let encode_ns =
            encode(&answered, Timings { queue_ns: 300, decode_ns: 1, infer_ns: 0 }, 0, &mut reply);
        let mut expected =
            b"\x0a\x04id-1\x15\0\0\x80\x3e\x18\x01\x22\x0d\x0a\x04tiny\x12\x011\x1a\x02ab".to_vec();
        put_message(&mut expected, 5, |timings| {
            timings.extend(b"\x08\xac\x02\x10\x01");
            put_integer(timings, 4, encode_ns as u64);
        });
        assert_eq!(reply, expected);
    }

    #[test]
    fn an_explored_row_gets_the_other_action_and_says_so() {
        let mut answered = Answered::default();
        answered.prediction.decision.push(true);
        answered.propensity.push(0.02);
        let mut reply = Vec::new();
        encode(&answered, Timings::default(), 0, &mut reply);
        assert!(reply.starts_with(b"\x2a"), "neither score nor decision");
        assert!(reply.ends_with(b"\x30\x01"));
    }

    #[test]
    fn defaults_are_left_out_of_the_response() {
        let mut answered = Answered { model: Some(Arc::new(info())), ..Answered::default() };
        answered.prediction.score.push(-0.0); // not the default
        answered.prediction.decision.push(false);
        let mut reply = Vec::new();
        encode(&answered, Timings::default(), 0, &mut reply);
        assert!(reply.starts_with(b"\x15\0\0\0\x80\x22\x0d\x0a"));
    }
}
