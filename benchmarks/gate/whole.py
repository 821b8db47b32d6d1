"""The whole gate on labels that are late or hidden: candidates that gain nothing, that gain, and controls.

A promotion at any look counts. Controls go the same way through log, evidence and gate, and differ in what
is said beside each. Seeds and worlds were fixed before anything was run.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from benchmarks.gate.ending import ask, stands
from benchmarks.gate.exploration import SHARES
from benchmarks.gate.payments import CARDS_A_DAY, DAYS, MATURITY, TWICE, World, draw
from benchmarks.gate.payments_log import Traffic, impatient
from benchmarks.gate.procedures import passed, rows_until
from trainer.interval import PER

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.gate.ending import Ending
    from trainer.task import Task

_One = TypeVar("_One")
SEED = 20_130_801
PATIENCE = timedelta(days=7)
_LESS_THAN_NOTHING = 1e-9

LATE = {
    "blocks more": World(stops=0.6, stops_fraud=0.2, lets=0.0, lets_fraud=0.0, cap=2_000, friction=0.25),
    "blocks less": World(stops=0.0, stops_fraud=0.0, lets=0.6, lets_fraud=0.2, cap=2_000, friction=0.25),
}
"""One in five of the payments on which the two differ is fraud, and a good one costs a quarter of it."""
LATE_BETTER = {
    "blocks more": replace(LATE["blocks more"], stops_fraud=0.25),
    "blocks less": replace(LATE["blocks less"], lets_fraud=0.15),
}
HIDDEN = World(stops=0.3, stops_fraud=0.3, lets=0.3, lets_fraud=0.3, cap=500, friction=0.2)
"""What the candidate wins on payments that the champion lets through, it loses on those that are hidden."""
HIDDEN_BETTER = replace(HIDDEN, stops_fraud=0.7, lets_fraud=0.02)
_SHAPE = {"a_day": round(CARDS_A_DAY * (1 + TWICE)), "days": DAYS, "maturity": MATURITY.days}


@dataclass(frozen=True)
class Found:
    """What became of one stream that gains nothing.

    by_row: bets on single rows had passed an e-value of 20 after some row. naive: the control, and whether
    the gate's own guards would have held it at its end.
    """

    gate: Ending
    by_row: bool
    naive: Ending
    guarded: bool


def late(streams: int = 400, better: int = 100) -> dict[str, Any]:
    """Frauds are known after up to 30 days, good payments only when those are over."""
    return {
        **_SHAPE,
        "kinds": [
            {
                "candidate": name,
                **_nothing_gained(partial(late_null, name), streams),
                "better": _gained(partial(late_better, name), better, LATE_BETTER[name]),
            }
            for name in LATE
        ],
    }


def hidden(streams: int = 200, better: int = 50) -> dict[str, Any]:
    """The same, and what the champion blocks is never seen to be fraud, unless it is explored."""
    return {
        **_SHAPE,
        "kinds": [
            {
                "share": share,
                **_nothing_gained(partial(hidden_null, share), streams),
                "better": _gained(partial(hidden_better, share), better, HIDDEN_BETTER),
            }
            for share in SHARES
        ],
    }


def late_null(name: str, number: int) -> Found:
    """Stream `number` of those whose labels are late and nothing is gained; name: of `LATE`."""
    world = LATE[name]
    payments = draw(np.random.default_rng([SEED, [*LATE].index(name), number]), world, f"late-{number}")
    task = world.task()
    traffic = Traffic.of(payments, task)
    if world.stops:  # labels as they come
        control = replace(traffic, task=replace(_unguarded(task), maturity=timedelta(0)))
    else:  # good when nothing was heard for a week
        control = replace(
            traffic,
            task=replace(_unguarded(task), maturity=PATIENCE),
            report=impatient(payments, PATIENCE),
        )
    return _found(traffic, control)


def late_better(name: str, number: int) -> Ending:
    """Stream `number` of those whose labels are late and something is gained; name: of `LATE_BETTER`."""
    world = LATE_BETTER[name]
    payments = draw(np.random.default_rng([SEED, 2 + [*LATE].index(name), number]), world, f"late-{number}")
    return ask(Traffic.of(payments, world.task()))


def hidden_null(share: float, number: int) -> Found:
    """Stream `number` of those whose labels are hidden and nothing is gained; share: of what is explored."""
    payments = draw(np.random.default_rng([SEED, 4, number]), HIDDEN, f"hidden-{number}")
    traffic = Traffic.of(payments, HIDDEN.task(share))
    # Rows without outcome left out: the same log, by a task that does not say what hides outcomes.
    return _found(traffic, replace(traffic, task=_unguarded(HIDDEN.task())))


def hidden_better(share: float, number: int) -> Ending:
    """Stream `number` of those whose labels are hidden and something is gained; share: as above."""
    payments = draw(np.random.default_rng([SEED, 5, number]), HIDDEN_BETTER, f"hidden-{number}")
    return ask(Traffic.of(payments, HIDDEN_BETTER.task(share)))


def _unguarded(task: Task) -> Task:
    """The same without the verdicts on labels that lack or come late."""
    policy = replace(task.policy, min_labelled=_LESS_THAN_NOTHING, max_label_distance=1)
    return replace(task, policy=policy)


def _found(traffic: Traffic, control: Traffic) -> Found:
    naive = ask(control)
    return Found(
        gate=ask(traffic),
        by_row=bool(passed(traffic.units()[None])[0]),
        naive=naive,
        guarded=stands(naive.evidence, traffic.task.policy) == "doubt",
    )


def _nothing_gained(stream: Callable[[int], Found], streams: int) -> dict[str, Any]:
    found = _each(stream, streams)
    gate = [one.gate for one in found]
    return {
        "streams": streams,
        "promoted": sum(one.promoted for one in gate),
        "won": sum(one.won for one in gate),
        "held": Counter(one.held for one in gate if one.held),
        "stood": Counter(one.stood for one in gate if one.stood),
        "by_row": sum(one.by_row for one in found),
        "naive": sum(one.naive.promoted for one in found),
        "naive_days": float(np.median([one.naive.days for one in found])),
        "guarded": sum(one.naive.promoted and one.guarded for one in found),
    }


def _gained(stream: Callable[[int], Ending], streams: int, world: World) -> dict[str, Any]:
    endings = _each(stream, streams)
    days = np.array([one.days if one.promoted else DAYS + 1 for one in endings])
    return {
        "streams": streams,
        "days": DAYS,
        "gain_per_1000": PER * world.gain,
        "promoted": sum(one.promoted for one in endings),
        "half": rows_until(days, 0.5),
        "most": rows_until(days, 0.8),
        "stood": Counter(one.stood for one in endings if one.stood),
    }


def _each(stream: Callable[[int], _One], streams: int) -> list[_One]:
    """What becomes of so many streams, on all cores."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes:
        return list(processes.map(stream, range(streams), chunksize=5))
