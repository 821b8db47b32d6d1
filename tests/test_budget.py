import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer import budget
from trainer.budget import ErrorShare


def test_documented_examples_hold():
    assert doctest.testmod(budget).failed == 0


@given(groups=st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_parts_never_add_up_to_more_than_the_error(groups):
    before, spent = 0, 0.0
    for size in groups:
        share = ErrorShare(before, before + size)
        spent += size * share.of(0.05)
        before += size
    assert spent < 0.05
    assert spent + share.left(0.05) == pytest.approx(0.05)


def test_asking_for_the_number_tried_so_far_would_overspend():
    one_after_another = sum(0.05 / tried for tried in range(1, 6))
    assert one_after_another > 0.11
