//! The ring alone, and with many threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use super::{Drained, PendingOutcomes, Ring};
use crate::client_version::ClientVersion;
use crate::rows::answered::{Answered, Member, ModelInfo};
use crate::rows::ledger::Ledger;
use crate::signature::{Field, Kind, Signature};

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(600);

fn ring(capacity: usize) -> Ring {
    static LEDGERS: AtomicUsize = AtomicUsize::new(0);
    let number = LEDGERS.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("sidecar-ring-{}-{number}", process::id()));
    fs::write(&path, [3_i64, 2, 1, 0].map(i64::to_le_bytes).concat()).unwrap();
    let ledger = Ledger::open(&path).unwrap();
    fs::remove_file(path).unwrap();
    Ring::new(capacity, ledger)
}

fn model(digest: &str) -> Arc<ModelInfo> {
    let field = |kind| Field {
        name: String::new(),
        kind,
        missing_allowed: true,
        lower: None,
        upper: None,
        reject_outside: false,
    };
    let fields = [Kind::Number, Kind::Text, Kind::Number, Kind::Integer, Kind::Text].map(field);
    Arc::new(ModelInfo {
        name: "task".into(),
        version: "1".into(),
        digest: digest.repeat(64),
        signature: Signature::new(fields.into(), String::new()),
        features: 3,
    })
}

fn answered(ring: &Ring, number: i64, rows: usize, model: &Arc<ModelInfo>) -> Box<Answered> {
    let mut call = ring.blank();
    assert_eq!(call.blocks.rows, 0);
    call.model = Some(Arc::clone(model));
    call.request_id.push_str(&format!("r{number}"));
    call.client = client(number);
    (call.received_ns, call.event_ns, call.queue_ns) = (number, -number, number * 2);
    call.failed_ns = if number % 2 == 0 { number * 3 } else { 0 };
    (call.prediction.infer_ns, call.prediction.cpu_ns) = (number * 10, number * 5);
    call.blocks.rows = rows;
    for row in 0..rows {
        call.blocks.numbers.extend([number as f32; 2]);
        call.blocks.integers.push(number);
        call.blocks.texts.push(&number.to_string());
        call.blocks.texts.push(if row % 2 == 0 { "even" } else { "" });
        call.prediction.features.extend([number as f32; 3]);
        call.prediction.score.push((number + row as i64) as f32);
        call.prediction.decision.push(number % 2 == 0);
        if number % 2 == 0 {
            call.propensity.push(0.75);
        }
    }
    call
}

/// Every third number sends none.
fn client(number: i64) -> ClientVersion {
    let version = if number % 3 == 0 { String::new() } else { format!("app/{number}") };
    ClientVersion::new(version.as_bytes()).unwrap()
}

fn ids(drained: &Drained) -> Vec<&str> {
    drained.served.iter().flat_map(|batch| batch.request_ids.iter().map(String::as_str)).collect()
}

fn pending(ticket: u64) -> PendingOutcomes {
    PendingOutcomes { ticket, outcomes: Vec::new() }
}

