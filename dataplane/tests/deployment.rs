//! Who answers, with real graphs: the draw, what threads keep prepared, and what is freed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod wheel;

use std::path::Path;
use std::sync::Arc;

use sidecar_dataplane::canary::{Draw, Key, Role, is_drawn};
use sidecar_dataplane::exploration::Exploration;
use sidecar_dataplane::model::deployment::{Canary, Deployment, Serving};
use sidecar_dataplane::model::loaded::Loaded;
use sidecar_dataplane::model::prepared::Prepared;
use sidecar_dataplane::rows::answered::{ModelInfo, Prediction};
use sidecar_dataplane::rows::blocks::Blocks;
use sidecar_dataplane::signature::{Field, Kind, Signature};

/// Gives its first number as the score.
const GRAPH: &str = "tests/data/passing_on.onnx";

fn loaded(version: &str) -> Arc<Loaded> {
    let field = |name: &str| Field {
        name: name.to_owned(),
        kind: Kind::Number,
        missing_allowed: true,
        lower: None,
        upper: None,
        reject_outside: false,
    };
    let info = ModelInfo {
        name: "tiny".to_owned(),
        version: version.to_owned(),
        digest: version.repeat(64),
        signature: Signature::new(["x", "y"].map(field).into(), "s".repeat(64)),
        features: 2,
    };
    let graph = Path::new(env!("CARGO_MANIFEST_DIR")).join(GRAPH);
    let exploration = Exploration { instead_of: true, share: 0.0 };
    Loaded::load(&wheel::runtime(), &graph, Arc::new(info), exploration, &row(), 1).unwrap()
}

fn row() -> Blocks {
    Blocks { rows: 1, numbers: vec![0.25, 0.5], ..Blocks::default() }
}

fn serving(champion: &Arc<Loaded>, canary: Option<&Arc<Loaded>>) -> Serving {
    let canary = canary.map(|model| Canary::new(Arc::clone(model), Draw { share: 0.25, by: Key::Id }));
    Serving::new(Arc::clone(champion), canary)
}

fn run(prepared: &mut Prepared, deployment: &Deployment, role: Role) {
    let serving = deployment.get();
    prepared.run(serving.as_ref().unwrap(), role, &row(), &mut Prediction::default()).unwrap();
}

#[test]
fn the_canary_answers_what_is_drawn_and_the_champion_all_else() {
    let (champion, canary) = (loaded("1"), loaded("2"));
    let both = serving(&champion, Some(&canary));
    for number in 0..1_000 {
        let id = format!("r{number}");
        let expected = if is_drawn(&id, 0.25) { &canary } else { &champion };
        assert!(Arc::ptr_eq(both.model(both.draw(&id, &row())), expected), "{id}");
        assert_eq!(serving(&champion, None).draw(&id, &row()), Role::Champion);
    }
    let alone = serving(&champion, None);
    assert!(Arc::ptr_eq(alone.model(Role::Canary), &champion), "where there is no canary");
}

#[test]
fn a_canary_is_counted_on_while_its_share_is_the_same() {
    let deployment = Deployment::default();
    let (champion, canary) = (loaded("1"), loaded("2"));
    let counted = || deployment.get().as_ref().unwrap().canary_counts().unwrap().now();
    deployment.swap(Some(serving(&champion, Some(&canary))));
    for number in 0..100 {
        deployment.get().as_ref().unwrap().draw(&format!("r{number}"), &row());
    }
    assert_eq!(counted(), (100, 0, 0), "who answered is counted where the call is run");
    deployment.swap(Some(serving(&champion, Some(&canary))));
    assert_eq!(counted(), (100, 0, 0));
    let greater = Canary::new(Arc::clone(&canary), Draw { share: 0.5, by: Key::Id });
    deployment.swap(Some(Serving::new(Arc::clone(&champion), Some(greater))));
    assert_eq!(counted(), (0, 0, 0));
}

#[test]
fn what_answers_is_found_by_its_digest() {
    let deployment = Deployment::default();
    assert!(deployment.loaded(&"1".repeat(64)).is_none());
    let (champion, canary) = (loaded("1"), loaded("2"));
    deployment.swap(Some(serving(&champion, Some(&canary))));
    for model in [&champion, &canary] {
        assert!(Arc::ptr_eq(&deployment.loaded(&model.info().digest).unwrap(), model));
    }
    assert!(deployment.loaded(&"3".repeat(64)).is_none());
}

#[test]
fn a_thread_keeps_both_models_prepared_through_a_swap_of_their_roles() {
    let deployment = Deployment::default();
    let mut prepared = Prepared::new(deployment.retired());
    let (champion, canary) = (loaded("1"), loaded("2"));
    deployment.swap(Some(serving(&champion, Some(&canary))));
    for role in [Role::Champion, Role::Canary, Role::Canary, Role::Champion] {
        run(&mut prepared, &deployment, role);
    }
    deployment.swap(Some(serving(&canary, Some(&champion))));
    run(&mut prepared, &deployment, Role::Canary);
    assert_eq!(deployment.retired().len(), 0);
}

#[test]
fn former_models_are_freed_by_whoever_drains_once_threads_run_another() {
    let deployment = Deployment::default();
    let mut prepared = Prepared::new(deployment.retired());
    let (champion, canary) = (loaded("1"), loaded("2"));
    let known = [&champion, &canary].map(|model| Arc::downgrade(model.info()));
    let alive = || known.iter().map(|model| model.upgrade().is_some()).collect::<Vec<_>>();
    deployment.swap(Some(serving(&champion, Some(&canary))));
    drop((champion, canary));
    run(&mut prepared, &deployment, Role::Champion);
    run(&mut prepared, &deployment, Role::Canary);

    let champion = deployment.loaded(&"1".repeat(64)).unwrap();
    deployment.swap(Some(serving(&champion, None)));
    run(&mut prepared, &deployment, Role::Champion);
    assert_eq!((alive(), deployment.retired().len()), (vec![true, true], 1), "no request frees the canary");
    deployment.free_retired();
    assert_eq!(alive(), [true, false]);

    drop(champion);
    deployment.swap(Some(serving(&loaded("3"), None)));
    run(&mut prepared, &deployment, Role::Champion);
    deployment.free_retired();
    assert_eq!(alive(), [false, false]);
}
