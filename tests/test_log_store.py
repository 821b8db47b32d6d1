import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from sidecar.domain import (
    Failure,
    ModelId,
    Outcome,
    OutcomeReceipt,
    ScoreBatch,
    ServedBatch,
    to_ids,
    to_texts,
)
from sidecar.errors import ConfigError, ConflictError, NotFoundError, UnavailableError
from sidecar.signature import Blocks
from sidecar.store.log import LogStore
from sidecar.store.reader import LogReader
from sidecar.store.schema import FORMAT

CHAMPION = ModelId("tiny", "1", "a" * 64)
OTHER = ModelId("tiny", "2", "b" * 64)


def served(ids, event_ns=None, model=CHAMPION):
    rows = len(ids)
    events = np.arange(rows) if event_ns is None else np.array(event_ns)
    return ServedBatch(
        model=model,
        request_ids=to_ids(ids),
        client=np.resize(np.array(["app/1", "app/2", ""], object), rows),
        received_ns=events + 5,
        event_ns=events,
        group=np.arange(rows),
        blocks=Blocks(
            np.linspace(0, 1, 2 * rows, dtype=np.float32).reshape(rows, 2),
            np.full((rows, 1), 7),
            np.array([["red"]] * rows, object).reshape(rows, 1),
        ),
        features=np.ones((rows, 3), np.float32),
        score=np.linspace(0, 1, rows, dtype=np.float32),
        decision=np.arange(rows) % 2 == 0,
        propensity=np.resize(np.array([1, 0.02, 0.98], np.float32), rows),
        queue_ns=np.full(rows, 10),
        failed_ns=np.full(rows, 4),
        infer_ns=np.full(rows, 20),
        cpu_ns=np.full(rows, 15),
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.db"


@pytest.fixture
def store(path):
    store = LogStore(path)
    ledger = store.new_ledger()
    store.open_run(ledger)
    yield store
    store.close()
    ledger.close()


def ids_of(batches):
    return [request for batch in batches for request in to_texts(batch.request_ids)]


def test_served_rows_come_back_in_order_of_writing_with_repeats(store, path):
    store.write([served(["a", "b"]), served(["c"], model=OTHER)], [], [])
    store.write([served([]), served(["a"])], [], [])
    with LogReader(path) as reader:
        batches = list(reader.served())
        assert [batch.model for batch in batches] == [CHAMPION, OTHER, CHAMPION]
        assert ids_of(batches) == ["a", "b", "c", "a"]
        assert batches[0].blocks.equals(served(["a", "b"]).blocks)
        assert ids_of(reader.served(champion=OTHER.digest)) == ["c"]
        assert reader.counts().served == 4


def test_range_selects_rows_inside_batches(store, path):
    store.write(
        [served(["a", "b", "c"], [10, 20, 30]), served(["d", "e"], [15, 40]), served(["f"], [5])], [], []
    )
    with LogReader(path) as reader:
        assert ids_of(reader.served(since_ns=15, until_ns=30)) == ["b", "d"]
        assert ids_of(reader.served(since_ns=30)) == ["c", "e"]
        assert ids_of(reader.served(until_ns=10)) == ["f"]
        assert ids_of(reader.served(since_ns=31, until_ns=39)) == []
        (part,) = reader.served(since_ns=20, until_ns=21)
        assert part.event_ns.tolist() == [20]
        assert part.blocks.numbers.tobytes() == served(["a", "b", "c"]).blocks.numbers[1:2].tobytes()
        assert reader.watermark_ns() == 40


def test_scores_are_kept_by_candidate_and_champion(store, path):
    shed = ScoreBatch.failed(OTHER, CHAMPION, to_ids(["a", "b"]), Failure.SHED, "queue full")
    store.write(
        [],
        [
            shed,
            replace(shed, champion=OTHER),
            ScoreBatch.failed(OTHER, CHAMPION, to_ids([]), Failure.SHED, ""),
        ],
        [],
    )
    with LogReader(path) as reader:
        (batch,) = reader.scores(OTHER.digest, CHAMPION.digest)
        assert (batch.model, batch.champion) == (OTHER, CHAMPION)
        assert list(batch.failure) == [Failure.SHED] * 2
        assert list(batch.detail) == ["queue full"] * 2
        assert np.isnan(batch.score).all()
        assert list(reader.scores(CHAMPION.digest, CHAMPION.digest)) == []
        assert reader.counts().scores == 4


def test_outcomes_are_idempotent_and_the_first_of_two_that_differ_stays(store, path):
    first = Outcome("a", 1.0, 12.5, 100)
    receipts = store.write(
        [],
        [],
        [
            [first, Outcome("b", 0.0, None, 100)],
            [first, Outcome("b", 0.0, None, 100), Outcome("a", 0.0, 12.5, 100), Outcome("b", 0.0, 1.0, 100)],
            [],
        ],
    )
    assert receipts == [
        OutcomeReceipt(2, 0, ()),
        OutcomeReceipt(0, 2, ("a", "b")),
        OutcomeReceipt(0, 0, ()),
    ]
    with LogReader(path) as reader:
        table = reader.outcomes()
        assert dict(zip(to_texts(table.request_ids), table.label.tolist(), strict=True)) == {
            "a": 1.0,
            "b": 0.0,
        }
        assert table.value[0] == 12.5
        assert np.isnan(table.value[1])


def test_a_correction_wins_from_when_it_was_observed(store, path):
    store.write(
        [], [], [[Outcome("a", 0.0, None, 200), Outcome("a", 1.0, 3.0, 100), Outcome("b", 1.0, None, 300)]]
    )
    with LogReader(path) as reader:
        now, then = reader.outcomes(), reader.outcomes(as_of_ns=199)
        assert (to_texts(now.request_ids), now.label.tolist()) == (["a", "b"], [0.0, 1.0])
        assert (to_texts(then.request_ids), then.label.tolist(), then.observed_ns.tolist()) == (
            ["a"],
            [1.0],
            [100],
        )
        assert len(reader.outcomes(as_of_ns=0)) == 0


def test_an_outcome_that_is_reported_again_is_no_later_one(store, path):
    store.write(
        [], [], [[Outcome("a", 0.0, None, 100), Outcome("b", 1.0, 2.5, 100), Outcome("c", 1.0, None, 9)]]
    )
    store.write([], [], [[Outcome("a", 1.0, None, 200), Outcome("b", 1.0, 2.5, 200)]])
    store.write([], [], [[Outcome("a", 1.0, None, 300), Outcome("b", 1.0, 2.5, 300)]])
    with LogReader(path) as reader:
        table = reader.outcomes()
        assert to_texts(table.request_ids) == ["a", "b", "c"]
        assert (table.label.tolist(), table.observed_ns.tolist()) == ([1.0, 1.0, 1.0], [200, 100, 9])
        assert table.recorded_ns[1] == table.recorded_ns[2] < table.recorded_ns[0]
    store.write([], [], [[Outcome("a", 0.0, None, 400), Outcome("b", 1.0, 3.5, 400)]])
    with LogReader(path) as reader:  # corrected back, and by another value: those are later ones
        assert reader.outcomes().observed_ns.tolist() == [400, 400, 9]


def test_sql_finds_a_request(store, path):
    store.write([served(["a", "b"])], [], [])
    database = sqlite3.connect(path)
    (found,) = database.execute(
        "SELECT sequence FROM served, json_each(request_ids) WHERE json_each.value = 'b'"
    ).fetchone()
    database.close()
    assert found == 1


@pytest.mark.usefixtures("store")
def test_an_empty_log_reads_as_empty(path):
    with LogReader(path) as reader:
        assert list(reader.served()) == []
        assert len(reader.outcomes()) == 0
        assert reader.watermark_ns() is None
        counts = reader.counts()
        assert (counts.served, counts.scores, counts.outcomes) == (0, 0, 0)


def test_no_log_is_not_found(path):
    with pytest.raises(NotFoundError, match="no log at"):
        LogReader(path)
    path.touch()
    with pytest.raises(NotFoundError, match="empty"):
        LogReader(path)


@pytest.mark.parametrize("opened", [LogReader, LogStore])
def test_a_file_that_is_no_log_of_this_format_is_refused(path, opened):
    path.write_text("not a database, " * 100)
    with pytest.raises(ConfigError, match="cannot be read as a log"):
        opened(path)
    path.unlink()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE other (x)")
    with pytest.raises(ConfigError, match="another kind"):
        opened(path)
    database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(ConfigError, match=f"this version reads format {FORMAT}; upgrade"):
        opened(path)
    database.close()


def test_a_log_that_cannot_be_opened_now_is_unavailable(path):
    path.mkdir()
    with pytest.raises(UnavailableError, match=r"log\.db cannot be read: "):
        LogReader(path)
    for _ in range(2):  # the second time shows that the first let go of the lock
        with pytest.raises(UnavailableError, match=r"log\.db cannot be opened: "):
            LogStore(path)


def test_a_damaged_log_is_unavailable_to_its_readers(store, path):
    store.write([served([f"{batch}-{row}" for row in range(1000)]) for batch in range(20)], [], [])
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    data = path.read_bytes()
    path.write_bytes(data[: 4096 * 20] + b"\xff" * (len(data) - 4096 * 20))
    with (
        LogReader(path) as reader,
        pytest.raises(UnavailableError, match=r"log\.db cannot be read: .*malformed"),
    ):
        list(reader.served())


def test_only_owner_and_group_read_what_was_sent(store, path):
    store.write([served(["a"])], [], [])
    files = [path, path.with_name("log.db-wal"), path.with_name("log.db-shm")]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o640] * 3


