//! gRPC over HTTP/2: header fields, message frames, the ends of calls.

use std::io::{self, Read};

use flate2::read::{MultiGzDecoder, ZlibDecoder};

use crate::edge::http2::Header;
use crate::messages::wire::{put_bytes, put_integer, put_message};
use crate::refusal::{Refusal, Status};

/// How the messages of a call may be compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, which HTTP calls deflate.
    Deflate,
    /// In a way that we do not know.
    Unknown,
}

const ENCODINGS: &[u8] = b"identity,deflate,gzip";

impl Encoding {
    /// The encoding of this name.
    pub fn named(name: &[u8]) -> Self {
        match name {
            b"identity" => Self::Identity,
            b"gzip" => Self::Gzip,
            b"deflate" => Self::Deflate,
            _ => Self::Unknown,
        }
    }
}

/// The nanoseconds of a `grpc-timeout`: at most eight digits and a unit. A malformed one is none, as with gRPC's
/// own servers.
pub fn timeout_ns(value: &[u8]) -> Option<i64> {
    let (&unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let amount = digits
        .iter()
        .try_fold(0_i64, |sum, &digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))?;
    let unit_ns = match unit {
        b'n' => 1,
        b'u' => 1_000,
        b'm' => 1_000_000,
        b'S' => 1_000_000_000,
        b'M' => 60_000_000_000,
        b'H' => 3_600_000_000_000,
        _ => return None,
    };
    Some(amount.saturating_mul(unit_ns))
}

/// Bytes before each message: whether it is compressed, and its length.
pub const PREFIX_BYTES: usize = 5;

/// One message as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// Whether the call's encoding was applied to it.
    pub compressed: bool,
    /// The bytes behind the prefix.
    pub bytes: &'a [u8],
}

