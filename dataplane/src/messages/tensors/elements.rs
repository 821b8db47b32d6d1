//! A tensor's elements, one after another, in whichever form they came.

use super::datatype::{BOOL, BYTES, Datatype, FP32, FP64, INT, INT64, UINT, UINT64};
use crate::messages::wire::{Malformed, Reader, Value};
use crate::refusal::Refusal;

/// The field of an InferInputTensor that holds the typed form.
pub(super) const CONTENTS: u32 = 5;

/// The elements of one tensor.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    datatype: Datatype,
    form: Form<'a>,
}

#[derive(Clone, Copy)]
enum Form<'a> {
    /// All elements, little-endian; each text follows its length in four bytes.
    Raw(&'a [u8]),
    /// The tensor's message, with the elements in its contents.
    Typed(Reader<'a>),
}

impl<'a> Elements<'a> {
    /// Those of an element of `raw_input_contents`.
    pub(super) const fn raw(datatype: Datatype, raw: &'a [u8]) -> Self {
        Self { datatype, form: Form::Raw(raw) }
    }

    /// Those in the contents of a tensor, which is well-formed.
    pub(super) const fn typed(datatype: Datatype, tensor: Reader<'a>) -> Self {
        Self { datatype, form: Form::Typed(tensor) }
    }

    /// Refuse another number than one for each row, and texts that are not UTF-8.
    pub(super) fn checked(self, name: &str, rows: usize) -> Result<Self, Refusal> {
        if self.datatype == Datatype::Bytes {
            self.check_texts(name, rows)?;
            return Ok(self);
        }
        match self.form {
            Form::Raw(raw) if raw.len() != rows * self.datatype.size() => {
                let (sent, wanted) = (raw.len(), rows * self.datatype.size());
                Err(Refusal::invalid(format!(
                    "field '{name}' has {sent} raw bytes; its shape takes {wanted}"
                )))
            }
            Form::Raw(_) => Ok(self),
            Form::Typed(tensor) => {
                self.check_count(name, count(tensor, self.datatype)?, rows)?;
                Ok(self)
            }
        }
    }

    fn check_count(&self, name: &str, count: usize, rows: usize) -> Result<(), Refusal> {
        if count == rows {
            return Ok(());
        }
        let datatype = self.datatype.name();
        Err(Refusal::invalid(format!(
            "field '{name}' has {count} {datatype} elements; its shape takes {rows}"
        )))
    }

    fn check_texts(&self, name: &str, rows: usize) -> Result<(), Refusal> {
        let mut texts = self.texts();
        let (mut count, mut no_text) = (0, None);
        for text in &mut texts {
            if no_text.is_none() && std::str::from_utf8(text).is_err() {
                no_text = Some(count);
            }
            count += 1;
        }
        if !texts.at_end() {
            return Err(Refusal::invalid(format!(
                "field '{name}' has raw bytes that end within a text; send them whole"
            )));
        }
        self.check_count(name, count, rows)?;
        match no_text {
            None => Ok(()),
            Some(row) => {
                Err(Refusal::invalid(format!("field '{name}' is not UTF-8; send UTF-8 (row {row})")))
            }
        }
    }

    /// Call `take` with each number, as a real one.
    #[inline]
    pub(super) fn each_real(&self, mut take: impl FnMut(f64)) -> Result<(), Malformed> {
        match (self.datatype, self.form) {
            (Datatype::Fp32, Form::Raw(raw)) => each_fp32(raw, take),
            (Datatype::Fp64, Form::Raw(raw)) => each_fp64(raw, take),
            (Datatype::Fp32, Form::Typed(tensor)) => each_value(tensor, FP32, |value| match value {
                Value::Fixed32(bits) => take(f64::from(f32::from_bits(bits))),
                Value::Bytes(packed) => each_fp32(packed, &mut take),
                _ => {}
            })?,
            (Datatype::Fp64, Form::Typed(tensor)) => each_value(tensor, FP64, |value| match value {
                Value::Fixed64(bits) => take(f64::from_bits(bits)),
                Value::Bytes(packed) => each_fp64(packed, &mut take),
                _ => {}
            })?,
            _ => self.each_integer(|integer| take(integer as f64))?,
        }
        Ok(())
    }

    /// Call `take` with each integer.
    #[inline]
    pub(super) fn each_integer(&self, mut take: impl FnMut(i64)) -> Result<(), Malformed> {
        let raw = match self.form {
            Form::Raw(raw) => raw,
            Form::Typed(tensor) => return each_varint(tensor, self.datatype, take),
        };
        match self.datatype {
            Datatype::Int8 => raw.iter().for_each(|&byte| take(i64::from(byte as i8))),
            Datatype::Int16 => chunks(raw).for_each(|bytes| take(i64::from(i16::from_le_bytes(bytes)))),
            Datatype::Int32 => chunks(raw).for_each(|bytes| take(i64::from(i32::from_le_bytes(bytes)))),
            Datatype::Int64 => chunks(raw).for_each(|bytes| take(i64::from_le_bytes(bytes))),
            Datatype::Fp32 | Datatype::Fp64 | Datatype::Bytes => {}
        }
        Ok(())
    }

    /// The texts, in order.
    pub(super) const fn texts(&self) -> Texts<'a> {
        match self.form {
            Form::Raw(raw) => Texts::Raw(raw),
            Form::Typed(tensor) => Texts::Typed { tensor, contents: Reader::new(&[]) },
        }
    }
}

