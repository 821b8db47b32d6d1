"""Renders docs/skew.md: mistakes planted into real days of flights, and days that are as they were.

    python examples/flights/skew_page.py

The champion is fitted on what was known on 16 March. For each line of the page a log is written of one day
and the seven before it: every row answered by the champion, and signed by a client version. On a planted day
half of the rows come from a new version. Then the audit looks, as `trainer skew` does.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from flights_data import Flights, load_flights, new_york_ns
from planted_skew import PLANTS, Plant

from sidecar.config import Config
from sidecar.domain import ServedBatch, to_ids
from sidecar.findings import FindingStore
from sidecar.lifecycle import Reason
from sidecar.registry import Registry
from sidecar.session import load_model
from sidecar.store.log import LogStore
from trainer.days import DAY_NS, iso_minute
from trainer.fit import fit_candidate
from trainer.promote import promote_first
from trainer.skew.audit import Auditor
from trainer.snapshot import from_history
from trainer.task import load_task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sidecar.findings import Finding

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "skew.md"
SEED = 20130316
TRAINED_UNTIL = "2013-03-16"
PLANTED_ON = "2013-07-10"
CLEAN_BETWEEN = ("2013-03-24", "2013-12-24")
CLEAN_DAYS = {SEED: 5, SEED + 2: 6, SEED + 3: 6}
"""How many days are drawn with each seed. All but the last were looked at while the audit was made."""
MENDED_ON = (SEED + 100, 40)
"""Seed and number of days that were looked at besides, with a client at each airport: not on the page."""
OLD, NEW = "desk/1.0", "desk/1.1"


@dataclass(frozen=True)
class Look:
    """What the audit said about one log. seconds: CPU time of the look."""

    name: str
    rows: int
    compared: int
    found: Sequence[Finding]
    since_ns: int
    seconds: float


class Stage:
    """A home with a champion, in which logs are written and audited one after another."""

    def __init__(self, home: Path) -> None:
        self.config = Config(home=home)
        self.flights = load_flights()
        task = load_task(Path(__file__).with_name("task.py"))
        snapshot = from_history(task, new_york_ns(TRAINED_UNTIL), root=self.config.snapshots_path)
        bundle = fit_candidate(task, task.champion, snapshot, bundles=self.config.bundles_path).bundle
        with Registry(self.config.registry_path) as registry:
            promote_first(registry, bundle.path, Reason("skew page", "to audit"))
        self.model = load_model(bundle.path)
        self.signature = task.signature

    def look(
        self,
        name: str,
        day: str,
        clients: Callable[[Flights, NDArray[np.bool_]], NDArray[np.object_]],
        plant: Plant | None = None,
        earlier: int = 7,
    ) -> Look:
        """Write the log of a day and the days before it, and audit it."""
        start_ns = new_york_ns(day)
        flights = self.flights.between(start_ns - earlier * DAY_NS, start_ns + DAY_NS)
        today = flights.event_ns >= start_ns
        client = clients(flights, today)
        wrong = np.equal(client, NEW)
        if plant is not None:
            changed = plant.changes(flights.take(wrong), self.flights)
            columns = {field: column.copy() for field, column in flights.columns.items()}
            for field, column in changed.items():
                columns[field][wrong] = column
            flights = dataclasses.replace(flights, columns=columns)
        first_wrong = int(flights.event_ns[wrong][0]) if wrong.any() else start_ns
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            home = Path(folder)
            (home / "snapshots").symlink_to(self.config.snapshots_path)
            self._log(home, flights, client)
            registry = stack.enter_context(Registry(self.config.registry_path))
            findings = stack.enter_context(FindingStore(home / "findings.db"))
            began = time.process_time()
            audits = Auditor(Config(home=home), registry, findings).look()
            seconds = time.process_time() - began
        found = [finding for audit in audits for finding in audit.found]
        rows, compared = int(today.sum()), sum(audit.compared for audit in audits)
        print(f"{name}: {[finding.text for finding in found]}", flush=True)
        return Look(name, rows, compared, found, first_wrong, seconds)

    def _log(self, home: Path, flights: Flights, client: NDArray[np.object_]) -> None:
        store = LogStore(home / "log.db")
        ledger = store.new_ledger()
        ledger.offer(len(flights))
        store.open_run(ledger)
        store.write([self._answered(flights, client)], [], [])
        store.close_run()
        store.close()
        ledger.close()

    def _answered(self, flights: Flights, client: NDArray[np.object_]) -> ServedBatch:
        blocks = self.signature.pack_columns(flights.columns)
        made = self.model.run(blocks)
        rows = len(flights)
        nothing = np.zeros(rows, np.int64)
        return ServedBatch(
            model=self.model.bundle.model,
            request_ids=to_ids(flights.request_ids.tolist()),
            client=client,
            received_ns=flights.event_ns,
            event_ns=flights.event_ns,
            group=nothing,
            blocks=blocks,
            features=made.features,
            score=made.score,
            decision=made.decision,
            propensity=np.ones(len(flights), np.float32),
            queue_ns=nothing,
            failed_ns=nothing,
            infer_ns=nothing,
            cpu_ns=nothing,
        )


def half(flights: Flights, today: NDArray[np.bool_]) -> NDArray[np.object_]:
    """A new version sends every other row of the day, by chance."""
    new = today & (np.random.default_rng(SEED).random(len(flights)) < 1 / 2)
    return np.where(new, NEW, OLD).astype(object)


def replaced(_: Flights, today: NDArray[np.bool_]) -> NDArray[np.object_]:
    """A new version sends all rows of the day."""
    return np.where(today, NEW, OLD).astype(object)


def one(flights: Flights, _: NDArray[np.bool_]) -> NDArray[np.object_]:
    """One version all the time."""
    return np.full(len(flights), OLD, object)


def airports(flights: Flights, _: NDArray[np.bool_]) -> NDArray[np.object_]:
    """A client of its own at each airport."""
    return np.array([f"desk-{airport}/1.0" for airport in flights.columns["origin"]], object)


def clean_days(seed: int) -> Sequence[str]:
    """Days drawn by chance, in order; with the last seed none that was looked at."""
    first, last = (np.datetime64(day) for day in CLEAN_BETWEEN)
    days = [str(day) for day in np.arange(first, last)]
    *shown, fresh = CLEAN_DAYS
    if seed == fresh:
        looked_at = {PLANTED_ON, *(day for other in shown for day in _drawn(days, other, CLEAN_DAYS[other]))}
        days = [day for day in days if day not in looked_at]
        mended_on = set(_drawn(days, *MENDED_ON))
        days = [day for day in days if day not in mended_on]
    return _drawn(days, seed, CLEAN_DAYS[seed])


def _drawn(days: Sequence[str], seed: int, number: int) -> Sequence[str]:
    return sorted(np.random.default_rng(seed).choice(days, number, replace=False).tolist())


def main() -> None:
    """Run everything and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        planted = [(plant, stage.look(plant.name, PLANTED_ON, half, plant)) for plant in PLANTS]
        clean = [
            stage.look(f"{day}, {name}", day, clients, earlier=earlier)
            for seed in CLEAN_DAYS
            for day in clean_days(seed)
            for name, clients, earlier in (
                ("half of the rows from a new version", half, 7),
                ("all rows from a new version", replaced, 7),
                ("one client at each airport", airports, 7),
                ("one version, nothing logged before", one, 0),
            )
        ]
    PAGE.write_text(render(planted, clean))


