"""What is sealed reads as before, by our reader bit for bit and by others as plain tables."""

import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from test_log_store import CHAMPION, OTHER, served

from sidecar.codec import SCORE_COLUMNS, SERVED_COLUMNS
from sidecar.config import Log
from sidecar.domain import Failure, Outcome, OutcomeReceipt, ScoreBatch, to_ids, to_texts
from sidecar.errors import ConflictError, UnavailableError
from sidecar.store import parquet, seal
from sidecar.store.log import LogStore
from sidecar.store.lookup import LogLookup
from sidecar.store.part import joined_columns
from sidecar.store.reader import LogReader
from sidecar.store.retention import Held, drop_surplus, surplus

pq = pytest.importorskip("pyarrow.parquet")

DAY_NS = 86_400 * 10**9
MB = 1024 * 1024


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.db"


def batches():
    odd = served(["a", "b", "c"], [10, 20, 30])
    numbers = odd.blocks.numbers.copy()
    numbers[1, 0], numbers[2, 1] = np.nan, -0.0
    texts = odd.blocks.texts.copy()
    texts[1, 0] = ""
    features = np.stack([numbers[:, 0], np.where(np.isnan(numbers[:, 0]), 7, numbers[:, 0])], axis=1)
    odd = replace(odd, blocks=replace(odd.blocks, numbers=numbers, texts=texts), features=features)
    late = served(["d", "e"], [10**18, 10**18 + 1])
    return [odd, replace(late, features=late.features[:, :2]), served(["f"], [5], model=OTHER)]


def scores():
    made = ScoreBatch.failed(OTHER, CHAMPION, to_ids(["a", "b"]), Failure.SHED, "queue full")
    return replace(
        made,
        score=np.array([0.5, np.nan], np.float32),
        failures=((Failure.NONE, ""), (Failure.SHED, "x")),
        failure_rows=np.arange(2),
    )


OUTCOMES = [Outcome("a", 1.0, 2.5, 100), Outcome("a", 0.0, None, 200), Outcome("b", 1.0, None, 50)]


@pytest.fixture
def store(path):
    store = LogStore(path)
    ledger = store.new_ledger()
    store.open_run(ledger)
    store.write(batches(), [scores()], [OUTCOMES])
    yield store
    store.close()
    ledger.close()


def everything(path):
    """All that a reader can be told, as bytes and lists."""
    with LogReader(path) as reader:
        return everything_of(reader)


def everything_of(reader):
    parts = [reader.served_parts(SERVED_COLUMNS, champion=model.digest) for model in (CHAMPION, OTHER)]
    parts.append(reader.score_parts(SCORE_COLUMNS, OTHER.digest, CHAMPION.digest))
    outcomes = reader.outcomes()
    told = []
    for of in parts:
        found = [part.columns for part in of]
        columns = joined_columns(found[1:], found[0])
        told.append({name: (v.tolist() if v.dtype == object else v.tobytes()) for name, v in columns.items()})
    order = np.argsort(outcomes.request_ids)
    told.append([outcomes.request_ids[order].tolist(), outcomes.label[order].tolist()])
    return told, reader.counts(), reader.watermark_ns()


def seal_all(path):
    return seal.seal(path, path.with_name("registry.db"))


def test_rows_are_the_same_bit_for_bit_after_they_are_sealed(store, path):
    before = everything(path)
    moved = seal_all(path)
    assert (moved.files, moved.rows) == (4, 6 + 2 + 3)
    assert everything(path) == before
    hot = sqlite3.connect(path)
    counts = [
        hot.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0] for t in ("served", "scores", "outcomes")
    ]
    hot.close()
    assert counts == [0, 0, 0]
    store.write([served(["g"], [40])], [], [])
    with LogReader(path) as reader:
        ids = [request for batch in reader.served() for request in to_texts(batch.request_ids)]
    assert sorted(ids) == list("abcdefg")


