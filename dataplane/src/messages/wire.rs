//! The protobuf wire format, read without copying and written without reflection.
//!
//! Reads as protobuf's own parser (upb) does: unknown fields, groups included, are skipped; a known field with
//! another wire type counts as unknown; of a field given twice the last one counts.

/// The bytes are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A field's value as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Integers, truth values and enums.
    Varint(u64),
    /// `double` and the 64-bit fixed integers.
    Fixed64(u64),
    /// Texts, bytes, nested messages and packed numbers.
    Bytes(&'a [u8]),
    /// `float` and the 32-bit fixed integers.
    Fixed32(u32),
    /// A group, skipped: no message of ours has one.
    Group,
}

/// Reads a message field by field.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
}

const MOST_DEPTH: usize = 100;
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const START_GROUP: u32 = 3;
const END_GROUP: u32 = 4;
const FIXED32: u32 = 5;

impl<'a> Reader<'a> {
    /// Reads the fields of `message`.
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message, depth: 0 }
    }

    /// Reads the fields of a message within this one.
    pub const fn nested(&self, message: &'a [u8]) -> Self {
        Self { rest: message, depth: self.depth + 1 }
    }

    /// The next field's number and value, `None` at the end.
    #[inline]
    pub fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (field, kind) = self.tag()?;
        if field == 0 {
            return Err(Malformed);
        }
        let value = if kind == START_GROUP { self.skip_group(field)? } else { self.value(kind)? };
        Ok(Some((field, value)))
    }

    /// Read a message that has no fields to the end. Of such a one alone, protobuf's parser takes a field 0.
    pub fn skip_all(&mut self) -> Result<(), Malformed> {
        while !self.rest.is_empty() {
            let (field, kind) = self.tag()?;
            if kind == START_GROUP {
                self.skip_group(field)?
            } else {
                self.value(kind)?
            };
        }
        Ok(())
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next plain varint: the elements of a packed field.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        if let [byte @ 0..=0x7f, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        self.long_varint(10)
    }

    /// A varint of at most `most` bytes; bits beyond the 64th are dropped.
    fn long_varint(&mut self, most: usize) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().take(most).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = self.rest.get(index + 1..).ok_or(Malformed)?;
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// A tag or a length: at most 32 bits in at most five bytes.
    #[inline]
    fn short_varint(&mut self) -> Result<u32, Malformed> {
        if let [byte @ 0..=0x7f, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u32::from(*byte));
        }
        u32::try_from(self.long_varint(5)?).map_err(|_| Malformed)
    }

    /// The next four bytes, little-endian.
    #[inline]
    pub fn fixed32(&mut self) -> Result<u32, Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    /// The next eight bytes, little-endian.
    #[inline]
    pub fn fixed64(&mut self) -> Result<u64, Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u32), Malformed> {
        self.short_varint().map(|tag| (tag >> 3, tag & 7))
    }

    #[inline]
    fn value(&mut self, kind: u32) -> Result<Value<'a>, Malformed> {
        match kind {
            VARINT => self.varint().map(Value::Varint),
            FIXED64 => self.fixed64().map(Value::Fixed64),
            FIXED32 => self.fixed32().map(Value::Fixed32),
            BYTES => {
                let length = self.short_varint()? as usize;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
                self.rest = rest;
                Ok(Value::Bytes(bytes))
            }
            _ => Err(Malformed),
        }
    }

    /// Within groups even a field 0 is skipped.
    #[cold]
    fn skip_group(&mut self, first: u32) -> Result<Value<'a>, Malformed> {
        let mut open = vec![first];
        while let Some(&inner) = open.last() {
            match self.tag()? {
                (field, START_GROUP) if self.depth + open.len() < MOST_DEPTH => open.push(field),
                (field, END_GROUP) if field == inner => {
                    open.pop();
                }
                (_, START_GROUP | END_GROUP) => return Err(Malformed),
                (_, kind) => {
                    self.value(kind)?;
                }
            }
        }
        Ok(Value::Group)
    }
}