/// Goes from text to text.
pub(super) enum Texts<'a> {
    Raw(&'a [u8]),
    Typed { tensor: Reader<'a>, contents: Reader<'a> },
}

impl Texts<'_> {
    /// Whether nothing is left; what is left when there is no next text is no whole text.
    const fn at_end(&self) -> bool {
        match self {
            Self::Raw(rest) => rest.is_empty(),
            Self::Typed { tensor, contents } => tensor.is_empty() && contents.is_empty(),
        }
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            Self::Raw(raw) => {
                let (length, rest) = raw.split_first_chunk()?;
                let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                *raw = rest;
                Some(text)
            }
            Self::Typed { tensor, contents } => loop {
                // Both are known to be well-formed, so nothing ends early.
                while let Ok(Some(field)) = contents.field() {
                    if let (BYTES, Value::Bytes(text)) = field {
                        return Some(text);
                    }
                }
                if let (CONTENTS, Value::Bytes(bytes)) = tensor.field().ok()?? {
                    *contents = tensor.nested(bytes);
                }
            },
        }
    }
}

/// Read an InferTensorContents to its end.
pub(super) fn check_contents(mut contents: Reader<'_>) -> Result<(), Malformed> {
    while let Some(field) = contents.field()? {
        match field {
            (BOOL | INT | INT64 | UINT | UINT64, Value::Bytes(packed)) => {
                let mut packed = contents.nested(packed);
                while !packed.is_empty() {
                    packed.varint()?;
                }
            }
            (FP32, Value::Bytes(packed)) if packed.len() % 4 != 0 => return Err(Malformed),
            (FP64, Value::Bytes(packed)) if packed.len() % 8 != 0 => return Err(Malformed),
            _ => {}
        }
    }
    Ok(())
}

/// How many numbers of a type a tensor has.
fn count(tensor: Reader<'_>, datatype: Datatype) -> Result<usize, Malformed> {
    let mut count = 0;
    each_value(tensor, datatype.contents(), |value| {
        count += match (datatype, value) {
            (Datatype::Fp32, Value::Bytes(packed)) => packed.len() / 4,
            (Datatype::Fp64, Value::Bytes(packed)) => packed.len() / 8,
            (_, Value::Bytes(packed)) => packed.iter().filter(|&&byte| byte < 0x80).count(),
            (Datatype::Fp32, Value::Fixed32(_)) | (Datatype::Fp64, Value::Fixed64(_)) => 1,
            (Datatype::Fp32 | Datatype::Fp64, _) => 0,
            (_, Value::Varint(_)) => 1,
            _ => 0,
        };
    })?;
    Ok(count)
}

/// Call `take` with each value of one field of a tensor's contents; there may be several of both.
#[inline]
fn each_value<'a>(
    mut tensor: Reader<'a>,
    wanted: u32,
    mut take: impl FnMut(Value<'a>),
) -> Result<(), Malformed> {
    while let Some(field) = tensor.field()? {
        let (CONTENTS, Value::Bytes(contents)) = field else { continue };
        let mut contents = tensor.nested(contents);
        while let Some((field, value)) = contents.field()? {
            if field == wanted {
                take(value);
            }
        }
    }
    Ok(())
}

fn each_varint(tensor: Reader<'_>, datatype: Datatype, mut take: impl FnMut(i64)) -> Result<(), Malformed> {
    let wide = datatype == Datatype::Int64;
    let mut take = |value: u64| take(if wide { value as i64 } else { i64::from(value as i32) });
    let mut read = Ok(());
    each_value(tensor, datatype.contents(), |value| match value {
        Value::Varint(value) => take(value),
        Value::Bytes(packed) => {
            let mut packed = Reader::new(packed);
            while !packed.is_empty() && read.is_ok() {
                read = packed.varint().map(&mut take);
            }
        }
        _ => {}
    })?;
    read
}

