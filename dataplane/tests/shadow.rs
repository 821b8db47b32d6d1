//! Chunks of inference calls through a shadow's scorer, and the results that it leaves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod wheel;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sidecar_dataplane::model::session::{Runner, Session};
use sidecar_dataplane::rows::answered::{ModelInfo, Prediction};
use sidecar_dataplane::rows::blocks::Blocks;
use sidecar_dataplane::shadow::{Chunk, Results, Scorer};
use sidecar_dataplane::signature::{Field, Kind, Signature};

const TRIGGER: i64 = 13;
const WIDTH: usize = 24;
const ENDS: [i64; 4] = [2, 3, 6, 7];

fn runner() -> Runner {
    let field = |kind| Field {
        name: "field".to_owned(),
        kind,
        missing_allowed: true,
        lower: None,
        upper: None,
        reject_outside: false,
    };
    let fields = [Kind::Number, Kind::Number, Kind::Integer, Kind::Text].map(field).into();
    let info = ModelInfo {
        name: "tiny".to_owned(),
        version: "1".to_owned(),
        digest: "d".repeat(64),
        signature: Signature::new(fields, "s".repeat(64)),
        features: 3,
    };
    let graph = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/raising.onnx");
    Session::open(&wheel::runtime(), &graph, Arc::new(info)).unwrap().runner().unwrap()
}

/// Seven rows in calls that end at `ENDS`; the third call, of rows 3 to 5, fails for its second row.
struct Rows {
    numbers: Vec<f32>,
    integers: Vec<i64>,
    words: Vec<String>,
    word_of_row: Vec<i64>,
    ends: Vec<i64>,
}

impl Rows {
    fn new() -> Self {
        Self {
            numbers: (0..14_u8).map(|x| f32::from(x) / 8.0 - 1.0).collect(),
            integers: vec![1, 2, 3, 4, TRIGGER, 6, 7],
            words: ["red", "", "größer"].map(str::to_owned).into(),
            word_of_row: vec![0, 1, 2, 0, 1, 2, 0],
            ends: ENDS.into(),
        }
    }

    fn score(&self, space: &mut Space) -> Result<(), String> {
        let chunk = Chunk {
            numbers: &self.numbers,
            integers: &self.integers,
            texts: vec![(&self.words, &self.word_of_row)],
            ends: &self.ends,
        };
        let mut results = Results {
            done: &space.done,
            score: &mut space.score,
            decision: &mut space.decision,
            raised: &mut space.raised,
            infer_ns: &mut space.infer_ns,
            cpu_ns: &mut space.cpu_ns,
            detail: &mut space.detail,
        };
        Scorer::new(runner()).score(&chunk, &mut results)
    }

    /// What the champion's own code makes of the rows of one call.
    fn served(&self, start: usize, end: usize) -> Result<Prediction, String> {
        let mut blocks = Blocks { rows: end - start, ..Blocks::default() };
        blocks.numbers.extend(&self.numbers[2 * start..2 * end]);
        blocks.integers.extend(&self.integers[start..end]);
        for &word in &self.word_of_row[start..end] {
            blocks.texts.push(&self.words[usize::try_from(word).unwrap()]);
        }
        let mut prediction = Prediction::default();
        runner().run(&blocks, &mut prediction).map(|()| prediction)
    }
}

/// Results for more rows than there are, full of what a former chunk left.
struct Space {
    done: AtomicI64,
    score: Vec<f32>,
    decision: Vec<u8>,
    raised: Vec<u8>,
    infer_ns: Vec<i64>,
    cpu_ns: Vec<i64>,
    detail: Vec<u8>,
}

impl Space {
    fn new(rows: usize) -> Self {
        Self {
            done: AtomicI64::new(0),
            score: vec![9.0; rows],
            decision: vec![9; rows],
            raised: vec![9; rows],
            infer_ns: vec![-9; rows],
            cpu_ns: vec![-9; rows],
            detail: vec![b'x'; rows * WIDTH],
        }
    }

