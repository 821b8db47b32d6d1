//! `sidecar.v1` RecordOutcome: any bytes are decoded or refused, and what is decoded can be stored.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sidecar_dataplane::messages::outcome::decode;
use sidecar_dataplane::messages::request_id::is_request_id;
use sidecar_dataplane_fuzz::{NOW, assert_short_refusal};

fuzz_target!(|message: &[u8]| {
    match decode(message, NOW) {
        Ok(outcomes) => {
            assert!((1..=10_000).contains(&outcomes.len()));
            for outcome in outcomes {
                assert!(is_request_id(&outcome.request_id));
                assert!(outcome.label == 0.0 || outcome.label == 1.0);
                assert!(outcome.value.is_none_or(f64::is_finite));
            }
        }
        Err(refusal) => assert_short_refusal(&refusal),
    }
});