#[test]
fn calls_become_columns_in_order() {
    let (ring, a) = (ring(100), model("a"));
    ring.push(answered(&ring, 1, 2, &a));
    ring.push(answered(&ring, 2, 1, &a));
    let drained = ring.drain(100, NOW);
    let [batch] = &drained.served[..] else { panic!("one batch") };
    assert_eq!(batch.model.digest, a.digest);
    assert_eq!(batch.request_ids, ["r1/0", "r1/1", "r2"]);
    assert_eq!(
        (&batch.clients.values[..], &batch.clients.rows[..]),
        (&["app/1".into(), "app/2".into()][..], &[0, 0, 1][..])
    );
    assert_eq!(batch.group, [0, 0, 1]);
    assert_eq!((&batch.received_ns[..], &batch.event_ns[..]), (&[1, 1, 2][..], &[-1, -1, -2][..]));
    assert_eq!(batch.queue_ns, [2, 2, 4]);
    assert_eq!((&batch.infer_ns[..], &batch.cpu_ns[..]), (&[10, 10, 20][..], &[5, 5, 10][..]));
    assert_eq!((&batch.score[..], &batch.decision[..]), (&[1.0, 2.0, 2.0][..], &[0, 0, 1][..]));
    assert_eq!((&batch.propensity[..], &batch.failed_ns[..]), (&[1.0, 1.0, 0.75][..], &[0, 0, 6][..]));
    ring.push(answered(&ring, 3, 2, &a));
    let usual = &ring.drain(100, NOW).served[0];
    assert!(usual.propensity.is_empty(), "each is 1");
    assert!(usual.failed_ns.is_empty(), "each is 0");
    assert_eq!(batch.features, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    assert_eq!(
        (&batch.numbers[..], &batch.integers[..]),
        (&[1.0, 1.0, 1.0, 1.0, 2.0, 2.0][..], &[1, 1, 2][..])
    );
    let texts = |field: usize| (batch.texts[field].values.join(","), batch.texts[field].rows.clone());
    assert_eq!(texts(0), ("1,2".into(), vec![0, 0, 1]));
    assert_eq!(texts(1), ("even,".into(), vec![0, 1, 0]));
}

#[test]
fn requests_that_ran_together_keep_their_own_keys_and_times() {
    let (ring, a) = (ring(100), model("a"));
    let mut call = answered(&ring, 1, 2, &a);
    let member = |n: i64| Member {
        request_id: format!("m{n}"),
        client: client(n),
        received_ns: n,
        event_ns: -n,
        queue_ns: n * 2,
    };
    call.members.extend([7, 8].map(member));
    ring.push(call);
    let mut spoilt = answered(&ring, 2, 2, &a);
    spoilt.members.push(member(9));
    ring.push(spoilt);
    assert_eq!((ring.offered(), ring.dropped()), (4, 2));
    let drained = ring.drain(100, NOW);
    let [batch] = &drained.served[..] else { panic!("one batch") };
    assert_eq!((&batch.request_ids[..], &batch.group[..]), (&["m7".into(), "m8".into()][..], &[0, 0][..]));
    assert_eq!(batch.clients.values, ["app/7", "app/8"]);
    assert_eq!((&batch.received_ns[..], &batch.event_ns[..]), (&[7, 8][..], &[-7, -8][..]));
    assert_eq!((&batch.queue_ns[..], &batch.infer_ns[..]), (&[14, 16][..], &[10, 10][..]));
}

#[test]
fn models_are_kept_apart_and_groups_go_on_counting() {
    let (ring, a, b) = (ring(100), model("a"), model("b"));
    for (number, model) in [(1, &b), (2, &model("a")), (3, &b), (4, &a)] {
        ring.push(answered(&ring, number, 1, model));
    }
    let drained = ring.drain(100, NOW);
    assert_eq!(ids(&drained), ["r1", "r3", "r2", "r4"], "each model's in order");
    let groups = |drained: Drained| drained.served.into_iter().map(|batch| batch.group).collect::<Vec<_>>();
    assert_eq!(groups(drained), [[0, 1], [2, 3]]);
    ring.push(answered(&ring, 5, 1, &a));
    assert_eq!(groups(ring.drain(100, NOW)), [[4]]);
}

#[test]
fn a_call_is_kept_whole_or_dropped_whole() {
    let (ring, a) = (ring(5), model("a"));
    for (number, rows) in [(1, 3), (2, 3), (3, 2), (4, 0)] {
        ring.push(answered(&ring, number, rows, &a));
    }
    assert_eq!((ring.offered(), ring.dropped(), ring.queued()), (8, 3, 5));
    assert_eq!((ring.ledger.offered(), ring.ledger.dropped()), (3 + 8, 2 + 3), "with what was there");
    assert_eq!(ids(&ring.drain(100, NOW)), ["r1/0", "r1/1", "r1/2", "r3/0", "r3/1"]);
    assert_eq!(ring.queued(), 0);
}

#[test]
fn a_drain_takes_whole_calls_up_to_its_bound_and_at_least_one() {
    let (ring, a) = (ring(100), model("a"));
    for (number, rows) in [(1, 4), (2, 1), (3, 1), (4, 1)] {
        ring.push(answered(&ring, number, rows, &a));
    }
    assert_eq!(ids(&ring.drain(2, NOW)).len(), 4);
    assert_eq!(ids(&ring.drain(2, NOW)), ["r2", "r3"]);
    assert_eq!(ring.queued(), 1);
    assert_eq!(ids(&ring.drain(2, NOW)), ["r4"]);
    assert_eq!(ids(&ring.drain(2, NOW)), [""; 0]);
}

#[test]
fn a_drain_that_left_a_whole_one_or_half_a_ring_is_followed_at_once() {
    let a = model("a");
    for (most, at_once, last) in [(3, vec![3, 3, 3], 1), (5, vec![5, 5], 0), (6, vec![6], 4)] {
        let ring = ring(10);
        (0..10).for_each(|number| ring.push(answered(&ring, number, 1, &a)));
        let sizes: Vec<_> = at_once.iter().map(|_| ids(&ring.drain(most, LONG)).len()).collect();
        assert_eq!(sizes, at_once);
        let start = Instant::now();
        assert_eq!(ids(&ring.drain(most, Duration::from_millis(20))).len(), last);
        assert!(start.elapsed() >= Duration::from_millis(20), "{last} of {most} wait");
    }
}

#[test]
fn outcomes_come_in_the_order_of_their_calls_and_survive_a_full_ring() {
    let (ring, a) = (ring(1), model("a"));
    ring.push(answered(&ring, 1, 1, &a));
    ring.push_outcomes(pending(1));
    ring.push_outcomes(pending(2));
    assert_eq!(ring.drain(1, LONG).outcomes, [pending(1), pending(2)]);
}

#[test]
fn outcomes_end_the_wait_of_a_drain() {
    let ring = ring(100);
    thread::scope(|scope| {
        let drain = scope.spawn(|| ring.drain(1, LONG));
        thread::sleep(Duration::from_millis(30));
        ring.push_outcomes(pending(1));
        assert_eq!(drain.join().unwrap().outcomes, [pending(1)]);
    });
}

/// Every row is drained once, in its thread's order, or dropped and counted, and the ring is never over-full.
#[test]
fn many_threads_push_while_one_drains_and_no_row_is_lost_or_doubled() {
    const THREADS: i64 = 4;
    const CALLS: i64 = 20_000;
    let (ring, a) = (ring(64), model("a"));
    let pushing = AtomicUsize::new(THREADS as usize);
    let mut taken = Vec::new();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (ring, a, pushing) = (&ring, &a, &pushing);
            scope.spawn(move || {
                for number in 0..CALLS {
                    ring.push(answered(ring, thread * CALLS + number, number as usize % 3 + 1, a));
                }
                pushing.fetch_sub(1, Ordering::Release);
            });
        }
        while pushing.load(Ordering::Acquire) > 0 || ring.queued() > 0 {
            assert!(ring.queued() <= 64);
            let drained = ring.drain(50, Duration::from_millis(1));
            assert!(ids(&drained).len() <= 50);
            taken.extend(drained.served.into_iter().flat_map(|batch| batch.integers));
        }
    });
    let pushed: u64 = (0..CALLS).map(|number| number as u64 % 3 + 1).sum::<u64>() * THREADS as u64;
    assert_eq!(ring.offered(), pushed);
    assert_eq!(taken.len() as u64 + ring.dropped(), pushed);
    assert!(!taken.is_empty() && ring.dropped() > 0);
    for thread in 0..THREADS {
        let own: Vec<_> = taken.iter().filter(|&number| number / CALLS == thread).collect();
        for call in own.chunk_by(|one, next| one == next) {
            assert_eq!(call.len() as i64, call[0] % CALLS % 3 + 1, "whole, and once");
        }
        assert!(own.is_sorted());
    }
}
