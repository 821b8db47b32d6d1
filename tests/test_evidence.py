import json
import time
from dataclasses import replace

import numpy as np
import pytest
from small_log import CHAMPION, model, oracle, outcomes, scored, served, write_log
from small_task import START_NS, task, traffic

from sidecar.config import Log
from sidecar.domain import Failure
from sidecar.store.reader import LogReader
from sidecar.store.retention import drop_surplus
from trainer.betting import BETS
from trainer.budget import ErrorShare
from trainer.days import DAY_NS, iso_day
from trainer.evidence import Evidence, OpenFinding
from trainer.gather import Known, gather
from trainer.late_outcomes import LateOutcomes
from trainer.stints import Stint
from trainer.vetoes import doubts

DAYS = 6
LIVE = traffic(30, DAYS, rows_a_day=100)
ROWS = np.arange(DAYS * 100)
CHAMPION_SCORE = oracle(LIVE, wrong=0.3, seed=1)
CANDIDATE_SCORE = oracle(LIVE, wrong=0.1, seed=2)
CANDIDATE = model("a")


def log(path, *, score_batches=None, known=None, champion_batches=None):
    return write_log(
        path / "log.db",
        champion_batches or [served(LIVE, CHAMPION_SCORE, ROWS)],
        [scored(LIVE, CANDIDATE_SCORE, ROWS, CANDIDATE)] if score_batches is None else score_batches,
        [outcomes(LIVE, known)],
    )


def evidence_of(path, *, candidates=(CANDIDATE,), of=task, **options):
    with LogReader(path) as reader:
        return gather(of, reader, CHAMPION, candidates, **options)[0]


def trained(until_ns):
    stint = Stint(CANDIDATE, trained_until_ns=until_ns)
    return Known(shares={CANDIDATE.digest: ErrorShare(0, 1)}, stints={CANDIDATE.digest: (stint,)})


def test_gain_is_the_difference_of_utilities_day_by_day(tmp_path):
    evidence = evidence_of(log(tmp_path))
    # The last row is late on day 6, and the last half day has not matured: five whole days are left.
    assert [day.day for day in evidence.days] == [iso_day(START_NS + day * DAY_NS) for day in range(30, 35)]
    amount = LIVE.columns["amount"]
    worth = np.where(LIVE.label == 1, 0.5 * amount - 20, -20.0)
    acted = worth * (CHAMPION_SCORE > 0.5), worth * (CANDIDATE_SCORE > 0.5)
    day_of = (LIVE.event_ns - START_NS) // DAY_NS
    for number, day in enumerate(evidence.days, 30):
        inside = day_of == number
        assert day.decisions == inside.sum()
        assert day.changed == ((CHAMPION_SCORE > 0.5) != (CANDIDATE_SCORE > 0.5))[inside].sum()
        assert day.champion == pytest.approx(acted[0][inside].sum(), rel=1e-5)
        assert day.candidate == pytest.approx(acted[1][inside].sum(), rel=1e-5)
        # Gains count up to 80, the largest loss that the table declares.
        each = np.minimum(acted[1] - acted[0], 80.0)
        assert day.gain == pytest.approx(each[inside].sum(), rel=1e-5)
    inside = day_of < 35
    assert evidence.candidate_quality.utility_per_1000 == pytest.approx(
        1000 * acted[1][inside].mean(), rel=1e-5
    )
    assert evidence.candidate_quality.accuracy == pytest.approx(
        ((CANDIDATE_SCORE > 0.5) == LIVE.label)[inside].mean()
    )
    assert evidence.candidate_quality.auc > evidence.champion_quality.auc


def test_days_that_have_not_matured_are_not_judged(tmp_path):
    path = log(tmp_path)
    for as_of_ns, days in {
        START_NS + 32 * DAY_NS: 1,
        START_NS + 32 * DAY_NS + DAY_NS // 2 - 2: 1,
        START_NS + 32 * DAY_NS + DAY_NS // 2: 2,
    }.items():
        assert len(evidence_of(path, as_of_ns=as_of_ns).days) == days


