"""Evidence on a candidate that goes on from earlier fits of its recipe: one account over all of them."""

import json

import numpy as np
import pytest
from small_log import CHAMPION, model, oracle, outcomes, scored, served, write_log
from small_task import START_NS, task, traffic

from sidecar.domain import Failure
from sidecar.store.reader import LogReader
from trainer.budget import ErrorShare
from trainer.days import DAY_NS, iso_day
from trainer.evidence import Evidence
from trainer.gather import Known, gather
from trainer.stints import Stint

LIVE = traffic(30, 9, rows_a_day=50)
DAY = (LIVE.event_ns - START_NS) // DAY_NS
CHAMPION_SCORE = oracle(LIVE, wrong=0.4, seed=1)
FIRST, SECOND, THIRD = (model(letter) for letter in "abd")
SCORES = {
    fit: oracle(LIVE, wrong=wrong, seed=seed)
    for fit, wrong, seed in ((FIRST, 0.3, 2), (SECOND, 0.2, 3), (THIRD, 0.1, 4))
}
RECEIVED_NS = LIVE.event_ns + 1_000
FIRST_SWAP, SECOND_SWAP = (int(np.flatnonzero(day == DAY)[20]) for day in (32, 35))
"""The rows at which one fit takes the other's place: in the middle of days 32 and 35."""
SPANS = {
    FIRST: range(FIRST_SWAP),
    SECOND: range(FIRST_SWAP, SECOND_SWAP),
    THIRD: range(SECOND_SWAP, len(DAY)),
}


@pytest.fixture
def log(tmp_path):
    answered = served(LIVE, CHAMPION_SCORE, range(len(DAY)))
    answered.received_ns[:] = RECEIVED_NS
    marks = [scored(LIVE, SCORES[fit], span, fit) for fit, span in SPANS.items()]
    return write_log(tmp_path / "log.db", [answered], marks, [outcomes(LIVE)])


def stints(trained_ns=None):
    ends = [int(RECEIVED_NS[FIRST_SWAP]), int(RECEIVED_NS[SECOND_SWAP])]
    return (
        Stint(FIRST, 0, ends[0], trained_ns),
        Stint(SECOND, ends[0], ends[1], trained_ns),
        Stint(THIRD, ends[1], None, trained_ns),
    )


def evidence_of(path, of=None, candidate=THIRD, **options):
    known = Known(shares={candidate.digest: ErrorShare(0, 2)}, stints={candidate.digest: of or stints()})
    with LogReader(path) as reader:
        (evidence,) = gather(task, reader, CHAMPION, [candidate], known=known, **options)
    return evidence


def gains(fit, day):
    inside = day == DAY
    amount = LIVE.columns["amount"][inside]
    worth = np.where(LIVE.label[inside] == 1, 0.5 * amount - 20, -20.0)
    acted = (SCORES[fit] > 0.5)[inside], (CHAMPION_SCORE > 0.5)[inside]
    return np.minimum(worth * acted[0] - worth * acted[1], 80.0).sum()