def test_the_log_reads_as_it_was_at_a_moment_sealed_or_not(store, path):
    with LogReader(path) as reader, reader.as_logged() as then:
        logged_ns, was, known = then.logged_ns, everything_of(then)[0], then.watermark_ns()
    more = served(["z"], [10**18 + 9])
    more = replace(more, features=more.features[:, :2])
    store.write([more], [scores()], [[Outcome("a", 0.0, None, 300)]])
    for _ in range(2):
        with LogReader(path, logged_ns) as then:
            assert then.logged_ns == logged_ns
            assert (everything_of(then)[0], then.watermark_ns()) == (was, known)
        with LogReader(path) as reader:
            assert (reader.watermark_ns(), reader.logged_ns > logged_ns) == (10**18 + 9, True)
            assert everything_of(reader)[0] != was
        seal_all(path)  # files that hold rows of both times


@pytest.mark.usefixtures("store")
def test_only_files_columns_and_rows_asked_for_are_read(path, monkeypatch):
    seal_all(path)
    read = []

    def spy(file, names, within):
        read.append((file.parent.parent.name[:12], tuple(names)))
        return parquet.read_columns(file, names, within)

    monkeypatch.setattr("sidecar.store.sealed.read_columns", spy)
    with LogReader(path) as reader:
        (part,) = reader.served_parts(("score",), since_ns=15, until_ns=31, champion=CHAMPION.digest)
        assert part.columns.keys() == {"score"}
        assert len(part.columns["score"]) == 2
        assert list(reader.served_parts(("score",), since_ns=6, until_ns=9)) == []
    assert read == [("model=" + CHAMPION.digest[:6], ("score",))]


def test_an_outcome_sent_again_after_sealing_is_known(store, path):
    seal_all(path)
    again = [OUTCOMES[0], replace(OUTCOMES[1], label=1.0), Outcome("c", 1.0, None, 1)]
    assert store.write([], [], [again]) == [OutcomeReceipt(1, 1, ("a",))]
    with LogReader(path) as reader:
        assert len(reader.outcomes()) == 3
        assert reader.counts().outcomes == 4


def test_single_rows_are_found_in_sealed_files(store, path):
    seal_all(path)
    store.write([served(["late"], [50])], [], [])
    with LogLookup(path) as lookup:
        assert [row.batch.request_ids[row.row].decode() for row in lookup.newest(3)][-1] == "late"
        assert len(lookup.newest(100)) == 7
        found = lookup.served_as("b")
        assert (to_texts(found.batch.request_ids), found.batch.event_ns.tolist()) == (["b"], [20])
        (bad,) = lookup.scored_as("b")
        assert (bad.batch.failure[bad.row], bad.batch.detail[bad.row]) == (Failure.SHED, "x")
        assert lookup.outcomes_of("a") == [OUTCOMES[0], OUTCOMES[1]]
        assert lookup.served_as("nobody") is None


@pytest.mark.usefixtures("store")
def test_tables_have_names_types_and_partitions(path):
    seal_all(path)
    root = path.with_name("log")
    table = pq.read_table(root / "served")
    assert {
        "request_id",
        "event_time",
        "number_0",
        "integer_0",
        "text_0",
        "feature_0",
        "score",
        "decision",
    } <= set(table.column_names)
    assert str(table.schema.field("event_time").type) == "timestamp[us, tz=UTC]"
    assert set(table["model"].to_pylist()) == {CHAMPION.digest[:12], OTHER.digest[:12]}
    rows = {row["request_id"]: row for row in table.to_pylist()}
    assert rows["b"]["number_0"] is None
    assert rows["b"]["text_0"] is None
    assert (rows["a"]["version"], rows["a"]["task"]) == ("1", "tiny")
    assert pq.read_table(root / "scores")["champion"].to_pylist() == ["1", "1"]
    assert sorted(pq.read_table(root / "outcomes")["request_id"].to_pylist()) == ["a", "a", "b"]


