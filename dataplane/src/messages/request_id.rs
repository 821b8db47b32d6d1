//! Request ids: the key that outcomes are joined by.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::python_text::{ascii, first_characters};
use crate::refusal::Refusal;

/// The longest request id.
pub const MAX_LENGTH: usize = 128;

/// Whether `text` is 1 to 128 visible ASCII characters.
pub fn is_request_id(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Refuse what cannot be a request id.
pub fn check_request_id(text: &str) -> Result<(), Refusal> {
    if is_request_id(text) {
        return Ok(());
    }
    let shown = ascii(first_characters(text, MAX_LENGTH));
    Err(Refusal::invalid(format!(
        "request_id {shown}: send 1 to {MAX_LENGTH} visible ASCII characters, or none"
    )))
}

/// Makes request ids: a random prefix for the run and a counter. Unique across runs and machines.
#[derive(Debug)]
pub struct RequestIds {
    prefix: String,
    made: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestIds {
    /// With a new prefix.
    pub fn new() -> Self {
        // The hasher's keys come from the system's randomness, and what it gives is as hard to guess.
        let random = RandomState::new().build_hasher().finish();
        Self { prefix: format!("{random:016x}-"), made: AtomicU64::new(0) }
    }

    /// Append the next id.
    pub fn make(&self, into: &mut String) {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        into.push_str(&self.prefix);
        push_hex(into, number);
    }
}

/// `{number:x}`, without the formatting machinery.
fn push_hex(to: &mut String, number: u64) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (number >> (4 * place)) & 0xf;
        to.push(char::from_digit(digit as u32, 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::{RequestIds, check_request_id, is_request_id, push_hex};

    #[test]
    fn an_id_is_visible_ascii() {
        for text in ["!", "~", "a-b/3", &"x".repeat(128)] {
            assert!(is_request_id(text));
            assert_eq!(check_request_id(text), Ok(()));
        }
        for text in ["", " ", "a b", "\u{7f}", "tab\t", "\u{e9}", &"x".repeat(129)] {
            assert!(!is_request_id(text));
        }
    }

    #[test]
    fn the_refusal_shows_what_was_sent() {
        let refusal = |text: &str| check_request_id(text).unwrap_err().message;
        assert_eq!(
            refusal("it's\u{e9}"),
            "request_id \"it's\\xe9\": send 1 to 128 visible ASCII characters, or none"
        );
        assert_eq!(
            refusal(&"\u{e9}".repeat(200)),
            format!("request_id '{}': send 1 to 128 visible ASCII characters, or none", "\\xe9".repeat(128))
        );
    }

    #[test]
    fn ids_differ_and_are_ids() {
        let (one, other) = (RequestIds::new(), RequestIds::new());
        let mut made = HashSet::new();
        for ids in [&one, &other] {
            for _ in 0..1000 {
                let mut id = String::new();
                ids.make(&mut id);
                assert!(is_request_id(&id));
                assert_eq!(id.find('-'), Some(16));
                assert!(made.insert(id));
            }
        }
    }

    #[test]
    fn hex_is_as_short_as_formats() {
        for number in [0, 1, 9, 10, 15, 16, 255, 256, 0xabc_def0, u64::MAX] {
            let mut hex = String::new();
            push_hex(&mut hex, number);
            assert_eq!(hex, format!("{number:x}"));
        }
    }
}
