"""kill -9 of the sidecar under load, twice: what was acknowledged is there, and what was lost is counted."""

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import grpc
import numpy as np
import pytest
from load import Answer, Load
from sidecar_process import WHY, SidecarProcess, admit_without_check, promote, run_cli, wait_until
from tiny_bundles import SIGNATURE, TRIGGER, Misbehaviour, row, tiny_bundle

from sidecar.bundle import Bundle
from sidecar.client import CallError, Client, PredictionReply, Record
from sidecar.domain import Outcome, OutcomeReceipt, to_texts
from sidecar.registry import ModelState, Registry
from sidecar.store.reader import LogReader
from sidecar.store.runs import Run
from trainer.join import CandidateRows, JoinedRows, read_candidate, read_rows

FLUSH_SECONDS = 0.2
RECENT_SECONDS = 10 * FLUSH_SECONDS
"""A flush and its commit take this long at most, on a machine that others use too."""
SETTINGS = {"SIDECAR_RECORDER_FLUSH_SECONDS": str(FLUSH_SECONDS), "SIDECAR_SHADOW_STALL_SECONDS": "200"}
HANGS_AT = 100
"""From this row of one caller on, the candidate answers nothing for as long as the first process lives."""


class Life(NamedTuple):
    """What clients know of one process that was killed. answers: by caller, in order."""

    answers: Sequence[Sequence[Answer]]
    sent: int
    killed_at: float
    acknowledged: list[Outcome]


class Aftermath(NamedTuple):
    """Two killed processes, and what the third one found.

    recorded: request_ids that have an outcome. served: request_ids in order of writing.
    """

    champion: Bundle
    lives: list[Life]
    last_reply: PredictionReply
    sent_again: OutcomeReceipt
    lost_before: int
    runs: list[Run]
    recorded: set[str]
    served: list[str]
    rows: JoinedRows
    scored: CandidateRows


class Reporter:
    """Reports the outcome of whatever has been answered, and of what is yet to be asked, until it fails."""

    def __init__(self, target: str, load: Load, life: int):
        self.acknowledged: list[Outcome] = []
        self._target = target
        self._load = load
        self._life = life
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._thread.join()

    def _run(self):
        with Client(self._target, deadline=60) as client:
            for call in range(10**6):
                ids = [f"{self._life}-unasked-{call}"]
                ids += [
                    caller.answers[-1].reply.request_id for caller in self._load.callers if caller.answers
                ]
                outcomes = [Outcome(key, float(call % 2), None, call) for key in ids]
                try:
                    client.record_outcomes(outcomes)
                except CallError:
                    return
                self.acknowledged += outcomes
                time.sleep(FLUSH_SECONDS / 3)


def one_life(home: Path, life: int) -> Life:
    """Start the sidecar, load it for longer than what may be lost, and kill it."""

    def record(caller: int, number: int) -> Record:
        hangs = (life, caller, number) == (0, 0, HANGS_AT)
        return Record(row(x=number % 7, trigger=TRIGGER if hangs else 0), f"{life}-{caller}-{number}")

    with SidecarProcess(home, **SETTINGS) as sidecar, LogReader(home / "log.db") as log:
        scores_before = log.counts().scores
        with Load(sidecar.target, record) as load, Reporter(sidecar.target, load, life) as reporter:
            load.wait_for(3 * HANGS_AT)
            wait_until(lambda: log.counts().scores > scores_before)
            began = time.monotonic()
            wait_until(lambda: time.monotonic() > began + 2 * RECENT_SECONDS)
            assert load.errors == []
            killed_at = time.monotonic()
            sidecar.kill()
    assert [error.status for error in load.errors] == [grpc.StatusCode.UNAVAILABLE] * len(load.callers)
    return Life(
        [caller.answers for caller in load.callers],
        sum(caller.sent for caller in load.callers),
        killed_at,
        reporter.acknowledged,
    )


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory) -> Aftermath:
    home = tmp_path_factory.mktemp("kill") / "home"
    champion = tiny_bundle(home / "bundles", "champion")
    candidate = tiny_bundle(home / "bundles", "candidate", weight=1.0, misbehaviour=Misbehaviour.SLEEPS)
    admit_without_check(home, champion, candidate)
    promote(home, champion)
    with Registry(home / "registry.db") as registry:
        registry.move(candidate.model.digest, expected=ModelState.ADMITTED, to=ModelState.SHADOW, reason=WHY)
    lives = [one_life(home, life) for life in range(2)]
    with SidecarProcess(home, **SETTINGS) as sidecar:
        with LogReader(home / "log.db") as log:
            recorded = set(to_texts(log.outcomes().request_ids))
        with Client(sidecar.target, deadline=60) as client:
            last_reply = client.predict(row(), request_id="last")
            sent_again = client.record_outcomes(outcome for life in lives for outcome in life.acknowledged)
        status = json.loads(run_cli("status", "--json", home=home).stdout)
        assert sidecar.stop() == 0
    with LogReader(home / "log.db") as log:
        rows = read_rows(log, SIGNATURE, timedelta(hours=1))
        return Aftermath(
            champion,
            lives,
            last_reply,
            sent_again,
            status["lost_before"],
            log.runs(),
            recorded,
            served=[key for batch in log.served() for key in to_texts(batch.request_ids)],
            rows=rows,
            scored=read_candidate(log, candidate.model.digest, champion.model.digest, rows),
        )


