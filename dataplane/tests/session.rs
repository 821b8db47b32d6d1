//! Sessions and runners against real graphs, and against `sidecar/session.py` on the same ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod wheel;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process, thread};

use sidecar_dataplane::model::session::Session;
use sidecar_dataplane::rows::answered::{ModelInfo, Prediction};
use sidecar_dataplane::rows::blocks::Blocks;
use sidecar_dataplane::signature::{Field, Kind, Signature};

const MODEL: &str = "tiny/1@dddddddd";
const TRIGGER: i64 = 13;

fn graph(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).with_extension("onnx")
}

fn info(kinds: &[Kind], features: usize) -> Arc<ModelInfo> {
    let field = |(index, &kind): (usize, &Kind)| Field {
        name: format!("field{index}"),
        kind,
        missing_allowed: true,
        lower: None,
        upper: None,
        reject_outside: false,
    };
    let fields = kinds.iter().enumerate().map(field).collect();
    Arc::new(ModelInfo {
        name: "tiny".to_owned(),
        version: "1".to_owned(),
        digest: "d".repeat(64),
        signature: Signature::new(fields, "s".repeat(64)),
        features,
    })
}

fn three_kinds() -> Arc<ModelInfo> {
    info(&[Kind::Number, Kind::Number, Kind::Integer, Kind::Text], 3)
}

fn numbers_only() -> Arc<ModelInfo> {
    info(&[Kind::Number, Kind::Number], 2)
}

fn open(name: &str, info: Arc<ModelInfo>) -> Result<Arc<Session>, String> {
    Session::open(&wheel::runtime(), &graph(name), info)
}

fn rows(records: &[(f32, f32, i64, &str)]) -> Blocks {
    let mut blocks = Blocks { rows: records.len(), ..Blocks::default() };
    for &(x, amount, trigger, colour) in records {
        blocks.numbers.extend([x, amount]);
        blocks.integers.push(trigger);
        blocks.texts.push(colour);
    }
    blocks
}

fn numbers(records: &[[f32; 2]]) -> Blocks {
    Blocks { rows: records.len(), numbers: records.concat(), ..Blocks::default() }
}

fn run(name: &str, info: Arc<ModelInfo>, blocks: &Blocks) -> Result<Prediction, String> {
    let mut prediction = Prediction::default();
    let mut runner = open(name, info).unwrap().runner().unwrap();
    runner.run(blocks, &mut prediction).map(|()| prediction)
}

