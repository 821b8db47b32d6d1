import json

import numpy as np
import pytest

from sidecar.signature import Blocks, Field, Kind, Outside, Signature
from trainer.utility import Amount, CostTable, usable

SIGNATURE = Signature(
    (
        Field("seats", missing_allowed=True, lower=0, upper=600, outside=Outside.MISSING),
        Field("stake", lower=0),
        Field("code", Kind.TEXT),
    )
)
COSTS = CostTable(
    act_positive=Amount(-100, per={"seats": 2, "stake": 1}, missing={"seats": 50}),
    act_negative=Amount(-100),
    pass_positive=Amount(0, per={"stake": -1}),
    pass_negative=Amount(),
    currency="USD",
    version="1",
)


def blocks(*rows):
    return Blocks(
        np.array(rows, np.float32), np.empty((len(rows), 0), np.int64), np.full((len(rows), 1), "a", object)
    )


def test_each_cell_of_the_table_pays_what_it_says():
    rows = blocks((10, 5), (10, 5), (10, 5), (10, 5))
    decision = np.array([True, True, False, False])
    label = np.array([1.0, 0.0, 1.0, 0.0])
    assert COSTS.utility(SIGNATURE, rows, decision, label).tolist() == [-75, -100, -5, 0]


@pytest.mark.parametrize("seats", [np.nan, 601, -1])
def test_a_missing_or_impossible_field_counts_as_declared(seats):
    money = COSTS.utility(SIGNATURE, blocks((seats, 5)), np.array([True]), np.array([1.0]))
    assert money.tolist() == [-100 + 2 * 50 + 5]


def test_usable_numbers_leave_the_blocks_as_they_were():
    rows = blocks((601, 5), (600, 5))
    cleaned = usable(SIGNATURE, rows)
    assert np.isnan(cleaned[0, 0])
    assert cleaned[1, 0] == 600
    assert rows.numbers[0, 0] == 601


def test_stakes_are_acting_over_passing():
    positive, negative = COSTS.stakes(SIGNATURE, blocks((10, 5)))
    assert (positive.tolist(), negative.tolist()) == ([-70.0], [-100.0])


@pytest.mark.parametrize("label", [np.nan, 0.5, 2])
def test_a_row_without_an_outcome_has_no_utility(label):
    with pytest.raises(ValueError, match="0 or 1"):
        COSTS.utility(SIGNATURE, blocks((10, 5)), np.array([True]), np.array([label]))


def test_json_round_trip_keeps_the_digest():
    again = CostTable.from_json(json.loads(json.dumps(COSTS.to_json())))
    assert again == COSTS
    assert again.digest == COSTS.digest


def test_the_digest_is_of_the_money_not_of_how_it_was_typed():
    def table(hundred):
        return CostTable(Amount(hundred), Amount(), Amount(), Amount(), "USD", "1")

    assert table(100).digest == table(100.0).digest
    assert table(100).digest != table(101).digest


@pytest.mark.parametrize(
    ("amount", "says"),
    [
        (Amount(per={"nope": 1}), "'nope', which is not a number field"),
        (Amount(per={"code": 1}), "'code', which is not a number field"),
        (Amount(per={"seats": 1}), "'seats', which may be missing"),
    ],
)
def test_a_table_that_the_signature_cannot_feed_is_refused(amount, says):
    with pytest.raises(ValueError, match=says):
        CostTable(Amount(), amount, Amount(), Amount(), "USD", "1").check(SIGNATURE)


def test_amounts_are_finite_and_say_nothing_of_unused_fields():
    with pytest.raises(ValueError, match="not finite"):
        Amount(float("nan"))
    with pytest.raises(ValueError, match="'seats'"):
        Amount(missing={"seats": 1})
