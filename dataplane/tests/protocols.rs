//! The messages of the Open Inference Protocol, outcomes, health and reflection, byte for byte as the Python
//! engine takes and makes them.
//!
//! Each line of `data/protocols.tsv` is a method, what the line is about, a request in hex, and what Python made
//! of it: `ok` and the reply (for ModelInfer and RecordOutcome what was decoded, too), or `err`, status, message.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use sidecar_dataplane::messages::infer::{self, Asked, Output};
use sidecar_dataplane::messages::metadata::Deployed;
use sidecar_dataplane::messages::reflection::{File, Reflection};
use sidecar_dataplane::messages::wire::{put_bytes, put_element, put_integer, put_message, put_varint};
use sidecar_dataplane::messages::{health, metadata, outcome};
use sidecar_dataplane::refusal::Refusal;
use sidecar_dataplane::rows::answered::{Answered, ModelInfo};
use sidecar_dataplane::rows::blocks::{Blocks, Texts};
use sidecar_dataplane::signature::{Field, Kind, Signature};

const VECTORS: &str = include_str!("data/protocols.tsv");
const NOW_NS: i64 = 1_700_000_000_000_000_000;
const MAX_ROWS: usize = 5;
const FEATURES: usize = 3;

#[test]
fn every_vector_gives_what_python_gave() {
    let (model, reflection) = (model(), reflection());
    for line in VECTORS.lines() {
        let [method, about, request, expected] = columns(line);
        if !["service", "file"].contains(&method) {
            let told = match answer(method, &from_hex(request), &model, &reflection) {
                Ok(told) => format!("ok {told}"),
                Err(refusal) => format!("err {} {}", refusal.status.name(), refusal.message),
            };
            assert_eq!(told, expected, "{method}: {about}");
        }
    }
}

fn answer(
    method: &str,
    request: &[u8],
    model: &Arc<ModelInfo>,
    reflection: &Reflection,
) -> Result<String, Refusal> {
    let mut reply = Vec::new();
    let to = &mut reply;
    match method {
        "infer" => return answer_infer(request, model),
        "outcome" => return outcome::decode(request, NOW_NS).map(|all| show_outcomes(&all)),
        "live" => metadata::server_live(request, to)?,
        "ready" => metadata::server_ready(request, true, to)?,
        "unready" => metadata::server_ready(request, false, to)?,
        "mready" => metadata::model_ready(request, Some(alone(model)), to)?,
        "mready0" => metadata::model_ready(request, None, to)?,
        "smeta" => metadata::server_metadata(request, "1.2.3", to)?,
        "mmeta" => metadata::model_metadata(request, Some(alone(model)), to)?,
        "mmeta0" => metadata::model_metadata(request, None, to)?,
        "reflect" => reflection.answer(request, to)?,
        other => panic!("{other} is no method"),
    }
    Ok(hex(&reply))
}

const fn alone(champion: &ModelInfo) -> Deployed<'_> {
    Deployed { champion, canary: None }
}

/// The blocks that were decoded, and the reply with scores and features made up.
fn answer_infer(request: &[u8], model: &Arc<ModelInfo>) -> Result<String, Refusal> {
    let mut call = Answered::default();
    let asked = infer::decode(request, alone(model), MAX_ROWS, &mut call)?;
    let rows = call.blocks.rows;
    if call.request_id.is_empty() {
        call.request_id.push_str("made");
    }
    infer::check_row_ids(&call.request_id, rows)?;
    call.model = Some(Arc::clone(model));
    call.prediction.score = (0..rows).map(|row| row as f32 * 0.25 - 0.25).collect();
    call.prediction.decision = (0..rows).map(|row| row % 2 == 1).collect();
    call.prediction.features = (0..rows * FEATURES).map(|place| place as f32 * -1.5).collect();
    let mut reply = Vec::new();
    infer::encode(&call, &asked, &mut reply);
    let numbers: Vec<u8> = call.blocks.numbers.iter().flat_map(|value| value.to_le_bytes()).collect();
    let integers: Vec<u8> = call.blocks.integers.iter().flat_map(|value| value.to_le_bytes()).collect();
    let texts: Vec<String> = call.blocks.texts.iter().map(hex).collect();
    Ok(format!("{} {} {} {}", hex(&numbers), hex(&integers), texts.join(","), hex(&reply)))
}

fn show_outcomes(outcomes: &[outcome::Outcome]) -> String {
    let bits = |value: f64| format!("{:016x}", value.to_bits());
    let shown = outcomes.iter().map(|each| {
        let value = each.value.map_or("-".to_owned(), bits);
        format!("{}:{}:{value}:{}", each.request_id, bits(each.label), each.observed_ns)
    });
    shown.collect::<Vec<_>>().join(";")
}

fn model() -> Arc<ModelInfo> {
    let field = |name: &str, kind, missing_allowed, lower, upper, reject_outside| {
        let name = name.to_owned();
        Field { name, kind, missing_allowed, lower, upper, reject_outside }
    };
    let fields = vec![
        field("colour", Kind::Text, true, None, None, true),
        field("x", Kind::Number, true, None, None, true),
        field("amount", Kind::Number, false, Some(0.0), Some(1e6), true),
        field(
            "trigger",
            Kind::Integer,
            false,
            Some(-9_007_199_254_740_994.0),
            Some(9_007_199_254_740_992.0),
            true,
        ),
        field("place", Kind::Text, false, None, None, true),
        field("lenient", Kind::Number, true, Some(-5.5), Some(1e300), false),
    ];
    let signature = Signature::new(fields, "s".repeat(64));
    let (name, version, digest) = ("t".to_owned(), "1".to_owned(), "d".repeat(64));
    Arc::new(ModelInfo { name, version, digest, signature, features: FEATURES })
}

