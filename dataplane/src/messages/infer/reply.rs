//! The reply to ModelInfer.

use super::{Asked, Output};
use crate::messages::wire::{put_bytes, put_element, put_message, put_varint};
use crate::rows::answered::Answered;

/// What a reply takes beside its elements: names, digest, shapes and lengths.
const USUAL_BYTES: usize = 512;

/// Append a whole ModelInferResponse.
pub fn encode(answered: &Answered, asked: &Asked, reply: &mut Vec<u8>) {
    let Some(model) = answered.model.as_deref() else {
        return; // nothing is encoded before a model has answered
    };
    let prediction = &answered.prediction;
    reply.reserve(USUAL_BYTES + 4 * (prediction.score.len() + prediction.features.len()));
    put_bytes(reply, 1, model.name.as_bytes());
    put_bytes(reply, 2, model.version.as_bytes());
    put_bytes(reply, 3, answered.request_id.as_bytes());
    put_parameter(reply, b"digest", model.digest.as_bytes());
    put_explored(reply, answered);
    for &output in &asked.outputs {
        put_message(reply, 5, |tensor| {
            put_bytes(tensor, 1, output.name().as_bytes());
            put_bytes(tensor, 2, output.datatype().as_bytes());
            put_shape(tensor, output, answered.blocks.rows, model.features);
            if !asked.raw {
                put_message(tensor, 5, |contents| put_contents(contents, output, answered));
            }
        });
    }
    if asked.raw {
        for &output in &asked.outputs {
            put_elements(reply, 6, output, answered);
        }
    }
}

/// A parameter: an entry of a map, whose value is a text.
fn put_parameter(reply: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    put_message(reply, 4, |entry| {
        put_element(entry, 1, name);
        put_message(entry, 2, |parameter| put_element(parameter, 3, value));
    });
}

/// The parameter `explored`: the numbers of the rows that are, by comma; left out where none is.
fn put_explored(reply: &mut Vec<u8>, answered: &Answered) {
    let explored = (0..answered.propensity.len()).filter(|&row| answered.explored(row));
    let rows = explored.map(|row| row.to_string()).collect::<Vec<_>>().join(",");
    if !rows.is_empty() {
        put_parameter(reply, b"explored", rows.as_bytes());
    }
}

fn put_shape(tensor: &mut Vec<u8>, output: Output, rows: usize, features: usize) {
    put_message(tensor, 3, |sizes| {
        put_varint(sizes, rows as u64);
        if output == Output::Features {
            put_varint(sizes, features as u64);
        }
    });
}

/// The elements in the packed field of their type, whose bytes are the same as the raw ones.
fn put_contents(contents: &mut Vec<u8>, output: Output, answered: &Answered) {
    let prediction = &answered.prediction;
    let (field, count) = match output {
        Output::Score => (6, prediction.score.len()),
        Output::Decision => (1, prediction.decision.len()),
        Output::Features => (6, prediction.features.len()),
    };
    if count > 0 {
        put_elements(contents, field, output, answered);
    }
}

fn put_elements(to: &mut Vec<u8>, field: u32, output: Output, answered: &Answered) {
    let prediction = &answered.prediction;
    match output {
        Output::Score => put_floats(to, field, &prediction.score),
        Output::Features => put_floats(to, field, &prediction.features),
        Output::Decision => {
            put_head(to, field, prediction.decision.len());
            to.extend(answered.taken().map(u8::from));
        }
    }
}

fn put_floats(to: &mut Vec<u8>, field: u32, values: &[f32]) {
    put_head(to, field, size_of_val(values));
    let start = to.len();
    to.resize(start + size_of_val(values), 0);
    let (places, _) = to.get_mut(start..).unwrap_or_default().as_chunks_mut();
    for (place, value) in places.iter_mut().zip(values) {
        *place = value.to_le_bytes();
    }
}

/// The tag and the length of a `bytes` or packed field, whose content comes next.
fn put_head(to: &mut Vec<u8>, field: u32, length: usize) {
    const BYTES: u32 = 2;
    put_varint(to, u64::from(field << 3 | BYTES));
    put_varint(to, length as u64);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::encode;
    use crate::messages::infer::{Asked, Output};
    use crate::rows::answered::{Answered, ModelInfo, Prediction};
    use crate::rows::blocks::Blocks;
    use crate::signature::Signature;

    fn answered() -> Answered {
        let signature = Signature::new(Vec::new(), String::new());
        let (name, version, digest) = ("m".into(), "1".into(), "d".into());
        let model = ModelInfo { name, version, digest, signature, features: 1 };
        let (score, decision, features) = (vec![0.0, 1.0], vec![true, false], vec![-0.0, 2.0]);
        Answered {
            model: Some(Arc::new(model)),
            request_id: "i".into(),
            blocks: Blocks { rows: 2, ..Blocks::default() },
            prediction: Prediction { features, score, decision, ..Prediction::default() },
            ..Answered::default()
        }
    }

    fn encoded(answered: &Answered, outputs: &[Output], raw: bool) -> Vec<u8> {
        let mut reply = Vec::new();
        encode(answered, &Asked { outputs: outputs.into(), raw, role: None }, &mut reply);
        reply
    }

    const HEAD: &[u8] = b"\x0a\x01m\x12\x011\x1a\x01i\x22\x0d\x0a\x06digest\x12\x03\x1a\x01d";

    #[test]
    fn typed_elements_are_in_their_tensor() {
        let tensors = b"\x2a\x19\x0a\x08decision\x12\x04BOOL\x1a\x01\x02\x2a\x04\x0a\x02\x01\x00\
            \x2a\x20\x0a\x08features\x12\x04FP32\x1a\x02\x02\x01\x2a\x0a\x32\x08\0\0\0\x80\0\0\0\x40";
        let reply = encoded(&answered(), &[Output::Decision, Output::Features], false);
        assert_eq!(reply, [HEAD, tensors].concat());
    }

    #[test]
    fn raw_elements_follow_all_tensors() {
        let tensors = b"\x2a\x10\x0a\x05score\x12\x04FP32\x1a\x01\x02\x2a\x13\x0a\x08decision\x12\x04BOOL\
            \x1a\x01\x02\x32\x08\0\0\0\0\0\0\x80\x3f\x32\x02\x01\x00";
        let reply = encoded(&answered(), &[Output::Score, Output::Decision], true);
        assert_eq!(reply, [HEAD, tensors].concat());
    }

    #[test]
    fn explored_rows_get_the_other_action_and_are_numbered() {
        let explored = Answered { propensity: vec![0.02, 1.0], ..answered() };
        let reply = encoded(&explored, &[Output::Decision], true);
        let parameter = b"\x22\x0f\x0a\x08explored\x12\x03\x1a\x010";
        let tensor = b"\x2a\x13\x0a\x08decision\x12\x04BOOL\x1a\x01\x02\x32\x02\x00\x00";
        assert_eq!(reply, [HEAD, parameter, tensor].concat());
    }

    #[test]
    fn without_a_model_there_is_no_reply() {
        assert_eq!(encoded(&Answered::default(), &[Output::Score], true), b"");
    }
}
