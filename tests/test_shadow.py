"""Candidates beside the champion: each row that they are offered has one entry, whatever happens."""

import random
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from shadowed import IMPATIENT, SETTINGS, entries, failures_of, served, until, until_idle, worker_pid
from tiny_bundles import SIGNATURE, Misbehaviour, tiny_bundle

from sidecar.bundle import PIPELINE
from sidecar.domain import NOTHING_DEPLOYED, BundleRef, Deployment, Failure, to_texts
from sidecar.session import load_model
from sidecar.shadow.supervisor import drawn_calls
from sidecar.signature import Field, Kind, Signature

MISBEHAVIOURS = [Misbehaviour.SLEEPS, Misbehaviour.RAISES, Misbehaviour.DIES]
BLAME = {
    Misbehaviour.SLEEPS: Failure.TIMED_OUT,
    Misbehaviour.RAISES: Failure.RAISED,
    Misbehaviour.DIES: Failure.CRASHED,
}


def test_a_candidate_scores_as_it_would_serve(tmp_path, champion, start_shadow):
    candidate = tiny_bundle(tmp_path, "2", weight=-1.5).ref
    supervisor = start_shadow(candidate)
    batch = served(champion, 10, group=[4, 4, 4, 5, 6, 6, 7, 7, 7, 7])
    supervisor.offer(batch)
    until_idle(supervisor)
    (scores,) = supervisor.collect()
    expected = load_model(candidate.path).run(batch.blocks)
    assert (scores.model, scores.champion) == (candidate.model, champion.model)
    assert list(scores.request_ids) == list(batch.request_ids)
    assert scores.score.tobytes() == expected.score.tobytes()
    assert scores.decision.tolist() == expected.decision.tolist()
    assert list(scores.failure) == [Failure.NONE] * 10
    assert (scores.infer_ns > 0).all()
    assert (scores.cpu_ns > 0).all()
    # One inference call for each of the champion's: its rows share their time, and no other row has it.
    times = list(zip(scores.infer_ns.tolist(), scores.cpu_ns.tolist(), strict=True))
    assert [times.index(time) for time in times] == [0, 0, 0, 3, 4, 4, 6, 6, 6, 6]


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
def test_trouble_with_a_row_is_an_entry_and_costs_no_other_row(
    tmp_path, champion, start_shadow, misbehaviour
):
    candidate = tiny_bundle(tmp_path, "2", misbehaviour=misbehaviour).ref
    supervisor = start_shadow(candidate, settings=replace(IMPATIENT, chunk_rows=16))
    # Rows 20 and 21 run in one call with the row that makes trouble, so they share its fate.
    group = np.arange(60)
    group[19:22] = 19
    batch = served(champion, 60, triggers={19, 40}, group=group)
    supervisor.offer(batch)
    until_idle(supervisor)
    batches = supervisor.collect()
    by_request = failures_of(batches)
    expected = dict.fromkeys(to_texts(batch.request_ids), Failure.NONE)
    expected |= dict.fromkeys(["r19", "r20", "r21", "r40"], BLAME[misbehaviour])
    assert by_request == expected
    assert all(bool(detail) == bool(failure) for _, _, failure, detail in entries(batches))
    scores = {
        request: score
        for b in batches
        for request, score in zip(to_texts(b.request_ids), b.score, strict=True)
    }
    assert {request for request, score in scores.items() if np.isnan(score)} == {"r19", "r20", "r21", "r40"}
    (status,) = supervisor.status()
    assert (status.scored, status.failed, status.shed, status.queued) == (56, 4, 0, 0)
    assert status.restarts == (0 if misbehaviour is Misbehaviour.RAISES else 2)
    assert status.state == "running"


def test_the_detail_says_what_happened(tmp_path, champion, start_shadow):
    details = {}
    for misbehaviour in MISBEHAVIOURS:
        supervisor = start_shadow(
            tiny_bundle(tmp_path, "2", misbehaviour=misbehaviour).ref, settings=IMPATIENT
        )
        supervisor.offer(served(champion, 1, triggers={0}))
        until_idle(supervisor)
        ((_, _, _, details[misbehaviour]),) = entries(supervisor.collect())
    assert "SIGFPE" in details[Misbehaviour.DIES]
    assert "over 1 s in one inference call" in details[Misbehaviour.SLEEPS]
    assert "Gather" in details[Misbehaviour.RAISES]


@pytest.mark.parametrize("misbehaviour", [Misbehaviour.SLEEPS, Misbehaviour.DIES])
def test_too_many_crashes_quarantine_a_candidate(tmp_path, champion, start_shadow, misbehaviour):
    settings = replace(IMPATIENT, crashes=3)
    supervisor = start_shadow(tiny_bundle(tmp_path, "2", misbehaviour=misbehaviour).ref, settings=settings)
    supervisor.offer(served(champion, 50, triggers={10, 20, 30, 40}))
    until_idle(supervisor)
    supervisor.offer(served(champion, 5, prefix="later"))
    batches = supervisor.collect()
    by_request = failures_of(batches)
    assert Counter(by_request.values()) == {
        Failure.NONE: 28,
        BLAME[misbehaviour]: 3,
        Failure.QUARANTINED: 19 + 5,
    }
    assert by_request["r31"] is by_request["later0"] is Failure.QUARANTINED
    assert "3 crashes or time-outs" in entries(batches)[-1][3]
    (status,) = supervisor.status()
    assert (status.state, status.scored, status.failed, status.shed) == ("quarantined", 28, 3, 24)
    # A deployment that keeps the candidate does not set it free.
    supervisor.deploy(Deployment(2, champion, (BundleRef(status.model, tmp_path),)))
    assert supervisor.status()[0].state == "quarantined"