def test_each_fit_is_judged_on_the_whole_days_of_its_own_stint(log):
    evidence = evidence_of(log)
    expected = {30: FIRST, 31: FIRST, 33: SECOND, 34: SECOND, 36: THIRD, 37: THIRD}
    assert [one.day for one in evidence.days] == [iso_day(START_NS + day * DAY_NS) for day in expected]
    for one, (day, fit) in zip(evidence.days, expected.items(), strict=True):
        assert one.gain == pytest.approx(gains(fit, day), rel=1e-5)
    assert evidence.candidate == THIRD
    assert [one.model for one in evidence.earlier] == [FIRST, SECOND]
    assert [(one.until_ns - one.since_ns) // DAY_NS for one in evidence.earlier] == [2, 2]
    assert sum(one.joined for one in evidence.earlier) + evidence.own.joined == evidence.joined
    assert sum(one.changed for one in evidence.earlier) + evidence.own.changed == evidence.changed


def test_bets_go_on_from_fit_to_fit_and_the_last_one_is_shown_by_itself(log):
    evidence = evidence_of(log)
    assert [one.until for one in evidence.cycles] == [
        iso_day(START_NS + day * DAY_NS) for day in range(30, 38)
    ]
    alone = {fit: evidence_of(log, of=(Stint(fit),), candidate=fit) for fit in SPANS}
    # Alone, each would go on for days on which it was no longer there.
    growth = [np.array(alone[fit].cycles[1].winning) for fit in (FIRST, SECOND, THIRD)]
    assert evidence.cycles[-1].winning == pytest.approx(sum(growth), abs=1e-7)
    assert evidence.own.days == 2
    assert evidence.own.cycles[-1].winning == alone[THIRD].cycles[-1].winning
    assert alone[THIRD].own is None


def test_speed_and_failures_are_those_of_the_last_fit_alone(log):
    evidence = evidence_of(log, as_of_ns=START_NS + 38 * DAY_NS + DAY_NS // 24)  # day 37 is too young
    rows = int(np.isin(DAY, [36, 37]).sum())
    assert evidence.shadowed.served == evidence.shadowed.valued == evidence.latency.rows == rows
    assert evidence.judged.served == int(np.isin(DAY, [30, 31, 33, 34, 36]).sum())
    assert evidence.unmatured == int((DAY == 37).sum())


def test_rows_that_an_earlier_fit_did_not_score_lower_the_coverage(tmp_path):
    answered = served(LIVE, CHAMPION_SCORE, range(len(DAY)))
    answered.received_ns[:] = RECEIVED_NS
    lost = np.flatnonzero(DAY == 31)[:7]
    marks = [scored(LIVE, SCORES[fit], np.setdiff1d(span, lost), fit) for fit, span in SPANS.items()]
    shed = scored(LIVE, SCORES[FIRST], lost, FIRST, failure=Failure.SHED)
    evidence = evidence_of(write_log(tmp_path / "log.db", [answered], [*marks, shed], [outcomes(LIVE)]))
    assert evidence.judged.failures[Failure.SHED] == 7
    assert evidence.judged.coverage < 1
    assert evidence.shadowed.coverage == 1


def test_a_fit_is_not_judged_on_what_it_knew(log):
    evidence = evidence_of(log, of=stints(START_NS + 33 * DAY_NS + 5))
    assert [one.day for one in evidence.days] == [iso_day(START_NS + day * DAY_NS) for day in (34, 36, 37)]


def test_a_successor_that_has_not_scored_yet_ends_the_stint_all_the_same(log):
    evidence = evidence_of(
        log, of=(*stints()[:2], Stint(model("e"), int(RECEIVED_NS[SECOND_SWAP]))), candidate=model("e")
    )
    assert evidence.first_scored_ns is None
    assert evidence.latency is None
    assert evidence.own.days == 0
    assert evidence.own.cycles == ()
    assert [one.day for one in evidence.days] == [
        iso_day(START_NS + day * DAY_NS) for day in (30, 31, 33, 34)
    ]


def test_it_is_the_same_at_the_same_moment_and_survives_json(log):
    as_of_ns = int(LIVE.event_ns[DAY == 37][-1])
    before = evidence_of(log, as_of_ns=as_of_ns)
    later = traffic(40, 2, rows_a_day=50)
    write_log(log, [served(later, oracle(later, wrong=0.5, seed=4), range(100))], [], [outcomes(later)])
    assert evidence_of(log, as_of_ns=as_of_ns) == before
    again = Evidence.from_json(json.loads(before.canonical_json))
    assert again == before
    assert again.digest == before.digest


def test_who_else_is_asked_about_changes_nothing(log):
    known = Known(
        shares=dict.fromkeys([THIRD.digest, SECOND.digest], ErrorShare(0, 2)), stints={THIRD.digest: stints()}
    )
    with LogReader(log) as reader:
        found = gather(task, reader, CHAMPION, [THIRD, SECOND], known=known)
    assert found[0] == evidence_of(log)
    assert found[1] == evidence_of(log, of=(Stint(SECOND),), candidate=SECOND)
