"""What the trainer shows a person: tables for the terminal, from values made elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from trainer.betting import e_value
from trainer.days import DAY_NS, iso_day, iso_minute
from trainer.gate import Action
from trainer.interval import PER, gain_interval, percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from trainer.evidence import Accounting, Evidence, Quality
    from trainer.gate import Decision, Policy
    from trainer.latency import Latency, Quantiles
    from trainer.offline import FitReport
    from trainer.snapshot import Snapshot
    from trainer.waits import Waits

STYLES = {Action.PROMOTE: "bold green", Action.HOLD: "yellow", Action.REJECT: "bold red"}


def snapshot_lines(snapshot: Snapshot) -> RenderableType:
    """What a snapshot holds and how its rows were chosen."""
    counts = snapshot.facts["counts"]
    positive = f"{snapshot.label.mean():.1%} positive"
    text = (
        f"[bold]snapshot {snapshot.digest[:12]}[/]  {len(snapshot):,} labelled rows, {positive}\n"
        f"  events {iso_minute(int(snapshot.event_ns[0]))} to {iso_minute(int(snapshot.event_ns[-1]))} UTC\n"
        f"  of {counts['served']:,} rows in the {snapshot.facts['source']}: {counts['labelled']:,} labelled, "
        f"{counts['expired']:,} without a label, {counts['pending']:,} not matured"
    )
    if counts.get("hidden"):
        text += f", {counts['hidden']:,} hidden by the reply"
    if snapshot.facts["base"]:
        text += f"\n  on top of snapshot {snapshot.facts['base'][:12]}"
    return Text.from_markup(text)


def fit_table(reports: Mapping[str, FitReport], currency: str) -> RenderableType:
    """The recipes side by side on the hold-out, and whether accuracy and money agree on the best."""
    table = Table(box=box.SIMPLE_HEAD, title="On the hold-out, before any live row", title_justify="left")
    for column in ("recipe", "accuracy", "AUC", f"{currency} per {PER:,}", "us p50 / p99", "kB"):
        table.add_column(column, justify="left" if column == "recipe" else "right", no_wrap=True)
    for recipe, report in by_money(reports):
        table.add_row(
            recipe,
            f"{report.accuracy:.4f}",
            f"{report.auc:.4f}",
            f"{report.utility_per_1000:,.0f}",
            f"{report.cpu_us_p50:,.0f} / {report.cpu_us_p99:,.0f}",
            f"{report.bytes / 1e3:,.0f}",
        )
    return Group(table, Text(f"us: CPU time of one row. {ranking_note(reports)}"))


def by_money(reports: Mapping[str, FitReport]) -> list[tuple[str, FitReport]]:
    """The reports, the one that earns most first."""
    return sorted(reports.items(), key=lambda item: -item[1].utility_per_1000)


def ranking_note(reports: Mapping[str, FitReport]) -> str:
    """One sentence on whether the ranking by accuracy is the ranking by money."""
    if len(reports) < 2:  # noqa: PLR2004 - one has no rank
        return ""
    money = [recipe for recipe, _ in by_money(reports)]
    accuracy = sorted(reports, key=lambda recipe: -reports[recipe].accuracy)
    if money == accuracy:
        return "Accuracy and money rank the recipes alike."
    return f"Accuracy ranks them {' > '.join(accuracy)}; money ranks them {' > '.join(money)}. Money decides."


GATE_SIDES = ("champion", "candidate")


def evidence_view(evidence: Evidence, policy: Policy, sides: tuple[str, str] = GATE_SIDES) -> RenderableType:
    """Two models side by side. sides: what they are to each other; the gate's bets are a candidate's."""
    gain = gain_interval(evidence.days, 1 - policy.error)
    title = Text(f"{evidence.candidate} against {sides[0]} {evidence.champion}", "bold")
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", *sides):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for name, champion, candidate in _side_by_side(evidence):
        table.add_row(name, champion, candidate)
    judged, shadowed, currency = evidence.judged, evidence.shadowed, evidence.currency
    text = (
        f"judged    {_days(judged)}, {judged.served:,} rows, coverage {judged.coverage:.2%}"
        f"{_failures(judged)}, labelled {evidence.labelled_share:.2%}\n"
        f"shadowed  {_days(shadowed)}, {shadowed.served:,} rows{_failures(shadowed)}, "
        f"{evidence.unmatured:,} not matured\n"
        f"gain      {currency} {gain} per {PER:,} decisions, {percent(gain.confidence)} interval of one "
        f"look, {evidence.changed:,} of {evidence.joined:,} decisions changed, {evidence.losses:,} of them "
        f"lost money\n"
        f"{_hidden(evidence)}"
        f"{_earlier_fits(evidence)}"
        f"{_bets(evidence, policy) if sides == GATE_SIDES else ''}"
        f"at risk   at most {currency} {evidence.stakes.unit_most:,.0f} in a unit, "
        f"{evidence.stakes.unit_bound:,.0f} declared; the worst gained {evidence.stakes.unit_worst:+,.0f}\n"
        f"slices    {_worst_slice(evidence)}\n"
        f"A/A       {_noise(evidence)}\n"
        f"findings  {len(evidence.findings):,} open\n"
        f"as of     {iso_minute(evidence.query.as_of_ns)} UTC, evidence {evidence.digest[:12]}"
    )
    return Group(title, table, Text(text))


def _bets(evidence: Evidence, policy: Policy) -> str:
    wanted = f"{evidence.share.wanted(policy.error):,.0f} promotes"
    if not evidence.cycles:
        return f"bets      no whole cycle of {policy.cycle_days} days yet, {wanted}\n"
    last = evidence.cycles[-1]
    return (
        f"bets      e-value {e_value(last.winning):,.3g} for it and {e_value(last.losing):,.3g} against it "
        f"after {len(evidence.cycles)} cycles of {policy.cycle_days} days, {wanted}\n"
    )


def _noise(evidence: Evidence) -> str:
    noise = evidence.noise
    if noise is None:
        return "no copy of the champion has scored a row"
    return (
        f"{noise.rows:,} rows of the champion's own copy: {noise.scores_differ:,} scores and "
        f"{noise.decisions_differ:,} decisions differ; CPU us p50 / p99 / p99.9 in place "
        f"{_quantiles(noise.champion_cpu)}, in the shadow {_quantiles(noise.copy_cpu)}"
    )


def _hidden(evidence: Evidence) -> str:
    """A line of its own, where an action hides the outcome."""
    hidden = evidence.hidden
    if hidden is None:
        return ""
    return (
        f"hidden    {hidden.hidden:,} rows by '{hidden.by}'; {hidden.explored:,} explored, which cost "
        f"{evidence.currency} {hidden.cost_per_1000:,.2f} per {PER:,} decisions\n"
    )


def _earlier_fits(evidence: Evidence) -> str:
    """A line of its own, where the candidate goes on from earlier fits of its recipe."""
    if not evidence.own:
        return ""
    before = ", ".join(f"{one.model.version} ({one.joined:,})" for one in evidence.earlier)
    return (
        f"fits      decisions of earlier fits of the recipe: {before}; of its own {evidence.own.joined:,} on "
        f"{evidence.own.days} days\n"
    )


def _worst_slice(evidence: Evidence) -> str:
    if not evidence.slices:
        return "none large enough"
    worst = evidence.slices[0]
    return (
        f"the worst of {evidence.slices_tried:,} is {worst.field} {worst.part}: {worst.gain:+,.0f} over "
        f"{worst.changed:,} changed decisions, p {worst.p:.2g}"
    )


def decision_table(pairs: Sequence[tuple[Evidence, Decision]]) -> RenderableType:
    """What the gate made of each candidate, with its reasons."""
    table = Table(box=box.SIMPLE_HEAD, show_lines=False)
    table.add_column("candidate", no_wrap=True)
    table.add_column("decision", no_wrap=True)
    table.add_column("e-value", justify="right", no_wrap=True)
    table.add_column("p99 us", justify="right", no_wrap=True)
    table.add_column("reason", ratio=1)
    for evidence, decision in pairs:
        latency = evidence.latency
        table.add_row(
            f"{decision.candidate.version}",
            Text(decision.action, STYLES[decision.action]),
            f"{decision.e_value:,.3g} of {decision.wanted:,.0f}",
            f"{latency.candidate_cpu.p99.us:,.0f}" if latency else "-",
            " ".join(decision.reasons),
        )
    return table


def _side_by_side(evidence: Evidence) -> list[tuple[str, str, str]]:
    rows = []
    pair = evidence.champion_quality, evidence.candidate_quality
    rows += [
        (f"{evidence.currency} per {PER:,} decisions", *_each(pair, "utility_per_1000", ",.0f")),
        ("share acted on", *_each(pair, "act_rate", ".2%")),
        ("accuracy", *_each(pair, "accuracy", ".4f")),
        ("AUC", *_each(pair, "auc", ".4f")),
    ]
    if evidence.latency:
        rows += _latency(evidence.latency)
    return rows


def _each(pair: tuple[Quality | None, Quality | None], name: str, form: str) -> tuple[str, str]:
    champion, candidate = (None if quality is None else getattr(quality, name) for quality in pair)
    return (
        "-" if champion is None else format(champion, form),
        "-" if candidate is None else format(candidate, form),
    )


def _latency(latency: Latency) -> list[tuple[str, str, str]]:
    return [
        ("CPU us p50 / p99 / p99.9", _quantiles(latency.champion_cpu), _quantiles(latency.candidate_cpu)),
        (
            "wall us p50 / p99 / p99.9",
            _quantiles(latency.champion_infer),
            _quantiles(latency.candidate_infer),
        ),
    ]


def _quantiles(of: Quantiles) -> str:
    p99 = f"{of.p99.us:,.0f} [{of.p99.lower_us:,.0f}; {of.p99.upper_us:,.0f}]"
    return f"{of.p50.us:,.0f} / {p99} / {of.p999.us:,.0f}"


def waits_view(waits: Waits, sides: tuple[str, str]) -> Text:
    """How long callers waited, the canary's and the champion's."""
    return Text(
        f"waited    us p50 / p99 / p99.9, queue and run by the wall clock, at the same time: {sides[0]} "
        f"{_quantiles(waits.waited)} over {waits.calls:,} calls, {sides[1]} {_quantiles(waits.beside)} over "
        f"{waits.beside_calls:,}; {_excess(waits)}"
    )


def _excess(waits: Waits) -> str:
    excess = waits.excess
    if excess is None:
        return "shown only, as the policy has no canary_wait_budget_us or calls are not drawn by their ids"
    return (
        f"over {excess.budget_us:,.0f} us {excess.slow:,} and {excess.beside_slow:,}, e-value "
        f"{e_value(excess.within):,.3g} for keeping to the champion's share and "
        f"{e_value(excess.beyond):,.3g} against it"
    )


def _days(accounting: Accounting) -> str:
    if not accounting.days:
        return "no whole day yet"
    first, last = iso_day(accounting.since_ns), iso_day(accounting.until_ns - DAY_NS)
    return f"{accounting.days} whole days, {first} to {last}"


def _failures(accounting: Accounting) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in accounting.failures.items() if count)
    return f" ({kinds})" if kinds else ""