/// Each run of the first 1, 2, ... rows as `sidecar/session.py` sees it; see `data/reference.py`.
fn reference(name: &str, blocks: &Blocks) -> Vec<String> {
    static FEEDS: AtomicUsize = AtomicUsize::new(0);
    let number = FEEDS.fetch_add(1, Ordering::Relaxed);
    let feed = env::temp_dir().join(format!("sidecar-feed-{}-{number}", process::id()));
    fs::create_dir_all(&feed).unwrap();
    let numbers: Vec<u8> = blocks.numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let integers: Vec<u8> = blocks.integers.iter().flat_map(|integer| integer.to_le_bytes()).collect();
    let texts: Vec<u8> = blocks.texts.iter().flat_map(|text| [text, b"\n"].concat()).collect();
    for (file, bytes) in [("numbers", numbers), ("integers", integers), ("texts", texts)] {
        fs::write(feed.join(file), bytes).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reference.py");
    let output = Command::new(wheel::python())
        .args([script.as_os_str(), graph(name).as_os_str(), MODEL.as_ref()])
        .args([blocks.rows.to_string().as_ref(), feed.as_os_str()])
        .output()
        .unwrap();
    fs::remove_dir_all(&feed).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn first(blocks: &Blocks, few: usize) -> Blocks {
    let mut part = Blocks { rows: few, ..Blocks::default() };
    part.numbers.extend(&blocks.numbers[..few * blocks.numbers.len() / blocks.rows]);
    part.integers.extend(&blocks.integers[..few * blocks.integers.len() / blocks.rows]);
    for text in blocks.texts.iter().take(few * blocks.texts.len() / blocks.rows) {
        part.texts.push(std::str::from_utf8(text).unwrap());
    }
    part
}

fn line(outcome: Result<(), String>, prediction: &Prediction) -> String {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let floats = |floats: &[f32]| hex(floats.iter().flat_map(|float| float.to_le_bytes()).collect());
    let bools = hex(prediction.decision.iter().map(|&yes| u8::from(yes)).collect());
    match outcome {
        Ok(()) => format!("{} {} {bools}", floats(&prediction.features), floats(&prediction.score)),
        Err(error) => format!("error {error}"),
    }
}

fn assert_agrees(name: &str, info: &Arc<ModelInfo>, blocks: &Blocks) {
    let expected = reference(name, blocks);
    assert_eq!(expected.len(), blocks.rows);
    let mut runner = open(name, Arc::clone(info)).unwrap().runner().unwrap();
    let mut prediction = Prediction::default();
    // Up and down, so that each number of rows is run with tensors that held others before.
    for few in (1..=blocks.rows).chain((1..=blocks.rows).rev()) {
        let outcome = runner.run(&first(blocks, few), &mut prediction);
        assert_eq!(line(outcome, &prediction), expected[few - 1], "{name}, {few} rows");
    }
}

#[test]
fn predictions_are_those_of_python_bit_for_bit() {
    let colours = ["red", "", "blue", "größer", "red ", &"r".repeat(1024), "赤"];
    let records: Vec<_> = (0..64_u16)
        .map(|i| {
            let x = if i % 5 == 1 { f32::NAN } else { f32::from(i) * 0.137 - 3.0 };
            (x, f32::from(i * i), i64::from(i) - 40, colours[usize::from(i) % colours.len()])
        })
        .filter(|record| record.2 != TRIGGER)
        .collect();
    assert_agrees("behaving", &three_kinds(), &rows(&records));
    let plain: Vec<_> = (0..64_u16).map(|i| [f32::from(i) / 3.0 - 9.0, -0.0]).collect();
    assert_agrees("passing_on", &numbers_only(), &numbers(&plain));
}

#[test]
fn failures_are_told_as_python_tells_them() {
    let trouble = rows(&[(0.0, 0.0, 1, "a"), (0.0, 0.0, TRIGGER, "a"), (0.0, 0.0, 2, "a")]);
    assert_agrees("raising", &three_kinds(), &trouble);
    let nan = numbers(&[[1.0, f32::NAN], [f32::NAN, 1.0]]);
    assert_agrees("passing_on", &numbers_only(), &nan);
    assert_agrees("extra_input", &numbers_only(), &numbers(&[[1.0, 2.0]]));
    assert_agrees("no_decision", &numbers_only(), &numbers(&[[1.0, 2.0]]));
    // Graphs that take other inputs than the signature has.
    assert_agrees("behaving", &numbers_only(), &numbers(&[[1.0, 2.0]]));
    let mut with_text = numbers(&[[1.0, 2.0]]);
    with_text.texts.push("a");
    assert_agrees("passing_on", &info(&[Kind::Number, Kind::Number, Kind::Text], 2), &with_text);
    assert_agrees(
        "passing_on",
        &info(&[Kind::Number; 3], 2),
        &Blocks { rows: 1, numbers: vec![0.0; 3], ..Blocks::default() },
    );
    assert_agrees(
        "passing_on",
        &info(&[Kind::Integer; 2], 2),
        &Blocks { rows: 1, integers: vec![0; 2], ..Blocks::default() },
    );
}

#[test]
fn what_cannot_be_loaded_is_told_as_python_tells_it() {
    let blocks = numbers(&[[1.0, 2.0]]);
    for name in ["absent", "not_a_graph", "empty"] {
        let [expected] = &reference(name, &blocks)[..] else { panic!("one line") };
        let error = open(name, numbers_only()).err().unwrap();
        assert_eq!(format!("error ONNX Runtime cannot load the graph: {error}"), *expected, "{name}");
    }
}

#[test]
fn outputs_of_another_type_or_shape_are_refused() {
    let error = open("double_score", numbers_only()).err().unwrap();
    assert_eq!(error, "the graph's output 'score' is not of the type that serving takes");
    let repeated = |times| {
        let blocks = Blocks { rows: 1, numbers: vec![1.0, 2.0], integers: vec![times], ..Blocks::default() };
        run("repeating", info(&[Kind::Number, Kind::Number, Kind::Integer], 2), &blocks)
    };
    assert_eq!(repeated(1).unwrap().features, [1.0, 2.0]);
    for times in [0, 2, 1_000] {
        let error = repeated(times).unwrap_err();
        assert!(error.starts_with(MODEL) && error.contains("Tile node"), "{error}");
    }
}

#[test]
fn blocks_that_do_not_fit_the_signature_are_refused() {
    let mut short = rows(&[(0.0, 0.0, 1, "a"), (0.0, 0.0, 1, "a")]);
    short.rows = 1;
    assert!(run("behaving", three_kinds(), &short).is_err());
    let mut untold = rows(&[(0.0, 0.0, 1, "a")]);
    untold.texts.clear();
    assert!(run("behaving", three_kinds(), &untold).is_err());
}

#[test]
fn a_failed_run_leaves_no_rows_and_the_next_run_is_right() {
    let mut runner = open("raising", three_kinds()).unwrap().runner().unwrap();
    let mut prediction = Prediction::default();
    let good = rows(&[(0.5, 0.0, 1, "a")]);
    runner.run(&good, &mut prediction).unwrap();
    assert_eq!((prediction.score.as_slice(), prediction.decision.as_slice()), (&[0.5][..], &[false][..]));
    assert!(prediction.infer_ns > 0 && prediction.cpu_ns > 0);
    runner.run(&rows(&[(0.5, 0.0, TRIGGER, "a")]), &mut prediction).unwrap_err();
    assert!(prediction.score.is_empty() && prediction.features.is_empty());
    runner.run(&good, &mut prediction).unwrap();
    assert_eq!(prediction.features, [0.5, 0.0, 0.0]);
}

#[test]
fn threads_share_a_session() {
    let session = open("behaving", three_kinds()).unwrap();
    thread::scope(|scope| {
        for x in [0.0_f32, 1.0, 2.0, 3.0] {
            let mut runner = session.runner().unwrap();
            scope.spawn(move || {
                let blocks = rows(&vec![(x, 0.0, 0, "red"); x as usize + 1]);
                let mut prediction = Prediction::default();
                for _ in 0..2_000 {
                    runner.run(&blocks, &mut prediction).unwrap();
                    assert!(prediction.features.chunks(3).all(|row| row == [x, 0.0, 1.0]));
                }
            });
        }
    });
}

#[test]
fn a_library_that_is_not_onnx_runtime_is_told() {
    let error =
        |path: &str| sidecar_dataplane::model::onnxruntime::OnnxRuntime::load(Path::new(path)).err().unwrap();
    assert!(error("/nowhere/libonnxruntime.so").contains("/nowhere/libonnxruntime.so"));
    assert!(!wheel::runtime().version().is_empty());
}
