import doctest

import numpy as np
import pytest

from sidecar.signature import Blocks, Field, Kind, Signature
from trainer import slices
from trainer.days import DAY_NS
from trainer.slices import find_slices
from trainer.units import Pairs

SIGNATURE = Signature(
    (Field("size", missing_allowed=True), Field("hour", Kind.INTEGER), Field("land", Kind.TEXT))
)
DAYS, ROWS = 28, 200


def traffic(seed: int, harm: float, rows_a_day=ROWS):
    """Rows that gain nothing on average, but for those of Portugal, which lose `harm` each."""
    rng = np.random.default_rng(seed)
    count = DAYS * rows_a_day
    event_ns = np.sort(rng.integers(0, DAYS * DAY_NS, count))
    land = rng.choice(np.array(["DE", "FR", "PT", ""], object), count, p=[0.5, 0.3, 0.15, 0.05])
    size = rng.lognormal(3, 1, count)
    size[rng.random(count) < 0.1] = np.nan
    gain = rng.normal(0, 1, count) - harm * (land == "PT")
    table = Blocks(size.astype(np.float32)[:, None], rng.integers(0, 24, (count, 1)), land[:, None])
    nothing = np.zeros(count)
    return table, event_ns, Pairs(nothing, nothing, gain, np.abs(gain), np.ones(count, bool))


def test_documented_examples_hold():
    assert doctest.testmod(slices).failed == 0


def test_the_slice_that_loses_is_found_first_with_its_figures():
    table, event_ns, pairs = traffic(0, harm=0.5)
    tried, found = find_slices(SIGNATURE, table, event_ns, pairs, ())
    assert tried == 4 + 1 + 4 + 4
    assert (found[0].field, found[0].part) == ("land", "PT")
    assert found[0].p < 1e-6
    inside = table.texts[:, 0] == "PT"
    assert found[0].changed == inside.sum()
    assert found[0].gain == pytest.approx(pairs.gain[inside].sum())
    assert not found[0].declared


def test_where_nothing_loses_few_are_accused():
    accused = 0
    for seed in range(100):
        found = find_slices(SIGNATURE, *traffic(seed, harm=0.0, rows_a_day=40), ())[1]
        accused += found[0].p < 0.05
    assert accused <= 11  # of 100 at 5 %


def test_declared_fields_are_always_told():
    table, event_ns, pairs = traffic(0, harm=0.0)
    found = find_slices(SIGNATURE, table, event_ns, pairs, ("land",))[1]
    declared = [one.part for one in found if one.declared]
    assert sorted(declared) == ["DE", "FR", "PT", "missing"]


def test_small_slices_and_single_days_are_not_judged():
    table, event_ns, pairs = traffic(0, harm=5.0)
    few = np.arange(40)
    assert find_slices(SIGNATURE, table.take(few), event_ns[few], pairs.take(few), ()) == (0, ())
    empty = np.arange(0)
    assert find_slices(SIGNATURE, table.take(empty), event_ns[empty], pairs.take(empty), ()) == (0, ())
