import numpy as np
import pytest
from small_task import SIGNATURE

from sidecar.signature import Blocks
from trainer.days import DAY_NS
from trainer.monitor.multivariate import Stretch, tell_apart

A_DAY = 60


def stretch(days: int, *, seed: int, weather: float = 0.6, swapped=False, unseen=False) -> Stretch:
    """Days that each have their own weather, which all rows of the day share.

    swapped: x and amount, which go together, go against each other; each by itself is as before.
    """
    rng = np.random.default_rng(seed)
    rows = days * A_DAY
    day = np.repeat(np.arange(days), A_DAY)
    x = rng.normal(size=days)[day] * weather + rng.normal(size=rows)
    amount = np.exp((-x if swapped else x) * 0.5 + rng.normal(size=rows) * 0.3)
    texts = rng.choice(np.array(["web", "shop", ""], object), rows)
    if unseen:
        texts[rng.random(rows) < 0.3] = "kiosk"
    return Stretch(
        Blocks(
            np.stack([x, amount], axis=1).astype(np.float32),
            rng.integers(0, 24, (rows, 1)),
            texts[:, None].astype(object),
        ),
        day * DAY_NS + seed * 1_000 * DAY_NS,
    )


def test_days_with_their_own_weather_are_not_taken_for_a_change():
    found = [
        tell_apart(SIGNATURE, stretch(28, seed=2 * seed), stretch(14, seed=2 * seed + 1)).p
        for seed in range(14)
    ]
    assert min(found) > 0.005
    assert 0.25 < np.mean(found) < 0.75


def test_fields_that_change_only_together_are_found_and_named():
    found = tell_apart(SIGNATURE, stretch(28, seed=1), stretch(14, seed=2, swapped=True))
    assert found.area > 0.8
    assert found.p < 0.001
    assert {name for name, _ in found.fields} == {"x", "amount"}
    assert (found.days_before, found.days_now) == (28, 14)


def test_new_category_is_found_and_named():
    found = tell_apart(SIGNATURE, stretch(28, seed=3), stretch(14, seed=4, unseen=True))
    assert found.p < 0.001
    assert found.fields[0][0] == "channel"


def test_same_rows_give_the_same_answer():
    first, second = (tell_apart(SIGNATURE, stretch(28, seed=5), stretch(14, seed=6)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("before", "now"), [(13, 14), (28, 13), (0, 14)])
def test_too_few_days_say_nothing(before, now):
    assert tell_apart(SIGNATURE, stretch(before, seed=1), stretch(now, seed=2)) is None
