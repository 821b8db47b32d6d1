//! What a field takes, and what a caller is told who sends something else.

use std::cmp::Ordering;

use super::{Field, FieldValue, Kind};
use crate::python_text::{general, repr};
use crate::refusal::Refusal;

const MAX_TEXT_BYTES: usize = 1024;
const MOST: f64 = f32::MAX as f64;
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

impl Field {
    /// A value of a number field; where it is missing, the one NaN that stands for it.
    #[inline]
    pub fn number(&self, value: FieldValue<'_>) -> Result<f32, Refusal> {
        let number = match value {
            FieldValue::Number(number) if !number.is_nan() => number,
            FieldValue::Number(_) | FieldValue::Missing if self.missing_allowed => return Ok(f32::NAN),
            FieldValue::Number(_) | FieldValue::Missing => return Err(self.must_not_be_missing()),
            FieldValue::Integer(integer) if self.reject_outside => {
                self.check_bounds(integer)?;
                integer as f64
            }
            FieldValue::Integer(integer) => integer as f64,
            FieldValue::Text(_) => return Err(self.mistyped(value)),
        };
        if !(-MOST..=MOST).contains(&number) {
            return Err(self.too_large(number));
        }
        if self.reject_outside && self.outside(|bound| number.partial_cmp(&bound)) {
            return Err(self.out_of_bounds(number));
        }
        Ok(number as f32)
    }

    /// A value of an integer field.
    #[inline]
    pub fn integer(&self, value: FieldValue<'_>) -> Result<i64, Refusal> {
        match value {
            FieldValue::Integer(integer) => self.check_bounds(integer).map(|()| integer),
            FieldValue::Missing => Err(self.must_not_be_missing()),
            FieldValue::Number(_) | FieldValue::Text(_) => Err(self.mistyped(value)),
        }
    }

    /// A value of a text field, empty where it is missing.
    #[inline]
    pub fn text<'a>(&self, value: FieldValue<'a>) -> Result<&'a str, Refusal> {
        match value {
            FieldValue::Missing | FieldValue::Text("") if self.missing_allowed => Ok(""),
            FieldValue::Missing | FieldValue::Text("") => Err(self.must_not_be_missing()),
            FieldValue::Text(text) if text.len() > MAX_TEXT_BYTES || text.as_bytes().contains(&0) => {
                Err(self.no_such_text())
            }
            FieldValue::Text(text) => Ok(text),
            FieldValue::Number(_) | FieldValue::Integer(_) => Err(self.mistyped(value)),
        }
    }

    /// The field was not sent at all.
    #[cold]
    pub fn left_out(&self) -> Refusal {
        let mend = if self.missing_allowed { "send it as missing".to_owned() } else { self.mend() };
        Refusal::invalid(format!("field '{}' is left out; {mend}", self.name))
    }

    #[inline]
    fn check_bounds(&self, integer: i64) -> Result<(), Refusal> {
        if self.outside(|bound| compare(integer, bound)) {
            return Err(self.out_of_bounds(integer as f64));
        }
        Ok(())
    }

    #[inline]
    fn outside(&self, compared_to: impl Fn(f64) -> Option<Ordering>) -> bool {
        self.lower.is_some_and(|lower| compared_to(lower) == Some(Ordering::Less))
            || self.upper.is_some_and(|upper| compared_to(upper) == Some(Ordering::Greater))
    }

    fn mend(&self) -> String {
        format!(
            "send {}",
            match self.kind {
                Kind::Number => "a number",
                Kind::Integer => "an integer",
                Kind::Text => "text",
            }
        )
    }

    #[cold]
    fn must_not_be_missing(&self) -> Refusal {
        Refusal::invalid(format!("field '{}' must not be missing; {}", self.name, self.mend()))
    }

    #[cold]
    fn mistyped(&self, value: FieldValue<'_>) -> Refusal {
        let sent = match value {
            FieldValue::Missing => "missing",
            FieldValue::Number(_) => "a real number",
            FieldValue::Integer(_) => "an integer",
            FieldValue::Text(_) => "text",
        };
        Refusal::invalid(format!("field '{}' is {sent}; {}", self.name, self.mend()))
    }

    #[cold]
    fn too_large(&self, number: f64) -> Refusal {
        Refusal::invalid(format!("field '{}' is {}; send a finite float32 number", self.name, repr(number)))
    }

    #[cold]
    fn out_of_bounds(&self, number: f64) -> Refusal {
        Refusal::invalid(format!(
            "field '{}' is {}; send a value from {} to {}",
            self.name,
            general(number),
            general(self.lower.unwrap_or(f64::NEG_INFINITY)),
            general(self.upper.unwrap_or(f64::INFINITY)),
        ))
    }

    #[cold]
    fn no_such_text(&self) -> Refusal {
        Refusal::invalid(format!(
            "field '{}' has a NUL character or over {MAX_TEXT_BYTES} bytes; send shorter text",
            self.name
        ))
    }
}

