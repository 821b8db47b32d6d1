"""The joined slice as an Arrow table, from SQLite and from Parquet, and as docs/log.md shows it."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shadowed import served
from sidecar_process import admit_without_check
from tiny_bundles import tiny_bundle

from sidecar.domain import Failure, Outcome, ScoreBatch, to_ids
from sidecar.errors import InvalidRequestError, NotFoundError
from sidecar.store.layout import Layouts
from sidecar.store.log import LogStore
from sidecar.store.parquet import RESERVED
from sidecar.store.reader import LogReader
from sidecar.store.seal import seal
from sidecar.store.slice import Period, read_slice

pytest.importorskip("pyarrow")
PAGE = Path(__file__).parent.parent / "docs" / "log.md"


class CountingReader(LogReader):
    """Remembers which columns of served rows it was asked for, and whether for outcomes and scores."""

    def __init__(self, path):
        super().__init__(path)
        self.asked = []

    def served_parts(self, columns, **limits):
        self.asked += columns
        return super().served_parts(columns, **limits)

    def score_parts(self, *args, **kwargs):
        self.asked.append("scores")
        return super().score_parts(*args, **kwargs)

    def outcomes(self, *args):
        self.asked.append("outcomes")
        return super().outcomes(*args)


def scored(candidate, champion, ids, score):
    none = np.zeros(len(ids), np.int64)
    score = np.array(score, np.float32)
    return ScoreBatch(
        candidate, champion, to_ids(ids), score, score > 0.5, none + 7, none + 3, ((Failure.NONE, ""),), none
    )


@pytest.fixture
def home(tmp_path):
    """Six rows out of order, one sent twice; one candidate that scored four and shed one; two outcomes."""
    home = tmp_path / "home"
    champion, candidate = (tiny_bundle(home / "bundles", name) for name in ("champion", "candidate"))
    for bundle in (champion, candidate):
        admit_without_check(home, bundle)

    def rows(ids, event_ns):
        batch = served(champion, len(ids))
        moments = np.array(event_ns, np.int64)
        return replace(batch, request_ids=to_ids(ids), event_ns=moments, received_ns=moments + 1)

    store = LogStore(home / "log.db")
    ledger = store.new_ledger()
    store.open_run(ledger)
    store.write([rows(["c", "b", "a"], [3_000_000_007, 2, 2])], [], [])
    store.write([rows(["e", "d", "b"], [5_000_000_000, 4_000_000_000, 9_000_000_000])], [], [])
    shed = ScoreBatch.failed(candidate.model, champion.model, to_ids(["e"]), Failure.SHED, "full")
    made = scored(candidate.model, champion.model, ["d", "c", "b", "a"], [0.4, 0.3, 0.2, 0.1])
    outcomes = [
        Outcome("a", 1.0, None, 10),
        Outcome("c", 0.0, 2.5, 4_000_000_000),
        Outcome("c", 1.0, 3.5, 8_000_000_001),
        Outcome("x", 1.0, None, 5),
    ]
    store.write([], [made, shed], [outcomes])
    store.close_run()
    store.close()
    ledger.close()
    return home


@pytest.fixture(params=["hot", "sealed"])
def reader(home, request):
    if request.param == "sealed":
        seal(home / "log.db", home / "registry.db")
    with CountingReader(home / "log.db") as reader:
        yield reader


@pytest.fixture
def layouts(home):
    return Layouts(home / "registry.db", RESERVED)


def test_rows_come_once_in_order_with_outcome_and_scores(reader, layouts):
    table = read_slice(reader, layouts)
    rows = {row["request_id"]: row for row in table.to_pylist()}
    assert table["request_id"].to_pylist() == ["a", "b", "c", "d", "e"]
    assert {
        name: str(table.schema.field(name).type) for name in ("x", "colour", "label", "score_candidate")
    } == {
        "x": "float",
        "colour": "string",
        "label": "double",
        "score_candidate": "float",
    }
    assert rows["c"]["event_time"].timestamp() == 3
    assert (rows["c"]["event_rest_ns"], rows["c"]["version"], rows["c"]["colour"]) == (7, "champion", "red")
    assert [row["label"] for row in rows.values()] == [1.0, None, 1.0, None, None]
    assert [row["value"] for row in rows.values()] == [None, None, 3.5, None, None]
    assert (rows["c"]["observed_time"].timestamp(), rows["c"]["observed_rest_ns"]) == (8, 1)
    assert table["score_candidate"].to_pylist() == [
        pytest.approx(0.1),
        pytest.approx(0.2),
        pytest.approx(0.3),
        pytest.approx(0.4),
        None,
    ]
    assert table["failure_candidate"].to_pylist() == [None, None, None, None, "shed"]
    assert table["infer_ns_candidate"].to_pylist() == [7, 7, 7, 7, 0]


def test_a_period_and_what_was_known_then(reader, layouts):
    period = Period(since_ns=3_000_000_000, until_ns=5_000_000_000, as_of_ns=4_500_000_000)
    table = read_slice(reader, layouts, period, columns=["request_id", "label"])
    assert table.to_pydict() == {"request_id": ["c", "d"], "label": [0.0, None]}
    with pytest.raises(NotFoundError, match="no row was served in that period"):
        read_slice(reader, layouts, Period(until_ns=0))
    with pytest.raises(NotFoundError, match="or another champion"):
        read_slice(reader, layouts, champion="f" * 64)


def test_only_what_is_asked_for_is_read(reader, layouts):
    keys = {"request_ids", "event_ns", "received_ns"}
    table = read_slice(reader, layouts, columns=["score", "amount"])
    assert (table.column_names, set(reader.asked)) == (["score", "amount"], {*keys, "score", "numbers"})
    reader.asked.clear()
    read_slice(reader, layouts, columns=["label", "event_time"])
    assert set(reader.asked) == {*keys, "outcomes"}
    reader.asked.clear()
    table = read_slice(reader, layouts, columns=["decision_candidate"])
    assert set(reader.asked) == {*keys, "scores"}
    assert (
        read_slice(reader, layouts, candidates=()).num_columns == read_slice(reader, layouts).num_columns - 5
    )
    with pytest.raises(InvalidRequestError, match="rows have no column 'speed'"):
        read_slice(reader, layouts, columns=["speed"])


def test_a_log_without_its_bundles_has_columns_by_place(reader, tmp_path):
    table = read_slice(reader, Layouts(tmp_path / "no.db", RESERVED), columns=["number_0", "request_id"])
    assert dict(zip(table["request_id"].to_pylist(), table["number_0"].to_pylist(), strict=True)) == {
        "a": pytest.approx(2 / 3),
        "b": pytest.approx(1 / 3),
        "c": 0,
        "d": pytest.approx(1 / 3),
        "e": 0,
    }


def test_the_page_shows_what_works(home, monkeypatch):
    pytest.importorskip("pandas")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(home.parent)
    home.rename(home.parent / "var")
    found = {}
    exec(code, found)
    assert len(found["frame"]) == 5
    assert list(found["frame"].columns[:2]) == ["event_time", "score"]
