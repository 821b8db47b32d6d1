//! `inference` ModelInfer: any bytes are decoded or refused, and what is decoded can be answered.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use sidecar_dataplane::rows::answered::ModelInfo;
use sidecar_dataplane::messages::infer::{check, check_row_ids, decode, encode};
use sidecar_dataplane::messages::metadata::Deployed;
use sidecar_dataplane_fuzz::{assert_blocks, assert_refusal, blank, model};

const MAX_ROWS: usize = 1000;

static MODEL: LazyLock<Arc<ModelInfo>> = LazyLock::new(|| Arc::new(model()));

fuzz_target!(|message: &[u8]| {
    let mut answered = blank();
    let malformed = check(message);
    let deployed = Deployed { champion: &MODEL, canary: None };
    let asked = match decode(message, deployed, MAX_ROWS, &mut answered) {
        Ok(asked) => asked,
        Err(refusal) => return assert_refusal(&refusal),
    };
    assert_eq!(malformed, Ok(()), "what is decoded is a ModelInferRequest");
    let rows = answered.blocks.rows;
    assert!(rows <= MAX_ROWS);
    assert_blocks(&answered.blocks);
    if answered.request_id.is_empty() {
        answered.request_id.push_str("0123456789abcdef-0");
    }
    if let Err(refusal) = check_row_ids(&answered.request_id, rows) {
        return assert_refusal(&refusal);
    }

    answered.model = Some(Arc::clone(&MODEL));
    answered.prediction.features.resize(rows * MODEL.features, 1.5);
    answered.prediction.score.resize(rows, 0.5);
    answered.prediction.decision.resize(rows, true);
    let mut reply = Vec::new();
    encode(&answered, &asked, &mut reply);
    assert!(!reply.is_empty());
});
