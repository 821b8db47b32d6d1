"""A champion on live traffic beside candidates that hang, raise and die: nobody but the gate notices."""

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tiny_task
from load import Answer, Load
from sidecar_process import SidecarProcess, run_cli, wait_until
from small_task import START_NS
from tiny_bundles import TRIGGER, Misbehaviour, row, tiny_bundle
from trainer_process import trainer, trainer_error

from sidecar.bundle import Bundle
from sidecar.client import Client, Record
from sidecar.domain import Failure, Outcome, ScoreBatch, to_texts
from sidecar.session import load_model
from sidecar.store.reader import LogReader
from trainer.days import DAY_NS

TASK = str(Path(tiny_task.__file__))
DAYS = 60
TRIGGER_EVERY = 25
"""More than one row in a hundred, which is what the policy forgives."""
ENOUGH = 150
"""Answers for each caller, before the end and after the last quarantine."""
LATE = "long-after"
SETTINGS = {
    "SIDECAR_SHADOW_STALL_SECONDS": "1.5",
    "SIDECAR_SHADOW_CRASHES": "3",
    "SIDECAR_SHADOW_BACKOFF_SECONDS": "0.05",
}
TROUBLE = {
    Misbehaviour.NONE: None,
    Misbehaviour.RAISES: Failure.RAISED,
    Misbehaviour.SLEEPS: Failure.TIMED_OUT,
    Misbehaviour.DIES: Failure.CRASHED,
}
QUARANTINED = {Misbehaviour.SLEEPS, Misbehaviour.DIES}


class Seen(NamedTuple):
    """What client, operator, gate and log saw. scores and decisions: by misbehaviour."""

    home: Path
    champion: Bundle
    candidates: dict[Misbehaviour, Bundle]
    answers: list[Answer]
    status: dict
    decisions: dict[Misbehaviour, dict]
    served: list[str]
    scores: dict[Misbehaviour, list[ScoreBatch]]


def x_of(number: int) -> float:
    return number % 7 - 3.0


def is_trigger(number: int) -> bool:
    return number % TRIGGER_EVERY == TRIGGER_EVERY - 1


def event_ns(number: int) -> int:
    return START_NS + number % DAYS * DAY_NS + number


def record(caller: int, number: int) -> Record:
    """Traffic over whole days, with trouble in it now and then."""
    fields = row(x=x_of(number), trigger=TRIGGER if is_trigger(number) else number)
    return Record(fields, f"{caller}-{number}", event_ns(number))


def outcome(answer: Answer) -> Outcome:
    """What the healthy candidate, whose weight has the other sign, would have bet on."""
    soon_ns = event_ns(answer.number) + 60 * 10**9
    return Outcome(answer.reply.request_id, float(x_of(answer.number) <= 0), None, soon_ns)


def status_of(home: Path) -> dict:
    return json.loads(run_cli("status", "--json", home=home).stdout)


def quarantined(home: Path) -> set[str]:
    return {one["model"]["version"] for one in status_of(home)["shadows"] if one["state"] == "quarantined"}


def settled(home: Path) -> dict | None:
    """The status once every row is in the log, with all that the candidates made of it."""
    found = status_of(home)
    with LogReader(home / "log.db") as log:
        counts = log.counts()
    shadows = found["shadows"]
    made = sum(one["scored"] + one["failed"] + one["shed"] for one in shadows)
    waiting = any(one["queued"] for one in shadows)
    return found if (counts.served, counts.scores) == (found["served"], made) and not waiting else None


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> Seen:
    home = tmp_path_factory.mktemp("safety") / "home"
    champion = tiny_bundle(home / "bundles", "champion")
    candidates = {
        kind: tiny_bundle(home / "bundles", kind.value, weight=-2.0, misbehaviour=kind) for kind in TROUBLE
    }
    with SidecarProcess(home, **SETTINGS) as sidecar:
        trainer(home, "promote", str(champion.path), "--first", "--why", "to begin with")
        trainer(home, "shadow", *(bundle.model.digest for bundle in candidates.values()))
        with Load(sidecar.target, record, pause_seconds=0.004) as load:
            load.wait_for(ENOUGH)
            wait_until(lambda: load.errors or quarantined(home) == QUARANTINED)
            load.wait_for(ENOUGH)
        with Client(sidecar.target, deadline=60) as client:
            for start in range(0, len(load.answers), 5_000):
                client.record_outcomes(map(outcome, load.answers[start : start + 5_000]))
            client.predict(row(), request_id=LATE, event_ns=START_NS + (DAYS + 1) * DAY_NS)
        status = wait_until(lambda: settled(home))
        judged = {one["candidate"]["version"]: one for one in trainer(home, "decide", TASK)["decisions"]}
        assert sidecar.stop() == 0
    with LogReader(home / "log.db") as log:
        return Seen(
            home,
            champion,
            candidates,
            load.answers,
            status,
            decisions={kind: judged[kind.value] for kind in TROUBLE},
            served=[key for batch in log.served() for key in to_texts(batch.request_ids)],
            scores={
                kind: list(log.scores(bundle.model.digest, champion.model.digest))
                for kind, bundle in candidates.items()
            },
        )


