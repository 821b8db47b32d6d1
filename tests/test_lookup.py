from dataclasses import replace

import numpy as np
import pytest
from test_log_store import CHAMPION, OTHER, served

from sidecar.domain import Failure, Outcome, ScoreBatch, to_ids
from sidecar.store.log import LogStore
from sidecar.store.lookup import LogLookup


@pytest.fixture
def log(tmp_path):
    """A log of three batches, one score batch and two outcomes, seen by a lookup."""
    store = LogStore(tmp_path / "log.db")
    ledger = store.new_ledger()
    store.open_run(ledger)
    for batch in (served(["a", "b"]), served(["c", 'q"\\uote']), served(["a", "ab"], model=OTHER)):
        store.write([batch], [], [])
    scores = ScoreBatch.failed(OTHER, CHAMPION, to_ids(["a", "b"]), Failure.RAISED, "broken")
    scored = replace(
        scores,
        failures=((Failure.NONE, ""), *scores.failures),
        failure_rows=np.arange(2),
        score=np.array([0.5, np.nan], np.float32),
    )
    store.write([], [scored], [[Outcome("a", 1.0, None, 20), Outcome("a", 0.0, -3.0, 10)]])
    with LogLookup(tmp_path / "log.db") as lookup:
        yield store, lookup
    store.close()
    ledger.close()


def ids(rows):
    return [found.batch.request_ids[found.row].decode() for found in rows]


def test_newest_rows_come_oldest_first_across_batches(log):
    _, lookup = log
    assert ids(lookup.newest(3)) == ['q"\\uote', "a", "ab"]
    assert ids(lookup.newest(100)) == ["a", "b", "c", 'q"\\uote', "a", "ab"]
    assert lookup.newest(0) == []


def test_what_is_written_after_a_batch_is_found(log):
    store, lookup = log
    last = lookup.last_sequence()
    assert last == lookup.newest(1)[0].sequence
    assert lookup.after(last) == []
    store.write([served(["new", "newer"])], [], [])
    assert ids(lookup.after(last)) == ["new", "newer"]


def test_a_key_sent_twice_shows_the_first_row(log):
    _, lookup = log
    found = lookup.served_as("a")
    assert (found.batch.model, found.row) == (CHAMPION, 0)


def test_a_key_is_found_whole_or_not_at_all(log):
    _, lookup = log
    assert ids([lookup.served_as('q"\\uote')]) == ['q"\\uote']
    assert ids([lookup.served_as("ab")]) == ["ab"]
    for nothing in ("", "q", '","', "A"):
        assert lookup.served_as(nothing) is None
        assert lookup.scored_as(nothing) == []


def test_scores_of_one_request_name_candidate_and_champion(log):
    _, lookup = log
    (good,), (bad,) = lookup.scored_as("a"), lookup.scored_as("b")
    assert (good.batch.model, good.batch.champion) == (OTHER, CHAMPION)
    assert (good.batch.failure[good.row], float(good.batch.score[good.row])) == (Failure.NONE, 0.5)
    assert (bad.batch.failure[bad.row], bad.batch.detail[bad.row]) == (Failure.RAISED, "broken")


def test_outcomes_of_one_request_in_the_order_observed(log):
    _, lookup = log
    assert lookup.outcomes_of("a") == [Outcome("a", 0.0, -3.0, 10), Outcome("a", 1.0, None, 20)]
    assert lookup.outcomes_of("b") == []


def test_an_empty_log_has_nothing_to_find(tmp_path):
    LogStore(tmp_path / "log.db").close()
    with LogLookup(tmp_path / "log.db") as lookup:
        assert (lookup.newest(5), lookup.last_sequence(), lookup.after(0)) == ([], 0, [])
        assert lookup.served_as("a") is None
