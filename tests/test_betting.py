import doctest
import math

import numpy as np
import pytest
import ville

from trainer import betting
from trainer.betting import (
    BETS,
    capital_at,
    capital_paths,
    e_value,
    log_capital,
    log_e_value,
    periods_until,
    restarted_capital,
)


def test_documented_examples_hold():
    assert doctest.testmod(betting).failed == 0


def oracle(units: np.ndarray, upper: float) -> float:
    """The e-value by another implementation: its plug-in bets, all cut to the constant that we bet."""
    capital = []
    for bet in BETS:
        # So small an alpha asks for bets far above the cap, so that the cap is what is bet.
        test = ville.BettingTest(0.0, bounds=(-1.0, upper), alternative="greater", alpha=1e-300, c=bet)
        capital.append(test.fit(units).log_e_values_[-1])
    top = max(capital)
    return top + math.log(np.mean(np.exp(np.array(capital) - top)))


@pytest.mark.parametrize("seed", range(20))
def test_e_value_is_that_of_an_independent_implementation(seed):
    rng = np.random.default_rng(seed)
    upper = rng.uniform(0.5, 3)
    units = rng.uniform(-1, 1, 150) * rng.choice([1.0, 0.1], 150) + 0.02
    units = np.clip(units, -1, upper)
    ours = log_e_value(log_capital(units))
    assert ours == pytest.approx(oracle(units, upper), abs=1e-9)
    assert capital_paths(units[None])[0, -1] == pytest.approx(ours, abs=1e-8)


def test_capital_after_parts_is_that_of_their_units_in_any_order():
    rng = np.random.default_rng(0)
    units = rng.uniform(-1, 1, 1_000)
    shuffled = np.concatenate([rng.permutation(units[:400]), rng.permutation(units[400:])])
    assert capital_at(units, [400, 1_000]) == [log_capital(units[:400]), log_capital(units)]
    assert capital_at(shuffled, [400, 1_000]) == capital_at(units, [400, 1_000])


def test_a_unit_below_the_bound_is_no_bet():
    with pytest.raises(ValueError, match="does not hold"):
        log_capital(np.array([-1.001]))


def test_an_e_value_is_always_a_number():
    rich = log_capital(np.full(100_000, 1.0))
    assert math.isfinite(e_value(rich))
    assert e_value(log_capital(np.full(100_000, -1.0))) == pytest.approx(0.0, abs=1e-300)


def test_periods_until_it_is_decided():
    capital = log_capital(np.full(10, 0.1))
    needed = periods_until(capital, 10, 40.0, 1_000)
    assert e_value(log_capital(np.full(needed, 0.1))) >= 40 > e_value(log_capital(np.full(needed - 1, 0.1)))
    assert periods_until(capital, 10, 40.0, needed - 1) is None
    assert periods_until(log_capital(np.full(10, -0.1)), 10, 40.0, 1_000) is None
    assert periods_until(capital, 0, 40.0, 1_000) is None


def test_restarted_bets_are_the_sum_over_all_beginnings():
    rng = np.random.default_rng(0)
    units = rng.uniform(-1, 1, 60)
    ends, stretches = [10, 25, 25, 60], 5
    found = restarted_capital(units, ends, stretches)
    begins = [0, *ends[:-1]]
    for place, end in enumerate(ends):
        for bet, logged in zip(BETS, found[place], strict=True):
            parts = [math.prod((1 + bet * units[begin:end]).tolist()) for begin in begins[: place + 1]]
            waiting = stretches - place - 1
            assert math.exp(logged) == pytest.approx((sum(parts) + waiting) / stretches, rel=1e-8)
    with pytest.raises(ValueError, match="6 stretches, where 5"):
        restarted_capital(units, [1, 2, 3, 4, 5, 6], 5)


def test_a_late_decline_shows_in_restarted_bets_and_drowns_in_others():
    rng = np.random.default_rng(1)
    before = rng.choice([-1.0, 1.0], 20_000, p=[0.53, 0.47]) * (rng.random(20_000) < 0.1)
    after = rng.choice([-1.0, 1.0], 10_000, p=[0.4, 0.6]) * (rng.random(10_000) < 0.1)
    units = np.concatenate([before, after])
    ends = list(range(1_000, 30_001, 1_000))
    assert e_value(restarted_capital(units, ends, 30)[-1]) > 20
    assert e_value(log_capital(units)) < 2
