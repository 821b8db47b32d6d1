//! One inference call, from the decoded request to the row that the recorder drains.

use std::sync::Arc;

use crate::client_version::ClientVersion;
use crate::rows::blocks::Blocks;
use crate::signature::Signature;

/// Less than half of the rows are explored, so a smaller chance is an explored row's.
const LEAST_USUAL: f32 = 0.5;

/// Which model, to the byte, and what it takes.
#[derive(Debug)]
pub struct ModelInfo {
    /// The task's name.
    pub name: String,
    /// The version's name within the task.
    pub version: String,
    /// The SHA-256 of the bundle's content, in hex.
    pub digest: String,
    /// The raw fields.
    pub signature: Signature,
    /// How many features the graph gives for a row.
    pub features: usize,
}

impl std::fmt::Display for ModelInfo {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digest = self.digest.get(..8).unwrap_or(&self.digest);
        write!(to, "{}/{}@{digest}", self.name, self.version)
    }
}

/// What one run of a graph gave, and what it took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// `[rows, features]`, row by row.
    pub features: Vec<f32>,
    /// `[rows]`; never NaN.
    pub score: Vec<f32>,
    /// `[rows]`.
    pub decision: Vec<bool>,
    /// Wall clock.
    pub infer_ns: i64,
    /// The thread's CPU clock, which preemption does not inflate.
    pub cpu_ns: i64,
}

/// One of the requests that were run together, with one row each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The request's key.
    pub request_id: String,
    /// Who sent the request.
    pub client: ClientVersion,
    /// Since the Unix epoch.
    pub received_ns: i64,
    /// Since the Unix epoch.
    pub event_ns: i64,
    /// From the message's arrival to the start of decoding.
    pub queue_ns: i64,
}

/// The rows of one answered inference call. Built in place, pushed into the ring, drained, used again.
#[derive(Debug, Default)]
pub struct Answered {
    /// The model that answered; none before it did.
    pub model: Option<Arc<ModelInfo>>,
    /// The request's key: 1 to 128 visible ASCII characters. With several rows, row i has the key `id/i`.
    pub request_id: String,
    /// Who sent the request.
    pub client: ClientVersion,
    /// Since the Unix epoch.
    pub received_ns: i64,
    /// Since the Unix epoch.
    pub event_ns: i64,
    /// From the message's arrival to the start of decoding.
    pub queue_ns: i64,
    /// What a canary's runs took that failed before the one that gave the answer; 0 where none did.
    pub failed_ns: i64,
    /// Where several requests were run together, none of them after a failure: one for each row, and the six fields
    /// above mean nothing.
    pub members: Vec<Member>,
    /// The records.
    pub blocks: Blocks,
    /// What the model made of them.
    pub prediction: Prediction,
    /// For each row the chance that the reply takes the action it does; empty where nothing is explored.
    pub propensity: Vec<f32>,
}

impl Answered {
    /// Make ready for the next call, keeping the memory.
    pub fn clear(&mut self) {
        self.model = None;
        self.request_id.clear();
        self.failed_ns = 0;
        self.members.clear();
        self.blocks.clear();
        self.prediction.features.clear();
        self.prediction.score.clear();
        self.prediction.decision.clear();
        self.propensity.clear();
    }

    /// Whether the reply takes the other action than the rule decided, so that its outcome is seen.
    pub fn explored(&self, row: usize) -> bool {
        self.propensity.get(row).is_some_and(|&chance| chance < LEAST_USUAL)
    }

    /// The action that the reply takes, for each row; true is act.
    pub fn taken(&self) -> impl Iterator<Item = bool> {
        self.prediction.decision.iter().enumerate().map(|(row, &decision)| decision != self.explored(row))
    }
}
