"""A canary that spends no more CPU time than it may and keeps its callers waiting, beside a real sidecar.

Its runs are long enough to be handed to a thread of their own, where calls that come together wait for one
another, while the champion's are answered between them.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from running_engine import ENGINES
from sidecar_process import SidecarProcess, wait_for_activation, wait_until
from tiny_bundles import Misbehaviour, row, tiny_bundle
from tiny_task import task

from sidecar.canary import is_drawn
from sidecar.client import Client
from sidecar.lifecycle import ModelState, Reason
from sidecar.registry import Registry
from sidecar.store.reader import LogReader
from trainer.days import DAY_NS, day_start
from trainer.gate import Action
from trainer.probation.conduct import conduct
from trainer.promote import promote_first, shadow

WHY = Reason("tests", "to see")
SHARE, TOGETHER, CALLS = 0.5, 16, 480
POLICY = replace(
    task.policy, latency_budget_us=100_000, latency_block=5, canary=(SHARE,), canary_wait_budget_us=15_000
)
IDS = [f"r{number}" for number in range(CALLS)]
TODAY_NS = day_start(time.time_ns())
YESTERDAY_NS = TODAY_NS - DAY_NS


def conducted(home, policy):
    """What the canary's judge says, and does, of what is in the log."""
    with Registry(home / "registry.db") as registry, LogReader(home / "log.db") as reader:
        (found,) = conduct(replace(task, policy=policy), registry, reader, actor="tests")
    return found


@pytest.mark.skipif("native" not in ENGINES, reason="the native engine is not built")
def test_a_canary_within_its_cpu_budget_that_keeps_callers_waiting_is_named_and_ended(tmp_path):
    champion = tiny_bundle(tmp_path / "bundles")
    canary = tiny_bundle(tmp_path / "bundles", "2", misbehaviour=Misbehaviour.LINGERS)
    with Registry(tmp_path / "registry.db") as registry:
        promote_first(registry, champion.path, WHY)
    with (
        SidecarProcess(tmp_path, SIDECAR_NATIVE_EVENT_LOOPS="1") as sidecar,
        Client(sidecar.target) as client,
    ):
        with Registry(tmp_path / "registry.db") as registry:
            shadow(registry, canary.path, WHY)
            deployment = registry.start_canary(canary.model.digest, SHARE, WHY)
        wait_for_activation(tmp_path, deployment.generation)
        drawn = iter(one for one in map(str, range(10_000)) if is_drawn(one, SHARE))
        before = []

        def scores_it():
            before.append(client.predict(row(), request_id=next(drawn), event_ns=YESTERDAY_NS - DAY_NS))
            with LogReader(tmp_path / "log.db") as reader:
                return any(True for _ in reader.scores(champion.model.digest, canary.model.digest))

        wait_until(scores_it)
        with ThreadPoolExecutor(TOGETHER) as callers:
            by = {
                reply.request_id: reply.model
                for reply in callers.map(
                    lambda one: client.predict(row(), request_id=one, event_ns=YESTERDAY_NS), IDS
                )
            }
        assert by == {one: canary.model if is_drawn(one, SHARE) else champion.model for one in IDS}
        client.predict(row(), request_id="a-day-later", event_ns=time.time_ns())

        def all_logged():
            with LogReader(tmp_path / "log.db") as reader:
                return sum(len(one) for one in reader.served(since_ns=YESTERDAY_NS)) == CALLS + 1

        wait_until(all_logged)
        # Nothing was wrong with its CPU time, and without a budget for waits nothing ends it.
        held = conducted(tmp_path, replace(POLICY, canary_wait_budget_us=None))
        assert (held.decision.action, held.facts.speed.over) == (Action.HOLD, 0)
        found = conducted(tmp_path, POLICY)
        waits = found.facts.waits
        assert (waits.calls, waits.beside_calls) == (
            len(before) + sum(model == canary.model for model in by.values()),
            sum(model == champion.model for model in by.values()),
        )
        assert found.facts.speed.cpu.p99.us < POLICY.latency_budget_us < 1e6
        assert waits.excess.slow > waits.calls / 4
        assert found.decision.action is Action.REJECT
        assert "It keeps callers waiting: " in found.decision.reasons[0]
        with Registry(tmp_path / "registry.db") as registry:
            assert registry.find(canary.model.digest).state is ModelState.REJECTED
            wait_for_activation(tmp_path, registry.generation())
        assert client.predict(row(), request_id=next(drawn)).model == champion.model
        assert sidecar.stop() == 0
