//! One inference call after decoding: run it, write its reply, leave its rows for the recorder.

use std::sync::Arc;

use crate::canary::{Counts, Role};
use crate::clock::monotonic_ns;
use crate::messages::infer::{self, Asked};
use crate::messages::predict::{self, Timings};
use crate::methods::stages::Stages;
use crate::model::deployment::Serving;
use crate::model::prepared::{Prepared, Retired};
use crate::refusal::{Refusal, Status};
use crate::rows::answered::{Answered, Member};
use crate::rows::ring::Ring;

/// What a thread that runs models has for itself.
pub struct Thread {
    prepared: Prepared,
    stages: Arc<Stages>,
}

/// A decoded call, with the models that were deployed when it came.
pub struct Inference {
    /// One of them answers the call.
    pub serving: Arc<Serving>,
    /// Which one.
    pub role: Role,
    /// The rows, and place for what becomes of them.
    pub answered: Box<Answered>,
    /// What a call of the Open Inference Protocol asked for; `None` for one of our own.
    pub asked: Option<Asked>,
    /// What decoding took.
    pub decode_ns: i64,
}

impl Inference {
    /// What counts a call that was drawn for the canary, and that the champion answers when the run fails; none for
    /// the champion's own, and for a caller who wants the canary's version.
    fn drawn(&self) -> Option<Arc<Counts>> {
        let named = self.asked.as_ref().is_some_and(|asked| asked.role.is_some());
        if self.role == Role::Canary && !named { self.serving.canary_counts().map(Arc::clone) } else { None }
    }
}

impl Thread {
    /// Nothing is prepared; `stages` are this thread's alone.
    pub const fn new(stages: Arc<Stages>, retired: Retired) -> Self {
        Self { prepared: Prepared::new(retired), stages }
    }

    /// Answer one call: `reply` gets its message, `ring` its rows.
    pub fn run(&mut self, mut call: Inference, ring: &Ring, reply: &mut Vec<u8>) -> Result<(), Refusal> {
        if let Err(failure) = self.score_or_fall_back(&mut call) {
            ring.give_back(call.answered);
            return Err(failure);
        }
        self.encode(&mut call, reply);
        ring.push(call.answered);
        Ok(())
    }

    /// Answer calls of one model, each with one row, by one run; `told` gets each call's place and reply.
    ///
    /// When the common run fails, each call is run by itself, so that a record which the model cannot take
    /// fails its own call, or falls back, and no other.
    pub fn run_together(
        &mut self,
        calls: Vec<Inference>,
        ring: &Ring,
        mut told: impl FnMut(usize, Result<Vec<u8>, Refusal>),
    ) {
        let mut common = ring.blank();
        let (scored, failed_ns) = match calls.as_slice() {
            [first, _, ..] => {
                let began = monotonic_ns();
                for call in &calls {
                    common.blocks.append(&call.answered.blocks);
                }
                let scored = self.score(&first.serving, first.role, &mut common).is_ok();
                (scored, if scored { 0 } else { monotonic_ns() - began })
            }
            _ => (false, 0),
        };
        for (place, mut call) in calls.into_iter().enumerate() {
            let mut reply = Vec::with_capacity(256);
            if !scored {
                if call.drawn().is_some() {
                    call.answered.failed_ns = failed_ns;
                }
                let done = self.run(call, ring, &mut reply);
                told(place, done.map(|()| reply));
                continue;
            }
            take_row(&common, place, &mut call.answered);
            if let Some(counts) = call.drawn() {
                counts.answered();
            }
            self.encode(&mut call, &mut reply);
            told(place, Ok(reply));
            common.members.push(member(&mut call.answered));
            common.propensity.append(&mut call.answered.propensity);
            ring.give_back(call.answered);
        }
        if scored {
            ring.push(common);
        } else {
            ring.give_back(common);
        }
    }

    fn score_or_fall_back(&mut self, call: &mut Inference) -> Result<(), Refusal> {
        let Some(counts) = call.drawn() else {
            return self.score(&call.serving, call.role, &mut call.answered);
        };
        let began = monotonic_ns();
        let scored = self.score(&call.serving, call.role, &mut call.answered);
        if scored.is_ok() {
            counts.answered();
            return scored;
        }
        call.answered.failed_ns += monotonic_ns() - began;
        call.role = Role::Champion;
        self.score(&call.serving, call.role, &mut call.answered)?;
        counts.failed();
        Ok(())
    }

    fn score(&mut self, serving: &Arc<Serving>, role: Role, answered: &mut Answered) -> Result<(), Refusal> {
        let Answered { model, blocks, prediction, .. } = answered;
        let scored = self.prepared.run(serving, role, blocks, prediction);
        scored.map_err(|failure| Refusal::new(Status::Internal, failure))?;
        *model = Some(Arc::clone(serving.model(role).info()));
        Ok(())
    }

    /// Draw what is explored of it and write the reply.
    fn encode(&self, call: &mut Inference, reply: &mut Vec<u8>) {
        let Inference { serving, role, answered, asked, decode_ns } = call;
        serving.model(*role).exploration().draw(answered);
        let (queue_ns, infer_ns) = (answered.queue_ns, answered.prediction.infer_ns);
        let encoding = monotonic_ns();
        let encode_ns = if let Some(asked) = asked {
            infer::encode(answered, asked, reply);
            monotonic_ns() - encoding
        } else {
            predict::encode(answered, Timings { queue_ns, decode_ns: *decode_ns, infer_ns }, encoding, reply)
        };
        self.stages.queue.record(queue_ns);
        self.stages.decode.record(*decode_ns);
        self.stages.infer.record(infer_ns);
        self.stages.encode.record(encode_ns);
    }
}

/// Give a call its row of what a common run made.
fn take_row(common: &Answered, row: usize, into: &mut Answered) {
    let (made, own) = (&common.prediction, &mut into.prediction);
    let width = made.features.len() / common.blocks.rows.max(1);
    own.features.clear();
    own.features.extend_from_slice(made.features.get(row * width..(row + 1) * width).unwrap_or_default());
    own.score.clear();
    own.score.extend(made.score.get(row));
    own.decision.clear();
    own.decision.extend(made.decision.get(row));
    own.infer_ns = made.infer_ns;
    own.cpu_ns = made.cpu_ns;
    into.model.clone_from(&common.model);
}

fn member(answered: &mut Answered) -> Member {
    Member {
        request_id: std::mem::take(&mut answered.request_id),
        client: answered.client,
        received_ns: answered.received_ns,
        event_ns: answered.event_ns,
        queue_ns: answered.queue_ns,
    }
}
