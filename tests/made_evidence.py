"""Evidence as the gate is given it, made by hand: complete and winning, but for what a test changes."""

from dataclasses import replace

import numpy as np

from sidecar.domain import ModelId
from trainer.betting import BETS, log_capital
from trainer.budget import ErrorShare
from trainer.days import DAY_NS
from trainer.evidence import FAILURE_KINDS, Accounting, Cycle, Evidence, Quality, Query, Stakes
from trainer.gate import Policy, decide
from trainer.hidden_outcomes import HiddenOutcomes
from trainer.interval import Day
from trainer.late_outcomes import LateOutcomes
from trainer.latency import Latency, Quantile, Quantiles

POLICY = Policy(latency_budget_us=150, largest_unit_loss=100, cycle_days=1, deadline_days=30, min_rows=500)
CHAMPION, CANDIDATE = ModelId("t", "champion", "c" * 64), ModelId("t", "candidate", "a" * 64)
FLAT = tuple(0.0 for _ in BETS)


def days(*gains: float, decisions=200, changed=100) -> tuple[Day, ...]:
    """One day for each gain."""
    return tuple(
        Day(f"2024-01-{number:02}", decisions, changed, 0.0, gain, gain)
        for number, gain in enumerate(gains, 1)
    )


def cycles(*gains: float) -> tuple[Cycle, ...]:
    """The bets after each of these days, against a largest loss of 100."""
    units = np.array(gains) / 100
    return tuple(
        Cycle(
            f"2024-01-{number:02}",
            number,
            float(sum(gains[:number])),
            log_capital(units[:number]),
            log_capital(np.maximum(-units[:number], -1)),
        )
        for number in range(1, len(gains) + 1)
    )


def accounting(served=1200, valued=None, whole_days=12, **failures) -> Accounting:
    valued = served - sum(failures.values()) if valued is None else valued
    return Accounting(0, whole_days * DAY_NS, served, valued, {**dict.fromkeys(FAILURE_KINDS, 0), **failures})


def bets(times: int, unit: float) -> tuple[float, ...]:
    return log_capital(np.full(times, unit))


FAST = bets(600, 0.01)


def latency(*, over=0, within=FAST, beyond=FLAT, p99=60.0) -> Latency:
    one = Quantile(20.0, 19.0, 21.0)
    quick = Quantiles(one, Quantile(60.0, 55.0, 66.0), one)
    slow = Quantiles(one, Quantile(p99, p99 - 5, p99 + 5), one)
    return Latency(12_000, Quantile(150, 150, 150), 20, over, 0, within, beyond, quick, slow, quick, slow)


GAINS = (80.0, 90.0, 70.0, 85.0, 60.0, 95.0, 88.0, 75.0, 92.0, 81.0, 79.0, 84.0)


def gained(*gains: float) -> dict:
    return {"days": days(*gains), "cycles": cycles(*gains)}


def hidden(**changes) -> HiddenOutcomes:
    """Acting hid 100 outcomes; 9 rows were explored, each of which stands for 11."""
    return replace(HiddenOutcomes("act", 100, 0, 30, 9, 9, 11.0, 2.5), **changes)


def stakes(**changes) -> Stakes:
    sound = Stakes("", 5.0, 100.0, 4.0, 0, 99.0, 0, -40.0, None)
    return replace(sound, **changes)


def evidence(**changes) -> Evidence:
    """Complete evidence of a candidate that earns about 80 a day more."""
    quality = Quality(0.0, 0.1, 0.8, 0.7)
    sound = Evidence(
        task="t",
        champion=CHAMPION,
        candidate=CANDIDATE,
        query=Query(20 * DAY_NS, DAY_NS, POLICY.digest),
        signature_digest="s",
        costs_digest="m",
        currency="USD",
        hidden=None,
        share=ErrorShare(0, 1),
        first_scored_ns=0,
        trained_until_ns=None,
        received_since_ns=0,
        earlier=(),
        own=None,
        cut=False,
        shadowed=accounting(1400),
        judged=accounting(1200),
        unmatured=200,
        labelled=1200,
        late=LateOutcomes(240, 0, 960, 0),
        joined=1200,
        losses=40,
        representation=None,
        stakes=stakes(),
        slices_tried=3,
        slices=(),
        findings=(),
        champion_quality=quality,
        candidate_quality=quality,
        latency=latency(),
        noise=None,
        **gained(*GAINS),
    )
    return replace(sound, **changes)


def judge(policy=POLICY, **changes):
    return decide(evidence(**changes), policy, decided_ns=7, actor="tester")