fn each_fp32(raw: &[u8], mut take: impl FnMut(f64)) {
    chunks(raw).for_each(|bytes| take(f64::from(f32::from_le_bytes(bytes))));
}

fn each_fp64(raw: &[u8], mut take: impl FnMut(f64)) {
    chunks(raw).for_each(|bytes| take(f64::from_le_bytes(bytes)));
}

fn chunks<const N: usize>(raw: &[u8]) -> impl Iterator<Item = [u8; N]> {
    raw.as_chunks().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::{Elements, check_contents};
    use crate::messages::tensors::datatype::Datatype;
    use crate::messages::wire::{Malformed, Reader};

    fn integers(elements: Elements<'_>) -> Vec<i64> {
        let mut all = Vec::new();
        let read = elements.each_integer(|integer| all.push(integer));
        assert_eq!(read, Ok(()));
        all
    }

    fn reals(elements: Elements<'_>) -> Vec<f64> {
        let mut all = Vec::new();
        let read = elements.each_real(|real| all.push(real));
        assert_eq!(read, Ok(()));
        all
    }

    fn refused(elements: Elements<'_>, rows: usize) -> Option<String> {
        elements.checked("f", rows).err().map(|refusal| refusal.message)
    }

    #[test]
    fn raw_integers_are_widened() {
        let raw = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0x80];
        for (datatype, expected) in [
            (Datatype::Int8, vec![-1, -1, -1, -1, 0, 0, 0, -128]),
            (Datatype::Int16, vec![-1, -1, 0, -32_768]),
            (Datatype::Int32, vec![-1, -2_147_483_648]),
            (Datatype::Int64, vec![-9_223_372_032_559_808_513]),
        ] {
            let elements = Elements::raw(datatype, &raw);
            assert_eq!(integers(elements), expected);
            assert_eq!(reals(elements), expected.iter().map(|&each| each as f64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn packed_and_single_elements_of_all_contents_are_in_order() {
        // Twice contents: the first has 1 and [2, 300] of int_contents, the second [4] and a bool.
        let message = b"\x2a\x07\x10\x01\x12\x03\x02\xac\x02\x2a\x05\x12\x01\x04\x08\x01";
        let elements = Elements::typed(Datatype::Int32, Reader::new(message));
        assert_eq!(integers(elements), [1, 2, 300, 4]);
        assert_eq!(refused(elements, 4), None);
        assert_eq!(
            refused(elements, 3),
            Some("field 'f' has 4 INT32 elements; its shape takes 3".to_owned())
        );
        let other = Elements::typed(Datatype::Int64, Reader::new(message));
        assert_eq!(refused(other, 1), Some("field 'f' has 0 INT64 elements; its shape takes 1".to_owned()));
    }

    #[test]
    fn what_is_too_wide_for_int_contents_is_cut() {
        let message = b"\x2a\x08\x12\x06\xff\xff\xff\xff\x7f\x01"; // 2^35 - 1, and 1
        assert_eq!(integers(Elements::typed(Datatype::Int8, Reader::new(message))), [-1, 1]);
    }

    #[test]
    fn raw_texts_follow_their_lengths() {
        let texts = |raw| Elements::raw(Datatype::Bytes, raw);
        let two = texts(b"\x02\0\0\0ab\0\0\0\0");
        assert_eq!(two.texts().collect::<Vec<_>>(), [&b"ab"[..], b""]);
        assert_eq!(refused(two, 2), None);
        let cut = Some("field 'f' has raw bytes that end within a text; send them whole".to_owned());
        for raw in [&b"\x01"[..], b"\x01\0\0\0", b"\0\0\0\0\x02\0\0\0a", b"\xff\xff\xff\xffabc"] {
            assert_eq!(refused(texts(raw), 1), cut);
        }
        let no_utf8 = Some("field 'f' is not UTF-8; send UTF-8 (row 1)".to_owned());
        assert_eq!(refused(texts(b"\0\0\0\0\x01\0\0\0\xff\x01\0\0\0\xff"), 3), no_utf8);
    }

    #[test]
    fn contents_are_read_to_their_end() {
        for (contents, read) in [
            (&b"\x0a\x02\x80\x01"[..], Ok(())),
            (b"\x0a\x01\x80", Err(Malformed)),
            (b"\x32\x04abcd\x3a\x00", Ok(())),
            (b"\x32\x03abc", Err(Malformed)),
            (b"\x3a\x04abcd", Err(Malformed)),
            (b"\x42\x01\xff", Ok(())),
        ] {
            assert_eq!(check_contents(Reader::new(contents)), read, "{contents:x?}");
        }
    }
}
