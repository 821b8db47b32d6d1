"""A recipe that is fitted anew: the new fit takes the place of the one before it, and its part."""

import contextlib
import itertools
import shutil
import sqlite3
import threading
import time
from dataclasses import replace

import pytest
import small_task
from made_evidence import POLICY
from scipy.stats import uniform
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from test_promote import WHY, judged, state
from tiny_bundles import tiny_bundle

from sidecar.bundle import RECIPE, open_bundle
from sidecar.errors import ConflictError, NoChampionError
from sidecar.lifecycle import ModelState
from sidecar.registry import Registry
from sidecar.succession import earlier_fits, start_shadow
from trainer.budget import ErrorShare, error_shares
from trainer.days import DAY_NS
from trainer.promote import promote_by_override, promote_first, register, save, shadow
from trainer.recipes import recipe_digest
from trainer.search import Search
from trainer.stints import stints_of
from trainer.task import Columns


@pytest.fixture
def registry(tmp_path):
    with Registry(tmp_path / "registry.db") as opened:
        promote_first(opened, tiny_bundle(tmp_path / "bundles", "champion").path, WHY)
        yield opened


@pytest.fixture
def fit(tmp_path):
    """Give a bundle as a fit of a recipe; each has a weight of its own, as if from other rows."""
    made = itertools.count(1)

    def fit(version, recipe="boosting", *, until_ns=0):
        return tiny_bundle(
            tmp_path / "bundles",
            version,
            weight=3.0 + next(made) / 10,
            facts={RECIPE: recipe, "training": {"last_event_ns": until_ns}},
        )

    return fit


def shadowed(registry, bundle):
    shadow(registry, bundle.path, WHY)
    return bundle.model


def in_shadow(registry):
    return [ref.model for ref in registry.deployment().candidates]


def test_a_new_fit_takes_the_place_of_the_one_before_it(registry, fit):
    first = shadowed(registry, fit("may"))
    other = shadowed(registry, fit("line-may", "line"))
    second = shadowed(registry, fit("june"))
    assert in_shadow(registry) == [other, second]
    assert state(registry, first) is ModelState.SUPERSEDED
    step = registry.transitions(first.digest)[-1]
    assert (step.to_state, step.successor) == (ModelState.SUPERSEDED, second.digest)
    assert not registry.verify().faults


def test_another_recipe_stands_beside_it_and_what_was_brought_follows_nobody(registry, fit):
    models = [
        shadowed(registry, fit(str(number), recipe)) for number, recipe in enumerate(("a", "b", "", ""))
    ]
    assert in_shadow(registry) == models


def test_a_fit_on_older_rows_does_not_take_the_place_of_a_newer_one(registry, fit):
    newer = shadowed(registry, fit("june", until_ns=2 * DAY_NS))
    older = shadowed(registry, fit("may", until_ns=DAY_NS))
    assert in_shadow(registry) == [newer, older]
    newest = shadowed(registry, fit("july", until_ns=3 * DAY_NS))
    assert in_shadow(registry) == [newest]


def test_of_several_fits_all_make_room_and_the_newest_is_gone_on_from(registry, fit):
    champion = registry.champion().model
    canary = shadowed(registry, fit("may"))
    registry.start_canary(canary.digest, 0.05, WHY)
    beside = shadowed(registry, fit("june"))
    registry.move(canary.digest, expected=ModelState.CANARY, to=ModelState.SHADOW, reason=WHY)
    assert in_shadow(registry) == [beside, canary]
    newest = shadowed(registry, fit("july"))
    assert in_shadow(registry) == [newest]
    assert {state(registry, one) for one in (canary, beside)} == {ModelState.SUPERSEDED}
    assert [one.model for one in stints_of(registry, newest.digest, champion.digest)] == [canary, newest]


def test_a_fit_whose_bundle_was_taken_away_is_known_by_its_registration(registry, fit):
    champion = registry.champion().model
    first = fit("may", until_ns=5)
    shadowed(registry, first)
    second = shadowed(registry, fit("june", until_ns=6))
    shutil.rmtree(first.path)
    stints = stints_of(registry, second.digest, champion.digest)
    assert [one.trained_until_ns for one in stints] == [registry.find(first.model.digest).registered_ns, 6]


