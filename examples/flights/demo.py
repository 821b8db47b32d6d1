"""The whole loop on real flights: train, serve, log, retrain, shadow, decide, swap under load, roll back.

Everything is done by the commands that a user would type, each in a process of its own, against a sidecar in
a process of its own. This file only drives the traffic, in the order in which it happened in 2013, and tells
the story. Nothing is tuned to make a candidate win: what is printed is what the data says.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import uvloop
from flights_data import Flights, load_flights, new_york_ns
from replay import Replay
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from traffic import Traffic

from sidecar.session import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replay import Answer, Tally

ROOT = Path(__file__).resolve().parents[2]
TASK = "examples/flights/task.py"
HOME = ROOT / "var" / "demo"
CONFIG = "var/demo/sidecar.toml"
BIN = Path(sys.executable).parent

CHAMPION_UNTIL = "2013-03-16"  # the first champion knows the flights before this day
RETRAIN_AT = "2013-05-01"  # what the sidecar logged until then is added for the retraining
# The gate looks at these ends of traffic, until somebody earns promotion. At the last one the last cycle
# before the policy's deadline has matured, so nobody is left undecided.
SLICES = ("2013-05-31", "2013-06-30", "2013-08-03")
RATE = 1_400.0  # requests a second while logging
SHADOW_RATE = 1_000.0  # while candidates share the two cores
DRAIN_LOOKS = 20  # a second apart: how long to wait for shadows that lag behind
SWAP_RATE = 500.0  # while the trainer's commands run beside

CONFIG_TEXT = """\
# Written by the demo.
home = "."
"""

console = Console(highlight=False)
if not console.is_terminal:
    console = Console(highlight=False, width=110)


@dataclass
class Story:
    """What the summary is made of. decisions: the last one on each candidate, by version."""

    began: float = field(default_factory=time.perf_counter)
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    tallies: list[Tally] = field(default_factory=list)
    swaps: list[str] = field(default_factory=list)
    looks: int = 0
    mixed: int = 0
    status: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


def chapter(text: str) -> None:
    """Begin a part of the story."""
    console.print()
    console.rule(f"[bold]{text}", align="left")


async def command(*words: str, shown: bool = True) -> dict[str, Any]:
    """Show a command, run it, and return its JSON; end the demo when it fails."""
    if shown:
        console.print(f"[bold cyan]$ {' '.join(words)}[/]")
    program, *rest = words
    # In a thread, with the standard library: uvloop's own subprocesses fork, which gRPC's threads dislike.
    return await asyncio.to_thread(_run, program, rest)


def _run(program: str, arguments: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 - our own commands
        [BIN / program, *arguments, "--config", CONFIG, "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "SIDECAR_ACTOR": "demo"},
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"demo: `{program} {' '.join(arguments)}` ended with exit code {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def serve() -> subprocess.Popen[str]:
    """Start the sidecar and wait until it says that it is ready."""
    console.print("[bold cyan]$ sidecar serve &[/]")
    with (HOME / "sidecar.log").open("w") as log:
        sidecar = subprocess.Popen(  # noqa: S603 - our own command
            [BIN / "sidecar", "serve", "--config", CONFIG],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert sidecar.stdout is not None
    for line in sidecar.stdout:
        console.print(f"  {line.strip()}")
        if line.strip() == "ready":
            return sidecar
    raise SystemExit(f"demo: the sidecar did not start; see {HOME / 'sidecar.log'}")


async def drive(replay: Replay, until: str, flights: Flights, story: Story, rate: float) -> Tally:
    """Replay up to a day with a progress bar, and say what came of it."""
    replay.rate = rate
    total = len(flights.between(replay.now_ns, new_york_ns(until)))
    with Progress(
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} requests"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        bar = progress.add_task(f"traffic up to {until}", total=total)
        tally = await replay.until(
            new_york_ns(until), progress=lambda sent: progress.update(bar, completed=sent)
        )
    story.tallies.append(tally)
    console.print(f"  {tally}")
    return tally


async def fit(snapshot: str, *options: str) -> list[dict[str, Any]]:
    """Run `trainer fit`, show the offline table, and return what was fitted."""
    result = await command("trainer", "fit", TASK, "--snapshot", snapshot[:12], *options)
    fitted: list[dict[str, Any]] = result["fitted"]
    for one in fitted:
        console.print(
            f"  {one['recipe']:<18} accuracy {one['accuracy']:.3f}  AUC {one['auc']:.3f}  "
            f"{one['utility_per_1000']:>7,.0f} USD per 1,000  one row {one['cpu_us_p50']:.0f} us"
        )
    if result["note"]:
        console.print(f"  On the hold-out, before any live row. {result['note']}")
    return fitted


def show(decisions: Sequence[dict[str, Any]]) -> None:
    """Say what the gate made of each candidate."""
    for one in decisions:
        style = {"promote": "bold green", "reject": "bold red"}.get(one["action"], "yellow")
        name = one["candidate"]["version"]
        console.print(f"  [{style}]{one['action']:<8}[/] {name}: {' '.join(one['reasons'])}")


async def swap_under_load(replay: Replay, digest: str, story: Story) -> None:
    """Promote and roll back while traffic flows, and check every reply afterwards."""
    chapter("6. Promote, then roll back, under load")
    done = asyncio.Event()
    replay.rate = SWAP_RATE
    traffic = asyncio.create_task(
        replay.until(new_york_ns("2014-01-01"), stop=done.is_set, keep_answers=True)
    )
    await asyncio.sleep(0.5)
    for words in (
        ("promote", digest[:12], "--why", "earned on live traffic"),
        ("rollback", "--why", "the demo shows the way back"),
    ):
        result = await command("trainer", *words)
        story.swaps.append(f"{words[0]}: {result['activation']}")
        console.print(f"  champion is now {result['champion']['version']}; {result['activation']}")
        await asyncio.sleep(1)
    done.set()
    tally = await traffic
    story.tallies.append(tally)
    console.print(f"  {tally}")
    for model, rows in tally.models.items():
        console.print(f"  {rows:,} replies by {model}")
    story.mixed = wrong_answers(tally.answers)
    console.print(
        f"  {len(tally.answers):,} replies scored again by the model they name: {story.mixed} differ"
    )


def wrong_answers(answers: Sequence[Answer]) -> int:
    """Count replies whose score is not, bit for bit, what the model they name gives."""
    models = {digest: load_model(HOME / "bundles" / digest) for digest in {one.digest for one in answers}}
    wrong = 0
    for answer in answers:
        model = models[answer.digest]
        score = model.run(model.bundle.signature.pack(answer.request.fields)).score[0]
        wrong += score != np.float32(answer.score)
    return wrong


async def judge(replay: Replay, flights: Flights, story: Story) -> str:
    """Let traffic flow and the gate decide, slice by slice; the digest of who earned it, or nothing."""
    for end in SLICES:
        chapter(f"5. Traffic up to {end}, scored by champion and candidates")
        await drive(replay, end, flights, story, SHADOW_RATE)
        await shadows_done()
        decided = await command("trainer", "decide", TASK)
        show(decided["decisions"])
        story.decisions |= {
            one["candidate"]["version"]: {**one, "looked": end} for one in decided["decisions"]
        }
        story.looks += 1
        earned = [one for one in decided["decisions"] if one["action"] == "promote"]
        if earned:
            return str(max(earned, key=lambda one: one["e_value"])["candidate"]["digest"])
        console.print(f"  [yellow]Nobody earned promotion on the traffic up to {end}.[/]")
        if all(one["action"] == "reject" for one in decided["decisions"]):
            break
    return ""


async def shadows_done() -> None:
    """Wait until no row waits for the log or for a candidate; they may lag behind the replies."""
    for _ in range(DRAIN_LOOKS):
        status = await command("sidecar", "status", shown=False)
        if not status["queued"] and not any(shadow["queued"] for shadow in status["shadows"]):
            return
        await asyncio.sleep(1)
    console.print("  [yellow]The shadows still lag behind; what they have not scored counts as missing.[/]")


async def tell(flights: Flights, story: Story) -> None:
    """The story, from an empty folder to a model promoted and rolled back."""
    chapter("1. A first champion: logistic regression on 1 January to 15 March")
    history = await command("trainer", "snapshot", TASK, "--history-until", CHAMPION_UNTIL)
    console.print(f"  {history['rows']:,} labelled rows")
    first = await fit(history["digest"], "--recipe", "logistic")
    await command(
        "trainer", "promote", first[0]["bundle"][:12], "--first", "--why", "first champion", "--patience", "0"
    )

    chapter("2. The sidecar, a process of its own")
    sidecar = serve()
    try:
        async with Replay(
            HOME / "sidecar.sock", Traffic(flights, new_york_ns(CHAMPION_UNTIL)), RATE
        ) as replay:
            chapter("3. Live traffic, 16 March to 30 April; outcomes arrive when they were known")
            await drive(replay, RETRAIN_AT, flights, story, RATE)

            chapter("4. Retrain on what the sidecar logged, and shadow the candidates")
            grown = await command("trainer", "snapshot", TASK, "--base", history["digest"][:12])
            counts = grown["facts"]["counts"]
            console.print(
                f"  {grown['rows']:,} labelled rows: of {counts['served']:,} logged, {counts['labelled']:,} "
                f"are labelled and {counts['pending']:,} have not matured"
            )
            bundles = await fit(grown["digest"])
            bundles += await fit(history["digest"], "--recipe", "logistic", "--version", "copy-of-champion")
            await command("trainer", "shadow", *(one["bundle"][:12] for one in bundles))

            earned = await judge(replay, flights, story)
            if earned:
                await swap_under_load(replay, earned, story)
        story.status = await command("sidecar", "status")
    finally:
        sidecar.terminate()
        story.exit_code = sidecar.wait()


def summary(story: Story) -> None:
    """What a stranger should take home."""
    chapter("What happened")
    sent = sum(tally.sent for tally in story.tallies)
    failed = sum(sum(tally.errors.values()) for tally in story.tallies)
    table = Table(box=box.SIMPLE_HEAD)
    for column in (
        "candidate",
        "verdict",
        "on traffic up to",
        "e-value",
        "USD per 1,000 against the champion",
    ):
        table.add_column(column)
    table.add_column("p99 us", justify="right")
    for version, one in story.decisions.items():
        evidence, gain = one["evidence"], one["gain"]
        latency, quality = evidence["latency"], evidence["candidate_quality"]
        table.add_row(
            version,
            one["action"],
            one["looked"],
            f"{one['e_value']:,.3g} of {one['wanted']:,.0f}",
            f"{gain['estimate']:+,.0f} [{gain['lower']:+,.0f}; {gain['upper']:+,.0f}]" if quality else "-",
            f"{latency['candidate_cpu']['p99']['us']:,.0f}" if latency else "-",
        )
    console.print(table)
    status = story.status
    console.print(
        f"  The gate looked {story.looks} times. The e-values decide, and may be looked at as often as one "
        f"likes; "
        "each interval is honest for one look.\n"
        f"  {sent:,} live requests, {failed} failed, {story.mixed} answered by a mixture of models.\n"
        f"  {status['written']:,} rows written to the log, {status['dropped']} dropped; "
        f"{status['outcomes']:,} outcomes stored.\n"
        f"  {len(story.swaps)} swaps of the champion under load. The sidecar drained and ended with exit "
        f"code {story.exit_code}.\n"
        f"  Look around: sidecar log tail --config {CONFIG}; log and registry are SQLite files in var/demo.\n"
        f"  {time.perf_counter() - story.began:.0f} seconds in all."
    )


def main() -> None:
    """Run the demo in var/demo, which it empties first."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    (ROOT / CONFIG).write_text(CONFIG_TEXT)
    story = Story()
    chapter("Flights out of New York, 2013: protect this one's connecting passengers, or not?")
    flights = load_flights()
    console.print(f"  {len(flights):,} flights, {flights.label.mean():.1%} end 30 minutes late or worse")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(tell(flights, story))
    summary(story)


if __name__ == "__main__":
    main()
