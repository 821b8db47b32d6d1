"""A real sidecar that explores, an application that does as it is told, and a gate that can then decide."""

import json
from pathlib import Path

import exploring_task
import numpy as np
from exploring_task import task
from sidecar_process import SidecarProcess, run_cli, wait_until
from small_task import HISTORY_DAYS, SIGNATURE, traffic
from trainer_process import trainer

from sidecar.bundle import open_bundle
from sidecar.client import Client, Record
from sidecar.domain import Outcome
from sidecar.exploration import is_explored
from sidecar.session import load_model

TASK = str(Path(exploring_task.__file__))
DAYS = 12


def serve(sidecar, rows):
    """Do as the replies say: only where they say pass does anybody learn what became of it."""
    count = len(rows.request_ids)
    with Client(sidecar.target, deadline=60) as client:
        records = (
            Record(rows.record(row), rows.request_ids[row], int(rows.event_ns[row])) for row in range(count)
        )
        replies = list(client.predict_many(records))
        client.record_outcomes(
            [
                Outcome(reply.request_id, float(rows.label[row]), None, int(rows.known_ns[row]))
                for row, reply in enumerate(replies)
                if not reply.decision
            ]
        )
    return replies


def test_a_champion_that_explores_lets_the_gate_judge_what_it_hides(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    first = trainer(home, "run", TASK, "--patience", "0")["promoted"]
    bundle = open_bundle(next((home / "bundles").glob(f"{first['digest']}*")))
    assert bundle.exploration == task.exploration
    rows = traffic(HISTORY_DAYS, DAYS)
    with SidecarProcess(home) as sidecar:
        snapshot = bundle.manifest["snapshot"]
        trees = trainer(home, "fit", TASK, "--snapshot", snapshot, "--recipe", "trees")["fitted"][0]["bundle"]
        trainer(home, "shadow", trees)
        replies = serve(sidecar, rows)
        rule = load_model(bundle.path).run(SIGNATURE.pack_columns(rows.columns)).decision
        explored = is_explored(task.exploration.propensity(rows.request_ids, rule))
        assert [reply.explored for reply in replies] == explored.tolist()
        assert [reply.decision for reply in replies] == (rule != explored).tolist()

        def is_recorded():
            found = json.loads(run_cli("status", "--json", home=home).stdout)
            waits = any(one["queued"] for one in found["shadows"])
            return found["written"] == found["served"] == len(replies) and not waits

        wait_until(is_recorded)
        place = int(np.flatnonzero(explored)[0])
        said = run_cli("log", "show", rows.request_ids[place], home=home).stdout
        assert "act (explored: pass)" in said

        decision = trainer(home, "decide", TASK)["decisions"][0]
        assert decision["action"] == "promote", decision["reasons"]
        evidence = decision["evidence"]
        assert evidence["hidden"]["without_chance"] == 0
        assert evidence["hidden"]["explored"] == evidence["hidden"]["explored_labelled"] > 50
        assert evidence["labelled"] + evidence["hidden"]["hidden"] == evidence["judged"]["served"]
        assert sidecar.stop() == 0
