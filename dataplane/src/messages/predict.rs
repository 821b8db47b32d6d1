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
mod tests;
