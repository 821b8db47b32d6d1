//! ModelInfer of the Open Inference Protocol: rows as one tensor for each raw field in, their scores out.

mod reply;

use smallvec::SmallVec;

use crate::canary::Role;
use crate::messages::metadata::{Deployed, ModelName};
use crate::messages::request_id::{MAX_LENGTH, check_request_id};
use crate::messages::tensors::{INPUTS, Inputs, read_parameter};
use crate::messages::wire::{Malformed, Reader, Value, text};
use crate::python_text::{ascii, first_characters};
use crate::refusal::Refusal;
use crate::rows::answered::Answered;
use crate::signature::Signature;

pub use reply::encode;

const ID_SHOWN: usize = 16;

/// An output tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// `[rows]`.
    Score,
    /// `[rows]`.
    Decision,
    /// `[rows, features]`; only when asked for.
    Features,
}

impl Output {
    /// The name the caller uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Decision => "decision",
            Self::Features => "features",
        }
    }

    /// The protocol's name of its elements' type.
    pub const fn datatype(self) -> &'static str {
        match self {
            Self::Score | Self::Features => "FP32",
            Self::Decision => "BOOL",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Score, Self::Decision, Self::Features].into_iter().find(|output| output.name() == name)
    }
}

/// Output tensors in order, none of them twice.
type Outputs = SmallVec<[Output; 3]>;

/// How a call wants to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which outputs, in this order.
    pub outputs: Outputs,
    /// Whether their elements travel raw, as the request's did.
    pub raw: bool,
    /// Who has the version that the call names; `None` where it names none, so that its id draws.
    pub role: Option<Role>,
}

/// Refuse what is no ModelInferRequest at all; says nothing of what is in it.
pub fn check(message: &[u8]) -> Result<(), Refusal> {
    let nothing = Signature::new(Vec::new(), String::new());
    Request::new(message, &nothing).read(message).map_err(Refusal::from)
}

/// Check a ModelInferRequest and pack its rows.
///
/// `into` is a cleared one. It gets the rows and the caller's request id (none when none was sent), to which
/// `check_row_ids` is still to be applied.
pub fn decode(
    message: &[u8],
    deployed: Deployed<'_>,
    max_rows: usize,
    into: &mut Answered,
) -> Result<Asked, Refusal> {
    let signature = &deployed.champion.signature;
    let mut request = Request::new(message, signature);
    request.read(message)?;
    let role = request.model.find(deployed)?;
    let outputs = request.outputs.checked()?;
    request.inputs.pack(signature, max_rows, &mut into.blocks)?;
    if !request.id.is_empty() {
        check_request_id(request.id)?;
        into.request_id.push_str(request.id);
    }
    Ok(Asked { outputs, raw: request.inputs.raw(), role })
}

/// Refuse an id that leaves no room for `/row`, when there are several rows.
pub fn check_row_ids(request_id: &str, rows: usize) -> Result<(), Refusal> {
    let digits = rows.saturating_sub(1).checked_ilog10().unwrap_or(0) as usize + 1;
    if rows == 1 || request_id.len() + 1 + digits <= MAX_LENGTH {
        return Ok(());
    }
    let shown = first_characters(request_id, ID_SHOWN);
    Err(Refusal::invalid(format!("id {shown}... leaves no room for a row's number; send a shorter one")))
}

/// A well-formed ModelInferRequest.
struct Request<'a> {
    model: ModelName<'a>,
    id: &'a str,
    inputs: Inputs<'a>,
    outputs: AskedFor<'a>,
}

impl<'a> Request<'a> {
    /// Nothing read yet. Reading fills it in place, since it is too large to be moved about.
    #[inline]
    fn new(message: &'a [u8], signature: &Signature) -> Self {
        Self {
            model: ModelName::default(),
            id: "",
            inputs: Inputs::new(Reader::new(message), signature),
            outputs: AskedFor::default(),
        }
    }

