import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_log import oracle, outcomes, served, write_log
from small_task import SIGNATURE, START_NS, history, task, traffic

from sidecar.errors import BundleError, ConfigError, NotFoundError, SignatureMismatchError
from sidecar.signature import Blocks, Field, Kind, Signature
from sidecar.store.reader import LogReader
from trainer.days import DAY_NS, nanoseconds
from trainer.snapshot import (
    MANIFEST,
    ROWS,
    find_snapshot,
    from_history,
    from_log,
    open_snapshot,
    write_snapshot,
)

UNTIL_NS = START_NS + 10 * DAY_NS
MATURITY_NS = nanoseconds(task.maturity)


def test_history_gives_only_rows_that_had_matured(tmp_path):
    snapshot = from_history(task, UNTIL_NS, root=tmp_path)
    past = history()
    expected = past.event_ns + MATURITY_NS <= UNTIL_NS
    assert len(snapshot) == expected.sum()
    assert snapshot.event_ns.max() + MATURITY_NS <= UNTIL_NS
    assert snapshot.facts["counts"]["pending"] == (~expected).sum()
    assert snapshot.signature == SIGNATURE


def test_history_leaves_out_labels_that_were_not_known_yet(tmp_path):
    past = history()
    late = replace(past, known_ns=np.where(np.arange(len(past)) < 5, UNTIL_NS + 1, past.known_ns))
    snapshot = from_history(replace(task, history=lambda: late), UNTIL_NS, root=tmp_path)
    assert not set(past.request_ids[:5]) & set(snapshot.request_ids)
    assert snapshot.facts["counts"]["expired"] == 5


def test_history_that_fails_to_load_says_why(tmp_path):
    def broken():
        raise OSError("the disk is gone")

    with pytest.raises(ConfigError, match="'small' failed: OSError: the disk is gone"):
        from_history(replace(task, history=broken), root=tmp_path)


def test_same_rows_in_any_order_give_the_same_snapshot(tmp_path):
    past = history()
    order = np.random.default_rng(1).permutation(len(past))
    shuffled = replace(
        past,
        columns={name: np.asarray(column)[order] for name, column in past.columns.items()},
        label=past.label[order],
        event_ns=past.event_ns[order],
        known_ns=past.known_ns[order],
        request_ids=[past.request_ids[row] for row in order],
    )
    first = from_history(task, UNTIL_NS, root=tmp_path)
    second = from_history(replace(task, history=lambda: shuffled), UNTIL_NS, root=tmp_path / "again")
    assert first.digest == second.digest


def test_opened_snapshot_holds_what_was_written(tmp_path):
    made = from_history(task, UNTIL_NS, root=tmp_path)
    opened = open_snapshot(made.path)
    rows = traffic(0, 30)
    for row, request_id in list(enumerate(opened.request_ids))[::97]:
        original = rows.request_ids.index(request_id)
        record = rows.record(original)
        kept = opened.signature.unpack(opened.blocks, row)
        assert kept["hour"] == record["hour"]
        assert kept["channel"] == (record["channel"] or None)
        assert kept["amount"] == pytest.approx(record["amount"], rel=1e-6)
        assert (kept["x"] is None) == (record["x"] is None)
        assert opened.label[row] == rows.label[original]
    assert opened.facts == made.facts


@pytest.mark.parametrize("file", [MANIFEST, ROWS])
def test_edited_snapshot_is_refused(tmp_path, file):
    made = from_history(task, UNTIL_NS, root=tmp_path)
    copy = shutil.copytree(made.path, tmp_path / "other" / made.digest)
    (copy / file).chmod(0o644)
    data = bytearray((copy / file).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / file).write_bytes(data)
    with pytest.raises(BundleError, match="damaged or edited"):
        open_snapshot(copy)


def test_added_file_is_refused(tmp_path):
    made = from_history(task, UNTIL_NS, root=tmp_path)
    (made.path / "notes.txt").write_text("hello")
    with pytest.raises(BundleError, match=r"notes\.txt"):
        open_snapshot(made.path)


def test_absent_snapshot_says_how_to_make_one(tmp_path):
    with pytest.raises(NotFoundError, match="trainer snapshot"):
        open_snapshot(tmp_path / "nothing")


def test_find_takes_an_unambiguous_prefix(tmp_path):
    made = from_history(task, UNTIL_NS, root=tmp_path)
    assert find_snapshot(tmp_path, made.digest[:8]) == made.path
    with pytest.raises(NotFoundError, match=made.digest[:12]):
        find_snapshot(tmp_path, "zzz")