def test_a_candidate_that_cannot_be_loaded_is_quarantined(tmp_path, champion, start_shadow):
    bundle = tiny_bundle(tmp_path, "2")
    (bundle.path / PIPELINE).chmod(0o644)
    (bundle.path / PIPELINE).write_bytes(b"no model")
    supervisor = start_shadow(bundle.ref, settings=replace(SETTINGS, crashes=2))
    supervisor.offer(served(champion, 3))
    until_idle(supervisor)
    found = entries(supervisor.collect())
    assert [failure for _, _, failure, _ in found] == [Failure.QUARANTINED] * 3
    assert "damaged or edited" in found[0][3]


def test_a_load_that_takes_too_long_is_ended(tmp_path, champion, start_shadow):
    settings = replace(SETTINGS, crashes=1, load_seconds=0.001)
    supervisor = start_shadow(tiny_bundle(tmp_path, "2").ref, settings=settings)
    supervisor.offer(served(champion, 2))
    until_idle(supervisor)
    found = entries(supervisor.collect())
    assert [failure for _, _, failure, _ in found] == [Failure.QUARANTINED] * 2
    assert "not loaded after" in found[0][3]


def test_rows_that_find_the_queue_full_are_shed_at_once(tmp_path, champion, start_shadow):
    settings = replace(SETTINGS, queue_rows=100)
    supervisor = start_shadow(
        tiny_bundle(tmp_path, "2", misbehaviour=Misbehaviour.SLEEPS).ref, settings=settings
    )
    supervisor.offer(served(champion, 60, triggers={0}, prefix="a"))
    group = np.arange(60)
    group[35:45] = 35  # a call across the limit is shed whole
    supervisor.offer(served(champion, 60, prefix="b", group=group))
    supervisor.offer(served(champion, 60, prefix="c"))
    shed = failures_of(supervisor.collect())
    assert set(shed) == {f"b{row}" for row in range(35, 60)} | {f"c{row}" for row in range(5, 60)}
    assert set(shed.values()) == {Failure.SHED}
    (status,) = supervisor.status()
    assert (status.shed, status.queued) == (len(shed), 100)
    rest = failures_of(supervisor.stop(0))
    assert set(rest.values()) == {Failure.STOPPED}
    assert len(rest) + len(shed) == 180


def test_a_call_larger_than_a_chunk_runs_in_one_piece(tmp_path, champion, start_shadow):
    supervisor = start_shadow(tiny_bundle(tmp_path, "2").ref, settings=replace(SETTINGS, chunk_rows=16))
    supervisor.offer(served(champion, 4096, group=np.zeros(4096), prefix="large"))
    supervisor.offer(served(champion, 40))
    until_idle(supervisor)
    large, *small = supervisor.collect()
    assert list(large.failure) == [Failure.NONE] * 4096
    assert len(set(large.infer_ns.tolist())) == 1
    assert [len(batch) for batch in small] == [16, 16, 8]
    assert not np.isnan(large.score).any()


def test_a_candidate_that_leaves_stops_and_one_that_stays_keeps_its_worker(tmp_path, champion, start_shadow):
    stays = tiny_bundle(tmp_path, "stays").ref
    leaves = tiny_bundle(tmp_path, "leaves", misbehaviour=Misbehaviour.SLEEPS).ref
    supervisor = start_shadow(stays, leaves, settings=replace(SETTINGS, stall_seconds=600))
    pid = worker_pid(supervisor)
    supervisor.offer(served(champion, 10, triggers={4}, prefix="old"))
    until(lambda: supervisor.status()[0].queued == 0 and supervisor.status()[1].state == "running")

    new_champion = tiny_bundle(tmp_path, "3").ref
    comes = tiny_bundle(tmp_path, "comes").ref
    supervisor.deploy(Deployment(2, new_champion, (stays, comes)))
    assert [status.model for status in supervisor.status()] == [stays.model, comes.model]
    assert worker_pid(supervisor) == pid
    supervisor.offer(served(new_champion, 10, prefix="new"))
    until_idle(supervisor)
    batches = supervisor.stop(60)

    found = Counter(version for version, *_ in entries(batches))
    assert found == {"stays": 20, "leaves": 10, "comes": 10}
    of_stays = [batch for batch in batches if batch.model == stays.model]
    assert [batch.champion for batch in of_stays] == [champion.model, new_champion.model]
    left = failures_of([batch for batch in batches if batch.model == leaves.model])
    assert left["old4"] is left["old9"] is Failure.STOPPED
    assert set(left.values()) <= {Failure.NONE, Failure.STOPPED}