    fn read(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(message);
        while let Some(field) = reader.field()? {
            match field {
                (1, Value::Bytes(name)) => self.model.name = text(name)?,
                (2, Value::Bytes(version)) => self.model.version = text(version)?,
                (3, Value::Bytes(id)) => self.id = text(id)?,
                (4, Value::Bytes(entry)) => read_parameter(reader.nested(entry))?,
                (INPUTS, Value::Bytes(input)) => self.inputs.add(reader.nested(input))?,
                (6, Value::Bytes(output)) => self.outputs.add(reader.nested(output))?,
                (7, Value::Bytes(raw)) => self.inputs.add_raw(raw),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The outputs that a request names.
#[derive(Default)]
struct AskedFor<'a> {
    known: Outputs,
    unknown: Option<&'a str>,
    twice: bool,
}

impl<'a> AskedFor<'a> {
    fn add(&mut self, mut reader: Reader<'a>) -> Result<(), Malformed> {
        let mut name = "";
        while let Some(field) = reader.field()? {
            match field {
                (1, Value::Bytes(bytes)) => name = text(bytes)?,
                (2, Value::Bytes(entry)) => read_parameter(reader.nested(entry))?,
                _ => {}
            }
        }
        match Output::named(name) {
            None => self.unknown = self.unknown.or(Some(name)),
            Some(output) if self.known.contains(&output) => self.twice = true,
            Some(output) => self.known.push(output),
        }
        Ok(())
    }

    fn checked(self) -> Result<Outputs, Refusal> {
        if let Some(name) = self.unknown {
            let name = ascii(name);
            return Err(Refusal::invalid(format!(
                "there is no output {name}; ask for score, decision, features"
            )));
        }
        if self.twice {
            return Err(Refusal::invalid("an output is asked for twice; ask for each once"));
        }
        if self.known.is_empty() {
            return Ok(Outputs::from_slice(&[Output::Score, Output::Decision]));
        }
        Ok(self.known)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{AskedFor, Output, check, check_row_ids};
    use crate::messages::wire::{Reader, put_bytes};

    fn asked_for(names: &[&str]) -> Result<Vec<Output>, String> {
        let messages: Vec<Vec<u8>> = names
            .iter()
            .map(|name| {
                let mut message = Vec::new();
                put_bytes(&mut message, 1, name.as_bytes());
                message
            })
            .collect();
        let mut asked = AskedFor::default();
        messages.iter().for_each(|message| asked.add(Reader::new(message)).unwrap());
        asked.checked().map(|outputs| outputs.to_vec()).map_err(|refusal| refusal.message)
    }

    #[test]
    fn outputs_keep_their_order() {
        assert_eq!(asked_for(&[]), Ok(vec![Output::Score, Output::Decision]));
        let all = ["features", "decision", "score"];
        assert_eq!(asked_for(&all), Ok(vec![Output::Features, Output::Decision, Output::Score]));
    }

    #[test]
    fn an_unknown_output_is_told_before_one_given_twice() {
        let unknown = |name| Err(format!("there is no output {name}; ask for score, decision, features"));
        assert_eq!(asked_for(&["score", "score", "no", "nor"]), unknown("'no'"));
        assert_eq!(asked_for(&[""]), unknown("''"));
        let twice = "an output is asked for twice; ask for each once";
        assert_eq!(asked_for(&["score", "decision", "score"]), Err(twice.to_owned()));
    }

    #[test]
    fn several_rows_need_room_for_their_numbers() {
        let fits = |length: usize, rows| check_row_ids(&"x".repeat(length), rows).is_ok();
        assert!(fits(128, 1));
        for (rows, longest) in [(2, 126), (10, 126), (11, 125), (100, 125), (101, 124)] {
            assert!(fits(longest, rows) && !fits(longest + 1, rows), "{rows} rows");
        }
        assert_eq!(
            check_row_ids(&"abcd".repeat(32), 2).unwrap_err().message,
            "id abcdabcdabcdabcd... leaves no room for a row's number; send a shorter one"
        );
    }

    #[test]
    fn anything_well_formed_passes_when_nothing_is_deployed() {
        assert_eq!(check(b""), Ok(()));
        assert_eq!(check(b"\x2a\x03\x0a\x01x\x3a\x00\x3a\x00"), Ok(()));
        assert!(check(b"\x2a\x03\x0a\x01\xff").is_err());
    }
}
