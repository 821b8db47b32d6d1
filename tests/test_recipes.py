"""A recipe that is fitted anew: the new fit takes the place of the one before it, and its part."""

import itertools
import time

import pytest
from test_gate import POLICY
from test_promote import WHY, judged, state
from tiny_bundles import tiny_bundle

from sidecar.errors import ConflictError, NoChampionError
from sidecar.lifecycle import ModelState
from sidecar.registry import Registry
from trainer.budget import ErrorShare, error_shares
from trainer.promote import promote_by_override, promote_first, save, shadow
from trainer.recipes import same_recipe
from trainer.stints import stints_of

ESTIMATOR = {"class": "somewhere.Boosting", "parameters": {"depth": 3}}


@pytest.fixture
def registry(tmp_path):
    with Registry(tmp_path / "registry.db") as opened:
        promote_first(opened, tiny_bundle(tmp_path / "bundles", "champion").path, WHY)
        yield opened


@pytest.fixture
def fit(tmp_path):
    """Give a bundle as a fit of a recipe; each has a weight of its own, as if from other rows."""

    def fit(version, recipe="boosting", *, until_ns=0, **facts):
        declared = {"recipe": recipe, "estimator": ESTIMATOR, "transform": [], **facts}
        weight = 3.0 + len(version) / 10
        return tiny_bundle(
            tmp_path / "bundles",
            version,
            weight=weight,
            facts={**declared, "training": {"last_event_ns": until_ns}},
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


@pytest.mark.parametrize(
    "changed",
    [
        {"recipe": "trees"},
        {"estimator": {**ESTIMATOR, "parameters": {"depth": 4}}},
        {"transform": [{"fields": ["x"], "step": "Scale()"}]},
        {"estimator": None},
    ],
)
def test_another_recipe_or_one_that_was_changed_stands_beside_it(registry, fit, changed):
    first, other = fit("may"), fit("june", **changed)
    assert not same_recipe(first, other)
    assert {shadowed(registry, first), shadowed(registry, other)} == set(in_shadow(registry))


def test_what_a_search_chose_may_differ_and_what_it_searches_may_not(fit):
    def searched(version, depth, *names):
        tried = [{"setting": dict.fromkeys(names, depth)}]
        estimator = {"class": "somewhere.Boosting", "parameters": {"depth": depth, "rate": 0.1}}
        return fit(version, estimator=estimator, search={"tried": tried})

    assert same_recipe(searched("may", 3, "depth"), searched("june", 4, "depth"))
    assert not same_recipe(searched("may", 3, "depth"), searched("june", 3, "depth", "rate"))
    assert not same_recipe(searched("may", 3, "rate"), searched("june", 4, "rate"))


def test_models_that_were_brought_follow_nobody(registry, fit):
    brought = [shadowed(registry, fit(version, None, estimator=None)) for version in ("may", "june")]
    assert in_shadow(registry) == brought


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
        registry.supersede(first.digest, admitted.model.digest, WHY)
    assert in_shadow(registry) == [first]
    with Registry(tmp_path / "other.db") as empty:
        for bundle in (fit("may"), admitted):
            empty.register(bundle, WHY)
        with pytest.raises(NoChampionError):
            empty.supersede(first.digest, admitted.model.digest, WHY)


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
        assert one.received_since_ns < one.received_until_ns <= following.received_since_ns
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
