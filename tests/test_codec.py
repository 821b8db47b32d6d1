import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sidecar.cells import (
    Room,
    pack_ids,
    pack_integers,
    pack_matrix,
    unpack_ids,
    unpack_integers,
    unpack_matrix,
)
from sidecar.codec import (
    SCORES,
    SERVED,
    pack_scores,
    pack_served,
    pack_work,
    unpack_scores,
    unpack_served,
    unpack_work,
)
from sidecar.domain import Failure, ModelId, ScoreBatch, ServedBatch, to_ids, to_texts
from sidecar.signature import Blocks

CHAMPION = ModelId("tiny", "1", "a" * 64)
CANDIDATE = ModelId("tiny", "2", "b" * 64)


def floats(*shape):
    return hnp.arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=True))


def integers(*shape):
    # Narrow, wide and extreme columns take different widths in the codec.
    edges = st.sampled_from([-(2**63), 2**63 - 1, 0, 255, 256, 65536, 2**32])
    small = st.integers(1000, 1200)
    element = st.one_of(small, edges, st.integers(-(2**63), 2**63 - 1))
    return st.one_of(*(hnp.arrays(np.int64, shape, elements=kind) for kind in (small, edges, element)))


def flags(rows):
    return hnp.arrays(bool, rows)


def texts(rows):
    return st.lists(st.text(max_size=5), min_size=rows, max_size=rows)


def ids(rows):
    visible = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
    plain = st.text(visible, min_size=1, max_size=9)
    alike = st.builds(lambda shared, rest: shared + rest, st.sampled_from(["day-1/", 'a"', "\\"]), plain)
    return st.lists(st.one_of(plain, alike), min_size=rows, max_size=rows).map(to_ids)


@st.composite
def blocks(draw, rows):
    text_columns = draw(st.integers(0, 3))
    words = np.empty((rows, text_columns), object)
    for column in range(text_columns):
        words[:, column] = draw(texts(rows))
    return Blocks(
        draw(floats(rows, draw(st.integers(0, 3)))), draw(integers(rows, draw(st.integers(0, 3)))), words
    )


@st.composite
def served(draw):
    rows = draw(st.integers(1, 20))
    return ServedBatch(
        model=CHAMPION,
        request_ids=draw(ids(rows)),
        client=np.array(draw(texts(rows)), object),
        received_ns=draw(integers(rows)),
        event_ns=draw(integers(rows)),
        group=draw(integers(rows)),
        blocks=draw(blocks(rows)),
        features=draw(floats(rows, draw(st.integers(0, 4)))),
        score=draw(floats(rows)),
        decision=draw(flags(rows)),
        propensity=draw(floats(rows)),
        queue_ns=draw(integers(rows)),
        failed_ns=draw(integers(rows)),
        infer_ns=draw(integers(rows)),
        cpu_ns=draw(integers(rows)),
    )


@st.composite
def scored(draw):
    rows = draw(st.integers(1, 20))
    failure = st.tuples(st.sampled_from(Failure), st.text(max_size=5))
    failures = draw(st.lists(failure, min_size=1, max_size=4, unique=True))
    return ScoreBatch(
        model=CANDIDATE,
        champion=CHAMPION,
        request_ids=draw(ids(rows)),
        score=draw(floats(rows)),
        decision=draw(flags(rows)),
        infer_ns=draw(integers(rows)),
        cpu_ns=draw(integers(rows)),
        failures=tuple(failures),
        failure_rows=draw(hnp.arrays(np.int64, rows, elements=st.integers(0, len(failures) - 1))),
    )


def through_sqlite(cells, columns):
    """The cells as SQLite gives them back, from a STRICT table of the declared types."""
    names = {int: "INTEGER", str: "TEXT", bytes: "BLOB"}
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    database.execute(f"CREATE TABLE t ({', '.join(f'{n} {names[k]}' for n, k in columns.items())}) STRICT")
    database.execute(f"INSERT INTO t VALUES ({', '.join(f':{name}' for name in columns)})", cells)
    row = database.execute("SELECT * FROM t").fetchone()
    database.close()
    return row


def assert_same(one, other, names):
    for name in names:
        left, right = getattr(one, name), getattr(other, name)
        if isinstance(left, np.ndarray) and left.dtype != object:
            assert left.dtype == right.dtype
            assert left.shape == right.shape
            assert left.tobytes() == right.tobytes(), name
        else:
            assert list(left) == list(right), name


SERVED_NAMES = (
    "request_ids",
    "client",
    "received_ns",
    "event_ns",
    "group",
    "features",
    "score",
    "decision",
    "propensity",
    "queue_ns",
    "failed_ns",
    "infer_ns",
    "cpu_ns",
)


@settings(deadline=None, max_examples=50)
@given(served())
def test_served_rows_come_back_bit_for_bit(batch):
    back = unpack_served(through_sqlite(pack_served(batch, {}, Room()), SERVED), CHAMPION)
    assert back.model == CHAMPION
    assert_same(batch, back, SERVED_NAMES)
    assert batch.blocks.equals(back.blocks)
    assert back.blocks.texts.shape == batch.blocks.texts.shape


@pytest.mark.parametrize(
    "ids",
    [
        ['"'],
        ['a"b-1', 'a"b-2'],
        ["\\n1", "\\n2"],
        ["day-1", "day-2"],
        ["a", "a"],
        ['a"', "a"],
        ["0", ","],
        [",", "],", "[a,b]"],
    ],
)
def test_ids_with_marks_of_json_come_back(ids):
    assert to_texts(unpack_ids(*pack_ids(to_ids(ids)), len(ids))) == ids


