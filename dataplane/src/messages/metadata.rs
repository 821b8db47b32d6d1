//! The Open Inference Protocol's calls beside ModelInfer: is it there, is it ready, what does it take.

use crate::messages::infer::Output;
use crate::messages::wire::{
    Malformed, Reader, Value, put_bytes, put_element, put_integer, put_message, put_varint, text,
};
use crate::python_text::{ascii, first_characters};
use crate::refusal::{Refusal, Status};
use crate::rows::answered::ModelInfo;
use crate::signature::Kind;

const MAX_SHOWN: usize = 128; // characters of a caller's model name or version in an error message
const ANY_NUMBER: i64 = -1;

/// Answer, which is the answer.
pub fn server_live(message: &[u8], reply: &mut Vec<u8>) -> Result<(), Refusal> {
    check_empty(message)?;
    put_integer(reply, 1, 1);
    Ok(())
}

/// Tell whether a champion is deployed.
pub fn server_ready(message: &[u8], deployed: bool, reply: &mut Vec<u8>) -> Result<(), Refusal> {
    check_empty(message)?;
    put_integer(reply, 1, u64::from(deployed));
    Ok(())
}

/// Tell whether this model is the champion.
pub fn model_ready(message: &[u8], champion: Option<&ModelInfo>, reply: &mut Vec<u8>) -> Result<(), Refusal> {
    let asked = ModelName::read(message)?;
    put_integer(reply, 1, u64::from(champion.is_some_and(|model| asked.names(model))));
    Ok(())
}

/// Name the server.
pub fn server_metadata(message: &[u8], version: &str, reply: &mut Vec<u8>) -> Result<(), Refusal> {
    check_empty(message)?;
    put_bytes(reply, 1, b"model-sidecar");
    put_bytes(reply, 2, version.as_bytes());
    Ok(())
}

/// List the champion's inputs and outputs.
pub fn model_metadata(
    message: &[u8],
    champion: Option<&ModelInfo>,
    reply: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let asked = ModelName::read(message)?;
    let model = champion.ok_or_else(nothing_deployed)?;
    asked.check(model)?;
    put_bytes(reply, 1, model.name.as_bytes());
    put_element(reply, 2, model.version.as_bytes());
    put_bytes(reply, 3, b"onnxruntime");
    for field in model.signature.fields() {
        put_tensor(reply, 4, &field.name, preferred(field.kind), &[ANY_NUMBER]);
    }
    for output in [Output::Score, Output::Decision, Output::Features] {
        let shape = [ANY_NUMBER, model.features as i64];
        let axes = if output == Output::Features { 2 } else { 1 };
        put_tensor(reply, 5, output.name(), output.datatype(), shape.get(..axes).unwrap_or_default());
    }
    Ok(())
}

/// What a caller is told while no model answers.
pub fn nothing_deployed() -> Refusal {
    Refusal::new(Status::FailedPrecondition, "no model is deployed; promote one, then call again")
}

/// The model that a caller means.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelName<'a> {
    /// The task's name.
    pub name: &'a str,
    /// The version's name, empty for any.
    pub version: &'a str,
}

impl<'a> ModelName<'a> {
    /// Read a ModelReadyRequest or ModelMetadataRequest.
    fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut model = Self::default();
        let mut reader = Reader::new(message);
        while let Some(field) = reader.field()? {
            match field {
                (1, Value::Bytes(name)) => model.name = text(name)?,
                (2, Value::Bytes(version)) => model.version = text(version)?,
                _ => {}
            }
        }
        Ok(model)
    }

    /// Whether it is this model.
    #[inline]
    fn names(&self, model: &ModelInfo) -> bool {
        self.name == model.name && (self.version.is_empty() || self.version == model.version)
    }

    /// Refuse if it is not this model.
    #[inline]
    pub fn check(&self, model: &ModelInfo) -> Result<(), Refusal> {
        if self.names(model) { Ok(()) } else { Err(self.not_deployed(model)) }
    }

    #[cold]
    fn not_deployed(&self, deployed: &ModelInfo) -> Refusal {
        let [name, version] = [self.name, self.version].map(|text| ascii(first_characters(text, MAX_SHOWN)));
        let ModelInfo { name: deployed_name, version: deployed_version, .. } = deployed;
        let message =
            format!("model {name}/{version} is not deployed; {deployed_name}/{deployed_version} is");
        Refusal::new(Status::NotFound, message)
    }
}

