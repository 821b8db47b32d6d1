"""Whether a canary keeps its callers waiting longer than the champion does at the same time."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.betting import capital_paths, e_value
from trainer.policy import Policy
from trainer.waits import Blocks, Calls, Waits, beyond_units, measure_waits, within_units

SHARE = 0.2
POLICY = Policy(
    latency_budget_us=300, largest_unit_loss=1, canary=(0.2,), canary_wait_budget_us=1_000, latency_block=20
)


def looked_at(slow, own, *, policy=POLICY, share=SHARE, by_id=True):
    """slow: whether a call waited for 5 ms, and not for 0.1; own: whether the canary answered it."""
    received_ns = np.arange(len(slow)) * 10_000
    waited_ns = np.where(slow, 5_000_000, 100_000)
    parts = (Calls(received_ns[of] * 0, received_ns[of][::-1], waited_ns[of][::-1]) for of in (own, ~own))
    return measure_waits(policy, *parts, share=share, by_id=by_id)


def drawn(rng, calls, share=SHARE):
    return rng.random(calls) < share


def test_counts_and_quantiles_are_those_measured():
    own = np.tile([True, False, False, False, False], 2_000)
    slow = np.zeros(10_000, bool)
    slow[::50] = slow[1::250] = True
    found = looked_at(slow, own)
    assert (found.calls, found.beside_calls) == (2_000, 8_000)
    assert (found.excess.slow, found.excess.beside_slow, found.excess.block) == (200, 40, 100)
    assert (found.waited.p50.us, found.waited.p99.us, found.beside.p99.us) == (100, 5_000, 100)
    assert Waits.from_json(asdict(found)) == found


def test_one_that_keeps_callers_waiting_is_shown_to_and_one_that_does_not_is_shown_not_to():
    rng = np.random.default_rng(0)
    own = drawn(rng, 60_000)
    alike = looked_at(rng.random(60_000) < 0.002, own).excess
    assert e_value(alike.within) >= 20 > e_value(alike.beyond)
    worse = looked_at(rng.random(60_000) < np.where(own, 0.05, 0.002), own).excess
    assert e_value(worse.beyond) >= 20 > e_value(worse.within)


def test_a_busy_hour_is_held_against_nobody():
    rng = np.random.default_rng(0)
    own, busy = drawn(rng, 40_000), np.arange(40_000) % 4_000 < 1_000
    slow = busy & (rng.random(40_000) < 0.6)
    assert e_value(looked_at(slow, own).excess.beyond) < 1
    # Nor does it hide one that is slow in quiet hours.
    slow |= own & (rng.random(40_000) < 0.1)
    assert e_value(looked_at(slow, own).excess.beyond) >= 20


def test_one_in_a_hundred_more_is_neither():
    rng = np.random.default_rng(0)
    own = drawn(rng, 40_000)
    found = looked_at(rng.random(40_000) < np.where(own, 0.02, 0.01), own).excess
    assert max(e_value(found.within), e_value(found.beyond)) < 20


def test_equal_waits_in_bursts_seldom_end_a_canary():
    """Not even where it may not be slower by one call in a hundred, and only chance parts them."""
    rng = np.random.default_rng(0)
    streams, calls, block = 400, 20_000, 100
    slow = np.repeat(rng.random((streams, calls // 40)) < 0.3, 40, axis=1)
    blocks = Blocks.of(slow, rng.random(slow.shape) < SHARE, block)
    strict = beyond_units(blocks, allowed=0)  # the mean is 0 exactly
    assert abs(strict.mean()) < 0.02
    for units in (strict, beyond_units(blocks)):
        assert (capital_paths(units).max(axis=1) >= np.log(20)).mean() <= 0.05
    assert (np.abs(strict) > 0.1).mean() > 0.2, "chance must part the two"


@pytest.mark.parametrize("steady", [0.05, 0.1])
def test_one_that_is_no_worse_on_average_is_seldom_ended_beside_a_champion_that_stalls(steady):
    """Nine calls in a hundred are slow of the champion's, in whole blocks; most others speak against it."""
    rng = np.random.default_rng(0)
    streams, calls, block = 400, 20_000, 100
    own = rng.random((streams, calls)) < SHARE
    stalled = np.repeat(rng.random((streams, calls // block)) < 0.1, block, axis=1)
    slow = np.where(own, rng.random(own.shape) < steady, stalled & (rng.random(own.shape) < 0.9))
    units = beyond_units(Blocks.of(slow, own, block))
    assert (units > 0).mean() > 0.5
    assert (capital_paths(units).max(axis=1) >= np.log(20)).mean() <= 0.05


def test_units_stay_above_minus_one_and_know_nothing_of_a_block_without_one_of_the_two():
    answered = np.array([0.0, 10, 2, 2, 2, 2])
    own = np.array([0.0, 3, 2, 0, 0, 1])
    slow = np.array([4.0, 3, 2, 8, 4, 5])
    blocks = Blocks(10, answered, own, slow)
    assert blocks.more == pytest.approx([np.nan, np.nan, 1, -1, -0.5, 0], nan_ok=True)
    assert within_units(blocks) == pytest.approx([0, 0, -1, 1.01 / 0.99, 0.51 / 0.99, 0.01 / 0.99])
    assert beyond_units(blocks) == pytest.approx([0, 0, 0.99 / 1.01, -1, -0.51 / 1.01, -0.01 / 1.01])
    assert min(within_units(blocks).min(), beyond_units(blocks).min()) >= -1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=6, max_size=60))
def test_no_unit_is_below_minus_one(calls):
    slow, own = np.array(calls).T
    blocks = Blocks.of(slow, own, 6)
    assert min(within_units(blocks).min(), beyond_units(blocks).min()) >= -1


def test_what_is_not_asked_or_cannot_be_known_is_shown_only():
    slow, own = np.zeros(1_000, bool), drawn(np.random.default_rng(0), 1_000)
    assert looked_at(slow, own, by_id=False).excess is None
    no_budget = Policy(latency_budget_us=300, largest_unit_loss=1, canary=(0.2,))
    assert looked_at(slow, own, policy=no_budget).excess is None
    assert looked_at(slow, np.zeros(1_000, bool)) is None


def test_the_order_of_the_calls_is_that_in_which_they_came():
    rng = np.random.default_rng(0)
    own = drawn(rng, 4_000)
    slow = rng.random(4_000) < np.where(own, 0.1, 0.01)
    waited_ns = np.where(slow, 5_000_000, 0)
    parts = [Calls(np.zeros(of.sum(), int), np.flatnonzero(of), waited_ns[of]) for of in (own, ~own)]
    found = measure_waits(POLICY, *parts, share=SHARE, by_id=True)
    mixed = [
        Calls(one.look, one.received_ns[order], one.waited_ns[order])
        for one in parts
        for order in [rng.permutation(len(one))]
    ]
    assert measure_waits(POLICY, *mixed, share=SHARE, by_id=True) == found
