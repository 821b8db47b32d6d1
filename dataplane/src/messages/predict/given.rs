//! Reads a PredictRequest, in one pass, into a place for each field.

use crate::messages::timestamp::Timestamp;
use crate::messages::wire::{Malformed, Reader, Value, text};
use crate::signature::{FieldValue, Signature};

/// What a PredictRequest brings beside the values.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Given<'a> {
    /// Empty when none was sent.
    pub(super) request_id: &'a str,
    pub(super) event_time: Option<Timestamp>,
    /// Empty when none was sent.
    pub(super) signature_digest: &'a str,
    /// A field is not in the signature, or has no value; unless a later entry mended it.
    pub(super) misfits: bool,
}

impl<'a> Given<'a> {
    /// Values go to their field's place in `values`; of a field given twice, the last one counts.
    pub(super) fn read(
        message: &'a [u8],
        signature: &Signature,
        values: &mut [Option<FieldValue<'a>>],
    ) -> Result<Self, Malformed> {
        let mut given = Self::default();
        let mut reader = Reader::new(message);
        while let Some(field) = reader.field()? {
            match field {
                (1, Value::Bytes(entry)) => {
                    // Taken where it was read: one place for both would have each entry go through memory twice.
                    if let Some(entry) = Entry::plain(entry) {
                        given.take(entry, signature, values)?;
                    } else if let Some(entry) = Entry::any(reader.nested(entry))? {
                        given.take(entry, signature, values)?;
                    }
                }
                (2, Value::Bytes(bytes)) => given.request_id = text(bytes)?,
                (3, Value::Bytes(time)) => {
                    given.event_time.get_or_insert_default().merge(reader.nested(time))?;
                }
                (4, Value::Bytes(bytes)) => given.signature_digest = text(bytes)?,
                _ => {}
            }
        }
        Ok(given)
    }

    #[inline]
    fn take(
        &mut self,
        entry: Entry<'a>,
        signature: &Signature,
        values: &mut [Option<FieldValue<'a>>],
    ) -> Result<(), Malformed> {
        let place = signature.position(entry.name).and_then(|position| values.get_mut(position));
        self.misfits |= place.is_none() || entry.value.is_none();
        match place {
            Some(place) => *place = entry.value,
            None => drop(text(entry.name)?),
        }
        Ok(())
    }
}

/// The names in the message's order, once for each entry, and whether the entry has a value.
pub(super) fn names(message: &[u8]) -> Result<Vec<(&str, bool)>, Malformed> {
    let mut names = Vec::new();
    let mut reader = Reader::new(message);
    while let Some(field) = reader.field()? {
        if let (1, Value::Bytes(entry)) = field
            && let Some(entry) = Entry::any(reader.nested(entry))?
        {
            names.push((text(entry.name)?, entry.value.is_some()));
        }
    }
    Ok(names)
}

/// One entry of the map of fields.
#[derive(Default)]
struct Entry<'a> {
    /// Known to be UTF-8 only where it is some field's name.
    name: &'a [u8],
    value: Option<FieldValue<'a>>,
}

impl<'a> Entry<'a> {
    /// An entry as protobuf libraries write it: a short name, then a short value with one member. None for
    /// everything else, malformed ones among it.
    #[inline]
    fn plain(message: &'a [u8]) -> Option<Self> {
        let [0x0a, length @ ..0x80, rest @ ..] = message else { return None };
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let [0x12, length @ ..0x80, value @ ..] = rest else { return None };
        if value.len() != usize::from(*length) {
            return None;
        }
        let value = match value {
            [0x09, bits @ ..] => FieldValue::Number(f64::from_le_bytes(bits.try_into().ok()?)),
            [0x10, varint @ ..] => {
                let mut reader = Reader::new(varint);
                let integer = reader.varint().ok()?;
                reader.is_empty().then_some(FieldValue::Integer(integer as i64))?
            }
            [0x1a, length @ ..0x80, bytes @ ..] if bytes.len() == usize::from(*length) => {
                FieldValue::Text(text(bytes).ok()?)
            }
            [0x22, 0] => FieldValue::Missing,
            _ => return None,
        };
        Some(Self { name, value: Some(value) })
    }