def entries(seen: Seen, kind: Misbehaviour) -> dict[str, tuple[Failure, str]]:
    """What the log says became of each row: failure and detail by request_id."""
    return {
        key: (why, detail)
        for batch in seen.scores[kind]
        for key, why, detail in zip(to_texts(batch.request_ids), batch.failure, batch.detail, strict=True)
    }


def test_the_champion_answers_every_request_and_answers_right(seen: Seen):
    assert seen.status["errors"] == {}
    assert seen.status["dropped"] == seen.status["failed"] == 0
    assert Counter(seen.served) == Counter([LATE, *(answer.reply.request_id for answer in seen.answers)])
    model = load_model(seen.champion.path)
    blocks = seen.champion.signature.pack_columns(
        {name: [record(0, answer.number).fields[name] for answer in seen.answers] for name in row()}
    )
    expected = model.run(blocks)
    assert {answer.reply.model for answer in seen.answers} == {seen.champion.model}
    assert np.array_equal(np.float32([answer.reply.score for answer in seen.answers]), expected.score)
    assert [answer.reply.decision for answer in seen.answers] == expected.decision.tolist()
    assert sum(is_trigger(answer.number) for answer in seen.answers) > 3 * len(TROUBLE)


@pytest.mark.parametrize("kind", TROUBLE)
def test_every_request_has_exactly_one_score_row_of_each_candidate(seen: Seen, kind):
    scored = [key for batch in seen.scores[kind] for key in to_texts(batch.request_ids)]
    assert len(scored) == len(set(scored))
    assert set(scored) == set(seen.served)
    for batch in seen.scores[kind]:
        given = np.array([why is Failure.NONE for why in batch.failure])
        assert np.array_equal(given, ~np.isnan(batch.score))
        assert np.array_equal(given, np.array(batch.detail) == "")


@pytest.mark.parametrize("kind", TROUBLE)
def test_each_score_row_says_what_happened(seen: Seen, kind):
    found = entries(seen, kind)
    triggered = {a.reply.request_id for a in seen.answers if is_trigger(a.number)}
    of_triggers = Counter(found[key][0] for key in triggered)
    of_others = Counter(found[key][0] for key in found.keys() - triggered)
    if kind in QUARANTINED:
        assert of_triggers[TROUBLE[kind]] == 3
        assert of_triggers.keys() == {TROUBLE[kind], Failure.QUARANTINED}
        assert of_others.keys() == {Failure.NONE, Failure.QUARANTINED}
        assert found[LATE][0] is Failure.QUARANTINED
        assert "3 crashes or time-outs" in found[LATE][1]
    else:
        assert of_triggers.keys() == {TROUBLE[kind] or Failure.NONE}
        assert of_others.keys() == {Failure.NONE}


def test_status_tells_the_same_as_the_log(seen: Seen):
    shadows = {one["model"]["version"]: one for one in seen.status["shadows"] if one["role"] == "candidate"}
    assert {version for version, one in shadows.items() if one["state"] == "quarantined"} == QUARANTINED
    assert {version for version, one in shadows.items() if one["state"] == "running"} == (
        TROUBLE.keys() - QUARANTINED
    )
    for kind in TROUBLE:
        found = Counter(why for why, _ in entries(seen, kind).values())
        said = shadows[kind.value]
        assert said["scored"] == found[Failure.NONE]
        assert said["failed"] == found[TROUBLE[kind]]
        assert said["shed"] == found[Failure.QUARANTINED]
        assert said["queued"] == 0


def test_the_gate_refuses_those_in_trouble_and_promotes_the_healthy_one(seen: Seen):
    assert {kind: one["action"] for kind, one in seen.decisions.items()} == {
        kind: "reject" if trouble else "promote" for kind, trouble in TROUBLE.items()
    }, seen.decisions[Misbehaviour.NONE]["reasons"]
    for kind in QUARANTINED:
        assert "quarantined for crashing or stalling too often" in seen.decisions[kind]["reasons"][0]
    assert "raised, crashed or timed out" in seen.decisions[Misbehaviour.RAISES]["reasons"][0]
    for kind in TROUBLE.keys() - {Misbehaviour.NONE}:
        digest = seen.candidates[kind].model.digest
        assert "is reject: It" in trainer_error(seen.home, "promote", digest, "--why", "I like it")