def of_life(aftermath: Aftermath, life: int) -> list[str]:
    """The rows that this process wrote."""
    return [key for key in aftermath.served if key.startswith(f"{life}-")]


def test_every_acknowledged_outcome_is_in_the_log(aftermath: Aftermath):
    acknowledged = [outcome for life in aftermath.lives for outcome in life.acknowledged]
    assert min(len(life.acknowledged) for life in aftermath.lives) > 40
    assert {outcome.request_id for outcome in acknowledged} <= aftermath.recorded
    assert aftermath.sent_again == OutcomeReceipt(0, len(acknowledged), ())


@pytest.mark.parametrize("number", [0, 1])
def test_lost_rows_are_counted_exactly(aftermath: Aftermath, number):
    life, run = aftermath.lives[number], aftermath.runs[number]
    answered = {answer.reply.request_id for answers in life.answers for answer in answers}
    written = Counter(of_life(aftermath, number))
    assert set(written.values()) == {1}
    assert run.written == len(written)
    assert run.lost == run.offered - run.written
    assert (run.dropped, run.failed) == (0, 0)
    assert len(answered | written.keys()) <= run.offered <= life.sent
    assert len(answered - written.keys()) <= run.lost
    assert run.closed_ns is not None


def test_the_loss_is_there_and_every_process_after_says_how_large(aftermath: Aftermath):
    assert aftermath.lost_before == sum(run.lost for run in aftermath.runs[:2]) > 0
    assert (aftermath.runs[2].offered, aftermath.runs[2].written, aftermath.runs[2].lost) == (1, 1, 0)


@pytest.mark.parametrize("number", [0, 1])
def test_only_the_newest_rows_are_lost(aftermath: Aftermath, number):
    life = aftermath.lives[number]
    written = set(of_life(aftermath, number))
    for answers in life.answers:
        kept = [answer.reply.request_id in written for answer in answers]
        assert kept == sorted(kept, reverse=True)
        ages = [life.killed_at - answer.at for answer in answers]
        assert max(ages) > 2 * RECENT_SECONDS
        assert all(age < RECENT_SECONDS for age, is_kept in zip(ages, kept, strict=True) if not is_kept)


def test_the_same_champion_serves_after_each_kill(aftermath: Aftermath):
    models = {a.reply.model for life in aftermath.lives for answers in life.answers for a in answers}
    assert models == {aftermath.champion.model}
    assert aftermath.last_reply.model == aftermath.champion.model
    assert aftermath.served[-1] == "last"


def test_rows_whose_scores_died_with_the_process_are_unaccounted(aftermath: Aftermath):
    entered = dict(zip(to_texts(aftermath.rows.request_ids), aftermath.scored.entered.tolist(), strict=True))
    assert entered.keys() == set(aftermath.served)
    assert np.array_equal(aftermath.scored.valued, aftermath.scored.entered)
    first, second = ([entered[key] for key in of_life(aftermath, life)] for life in range(2))
    hung = of_life(aftermath, 0).index(f"0-0-{HANGS_AT}")
    assert not any(first[hung:])
    assert all(second[: second.index(False)] if False in second else second)
    assert any(second)
    assert entered["last"]
