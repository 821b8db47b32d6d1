//! One connection without its socket: whatever the peer sends after its preface, in pieces of any size, is answered
//! or ends the connection, and no call keeps its place once the connection is over.
#![no_main]

use std::sync::{Arc, Mutex, PoisonError};

use libfuzzer_sys::fuzz_target;
use sidecar_dataplane::edge::admission::Admission;
use sidecar_dataplane::edge::exchange::Exchange;
use sidecar_dataplane::edge::http2::Broken;
use sidecar_dataplane::edge::limits::{Patience, WRITE_BYTES};
use sidecar_dataplane::refusal::Refusal;
use sidecar_dataplane::service::{Answer, CallId, Method, Request, Service};
use sidecar_dataplane::edge::worker::Worker;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const MAX_MESSAGE_BYTES: usize = 1024;
const MAX_IN_FLIGHT: usize = 3;
const MAX_STREAMS: u32 = 8;

/// Answers in each way that a service can, by the path.
#[derive(Default)]
struct Answers {
    held: Mutex<Vec<CallId>>,
}

const PATHS: [(&[u8], bool, bool); 6] = [
    (b"/e", false, true), // echo
    (b"/s", true, true),  // echo, streaming
    (b"/r", false, true), // refuse
    (b"/l", false, true), // later
    (b"/m", true, true),  // later, streaming
    (b"/w", true, false), // watch
];

impl Service for Answers {
    type Thread = ();

    fn thread(&self) {}

    fn method(&self, path: &[u8]) -> Option<Method> {
        let (id, (_, streaming, limited)) = (0..).zip(PATHS).find(|(_, (known, ..))| *known == path)?;
        Some(Method { id, streaming, limited })
    }

    fn answer(&self, (): &mut (), request: &Request<'_>, reply: &mut Vec<u8>) -> Answer {
        assert!(request.message.len() <= MAX_MESSAGE_BYTES);
        reply.extend_from_slice(request.message);
        let hold = || self.held.lock().unwrap_or_else(PoisonError::into_inner).push(request.call);
        match PATHS[usize::from(request.method.id)].0 {
            b"/r" => Answer::Refuse(Refusal::invalid(String::from_utf8_lossy(request.message))),
            b"/l" | b"/m" => {
                hold();
                Answer::Later
            }
            b"/w" => {
                hold();
                Answer::Subscribed
            }
            _ => Answer::Reply,
        }
    }

    fn gone(&self, call: CallId, _: Method) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).retain(|held| *held != call);
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&piece, input)) = input.split_first() else { return };
    let service = Arc::new(Answers::default());
    let admission = Arc::new(Admission::new(MAX_IN_FLIGHT));
    let mut worker =
        Worker::new(Arc::clone(&service), Arc::clone(&admission), 0, MAX_MESSAGE_BYTES, Patience::default());
    let Ok(mut exchange) = Exchange::new(1, MAX_STREAMS) else { return };

    let mut turns = Turns { exchange: &mut exchange, worker: &mut worker, service: &service };
    let pieces = [PREFACE].into_iter().chain(input.chunks(usize::from(piece) + 1));
    let _ = pieces.map(|piece| turns.take(piece)).find(Result::is_err);

    assert!(admission.in_flight() <= MAX_IN_FLIGHT);
    exchange.close(&mut worker);
    assert_eq!(admission.in_flight(), 0, "a place is lost");
});

struct Turns<'a> {
    exchange: &'a mut Exchange,
    worker: &'a mut Worker<Answers>,
    service: &'a Answers,
}

impl Turns<'_> {
    /// Read a piece, settle what waited before it, write what there is.
    fn take(&mut self, piece: &[u8]) -> Result<(), Broken> {
        let waited = std::mem::take(&mut *self.service.held.lock().unwrap_or_else(PoisonError::into_inner));
        self.exchange.receive(piece, self.worker)?;
        self.worker.end_burst();
        for call in waited {
            self.exchange.send(call.stream, piece, self.worker)?;
            if piece.len().is_multiple_of(2) {
                self.exchange.finish(call.stream, Ok(None), self.worker)?;
            }
        }
        let mut output = Vec::new();
        self.exchange.transmit(&mut output, WRITE_BYTES, self.worker)
    }
}