/// A `string` field, which must be UTF-8.
#[inline]
pub fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// Append a varint.
#[inline]
pub fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Append an integer, truth value or enum field, unless it is zero: proto3 leaves zeros out. Give a signed
/// integer as `value as u64`, which is how it travels.
#[inline]
pub fn put_integer(to: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_varint(to, u64::from(field << 3 | VARINT));
        put_varint(to, value);
    }
}

/// Append a `float` field, unless it is positive zero.
#[inline]
pub fn put_float(to: &mut Vec<u8>, field: u32, value: f32) {
    if value.to_bits() != 0 {
        put_varint(to, u64::from(field << 3 | FIXED32));
        to.extend_from_slice(&value.to_le_bytes());
    }
}

/// Append a `string` or `bytes` field, unless it is empty.
#[inline]
pub fn put_bytes(to: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_element(to, field, bytes);
    }
}

/// Append an element of a repeated `string` or `bytes` field; an empty element is an element.
#[inline]
pub fn put_element(to: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(to, u64::from(field << 3 | BYTES));
    put_varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// Append a nested message, an empty one too; `write` appends its fields.
#[inline]
pub fn put_message(to: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    put_varint(to, u64::from(field << 3 | BYTES));
    let length_at = to.len();
    to.push(0);
    let start = to.len();
    write(to);
    let length = to.len() - start;
    if let (Ok(short @ 0..=0x7f), Some(place)) = (u8::try_from(length), to.get_mut(length_at)) {
        *place = short;
        return;
    }
    let mut encoded = Vec::with_capacity(5);
    put_varint(&mut encoded, length as u64);
    to.splice(length_at..start, encoded);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::{
        Malformed, Reader, Value, put_bytes, put_element, put_float, put_integer, put_message, put_varint,
    };

    fn only(message: &[u8]) -> Result<(u32, Value<'_>), Malformed> {
        let mut reader = Reader::new(message);
        let field = reader.field()?.unwrap();
        assert!(reader.is_empty());
        Ok(field)
    }

    fn groups(depth: usize) -> Vec<u8> {
        [[0x0b].repeat(depth), [0x0c].repeat(depth)].concat()
    }

    /// A varint with as many bytes as asked for.
    fn padded(value: u8, bytes: usize) -> Vec<u8> {
        let mut varint = vec![0x80; bytes];
        varint[0] |= value;
        varint[bytes - 1] &= 0x7f;
        varint
    }

    #[test]
    fn every_kind_of_field_is_read() {
        assert_eq!(Reader::new(b"").field(), Ok(None));
        assert_eq!(only(b"\x08\xac\x02"), Ok((1, Value::Varint(300))));
        assert_eq!(only(b"\x11\x01\0\0\0\0\0\0\0"), Ok((2, Value::Fixed64(1))));
        assert_eq!(only(b"\x1a\x02ab"), Ok((3, Value::Bytes(b"ab"))));
        assert_eq!(only(b"\x25\x01\0\0\0"), Ok((4, Value::Fixed32(1))));
        assert_eq!(only(b"\x2b\x08\x01\x2c"), Ok((5, Value::Group)));
    }

    #[test]
    fn a_message_cut_short_is_malformed() {
        for message in
            [&b"\x08"[..], b"\x08\x80", b"\x11\0\0\0\0\0\0\0", b"\x1a", b"\x1a\x02a", b"\x25\0\0\0", b"\x2b"]
        {
            assert_eq!(only(message), Err(Malformed));
        }
    }

    #[test]
    fn no_field_is_number_0_or_of_an_unknown_kind() {
        for message in [b"\x00\x01", b"\x02\x00", b"\x0e\x01", b"\x0f\x01", b"\x0c\x01"] {
            assert_eq!(only(message), Err(Malformed));
        }
    }

    #[test]
    fn tags_and_lengths_have_five_bytes_and_values_ten() {
        for bytes in 1..=12 {
            let tag = [&padded(0x08, bytes)[..], &[1]].concat();
            assert_eq!(only(&tag).is_ok(), bytes <= 5);
            let length = [&[0x0a], &padded(1, bytes)[..], b"a"].concat();
            assert_eq!(only(&length).is_ok(), bytes <= 5);
            let value = [&[0x08], &padded(1, bytes)[..]].concat();
            assert_eq!(only(&value).is_ok(), bytes <= 10);
        }
    }

    #[test]
    fn what_a_varint_has_beyond_its_type_is_dropped_from_values_only() {
        let nines = [0xff; 9];
        assert_eq!(only(&[&[0x08], &nines[..], &[0x01]].concat()), Ok((1, Value::Varint(u64::MAX))));
        assert_eq!(only(&[&[0x08], &nines[..], &[0x7e]].concat()), Ok((1, Value::Varint(u64::MAX >> 1))));
        assert_eq!(only(b"\xf8\xff\xff\xff\x0f\x01"), Ok(((1 << 29) - 1, Value::Varint(1))));
        assert_eq!(only(b"\xf8\xff\xff\xff\x1f\x01"), Err(Malformed));
    }

    #[test]
    fn a_message_without_fields_is_read_to_the_end_if_it_is_one() {
        for message in [&b""[..], b"\x00\x01", b"\x05\0\0\0\0", b"\x03\x04", b"\x08\x01\x12\x01a"] {
            assert_eq!(Reader::new(message).skip_all(), Ok(()));
        }
        for message in [&b"\0"[..], b"\0\0\0", b"\x04", b"\x06", b"\x12\x01", &groups(101)] {
            assert_eq!(Reader::new(message).skip_all(), Err(Malformed));
        }
    }

    #[test]
    fn groups_are_skipped_with_all_that_is_in_them() {
        assert_eq!(only(b"\x0b\x00\x01\x13\x14\x1a\x01\x0c\x0c"), Ok((1, Value::Group)));
        for message in [&b"\x0b\x14"[..], b"\x0b\x13\x0c\x14", b"\x0b\x0e\x0c", b"\x0b\x08\x0c"] {
            assert_eq!(only(message), Err(Malformed));
        }
    }

    #[test]
    fn groups_and_messages_nest_a_hundred_deep() {
        assert_eq!(only(&groups(100)), Ok((1, Value::Group)));
        assert_eq!(only(&groups(101)), Err(Malformed));
        let (ninety_nine, hundred) = (groups(99), groups(100));
        let outer = Reader::new(b"");
        assert!(outer.nested(&ninety_nine).field().is_ok());
        assert!(outer.nested(&hundred).field().is_err());
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut message = Vec::new();
        put_integer(&mut message, 1, u64::MAX);
        put_float(&mut message, 2, -0.0);
        put_bytes(&mut message, 3, b"text");
        put_element(&mut message, 16, b"");
        put_message(&mut message, (1 << 29) - 1, |_| {});
        let mut reader = Reader::new(&message);
        for expected in [
            (1, Value::Varint(u64::MAX)),
            (2, Value::Fixed32(0x8000_0000)),
            (3, Value::Bytes(b"text")),
            (16, Value::Bytes(b"")),
            ((1 << 29) - 1, Value::Bytes(b"")),
        ] {
            assert_eq!(reader.field(), Ok(Some(expected)));
        }
        assert_eq!(reader.field(), Ok(None));
    }

    #[test]
    fn defaults_are_not_written() {
        let mut message = Vec::new();
        put_integer(&mut message, 1, 0);
        put_float(&mut message, 2, 0.0);
        put_bytes(&mut message, 3, b"");
        assert_eq!(message, b"");
    }

    #[test]
    fn nested_messages_of_every_size_get_their_length() {
        for size in [0, 1, 127, 128, 129, 16_383, 16_384, 3_000_000] {
            let content = vec![b'x'; size];
            let mut message = b"\x08\x01".to_vec(); // something before it stays where it is
            put_message(&mut message, 1, |to| to.extend_from_slice(&content));
            let mut expected = b"\x08\x01\x0a".to_vec();
            put_varint(&mut expected, size as u64);
            expected.extend_from_slice(&content);
            assert_eq!(message, expected);
        }
    }
}