@settings(deadline=None, max_examples=50)
@given(scored())
def test_scores_come_back_bit_for_bit(batch):
    back = unpack_scores(through_sqlite(pack_scores(batch), SCORES), CANDIDATE, CHAMPION)
    assert (back.model, back.champion) == (CANDIDATE, CHAMPION)
    assert_same(batch, back, ("request_ids", "score", "decision", "infer_ns", "cpu_ns", "failure", "detail"))
    assert all(isinstance(failure, Failure) for failure in back.failure)


@settings(deadline=None, max_examples=50)
@given(st.data(), st.integers(1, 20))
def test_work_comes_back_bit_for_bit(data, rows):
    sent, group = data.draw(blocks(rows)), data.draw(integers(rows))
    back, back_group = unpack_work(pack_work(sent, group))
    assert sent.equals(back)
    assert (back.integers.shape, back.texts.shape) == (sent.integers.shape, sent.texts.shape)
    assert np.array_equal(group, back_group)


@settings(deadline=None, max_examples=20)
@given(served(), st.sampled_from(["", "checkout/1.4.2"]))
def test_a_client_that_all_rows_share_costs_a_few_bytes(batch, client):
    cells = pack_served(replace(batch, client=np.full(len(batch), client, object)), {}, Room())
    assert (cells["clients"], len(cells["client_rows"])) == (f'[["{client}"]]', 13)


def test_integers_take_as_few_bytes_as_their_range_needs():
    rows = 1000
    batch = ScoreBatch.failed(CANDIDATE, CHAMPION, to_ids(["r"] * rows), Failure.SHED, "full")
    cells = pack_scores(batch)
    assert len(cells["infer_ns"]) == 13
    assert len(cells["failure_rows"]) == 13
    assert len(cells["decision"]) == rows / 8
    assert json.loads(cells["failures"]) == [["shed", "full"]]


def test_signs_and_odd_bits_survive():
    odd = np.array([0x7FC00000, 0x7FC00001, 0xFFC00000, 0x80000000, 0, 0x7F800000], np.uint32).view(
        np.float32
    )
    for column in (odd, odd[3:5], np.array([1, 2, -0.0], np.float32), odd[:1]):
        assert unpack_matrix(pack_matrix(column[None]), len(column)).tobytes() == column.tobytes()


@pytest.mark.parametrize("bits", [0x7FC00001, 0xFFC00000, 0x7F800001, 0x80000000, 0x7F800000])
def test_one_odd_value_among_whole_and_missing_ones(bits):
    """Behind the rows that are looked at first, so that the column looks whole."""
    column = (np.arange(1000) % 300).astype(np.float32)
    column.view(np.uint32)[::17] = 0x7FC00000
    assert len(pack_matrix(column[None])) < 2100
    column.view(np.uint32)[777] = bits
    assert unpack_matrix(pack_matrix(column[None]), 1000).tobytes() == column.tobytes()


@pytest.mark.parametrize("base", [-(2**63), -40_000, 0, 2**40, 2**63 - 1 - 2**33])
@pytest.mark.parametrize("spread", [1, 254, 255, 65_534, 65_535, 2**32 - 2, 2**32 - 1, 2**33])
@pytest.mark.parametrize("exceptions", [0, 1, 30, 500])
def test_integers_of_each_width_with_few_and_many_exceptions(base, spread, exceptions):
    column = base + np.arange(1000, dtype=np.int64) % 200
    column[200 : 200 + exceptions] = base + spread
    packed = pack_integers([column])
    assert len(packed) <= 13 + 1000 + 8 * max(1, exceptions)
    assert np.array_equal(unpack_integers(packed, 1000)[0], column)


def test_texts_that_no_kept_row_has_are_not_written():
    rows = 100
    codes = np.arange(rows, dtype=np.int32) % 4
    words = ["a", "b", "c", "secret"]
    texts = np.array(words, object)[codes].reshape(-1, 1)
    raw = Blocks(np.zeros((rows, 0), np.float32), np.zeros((rows, 0), np.int64), texts, [(words, codes)])
    zeros = np.zeros(rows, np.int64)
    batch = ServedBatch(
        model=CHAMPION,
        request_ids=to_ids([f"r{row}" for row in range(rows)]),
        client=np.full(rows, "", object),
        received_ns=zeros,
        event_ns=zeros,
        group=zeros,
        blocks=raw,
        features=np.zeros((rows, 0), np.float32),
        score=np.zeros(rows, np.float32),
        decision=np.zeros(rows, bool),
        propensity=np.ones(rows, np.float32),
        queue_ns=zeros,
        failed_ns=zeros,
        infer_ns=zeros,
        cpu_ns=zeros,
    )
    kept = batch.take(codes < 3)
    cells = pack_served(kept, {}, Room())
    assert cells["texts"] == '[["a","b","c"]]'
    assert np.array_equal(unpack_served(cells, CHAMPION).blocks.texts, kept.blocks.texts)


def test_one_slow_call_does_not_widen_a_column():
    column = np.full(1000, 20_000) + np.arange(1000) % 7
    column[500] = 10**12
    packed = pack_integers([column])
    assert len(packed) < 1000 + 8 + 13 + 1
    assert np.array_equal(unpack_integers(packed, 1000)[0], column)