    /// None for an entry with something in it that is neither name nor value: protobuf's parser takes no such
    /// entry into the map.
    #[inline(never)]
    fn any(mut reader: Reader<'a>) -> Result<Option<Self>, Malformed> {
        let mut entry = Self::default();
        let mut taken = true;
        while let Some(field) = reader.field()? {
            match field {
                (1, Value::Bytes(name)) => {
                    text(name)?;
                    entry.name = name;
                }
                (2, Value::Bytes(value)) => entry.merge(reader.nested(value))?,
                _ => taken = false,
            }
        }
        Ok(taken.then_some(entry))
    }

    /// Of a value's members the last one set counts, also where the value is given in parts.
    fn merge(&mut self, mut reader: Reader<'a>) -> Result<(), Malformed> {
        while let Some(field) = reader.field()? {
            self.value = match field {
                (1, Value::Fixed64(bits)) => Some(FieldValue::Number(f64::from_bits(bits))),
                (2, Value::Varint(integer)) => Some(FieldValue::Integer(integer as i64)),
                (3, Value::Bytes(bytes)) => Some(FieldValue::Text(text(bytes)?)),
                (4, Value::Bytes(missing)) => {
                    reader.nested(missing).skip_all()?;
                    Some(FieldValue::Missing)
                }
                _ => self.value,
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Given, names};
    use crate::messages::wire::{Malformed, put_bytes, put_element};
    use crate::signature::{Field, FieldValue, Kind, Signature};

    const INTEGER_7: &[u8] = &[0x10, 7];
    const TEXT_A: &[u8] = &[0x1a, 1, b'a'];

    fn read(message: &[u8]) -> Result<(Option<FieldValue<'_>>, Given<'_>), Malformed> {
        let name = "x".to_owned();
        let (kind, lower, upper) = (Kind::Number, None, None);
        let field = Field { name, kind, missing_allowed: false, lower, upper, reject_outside: true };
        let mut values = [None];
        let given = Given::read(message, &Signature::new(vec![field], String::new()), &mut values)?;
        Ok((values[0], given))
    }

    fn message(entries: &[&[u8]]) -> Vec<u8> {
        let mut message = Vec::new();
        for entry in entries {
            put_element(&mut message, 1, entry);
        }
        message
    }

    fn entry(name: &[u8], values: &[&[u8]]) -> Vec<u8> {
        let mut entry = Vec::new();
        put_bytes(&mut entry, 1, name);
        for value in values {
            put_element(&mut entry, 2, value);
        }
        entry
    }

    fn value_of(entry: &[u8]) -> Option<FieldValue<'static>> {
        let message: &'static [u8] = message(&[entry]).leak();
        read(message).unwrap().0
    }

    #[test]
    fn each_member_of_a_value_is_taken() {
        let number = [&[0x09][..], &1.5_f64.to_le_bytes()].concat();
        let long = "é".repeat(100);
        let long_text = [&[0x1a, 0xc8, 0x01][..], long.as_bytes()].concat();
        for (value, expected) in [
            (&number[..], FieldValue::Number(1.5)),
            (INTEGER_7, FieldValue::Integer(7)),
            (&[0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], FieldValue::Integer(-1)),
            (TEXT_A, FieldValue::Text("a")),
            (&[0x1a, 0], FieldValue::Text("")),
            (&long_text, FieldValue::Text(&long)),
            (&[0x22, 0], FieldValue::Missing),
            (&[0x22, 2, 0x08, 0x01], FieldValue::Missing), // with an unknown field
            (&[0x22, 2, 0x00, 0x00], FieldValue::Missing), // with the field 0
        ] {
            assert_eq!(value_of(&entry(b"x", &[value])), Some(expected));
        }
    }

    #[test]
    fn what_comes_last_counts() {
        let twice = [INTEGER_7, TEXT_A].concat();
        assert_eq!(value_of(&entry(b"x", &[&twice])), Some(FieldValue::Text("a")));
        assert_eq!(value_of(&entry(b"x", &[TEXT_A, INTEGER_7])), Some(FieldValue::Integer(7)));
        assert_eq!(value_of(&entry(b"x", &[TEXT_A, &[]])), Some(FieldValue::Text("a")));
        let renamed = [&entry(b"y", &[])[..], &entry(b"x", &[INTEGER_7])].concat();
        assert_eq!(value_of(&renamed), Some(FieldValue::Integer(7)));
        let two = message(&[&entry(b"x", &[TEXT_A]), &entry(b"x", &[INTEGER_7])]);
        assert_eq!(read(&two).unwrap(), (Some(FieldValue::Integer(7)), Given::default()));
    }

    #[test]
    fn the_value_may_come_before_the_name() {
        let reversed = [&entry(b"", &[INTEGER_7])[..], &entry(b"x", &[])].concat();
        assert_eq!(value_of(&reversed), Some(FieldValue::Integer(7)));
    }

    #[test]
    fn an_entry_with_anything_else_in_it_is_no_entry() {
        for stranger in [&[0x18, 1][..], &[0x08, 1], &[0x10, 1], &[0x1b, 0x1c]] {
            let both = [&entry(b"x", &[INTEGER_7])[..], stranger].concat();
            assert_eq!(read(&message(&[&both])).unwrap(), (None, Given::default()));
        }
        let in_value = [INTEGER_7, &[0x28, 1]].concat();
        assert_eq!(value_of(&entry(b"x", &[&in_value])), Some(FieldValue::Integer(7)));
    }

    #[test]
    fn misfits_are_noticed_and_named() {
        for (misfit, name, has_value) in
            [(entry(b"y", &[INTEGER_7]), "y", true), (entry(b"x", &[]), "x", false), (vec![], "", false)]
        {
            let message = message(&[&misfit]);
            assert!(read(&message).unwrap().1.misfits);
            assert_eq!(names(&message).unwrap(), [(name, has_value)]);
        }
    }

    #[test]
    fn texts_and_names_have_to_be_utf8() {
        for bad in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
            let name_first = [&entry(bad, &[])[..], &entry(b"x", &[INTEGER_7])].concat();
            let text = [&[0x1a, bad.len() as u8][..], bad].concat();
            let overridden = [&text[..], INTEGER_7].concat();
            for entry in
                [entry(bad, &[INTEGER_7]), name_first, entry(b"x", &[&text]), entry(b"x", &[&overridden])]
            {
                assert_eq!(read(&message(&[&entry])), Err(Malformed));
            }
            for field in [2, 4] {
                let mut message = Vec::new();
                put_bytes(&mut message, field, bad);
                assert_eq!(read(&message), Err(Malformed));
            }
        }
    }

    #[test]
    fn nested_messages_have_to_be_messages() {
        let bad = &[0x08][..];
        let mut in_time = Vec::new();
        put_bytes(&mut in_time, 3, bad);
        for message in [
            in_time,
            message(&[bad]),
            message(&[&entry(b"x", &[bad])]),
            message(&[&entry(b"x", &[&[0x22, 1, 0x08]])]),
        ] {
            assert_eq!(read(&message), Err(Malformed));
        }
    }

    #[test]
    fn an_event_time_in_parts_is_put_together() {
        let mut message = Vec::new();
        put_element(&mut message, 3, &[0x08, 5]);
        put_element(&mut message, 3, &[0x10, 9]);
        let time = read(&message).unwrap().1.event_time.unwrap();
        assert_eq!((time.seconds, time.nanos), (5, 9));
    }
}
