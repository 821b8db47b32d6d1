//! One row in, one reply out: what is decoded, refused and encoded.

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
    let encode_ns = encode(&answered, Timings { queue_ns: 300, decode_ns: 1, infer_ns: 0 }, 0, &mut reply);
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