@pytest.mark.parametrize("step", ["_write", "_count", "_name", "_to_disk"])
@pytest.mark.parametrize("time", [1, 2, 3, 4])
@pytest.mark.usefixtures("store")
def test_what_a_kill_interrupts_is_neither_lost_nor_doubled(path, monkeypatch, step, time):
    before = everything(path)
    left = time

    def dies(*arguments, **named):
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt  # not one of the errors that anything catches
        return real(*arguments, **named)

    real = getattr(seal, step)
    monkeypatch.setattr(seal, step, dies)
    with pytest.raises(KeyboardInterrupt):
        seal_all(path)
    assert everything(path) == before
    plain = [
        table
        for kind in ("served", "scores", "outcomes")
        for table in (path.with_name("log") / kind).rglob("*.parquet")
    ]
    hot = sqlite3.connect(path)
    counted = {name for (name,) in hot.execute("SELECT path FROM sealed_files")}
    hot.close()
    assert {str(file.relative_to(path.with_name("log"))) for file in plain} <= counted
    monkeypatch.undo()
    seal_all(path)
    assert everything(path) == before
    assert not list(path.with_name("log").rglob("*.sealing"))


@pytest.mark.usefixtures("store")
def test_one_process_seals_at_a_time(path):
    with seal.sealing(path), pytest.raises(ConflictError, match="being sealed by another"):
        seal_all(path)


@pytest.mark.usefixtures("store")
def test_a_sealed_file_that_is_gone_is_told(path):
    seal_all(path)
    for file in path.with_name("log").rglob("*.parquet"):
        file.unlink()
    with LogReader(path) as reader, pytest.raises(UnavailableError, match="is gone"):
        list(reader.served())


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (Log(keep_days=0, keep_mb=0), {1, 2, 3, 4}),
        (Log(keep_days=2, keep_mb=0), {3, 4}),
        (Log(keep_days=0, keep_mb=5), {3, 4}),
        (Log(keep_days=0, keep_mb=1), set()),
        (Log(keep_days=9, keep_mb=7), {2, 3, 4}),
    ],
)
def test_what_is_too_old_or_too_much_goes_oldest_first(settings, kept):
    held = [Held("served", number, 2 * MB, number * DAY_NS) for number in (3, 1, 4, 2)]
    dropped = {each.number for each in surplus(held, settings, 5 * DAY_NS)}
    assert {1, 2, 3, 4} - dropped == kept


def test_dropped_rows_leave_files_and_tables(store, path):
    seal_all(path)
    store.write([served(["new"], [60])], [], [])
    with sqlite3.connect(path) as database:
        database.execute("UPDATE sealed_files SET last_written_ns = 1")
    database.close()
    assert drop_surplus(path, Log(keep_days=1, keep_mb=0), 10 * DAY_NS) > 0
    assert not list(path.with_name("log").rglob("*.parquet"))
    with LogReader(path) as reader:
        assert reader.dropped_until_ns() == 1
        assert [to_texts(batch.request_ids) for batch in reader.served()] == [["new"]]
        assert (reader.counts().served, reader.counts().outcomes) == (1, 0)
    assert store.write([], [], [[OUTCOMES[0]]]) == [OutcomeReceipt(1, 0, ())]


@pytest.mark.usefixtures("store")
def test_the_database_opens_as_plain_tables(path):
    database = sqlite3.connect(path)
    rows = database.execute(
        "SELECT request_id, task, version FROM predictions ORDER BY request_id"
    ).fetchall()
    assert rows[0] == ("a", "tiny", "1")
    assert len(rows) == 6
    assert database.execute("SELECT request_id, candidate, champion FROM candidate_scores").fetchall() == [
        ("a", "2", "1"),
        ("b", "2", "1"),
    ]
    seal_all(path)
    assert database.execute("SELECT COUNT(*) FROM all_outcomes").fetchone() == (3,)
    assert json.loads(database.execute("SELECT json_group_array(kind) FROM sealed_files").fetchone()[0])
    database.close()


def test_times_leave_as_differences_and_noise_as_byte_streams(tmp_path):
    rng = np.random.default_rng(0)
    columns = {"received_ns": np.cumsum(rng.integers(0, 9**6, 4096)), "infer_ns": rng.integers(0, 9**6, 4096)}
    parquet.write_table(parquet.to_table(columns, None, {}), tmp_path / "x.parquet")
    group = pq.read_metadata(tmp_path / "x.parquet").row_group(0)
    encodings = {column["path_in_schema"]: column["encodings"] for column in group.to_dict()["columns"]}
    assert "DELTA_BINARY_PACKED" in encodings["received_time"]
    assert "BYTE_STREAM_SPLIT" in encodings["infer_ns"]
