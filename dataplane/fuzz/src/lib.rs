//! What the targets share: a model that takes fields of every kind, and what must hold for rows it was given.

use sidecar_dataplane::rows::answered::{Answered, ModelInfo};
use sidecar_dataplane::rows::blocks::Blocks;
use sidecar_dataplane::refusal::Refusal;
use sidecar_dataplane::signature::{Field, Kind, Signature};

/// When every request arrives: nanoseconds since the Unix epoch.
pub const NOW: i64 = 1_700_000_000_000_000_000;

/// Two fields of each kind, with and without bounds, one of each that may be missing.
pub fn model() -> ModelInfo {
    let field = |name: &str, kind, missing_allowed, bounds: Option<(f64, f64)>, reject_outside| Field {
        name: name.to_owned(),
        kind,
        missing_allowed,
        lower: bounds.map(|(lower, _)| lower),
        upper: bounds.map(|(_, upper)| upper),
        reject_outside,
    };
    let fields = vec![
        field("colour", Kind::Text, true, None, true),
        field("amount", Kind::Number, false, Some((0.0, 1e6)), true),
        field("trigger", Kind::Integer, false, Some((-1e18, 1e18)), true),
        field("x", Kind::Number, true, Some((-5.5, 5.5)), false),
        field("count", Kind::Integer, false, None, true),
        field("the_place_it_happened", Kind::Text, false, None, true),
    ];
    let signature = Signature::new(fields, "0123456789abcdef".repeat(4));
    let (name, version, digest) = ("tiny".to_owned(), "1".to_owned(), "ab".repeat(32));
    ModelInfo { name, version, digest, signature, features: 3 }
}

/// A blank for a call's rows.
pub fn blank() -> Answered {
    Answered { received_ns: NOW, event_ns: NOW, ..Answered::default() }
}

/// A refusal says something.
pub fn assert_refusal(refusal: &Refusal) {
    assert!(!refusal.message.is_empty());
}

/// A refusal says something, and repeats a caller's text only so far.
pub fn assert_short_refusal(refusal: &Refusal) {
    assert_refusal(refusal);
    assert!(refusal.message.len() < 4_000, "{} bytes", refusal.message.len());
}

/// Whole rows of what `model` takes, fit for a graph.
pub fn assert_blocks(blocks: &Blocks) {
    assert!(blocks.rows >= 1);
    let lengths = [blocks.numbers.len(), blocks.integers.len(), blocks.texts.len()];
    assert_eq!(lengths, [2 * blocks.rows; 3]);
    for row in blocks.numbers.chunks(2) {
        assert!((0.0..=1e6).contains(&row[0]), "bounds refuse");
        assert!(row[1].is_finite() || row[1].to_bits() == f32::NAN.to_bits(), "one NaN stands for missing");
    }
    for (place, text) in blocks.texts.iter().enumerate() {
        assert!(text.len() <= 1024 && !text.contains(&0) && std::str::from_utf8(text).is_ok());
        assert!(place % 2 == 0 || !text.is_empty(), "only the first text may be missing");
    }
}
