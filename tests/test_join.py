import time
from dataclasses import replace

import numpy as np
import pytest
from small_log import CHAMPION, model, oracle, outcomes, scored, served, write_log
from small_task import SIGNATURE, START_NS, task, traffic

from sidecar.domain import Failure, Outcome, to_ids, to_texts
from sidecar.errors import NotFoundError, SignatureMismatchError
from sidecar.signature import Field, Signature
from sidecar.store.joining import order_of_rows
from sidecar.store.reader import LogReader
from trainer.days import DAY_NS, nanoseconds
from trainer.join import UNACCOUNTED, read_candidate, read_rows

LIVE = traffic(30, 3, rows_a_day=40)
SCORE = oracle(LIVE, wrong=0.2, seed=1)
ROWS = np.arange(120)
CANDIDATE = model("a")


def read(path, **options):
    with LogReader(path) as reader:
        return read_rows(reader, SIGNATURE, task.maturity, **options)


def test_each_row_is_pending_labelled_or_expired(tmp_path):
    path = write_log(tmp_path / "log.db", [served(LIVE, SCORE, ROWS)], [], [outcomes(LIVE, range(0, 120, 2))])
    rows = read(path)
    matured = LIVE.event_ns + nanoseconds(task.maturity) <= LIVE.event_ns.max()
    known = (ROWS % 2 == 0) & (LIVE.known_ns <= LIVE.event_ns.max())
    assert rows.as_of_ns == LIVE.event_ns.max()
    assert rows.counts() == {
        "served": 120,
        "labelled": (matured & known).sum(),
        "expired": (matured & ~known).sum(),
        "pending": (~matured).sum(),
    }
    assert np.array_equal(rows.labelled, (matured & known)[np.argsort(LIVE.event_ns, kind="stable")])


def test_as_of_hides_what_came_later(tmp_path):
    path = write_log(tmp_path / "log.db", [served(LIVE, SCORE, ROWS)], [], [outcomes(LIVE)])
    as_of_ns = START_NS + 31 * DAY_NS
    rows = read(path, as_of_ns=as_of_ns)
    assert len(rows) == (LIVE.event_ns <= as_of_ns).sum()
    unknown = np.isnan(rows.label)
    late = np.array(
        [
            LIVE.known_ns[LIVE.request_ids.index(request_id)] > as_of_ns
            for request_id in to_texts(rows.request_ids)
        ]
    )
    assert np.array_equal(unknown, late)


def test_row_matures_at_the_very_nanosecond(tmp_path):
    path = write_log(tmp_path / "log.db", [served(LIVE, SCORE, [0])])
    due_ns = int(LIVE.event_ns[0]) + nanoseconds(task.maturity)
    assert not read(path, as_of_ns=due_ns - 1).matured[0]
    assert read(path, as_of_ns=due_ns).matured[0]


def test_latest_correction_known_by_then_is_the_label(tmp_path):
    first, request_id = int(LIVE.event_ns[0]), LIVE.request_ids[0]
    calls = [[Outcome(request_id, 1.0, None, first + 20), Outcome(request_id, 0.0, None, first + 10)]]
    path = write_log(tmp_path / "log.db", [served(LIVE, SCORE, [0])], [], calls)
    assert np.isnan(read(path, as_of_ns=first + 9).label[0])
    assert read(path, as_of_ns=first + 10).label[0] == 0
    assert read(path, as_of_ns=first + 20).label[0] == 1


def test_first_received_row_counts_for_a_repeated_request(tmp_path):
    once = served(LIVE, SCORE, ROWS)
    again = replace(served(LIVE, 1 - SCORE, ROWS[:10]), received_ns=LIVE.event_ns[:10] + 99)
    for name, batches in {"in order": [once, again], "late first": [again, once]}.items():
        rows = read(write_log(tmp_path / name / "log.db", batches))
        assert len(rows) == 120
        wanted = dict(zip(LIVE.request_ids, SCORE.tolist(), strict=True))
        assert rows.score.tolist() == [wanted[request_id] for request_id in to_texts(rows.request_ids)]


def test_other_champions_rows_are_left_out(tmp_path):
    other = model("f")
    batches = [served(LIVE, SCORE, ROWS[:50]), served(LIVE, SCORE, ROWS[50:], champion=other)]
    path = write_log(tmp_path / "log.db", batches)
    assert len(read(path, champion=CHAMPION.digest)) == 50
    assert len(read(path, champion=other.digest)) == 70