def test_one_writer_at_a_time(store, path):
    with pytest.raises(ConflictError, match="written by another process"):
        LogStore(path)
    store.close()
    LogStore(path).close()


def test_reading_goes_on_while_the_writer_writes(store, path):
    store.write([served([f"{batch}-0"]) for batch in range(3)], [], [])
    with LogReader(path) as reader:
        batches = reader.served()
        seen = to_texts(next(batches).request_ids)
        store.write([served(["later"])], [], [[Outcome("a", 1.0, None, 1)]])
        assert seen + ids_of(batches) == ["0-0", "1-0", "2-0"]
        assert ids_of(reader.served())[-1] == "later"
        assert len(reader.outcomes()) == 1


def test_a_full_disk_writes_nothing_and_says_so(store, path):
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    many = [served([f"{batch}-{row}" for row in range(1000)]) for batch in range(5)]
    with pytest.raises(UnavailableError, match="full"):
        store.write(many, [], [[Outcome("a", 1.0, None, 1)]])
    store._connection.execute("PRAGMA max_page_count = 100000")
    with LogReader(path) as reader:
        assert (reader.counts().served, reader.counts().outcomes) == (0, 0)
    assert store.write(many, [], [[Outcome("a", 1.0, None, 1)]]) == [OutcomeReceipt(1, 0, ())]


