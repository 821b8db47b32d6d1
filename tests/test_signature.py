import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundles import SIGNATURE, row

from sidecar.errors import InvalidRequestError
from sidecar.signature import MAX_TEXT_BYTES, Blocks, Field, Kind, Outside, Signature

X, AMOUNT, TRIGGER_FIELD, COLOUR = SIGNATURE.fields


def test_fields_go_to_the_block_of_their_kind_in_order():
    blocks = SIGNATURE.pack(row(x=1.5, amount=2.0, trigger=3, colour="blue"))
    assert blocks.numbers.tolist() == [[1.5, 2.0]]
    assert blocks.integers.tolist() == [[3]]
    assert blocks.texts.tolist() == [["blue"]]
    assert (blocks.numbers.dtype, blocks.integers.dtype, blocks.texts.dtype) == (np.float32, np.int64, object)
    assert len(blocks) == 1


def test_a_kind_without_fields_has_no_columns():
    blocks = Signature((X,)).pack({"x": 1.0})
    assert (blocks.numbers.shape, blocks.integers.shape, blocks.texts.shape) == ((1, 1), (1, 0), (1, 0))


def test_missing_is_nan_or_empty_text():
    for x, colour in ((None, None), (math.nan, "")):
        blocks = SIGNATURE.pack(row(x=x, colour=colour))
        assert np.isnan(blocks.numbers[0, 0])
        assert blocks.texts[0, 0] == ""
        assert SIGNATURE.unpack(blocks, 0) == row(x=None, colour=None)


