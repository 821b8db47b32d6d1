//! Input tensors of the Open Inference Protocol, typed and raw, as columns of the blocks.
//!
//! Checks in the order of `read_columns` and `Signature.pack_columns` of the Python engine.

mod columns;
mod datatype;
mod elements;

use std::collections::HashSet;

use smallvec::{SmallVec, smallvec};

use crate::messages::wire::{Malformed, Reader, Value, text};
use crate::python_text::{ascii, first_characters};
use crate::refusal::Refusal;
use crate::rows::blocks::Blocks;
use crate::signature::{Field, Kind, Signature};
use datatype::Datatype;
use elements::{CONTENTS, Elements, check_contents};

const DATATYPE_SHOWN: usize = 16; // characters of a caller's datatype in an error message
const AXES_SHOWN: usize = 8;

/// The field of a ModelInferRequest that holds the input tensors.
pub const INPUTS: u32 = 5;

/// Requests with so many inputs are decoded on the stack.
const FEW: usize = 16;

/// The inputs of a request: well-formed, all else unchecked.
pub struct Inputs<'a> {
    request: Reader<'a>,
    tensors: SmallVec<[Tensor<'a>; FEW]>,
    raws: SmallVec<[&'a [u8]; FEW]>,
    /// How many the request has; those beyond the number of fields are counted and not kept.
    given: usize,
    raws_given: usize,
    most: usize,
}

impl<'a> Inputs<'a> {
    /// None yet; `request` is at the start of the message.
    #[inline]
    pub fn new(request: Reader<'a>, signature: &Signature) -> Self {
        let most = signature.fields().len();
        Self { request, tensors: SmallVec::new(), raws: SmallVec::new(), given: 0, raws_given: 0, most }
    }

    /// Take an InferInputTensor.
    #[inline]
    pub fn add(&mut self, reader: Reader<'a>) -> Result<(), Malformed> {
        let tensor = Tensor::read(reader)?;
        if self.given < self.most {
            self.tensors.push(tensor);
        }
        self.given += 1;
        Ok(())
    }

    /// Take an element of `raw_input_contents`.
    #[inline]
    pub fn add_raw(&mut self, raw: &'a [u8]) {
        if self.raws_given < self.most {
            self.raws.push(raw);
        }
        self.raws_given += 1;
    }

    /// Whether the elements came raw.
    pub const fn raw(&self) -> bool {
        self.raws_given > 0
    }

    /// Check all inputs against the signature and pack them into `blocks`, which are empty.
    pub fn pack(&self, signature: &Signature, max_rows: usize, blocks: &mut Blocks) -> Result<(), Refusal> {
        if self.raw() && self.raws_given != self.given {
            return Err(Refusal::invalid(format!(
                "{} raw_input_contents for {} inputs; send one for each",
                self.raws_given, self.given
            )));
        }
        let Some(places) = self.places(signature) else {
            return Err(self.misfit(signature).unwrap_or_else(Refusal::from));
        };
        let rows = self.tensors.first().map_or(Ok(0), Tensor::rows)?;
        if rows > max_rows {
            return Err(Refusal::invalid(format!("{rows} rows in one call; send at most {max_rows}")));
        }
        let mut sources: SmallVec<[Option<Elements<'a>>; FEW]> = smallvec![None; places.len()];
        let mut raws = self.raws.iter();
        for (tensor, &place) in self.tensors.iter().zip(&places) {
            if let (Some(field), Some(source)) = (signature.fields().get(place), sources.get_mut(place)) {
                *source = Some(tensor.elements(field, raws.next().copied(), rows)?);
            }
        }
        columns::pack(signature, &sources, rows, blocks)
    }

    /// For each tensor the place of its field; none unless every field has one tensor and there is no other.
    fn places(&self, signature: &Signature) -> Option<SmallVec<[usize; FEW]>> {
        let mut places = SmallVec::new();
        let mut taken: SmallVec<[bool; FEW]> = smallvec![false; self.most];
        for tensor in &self.tensors {
            let place = signature.position(tensor.name.as_bytes())?;
            if std::mem::replace(taken.get_mut(place)?, true) {
                return None;
            }
            places.push(place);
        }
        (self.given == self.most).then_some(places)
    }

    /// What is wrong with the inputs' names, those that were not kept included.
    #[cold]
    fn misfit(&self, signature: &Signature) -> Result<Refusal, Malformed> {
        let mut names = HashSet::new();
        let mut unknown = None;
        let mut reader = self.request;
        while let Some(field) = reader.field()? {
            let (INPUTS, Value::Bytes(input)) = field else { continue };
            let name = Tensor::read(reader.nested(input))?.name;
            if !names.insert(name) {
                return Ok(Refusal::invalid("an input is given twice; send one for each field"));
            }
            if signature.position(name.as_bytes()).is_none() {
                unknown = unknown.or(Some(name));
            }
        }
        if let Some(name) = unknown {
            return Ok(signature.unknown(name));
        }
        let left_out = signature.fields().iter().find(|field| !names.contains(field.name.as_str()));
        left_out.map(Field::left_out).ok_or(Malformed)
    }
}

/// An input tensor: well-formed, all else unchecked.
struct Tensor<'a> {
    name: &'a str,
    datatype: &'a str,
    shape: Shape,
    has_contents: bool,
    message: Reader<'a>,
}

impl<'a> Tensor<'a> {
    fn read(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let shape = Shape::default();
        let mut tensor = Self { name: "", datatype: "", shape, has_contents: false, message: reader };
        while let Some(field) = reader.field()? {
            match field {
                (1, Value::Bytes(name)) => tensor.name = text(name)?,
                (2, Value::Bytes(datatype)) => tensor.datatype = text(datatype)?,
                (3, Value::Varint(size)) => tensor.shape.add(size),
                (3, Value::Bytes(packed)) => {
                    let mut sizes = reader.nested(packed);
                    while !sizes.is_empty() {
                        tensor.shape.add(sizes.varint()?);
                    }
                }
                (4, Value::Bytes(entry)) => read_parameter(reader.nested(entry))?,
                (CONTENTS, Value::Bytes(contents)) => {
                    tensor.has_contents = true;
                    check_contents(reader.nested(contents))?;
                }
                _ => {}
            }
        }
        Ok(tensor)
    }

    #[inline]
    fn rows(&self) -> Result<usize, Refusal> {
        match self.shape {
            Shape { axes: 1, rows, .. } | Shape { axes: 2, rows, columns: 1 } if rows >= 1 => {
                Ok(rows as usize)
            }
            _ => Err(self.other_shape()),
        }
    }

    #[cold]
    fn other_shape(&self) -> Refusal {
        let mut shape = Vec::with_capacity(AXES_SHOWN);
        let read = each_size(self.message, |size| {
            if shape.len() < AXES_SHOWN {
                shape.push(size);
            }
        });
        read.map_or_else(Refusal::from, |()| {
            Refusal::invalid(format!(
                "field '{}' has shape {shape:?}; send [rows] or [rows, 1], rows at least 1",
                self.name
            ))
        })
    }

    /// Its elements, as many as there are rows, texts among them in UTF-8.
    fn elements(&self, field: &Field, raw: Option<&'a [u8]>, rows: usize) -> Result<Elements<'a>, Refusal> {
        let name = self.name;
        let own_rows = self.rows()?;
        if own_rows != rows {
            return Err(Refusal::invalid(format!("field '{name}' has {own_rows} rows, others have {rows}")));
        }
        let Some(datatype) = Datatype::named(self.datatype).filter(|datatype| datatype.fits(field.kind))
        else {
            return Err(self.other_datatype(field));
        };
        let Some(raw) = raw else {
            return Elements::typed(datatype, self.message).checked(name, rows);
        };
        if self.has_contents {
            return Err(Refusal::invalid(format!(
                "field '{name}' has contents and raw contents; send one of the two"
            )));
        }
        Elements::raw(datatype, raw).checked(name, rows)
    }

    #[cold]
    fn other_datatype(&self, field: &Field) -> Refusal {
        let accepted = match field.kind {
            Kind::Number => "FP32 or FP64 or INT16 or INT32 or INT64 or INT8",
            Kind::Integer => "INT16 or INT32 or INT64 or INT8",
            Kind::Text => "BYTES",
        };
        let sent = ascii(first_characters(self.datatype, DATATYPE_SHOWN));
        Refusal::invalid(format!("field '{}' has datatype {sent}; send {accepted}", self.name))
    }
}

/// The sizes of a tensor's axes, as far as they can be right.
#[derive(Clone, Copy, Default)]
struct Shape {
    axes: usize,
    rows: i64,
    columns: i64,
}

impl Shape {
    #[inline]
    const fn add(&mut self, size: u64) {
        match self.axes {
            0 => self.rows = size as i64,
            1 => self.columns = size as i64,
            _ => {}
        }
        self.axes += 1;
    }
}

/// Call `take` with the size of each axis of a tensor.
fn each_size(mut tensor: Reader<'_>, mut take: impl FnMut(i64)) -> Result<(), Malformed> {
    while let Some(field) = tensor.field()? {
        match field {
            (3, Value::Varint(size)) => take(size as i64),
            (3, Value::Bytes(packed)) => {
                let mut sizes = tensor.nested(packed);
                while !sizes.is_empty() {
                    take(sizes.varint()? as i64);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Skip an entry of a map of parameters, which nobody uses; it has to be well-formed all the same.
pub fn read_parameter(mut entry: Reader<'_>) -> Result<(), Malformed> {
    while let Some(field) = entry.field()? {
        match field {
            (1, Value::Bytes(key)) => {
                text(key)?;
            }
            (2, Value::Bytes(value)) => {
                let mut value = entry.nested(value);
                while let Some(choice) = value.field()? {
                    if let (3, Value::Bytes(string)) = choice {
                        text(string)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::{Inputs, Tensor};
    use crate::messages::wire::{Reader, put_bytes, put_message, put_varint};
    use crate::rows::blocks::Blocks;
    use crate::signature::{Field, Kind, Signature};

    fn signature() -> Signature {
        let name = "x".to_owned();
        let (missing_allowed, lower, upper, reject_outside) = (false, None, None, true);
        let field = Field { name, kind: Kind::Number, missing_allowed, lower, upper, reject_outside };
        Signature::new(vec![field], String::new())
    }

    fn tensor(name: &str, shape: &[i64]) -> Vec<u8> {
        let mut message = Vec::new();
        put_bytes(&mut message, 1, name.as_bytes());
        put_bytes(&mut message, 2, b"FP32");
        put_message(&mut message, 3, |to| shape.iter().for_each(|&size| put_varint(to, size as u64)));
        message
    }

    fn request(tensors: &[Vec<u8>]) -> Vec<u8> {
        let mut request = Vec::new();
        tensors.iter().for_each(|tensor| put_bytes(&mut request, 5, tensor));
        request
    }

    #[test]
    fn inputs_beyond_the_fields_are_only_counted() {
        let signature = signature();
        let many = vec![tensor("y", &[1]); 1_000];
        let message = request(&many);
        let mut inputs = Inputs::new(Reader::new(&message), &signature);
        for tensor in &many {
            inputs.add(Reader::new(tensor)).unwrap();
            inputs.add_raw(b"abcd");
        }
        assert_eq!((inputs.tensors.len(), inputs.raws.len()), (1, 1));
        let refused = inputs.pack(&signature, 1, &mut Blocks::default()).unwrap_err();
        assert_eq!(refused.message, "an input is given twice; send one for each field");
    }

    #[test]
    fn rows_are_the_first_axis() {
        let rows = |shape: &[i64]| Tensor::read(Reader::new(&tensor("x", shape))).unwrap().rows().ok();
        assert_eq!([rows(&[7]), rows(&[7, 1]), rows(&[1, 1])], [Some(7), Some(7), Some(1)]);
        for shape in [&[][..], &[0], &[-1], &[7, 2], &[1, 7], &[7, 1, 1], &[1; 9]] {
            assert_eq!(rows(shape), None, "{shape:?}");
        }
    }

    #[test]
    fn raw_rows_are_packed() {
        let (signature, tensors) = (signature(), [tensor("x", &[2, 1])]);
        let message = request(&tensors);
        let mut inputs = Inputs::new(Reader::new(&message), &signature);
        inputs.add(Reader::new(&tensors[0])).unwrap();
        inputs.add_raw(b"\0\0\x80\x3f\0\0\0\x40");
        let mut blocks = Blocks::default();
        inputs.pack(&signature, 2, &mut blocks).unwrap();
        assert_eq!((blocks.rows, blocks.numbers), (2, vec![1.0, 2.0]));
        let refused = inputs.pack(&signature, 1, &mut Blocks::default()).unwrap_err();
        assert_eq!(refused.message, "2 rows in one call; send at most 1");
    }
}