fn reflection() -> Reflection {
    let (mut services, mut files) = (Vec::new(), Vec::new());
    let words = |text: &str| text.split_whitespace().map(String::from).collect();
    for line in VECTORS.lines() {
        let [kind, name, descriptor, declared] = columns(line);
        if kind == "service" {
            services.push(name.to_owned());
        } else if kind == "file" {
            let (symbols, dependencies) = declared.split_once('|').unwrap();
            let (symbols, dependencies) = (words(symbols), words(dependencies));
            files.push(File {
                name: name.to_owned(),
                descriptor: from_hex(descriptor),
                symbols,
                dependencies,
            });
        }
    }
    Reflection::new(services, files)
}

fn columns(line: &str) -> [&str; 4] {
    line.split('\t').collect::<Vec<_>>().try_into().expect("four columns")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn from_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_a_decoder_panic(message in proptest::collection::vec(any::<u8>(), 0..200)) {
        try_all(&message);
    }

    #[test]
    fn no_change_to_a_good_message_makes_a_decoder_panic(
        line in 0..VECTORS.lines().count(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let [_, _, request, _] = columns(VECTORS.lines().nth(line).unwrap());
        let mut message = from_hex(request);
        for (place, byte) in changes {
            if !message.is_empty() {
                let place = place.index(message.len());
                message[place] = byte;
            }
        }
        try_all(&message);
    }

    #[test]
    fn rows_come_out_as_they_went_in(
        rows in proptest::collection::vec(
            (".{0,9}", -1e6..1e6_f32, 0.0..1e6_f32, -1_000_i64..1_000, "[^\0]{1,9}", any::<bool>()), 1..MAX_ROWS,
        ),
        raw in any::<bool>(),
    ) {
        let rows: Vec<Row> = rows
            .into_iter()
            .map(|(colour, x, amount, trigger, place, known)| {
                let (x, colour) = (if known { x } else { f32::NAN }, colour.replace('\0', ""));
                Row { colour, x, amount, trigger, place }
            })
            .collect();
        let mut call = Answered::default();
        let asked = infer::decode(&request(&rows, raw), alone(&model()), MAX_ROWS, &mut call).unwrap();
        prop_assert_eq!(asked, Asked { outputs: [Output::Score, Output::Decision].into_iter().collect(), raw, role: None });
        let bits = |blocks: &Blocks| blocks.numbers.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let expected = blocks(&rows);
        prop_assert_eq!(bits(&call.blocks), bits(&expected));
        prop_assert_eq!(&call.blocks.integers, &expected.integers);
        prop_assert_eq!(&call.blocks.texts, &expected.texts);
    }
}

fn try_all(message: &[u8]) {
    let (model, reflection) = (model(), reflection());
    let well_formed = infer::check(message);
    let infer = answer("infer", message, &model, &reflection);
    assert!(well_formed.is_ok() || infer == Err(well_formed.unwrap_err()));
    for method in ["outcome", "live", "ready", "mready", "smeta", "mmeta", "reflect"] {
        let _ = answer(method, message, &model, &reflection);
    }
    let _ = health::service_asked(message);
}

struct Row {
    colour: String,
    x: f32,
    amount: f32,
    trigger: i64,
    place: String,
}

fn blocks(rows: &[Row]) -> Blocks {
    let mut texts = Texts::default();
    for row in rows {
        texts.push(&row.colour);
        texts.push(&row.place);
    }
    Blocks {
        rows: rows.len(),
        numbers: rows.iter().flat_map(|row| [row.x, row.amount, row.amount]).collect(),
        integers: rows.iter().map(|row| row.trigger).collect(),
        texts,
    }
}

/// One typed column; each writes its elements into an InferTensorContents, and gives them raw.
fn request(rows: &[Row], raw: bool) -> Vec<u8> {
    let floats =
        |of: fn(&Row) -> f32| -> Vec<u8> { rows.iter().flat_map(|row| of(row).to_le_bytes()).collect() };
    let texts = |of: fn(&Row) -> &str| -> (Vec<u8>, Vec<u8>) {
        let (mut contents, mut raw) = (Vec::new(), Vec::new());
        for text in rows.iter().map(of) {
            put_element(&mut contents, 8, text.as_bytes());
            raw.extend_from_slice(&(text.len() as u32).to_le_bytes());
            raw.extend_from_slice(text.as_bytes());
        }
        (contents, raw)
    };
    let number = |of| {
        let (mut contents, raw) = (Vec::new(), floats(of));
        put_bytes(&mut contents, 6, &raw);
        (contents, raw)
    };
    let mut packed = Vec::new();
    put_message(&mut packed, 3, |to| rows.iter().for_each(|row| put_varint(to, row.trigger as u64)));
    let triggers = rows.iter().flat_map(|row| row.trigger.to_le_bytes()).collect();
    let inputs = [
        ("lenient", "FP32", number(|row| row.amount)),
        ("colour", "BYTES", texts(|row| &row.colour)),
        ("x", "FP32", number(|row| row.x)),
        ("trigger", "INT64", (packed, triggers)),
        ("amount", "FP32", number(|row| row.amount)),
        ("place", "BYTES", texts(|row| &row.place)),
    ];
    let mut message = Vec::new();
    put_bytes(&mut message, 1, b"t");
    for (name, datatype, (contents, elements)) in &inputs {
        put_message(&mut message, 5, |tensor| {
            put_bytes(tensor, 1, name.as_bytes());
            put_bytes(tensor, 2, datatype.as_bytes());
            put_integer(tensor, 3, rows.len() as u64); // one size, not packed
            if !raw {
                put_element(tensor, 5, contents);
            }
        });
        if raw {
            put_element(&mut message, 7, elements);
        }
    }
    message
}
