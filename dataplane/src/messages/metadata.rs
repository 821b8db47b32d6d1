//! The Open Inference Protocol's calls beside ModelInfer: is it there, is it ready, what does it take.

use crate::canary::Role;
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

/// Tell whether this model answers calls.
pub fn model_ready(
    message: &[u8],
    deployed: Option<Deployed<'_>>,
    reply: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let asked = ModelName::read(message)?;
    put_integer(reply, 1, u64::from(deployed.is_some_and(|deployed| asked.find(deployed).is_ok())));
    Ok(())
}

/// Name the server.
pub fn server_metadata(message: &[u8], version: &str, reply: &mut Vec<u8>) -> Result<(), Refusal> {
    check_empty(message)?;
    put_bytes(reply, 1, b"model-sidecar");
    put_bytes(reply, 2, version.as_bytes());
    Ok(())
}

/// List the inputs and outputs of the champion, or of the canary when its version is named.
pub fn model_metadata(
    message: &[u8],
    deployed: Option<Deployed<'_>>,
    reply: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let asked = ModelName::read(message)?;
    let deployed = deployed.ok_or_else(nothing_deployed)?;
    let model = match (asked.find(deployed)?, deployed.canary) {
        (Some(Role::Canary), Some(canary)) => canary,
        _ => deployed.champion,
    };
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

/// The models that answer, as callers may name them.
#[derive(Clone, Copy, Debug)]
pub struct Deployed<'a> {
    /// The one that is meant where no version is named.
    pub champion: &'a ModelInfo,
    /// Takes the same fields as the champion.
    pub canary: Option<&'a ModelInfo>,
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

    /// Which of the models has the version that is named, `None` where none is; refuse what is not deployed.
    #[inline]
    pub fn find(&self, deployed: Deployed<'_>) -> Result<Option<Role>, Refusal> {
        let Deployed { champion, canary } = deployed;
        if self.version.is_empty() && self.name == champion.name {
            Ok(None)
        } else if self.names(champion) {
            Ok(Some(Role::Champion))
        } else if canary.is_some_and(|canary| self.names(canary)) {
            Ok(Some(Role::Canary))
        } else {
            Err(self.not_deployed(deployed))
        }
    }

    fn names(&self, model: &ModelInfo) -> bool {
        self.name == model.name && self.version == model.version
    }

    #[cold]
    fn not_deployed(&self, deployed: Deployed<'_>) -> Refusal {
        let [name, version] = [self.name, self.version].map(|text| ascii(first_characters(text, MAX_SHOWN)));
        let shown = |model: &ModelInfo| format!("{}/{}", model.name, model.version);
        let champion = shown(deployed.champion);
        let are = deployed
            .canary
            .map_or(format!("{champion} is"), |canary| format!("{champion} and {} are", shown(canary)));
        Refusal::new(Status::NotFound, format!("model {name}/{version} is not deployed; {are}"))
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
    use super::{Deployed, ModelName, model_metadata, model_ready, server_live, server_metadata};
    use crate::canary::Role;
    use crate::refusal::Status;
    use crate::rows::answered::ModelInfo;
    use crate::signature::{Field, Kind, Signature};

    fn model(version: &str, features: usize) -> ModelInfo {
        let name = "x".to_owned();
        let (missing_allowed, lower, upper, reject_outside) = (false, None, None, true);
        let field = Field { name, kind: Kind::Integer, missing_allowed, lower, upper, reject_outside };
        let signature = Signature::new(vec![field], String::new());
        let [name, version, digest] = ["m", version, "d"].map(String::from);
        ModelInfo { name, version, digest, signature, features }
    }

    fn champion() -> ModelInfo {
        model("1", 2)
    }

    const fn alone(champion: &ModelInfo) -> Option<Deployed<'_>> {
        Some(Deployed { champion, canary: None })
    }

    #[test]
    fn a_version_names_the_champion_or_the_canary_and_none_is_for_the_draw() {
        let (champion, canary) = (champion(), model("2", 2));
        let both = Deployed { champion: &champion, canary: Some(&canary) };
        let found = |name, version| ModelName { name, version }.find(both);
        assert_eq!(found("m", ""), Ok(None));
        assert_eq!(found("m", "1"), Ok(Some(Role::Champion)));
        assert_eq!(found("m", "2"), Ok(Some(Role::Canary)));
        let alone = Deployed { champion: &champion, canary: None };
        assert!(ModelName { name: "m", version: "2" }.find(alone).is_err());
        for (name, version) in [("m", "3"), ("n", ""), ("n", "2")] {
            let told = format!("model '{name}'/'{version}' is not deployed; m/1 and m/2 are");
            assert_eq!(found(name, version).unwrap_err().message, told);
        }
    }

    #[test]
    fn a_canary_is_ready_and_described_by_its_version() {
        let (champion, canary) = (champion(), model("2", 5));
        let both = Some(Deployed { champion: &champion, canary: Some(&canary) });
        let described = |message: &[u8], deployed| {
            let mut reply = Vec::new();
            model_metadata(message, deployed, &mut reply).unwrap();
            reply
        };
        assert_eq!(described(b"\x0a\x01m\x12\x012", both), described(b"\x0a\x01m", alone(&canary)));
        for message in [&b"\x0a\x01m"[..], b"\x0a\x01m\x12\x011"] {
            assert_eq!(described(message, both), described(message, alone(&champion)));
        }
        let mut reply = Vec::new();
        model_ready(b"\x0a\x01m\x12\x012", both, &mut reply).unwrap();
        assert_eq!(reply, b"\x08\x01");
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
            model_ready(request, alone(&champion()), &mut reply).unwrap();
            assert_eq!(reply, expected);
        }
    }

    #[test]
    fn metadata_lists_tensors() {
        const ANY: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        let mut reply = Vec::new();
        model_metadata(b"\x0a\x01m", alone(&champion()), &mut reply).unwrap();
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
    fn what_is_not_deployed_has_no_metadata() {
        let mut reply = Vec::new();
        let refused = model_metadata(b"\x0a\x01m", None, &mut reply).unwrap_err();
        assert_eq!(refused.status, Status::FailedPrecondition);
        let refused =
            model_metadata("\x0a\x03n\u{e9}".as_bytes(), alone(&champion()), &mut reply).unwrap_err();
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