def test_a_locked_log_writes_nothing_and_says_so(store, path):
    store._connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="locked"):
        store.write([served(["a"])], [], [])
    other.execute("ROLLBACK")
    other.close()
    store.write([served(["a"])], [], [])


def test_every_transaction_is_later_than_those_before_it(path, monkeypatch):
    times = iter([100, 50, 60, 61, 200, 201])
    monkeypatch.setattr("sidecar.store.log.time.time_ns", lambda: next(times, 300))
    moments = []
    for _ in range(2):  # another process goes on from there
        store = LogStore(path)
        ledger = store.new_ledger()
        store.open_run(ledger)
        for request in ("a", "b"):
            store.write([served([request], [10])], [], [[Outcome(request, 1.0, None, len(moments))]])
            with LogReader(path) as reader:
                moments.append(reader.logged_ns)
        store.close_run()
        store.close()
        ledger.close()
    assert moments == sorted(set(moments))
    database = sqlite3.connect(path)
    for table, column in (("served", "written_ns"), ("outcomes", "recorded_ns")):
        assert [at for (at,) in database.execute(f"SELECT {column} FROM {table} ORDER BY 1")] == moments
    database.close()


def test_what_features_are_made_of_is_known_of_the_newest_models_only(store):
    models = [ModelId("tiny", str(number), f"{number:064x}") for number in range(10)]
    for model in (*models, models[5]):
        store.write([served(["a"], model=model)], [], [])
    kept = [2, 3, 4, 6, 7, 8, 9, 5]
    assert list(store._origins) == [models[number].digest for number in kept]
