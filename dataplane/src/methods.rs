//! The methods of every service, and the one path that each inference call takes.

pub mod hand_off;
pub mod health_desk;
pub mod histogram;
pub mod inference;
pub mod outcome_desk;
pub mod stages;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::canary::ByRole;
use crate::clock::monotonic_ns;
use crate::edge::replies::Replies;
use crate::messages::infer;
use crate::messages::metadata::{self, Deployed, nothing_deployed};
use crate::messages::outcome;
use crate::messages::predict;
use crate::messages::reflection::{File, Reflection};
use crate::messages::request_id::RequestIds;
use crate::methods::hand_off::HandOff;
use crate::methods::health_desk::HealthDesk;
use crate::methods::inference::Inference;
use crate::methods::outcome_desk::OutcomeDesk;
use crate::methods::stages::AllStages;
use crate::model::deployment::{Deployment, Serving};
use crate::refusal::Refusal;
use crate::rows::answered::Answered;
use crate::rows::ring::Ring;
use crate::service::{Answer, CallId, Method, Request, Service};

/// What the methods need to know.
pub struct Settings {
    /// This software's version, for ServerMetadata.
    pub version: String,
    /// `RecordOutcome` calls whose outcomes are not stored yet, at most.
    pub max_in_flight: usize,
    /// Rows in one ModelInfer call.
    pub max_rows: usize,
    /// A run that is estimated longer goes to a thread of its own.
    pub hand_off_ns: i64,
    /// One-row calls that arrive together are run together, at most so many; 1 for each by itself.
    pub batch_rows: usize,
    /// The services that reflection and health name.
    pub services: Vec<String>,
    /// What reflection describes them with.
    pub files: Vec<File>,
}

/// All methods, shared by all threads.
pub struct Methods {
    /// The models that answer.
    pub deployment: Deployment,
    /// Where answered rows go.
    pub ring: Ring,
    /// Calls that wait for the recorder.
    pub outcomes: OutcomeDesk,
    /// Who asks whether we serve.
    pub health: HealthDesk,
    /// Where the time goes.
    pub stages: AllStages,
    replies: Replies,
    reflection: Reflection,
    ids: RequestIds,
    slow_runs: HandOff<SlowRun>,
    version: String,
    max_rows: usize,
    hand_off_ns: i64,
    batch_rows: usize,
}

/// What an event loop has for itself.
pub struct Thread {
    inference: inference::Thread,
    bursts: ByRole<Burst>,
}

/// One-row calls for one model that were read together.
type Burst = Vec<(Waiting, Inference)>;

/// Whom a call's reply goes to when it is not answered at once.
struct Waiting {
    call: CallId,
    method: Method,
}

/// A decoded inference call that waits for a thread of its own.
struct SlowRun {
    caller: Waiting,
    deadline_ns: i64,
    given_ns: i64,
    inference: Inference,
}

const PREDICT: u8 = 0;
const PREDICT_STREAM: u8 = 1;
const RECORD_OUTCOME: u8 = 2;
const MODEL_INFER: u8 = 3;
const SERVER_LIVE: u8 = 4;
const SERVER_READY: u8 = 5;
const MODEL_READY: u8 = 6;
const SERVER_METADATA: u8 = 7;
const MODEL_METADATA: u8 = 8;
const HEALTH_CHECK: u8 = 9;
const HEALTH_WATCH: u8 = 10;
const REFLECT: u8 = 11;

impl Methods {
    /// Nothing is deployed yet.
    pub fn new(settings: Settings, ring: Ring, replies: Replies) -> Self {
        Self {
            deployment: Deployment::default(),
            ring,
            outcomes: OutcomeDesk::new(replies.clone(), settings.max_in_flight),
            health: HealthDesk::new(settings.services.clone(), replies.clone()),
            stages: AllStages::default(),
            reflection: Reflection::new(settings.services, settings.files),
            replies,
            ids: RequestIds::new(),
            slow_runs: HandOff::default(),
            version: settings.version,
            max_rows: settings.max_rows,
            hand_off_ns: settings.hand_off_ns,
            batch_rows: settings.batch_rows,
        }
    }

    /// Start `threads` threads for slow runs.
    pub fn start(self: &Arc<Self>, threads: usize) -> io::Result<()> {
        for _ in 0..threads {
            let methods = Arc::clone(self);
            let mut thread = self.inference_thread();
            self.slow_runs.start(move |job| methods.finish_slow(&mut thread, job))?;
        }
        Ok(())
    }

    /// End the threads for slow runs, once what waits for them is done.
    pub fn stop(&self) {
        self.slow_runs.stop();
    }

    fn inference_thread(&self) -> inference::Thread {
        inference::Thread::new(self.stages.thread(), self.deployment.retired())
    }