def test_stop_lets_workers_finish_within_the_grace(tmp_path, champion, start_shadow):
    supervisor = start_shadow(tiny_bundle(tmp_path, "2").ref)
    for number in range(5):
        supervisor.offer(served(champion, 1000, prefix=f"{number}-"))
    by_request = failures_of(supervisor.stop(60))
    assert Counter(by_request.values()) == {Failure.NONE: 5000}
    supervisor.offer(served(champion, 2, prefix="late"))
    assert set(failures_of(supervisor.collect()).values()) == {Failure.STOPPED}
    assert supervisor.status()[0].state == "stopped"


def test_a_candidate_of_another_signature_is_not_fed(tmp_path, champion, start_shadow):
    other = tiny_bundle(
        tmp_path, "2", signature=Signature((*SIGNATURE.fields[:-1], Field("renamed", Kind.TEXT)))
    )
    supervisor = start_shadow(other.ref)
    supervisor.offer(served(champion, 3))
    until_idle(supervisor)
    found = entries(supervisor.collect())
    assert [failure for _, _, failure, _ in found] == [Failure.RAISED] * 3
    assert "another signature" in found[0][3]


def test_nothing_deployed_does_nothing(champion, start_shadow):
    supervisor = start_shadow()
    supervisor.offer(served(champion, 3))
    assert supervisor.collect() == []
    supervisor.deploy(NOTHING_DEPLOYED)
    assert (supervisor.status(), supervisor.stop(1)) == ([], [])


@pytest.mark.parametrize("seed", [1, 2])
def test_each_row_offered_has_exactly_one_entry_whatever_happens(tmp_path, champion, start_shadow, seed):
    chance = random.Random(seed)
    bundles = [tiny_bundle(tmp_path, kind.value, misbehaviour=kind).ref for kind in Misbehaviour]
    settings = replace(SETTINGS, chunk_rows=16, queue_rows=400, crashes=4, stall_seconds=0.2)
    supervisor = start_shadow(settings=settings)
    offered, batches = Counter(), []
    for number in range(60):
        if number % 15 == 0:
            deployed = chance.sample(bundles, 3)
            supervisor.deploy(Deployment(number, champion, tuple(deployed)))
        if number % 15 == 5:
            until(lambda: all(status.state != "restarting" for status in supervisor.status()))
        rows = chance.randint(1, 80)
        triggers = {chance.randrange(rows)} if chance.random() < 0.15 else ()
        group = np.sort([chance.randrange(30) for _ in range(rows)])
        supervisor.offer(served(champion, rows, triggers=triggers, group=group, prefix=f"{number}-"))
        offered.update((ref.model.version, f"{number}-{row}") for ref in deployed for row in range(rows))
        batches += supervisor.collect()
        time.sleep(0.02)
    batches += supervisor.stop(1)
    found = Counter((version, request) for version, request, *_ in entries(batches))
    assert found == offered
    assert len({failure for *_, failure, _ in entries(batches)}) > 3


def test_the_standby_scores_beside_the_candidates(tmp_path, champion, start_shadow):
    candidate = tiny_bundle(tmp_path, "2", weight=-1.5).ref
    standby = tiny_bundle(tmp_path, "0", weight=0.5).ref
    supervisor = start_shadow()
    supervisor.deploy(Deployment(1, champion, (candidate,), standby))
    batch = served(champion, 10)
    supervisor.offer(batch)
    until_idle(supervisor)
    scores = {scored.model: scored for scored in supervisor.collect()}
    assert {status.model: status.role for status in supervisor.status()} == {
        candidate.model: "candidate",
        standby.model: "standby",
    }
    assert scores.keys() == {candidate.model, standby.model}
    assert scores[standby.model].score.tobytes() == load_model(standby.path).run(batch.blocks).score.tobytes()


def test_the_copy_scores_a_share_of_the_champions_calls_as_the_champion_did(champion, start_shadow):
    supervisor = start_shadow(settings=replace(SETTINGS, copy_share=0.1))
    batch = served(champion, 400, group=[row // 2 for row in range(400)])
    other = replace(batch, model=replace(batch.model, digest="0" * 64))
    supervisor.offer(batch)
    supervisor.offer(other)  # answered by the champion before: its copy is not this one
    until_idle(supervisor)
    (scores,) = supervisor.collect()
    (status,) = supervisor.status()
    assert (status.model, status.role, status.scored) == (champion.model, "copy", 40)
    assert (scores.model, scores.champion) == (champion.model, champion.model)
    drawn = drawn_calls(batch.group, 0.1)
    assert scores.request_ids.tolist() == batch.request_ids[drawn].tolist()
    assert scores.score.tobytes() == load_model(champion.path).run(batch.blocks).score[drawn].tobytes()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 1.0])
def test_of_any_run_of_calls_about_the_share_is_drawn(share):
    for begin in (0, 12_345, 2**40):
        drawn = drawn_calls(np.arange(begin, begin + 10_000), share)
        assert abs(drawn.sum() - share * 10_000) <= 2