def test_every_row_says_what_the_candidate_made_of_it(tmp_path):
    batches = [
        scored(LIVE, SCORE, ROWS[:60], CANDIDATE),
        scored(LIVE, SCORE, ROWS[60:70], CANDIDATE, failure=Failure.SHED),
        scored(LIVE, SCORE, ROWS[70:80], model("b")),
    ]
    path = write_log(tmp_path / "log.db", [served(LIVE, SCORE, ROWS)], batches)
    rows = read(path)
    with LogReader(path) as reader:
        candidate = read_candidate(reader, CANDIDATE.digest, CHAMPION.digest, rows)
    place = {request_id: row for row, request_id in enumerate(to_texts(rows.request_ids))}
    failure = [candidate.failure[place[request_id]] for request_id in LIVE.request_ids]
    assert failure == [""] * 60 + ["shed"] * 10 + [UNACCOUNTED] * 50
    assert candidate.valued.sum() == 60
    assert candidate.entered.sum() == 70
    assert np.isnan(candidate.score[~candidate.valued]).all()


def test_of_two_scores_the_failure_counts(tmp_path):
    value, failure = (
        scored(LIVE, SCORE, ROWS, CANDIDATE),
        scored(LIVE, SCORE, ROWS, CANDIDATE, failure=Failure.CRASHED),
    )
    for name, batches in {"value first": [value, failure], "failure first": [failure, value]}.items():
        path = write_log(tmp_path / name / "log.db", [served(LIVE, SCORE, ROWS)], batches)
        with LogReader(path) as reader:
            rows = read_rows(reader, SIGNATURE, task.maturity)
            assert set(read_candidate(reader, CANDIDATE.digest, CHAMPION.digest, rows).failure) == {"crashed"}


def test_rows_of_another_signature_are_refused(tmp_path):
    path = write_log(tmp_path / "log.db", [served(LIVE, SCORE, ROWS)])
    with (
        LogReader(path) as reader,
        pytest.raises(SignatureMismatchError, match="2 columns of numbers, 1 are"),
    ):
        read_rows(reader, Signature((Field("x"),)), task.maturity)


def test_nothing_served_yet_says_so(tmp_path):
    with pytest.raises(NotFoundError, match="no served row yet"):
        read(write_log(tmp_path / "log.db"))


def test_two_values_that_differ_count_as_none(tmp_path):
    batches = [scored(LIVE, SCORE, ROWS, CANDIDATE), scored(LIVE, 1 - SCORE, ROWS[:10], CANDIDATE)]
    for name, order in {"first": batches, "second": batches[::-1], "same twice": batches[:1] * 2}.items():
        path = write_log(tmp_path / name / "log.db", [served(LIVE, SCORE, ROWS)], order)
        with LogReader(path) as reader:
            rows = read_rows(reader, SIGNATURE, task.maturity)
            candidate = read_candidate(reader, CANDIDATE.digest, CHAMPION.digest, rows)
        doubtful = {rows.request_ids[row].decode() for row in np.flatnonzero(~candidate.entered).tolist()}
        assert doubtful == (set() if name == "same twice" else set(LIVE.request_ids[:10]))
        assert candidate.valued.sum() == 120 - len(doubtful)


def test_request_from_the_future_does_not_make_others_look_matured(tmp_path):
    stray = replace(served(LIVE, SCORE, [0]), event_ns=np.array([2**62]), request_ids=to_ids(["stray"]))
    before_ns = time.time_ns()
    rows = read(write_log(tmp_path / "log.db", [served(LIVE, SCORE, ROWS), stray]))
    assert before_ns <= rows.as_of_ns <= time.time_ns()
    assert len(rows) == 120


def test_outcome_that_is_neither_yes_nor_no_counts_as_none(tmp_path):
    strange = [Outcome(LIVE.request_ids[0], 0.5, None, int(LIVE.event_ns[0]) + 1)]
    rows = read(write_log(tmp_path / "log.db", [served(LIVE, SCORE, ROWS)], [], [strange]))
    assert np.isnan(rows.label).all()
    assert not rows.labelled.any()


def test_rows_are_ordered_by_time_and_then_by_key():
    event_ns = np.array([5, 3, 5, 1])
    assert order_of_rows(event_ns, np.array([b"d", b"c", b"b", b"a"])).tolist() == [3, 1, 2, 0]
    assert order_of_rows(np.array([5, 3, 4]), np.array([b"a", b"b", b"c"])).tolist() == [1, 2, 0]