    fn done(&self) -> i64 {
        self.done.load(Ordering::Acquire)
    }
}

#[test]
fn each_call_is_scored_as_it_would_be_served_and_a_failed_one_fails_alone() {
    let (rows, mut space) = (Rows::new(), Space::new(10));
    rows.score(&mut space).unwrap();
    assert_eq!(space.done(), 7);
    let mut start = 0;
    for end in ENDS.map(|end| usize::try_from(end).unwrap()) {
        let call = start..end;
        match rows.served(start, end) {
            Ok(served) => {
                assert_eq!(space.score[call.clone()], served.score);
                assert!(
                    space.decision[call.clone()].iter().zip(served.decision).all(|(&a, b)| (a != 0) == b)
                );
                assert!(space.raised[call.clone()].iter().all(|&raised| raised == 0));
                for times in [&space.infer_ns, &space.cpu_ns] {
                    assert!(times[start] > 0 && times[call.clone()].iter().all(|&time| time == times[start]));
                }
            }
            Err(error) => {
                assert_eq!(start, 3);
                assert!(space.score[call.clone()].iter().all(|score| score.is_nan()));
                assert_eq!(space.raised[call.clone()], [1; 3]);
                assert_eq!((&space.decision[call.clone()], space.cpu_ns[start]), (&[0; 3][..], 0));
                let details = space.detail[start * WIDTH..end * WIDTH].chunks(WIDTH);
                assert!(details.into_iter().all(|detail| detail == &error.as_bytes()[..WIDTH]));
            }
        }
        start = end;
    }
    assert_eq!((space.score[7], space.raised[7], space.cpu_ns[7]), (9.0, 9, -9));
}

#[test]
fn a_detail_shorter_than_its_place_is_filled_with_zeros() {
    let mut space = Space::new(7);
    space.detail = vec![b'x'; 7 * 1_000];
    let rows = Rows::new();
    rows.score(&mut space).unwrap();
    let error = rows.served(3, 6).unwrap_err();
    let detail = &space.detail[5 * 1_000..6 * 1_000];
    assert!(detail.starts_with(error.as_bytes()));
    assert!(detail[error.len()..].iter().all(|&byte| byte == 0));
}

#[test]
fn no_rows_are_no_work() {
    let mut space = Space::new(1);
    let rows = Rows { numbers: vec![], integers: vec![], words: vec![], word_of_row: vec![], ends: vec![] };
    rows.score(&mut space).unwrap();
    assert_eq!((space.done(), space.raised[0]), (0, 9));
}

#[test]
fn parts_that_do_not_fit_each_other_are_told_before_a_run() {
    let damaged = |damage: fn(&mut Rows)| {
        let mut rows = Rows::new();
        damage(&mut rows);
        let mut space = Space::new(7);
        let error = rows.score(&mut space).unwrap_err();
        assert_eq!((space.done(), &space.raised), (0, &vec![9; 7]), "{error}");
    };
    damaged(|rows| rows.numbers.truncate(13));
    damaged(|rows| rows.integers.truncate(6));
    damaged(|rows| rows.word_of_row.truncate(6));
    damaged(|rows| rows.ends = vec![0, 7]);
    damaged(|rows| rows.ends = vec![-1, 7]);
    damaged(|rows| rows.ends = vec![i64::MAX, 7]);
    damaged(|rows| rows.ends = vec![7, -7]);
    damaged(|rows| rows.word_of_row[0] = 3);
    damaged(|rows| rows.word_of_row[0] = -1);
    assert!(Rows::new().score(&mut Space::new(6)).unwrap_err().contains("results for 6"));
}

#[test]
fn calls_before_one_that_cannot_be_run_are_complete() {
    let (mut rows, mut space) = (Rows::new(), Space::new(7));
    rows.ends = vec![2, 1, 7];
    rows.score(&mut space).unwrap_err();
    assert_eq!((space.done(), space.raised[1], space.raised[2]), (2, 0, 9));
}
