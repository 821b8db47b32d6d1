"""The champion's copy in the shadow: what it agrees on, and what the gate makes of it when it does not."""

import numpy as np
import pytest
from made_evidence import POLICY, evidence, latency
from small_log import CHAMPION, model, oracle, outcomes, scored, served, write_log
from small_task import task, traffic

from sidecar.domain import Failure
from sidecar.store.reader import LogReader
from trainer.gate import Action, decide
from trainer.gather import gather
from trainer.noise import Noise
from trainer.report import evidence_view

LIVE = traffic(30, 6, rows_a_day=100)
ROWS = np.arange(600)
SCORE = oracle(LIVE, wrong=0.3, seed=1)
CANDIDATE = model("a")


def noise_of(path, *copies):
    log = write_log(
        path / "log.db",
        [served(LIVE, SCORE, ROWS, cpu_ns=20_000)],
        [scored(LIVE, oracle(LIVE, wrong=0.1, seed=2), ROWS, CANDIDATE), *copies],
        [outcomes(LIVE)],
    )
    with LogReader(log) as reader:
        return gather(task, reader, CHAMPION, [CANDIDATE])[0].noise


def test_a_copy_that_agrees_shows_what_the_shadow_adds_to_its_clock(tmp_path):
    rows = np.arange(0, 600, 10)
    failed = scored(LIVE, SCORE, rows + 1, CHAMPION, failure=Failure.SHED)
    noise = noise_of(tmp_path, scored(LIVE, SCORE, rows, CHAMPION, cpu_ns=50_000), failed)
    assert (noise.rows, noise.scores_differ, noise.decisions_differ, noise.largest_difference) == (
        60,
        0,
        0,
        0,
    )
    assert (noise.champion_cpu.p99.us, noise.copy_cpu.p99.us) == (20, 50)


def test_rows_on_which_the_copy_differs_are_counted(tmp_path):
    other = SCORE.copy()
    other[20] = np.nextafter(other[20], np.float32(1))
    other[40] = 1 - other[40]
    noise = noise_of(tmp_path, scored(LIVE, other, np.arange(0, 600, 10), CHAMPION))
    assert (noise.rows, noise.scores_differ, noise.decisions_differ) == (60, 2, 1)
    assert noise.largest_difference == pytest.approx(0.8, abs=1e-6)


def test_without_a_copy_there_is_no_noise_floor(tmp_path):
    assert noise_of(tmp_path) is None


def test_the_gate_holds_while_the_copy_differs():
    clocks = latency().champion_cpu, latency().champion_cpu
    agrees, differs = (evidence(noise=Noise(60, *counts, *clocks)) for counts in ((0, 0, 0.0), (2, 1, 0.8)))
    first, second = (decide(one, POLICY, decided_ns=1, actor="t") for one in (agrees, differs))
    assert (first.action, second.action) == (Action.PROMOTE, Action.HOLD)
    assert second.reasons[0] == (
        "Shadows cannot be trusted: the champion's own copy gave another score on 2 of 60 rows, by up to "
        "0.8, and decided otherwise on 1."
    )
    view = str(evidence_view(differs, POLICY).renderables[2])
    assert "60 rows of the champion's own copy: 2 scores and 1 decisions differ" in view
