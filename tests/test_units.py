import numpy as np
import pytest

from sidecar.signature import Blocks, Field, Kind, Signature
from trainer.days import DAY_NS
from trainer.units import Pairs, Units, day_spread, pair, sum_units
from trainer.utility import Amount, CostTable

SIGNATURE = Signature(
    (Field("stake", lower=0, upper=50), Field("card", Kind.TEXT), Field("shop", Kind.INTEGER))
)
COSTS = CostTable(
    act_positive=Amount(-1, per={"stake": 1}),
    act_negative=Amount(-1),
    pass_positive=Amount(),
    pass_negative=Amount(),
    currency="USD",
    version="1",
)


def blocks(stakes, cards=None, shops=None):
    count = len(stakes)
    return Blocks(
        np.array(stakes, np.float32)[:, None],
        np.array(shops or [0] * count, np.int64)[:, None],
        np.array(cards or ["a"] * count, object)[:, None],
    )


def priced(stakes, label, champion, candidate, *, cpu_ns=(0, 0), costs=COSTS):
    count = len(stakes)
    return pair(
        costs,
        SIGNATURE,
        blocks(stakes),
        np.array(label, np.float64),
        decisions=(np.array(champion, bool), np.array(candidate, bool)),
        cpu_ns=(np.full(count, cpu_ns[0]), np.full(count, cpu_ns[1])),
    )


def test_gain_and_what_was_at_risk_for_each_way_to_differ():
    #                acts, right  acts, wrong  passes, wrong  passes, right  as the champion
    pairs = priced([10, 10, 10, 10, 10], [1, 0, 1, 0, 1], [0, 0, 1, 1, 1], [1, 1, 0, 0, 1])
    assert pairs.gain.tolist() == [9, -1, -9, 1, 0]
    assert pairs.risk.tolist() == [1, 1, 9, 9, 0]
    assert pairs.changed.tolist() == [True, True, True, True, False]
    assert (pairs.candidate - pairs.champion).tolist() == [9, -1, -9, 1, 0]


def test_what_was_at_risk_bounds_what_was_lost():
    rng = np.random.default_rng(1)
    stakes, label = rng.uniform(0, 50, 500), rng.integers(0, 2, 500)
    pairs = priced(stakes, label, rng.integers(0, 2, 500), rng.integers(0, 2, 500), cpu_ns=(3, 10**6))
    assert (pairs.gain >= -pairs.risk - 1e-9).all()


def test_gains_are_cut_and_losses_are_not():
    capped = CostTable(*COSTS.amounts, "USD", "1", largest_loss=5)
    assert priced([10, 10], [1, 1], [0, 1], [1, 0], costs=capped).gain.tolist() == [5, -9]


def test_cpu_time_has_its_price():
    dear = CostTable(*COSTS.amounts, "USD", "1", cpu_second=2.0)
    pairs = priced([10], [1], [1], [1], cpu_ns=(10**9, 3 * 10**9), costs=dear)
    assert (pairs.gain.tolist(), pairs.risk.tolist()) == ([-4], [4])


def test_units_are_an_entitys_day():
    event_ns = np.array([0, 1, 2, DAY_NS, DAY_NS + 1])
    table = blocks([1] * 5, ["b", "a", "b", "b", "a"])
    pairs = Pairs(
        *(np.zeros(5),) * 2, np.array([1.0, 2, 4, 8, 0]), np.array([1.0, 2, 4, 8, 0]), np.ones(5, bool)
    )
    units = sum_units(SIGNATURE, table, event_ns, pairs, entity="card", wanted=0.0)
    assert units.day.tolist() == [0, 0, 1]
    assert units.gain.tolist() == [2, 5, 8]
    whole = sum_units(SIGNATURE, table, event_ns, pairs, entity=None, wanted=0.0)
    assert whole.gain.tolist() == [7, 8]
    assert whole.until(1).gain.tolist() == [7]


def test_integers_name_entities_too():
    gain = np.array([1.0, 2.0, 4.0])
    pairs = Pairs(np.zeros(3), np.zeros(3), gain, gain, np.ones(3, bool))
    table = blocks([1, 1, 1], shops=[7, -3, 7])
    units = sum_units(SIGNATURE, table, np.arange(3), pairs, entity="shop", wanted=0.0)
    assert units.gain.tolist() == [2, 5]


def test_a_gain_that_is_wanted_counts_as_lost_on_every_row():
    event_ns = np.arange(4)
    pairs = Pairs(*(np.zeros(4),) * 2, np.array([5.0, 0, 0, 0]), np.zeros(4), np.ones(4, bool))
    units = sum_units(SIGNATURE, blocks([1] * 4), event_ns, pairs, entity=None, wanted=0.5)
    assert (units.gain.tolist(), units.risk.tolist()) == ([3], [2])


def spread(shared: float, seed: int) -> float:
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(28), 50)
    weekly = np.where(day % 7 < 5, 0.3, -0.7)
    gain = rng.normal(0, 1, len(day)) + rng.normal(0, shared, 28)[day] + weekly
    found = day_spread(Units(day, gain, np.abs(gain)), 7, 0, 28)
    assert found is not None
    return found


def test_spread_tells_days_that_share_something_from_a_weekly_pattern():
    assert np.mean([spread(0.0, seed) for seed in range(40)]) == pytest.approx(1.0, abs=0.25)
    assert min(spread(0.6, seed) for seed in range(40)) > 4


def test_days_without_traffic_do_not_look_like_a_shared_shock():
    rng = np.random.default_rng(0)
    day = np.repeat(np.delete(np.arange(28), [5, 11, 12]), 50)
    gain = 3 + rng.normal(0, 1, len(day))
    assert day_spread(Units(day, gain, gain), 7, 0, 28) < 2


def test_spread_needs_three_cycles():
    units = Units(np.arange(20), np.ones(20), np.ones(20))
    assert day_spread(units, 7, 0, 20) is None


@pytest.mark.parametrize(
    ("amount", "bound"), [(Amount(-1, per={"stake": 1}), 49), (Amount(-1, per={"stake": -3}), 151)]
)
def test_the_largest_loss_follows_from_the_limits_of_the_fields(amount, bound):
    costs = CostTable(amount, Amount(), Amount(), Amount(), "USD", "1")
    assert costs.row_bound(SIGNATURE) == bound


def test_without_limits_the_largest_loss_has_to_be_said():
    open_end = Signature((Field("stake", lower=0),))
    with pytest.raises(ValueError, match="'stake', which has no lower and upper limit"):
        COSTS.check(open_end)
    CostTable(*COSTS.amounts, "USD", "1", largest_loss=7).check(open_end)
    with pytest.raises(ValueError, match="largest_loss"):
        CostTable(*COSTS.amounts, "USD", "1", largest_loss=0)