impl<'a> Framed<'a> {
    /// The message that `bytes` begin with, none if they hold only a part of it. Refused as soon as its prefix
    /// says that it is longer than `most`.
    pub fn first(bytes: &'a [u8], most: usize) -> Result<Option<Self>, Refusal> {
        let Some((&[flag, a, b, c, d], rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if flag > 1 {
            return Err(Refusal::new(Status::Internal, "a message's first byte is neither 0 nor 1"));
        }
        if length > most {
            let text = format!("SERVER: Received message larger than max ({length} vs. {most})");
            return Err(Refusal::new(Status::ResourceExhausted, text));
        }
        Ok(rest.get(..length).map(|bytes| Self { compressed: flag == 1, bytes }))
    }

    /// Bytes that the first message takes with its prefix, as far as `bytes` tell.
    pub fn size_of_first(bytes: &[u8]) -> usize {
        let length =
            bytes.split_first_chunk().map_or(0, |(&[_, a, b, c, d], _)| u32::from_be_bytes([a, b, c, d]));
        (length as usize).saturating_add(PREFIX_BYTES)
    }

    /// Bytes of the message and its prefix.
    pub const fn size(&self) -> usize {
        PREFIX_BYTES + self.bytes.len()
    }

    /// The message, uncompressed into `into` if need be.
    pub fn open(self, encoding: Encoding, most: usize, into: &'a mut Vec<u8>) -> Result<&'a [u8], Refusal> {
        if !self.compressed {
            return Ok(self.bytes);
        }
        into.clear();
        let inflated = match encoding {
            Encoding::Gzip => inflate(MultiGzDecoder::new(self.bytes), most, into),
            Encoding::Deflate => inflate(ZlibDecoder::new(self.bytes), most, into),
            Encoding::Identity | Encoding::Unknown => {
                let text = "a message is compressed, and grpc-encoding does not say how";
                return Err(Refusal::new(Status::Internal, text));
            }
        };
        if inflated.is_err() {
            return Err(Refusal::new(Status::Internal, "a compressed message cannot be read"));
        }
        if into.len() > most {
            let text = format!("SERVER: Received message larger than max (over {most} uncompressed)");
            return Err(Refusal::new(Status::ResourceExhausted, text));
        }
        Ok(into)
    }
}

/// One byte more than allowed tells that there is more.
fn inflate(from: impl Read, most: usize, into: &mut Vec<u8>) -> io::Result<usize> {
    from.take(most as u64 + 1).read_to_end(into)
}

/// Append a message and its prefix.
pub fn put_framed(to: &mut Vec<u8>, message: &[u8]) {
    let length = message.len() as u32; // no reply comes near 4 GiB
    to.push(0);
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(message);
}

/// How a call ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was answered.
    Ok,
    /// It was not.
    Refused(Box<Refused>),
    /// It was no gRPC call at all: only an HTTP status, such as "415".
    NotGrpc(&'static [u8]),
}

/// A refusal, ready to travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    status: Status,
    message: String,
    more: Option<(&'static [u8], Vec<u8>)>,
}

/// Bytes of a message that travel: it becomes a header field, in which a byte may take three.
const MOST_MESSAGE_BYTES: usize = 2000;

impl Refused {
    /// With nothing but a status and a message.
    pub fn new(refusal: &Refusal) -> Self {
        Self { status: refusal.status, message: percent_encoded(cut(&refusal.message)), more: None }
    }

    /// With the request to come back later.
    pub fn with_retry(refusal: &Refusal) -> Self {
        let details = retry_details(refusal.status, cut(&refusal.message));
        Self { more: Some((b"grpc-status-details-bin", base64(&details).into_bytes())), ..Self::new(refusal) }
    }

    /// With the encodings that we know.
    pub fn with_encodings(refusal: &Refusal) -> Self {
        Self { more: Some((b"grpc-accept-encoding", ENCODINGS.to_vec())), ..Self::new(refusal) }
    }
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

/// What every response begins with.
pub const RESPONSE_HEADERS: [Header<'static>; 2] =
    [Header::fixed(b":status", b"200"), Header::fixed(b"content-type", b"application/grpc")];

impl End {
    /// With nothing but a status and a message.
    pub fn refused(refusal: &Refusal) -> Self {
        Refused::new(refusal).into()
    }

    /// Give the header fields that end a response which has begun.
    pub fn trailers<R>(&self, send: impl FnOnce(&[Header<'_>]) -> R) -> R {
        let status = Header::fixed(b"grpc-status", self.code());
        match self {
            Self::Ok | Self::NotGrpc(_) => send(&[status]),
            Self::Refused(refused) => match (&*refused.message, &refused.more) {
                ("", None) => send(&[status]),
                (message, None) => send(&[status, Header::once(b"grpc-message", message.as_bytes())]),
                (message, Some((name, value))) => send(&[
                    status,
                    Header::once(b"grpc-message", message.as_bytes()),
                    Header::once(name, value),
                ]),
            },
        }
    }

    /// Give the header fields of a response that has nothing else.
    pub fn whole<R>(&self, send: impl FnOnce(&[Header<'_>]) -> R) -> R {
        if let Self::NotGrpc(status) = self {
            return send(&[Header::fixed(b":status", status)]);
        }
        let [status, content_type] = RESPONSE_HEADERS;
        self.trailers(|trailers| match *trailers {
            [a] => send(&[status, content_type, a]),
            [a, b] => send(&[status, content_type, a, b]),
            [a, b, c] => send(&[status, content_type, a, b, c]),
            _ => send(&RESPONSE_HEADERS), // there are no others
        })
    }

    const fn code(&self) -> &'static [u8] {
        match self {
            Self::Ok => b"0",
            Self::NotGrpc(_) => b"13",
            Self::Refused(refused) => match refused.status {
                Status::Ok => b"0",
                Status::Cancelled => b"1",
                Status::InvalidArgument => b"3",
                Status::DeadlineExceeded => b"4",
                Status::NotFound => b"5",
                Status::ResourceExhausted => b"8",
                Status::FailedPrecondition => b"9",
                Status::Unimplemented => b"12",
                Status::Internal => b"13",
                Status::Unavailable => b"14",
            },
        }
    }
}

fn cut(message: &str) -> &str {
    // A character has four bytes at most.
    let end = (0..=MOST_MESSAGE_BYTES).rev().take(4).find(|&end| message.is_char_boundary(end));
    end.and_then(|end| message.get(..end)).unwrap_or(message)
}

fn percent_encoded(message: &str) -> String {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let hex = |digit: u8| HEX.get(usize::from(digit)).copied().unwrap_or('0');
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    encoded
}

/// `google.rpc.Status` with a `RetryInfo` of 0.1 s.
fn retry_details(status: Status, message: &str) -> Vec<u8> {
    const TENTH_OF_A_SECOND_NS: u64 = 100_000_000;
    let mut details = Vec::with_capacity(message.len() + 64);
    put_integer(&mut details, 1, status as u64);
    put_bytes(&mut details, 2, message.as_bytes());
    put_message(&mut details, 3, |any| {
        put_bytes(any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
        put_message(any, 2, |retry_info| {
            put_message(retry_info, 1, |delay| put_integer(delay, 2, TENTH_OF_A_SECOND_NS));
        });
    });
    details
}

/// Without padding, as gRPC sends it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(char::from(DIGITS.get(index as usize).copied().unwrap_or(b'A')));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Encoding, End, Framed, base64, cut, percent_encoded, put_framed, timeout_ns};
    use crate::refusal::{Refusal, Status};

    #[test]
    fn timeouts_of_every_unit() {
        let cases: [(&[u8], Option<i64>); 13] = [
            (b"1n", Some(1)),
            (b"20u", Some(20_000)),
            (b"300m", Some(300_000_000)),
            (b"4S", Some(4_000_000_000)),
            (b"5M", Some(300_000_000_000)),
            (b"99999999H", Some(i64::MAX)),
            (b"0n", Some(0)),
            (b"", None),
            (b"S", None),
            (b"1", None),
            (b"1s", None),
            (b"-1S", None),
            (b"123456789n", None),
        ];
        for (value, expected) in cases {
            assert_eq!(timeout_ns(value), expected, "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn a_frame_is_found_when_it_is_whole_and_refused_when_it_is_announced() {
        let mut bytes = Vec::new();
        put_framed(&mut bytes, b"abc");
        bytes.extend_from_slice(b"more");
        for end in 0..8 {
            assert_eq!(Framed::first(bytes.get(..end).unwrap(), 3), Ok(None));
        }
        let framed = Framed::first(&bytes, 3).unwrap().unwrap();
        assert_eq!((framed.bytes, framed.compressed, framed.size()), (&b"abc"[..], false, 8));
        assert_eq!(Framed::size_of_first(&bytes), 8);
        let refused = Framed::first(bytes.get(..5).unwrap(), 2).unwrap_err();
        assert_eq!(refused.status, Status::ResourceExhausted);
        assert_eq!(Framed::first(b"\x02\0\0\0\0", 3).unwrap_err().status, Status::Internal);
    }

    #[test]
    fn a_message_without_compression_is_not_copied() {
        let mut into = Vec::new();
        let framed = Framed { compressed: false, bytes: b"abc" };
        assert_eq!(framed.open(Encoding::Gzip, 3, &mut into), Ok(&b"abc"[..]));
        assert_eq!(into.capacity(), 0);
    }

    #[test]
    fn ends_have_as_many_fields_as_they_need() {
        let count = |end: &End| (end.trailers(|fields| fields.len()), end.whole(|fields| fields.len()));
        assert_eq!(count(&End::Ok), (1, 3));
        assert_eq!(count(&End::refused(&Refusal::invalid(""))), (1, 3));
        assert_eq!(count(&End::refused(&Refusal::invalid("x"))), (2, 4));
        let retry = super::Refused::with_retry(&Refusal::new(Status::ResourceExhausted, "x"));
        assert_eq!(count(&retry.into()), (3, 5));
        assert_eq!(count(&End::NotGrpc(b"415")).1, 1);
    }

    #[test]
    fn texts_travel_as_grpc_has_them() {
        assert_eq!(percent_encoded("a b~%\n\u{7f}ß"), "a b~%25%0A%7F%C3%9F");
        let encoded: Vec<String> = [&b""[..], b"f", b"fo", b"foo", &[0xff, 0xfe]].map(base64).into();
        assert_eq!(encoded, ["", "Zg", "Zm8", "Zm9v", "//4"]);
        assert_eq!(cut("short"), "short");
        let (ascii, wide) = ("x".repeat(3000), format!("x{}", "𝄞".repeat(600)));
        assert_eq!((cut(&ascii).len(), cut(&wide).len()), (2000, 1997));
    }
}