def declared(**changes):
    recipe = replace(small_task.task.candidates["trees"], **changes)
    return recipe_digest(
        replace(small_task.task, candidates={**small_task.task.candidates, "trees": recipe}), "trees"
    )


def encoded(categories):
    encoder = OrdinalEncoder(categories=[categories], handle_unknown="use_encoded_value", unknown_value=-1)
    return replace(small_task.TRANSFORM, columns=(Columns(("channel",), encoder),))


def test_a_recipe_is_known_by_all_that_is_declared_of_it():
    many = [f"shop {number}" for number in range(60)]
    searches = [
        Search({"max_leaf_nodes": [8, 16]}, tries=2),
        Search({"max_leaf_nodes": [8, 32]}, tries=2),
        Search([{}, {"max_leaf_nodes": [8, 16]}], tries=3),
        Search({"learning_rate": uniform(0.05, 0.2)}, tries=3),
        Search({"learning_rate": uniform(0.05, 0.3)}, tries=3),
    ]
    digests = [
        declared(),
        declared(estimator=lambda: HistGradientBoostingClassifier(max_iter=21, random_state=0)),
        declared(estimator=lambda: make_pipeline(StandardScaler(), LogisticRegression(C=1.0))),
        declared(estimator=lambda: make_pipeline(StandardScaler(), LogisticRegression(C=2.0))),
        declared(transform=encoded(many)),
        declared(transform=encoded([*many[:58], "another", many[59]])),
        *(declared(search=search) for search in searches),
    ]
    assert len(set(digests)) == len(digests)
    assert digests[0] == declared()
    assert digests[-1] == declared(search=Search({"learning_rate": uniform(0.05, 0.3)}, tries=3))


def test_a_canary_keeps_its_place(registry, fit):
    first = shadowed(registry, fit("may"))
    registry.start_canary(first.digest, 0.05, WHY)
    second = shadowed(registry, fit("june"))
    assert state(registry, first) is ModelState.CANARY
    assert in_shadow(registry) == [second]


def test_superseding_is_one_step_and_refused_where_it_makes_no_sense(registry, fit, tmp_path):
    first = shadowed(registry, fit("may"))
    with pytest.raises(ConflictError, match="superseded by another one, which takes its place"):
        registry.move(first.digest, expected=ModelState.SHADOW, to=ModelState.SUPERSEDED, reason=WHY)
    admitted = fit("june")
    registry.register(admitted, WHY)
    with pytest.raises(ConflictError, match="is registered, not admitted"):
        registry.supersede(admitted.model.digest, WHY, lambda _: [first])
    assert in_shadow(registry) == [first]
    with Registry(tmp_path / "other.db") as empty:
        empty.register(admitted, WHY)
        with pytest.raises(NoChampionError):
            empty.supersede(admitted.model.digest, WHY, lambda _: [])


