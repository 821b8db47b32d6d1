"""The whole loop with real processes: first champion, traffic, outcomes, retraining, promotion, rollback."""

import hashlib
import json
import threading
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import small_task
from load import Answer, Load
from sidecar_process import SidecarProcess, run_cli, wait_until
from small_task import SIGNATURE, START_NS, Traffic, traffic
from trainer_process import ACTOR, trainer, trainer_error

from sidecar.client import Client, Record
from sidecar.domain import Outcome, OutcomeReceipt, to_texts
from sidecar.lifecycle import ModelState
from sidecar.registry import Registry
from sidecar.session import load_model
from sidecar.store.reader import LogReader
from trainer.days import DAY_NS
from trainer.snapshot import open_snapshot

TASK = str(Path(small_task.__file__))
FIRST_DAY, DAYS = small_task.HISTORY_DAYS, 6
EARLY = TWICE = CORRECTED = CONTESTED = 100
"""Outcomes reported in unusual ways, so many of each."""
ANSWERS_BETWEEN_SWAPS = 100


class Loop(NamedTuple):
    """A home with a sidecar that serves the first champion, and traffic that has passed through it."""

    home: Path
    sidecar: SidecarProcess
    champion: str
    passed: Traffic

    def trainer(self, *arguments):
        return trainer(self.home, *arguments)

    def registry(self):
        return Registry(self.home / "registry.db")

    def status(self):
        return json.loads(run_cli("status", "--json", home=self.home).stdout)


