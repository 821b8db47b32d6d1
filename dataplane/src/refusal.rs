//! Why a call is not answered, as the caller is told.

/// A gRPC status code that this server gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// The call was answered.
    Ok = 0,
    /// The caller gave the call up.
    Cancelled = 1,
    /// The request does not fit; the message names the field and the fix.
    InvalidArgument = 3,
    /// The deadline had passed before the work began.
    DeadlineExceeded = 4,
    /// No such model, service or file.
    NotFound = 5,
    /// More work than the limits admit.
    ResourceExhausted = 8,
    /// Nothing is deployed, or another signature than the caller's.
    FailedPrecondition = 9,
    /// No such method, or a compression that is not known.
    Unimplemented = 12,
    /// The champion failed.
    Internal = 13,
    /// Not done, nothing kept; the same call may succeed later.
    Unavailable = 14,
}

impl Status {
    /// How many codes gRPC has, for tables by code.
    pub const COUNT: usize = 17;

    /// gRPC's name, as in `INVALID_ARGUMENT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
        }
    }

    /// The status with this code; `Internal` for a code that this server never gives.
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Ok,
            1 => Self::Cancelled,
            3 => Self::InvalidArgument,
            4 => Self::DeadlineExceeded,
            5 => Self::NotFound,
            8 => Self::ResourceExhausted,
            9 => Self::FailedPrecondition,
            12 => Self::Unimplemented,
            14 => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

/// A status and a message written for the person who caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The gRPC status.
    pub status: Status,
    /// What is wrong and how to mend it. Cut to a length that travels when it is sent.
    pub message: String,
}

impl Refusal {
    /// A refusal with any status.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The deadline passed while the call waited.
    pub fn too_late() -> Self {
        let message = "the deadline had passed before the work began; nothing was done";
        Self::new(Status::DeadlineExceeded, message)
    }

    /// A failure that nobody meant to happen; it has been printed.
    pub fn failed() -> Self {
        Self::new(Status::Internal, "the sidecar failed; its log says how")
    }

    /// The request does not fit the contract.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Status::InvalidArgument, message)
    }
}