/// Take any message that has no known fields.
fn check_empty(message: &[u8]) -> Result<(), Malformed> {
    Reader::new(message).skip_all()
}

/// The datatype that is advertised for a kind of field.
const fn preferred(kind: Kind) -> &'static str {
    match kind {
        Kind::Number => "FP32",
        Kind::Integer => "INT64",
        Kind::Text => "BYTES",
    }
}

fn put_tensor(reply: &mut Vec<u8>, field: u32, name: &str, datatype: &str, shape: &[i64]) {
    put_message(reply, field, |tensor| {
        put_bytes(tensor, 1, name.as_bytes());
        put_bytes(tensor, 2, datatype.as_bytes());
        put_message(tensor, 3, |sizes| shape.iter().for_each(|&size| put_varint(sizes, size as u64)));
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{model_metadata, model_ready, server_live, server_metadata};
    use crate::refusal::Status;
    use crate::rows::answered::ModelInfo;
    use crate::signature::{Field, Kind, Signature};

    fn champion() -> ModelInfo {
        let name = "x".to_owned();
        let (missing_allowed, lower, upper, reject_outside) = (false, None, None, true);
        let field = Field { name, kind: Kind::Integer, missing_allowed, lower, upper, reject_outside };
        let signature = Signature::new(vec![field], String::new());
        let [name, version, digest] = ["m", "1", "d"].map(String::from);
        ModelInfo { name, version, digest, signature, features: 2 }
    }

    #[test]
    fn a_model_is_ready_in_its_version_or_any() {
        for (request, expected) in [
            (&b"\x0a\x01m"[..], &b"\x08\x01"[..]),
            (b"\x0a\x01m\x12\x011", b"\x08\x01"),
            (b"\x0a\x01m\x12\x012", b""),
            (b"\x12\x011", b""),
        ] {
            let mut reply = Vec::new();
            model_ready(request, Some(&champion()), &mut reply).unwrap();
            assert_eq!(reply, expected);
        }
    }

    #[test]
    fn metadata_lists_tensors() {
        const ANY: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        let mut reply = Vec::new();
        model_metadata(b"\x0a\x01m", Some(&champion()), &mut reply).unwrap();
        let expected = [
            &b"\x0a\x01m\x12\x011\x1a\x0bonnxruntime\x22\x16\x0a\x01x\x12\x05INT64\x1a\x0a"[..],
            ANY,
            b"\x2a\x19\x0a\x05score\x12\x04FP32\x1a\x0a",
            ANY,
            b"\x2a\x1c\x0a\x08decision\x12\x04BOOL\x1a\x0a",
            ANY,
            b"\x2a\x1d\x0a\x08features\x12\x04FP32\x1a\x0b",
            ANY,
            b"\x02",
        ];
        assert_eq!(reply, expected.concat());
    }

    #[test]
    fn only_the_champion_has_metadata() {
        let mut reply = Vec::new();
        let refused = model_metadata(b"\x0a\x01m", None, &mut reply).unwrap_err();
        assert_eq!(refused.status, Status::FailedPrecondition);
        let refused =
            model_metadata("\x0a\x03n\u{e9}".as_bytes(), Some(&champion()), &mut reply).unwrap_err();
        assert_eq!(refused.status, Status::NotFound);
        assert_eq!(refused.message, "model 'n\\xe9'/'' is not deployed; m/1 is");
    }

    #[test]
    fn the_server_names_itself() {
        let mut reply = Vec::new();
        server_live(b"\x08\x01", &mut reply).unwrap(); // an unknown field is none of its business
        assert_eq!(reply, b"\x08\x01");
        assert!(server_live(b"\x08", &mut reply).is_err());
        reply.clear();
        server_metadata(b"", "0.2", &mut reply).unwrap();
        assert_eq!(reply, b"\x0a\x0dmodel-sidecar\x12\x030.2");
    }
}