@pytest.fixture
def loop(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    first = trainer(home, "run", TASK, "--patience", "0")
    rows = traffic(FIRST_DAY, DAYS)
    with SidecarProcess(home) as sidecar:
        with Client(sidecar.target, deadline=60) as client:
            send(client, rows)
        loop = Loop(home, sidecar, first["promoted"]["digest"], rows)
        wait_until(lambda: is_recorded(loop))
        yield loop
        assert sidecar.stop() == 0


def records(rows: Traffic) -> list[Record]:
    return [
        Record(rows.record(row), rows.request_ids[row], int(rows.event_ns[row]))
        for row in range(len(rows.request_ids))
    ]


def outcomes(rows: Traffic, *, wrong=False, later_ns=0) -> list[Outcome]:
    return [
        Outcome(request_id, 1 - label if wrong else label, None, known_ns + later_ns)
        for request_id, label, known_ns in zip(
            rows.request_ids, rows.label.tolist(), rows.known_ns.tolist(), strict=True
        )
    ]


def send(client: Client, rows: Traffic) -> None:
    """Predictions, and their outcomes: before the prediction, after it, twice, corrected and in conflict."""
    truth = outcomes(rows)
    count = len(truth)
    assert client.record_outcomes(truth[:EARLY]) == OutcomeReceipt(EARLY, 0, ())
    replies = list(client.predict_many(records(rows)))
    assert [reply.request_id for reply in replies] == rows.request_ids
    mistaken = outcomes(rows, wrong=True, later_ns=-1)[EARLY + TWICE :][:CORRECTED]
    assert client.record_outcomes(mistaken).stored == CORRECTED
    assert client.record_outcomes(truth[EARLY:]).stored == count - EARLY
    assert client.record_outcomes(truth[: EARLY + TWICE]) == OutcomeReceipt(0, EARLY + TWICE, ())
    contested = outcomes(rows, wrong=True)[:CONTESTED]
    assert client.record_outcomes(contested) == OutcomeReceipt(
        0, 0, tuple(outcome.request_id for outcome in contested)
    )


def is_recorded(loop: Loop) -> bool:
    """Whether every answer is in the log, and every candidate has said what it made of it."""
    found = loop.status()
    return found["written"] == found["served"] and not any(one["queued"] for one in found["shadows"])


def models(loop: Loop):
    """Every version that was ever registered, loaded, by digest."""
    with loop.registry() as registry:
        return {version.model.digest: load_model(version.path) for version in registry.versions()}


def assert_no_reply_is_mixed(loop: Loop, rows: Traffic, answers: list[Answer]) -> None:
    """Each reply, and its row in the log, is to the bit what the model it names makes of the record."""
    blocks = SIGNATURE.pack_columns(rows.columns)
    expected = {
        digest: [model.run(blocks.take(slice(row, row + 1))) for row in range(len(blocks))]
        for digest, model in models(loop).items()
    }
    with LogReader(loop.home / "log.db") as log:
        logged = {
            key: (batch.model.digest, score, decision)
            for batch in log.served()
            for key, score, decision in zip(
                to_texts(batch.request_ids), batch.score.tolist(), batch.decision.tolist(), strict=True
            )
        }
    for number, reply, _ in answers:
        alone = expected[reply.model.digest][number % len(blocks)]
        assert (reply.score, reply.decision) == (float(alone.score[0]), bool(alone.decision[0]))
        assert logged[reply.request_id] == (reply.model.digest, reply.score, reply.decision)


def swaps(answers: list[Answer]) -> list[str]:
    """The models that one caller was answered by, in order, each as often as it took over."""
    return [digest for digest, _ in groupby(answer.reply.model.digest for answer in answers)]


def test_the_loop_step_by_step(loop: Loop):
    champion = loop.champion

    # Retrain on what the sidecar logged, and make a copy of the champion from the rows it was made from.
    with loop.registry() as registry:
        manifest = json.loads((registry.champion().path / "manifest.json").read_text())
    snapshot = loop.trainer("snapshot", TASK, "--base", manifest["snapshot"])
    assert_labels_are_true(loop, snapshot)
    only = ("--recipe", "trees")
    trees = loop.trainer("fit", TASK, "--snapshot", snapshot["digest"], *only)["fitted"][0]["bundle"]
    only = ("--recipe", "line", "--version", "copy")
    copy = loop.trainer("fit", TASK, "--snapshot", manifest["snapshot"], *only)["fitted"][0]["bundle"]
    assert "serves generation" in loop.trainer("shadow", trees, copy)["activation"]

    # Live traffic that champion and candidates answer side by side.
    live = traffic(FIRST_DAY + DAYS, DAYS)
    with Client(loop.sidecar.target, deadline=60) as client:
        send(client, live)
    wait_until(lambda: is_recorded(loop))
    with LogReader(loop.home / "log.db") as log:
        for digest in (trees, copy):
            scored = [key for batch in log.scores(digest, champion) for key in to_texts(batch.request_ids)]
            assert scored == live.request_ids

    # The gate: what earns more is promoted, what decides alike is not.
    decided = loop.trainer("decide", TASK)
    decisions = {one["candidate"]["digest"]: one for one in decided["decisions"]}
    assert {digest: one["action"] for digest, one in decisions.items()} == {trees: "promote", copy: "hold"}
    assert "exactly as the champion" in decisions[copy]["reasons"][0]
    evidence = decisions[trees]["evidence"]
    assert evidence["judged"]["served"] == evidence["labelled"] == evidence["joined"]
    assert "the newest decision on" in trainer_error(loop.home, "promote", copy, "--why", "please")

    # Both swaps under load.
    rows = traffic(FIRST_DAY + 2 * DAYS, 1)
    requests = records(rows)
    with Load(
        loop.sidecar.target,
        lambda _, number: unnamed(requests[number % len(requests)]),
        pause_seconds=0.004,
    ) as load:
        load.wait_for(ANSWERS_BETWEEN_SWAPS)
        promoted = loop.trainer("promote", trees, "--why", "it earned it")
        assert (promoted["champion"]["digest"], "serves" in promoted["activation"]) == (trees, True)
        load.wait_for(ANSWERS_BETWEEN_SWAPS)
        assert "judged against" in trainer_error(loop.home, "promote", copy, "--why", "now then")
        wait_until(lambda: scored_by(loop, "standby", champion) and scored_by(loop, "copy", trees))
        back = loop.trainer("rollback", "--why", "second thoughts")
        assert (back["champion"]["digest"], "serves" in back["activation"]) == (champion, True)
        load.wait_for(ANSWERS_BETWEEN_SWAPS)
    assert load.errors == []
    for caller in load.callers:
        assert len(caller.answers) == caller.sent
        assert swaps(caller.answers) == [champion, trees, champion]
    wait_until(lambda: is_recorded(loop))
    status = loop.status()
    assert (status["errors"], status["dropped"], status["failed"]) == ({}, 0, 0)
    assert_no_reply_is_mixed(loop, rows, load.answers)

    # The audit trail says who, why, and on what evidence.
    assert_audit(loop, champion, trees, evidence["digest"])
    with loop.registry() as registry:
        assert ModelState.CHAMPION not in {step.to_state for step in registry.transitions(copy)}
        assert registry.find(trees).state is ModelState.ROLLED_BACK


def scored_by(loop: Loop, role: str, digest: str) -> int:
    """Rows that this model has scored in the shadow in this role."""
    return sum(
        one["scored"]
        for one in loop.status()["shadows"]
        if (one["role"], one["model"]["digest"]) == (role, digest)
    )


def unnamed(record: Record) -> Record:
    """The same record under a key of the sidecar's making."""
    return Record(record.fields, event_ns=record.event_ns)


def assert_labels_are_true(loop: Loop, snapshot: dict) -> None:
    """Every matured row has the label that counts, however its outcome was reported."""
    found = open_snapshot(Path(snapshot["path"]))
    labels = dict(zip(found.request_ids, found.label.tolist(), strict=True))
    rows = loop.passed
    matured = rows.event_ns + DAY_NS // 2 <= rows.event_ns[-1]
    assert EARLY + TWICE + CORRECTED < np.count_nonzero(matured) < len(matured)
    assert len(labels) == len(small_task.history()) + np.count_nonzero(matured)
    for row in np.flatnonzero(matured).tolist():
        assert labels[rows.request_ids[row]] == rows.label[row]


def assert_audit(loop: Loop, champion: str, trees: str, evidence_digest: str) -> None:
    with loop.registry() as registry:
        decision = next(one for one in registry.decisions() if one.candidate == trees)
        steps = registry.transitions(trees)
        of_champion = registry.transitions(champion)
    assert decision.evidence_digest == evidence_digest
    assert hashlib.sha256(decision.evidence_json.encode()).hexdigest() == evidence_digest
    assert (decision.actor, decision.action) == (ACTOR, "promote")
    assert [step.to_state for step in steps] == [
        ModelState.REGISTERED,
        ModelState.ADMITTED,
        ModelState.SHADOW,
        ModelState.CHAMPION,
        ModelState.ROLLED_BACK,
    ]
    promotion, rollback = steps[-2:]
    assert promotion.reason.evidence_digest == evidence_digest
    assert promotion.reason.why == " ".join(["it earned it", *decision.reasons])
    assert rollback.reason.why == "second thoughts"
    assert [step.to_state for step in of_champion[-3:]] == [
        ModelState.CHAMPION,
        ModelState.STANDBY,
        ModelState.CHAMPION,
    ]
    assert "first champion" in of_champion[-3].reason.why
    assert {step.reason.actor for step in (*steps, *of_champion)} == {ACTOR}


def test_the_button_does_it_all_while_traffic_flows(loop: Loop):
    results = []
    button = threading.Thread(target=lambda: results.append(loop.trainer("run", TASK, "--wait", "40")))
    button.start()
    with loop.registry() as registry:
        wait_until(lambda: len(registry.deployment().candidates) == 2)
    live = traffic(FIRST_DAY + DAYS, DAYS)
    with Client(loop.sidecar.target, deadline=60) as client:
        send(client, live)
        button.join()
        reply = client.predict(live.record(0), event_ns=START_NS)
    (summary,) = results
    actions = {one["candidate"]["version"].split("-")[0]: one["action"] for one in summary["decisions"]}
    assert actions["trees"] == "promote"
    assert summary["promoted"]["version"].startswith("trees-")
    assert reply.model.digest == summary["promoted"]["digest"]