def test_log_gives_matured_rows_with_a_label_and_counts_the_rest(tmp_path):
    live = traffic(30, 4, rows_a_day=50)
    score = oracle(live, wrong=0.2, seed=1)
    known = [row for row in range(200) if row % 10]
    path = write_log(tmp_path / "log.db", [served(live, score, range(200))], [], [outcomes(live, known)])
    with LogReader(path) as reader:
        snapshot = from_log(task, reader, root=tmp_path)
    as_of_ns = live.event_ns.max()
    matured = live.event_ns + MATURITY_NS <= as_of_ns
    wanted = {live.request_ids[row] for row in known if matured[row] and live.known_ns[row] <= as_of_ns}
    assert set(snapshot.request_ids) == wanted
    counts = snapshot.facts["counts"]
    assert counts["served"] == 200
    assert counts["labelled"] == len(wanted)
    assert counts["expired"] == matured.sum() - len(wanted)
    assert counts["pending"] == (~matured).sum()
    assert snapshot.facts["query"]["as_of_ns"] == as_of_ns


def test_log_comes_on_top_of_the_base_and_the_base_wins(tmp_path):
    base = from_history(task, UNTIL_NS, root=tmp_path)
    live = traffic(30, 2, rows_a_day=50)
    live.request_ids[0] = base.request_ids[0]
    score = oracle(live, wrong=0.2, seed=1)
    path = write_log(tmp_path / "log.db", [served(live, score, range(100))], [], [outcomes(live)])
    with LogReader(path) as reader:
        snapshot = from_log(task, reader, START_NS + 40 * DAY_NS, base, root=tmp_path)
    assert len(snapshot) == len(base) + 99
    assert snapshot.event_ns[0] == base.event_ns[0]
    assert np.all(np.diff(snapshot.event_ns) >= 0)
    assert snapshot.facts["base"] == base.digest


def test_base_of_another_signature_is_refused(tmp_path):
    other = Signature((Field("z"),))
    base = write_snapshot(
        tmp_path,
        signature=other,
        blocks=other.pack({"z": 1.0}),
        label=np.zeros(1),
        event_ns=np.zeros(1, np.int64),
        request_ids=["a"],
        facts={},
    )
    live = traffic(30, 1, rows_a_day=5)
    path = write_log(tmp_path / "log.db", [served(live, oracle(live, wrong=0, seed=1), range(5))])
    with LogReader(path) as reader, pytest.raises(SignatureMismatchError, match="another signature"):
        from_log(task, reader, None, base, root=tmp_path)


def test_empty_log_says_what_to_do(tmp_path):
    path = write_log(tmp_path / "log.db")
    with LogReader(path) as reader, pytest.raises(NotFoundError, match="send some traffic"):
        from_log(task, reader, root=tmp_path)


@given(
    texts=st.lists(st.text(st.characters(exclude_characters="\0"), max_size=8), min_size=1, max_size=6),
    number=st.floats(width=32),
)
def test_any_text_and_number_survives(tmp_path_factory, texts, number):
    signature = Signature((Field("n", missing_allowed=True), Field("t", Kind.TEXT, missing_allowed=True)))
    blocks = Blocks(
        np.full((len(texts), 1), number, np.float32),
        np.empty((len(texts), 0), np.int64),
        np.array(texts, object).reshape(-1, 1),
    )
    snapshot = write_snapshot(
        tmp_path_factory.mktemp("any"),
        signature=signature,
        blocks=blocks,
        label=np.zeros(len(texts)),
        event_ns=np.arange(len(texts)),
        request_ids=[f"{row}\ud800" for row in range(len(texts))],
        facts={},
    )
    assert snapshot.blocks.equals(blocks)
    assert snapshot.request_ids[-1] == f"{len(texts) - 1}\ud800"


def test_same_moment_gives_the_same_snapshot_when_the_log_has_grown(tmp_path):
    digests = []
    for first_day in (30, 40):
        live = traffic(first_day, 3, rows_a_day=50)
        score = oracle(live, wrong=0.2, seed=1)
        path = write_log(tmp_path / "log.db", [served(live, score, range(150))], [], [outcomes(live)])
        with LogReader(path) as reader:
            digests.append(from_log(task, reader, START_NS + 33 * DAY_NS, root=tmp_path).digest)
    assert digests[0] == digests[1]


@pytest.mark.parametrize("odd", [np.nan, 2.0])
def test_history_with_a_label_that_is_none_is_refused(tmp_path, odd):
    def odd_history():
        past = history()
        return replace(past, label=np.where(np.arange(len(past)) == 7, odd, past.label))

    with pytest.raises(ConfigError, match=f"a label is {odd}"):
        from_history(replace(task, history=odd_history), root=tmp_path)


def test_history_of_another_type_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is tuple, not History"):
        from_history(replace(task, history=lambda: ([], [])), root=tmp_path)