def test_of_two_fits_that_come_at_once_one_takes_the_place_of_the_other(registry, fit, monkeypatch):
    bundles = fit("may"), fit("june")
    for bundle in bundles:
        register(registry, bundle.path, WHY)

    def slowly(candidates, bundle, opened):
        found = earlier_fits(candidates, bundle, opened)
        time.sleep(0.2)
        return found

    monkeypatch.setattr("sidecar.succession.earlier_fits", slowly)

    def start(bundle):
        with Registry(registry.path) as own:
            start_shadow(own, bundle.model.digest, WHY)

    threads = [threading.Thread(target=start, args=(bundle,)) for bundle in bundles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(in_shadow(registry)) == 1
    states = sorted(state(registry, bundle.model) for bundle in bundles)
    assert states == [ModelState.SHADOW, ModelState.SUPERSEDED]


def test_no_bundle_is_opened_while_nobody_else_may_write(registry, fit, monkeypatch):
    first, other = shadowed(registry, fit("may")), shadowed(registry, fit("line", "line"))
    admitted = fit("june")
    register(registry, admitted.path, WHY)
    opened = []

    def open_beside_a_writer(path):
        with contextlib.closing(sqlite3.connect(registry.path, timeout=0, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
        opened.append(path.name)
        return open_bundle(path)

    monkeypatch.setattr("sidecar.succession.open_bundle", open_beside_a_writer)
    start_shadow(registry, admitted.model.digest, WHY)
    assert sorted(opened) == sorted([first.digest, other.digest, admitted.model.digest])
    assert in_shadow(registry) == [other, admitted.model]


def test_all_fits_of_a_recipe_have_one_part_of_the_error(registry, fit):
    champion = registry.champion().model
    first, line = shadowed(registry, fit("may")), shadowed(registry, fit("line-may", "line"))
    save(registry, *judged(champion, first), POLICY)
    second = shadowed(registry, fit("june"))
    save(registry, *judged(champion, second), POLICY)
    third = shadowed(registry, fit("july-fit"))
    newcomer = shadowed(registry, fit("forest-july", "forest"))
    shares = error_shares(registry, champion.digest)
    together = ErrorShare(0, 2)
    assert [shares[one.digest] for one in (first, line, second, third)] == [together] * 4
    assert shares[newcomer.digest] == ErrorShare(2, 3)


def test_a_part_stays_though_the_next_fit_was_admitted_before_the_reign_in_which_it_came(registry, fit):
    first, other, third = (shadowed(registry, fit(name, name)) for name in ("forest", "line", "boosting"))
    second = register(registry, fit("forest-june", "forest").path, WHY)
    promote_by_override(registry, third.digest, "tester", "because")
    save(registry, *judged(third, other), POLICY)
    together = {first.digest: ErrorShare(0, 2), other.digest: ErrorShare(0, 2)}
    assert error_shares(registry, third.digest) == together
    start_shadow(registry, second.model.digest, WHY)
    assert state(registry, first) is ModelState.SUPERSEDED
    assert error_shares(registry, third.digest) == {**together, second.model.digest: ErrorShare(0, 2)}


def test_a_recipe_whose_fit_was_rejected_begins_anew(registry, fit):
    champion = registry.champion().model
    first = shadowed(registry, fit("may"))
    save(registry, *judged(champion, first), POLICY)
    registry.move(first.digest, expected=ModelState.SHADOW, to=ModelState.REJECTED, reason=WHY)
    second = shadowed(registry, fit("june"))
    assert state(registry, first) is ModelState.REJECTED
    assert error_shares(registry, champion.digest)[second.digest] == ErrorShare(1, 2)
    assert [one.model for one in stints_of(registry, second.digest, champion.digest)] == [second]


def test_stints_follow_each_other_and_say_what_each_fit_knew(registry, fit):
    champion = registry.champion().model
    begun_ns = time.time_ns()
    models = [
        shadowed(registry, fit(version, until_ns=number))
        for number, version in enumerate(("may", "june", "july-fit"))
    ]
    stints = stints_of(registry, models[2].digest, champion.digest)
    assert [one.model for one in stints] == models
    assert [one.trained_until_ns for one in stints] == [0, 1, 2]
    assert begun_ns < stints[0].received_since_ns
    for one, following in itertools.pairwise(stints):
        assert one.received_since_ns < one.received_until_ns == following.received_since_ns
    assert stints[2].received_until_ns is None


def test_before_another_champion_everybody_begins_anew(registry, fit):
    first = shadowed(registry, fit("may"))
    second = shadowed(registry, fit("june"))
    other = shadowed(registry, fit("line-june", "line"))
    promote_by_override(registry, other.digest, "tester", "because")
    third = shadowed(registry, fit("july-fit"))
    stints = stints_of(registry, third.digest, other.digest)
    assert [one.model for one in stints] == [second, third]
    assert stints[0].received_since_ns > registry.transitions(first.digest)[-1].at_ns
    assert error_shares(registry, other.digest)[third.digest] == ErrorShare(0, 1)
