"""Evidence on a candidate that goes on from earlier fits of its recipe: one account over all of them."""

import json
from dataclasses import replace

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


def gains(day):
    inside = day == DAY
    amount = LIVE.columns["amount"][inside]
    worth = np.where(LIVE.label[inside] == 1, 0.5 * amount - 20, -20.0)
    standing = np.concatenate([SCORES[fit][span.start : span.stop] for fit, span in SPANS.items()])
    acted = (standing > 0.5)[inside], (CHAMPION_SCORE > 0.5)[inside]
    return np.minimum(worth * acted[0] - worth * acted[1], 80.0).sum()


def test_each_row_is_of_the_fit_in_whose_stint_it_was_received(log):
    evidence = evidence_of(log)
    assert [one.day for one in evidence.days] == [iso_day(START_NS + day * DAY_NS) for day in range(30, 38)]
    for number, one in enumerate(evidence.days, 30):
        assert one.gain == pytest.approx(gains(number), rel=1e-5)
    assert evidence.candidate == THIRD
    assert [one.model for one in evidence.earlier] == [FIRST, SECOND]
    assert [one.joined for one in evidence.earlier] == [FIRST_SWAP, SECOND_SWAP - FIRST_SWAP]
    assert evidence.judged.served == evidence.joined == int((DAY < 38).sum())
    assert evidence.own.days == 2
    assert evidence.own.joined == int(np.isin(DAY, [36, 37]).sum())


def test_bets_go_on_from_fit_to_fit_and_the_last_one_is_shown_by_itself(tmp_path, log):
    evidence = evidence_of(log)
    # The same scores of one model all the time give the same bets.
    mixed = np.concatenate([SCORES[fit][span.start : span.stop] for fit, span in SPANS.items()])
    answered = served(LIVE, CHAMPION_SCORE, range(len(DAY)))
    marks = [scored(LIVE, mixed, range(len(DAY)), THIRD)]
    path = write_log(tmp_path / "one.db", [answered], marks, [outcomes(LIVE)])
    assert evidence.cycles == evidence_of(path, of=(Stint(THIRD),)).cycles
    own = evidence_of(log, of=(Stint(THIRD, trained_until_ns=START_NS + 35 * DAY_NS),))
    assert [one.until for one in evidence.own.cycles] == [one.until for one in own.cycles]
    assert evidence.own.cycles == own.cycles
    assert own.own is None


def test_speed_and_failures_are_those_of_the_last_fit_alone(log):
    evidence = evidence_of(log, as_of_ns=START_NS + 38 * DAY_NS + DAY_NS // 24)  # day 37 is too young
    rows = int(np.isin(DAY, [36, 37]).sum())
    assert evidence.shadowed.served == evidence.shadowed.valued == evidence.latency.rows == rows
    assert evidence.judged.served == int((DAY <= 36).sum())
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
    """The first from the next day on, later ones from the next row on."""
    known_ns = START_NS + 31 * DAY_NS + 5
    evidence = evidence_of(log, of=stints(known_ns))
    assert evidence.days[0].day == iso_day(START_NS + 32 * DAY_NS)
    known_ns = int(LIVE.event_ns[SECOND_SWAP + 6])
    first, second, third = stints()
    evidence = evidence_of(log, of=(first, second, replace(third, trained_until_ns=known_ns)))
    assert evidence.judged.served == int((DAY < 38).sum()) - 7
    assert evidence.own.days == 2


def test_rows_of_a_successor_that_does_not_score_are_missed(log):
    newest = Stint(model("e"), int(RECEIVED_NS[SECOND_SWAP]))
    evidence = evidence_of(log, of=(*stints()[:2], newest), candidate=newest.model)
    assert evidence.first_scored_ns is None
    assert evidence.latency is None
    assert evidence.own.joined == 0
    assert evidence.judged.failures["unaccounted"] == int((DAY < 38).sum()) - SECOND_SWAP


def test_who_was_gone_before_it_scored_a_row_has_no_part(log):
    first, second, third = stints()
    gone = Stint(model("e"), 0, 1)
    evidence = evidence_of(log, of=(gone, replace(first, received_since_ns=1), second, third))
    assert (
        evidence.earlier == evidence_of(log, of=(replace(first, received_since_ns=1), second, third)).earlier
    )
    assert evidence.cycles == evidence_of(log).cycles
    alone = evidence_of(log, of=(gone, replace(third, received_since_ns=1)))
    assert alone.own is None
    assert alone.joined == evidence_of(log, of=(Stint(THIRD),)).joined


@pytest.mark.parametrize("day", [30, 34, 36])
def test_rows_with_an_old_date_that_come_later_move_nothing(log, day):
    before = evidence_of(log, as_of_ns=int(LIVE.event_ns[-1]))
    late = traffic(day, 1, rows_a_day=20, seed=9)
    answered = served(late, oracle(late, wrong=0.4, seed=5), range(20))
    answered.received_ns[:] = int(RECEIVED_NS[-1]) + np.arange(1, 21)
    write_log(
        log, [answered], [scored(late, oracle(late, wrong=0.1, seed=6), range(20), THIRD)], [outcomes(late)]
    )
    after = evidence_of(log, as_of_ns=before.query.as_of_ns)
    assert after.earlier == before.earlier
    assert after.own.days == before.own.days
    assert after.joined == before.joined + 20
    assert [one.gain for one in after.days if one.day < iso_day(START_NS + day * DAY_NS)] == [
        one.gain for one in before.days if one.day < iso_day(START_NS + day * DAY_NS)
    ]


def test_choosing_the_moment_of_a_new_fit_after_the_outcomes_leaves_out_no_day(log):
    """Three fits that decide alike: whenever one takes the other's place, the account is the same."""
    accounts = set()
    for first, second in ((20, 200), (77, 210), (130, 131)):
        answered = served(LIVE, CHAMPION_SCORE, range(len(DAY)))
        answered.received_ns[:] = RECEIVED_NS
        spans = {FIRST: range(first), SECOND: range(first, second), THIRD: range(second, len(DAY))}
        marks = [scored(LIVE, SCORES[THIRD], span, fit) for fit, span in spans.items()]
        path = write_log(log.with_name(f"{first}.db"), [answered], marks, [outcomes(LIVE)])
        ends = [int(RECEIVED_NS[first]), int(RECEIVED_NS[second])]
        of = (Stint(FIRST, 0, ends[0]), Stint(SECOND, ends[0], ends[1]), Stint(THIRD, ends[1]))
        accounts.add(evidence_of(path, of=of).cycles)
    assert len(accounts) == 1


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
