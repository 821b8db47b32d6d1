//! `grpc.health.v1`: whether a champion is deployed, asked once or watched.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::edge::replies::Replies;
use crate::messages::health::{self, Serving};
use crate::python_text::ascii;
use crate::refusal::{Refusal, Status};
use crate::service::{Answer, CallId};

const MOST_SHOWN: usize = 128;

/// Answers for the server as a whole ("") and for each of its services, all alike.
pub struct HealthDesk {
    services: Vec<String>,
    replies: Replies,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    serving: bool,
    left: bool,
    watches: Vec<Watch>,
}

struct Watch {
    call: CallId,
    known: bool,
}

impl HealthDesk {
    /// Says NOT_SERVING until told otherwise.
    pub fn new(services: Vec<String>, replies: Replies) -> Self {
        Self { services, replies, state: Mutex::default() }
    }

    /// Tell everyone whether predictions are answered. Has no effect once `leave` was called.
    pub fn say(&self, serving: bool) {
        let mut state = self.state();
        if !state.left && serving != state.serving {
            state.serving = serving;
            self.tell(&state);
        }
    }

    /// Say NOT_SERVING for good, and end the watches.
    pub fn leave(&self) {
        let mut state = self.state();
        state.serving = false;
        state.left = true;
        self.tell(&state);
        for watch in state.watches.drain(..) {
            self.replies.finish(watch.call, Ok(None));
        }
    }

    /// Answer with the status now; NOT_FOUND for a service that is not here.
    pub fn check(&self, message: &[u8], reply: &mut Vec<u8>) -> Answer {
        let service = match health::service_asked(message) {
            Ok(service) => service,
            Err(refusal) => return Answer::Refuse(refusal),
        };
        if !self.knows(service) {
            let shown: String = service.chars().take(MOST_SHOWN).collect();
            let text = format!("there is no service {}", ascii(&shown));
            return Answer::Refuse(Refusal::new(Status::NotFound, text));
        }
        health::encode(status(true, self.state().serving), reply);
        Answer::Reply
    }

    /// Send the status now and whenever it changes.
    pub fn watch(&self, call: CallId, message: &[u8], reply: &mut Vec<u8>) -> Answer {
        let service = match health::service_asked(message) {
            Ok(service) => service,
            Err(refusal) => return Answer::Refuse(refusal),
        };
        let known = self.knows(service);
        let mut state = self.state();
        health::encode(status(known, state.serving), reply);
        if state.left {
            self.replies.finish(call, Ok(None));
        } else {
            state.watches.push(Watch { call, known });
        }
        Answer::Subscribed
    }

    /// Forget a watch whose caller has gone.
    pub fn gone(&self, call: CallId) {
        self.state().watches.retain(|watch| watch.call != call);
    }

    fn tell(&self, state: &State) {
        for watch in &state.watches {
            let mut message = Vec::new();
            health::encode(status(watch.known, state.serving), &mut message);
            self.replies.send(watch.call, message);
        }
    }

    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.iter().any(|known| known == service)
    }

    /// Shared with nothing on the path of a prediction.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn status(known: bool, serving: bool) -> Serving {
    match (known, serving) {
        (false, _) => Serving::ServiceUnknown,
        (true, true) => Serving::Serving,
        (true, false) => Serving::NotServing,
    }
}
