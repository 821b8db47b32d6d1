"""Evidence where acting hides the outcome, on traffic whose truth is known."""

import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console
from small_log import CHAMPION, model, oracle, outcomes, scored, served, write_log
from small_task import SIGNATURE, START_NS, traffic
from small_task import task as plain

from sidecar.exploration import NO_EXPLORATION, is_explored
from sidecar.store.reader import LogReader
from trainer.days import DAY_NS
from trainer.evidence import Evidence
from trainer.gate import Action, decide
from trainer.gather import gather
from trainer.join import read_rows
from trainer.report import evidence_view
from trainer.snapshot import from_log

DAYS = 10
LIVE = traffic(30, DAYS, rows_a_day=2_000)
ROWS = np.arange(len(LIVE.label))
JUDGED = LIVE.event_ns < START_NS + (30 + DAYS - 1) * DAY_NS
"""All days but the last, whose evening has not matured."""
task = replace(
    plain, hidden_by="act", explore=0.2, policy=replace(plain.policy, largest_unit_loss=4_000, min_losses=0)
)

CHAMPION_SCORE = oracle(LIVE, wrong=0.3, seed=1)
ACTED = CHAMPION_SCORE > 0.5
EXPLORED = is_explored(task.exploration.propensity(LIVE.request_ids, ACTED))
SHOWN = np.flatnonzero(~ACTED | EXPLORED)
WORTH = np.where(LIVE.label == 1, 0.5 * LIVE.columns["amount"] - 20, -20.0)
"""What acting earns over passing."""


def flattering():
    """Finds every other bad row that the champion passed, and passes the bad ones it acted on, unseen."""
    bad = LIVE.label == 1
    acts = np.where(ACTED, ~bad, bad & (ROWS % 2 == 0))
    return np.where(acts, 0.9, 0.1).astype(np.float32)


CANDIDATES = {
    "better": (model("a"), oracle(LIVE, wrong=0.1, seed=2)),
    "equal": (model("b"), oracle(LIVE, wrong=0.3, seed=3)),
    "flattering": (model("d"), flattering()),
}


