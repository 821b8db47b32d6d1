//! `sidecar.v1` Predict: any bytes are decoded or refused, and what is decoded can be answered.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use sidecar_dataplane::rows::answered::ModelInfo;
use sidecar_dataplane::messages::predict::{Timings, check, decode, encode};
use sidecar_dataplane::messages::request_id::is_request_id;
use sidecar_dataplane_fuzz::{assert_blocks, assert_short_refusal, blank, model};

static MODEL: LazyLock<Arc<ModelInfo>> = LazyLock::new(|| Arc::new(model()));

fuzz_target!(|message: &[u8]| {
    let mut answered = blank();
    let malformed = check(message);
    if let Err(refusal) = decode(message, &MODEL, &mut answered) {
        assert_short_refusal(&refusal);
        return;
    }
    assert_eq!(malformed, Ok(()), "what is decoded is a PredictRequest");
    assert_eq!(answered.blocks.rows, 1);
    assert_blocks(&answered.blocks);
    assert!(answered.request_id.is_empty() || is_request_id(&answered.request_id));

    answered.model = Some(Arc::clone(&MODEL));
    answered.prediction.score.push(0.5);
    answered.prediction.decision.push(true);
    let mut reply = Vec::new();
    encode(&answered, Timings::default(), 0, &mut reply);
    assert!(!reply.is_empty());
});
