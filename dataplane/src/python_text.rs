//! Texts as Python writes them, so that both engines word an error alike.

use std::fmt::Write as _;

/// Python's `ascii()` of a text: quoted, with everything escaped that is not visible ASCII.
pub fn ascii(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for character in text.chars() {
        push_escaped(&mut shown, character, quote);
    }
    shown.push(quote);
    shown
}

fn push_escaped(to: &mut String, character: char, quote: char) {
    let written = match (character, u32::from(character)) {
        ('\n', _) => to.write_str("\\n"),
        ('\r', _) => to.write_str("\\r"),
        ('\t', _) => to.write_str("\\t"),
        ('\\', _) => to.write_str("\\\\"),
        (_, 0x20..=0x7e) if character == quote => write!(to, "\\{character}"),
        (_, 0x20..=0x7e) => to.write_char(character),
        (_, code @ ..0x100) => write!(to, "\\x{code:02x}"),
        (_, code @ ..0x1_0000) => write!(to, "\\u{code:04x}"),
        (_, code) => write!(to, "\\U{code:08x}"),
    };
    debug_assert!(written.is_ok(), "a String takes everything");
}

/// The first `most` characters (code points) of a text: Python's `text[:most]`.
pub fn first_characters(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// Python's `repr()` of a float: the shortest text that reads back as the same number.
pub fn repr(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    let scientific = shortest(value);
    match split_exponent(&scientific) {
        (mantissa, exponent @ -4..16) => plain(mantissa, exponent),
        (mantissa, exponent) => with_exponent(mantissa, exponent),
    }
}

/// The fewest digits that read back as the same number, in scientific form. Where two texts of that length are
/// equally near, Python takes the one with an even last digit, and Rust does not.
fn shortest(value: f64) -> String {
    let shortest = format!("{value:e}");
    let decimals = split_exponent(&shortest).0.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let even = format!("{value:.decimals$e}");
    if even.parse() == Ok(value) { even } else { shortest }
}

/// C's `%g`, which is Python's `:g`: six significant digits at most.
pub fn general(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    let scientific = format!("{value:.5e}");
    match split_exponent(&scientific) {
        (_, exponent @ -4..6) => {
            let decimals = usize::try_from(5 - exponent).unwrap_or_default();
            without_zeros(&format!("{value:.decimals$}")).to_owned()
        }
        (mantissa, exponent) => with_exponent(without_zeros(mantissa), exponent),
    }
}

fn not_finite(value: f64) -> String {
    let shown = if value.is_nan() { "nan" } else { "inf" };
    if value == f64::NEG_INFINITY { format!("-{shown}") } else { shown.to_owned() }
}

/// `1.5e-7` as `1.5` and -7.
fn split_exponent(scientific: &str) -> (&str, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (mantissa, exponent.parse().unwrap_or_default())
}

/// `1.5` and 3 as `1500.0`.
fn plain(mantissa: &str, exponent: i32) -> String {
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let digits = mantissa.replace(['-', '.'], "");
    let places = exponent.unsigned_abs() as usize;
    if exponent < 0 {
        let decimals = digits.len() + places - 1;
        return format!("{sign}0.{digits:0>decimals$}");
    }
    let (whole, most) = (places + 1, places + 2); // one decimal at least
    let padded = format!("{digits:0<most$}");
    let (before, after) = padded.split_at_checked(whole).unwrap_or((&padded, "0"));
    format!("{sign}{before}.{after}")
}

/// The exponent with its sign and two digits at least.
fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

fn without_zeros(decimal: &str) -> &str {
    if decimal.contains('.') { decimal.trim_end_matches('0').trim_end_matches('.') } else { decimal }
}

#[cfg(test)]
mod tests {
    use super::{ascii, first_characters, general, repr};

    #[test]
    fn ascii_quotes_and_escapes_as_python_does() {
        for (text, expected) in [
            ("", "''"),
            ("plain", "'plain'"),
            ("it's", "\"it's\""),
            ("say \"hi\"", "'say \"hi\"'"),
            ("it's \"both\"", "'it\\'s \"both\"'"),
            ("back\\slash", "'back\\\\slash'"),
            ("\0\u{1}\t\n\r\u{1f}\u{7f}", "'\\x00\\x01\\t\\n\\r\\x1f\\x7f'"),
            ("\u{80}\u{e9}\u{ff}", "'\\x80\\xe9\\xff'"),
            ("\u{100}\u{20ac}\u{ffff}", "'\\u0100\\u20ac\\uffff'"),
            ("\u{10000}\u{1f600}", "'\\U00010000\\U0001f600'"),
        ] {
            assert_eq!(ascii(text), expected);
        }
    }

    #[test]
    fn a_cut_counts_characters() {
        assert_eq!(first_characters("h\u{e9}llo", 2), "h\u{e9}");
        assert_eq!(first_characters("h\u{e9}llo", 5), "h\u{e9}llo");
        assert_eq!(first_characters("", 3), "");
        assert_eq!(first_characters("abc", 0), "");
    }

    #[test]
    fn repr_is_the_shortest_text_in_pythons_form() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (0.000_123_4, "0.0001234"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (661.234_436_035_156_2, "661.2344360351562"), // as near to ...563
            (2_f64.powi(-44), "5.684341886080802e-14"),   // ...801 is nearer, and another number
            (1e15, "1000000000000000.0"),
            (123_456_789.125, "123456789.125"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.234_567_890_123_456_7e17, "1.2345678901234566e+17"),
            (3.5e38, "3.5e+38"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (-f64::NAN, "nan"),
        ] {
            assert_eq!(repr(value), expected);
        }
    }

    #[test]
    fn general_has_six_digits_in_cs_form() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (1e6, "1e+06"),
            (999_999.0, "999999"),
            (999_999.5, "1e+06"),
            (123_456.5, "123456"),
            (123_457.5, "123458"),
            (1_000_005.0, "1e+06"),
            (1_000_015.0, "1.00002e+06"),
            (0.000_1, "0.0001"),
            (0.000_012_345_67, "1.23457e-05"),
            (0.5, "0.5"),
            (-12.25, "-12.25"),
            (9_223_372_036_854_775_807.0, "9.22337e+18"),
            (1e-300, "1e-300"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(general(value), expected);
        }
    }
}