def log(path, exploration=task.exploration, known=SHOWN, order=None):
    """The traffic, in three batches of each kind and in the given order."""
    parts = np.array_split(ROWS if order is None else order, 3)
    return write_log(
        path / "log.db",
        [served(LIVE, CHAMPION_SCORE, part, exploration=exploration) for part in parts],
        [scored(LIVE, score, part, one) for one, score in CANDIDATES.values() for part in parts],
        [outcomes(LIVE, np.asarray(known)[:: 1 if order is None else -1])],
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return log(tmp_path_factory.mktemp("hidden"))


def evidence_of(path, of=task):
    with LogReader(path) as reader:
        found = gather(of, reader, CHAMPION, [one for one, _ in CANDIDATES.values()])
    return dict(zip(CANDIDATES, found, strict=True))


@pytest.fixture(scope="module")
def evidence(path):
    return evidence_of(path)


CARELESS = replace(
    task,
    hidden_by=None,
    explore=0,
    policy=replace(task.policy, largest_unit_loss=600, min_labelled=0.1, max_label_distance=1.0),
)
"""The same task by one who does not know that outcomes are hidden, and takes what is there for all."""


@pytest.fixture(scope="module")
def naive(tmp_path_factory):
    """What rows with an outcome say where nothing is explored: the usual way, as the control."""
    path = log(tmp_path_factory.mktemp("naive"), NO_EXPLORATION, known=np.flatnonzero(~ACTED))
    return evidence_of(path, CARELESS)


def verdict(of, policy=task.policy):
    return decide(of, policy, decided_ns=0, actor="tester")


def true_gains(name):
    """What each judged row really gained, hidden or not; gains count up to 80."""
    decided = CANDIDATES[name][1] > 0.5
    return np.minimum(WORTH * decided - WORTH * ACTED, 80.0)[JUDGED]


@pytest.mark.parametrize("name", CANDIDATES)
def test_weighted_rows_find_the_true_gain_and_those_seen_alone_do_not(evidence, naive, name):
    truth = true_gains(name)
    # The error of the draw: a hidden row counts five times with a chance of a fifth, else not at all.
    error = np.sqrt((1 / task.explore - 1) * (truth[ACTED[JUDGED]] ** 2).sum())
    found = sum(day.gain for day in evidence[name].days)
    assert abs(found - truth.sum()) < 3 * error
    assert abs(sum(day.gain for day in naive[name].days) - truth.sum()) > 3 * error


def test_the_gate_judges_by_the_truth_and_is_flattered_without_weights(evidence, naive):
    actions = {name: verdict(one).action for name, one in evidence.items()}
    assert true_gains("flattering").sum() < 0 < true_gains("better").sum()
    assert actions["better"] is Action.PROMOTE
    assert actions["equal"] is not Action.PROMOTE
    assert actions["flattering"] is Action.REJECT
    assert "for which" in verdict(evidence["better"]).reasons[0]
    assert verdict(naive["flattering"], CARELESS.policy).action is Action.PROMOTE


def test_what_is_hidden_is_counted_apart_from_what_is_missing(evidence):
    found = evidence["flattering"]
    hidden = ACTED & ~EXPLORED & JUDGED
    assert found.hidden.by == "act"
    assert found.hidden.hidden == hidden.sum()
    assert found.hidden.changed == (hidden & (LIVE.label == 1)).sum(), "it passes the bad ones"
    assert found.hidden.without_chance == 0
    assert found.hidden.explored == found.hidden.explored_labelled == (EXPLORED & JUDGED).sum()
    assert found.hidden.heaviest == 5.0
    assert found.labelled == found.joined == (JUDGED & ~hidden).sum()
    assert found.labelled_share == 1
    assert found.representation is None
    assert found.stakes.units_beyond == found.stakes.rows_beyond == 0
    assert found.stakes.row_most <= 80
    assert sum(day.decisions for day in found.days) == JUDGED.sum()
    cost = WORTH[EXPLORED & JUDGED].sum() / JUDGED.sum() * 1000
    assert found.hidden.cost_per_1000 == pytest.approx(cost, rel=1e-4)


def test_quality_is_that_of_all_rows(evidence):
    found = evidence["better"]
    for quality, score in (
        (found.champion_quality, CHAMPION_SCORE),
        (found.candidate_quality, CANDIDATES["better"][1]),
    ):
        decided = score[JUDGED] > 0.5
        assert quality.act_rate == pytest.approx(decided.mean())
        assert quality.accuracy == pytest.approx((decided == LIVE.label[JUDGED]).mean(), abs=0.01)
        assert quality.utility_per_1000 == pytest.approx(1000 * (WORTH[JUDGED] * decided).mean(), rel=0.1)
    assert found.candidate_quality.auc > found.champion_quality.auc


def test_an_outcome_of_a_row_that_hid_it_is_not_used(tmp_path, evidence):
    told = evidence_of(log(tmp_path, known=ROWS))
    assert {name: one.digest for name, one in told.items()} == {
        name: one.digest for name, one in evidence.items()
    }


def test_evidence_does_not_depend_on_the_order_of_arrival(tmp_path, evidence):
    order = np.random.default_rng(5).permutation(ROWS)
    for name, one in evidence_of(log(tmp_path, order=order)).items():
        assert one.digest == evidence[name].digest


def test_a_person_is_told_what_is_hidden_and_what_exploring_cost(evidence):
    console = Console(file=StringIO(), width=200)
    console.print(evidence_view(evidence["better"], task.policy))
    hidden = evidence["better"].hidden
    assert (
        f"{hidden.hidden:,} rows by 'act'; {hidden.explored:,} explored, which cost USD "
        f"{hidden.cost_per_1000:,.2f} per 1,000 decisions"
    ) in console.file.getvalue()


def test_evidence_survives_json(evidence):
    again = Evidence.from_json(json.loads(evidence["better"].canonical_json))
    assert again == evidence["better"]


def test_explored_rows_without_outcomes_stop_the_gate_however_few_they_are(tmp_path):
    ignored = np.flatnonzero(~ACTED | (EXPLORED & (ROWS % 4 > 0)))
    found = evidence_of(log(tmp_path, known=ignored))["better"]
    reasons = " ".join(verdict(found).reasons)
    assert "Too few outcomes of explored rows are known" in reasons


def test_a_champion_that_does_not_explore_leaves_nothing_to_identify(tmp_path):
    found = evidence_of(log(tmp_path, NO_EXPLORATION, known=np.flatnonzero(~ACTED)))["better"]
    assert found.hidden.without_chance == found.hidden.hidden == (ACTED & JUDGED).sum()
    decision = verdict(found)
    assert decision.action is Action.HOLD
    assert decision.reasons[0].startswith("Not identifiable: acting hides the outcome")


def test_a_bound_that_an_explored_row_could_break_is_said_to(evidence):
    tight = replace(evidence["better"], stakes=replace(evidence["better"].stakes, unit_bound=399.0))
    reasons = " ".join(verdict(tight).reasons)
    assert "an explored row stands for 5 and can lose USD 80" in reasons


def test_cpu_time_costs_what_it_costs_on_every_row(path):
    dear = replace(task, costs=replace(task.costs, cpu_second=1_000.0))
    plain_gain, dear_gain = (
        sum(day.gain for day in evidence_of(path, of)["better"].days) for of in (task, dear)
    )
    assert plain_gain - dear_gain == pytest.approx(JUDGED.sum() * 1_000 * 10_000 / 1e9)


@pytest.mark.parametrize("hidden_by", ["act", "pass"])
def test_rows_that_hid_their_outcome_are_not_trained_on(tmp_path, hidden_by):
    of = replace(task, hidden_by=hidden_by)
    acted = ACTED[:400]
    explored = is_explored(of.exploration.propensity(LIVE.request_ids[:400], acted))
    hidden = (acted != explored) == (hidden_by == "act")
    path = write_log(
        tmp_path / "log.db",
        [served(LIVE, CHAMPION_SCORE, range(400), exploration=of.exploration)],
        [],
        [outcomes(LIVE, range(400))],
    )
    as_of_ns = int(LIVE.event_ns[400]) + DAY_NS
    with LogReader(path) as reader:
        snapshot = from_log(of, reader, as_of_ns, root=tmp_path / "snapshots")
        rows = read_rows(reader, SIGNATURE, of.maturity, as_of_ns=as_of_ns, hidden_by=hidden_by)
    assert len(snapshot) == (~hidden).sum()
    assert set(snapshot.request_ids) == {LIVE.request_ids[row] for row in np.flatnonzero(~hidden)}
    assert snapshot.facts["counts"]["hidden"] == hidden.sum()
    weight = dict(zip(snapshot.request_ids, snapshot.weight.tolist(), strict=True))
    assert all(weight[LIVE.request_ids[row]] == 5.0 for row in np.flatnonzero(explored & ~hidden))
    assert sum(weight.values()) == (~hidden).sum() + 4 * (explored & ~hidden).sum()
    assert rows.counts()["expired"] == 0
    assert rows.weight.tolist() == np.where(hidden, 0.0, np.where(explored, 5.0, 1.0)).tolist()
