"""A sidecar's home for the small task: the trainer's commands work on it, and traffic comes to it."""

import json

import numpy as np
from click.testing import CliRunner
from small_log import outcomes, write_log
from small_task import SIGNATURE, traffic

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
        blocks = SIGNATURE.pack_columns(rows.columns)
        champion = load_model(deployment.champion.path)
        served = champion.run(blocks)
        count = len(blocks)
        nothing = np.zeros(count, np.int64)
        batch = ServedBatch(
            model=deployment.champion.model,
            request_ids=to_ids(rows.request_ids),
            client=np.full(count, "", object),
            received_ns=rows.event_ns,
            event_ns=rows.event_ns,
            group=np.arange(count),
            blocks=blocks,
            features=served.features,
            score=served.score,
            decision=served.decision,
            propensity=champion.bundle.exploration.propensity(rows.request_ids, served.decision),
            queue_ns=nothing,
            infer_ns=nothing + 20_000,
            cpu_ns=nothing + 10_000,
        )
        scores = []
        for ref in deployment.shadows:
            scored = load_model(ref.path).run(blocks)
            scores.append(
                ScoreBatch(
                    model=ref.model,
                    champion=batch.model,
                    request_ids=to_ids(rows.request_ids),
                    score=scored.score,
                    decision=scored.decision,
                    infer_ns=nothing + 40_000,
                    cpu_ns=nothing + 20_000,
                    failures=((Failure.NONE, ""),),
                    failure_rows=np.zeros(count, np.int64),
                )
            )
        reported = outcomes(rows, known and known(rows, served.decision))
        write_log(self.path / "var" / "log.db", [batch], scores, [reported])
        return rows
