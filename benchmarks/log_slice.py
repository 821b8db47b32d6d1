"""What the log gives: a million rows joined with their outcomes and scores, and the same rows scored again.

512 rows a call, because a million calls of one row would take minutes.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import machine
from benchmarks.log_home import Home, record, running_home
from benchmarks.log_model import MIXED
from benchmarks.log_traffic import Traffic, send
from sidecar.domain import Outcome, to_texts
from sidecar.session import load_model
from sidecar.signature import Blocks
from sidecar.store.reader import LogReader
from sidecar.store.seal import seal
from trainer.join import read_candidate, read_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.results import Plan

_ROWS = 1_000_000
_ROWS_A_CALL = 512
_LABELLED = 0.8
_OUTCOMES_A_CALL = 10_000
_READS = 3


def measure(plan: Plan, only: Sequence[str] = ()) -> None:  # noqa: ARG001 - there is one kind of rows
    """Measure and save "log_slice"."""
    context = machine.describe()
    plan.save("log_slice", {**context, **_slice(int(_ROWS * plan.scale))})


def _slice(rows: int) -> dict[str, Any]:
    """Read a million rows with their outcomes and scores, from SQLite and from Parquet; score them again."""
    print(f"{rows:,} rows, {_ROWS_A_CALL} a call", flush=True)
    with running_home(MIXED, ring_rows=rows + _ROWS_A_CALL) as home:
        send(Traffic(home.target, MIXED.name, rows, _ROWS_A_CALL))
        recorded = record(home, rows)
        _report_outcomes(home, rows)
        hot = _read(home)
        moved = seal(home.log, home.path / "registry.db")
        sealed = _read(home)
        return {
            "rows": rows,
            "recorded": recorded,
            "hot": hot,
            "sealed": sealed,
            "sealed_bytes": moved.bytes,
            "again": _score_again(home),
        }


def _report_outcomes(home: Home, rows: int) -> None:
    ledger = home.store.new_ledger()
    home.store.open_run(ledger)
    rng = np.random.default_rng(1)
    with LogReader(home.log) as reader:
        parts = [part.columns for part in reader.served_parts(("request_ids", "event_ns"))]
    ids = np.concatenate([part["request_ids"] for part in parts])
    event_ns = np.concatenate([part["event_ns"] for part in parts])
    chosen = rng.permutation(rows)[: int(_LABELLED * rows)]
    outcomes = [
        Outcome(request_id, float(label), None, observed_ns)
        for request_id, label, observed_ns in zip(
            to_texts(ids[chosen]),
            rng.integers(0, 2, len(chosen)).tolist(),
            (event_ns[chosen] + 1).tolist(),
            strict=True,
        )
    ]
    for start in range(0, len(outcomes), _OUTCOMES_A_CALL):
        home.store.write([], [], [outcomes[start : start + _OUTCOMES_A_CALL]])
    home.store.close_run()
    ledger.close()


def _read(home: Home) -> dict[str, Any]:
    """The joined slice as the gate reads it: fields, scores, decisions, times, labels, both candidates."""
    champion, *candidates = (bundle.model.digest for bundle in home.bundles)
    seconds, cpu = [], []
    for _ in range(_READS):
        begun, begun_cpu = time.perf_counter(), time.process_time()
        with LogReader(home.log) as reader:
            rows = read_rows(reader, home.shape.signature, timedelta(0), champion=champion)
            scored = [read_candidate(reader, each, champion, rows) for each in candidates]
        seconds.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - begun_cpu)
    return {
        "rows": len(rows),
        "labelled": int(np.count_nonzero(rows.labelled)),
        "scored": [int(np.count_nonzero(each.valued)) for each in scored],
        "seconds": seconds,
        "cpu_seconds": cpu,
    }


def _score_again(home: Home) -> dict[str, Any]:
    """Run the champion's bundle on the raw fields of every logged row; count rows that differ in a bit."""
    model = load_model(home.bundles[0].path)
    rows = features = scores = decisions = 0
    with LogReader(home.log) as reader:
        names = ("numbers", "integers", "texts", "features", "score", "decision")
        for part in reader.served_parts(names):
            logged = part.columns
            made = model.run(Blocks(logged["numbers"], logged["integers"], logged["texts"]))
            rows += len(made.score)
            differs = made.features.view(np.uint32) != logged["features"].view(np.uint32)
            features += int(np.count_nonzero(differs.any(axis=1)))
            scores += int(np.count_nonzero(made.score.view(np.uint32) != logged["score"].view(np.uint32)))
            decisions += int(np.count_nonzero(made.decision != logged["decision"]))
    return {
        "rows": rows,
        "features_differ": features,
        "scores_differ": scores,
        "decisions_differ": decisions,
    }
