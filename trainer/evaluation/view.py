"""An evaluation as a person reads it: what disagrees first, then the figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from trainer.days import iso_day
from trainer.evaluation.ranking import rank, sentence
from trainer.evaluation.slices import LEAST_ROWS
from trainer.interval import PER, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from trainer.evaluation.evaluation import Censoring, Evaluation, VersionReport
    from trainer.evaluation.holdout import HoldOut, HoldOutFigures
    from trainer.evaluation.rolling import PeriodReport
    from trainer.evaluation.slices import SliceFigures
    from trainer.figures import Calibration, Figures
    from trainer.interval import Interval

_SLICES_SHOWN = 12
_UNEVEN = 0.02
"""Labelled shares of the two decisions that differ by more deserve a warning."""


def evaluation_views(found: Evaluation, left_out: Mapping[str, str]) -> list[RenderableType]:
    """Everything, the disagreements first."""
    reliability = (_reliability(one) for one in found.versions if one.figures and len(found.versions) == 1)
    return [
        Text("\n".join(headlines(found)), "bold"),
        _money_table(found),
        _score_table(found),
        *(_hold_out_table(hold, found) for hold in found.hold_outs),
        *reliability,
        _slice_table(found),
        Text("\n".join(footnotes(found, left_out))),
    ]


def headlines(found: Evaluation) -> list[str]:
    """Where the recent slice contradicts the hold-out, and money accuracy; and the rankings."""
    lines = [sentence(one, found.currency) for one in found.disagreements]
    if not lines and len(found.versions) > 1:
        lines = ["On the recent slice money ranks the versions as the hold-out and as accuracy do."]
    figures = {one.name: one.figures for one in found.versions if one.figures and not one.days_fitted}
    if len(figures) > 1:
        money = rank({name: one.utility_per_1000.estimate for name, one in figures.items()})
        accuracy = rank({name: one.accuracy.estimate for name, one in figures.items()})
        lines += [f"By money     {' > '.join(money)}", f"By accuracy  {' > '.join(accuracy)}"]
    for hold in found.hold_outs:
        names = _names_on(hold, found)
        if len(names) > 1:
            ranked = rank({name: one.utility_per_1000.estimate for name, one in names.items()})
            lines.append(f"By money on the hold-out of {hold.snapshot[:8]}  {' > '.join(ranked)}")
    return lines


def footnotes(found: Evaluation, left_out: Mapping[str, str]) -> list[str]:
    """What the figures rest on, and what they cannot say."""
    span, coverage, censoring = found.span, found.coverage, found.censoring
    first, last, known = iso_day(span.since_ns), iso_day(span.until_ns - 1), iso_day(span.as_of_ns)
    rows = (
        f"{first} to {last}: {coverage.served:,} rows served on whole UTC days that had matured by {known}, "
        f"{coverage.labelled_share:.2%} with an outcome. Intervals: {percent(found.confidence)}, whole days "
        "are the units."
    )
    lines = [rows, *(_hidden(found) if censoring.declared else _censored(censoring))]
    for one in found.versions:
        if one.days_fitted:
            known = (
                "does not say what it was fitted on"
                if one.trained_until_ns is None
                else f"was fitted on rows up to {iso_day(one.trained_until_ns)}"
            )
            lines.append(
                f"{one.name} {known}: {one.days_fitted} days that it may know are left out, "
                "and it is not ranked against the others."
            )
    return lines + [f"{name} is left out: {why}" for name, why in left_out.items()]


def _censored(censoring: Censoring) -> Iterator[str]:
    yield (
        "Outcomes are those that came of what was served; nothing is decided at random. If acting changes or "
        "hides an outcome, a version that decides otherwise is judged by the wrong one."
    )
    if abs(censoring.acted_labelled - censoring.passed_labelled) > _UNEVEN:
        yield (
            f"Censored: {censoring.acted_labelled:.2%} of the rows acted on have an outcome, "
            f"{censoring.passed_labelled:.2%} of the others. The figures are of the rows that have one."
        )


def _hidden(found: Evaluation) -> Iterator[str]:
    censoring, hidden = found.censoring, found.coverage.hidden
    yield (
        f"{hidden:,} replies hid their outcome; {censoring.explored:,} explored ones stand for them, each "
        "for 1 / its propensity."
    )
    if censoring.without_chance:
        yield (
            f"Not identifiable: {censoring.without_chance:,} of the hidden rows had no chance to be explored "
            "and no figure counts them, so a version that decides otherwise there is not judged for it."
        )


def rolling_table(reports: Sequence[PeriodReport], names: Sequence[str], currency: str) -> RenderableType:
    """Money per period, each version a column."""
    table = _table(
        f"{currency} per {PER:,} decisions",
        ["period", "days", "rows", "labelled", "label rate", *names],
    )
    for report in reports:
        table.add_row(
            report.period,
            f"{report.days}",
            f"{report.served:,}",
            f"{report.labelled / report.served:.2%}",
            share(report.label_rate),
            *(brief(one.utility_per_1000) if (one := report.figures[name]) else "-" for name in names),
        )
    return table


def money(amount: Interval) -> str:
    """An amount with its bounds, where there are any."""
    return str(amount) if math.isfinite(amount.lower) else brief(amount)


def brief(amount: Interval) -> str:
    """An amount and how far its bounds are, where there are any."""
    reach = amount.upper - amount.estimate
    return f"{amount.estimate:+,.0f}" + (f" ±{reach:,.0f}" if math.isfinite(reach) else "")


def share(of: Interval) -> str:
    """A share and how far its bounds are, where there are any."""
    reach = of.upper - of.estimate
    return f"{of.estimate:.3f}" + (f" ±{reach:.3f}" if math.isfinite(reach) else "")


def _money_table(found: Evaluation) -> Table:
    table = _table(
        "On the recent slice",
        [
            "version",
            "state",
            "rows",
            "outcomes",
            f"{found.currency} per {PER:,}",
            "acted",
            "unlike",
            "us p50 / p99",
        ],
    )
    for one in found.versions:
        figures, timing = one.figures, one.timing
        table.add_row(
            one.name,
            one.state,
            f"{figures.rows if figures else 0:,}",
            _coverage(one),
            money(figures.utility_per_1000) if figures else "-",
            f"{figures.act_rate.estimate:.2%}" if figures else "-",
            f"{one.unlike_served:.2%}",
            f"{timing.cpu_us_p50:,.0f} / {timing.cpu_us_p99:,.0f}" if timing else "-",
        )
    table.caption = "unlike: decided otherwise than was served. us: CPU time of one row, measured now."
    return table


def _score_table(found: Evaluation) -> Table:
    table = _table("", ["version", "accuracy", "AUC", "log loss", "Brier", "ECE (by chance)", "score - rate"])
    for one in found.versions:
        if one.figures:
            table.add_row(one.name, *_scores(one.figures))
    return table


def _scores(figures: Figures) -> tuple[str, ...]:
    calibration = figures.calibration
    return (
        share(figures.accuracy),
        share(figures.auc) if figures.auc else "-",
        share(figures.log_loss),
        share(calibration.brier),
        f"{calibration.ece:.3f} ({calibration.ece_by_chance:.3f})",
        share(calibration.gap),
    )


def _hold_out_table(hold: HoldOut, found: Evaluation) -> Table:
    where = "which is not here" if hold.since_ns is None else f"after {iso_day(hold.since_ns)}"
    table = _table(
        f"On the hold-out of snapshot {hold.snapshot[:8]}, {where}",
        [
            "version",
            "figures of",
            "rows",
            f"{found.currency} per {PER:,}",
            "accuracy",
            "AUC",
            "log loss",
            "Brier",
            "ECE",
        ],
    )
    for name, one in _names_on(hold, found).items():
        table.add_row(
            name,
            "its recipe" if one.of_recipe else "itself",
            f"{one.rows:,}",
            money(one.utility_per_1000),
            *(f"{figure:.3f}" for figure in (one.accuracy, one.auc, one.log_loss, one.brier, one.ece)),
        )
    table.caption = (
        "its recipe: fitted on what was known before the hold-out; what ships was fitted on the hold-out too."
    )
    return table


def _names_on(hold: HoldOut, found: Evaluation) -> dict[str, HoldOutFigures]:
    return {
        one.name: hold.figures[one.model.digest] for one in found.versions if one.model.digest in hold.figures
    }


def _reliability(one: VersionReport) -> Table:
    assert one.figures is not None
    calibration: Calibration = one.figures.calibration
    table = _table(f"Reliability of {one.name}", ["rows", "mean score", "came true"])
    for place in calibration.bins:
        table.add_row(f"{place.rows:,}", f"{place.score:.3f}", share(place.observed))
    return table


def _slice_table(found: Evaluation) -> RenderableType:
    every = [(version.name, one) for version in found.versions for one in version.slices]
    if not every:
        return ""
    level = 1 - found.confidence
    alone = len(found.versions) == 1
    worst = (
        every
        if alone
        else sorted((pair for pair in every if _p(pair[1]) < level), key=lambda pair: _p(pair[1]))[
            :_SLICES_SHOWN
        ]
    )
    table = _table(
        f"Slices of at least {LEAST_ROWS} rows: {len(worst):,} of {len(every):,}",
        ["version", "slice", "rows", "outcomes", "over the champion", "p", "score - rate", "p"],
    )
    for name, one in worst:
        table.add_row(
            name,
            f"{one.field}={one.value}",
            f"{one.rows:,}",
            f"{one.labelled_share:.2%}",
            brief(one.gain_per_1000) if one.gain_per_1000 else "-",
            "-" if one.gain_p is None else f"{one.gain_p:.3f}",
            share(one.gap),
            f"{one.gap_p:.3f}",
        )
    table.caption = "p: adjusted for all slices and versions (Holm)." + (
        "" if alone else f" Shown: the least ones below {level:.2g}; --json has all."
    )
    return table


def _p(one: SliceFigures) -> float:
    """How sure it is that a version loses against the champion here, or that its scores miss."""
    gain = one.gain_per_1000
    loses = gain is not None and gain.estimate < 0
    return min(one.gap_p, one.gain_p if loses and one.gain_p is not None else 1.0)


def _coverage(one: VersionReport) -> str:
    text = f"{one.coverage.labelled_share:.2%}"
    return text if one.coverage.scored_share == 1 else f"{text}, {one.coverage.scored_share:.2%} scored"


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", caption_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table
