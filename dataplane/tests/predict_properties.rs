//! What holds for Predict's codec, whatever the bytes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use sidecar_dataplane::messages::predict::{Timings, check, decode, encode};
use sidecar_dataplane::messages::wire::{
    Reader, Value, put_bytes, put_element, put_message, put_varint, text,
};
use sidecar_dataplane::refusal::Refusal;
use sidecar_dataplane::rows::answered::{Answered, ModelInfo};
use sidecar_dataplane::signature::{Field, FieldValue, Kind, Signature};

const NAMES: [&str; 4] = ["x", "amount", "trigger", "colour"];
const KINDS: [Kind; 4] = [Kind::Number, Kind::Number, Kind::Integer, Kind::Text];

fn info() -> ModelInfo {
    let field = |(name, kind): (&str, Kind)| Field {
        name: name.to_owned(),
        kind,
        missing_allowed: kind != Kind::Integer,
        lower: None,
        upper: None,
        reject_outside: true,
    };
    let signature = Signature::new(NAMES.into_iter().zip(KINDS).map(field).collect(), "abc".to_owned());
    ModelInfo { name: "tiny".into(), version: "1".into(), digest: "def".into(), signature, features: 3 }
}

fn decoded(message: &[u8]) -> Result<Answered, Refusal> {
    let mut answered = Answered { received_ns: 1, ..Answered::default() };
    decode(message, &info(), &mut answered).map(|()| answered)
}

/// A row that the signature takes: x, amount, trigger, colour.
type Row = (f32, f32, i64, String);

fn rows() -> impl Strategy<Value = Row> {
    let number = || prop_oneof![proptest::num::f32::NORMAL | proptest::num::f32::ZERO, Just(f32::NAN)];
    let colour = vec(any::<char>().prop_filter("no NUL", |&c| c != '\0'), 0..100);
    (number(), number(), any::<i64>(), colour.prop_map(String::from_iter))
}

fn encoded((x, amount, trigger, colour): &Row, order: [usize; 4]) -> Vec<u8> {
    let values = [
        FieldValue::Number((*x).into()),
        FieldValue::Number((*amount).into()),
        FieldValue::Integer(*trigger),
        FieldValue::Text(colour),
    ];
    let mut message = Vec::new();
    for (&name, value) in order.iter().filter_map(|&place| NAMES.get(place).zip(values.get(place))) {
        put_message(&mut message, 1, |entry| {
            put_bytes(entry, 1, name.as_bytes());
            put_message(entry, 2, |to| put_value(to, *value));
        });
    }
    message
}

fn put_value(to: &mut Vec<u8>, value: FieldValue<'_>) {
    match value {
        FieldValue::Number(number) => {
            to.push(0x09);
            to.extend(number.to_le_bytes());
        }
        FieldValue::Integer(integer) => {
            to.push(0x10);
            put_varint(to, integer as u64);
        }
        FieldValue::Text(text) => put_element(to, 3, text.as_bytes()),
        FieldValue::Missing => put_element(to, 4, b""),
    }
}

fn orders() -> impl Strategy<Value = [usize; 4]> {
    Just([0, 1, 2, 3]).prop_shuffle()
}

/// Decoding ends, and what it accepts is a whole row that a graph can take.
fn holds(message: &[u8]) -> Result<(), TestCaseError> {
    match (check(message), decoded(message)) {
        (Err(malformed), refused) => prop_assert_eq!(refused.err(), Some(malformed)),
        (Ok(()), Ok(Answered { request_id, blocks, .. })) => {
            prop_assert!(request_id.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!((blocks.rows, blocks.numbers.len(), blocks.integers.len()), (1, 2, 1));
            prop_assert!(blocks.numbers.iter().all(|number| !number.is_infinite()));
            let texts: Vec<_> = blocks.texts.iter().collect();
            prop_assert_eq!(texts.len(), 1);
            prop_assert!(texts.iter().all(|text| std::str::from_utf8(text).is_ok() && !text.contains(&0)));
        }
        (Ok(()), Err(refusal)) => prop_assert!(!refusal.message.is_empty()),
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(message in vec(any::<u8>(), 0..200)) {
        holds(&message)?;
    }

    #[test]
    fn any_damage_is_decoded_or_refused(
        row in rows(),
        order in orders(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut message = encoded(&row, order);
        for (place, byte) in damage {
            let place = place.index(message.len());
            message.splice(place..=place, [byte]);
        }
        message.truncate(end.map_or(message.len(), |end| end.index(message.len())));
        holds(&message)?;
    }

    #[test]
    fn a_row_arrives_as_it_was_sent_in_any_order(row in rows(), order in orders()) {
        let answered = decoded(&encoded(&row, order)).unwrap();
        let (x, amount, trigger, colour) = row;
        let bits: Vec<u32> = answered.blocks.numbers.iter().map(|number| number.to_bits()).collect();
        prop_assert_eq!(bits, [x.to_bits(), amount.to_bits()]);
        prop_assert_eq!(answered.blocks.integers, [trigger]);
        prop_assert_eq!(answered.blocks.texts.iter().collect::<Vec<_>>(), [colour.as_bytes()]);
    }

    #[test]
    fn a_response_reads_back_as_it_was_written(
        id in "[!-~]{0,128}",
        score: f32,
        decision: bool,
        (queue_ns, decode_ns, infer_ns) in any::<(i64, i64, i64)>(),
    ) {
        let mut answered = Answered { model: Some(Arc::new(info())), ..Answered::default() };
        answered.request_id.push_str(&id);
        answered.prediction.score.push(score);
        answered.prediction.decision.push(decision);
        let mut reply = Vec::new();
        let encode_ns = encode(&answered, Timings { queue_ns, decode_ns, infer_ns }, 0, &mut reply);

        let fields = fields(&reply);
        prop_assert_eq!(bytes(&fields, 1), id.as_bytes());
        prop_assert_eq!(fixed32(&fields, 2), score.to_bits());
        prop_assert_eq!(varint(&fields, 3), u64::from(decision));
        let model = self::fields(bytes(&fields, 4));
        prop_assert_eq!([1, 2, 3].map(|field| text(bytes(&model, field)).unwrap()), ["tiny", "1", "def"]);
        let timings = self::fields(bytes(&fields, 5));
        let told = [1, 2, 3, 4].map(|field| varint(&timings, field) as i64);
        prop_assert_eq!(told, [queue_ns, decode_ns, infer_ns, encode_ns]);
    }
}

type Fields<'a> = Vec<(u32, Value<'a>)>;

fn fields(message: &[u8]) -> Fields<'_> {
    let mut reader = Reader::new(message);
    std::iter::from_fn(|| reader.field().unwrap()).collect()
}

fn find<'a>(fields: &Fields<'a>, wanted: u32) -> Option<Value<'a>> {
    fields.iter().find(|(field, _)| *field == wanted).map(|&(_, value)| value)
}

fn bytes<'a>(fields: &Fields<'a>, wanted: u32) -> &'a [u8] {
    match find(fields, wanted) {
        Some(Value::Bytes(bytes)) => bytes,
        _ => &[],
    }
}

fn varint(fields: &Fields<'_>, wanted: u32) -> u64 {
    match find(fields, wanted) {
        Some(Value::Varint(value)) => value,
        _ => 0,
    }
}

fn fixed32(fields: &Fields<'_>, wanted: u32) -> u32 {
    match find(fields, wanted) {
        Some(Value::Fixed32(value)) => value,
        _ => 0,
    }
}
