import numpy as np
import pytest

from trainer.betting import e_value
from trainer.latency import block_shares, measure
from trainer.policy import Policy


def durations(over: np.ndarray) -> np.ndarray:
    return np.where(over, 400_000, 100_000)


def policy(block=20, **budget):
    return Policy(**(budget or {"latency_budget_us": 300.0}), largest_unit_loss=1, latency_block=block)


def looked_at(over: np.ndarray, block=20):
    quick = np.full(len(over), 50_000)
    slow = durations(over)
    found = measure(policy(block), (quick, 2 * quick), (slow, 2 * slow))
    assert found is not None
    return found


def test_counts_and_quantiles_are_those_measured():
    over = np.zeros(2_000, bool)
    over[::100] = True
    found = looked_at(over)
    assert (found.rows, found.over, found.champion_over, found.block) == (2_000, 20, 0, 20)
    assert found.candidate_cpu.p50.us == found.candidate_cpu.p99.us == 100
    assert found.candidate_cpu.p999.us == 400
    assert found.candidate_infer.p999.us == 800
    assert found.champion_cpu.p50.us == found.champion_cpu.p50.lower_us == 50


def test_a_fast_one_is_shown_to_be_fast_and_a_slow_one_slow():
    rng = np.random.default_rng(0)
    fast = looked_at(rng.random(20_000) < 0.002)
    assert e_value(fast.within) >= 20 > e_value(fast.beyond)
    slow = looked_at(rng.random(2_000) < 0.03)
    assert e_value(slow.beyond) >= 20 > e_value(slow.within)


def test_one_stall_does_not_hide_among_rows():
    calm = looked_at(np.zeros(12_000, bool))
    stalled = np.zeros(12_000, bool)
    stalled[5_000:5_200] = True
    assert e_value(calm.within) >= 20 > e_value(looked_at(stalled).within)


def test_passing_takes_three_hundred_blocks_at_least():
    assert e_value(looked_at(np.zeros(300 * 20, bool)).within) < 20


def test_the_interval_widens_with_bursts():
    rng = np.random.default_rng(0)
    scattered = rng.permutation(np.repeat([True, False], [200, 9_800]))
    bursts = np.repeat(rng.permutation(np.repeat([True, False], [10, 490])), 20)
    times = rng.uniform(0, 50_000, 10_000)
    narrow, wide = (
        measure(policy(), (times.astype(int), times.astype(int)), (cpu, cpu))
        for cpu in ((durations(over) + times).astype(np.int64) for over in (scattered, bursts))
    )
    p99 = [one.candidate_cpu.p99 for one in (narrow, wide)]
    assert p99[0].upper_us - p99[0].lower_us < p99[1].upper_us - p99[1].lower_us
    assert all(one.lower_us <= one.us <= one.upper_us for one in p99)


def test_without_rows_there_is_nothing_to_say():
    empty = np.empty(0, np.int64)
    assert measure(policy(), (empty, empty), (empty, empty)) is None
    assert block_shares(np.ones(19, bool), 20).tolist() == []


def test_a_block_is_a_share():
    assert block_shares(np.array([True, False, False, False, True]), 2).tolist() == [0.5, 0.0]
    assert block_shares(np.ones((3, 4), bool), 2) == pytest.approx(np.ones((3, 2)))


def test_a_multiple_of_the_champions_p99_is_held_against_the_careful_end_of_its_interval():
    rng = np.random.default_rng(0)
    champion = rng.gamma(4, 10_000, 20_000).astype(np.int64)

    def beside(times, share):
        found = measure(policy(latency_budget_times=times), (champion, champion), (share, share))
        assert found is not None
        return found

    p99 = beside(2, champion).champion_cpu.p99
    assert p99.lower_us < p99.us < p99.upper_us
    budget = beside(2, champion).budget
    assert (budget.us, budget.lower_us, budget.upper_us) == (2 * p99.us, 2 * p99.lower_us, 2 * p99.upper_us)
    assert e_value(beside(2, champion).within) >= 20
    # As fast as the budget allows, and no faster: neither shown to be within nor to be beyond it.
    for at in (beside(1, champion), beside(2, 2 * champion)):
        assert max(e_value(at.within), e_value(at.beyond)) < 20
    assert e_value(beside(2, 3 * champion).beyond) >= 20
