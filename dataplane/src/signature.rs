//! What a request must bring: named raw fields. Checks say what `sidecar/signature.py` says, word for word.

mod check;
mod names;

use crate::close_match::close_match;
use crate::python_text::{ascii, first_characters};
use crate::refusal::Refusal;
use names::Names;

const MAX_SHOWN: usize = 64; // characters of a caller's field name in an error message

/// The kind of a raw field, which decides the block it is packed into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// float32; NaN stands for missing.
    Number,
    /// int64; cannot be missing.
    Integer,
    /// UTF-8; "" stands for missing.
    Text,
}

/// One raw field of a record.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name the caller uses.
    pub name: String,
    /// Decides the block.
    pub kind: Kind,
    /// Whether the field may have no value.
    pub missing_allowed: bool,
    /// Least value that is taken.
    pub lower: Option<f64>,
    /// Greatest value that is taken.
    pub upper: Option<f64>,
    /// Whether a number outside its bounds is refused (else the graph treats it as missing).
    pub reject_outside: bool,
}

/// One raw value as the caller sent it, not yet checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// The field has no value in this record.
    Missing,
    /// A real number; NaN means missing.
    Number(f64),
    /// A whole number.
    Integer(i64),
    /// Text; the empty one means missing.
    Text(&'a str),
}

/// The raw fields of a task, in order.
#[derive(Debug)]
pub struct Signature {
    fields: Vec<Field>,
    digest: String,
    names: Names,
    packing: Vec<usize>,
}

impl Signature {
    /// The digest is the one that Python computed.
    pub fn new(fields: Vec<Field>, digest: String) -> Self {
        let names = Names::new(fields.iter().map(|field| field.name.as_str()));
        let mut packing: Vec<usize> = (0..fields.len()).collect();
        packing.sort_by_key(|&index| fields.get(index).map(|field| field.kind as u8));
        Self { fields, digest, names, packing }
    }

    /// The fields in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// SHA-256 in hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The place in `fields` of the field with this name.
    #[inline]
    pub fn position(&self, name: &[u8]) -> Option<usize> {
        self.names.position(name)
    }

    /// Places in `fields` in the order of the blocks: numbers, integers, texts.
    pub fn packing(&self) -> &[usize] {
        &self.packing
    }

    /// A caller's field that is not in the signature.
    #[cold]
    pub fn unknown(&self, name: &str) -> Refusal {
        let shown = first_characters(name, MAX_SHOWN);
        let hint = match close_match(shown, self.fields.iter().map(|field| field.name.as_str())) {
            Some(near) => format!("did you mean '{near}'?"),
            None => "remove it".to_owned(),
        };
        Refusal::invalid(format!("field {} is not in the signature; {hint}", ascii(shown)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::{Field, Kind, Signature};

    fn field(name: &str, kind: Kind) -> Field {
        let name = name.to_owned();
        Field { name, kind, missing_allowed: false, lower: None, upper: None, reject_outside: true }
    }

    fn signature() -> Signature {
        let fields = vec![
            field("colour", Kind::Text),
            field("x", Kind::Number),
            field("trigger", Kind::Integer),
            field("amount", Kind::Number),
        ];
        Signature::new(fields, "ab".repeat(32))
    }

    #[test]
    fn blocks_are_packed_by_kind_in_the_signatures_order() {
        let signature = signature();
        let packed: Vec<&str> =
            signature.packing().iter().map(|&index| signature.fields()[index].name.as_str()).collect();
        assert_eq!(packed, ["x", "amount", "trigger", "colour"]);
        assert_eq!(signature.position(b"amount"), Some(3));
        assert_eq!(signature.position(b"amounts"), None);
    }

    #[test]
    fn an_unknown_name_is_cut_and_another_one_proposed() {
        let unknown = |name: &str| signature().unknown(name).message;
        assert_eq!(unknown("amout"), "field 'amout' is not in the signature; did you mean 'amount'?");
        assert_eq!(unknown("é'"), "field \"\\xe9'\" is not in the signature; remove it");
        assert_eq!(unknown(""), "field '' is not in the signature; remove it");
        assert_eq!(
            unknown(&"é".repeat(1_000_000)),
            format!("field '{}' is not in the signature; remove it", "\\xe9".repeat(64))
        );
    }
}