def render(planted: Sequence[tuple[Plant, Look]], clean: Sequence[Look]) -> str:
    """The page."""
    named = sum(is_named(plant, look) for plant, look in planted)
    kinds = sorted({plant.kind for plant, _ in planted})
    of_kind = {
        kind: [is_named(plant, look) for plant, look in planted if plant.kind == kind] for kind in kinds
    }
    quiet = sum(not look.found for look in clean)
    false = sum(len(look.found) for look in clean)
    whole = sum(all(each) for each in of_kind.values())
    fresh = clean[-4 * CLEAN_DAYS[SEED + 3] :]
    summary = (
        f"**{whole} of {len(kinds)} kinds named, {named} of {len(planted)} plants; "
        f"{false} findings on {len(clean)} clean logs, "
        f"{sum(len(look.found) for look in fresh)} of them on {len(fresh)} of days not looked at before.**"
    )
    lines = [
        "# Skew, planted and not",
        "",
        "Written by `python examples/flights/skew_page.py`. "
        + " ".join((__doc__ or "").split("\n\n")[2].split()),
        f"Who sends which row, and the clean days, are drawn with seed {SEED}; nothing else is random.",
        f"The last {CLEAN_DAYS[SEED + 3]} clean days were not looked at before.",
        f"The others were while the audit was made, and {MENDED_ON[1]} more, with a client at each airport.",
        "",
        summary,
        "",
        f"## Planted on {PLANTED_ON}, four months after training",
        "",
        "| planted into half of the rows | found | client | since (the first wrong row) | rows | CPU s |",
        "|---|---|---|---|---:|---:|",
        *(_planted_row(plant, look) for plant, look in planted),
        "",
        "## As it was",
        "",
        "| day | rows | computed again, equal bit for bit | findings |",
        "|---|---:|---:|---|",
        *(
            f"| {look.name} | {look.rows:,} | {look.compared:,} | {_list(look.found) or 'none'} |"
            for look in clean
        ),
        "",
        f"{quiet} of {len(clean)} logs are without a finding.",
        "",
    ]
    return "\n".join(lines)


def is_named(plant: Plant, look: Look) -> bool:
    """Whether the mistake, and nothing else, was named, with its fields and its client."""
    return [(each.what, tuple(each.evidence["fields"]), each.evidence["clients"]) for each in look.found] == [
        (plant.kind, plant.fields, [NEW])
    ]


def _planted_row(plant: Plant, look: Look) -> str:
    clients = sorted({client for each in look.found for client in each.evidence["clients"]})
    since = ", ".join(iso_minute(each.since_ns)[11:] for each in look.found) or "-"
    rows = ", ".join(f"{each.evidence['rows']:,}" for each in look.found) or "-"
    return (
        f"| {plant.name} | {_list(look.found) or '**nothing**'} | {', '.join(clients) or '-'} | "
        f"{since} ({iso_minute(look.since_ns)[11:]}) | {rows} | {look.seconds:.1f} |"
    )


def _list(found: Sequence[Finding]) -> str:
    return "; ".join(f"{each.what}: {each.text.split(' by ')[0]}" for each in found)


if __name__ == "__main__":
    main()
