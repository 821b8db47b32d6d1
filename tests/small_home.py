"""A sidecar's home for the small task: the trainer's commands work on it, and traffic comes to it."""

import json
import time

import numpy as np
from click.testing import CliRunner
from small_log import outcomes, write_log
from small_task import SIGNATURE, traffic

from sidecar.canary import is_drawn
from sidecar.domain import Failure, ScoreBatch, ServedBatch, to_ids
from sidecar.registry import Registry
from sidecar.session import load_model
from trainer.cli import main


class Home:
    """A sidecar's home, with commands that work on it and traffic that comes to it."""

    def __init__(self, path):
        self.path = path
        self.config = path / "sidecar.toml"
        self.config.write_text('home = "var"\n')
        self.next_day = 30

    @property
    def registry(self):
        return Registry(self.path / "var" / "registry.db")

    def command(self, *arguments):
        return CliRunner().invoke(
            main, [*arguments, "--config", str(self.config), "--actor", "tester", "--patience", "0"]
        )

    def json(self, *arguments):
        result = self.command(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def error(self, *arguments):
        result = self.command(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        lines = result.stderr.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("error: ")
        return lines[0]

    def live(self, days=5, known=None):
        """Serve so many days with what is deployed, as the sidecar would, and record all outcomes.

        known: tells from traffic and decisions which rows get one. Gives the traffic.
        """
        rows = traffic(self.next_day, days)
        self.next_day += days
        with self.registry as registry:
            deployment = registry.deployment()
        canary = deployment.canary
        drawn = np.array([bool(canary) and is_drawn(one, canary.share) for one in rows.request_ids])
        now_ns = time.time_ns()
        parts = [(deployment.champion, np.flatnonzero(~drawn))]
        if canary:
            parts.append((canary.ref, np.flatnonzero(drawn)))
        decision = np.zeros(len(drawn), bool)
        batches, scores = [], []
        # The champion scores what a canary answers in its place; nobody scores what it answered itself.
        others = {one.model: one for one in (*deployment.shadows, deployment.champion)}
        for ref, own in parts:
            batch = answered(ref, rows, own, now_ns)
            decision[own] = batch.decision
            batches.append(batch)
            scores += [scored(one, batch) for one in others.values() if one.model != ref.model]
        write_log(
            self.path / "var" / "log.db", batches, scores, [outcomes(rows, known and known(rows, decision))]
        )
        return rows


def answered(ref, rows, own, now_ns):
    """The rows `own` of the traffic, as the model of `ref` answers them: one after the other, from now on."""
    blocks = SIGNATURE.pack_columns({name: column[own] for name, column in rows.columns.items()})
    request_ids = [rows.request_ids[row] for row in own.tolist()]
    model = load_model(ref.path)
    served = model.run(blocks)
    nothing = np.zeros(len(own), np.int64)
    return ServedBatch(
        model=ref.model,
        request_ids=to_ids(request_ids),
        client=np.full(len(own), "", object),
        received_ns=now_ns + own,
        event_ns=rows.event_ns[own],
        group=np.arange(len(own)),
        blocks=blocks,
        features=served.features,
        score=served.score,
        decision=served.decision,
        propensity=model.bundle.exploration.propensity(request_ids, served.decision),
        queue_ns=nothing,
        failed_ns=nothing,
        infer_ns=nothing + 20_000,
        cpu_ns=nothing + 10_000,
    )


def scored(ref, batch):
    """What the model of `ref` makes of a batch in the shadow."""
    found = load_model(ref.path).run(batch.blocks)
    nothing = np.zeros(len(batch), np.int64)
    return ScoreBatch(
        model=ref.model,
        champion=batch.model,
        request_ids=batch.request_ids,
        score=found.score,
        decision=found.decision,
        infer_ns=nothing + 40_000,
        cpu_ns=nothing + 20_000,
        failures=((Failure.NONE, ""),),
        failure_rows=nothing,
    )