/// An integer against a bound, exactly: no rounding to a float comes between, as in Python.
fn compare(integer: i64, bound: f64) -> Option<Ordering> {
    if bound >= TWO_TO_63 {
        return Some(Ordering::Less);
    }
    if bound < -TWO_TO_63 {
        return Some(Ordering::Greater);
    }
    let whole = bound.trunc();
    let fraction = 0.0.partial_cmp(&(bound - whole))?; // none for NaN, against which nothing holds
    Some(integer.cmp(&(whole as i64)).then(fraction))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cmp::Ordering;

    use super::super::{Field, FieldValue, Kind};
    use super::compare;

    fn field(kind: Kind) -> Field {
        let name = "f".to_owned();
        Field { name, kind, missing_allowed: false, lower: None, upper: None, reject_outside: true }
    }

    fn within(kind: Kind, lower: f64, upper: f64) -> Field {
        Field { lower: Some(lower), upper: Some(upper), ..field(kind) }
    }

    fn number(field: &Field, value: FieldValue<'_>) -> Result<u32, String> {
        field.number(value).map(f32::to_bits).map_err(|refusal| refusal.message)
    }

    #[test]
    fn missing_is_one_nan_or_refused() {
        let open = Field { missing_allowed: true, ..field(Kind::Number) };
        let other_nan = f64::from_bits(0xfff0_0000_dead_beef);
        for value in [FieldValue::Missing, FieldValue::Number(f64::NAN), FieldValue::Number(other_nan)] {
            assert_eq!(number(&open, value), Ok(0x7fc0_0000));
            let refused = number(&field(Kind::Number), value);
            assert_eq!(refused, Err("field 'f' must not be missing; send a number".into()));
        }
    }

    #[test]
    fn a_number_is_what_float32_holds() {
        let bits = |value: f64| number(&field(Kind::Number), FieldValue::Number(value));
        assert_eq!(bits(-0.0), Ok((-0.0_f32).to_bits()));
        assert_eq!(bits(0.1), Ok(0.1_f32.to_bits()));
        assert_eq!(bits(1e-60), Ok(0));
        assert_eq!(bits(f64::from(f32::MAX)), Ok(f32::MAX.to_bits()));
        let beyond = f64::from(f32::MAX).next_up();
        assert_eq!(
            bits(beyond),
            Err("field 'f' is 3.402823466385289e+38; send a finite float32 number".into())
        );
        assert_eq!(bits(f64::NEG_INFINITY), Err("field 'f' is -inf; send a finite float32 number".into()));
    }

    #[test]
    fn a_whole_number_becomes_a_float64_first() {
        let value = (1 << 60) + (1 << 36) + 1; // one above the middle between two float32, lost in float64
        let bits = number(&field(Kind::Number), FieldValue::Integer(value));
        assert_eq!(bits, Ok(((1_i64 << 60) as f32).to_bits()));
    }

    #[test]
    fn bounds_hold_where_they_refuse() {
        let refused = Err("field 'f' is 2.5; send a value from 0 to 2".to_owned());
        assert_eq!(number(&within(Kind::Number, 0.0, 2.0), FieldValue::Number(2.5)), refused);
        let lenient = Field { reject_outside: false, ..within(Kind::Number, 0.0, 2.0) };
        assert_eq!(number(&lenient, FieldValue::Number(2.5)), Ok(2.5_f32.to_bits()));
        assert_eq!(number(&lenient, FieldValue::Integer(3)), Ok(3_f32.to_bits()));
        let half_open = Field { lower: Some(-1.5), ..field(Kind::Integer) };
        assert_eq!(half_open.integer(FieldValue::Integer(-1)), Ok(-1));
        assert_eq!(
            half_open.integer(FieldValue::Integer(-2)).unwrap_err().message,
            "field 'f' is -2; send a value from -1.5 to inf"
        );
    }

    #[test]
    fn integers_and_bounds_compare_exactly() {
        let big = 1_i64 << 53;
        for (integer, bound, expected) in [
            (big + 1, big as f64, Ordering::Greater),
            (big, big as f64, Ordering::Equal),
            (i64::MAX, 9_223_372_036_854_775_808.0, Ordering::Less),
            (i64::MIN, -9_223_372_036_854_775_808.0, Ordering::Equal),
            (i64::MIN, -9_223_372_036_854_777_856.0, Ordering::Greater),
            (0, 0.5, Ordering::Less),
            (0, -0.5, Ordering::Greater),
            (0, -0.0, Ordering::Equal),
            (-1, -0.5, Ordering::Less),
            (1, f64::INFINITY, Ordering::Less),
            (1, f64::NEG_INFINITY, Ordering::Greater),
        ] {
            assert_eq!(compare(integer, bound), Some(expected), "{integer} {bound}");
        }
        assert_eq!(compare(1, f64::NAN), None);
    }

    #[test]
    fn other_kinds_are_named() {
        let told = |field: Field, value| match field.kind {
            Kind::Number => field.number(value).unwrap_err().message,
            Kind::Integer => field.integer(value).unwrap_err().message,
            Kind::Text => field.text(value).unwrap_err().message,
        };
        let text = FieldValue::Text("7");
        assert_eq!(told(field(Kind::Number), text), "field 'f' is text; send a number");
        assert_eq!(told(field(Kind::Integer), text), "field 'f' is text; send an integer");
        let real = FieldValue::Number(7.0);
        assert_eq!(told(field(Kind::Integer), real), "field 'f' is a real number; send an integer");
        assert_eq!(told(field(Kind::Text), real), "field 'f' is a real number; send text");
        assert_eq!(told(field(Kind::Text), FieldValue::Integer(7)), "field 'f' is an integer; send text");
        let missing = FieldValue::Missing;
        assert_eq!(told(field(Kind::Integer), missing), "field 'f' must not be missing; send an integer");
        assert_eq!(told(field(Kind::Text), missing), "field 'f' must not be missing; send text");
    }

    #[test]
    fn texts_have_no_nul_and_an_end() {
        let open = Field { missing_allowed: true, ..field(Kind::Text) };
        let longest = "é".repeat(512);
        for text in ["", "a", &longest] {
            assert_eq!(open.text(FieldValue::Text(text)), Ok(text));
        }
        for text in ["a\0b".to_owned(), longest + "x"] {
            assert_eq!(
                open.text(FieldValue::Text(&text)).unwrap_err().message,
                "field 'f' has a NUL character or over 1024 bytes; send shorter text"
            );
        }
    }

    #[test]
    fn a_field_left_out_is_asked_for() {
        assert_eq!(field(Kind::Integer).left_out().message, "field 'f' is left out; send an integer");
        let open = Field { missing_allowed: true, ..field(Kind::Text) };
        assert_eq!(open.left_out().message, "field 'f' is left out; send it as missing");
    }
}
