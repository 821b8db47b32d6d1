//! Who sent a request: the client and its version, as its metadata says.

/// The metadata key that carries it.
pub const KEY: &[u8] = b"client-version";

/// The longest one.
pub const MAX_LENGTH: usize = 64;

/// What a caller is told whose client version is none.
pub const REFUSAL: &str =
    "client-version: send 1 to 64 visible ASCII characters, such as checkout/1.4.2, or leave it out";

/// At most 64 visible ASCII characters; none of them when the caller does not say. Held in place: to take one in,
/// and to hand it on to a row, needs no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientVersion {
    bytes: [u8; MAX_LENGTH],
    length: u8,
}

impl ClientVersion {
    /// The caller does not say.
    pub const UNKNOWN: Self = Self { bytes: [0; MAX_LENGTH], length: 0 };

    /// None when these bytes are no client version.
    pub fn new(value: &[u8]) -> Option<Self> {
        let mut client = Self::UNKNOWN;
        client.bytes.get_mut(..value.len())?.copy_from_slice(value);
        client.length = value.len() as u8;
        value.iter().all(u8::is_ascii_graphic).then_some(client)
    }

    /// The characters.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl Default for ClientVersion {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::ClientVersion;

    #[test]
    fn a_client_version_is_visible_ascii() {
        for value in ["checkout/1.4.2", "!", "~", &"x".repeat(64)] {
            let client = ClientVersion::new(value.as_bytes());
            assert_eq!(client.as_ref().map(ClientVersion::as_bytes), Some(value.as_bytes()));
        }
        for value in ["a b", " ", "tab\t", "\u{7f}", "\u{e9}", &"x".repeat(65), &"x".repeat(300)] {
            assert_eq!(ClientVersion::new(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn an_empty_one_says_nothing() {
        assert_eq!(ClientVersion::new(b""), Some(ClientVersion::UNKNOWN));
    }
}