    fn predict(&self, thread: &mut Thread, request: &Request<'_>, reply: &mut Vec<u8>) -> Answer {
        let deployed = self.deployment.get();
        let Some(serving) = deployed.as_ref() else {
            return Answer::Refuse(predict::check(request.message).err().unwrap_or_else(nothing_deployed));
        };
        let (mut answered, decoding) = self.begin(request);
        if let Err(refusal) = predict::decode(request.message, serving.champion().info(), &mut answered) {
            self.ring.give_back(answered);
            return Answer::Refuse(refusal);
        }
        if answered.request_id.is_empty() {
            self.ids.make(&mut answered.request_id);
        }
        let (serving, role) = (Arc::clone(serving), serving.draw(&answered.request_id, &answered.blocks));
        let decode_ns = monotonic_ns() - decoding;
        self.infer(thread, request, Inference { serving, role, answered, asked: None, decode_ns }, reply)
    }

    fn model_infer(&self, thread: &mut Thread, request: &Request<'_>, reply: &mut Vec<u8>) -> Answer {
        let deployed = self.deployment.get();
        let Some(serving) = deployed.as_ref() else {
            return Answer::Refuse(infer::check(request.message).err().unwrap_or_else(nothing_deployed));
        };
        let (mut answered, decoding) = self.begin(request);
        let decoded = infer::decode(request.message, named(serving), self.max_rows, &mut answered);
        let checked = decoded.and_then(|asked| {
            if answered.request_id.is_empty() {
                self.ids.make(&mut answered.request_id);
            }
            infer::check_row_ids(&answered.request_id, answered.blocks.rows).map(|()| asked)
        });
        let asked = match checked {
            Ok(asked) => asked,
            Err(refusal) => {
                self.ring.give_back(answered);
                return Answer::Refuse(refusal);
            }
        };
        let role = asked.role.unwrap_or_else(|| serving.draw(&answered.request_id, &answered.blocks));
        let (serving, asked) = (Arc::clone(serving), Some(asked));
        let decode_ns = monotonic_ns() - decoding;
        self.infer(thread, request, Inference { serving, role, answered, asked, decode_ns }, reply)
    }

    /// A blank for the call's rows, and when its decoding begins.
    fn begin(&self, request: &Request<'_>) -> (Box<Answered>, i64) {
        let mut answered = self.ring.blank();
        let decoding = monotonic_ns();
        answered.client = request.client;
        answered.received_ns = request.received_ns;
        answered.event_ns = request.received_ns;
        answered.queue_ns = decoding - request.arrived_ns;
        (answered, decoding)
    }

    /// Run it here and now; or with others that arrived together; or, when other callers would wait too long
    /// for it, on a thread of its own.
    fn infer(
        &self,
        thread: &mut Thread,
        request: &Request<'_>,
        inference: Inference,
        reply: &mut Vec<u8>,
    ) -> Answer {
        let rows = inference.answered.blocks.rows;
        let caller = Waiting { call: request.call, method: request.method };
        let costs = inference.serving.model(inference.role).costs();
        if costs.estimate_ns(rows) > self.hand_off_ns {
            let (deadline_ns, given_ns) = (request.deadline_ns, monotonic_ns());
            self.slow_runs.give(SlowRun { caller, deadline_ns, given_ns, inference });
            return Answer::Later;
        }
        if self.batch_rows > 1 && rows == 1 {
            self.join_burst(thread, caller, inference);
            return Answer::Later;
        }
        match thread.inference.run(inference, &self.ring, reply) {
            Ok(()) => Answer::Reply,
            Err(refusal) => Answer::Refuse(refusal),
        }
    }

    /// Put a call off until the messages that were read with it are decoded.
    fn join_burst(&self, thread: &mut Thread, caller: Waiting, inference: Inference) {
        let burst = thread.bursts.of(inference.role);
        let swapped = |(_, first): &(Waiting, Inference)| !Arc::ptr_eq(&first.serving, &inference.serving);
        if burst.first().is_some_and(swapped) {
            self.run_burst(&mut thread.inference, burst);
        }
        burst.push((caller, inference));
        if burst.len() >= self.batch_rows {
            self.run_burst(&mut thread.inference, burst);
        }
    }

    fn run_burst(&self, thread: &mut inference::Thread, burst: &mut Burst) {
        let (callers, calls): (Vec<_>, Vec<_>) = burst.drain(..).unzip();
        let mut told = 0;
        let run = AssertUnwindSafe(|| {
            thread.run_together(calls, &self.ring, |place, done| {
                told = place + 1;
                if let Some(caller) = callers.get(place) {
                    self.tell(caller, done);
                }
            });
        });
        if catch_unwind(run).is_err() {
            for caller in callers.iter().skip(told) {
                self.tell(caller, Err(Refusal::failed()));
            }
        }
    }