def test_numpy_scalars_are_values():
    record = row(x=np.float32(0.1), amount=np.int64(7), trigger=np.int32(-3), colour=np.str_("red"))
    assert SIGNATURE.pack(record).equals(SIGNATURE.pack(row(x=0.10000000149011612, amount=7, trigger=-3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": "1"}, "field 'x' is text; send a number"),
        ({"x": True}, "field 'x' is a truth value; send a number"),
        ({"x": math.inf}, "field 'x' is inf; send a finite float32 number"),
        ({"x": -3.5e38}, "field 'x' is -3.5e+38; send a finite float32 number"),
        ({"x": [1]}, "field 'x' is a list; send a number"),
        ({"amount": None}, "field 'amount' must not be missing; send a number"),
        ({"amount": math.nan}, "field 'amount' must not be missing; send a number"),
        ({"amount": -0.5}, "field 'amount' is -0.5; send a value from 0 to 1e+06"),
        ({"amount": 1e6 + 1}, "field 'amount' is 1e+06; send a value from 0 to 1e+06"),
        ({"trigger": None}, "field 'trigger' must not be missing; send an integer"),
        ({"trigger": 1.0}, "field 'trigger' is a real number; send an integer"),
        ({"trigger": False}, "field 'trigger' is a truth value; send an integer"),
        ({"trigger": 2**63}, f"field 'trigger' is {2**63}; send an integer of 64 bits"),
        ({"colour": 5}, "field 'colour' is an integer; send text"),
        ({"colour": b"red"}, "field 'colour' is a bytes; send text"),
        ({"colour": "x" * (MAX_TEXT_BYTES + 1)}, "field 'colour' has a NUL character or over 1024 bytes"),
        ({"colour": "a\0"}, "field 'colour' has a NUL character"),
        ({"color": "red"}, "field 'color' is not in the signature; did you mean 'colour'?"),
        ({"qqq": "red"}, "field 'qqq' is not in the signature; remove it"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_fix(change, message):
    with pytest.raises(InvalidRequestError) as caught:
        SIGNATURE.pack(row() | change)
    assert str(caught.value).startswith(message)


def test_a_field_left_out_is_refused_with_the_fix():
    fixes = {"x": "send it as missing", "amount": "send a number", "trigger": "send an integer"}
    for name, fix in fixes.items():
        record = row()
        del record[name]
        with pytest.raises(InvalidRequestError, match=f"field '{name}' is left out; {fix}"):
            SIGNATURE.pack(record)


def test_a_name_of_megabytes_is_refused_in_a_short_sentence():
    with pytest.raises(InvalidRequestError) as caught:
        SIGNATURE.pack(row() | {"x" * 4_000_000: 1})
    assert len(str(caught.value)) < 200


def test_bounds_are_inclusive_and_the_longest_text_fits():
    for amount in (0, 1e6):
        assert SIGNATURE.pack(row(amount=amount)).numbers[0, 1] == amount
    text = "é" * (MAX_TEXT_BYTES // 2)
    assert SIGNATURE.pack(row(colour=text)).texts[0, 0] == text


def test_a_number_whose_instrument_is_wrong_is_passed_on_for_the_graph_to_drop():
    field = Field("t", missing_allowed=True, lower=0, upper=10, outside=Outside.MISSING)
    assert Signature((field,)).pack({"t": 99.0}).numbers.tolist() == [[99.0]]


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "two words"},
        {"name": "n", "kind": Kind.INTEGER, "missing_allowed": True},
        {"name": "n", "kind": Kind.TEXT, "lower": 1},
        {"name": "n", "outside": Outside.MISSING},
        {"name": "n", "lower": 2, "upper": 1},
        {"name": "n", "kind": Kind.INTEGER, "outside": Outside.MISSING},
    ],
)
def test_a_field_that_contradicts_itself_cannot_be_made(arguments):
    with pytest.raises(ValueError, match="field"):
        Field(**arguments)


def test_a_signature_has_fields_and_none_twice():
    with pytest.raises(ValueError, match="at least one"):
        Signature(())
    with pytest.raises(ValueError, match="twice: x"):
        Signature((X, AMOUNT, X))


def test_the_digest_tells_signatures_apart_and_survives_json():
    again = Signature.from_json(SIGNATURE.to_json())
    assert again == SIGNATURE
    assert again.digest == SIGNATURE.digest
    assert len(SIGNATURE.digest) == 64
    others = [
        Signature((AMOUNT, X, TRIGGER_FIELD, COLOUR)),
        Signature((X, AMOUNT, TRIGGER_FIELD)),
        Signature((replace(X, unit="m"), AMOUNT, TRIGGER_FIELD, COLOUR)),
        Signature((replace(X, missing_allowed=False), AMOUNT, TRIGGER_FIELD, COLOUR)),
    ]
    assert len({SIGNATURE.digest, *(other.digest for other in others)}) == 5


ROWS = st.builds(
    row,
    x=st.one_of(st.none(), st.floats(-3e38, 3e38), st.integers(-(2**70), 2**70)),
    amount=st.one_of(st.floats(0, 1e6), st.integers(0, 10**6)),
    trigger=st.integers(-(2**63), 2**63 - 1),
    colour=st.one_of(st.none(), st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)),
)


@given(st.lists(ROWS, min_size=1, max_size=8))
def test_rows_packed_one_by_one_or_as_columns_are_the_same_bits(records):
    one_by_one = Blocks.concat([SIGNATURE.pack(record) for record in records])
    as_columns = SIGNATURE.pack_columns({name: [each[name] for each in records] for name in records[0]})
    assert as_columns.equals(one_by_one)
    unpacked = [SIGNATURE.unpack(as_columns, index) for index in range(len(records))]
    assert Blocks.concat([SIGNATURE.pack(record) for record in unpacked]).equals(one_by_one)


@given(
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=False), min_size=1, max_size=8),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=8, max_size=8),
)
def test_arrays_and_lists_are_the_same_columns(numbers, integers):
    signature = Signature((X, Field("n"), TRIGGER_FIELD))
    rows = len(numbers)
    arrays = {
        "x": np.array(numbers, np.float32),
        "n": np.array(integers[:rows], np.int64),
        "trigger": np.array(integers[:rows], np.int64),
    }
    lists = {"x": numbers, "n": integers[:rows], "trigger": integers[:rows]}
    assert signature.pack_columns(arrays).equals(signature.pack_columns(lists))


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("x", np.array([0, np.inf]), r"field 'x' is inf.*\(row 1\)"),
        ("amount", np.array([0, np.nan]), r"field 'amount' must not be missing.*\(row 1\)"),
        ("amount", np.array([-1, 0]), r"field 'amount' is -1; .*\(row 0\)"),
        ("amount", [1.0, "a"], r"field 'amount' is text.*\(row 1\)"),
        ("trigger", [1, None], r"field 'trigger' must not be missing.*\(row 1\)"),
        ("trigger", np.array([1.0, 2.0]), r"field 'trigger' is a real number.*\(row 0\)"),
        ("colour", ["a", "b\0"], r"field 'colour' has a NUL.*\(row 1\)"),
        ("colour", ["a"], "field 'colour' has 1 rows, others have 2"),
        ("size", [1, 2], "field 'size' is not in the signature"),
    ],
)
def test_a_column_that_does_not_fit_names_the_field_and_the_row(name, column, message):
    columns = {"x": [0.0, 1.0], "amount": [1.0, 2.0], "trigger": [1, 2], "colour": ["a", "b"]}
    with pytest.raises(InvalidRequestError, match=message):
        SIGNATURE.pack_columns(columns | {name: column})


def test_rows_can_be_taken_by_slice_index_and_mask():
    blocks = SIGNATURE.pack_columns(
        {"x": [0.0, 1.0, 2.0], "amount": [0.0] * 3, "trigger": [0, 1, 2], "colour": ["a", "b", "c"]}
    )
    for rows in (slice(1, 3), [1, 2], np.array([False, True, True])):
        part = blocks.take(rows)
        assert part.integers.tolist() == [[1], [2]]
        assert part.texts.tolist() == [["b"], ["c"]]
    assert not blocks.take([0]).equals(blocks.take([1]))
    assert Blocks.concat([blocks.take([0]), blocks.take([1, 2])]).equals(blocks)
