"""How a stream of payments ends when the gate is asked about it again and again while labels arrive.

The stream is written into a log of its own and judged by the functions that `trainer watch` calls. The bets
stand still between the ends of cycles, so whoever has not won them at one is asked about at the next; whoever
has, and is held by something else, every day.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gate.payments import START_NS
from benchmarks.gate.payments_log import CANDIDATE, CHAMPION
from sidecar.registry import Look
from sidecar.store.log import LogStore
from sidecar.store.reader import LogReader
from trainer.betting import e_value
from trainer.budget import ErrorShare
from trainer.days import DAY_NS
from trainer.gate import Action, decide
from trainer.gather import Known, gather
from trainer.stints import Stint
from trainer.vetoes import doubts, faults, gaps, objections

if TYPE_CHECKING:
    from collections.abc import Generator

    from benchmarks.gate.payments_log import Traffic
    from trainer.evidence import Evidence
    from trainer.gate import Decision
    from trainer.policy import Policy

ALONE = ErrorShare(0, 1)
"""Of one candidate by itself: an e-value of 40 promotes at an error of 5 %."""
BETS = "bets"
"""Nothing stood against a promotion but that the bets had not won."""


@dataclass(frozen=True)
class Ending:
    """The end of a stream.

    days: after which it came. promoted: how it came; otherwise the candidate was turned down, because it lost
    or for its deadline. stood: what stood against a promotion then, see `stands`. won: the bets had reached
    what promotes at the end of some cycle; held: what stood against a promotion when they first had, ""
    where nothing did. evidence: the last.
    """

    days: int
    promoted: bool
    stood: str
    won: bool
    held: str
    evidence: Evidence


def ask(traffic: Traffic, *, every_day: bool = False) -> Ending:
    """Ask the gate until it promotes or turns down.

    every_day: on each day that has matured, also while the bets stand still.
    """
    policy = traffic.task.policy
    won, held = False, ""
    with closing(_looks(traffic, every_day=every_day)) as looks:
        for days, evidence, decision in looks:
            promoted = decision.action is Action.PROMOTE
            stood = "" if promoted else stands(evidence, policy)
            if not won and decision.e_value >= decision.wanted:
                won, held = True, stood
            if decision.action is not Action.HOLD:
                return Ending(days, promoted, stood, won, held, evidence)
    raise AssertionError("the gate turns down who is undecided at the deadline")


def stands(evidence: Evidence, policy: Policy) -> str:
    """What stands against a promotion, in the gate's order: "fault", "doubt", "loss", "objection" or "gap".

    "loss": the bets against the candidate have won. `BETS` where there is nothing else.
    """
    kinds = {
        "fault": bool(faults(evidence, policy)),
        "doubt": bool(doubts(evidence, policy)),
        "loss": any(e_value(cycle.losing) >= 1 / policy.error for cycle in evidence.cycles),
        "objection": bool(objections(evidence, policy)),
        "gap": bool(gaps(evidence, policy)),
    }
    return next((kind for kind, found in kinds.items() if found), BETS)


def _looks(traffic: Traffic, *, every_day: bool) -> Generator[tuple[int, Evidence, Decision]]:
    """The looks at a stream until its deadline: after how many days, what was found, what was decided."""
    task, policy = traffic.task, traffic.task.policy
    written = 0
    looks: list[Look] = []
    known = Known(
        shares={CANDIDATE.digest: ALONE},
        stints={CANDIDATE.digest: (Stint(CANDIDATE, START_NS, trained_until_ns=START_NS - DAY_NS),)},
        looks=looks,
    )
    won = False
    with tempfile.TemporaryDirectory() as folder, closing(LogStore(Path(folder, "log.db"))) as store:
        store.open_run(store.new_ledger())
        for matured in range(1, policy.deadline_days + 1):
            if not (won or every_day or matured % policy.cycle_days == 0):
                continue
            days = matured + task.maturity.days
            traffic.write(store, written, days)
            written = days
            as_of_ns = START_NS + days * DAY_NS - 1
            with LogReader(store.path) as reader:
                (evidence,) = gather(task, reader, CHAMPION, [CANDIDATE], as_of_ns=as_of_ns, known=known)
                looks.append(Look(as_of_ns, reader.logged_ns))
            decision = decide(evidence, policy, decided_ns=as_of_ns, actor="benchmark")
            won = decision.e_value >= decision.wanted
            yield days, evidence, decision