    fn finish_slow(&self, thread: &mut inference::Thread, job: SlowRun) {
        let SlowRun { caller, deadline_ns, given_ns, mut inference } = job;
        let now = monotonic_ns();
        let done = if now >= deadline_ns {
            self.ring.give_back(inference.answered);
            Err(Refusal::too_late())
        } else {
            inference.answered.queue_ns += now - given_ns;
            let mut reply = Vec::new();
            let run = AssertUnwindSafe(|| thread.run(inference, &self.ring, &mut reply));
            let done = catch_unwind(run);
            done.unwrap_or_else(|_| Err(Refusal::failed())).map(|()| reply)
        };
        self.tell(&caller, done);
    }

    fn tell(&self, caller: &Waiting, done: Result<Vec<u8>, Refusal>) {
        match done {
            Ok(reply) if caller.method.streaming => self.replies.send(caller.call, reply),
            done => self.replies.finish(caller.call, done.map(Some)),
        }
    }

    fn record_outcome(&self, request: &Request<'_>) -> Answer {
        match outcome::decode(request.message, request.received_ns) {
            Ok(outcomes) => match self.outcomes.record(request.call, outcomes, &self.ring) {
                Ok(()) => Answer::Later,
                Err(refusal) => Answer::Refuse(refusal),
            },
            Err(refusal) => Answer::Refuse(refusal),
        }
    }

    fn describe(&self, request: &Request<'_>, reply: &mut Vec<u8>) -> Answer {
        let deployed = self.deployment.get();
        let models = deployed.as_ref().map(|serving| named(serving));
        let message = request.message;
        let written = match request.method.id {
            SERVER_LIVE => metadata::server_live(message, reply),
            SERVER_READY => metadata::server_ready(message, models.is_some(), reply),
            MODEL_READY => metadata::model_ready(message, models, reply),
            SERVER_METADATA => metadata::server_metadata(message, &self.version, reply),
            MODEL_METADATA => metadata::model_metadata(message, models, reply),
            _ => self.reflection.answer(message, reply),
        };
        written.map_or_else(Answer::Refuse, |()| Answer::Reply)
    }
}

/// The models as callers may name them.
fn named(serving: &Serving) -> Deployed<'_> {
    Deployed { champion: serving.champion().info(), canary: serving.canary().map(|model| &**model.info()) }
}

impl Service for Methods {
    type Thread = Thread;

    fn thread(&self) -> Thread {
        Thread { inference: self.inference_thread(), bursts: ByRole::default() }
    }

    fn method(&self, path: &[u8]) -> Option<Method> {
        let (id, streaming, limited) = match path {
            b"/sidecar.v1.PredictionService/Predict" => (PREDICT, false, true),
            b"/sidecar.v1.PredictionService/PredictStream" => (PREDICT_STREAM, true, true),
            b"/sidecar.v1.PredictionService/RecordOutcome" => (RECORD_OUTCOME, false, true),
            b"/inference.GRPCInferenceService/ModelInfer" => (MODEL_INFER, false, true),
            b"/inference.GRPCInferenceService/ServerLive" => (SERVER_LIVE, false, true),
            b"/inference.GRPCInferenceService/ServerReady" => (SERVER_READY, false, true),
            b"/inference.GRPCInferenceService/ModelReady" => (MODEL_READY, false, true),
            b"/inference.GRPCInferenceService/ServerMetadata" => (SERVER_METADATA, false, true),
            b"/inference.GRPCInferenceService/ModelMetadata" => (MODEL_METADATA, false, true),
            b"/grpc.health.v1.Health/Check" => (HEALTH_CHECK, false, false),
            b"/grpc.health.v1.Health/Watch" => (HEALTH_WATCH, true, false),
            b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => (REFLECT, true, false),
            _ => return None,
        };
        Some(Method { id, streaming, limited })
    }

    fn answer(&self, thread: &mut Thread, request: &Request<'_>, reply: &mut Vec<u8>) -> Answer {
        match request.method.id {
            PREDICT | PREDICT_STREAM => self.predict(thread, request, reply),
            MODEL_INFER => self.model_infer(thread, request, reply),
            RECORD_OUTCOME => self.record_outcome(request),
            HEALTH_CHECK => self.health.check(request.message, reply),
            HEALTH_WATCH => self.health.watch(request.call, request.message, reply),
            _ => self.describe(request, reply),
        }
    }

    fn burst_ended(&self, thread: &mut Thread) {
        let ByRole { champion, canary } = &mut thread.bursts;
        for burst in [champion, canary] {
            if !burst.is_empty() {
                self.run_burst(&mut thread.inference, burst);
            }
        }
    }

    fn gone(&self, call: CallId, method: Method) {
        match method.id {
            RECORD_OUTCOME => self.outcomes.gone(call),
            HEALTH_WATCH => self.health.gone(call),
            _ => self.slow_runs.forget(|job| job.caller.call == call),
        }
    }
}
