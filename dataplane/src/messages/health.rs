//! The messages of `grpc.health.v1`.

use crate::messages::wire::{Reader, Value, put_integer, text};
use crate::refusal::Refusal;

/// What a service is said to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// It answers.
    Serving = 1,
    /// It is known and does not answer.
    NotServing = 2,
    /// There is no such service; Watch says so, and goes on.
    ServiceUnknown = 3,
}

/// The service that a HealthCheckRequest asks for; empty for the server as a whole.
pub fn service_asked(message: &[u8]) -> Result<&str, Refusal> {
    let mut service = "";
    let mut reader = Reader::new(message);
    while let Some(field) = reader.field()? {
        if let (1, Value::Bytes(bytes)) = field {
            service = text(bytes)?;
        }
    }
    Ok(service)
}

/// Append a HealthCheckResponse.
pub fn encode(status: Serving, reply: &mut Vec<u8>) {
    put_integer(reply, 1, status as u64);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Serving, encode, service_asked};

    #[test]
    fn the_last_service_named_counts() {
        assert_eq!(service_asked(b"").unwrap(), "");
        assert_eq!(service_asked(b"\x0a\x01a\x10\x05\x0a\x02bc").unwrap(), "bc");
        let refused = service_asked(b"\x0a\x01\xff").unwrap_err();
        assert_eq!(refused.message, "the request is not the message that this method takes");
    }

    #[test]
    fn a_status_is_its_number() {
        for (status, expected) in [
            (Serving::Serving, b"\x08\x01"),
            (Serving::NotServing, b"\x08\x02"),
            (Serving::ServiceUnknown, b"\x08\x03"),
        ] {
            let mut reply = Vec::new();
            encode(status, &mut reply);
            assert_eq!(reply, expected);
        }
    }
}
