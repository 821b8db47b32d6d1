//! The types that a tensor's elements can have.

use crate::signature::Kind;

// The fields of InferTensorContents.
pub(super) const BOOL: u32 = 1;
pub(super) const INT: u32 = 2;
pub(super) const INT64: u32 = 3;
pub(super) const UINT: u32 = 4;
pub(super) const UINT64: u32 = 5;
pub(super) const FP32: u32 = 6;
pub(super) const FP64: u32 = 7;
pub(super) const BYTES: u32 = 8;

/// The types of elements that raw fields take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datatype {
    Fp32,
    Fp64,
    Int8,
    Int16,
    Int32,
    Int64,
    Bytes,
}

impl Datatype {
    /// The one with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "FP32" => Self::Fp32,
            "FP64" => Self::Fp64,
            "INT8" => Self::Int8,
            "INT16" => Self::Int16,
            "INT32" => Self::Int32,
            "INT64" => Self::Int64,
            "BYTES" => Self::Bytes,
            _ => return None,
        })
    }

    /// Whether a field of this kind takes it.
    pub(super) const fn fits(self, kind: Kind) -> bool {
        match self {
            Self::Fp32 | Self::Fp64 => matches!(kind, Kind::Number),
            Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64 => !matches!(kind, Kind::Text),
            Self::Bytes => matches!(kind, Kind::Text),
        }
    }

    /// Its name in the protocol.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Bytes => "BYTES",
        }
    }

    /// Bytes that a raw element takes; texts bring their length along.
    pub(super) const fn size(self) -> usize {
        match self {
            Self::Int8 => 1,
            Self::Int16 => 2,
            Self::Fp32 | Self::Int32 => 4,
            Self::Fp64 | Self::Int64 => 8,
            Self::Bytes => 0,
        }
    }

    /// The field of InferTensorContents.
    pub(super) const fn contents(self) -> u32 {
        match self {
            Self::Fp32 => FP32,
            Self::Fp64 => FP64,
            Self::Int8 | Self::Int16 | Self::Int32 => INT,
            Self::Int64 => INT64,
            Self::Bytes => BYTES,
        }
    }
}
