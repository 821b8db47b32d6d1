"""A real sidecar that explores, an application that does as it is told, and a gate that can then decide."""

from pathlib import Path

import numpy as np
import tiny_exploring_task
from sidecar_process import SidecarProcess, run_cli, wait_until
from small_task import START_NS
from tiny_bundles import SIGNATURE, row, tiny_bundle
from tiny_exploring_task import task
from trainer_process import trainer

from sidecar.client import Client, Record
from sidecar.domain import Outcome
from sidecar.exploration import is_explored
from sidecar.session import load_model
from sidecar.store.reader import LogReader
from trainer.days import DAY_NS

TASK = str(Path(tiny_exploring_task.__file__))
DAYS, ROWS = 60, 1_500
FIELDS = [row(x=number % 7 - 3.0) for number in range(ROWS)]
IDS = [f"r{number}" for number in range(ROWS)]
LAST = "long-after"
SOON_NS = 60 * 10**9


def positive(number: int) -> bool:
    """What the candidate, whose weight has the other sign, acts on, and the champion most often does not."""
    return FIELDS[number]["x"] <= 0


def event_ns(number: int) -> int:
    return START_NS + number % DAYS * DAY_NS + number


def serve(target):
    """Do as the replies say: only where they say pass does anybody learn what became of it."""
    records = [
        Record(fields, key, event_ns(number))
        for number, (fields, key) in enumerate(zip(FIELDS, IDS, strict=True))
    ]
    with Client(target, deadline=60) as client:
        replies = list(client.predict_many(records))
        client.record_outcomes(
            Outcome(reply.request_id, float(positive(number)), None, event_ns(number) + SOON_NS)
            for number, reply in enumerate(replies)
            if not reply.decision
        )
        client.predict(row(), request_id=LAST, event_ns=START_NS + (DAYS + 1) * DAY_NS)
    return replies


def test_a_champion_that_explores_lets_the_gate_judge_what_it_hides(tmp_path):
    home = tmp_path / "home"
    champion = tiny_bundle(home / "bundles", "champion", facts={"exploration": task.exploration.to_json()})
    candidate = tiny_bundle(home / "bundles", "candidate", weight=-2.0)
    columns = {name: [fields[name] for fields in FIELDS] for name in FIELDS[0]}
    rule = load_model(champion.path).run(SIGNATURE.pack_columns(columns)).decision
    explored = is_explored(task.exploration.propensity(IDS, rule))
    with SidecarProcess(home, SIDECAR_SHADOW_COPY_SHARE="0") as sidecar:
        trainer(home, "promote", str(champion.path), "--first", "--why", "to begin with")
        trainer(home, "shadow", candidate.model.digest)
        replies = serve(sidecar.target)
        assert [reply.explored for reply in replies] == explored.tolist()
        assert [reply.decision for reply in replies] == (rule != explored).tolist()

        def is_recorded():
            with LogReader(home / "log.db") as log:
                counts = log.counts()
            return counts.served == counts.scores == ROWS + 1

        wait_until(is_recorded)
        said = run_cli("log", "show", IDS[int(np.flatnonzero(explored)[0])], home=home).stdout
        assert "act (explored: pass)" in said
        decision = trainer(home, "decide", TASK)["decisions"][0]
        assert sidecar.stop() == 0
    assert decision["action"] == "promote", decision["reasons"]
    evidence = decision["evidence"]
    assert evidence["hidden"]["without_chance"] == 0
    assert evidence["hidden"]["explored"] == evidence["hidden"]["explored_labelled"] == explored.sum()
    assert evidence["hidden"]["hidden"] == (rule & ~explored).sum()
    assert evidence["labelled"] + evidence["hidden"]["hidden"] == evidence["judged"]["served"] == ROWS