def test_day_the_shadow_began_in_is_not_judged(tmp_path):
    late = ROWS[150:]
    evidence = evidence_of(log(tmp_path, score_batches=[scored(LIVE, CANDIDATE_SCORE, late, CANDIDATE)]))
    assert evidence.first_scored_ns == LIVE.event_ns[150]
    assert evidence.judged.since_ns == (LIVE.event_ns[150] // DAY_NS + 1) * DAY_NS
    assert evidence.judged.coverage == 1


def test_shadow_that_saw_a_day_from_its_first_row_judges_that_day(tmp_path):
    first = np.flatnonzero(LIVE.event_ns >= START_NS + 31 * DAY_NS)[0]
    evidence = evidence_of(
        log(tmp_path, score_batches=[scored(LIVE, CANDIDATE_SCORE, ROWS[first:], CANDIDATE)])
    )
    assert evidence.judged.since_ns == START_NS + 31 * DAY_NS


def test_bets_are_read_at_the_end_of_whole_cycles(tmp_path):
    path = log(tmp_path)
    weekly = replace(task, policy=replace(task.policy, cycle_days=2))
    daily, by_two = evidence_of(path), evidence_of(path, of=weekly)
    assert [cycle.until for cycle in daily.cycles] == [day.day for day in daily.days]
    assert [cycle.until for cycle in by_two.cycles] == [daily.days[1].day, daily.days[3].day]
    assert by_two.cycles[1] == daily.cycles[3]
    assert daily.cycles[-1].gain == pytest.approx(sum(day.gain for day in daily.days))
    capped = replace(task, policy=replace(task.policy, deadline_days=3))
    assert evidence_of(path, of=capped).cycles == daily.cycles[:3]


def test_bets_are_those_on_units_worked_out_by_hand(tmp_path):
    evidence = evidence_of(log(tmp_path))
    amount = LIVE.columns["amount"].astype(np.float32).astype(float)
    worth = np.where(LIVE.label == 1, 0.5 * amount - 20, -20.0)
    gain = np.minimum(worth * (CANDIDATE_SCORE > 0.5) - worth * (CHAMPION_SCORE > 0.5), 80.0)
    day = (LIVE.event_ns - START_NS) // DAY_NS
    units = {}
    for one, hour, when in zip(gain, LIVE.columns["hour"], day, strict=True):
        if when < 35 and one:
            units[when, hour] = units.get((when, hour), 0.0) + one
    scaled = np.array(list(units.values())) / task.policy.largest_unit_loss
    last = evidence.cycles[-1]
    assert last.units == len(units)
    assert last.winning == pytest.approx([np.log1p(bet * scaled).sum() for bet in BETS], abs=1e-7)
    assert last.losing == pytest.approx([np.log1p(-bet * scaled).sum() for bet in BETS], abs=1e-7)
    assert evidence.stakes.unit_worst == pytest.approx(min(units.values()))
    assert evidence.losses == np.count_nonzero(gain[day < 35] < 0)


def test_whole_days_are_units_where_no_entity_is_named(tmp_path):
    evidence = evidence_of(log(tmp_path), of=replace(task, entity=None))
    assert evidence.cycles[-1].units == len(evidence.days)
    assert evidence.stakes.spread is None
    assert evidence.stakes.unit_worst == pytest.approx(min(0, *(day.gain for day in evidence.days)))


def test_what_more_could_be_lost_than_declared_is_counted(tmp_path):
    narrow = replace(task.costs, largest_loss=40)
    stakes = evidence_of(log(tmp_path), of=replace(task, costs=narrow)).stakes
    assert stakes.rows_beyond > 0
    assert stakes.row_most > 40 == stakes.row_bound
    tight = replace(task, policy=replace(task.policy, largest_unit_loss=81))
    stakes = evidence_of(log(tmp_path / "other"), of=tight).stakes
    assert stakes.unit_most > 81
    assert stakes.units_beyond > 0


def test_labels_of_one_kind_only_are_noticed(tmp_path):
    positive = np.flatnonzero((LIVE.label == 1) | (ROWS % 5 == 0))
    found = evidence_of(log(tmp_path, known=positive)).representation
    assert found.distance > found.by_chance
    assert evidence_of(log(tmp_path / "all")).representation is None


def test_outcomes_that_come_after_the_maturity_are_counted_by_their_kind(tmp_path):
    assert evidence_of(log(tmp_path)).late.late_positive == 0
    late = (LIVE.label == 1) & (ROWS % 3 == 0)  # after 14 hours, where the task says 12
    slow = replace(LIVE, known_ns=LIVE.known_ns + np.where(late, DAY_NS // 3, 0))
    (tmp_path / "slow").mkdir()
    path = write_log(
        tmp_path / "slow" / "log.db",
        [served(LIVE, CHAMPION_SCORE, ROWS)],
        [scored(LIVE, CANDIDATE_SCORE, ROWS, CANDIDATE)],
        [outcomes(slow)],
    )
    found = evidence_of(path)
    judged = LIVE.event_ns < found.judged.until_ns
    positive = judged & (LIVE.label == 1)
    counts = (positive.sum(), (judged & late).sum(), (judged & (LIVE.label == 0)).sum(), 0)
    assert found.late == LateOutcomes(*(int(count) for count in counts))
    assert found.labelled == judged.sum()
    assert any("maturity is too short" in doubt for doubt in doubts(found, task.policy))


def test_outcomes_that_are_sent_again_change_nothing(tmp_path):
    path = log(tmp_path)
    evidence = evidence_of(path)
    write_log(path, [], [], [outcomes(replace(LIVE, known_ns=LIVE.known_ns + DAY_NS))])
    assert evidence_of(path) == evidence


def test_every_missing_score_is_counted_by_its_kind(tmp_path):
    kinds = [kind for kind in Failure if kind is not Failure.NONE]
    batches = [scored(LIVE, CANDIDATE_SCORE, ROWS[:400], CANDIDATE)]
    batches += [
        scored(LIVE, CANDIDATE_SCORE, ROWS[400 + 10 * number : 410 + 10 * number], CANDIDATE, failure=kind)
        for number, kind in enumerate(kinds)
    ]
    evidence = evidence_of(log(tmp_path, score_batches=batches))
    judged = evidence.judged
    assert {kind: judged.failures[kind] for kind in kinds} == dict.fromkeys(kinds, 10)
    assert judged.failures["unaccounted"] == judged.served - judged.valued - 60
    assert judged.coverage == judged.valued / judged.served == 400 / judged.served
    assert evidence.joined == 400


def test_rows_without_a_label_lower_the_labelled_share(tmp_path):
    evidence = evidence_of(log(tmp_path, known=range(0, 600, 2)))
    assert evidence.labelled_share == pytest.approx(0.5, abs=0.02)
    assert evidence.joined == evidence.labelled < evidence.judged.served


def test_latency_compares_the_same_rows(tmp_path):
    batches = [
        scored(LIVE, CANDIDATE_SCORE, ROWS[:500], CANDIDATE, cpu_ns=30_000),
        scored(LIVE, CANDIDATE_SCORE, ROWS[500:], CANDIDATE, failure=Failure.SHED),
    ]
    champion = [
        served(LIVE, CHAMPION_SCORE, ROWS[:500]),
        served(LIVE, CHAMPION_SCORE, ROWS[500:], cpu_ns=10**9),
    ]
    latency = evidence_of(log(tmp_path, score_batches=batches, champion_batches=champion)).latency
    assert latency.champion_cpu.p999.us == 20
    assert latency.candidate_cpu.p50.us == 30
    assert latency.candidate_infer.p50.us == 60


def test_evidence_does_not_depend_on_the_order_of_arrival(tmp_path):
    rng = np.random.default_rng(3)
    digests = set()
    for name in ("first", "second", "third"):
        parts = np.array_split(rng.permutation(ROWS), 13)
        others = np.array_split(rng.permutation(ROWS), 7)
        path = write_log(
            tmp_path / name / "log.db",
            [served(LIVE, CHAMPION_SCORE, part) for part in parts],
            [scored(LIVE, CANDIDATE_SCORE, part, CANDIDATE) for part in others],
            [outcomes(LIVE, part) for part in parts],
        )
        digests.add(evidence_of(path).digest)
    assert len(digests) == 1


def test_same_moment_gives_the_same_evidence_when_the_log_has_grown(tmp_path):
    path = log(tmp_path)
    before = evidence_of(path)
    later = traffic(40, 2, rows_a_day=50)
    write_log(path, [served(later, oracle(later, wrong=0.5, seed=4), range(100))], [], [outcomes(later)])
    assert evidence_of(path, as_of_ns=before.query.as_of_ns) == before
    assert evidence_of(path).digest != before.digest


def test_evidence_survives_json(tmp_path):
    evidence = evidence_of(log(tmp_path))
    again = Evidence.from_json(json.loads(evidence.canonical_json))
    assert again == evidence
    assert again.digest == evidence.digest


def test_candidate_never_scored_has_no_evidence_and_no_error(tmp_path):
    evidence = evidence_of(log(tmp_path, score_batches=[]))
    assert evidence.first_scored_ns is None
    assert evidence.days == ()
    assert evidence.latency is None
    assert evidence.judged.coverage == 0
    assert Evidence.from_json(json.loads(evidence.canonical_json)) == evidence


def test_candidates_given_alone_came_together(tmp_path):
    path = log(tmp_path)
    assert evidence_of(path, candidates=[CANDIDATE, model("b")]).share == ErrorShare(0, 2)
    known = Known(shares={CANDIDATE.digest: ErrorShare(4, 5)})
    assert evidence_of(path, known=known).share == ErrorShare(4, 5)


def test_open_findings_and_hidden_outcomes_are_part_of_it(tmp_path):
    finding = OpenFinding("drift", "amount", "shift", "It has shifted.")
    shares = {CANDIDATE.digest: ErrorShare(0, 1)}
    known = Known(shares=shares, findings={CANDIDATE.digest: (finding,)})
    evidence = evidence_of(log(tmp_path), known=known, of=replace(task, hidden_by="act"))
    assert evidence.findings == (finding,)
    assert evidence.hidden.by == "act"


def test_a_log_that_dropped_rows_of_the_candidates_time_says_so(tmp_path):
    path = log(tmp_path)
    with LogReader(path) as reader:
        assert reader.dropped_until_ns() is None
        begun_ns = time.time_ns()
    stint = Stint(CANDIDATE, received_since_ns=begun_ns)
    known = Known(shares={CANDIDATE.digest: ErrorShare(0, 1)}, stints={CANDIDATE.digest: (stint,)})
    assert not evidence_of(path, known=known).cut
    assert drop_surplus(path, Log(keep_days=1, keep_mb=0), begun_ns + 2 * DAY_NS) > 0
    write_log(path, [served(LIVE, CHAMPION_SCORE, ROWS)])
    assert not evidence_of(path, known=known).cut  # what went was written before
    assert drop_surplus(path, Log(keep_days=1, keep_mb=0), begun_ns + 3 * DAY_NS) > 0
    write_log(path, [served(LIVE, CHAMPION_SCORE, ROWS)])
    assert evidence_of(path, known=known).cut


def test_days_that_the_candidate_was_fitted_on_are_no_evidence(tmp_path):
    trained_ns = START_NS + 31 * DAY_NS + 5
    evidence = evidence_of(log(tmp_path), known=trained(trained_ns))
    assert evidence.trained_until_ns == trained_ns
    assert [day.day for day in evidence.days] == [iso_day(START_NS + day * DAY_NS) for day in (32, 33, 34)]
    assert evidence.shadowed.since_ns == evidence.judged.since_ns == START_NS + 32 * DAY_NS
