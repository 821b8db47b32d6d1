"""docs/drift-flights.md and docs/drift-bank.md: what was said of real rows, and whether a person would agree.

The figures are from result files; the judgements are written by hand, here, and no result changes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.drift.page import GENERATED
from benchmarks.pages.markdown import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def render_flights(results: Mapping[str, dict[str, Any] | None]) -> str:
    """docs/drift-flights.md."""
    found = results["flights"]
    title = "# Real drift: flights out of New York, 2013"
    if not found:
        return _page(title)
    about = (
        f"The demo's first champion, {found['model']}, fitted on the {found['training_rows']:,} flights "
        f"before 16 March, and the {found['rows']:,} flights of the {found['days']} days after it, looked "
        "at with default settings. An hour has fewer flights than `min_rows`, so these are looks at days, "
        "with the training rows and the same weekday of earlier weeks."
    )
    return _page(
        title,
        about,
        f"{len(found['findings'])} findings opened.",
        _findings(found["findings"]),
        _AGREE_FLIGHTS,
        "```sh\npython -m benchmarks.drift run flights\n```",
    )


def render_bank(results: Mapping[str, dict[str, Any] | None]) -> str:
    """docs/drift-bank.md."""
    found = results["bank"]
    title = "# Real drift: calls of a Portuguese bank, 2008 to 2010"
    if not found:
        return _page(title)
    usual, fewer, months = found["min_rows"], found["fewer_rows"], found["months"]
    looked_at, looked_at_with_fewer = (
        sum(month[name] or 0 for month in months) for name in ("looked_at", "looked_at_with_fewer")
    )
    return _page(
        title,
        _BANK_SOURCE,
        _BANK_TRAINING.format(**found),
        _BANK_TIMES.format(**found),
        f"## What is flagged, with default settings\n\nA window needs {usual} rows, and {looked_at} of the "
        f"{found['days']} days have as many. {_looks(found)}",
        _findings(found["findings"]),
        f"## With {fewer} rows a window\n\n`[drift] min_rows = {fewer}`, also chosen before, nothing else: "
        f"{looked_at_with_fewer} days have as many. {_looks(found['with_fewer'])}",
        _findings(found["with_fewer"]["findings"]),
        "## What the labels say\n\nWhat `trainer monitor` says of the labels of the newest 28 matured days "
        "beside those of training, asked once for every day. "
        f"{len(found['label_findings'])} findings opened.",
        table(
            ["since", "opened", "closed", "it said"],
            [
                [one["since"], one["opened"], one["closed"] or "open", one["text"]]
                for one in found["label_findings"]
            ],
        ),
        "## Month by month\n\nWhat a person would look up. *Score* is the mean of the "
        "model's, which is the part that it expects to subscribe; *act* is the part that it would call.",
        _months(months, usual, fewer),
        _AGREE_BANK,
        "```sh\npython -m benchmarks.drift run bank --bank-file bank-full.csv\n```",
    )


def _page(*parts: str) -> str:
    return "\n\n".join(part.rstrip() for part in (GENERATED, *parts)) + "\n"


_SCALES = {"hour": "hours", "day": "days", "week": "weeks", "four weeks": "times four weeks"}


def _looks(found: Mapping[str, Any]) -> str:
    counts = found["looks"]
    looks = ", ".join(f"{counts[scale]} {said}" for scale, said in _SCALES.items() if scale in counts)
    return f"Looked at: {looks}; the last ends on {found['last']}. {len(found['findings'])} findings opened."


def _findings(found: Iterable[Mapping[str, Any]]) -> str:
    return table(
        ["field", "what", "since", "opened", "closed", "PSI", "weight", "it said"],
        [
            [
                one["subject"],
                one["what"],
                one["since"],
                one["opened"],
                one["closed"] or "open",
                f"{one['psi']:.3f}",
                "unknown" if one["importance"] is None else f"{one['importance']:.3f}",
                one["text"],
            ]
            for one in found
        ],
    )


_SHARES = {
    "subscribed": "subscribed",
    "score": "score",
    "acted": "act",
    "cellular": "by mobile",
    "contact_unknown": "contact unknown",
    "called_before": "called before",
    "success_before": "with success",
    "housing": "housing loan",
    "retired_or_student": "retired, student",
}
"""What is shown of a month as a percentage, and under which head."""


def _months(months: Iterable[Mapping[str, Any]], usual: int, fewer: int) -> str:
    head = ["month", "calls", "days", f"of {usual} or more", f"of {fewer}", *_SHARES.values(), "balance, EUR"]
    return table(
        head,
        [
            [
                month["month"],
                f"{month['rows']:,}",
                str(month["days"]),
                *(
                    "" if month[name] is None else str(month[name])
                    for name in ("looked_at", "looked_at_with_fewer")
                ),
                *("" if month[name] is None else f"{month[name]:.1%}" for name in _SHARES),
                f"{month['mean_balance']:,.0f}",
            ]
            for month in months
        ],
    )


_AGREE_FLIGHTS = """\
## Would a person agree?

Judged by hand, with what is known of the year.

* **Yes, and it matters.** Warmer and more humid than any day of training from April (temp) and May (dewp)
  on: the model was fitted on a winter, and its score leaves its range at the end of May. Destinations that
  training never had, from late May (summer routes). Larger and younger aircraft from July and September.
* **Yes, and no reason to act.** Days of very high pressure or very dry air: new to the model, gone in a
  week. The mix of origins and carriers over Labor Day and Christmas. Rain above training's heaviest on 8
  May. Scores below all of training's from 16 May: 32 flights of three days (1.3 %, 0.5 % and 1.9 %), none of
  them disrupted, and none on the two days after.
* **Hardly.** Longer distances from April on are true (1,005 to 1,059 miles) and small. The departure times
  of Thanksgiving week.
* **No.** `weekday` from 4 November: New York's clocks went back, so days cut at midnight UTC hold other
  local hours. Days are cut in UTC because a sidecar knows no other.

These flights were looked at while the monitor was made, so this page is no test of it: a first version
opened hundreds of findings here. What came of that is the margin over training's strangest window, names
that stay, and findings that close only when they have been gone for a week. The synthetic rows were not used
for these.
"""

_BANK_SOURCE = """\
Source: `bank-full.csv` of "Bank Marketing", number 222 in the UCI Machine Learning Repository (CC BY 4.0;
S. Moro, R. Laureano and P. Cortez, 2011; S. Moro, P. Cortez and P. Rita, 2014): 45,211 calls in which a
client was offered a term deposit, each the last one to that client in its campaign, and whether the client
took it. The file is no part of this project; whoever has it names it to the command at the end, which checks
its SHA-256."""

_BANK_TRAINING = """\
The champion, {model}, is a logistic regression on what the bank knew before it
called, fitted as `trainer fit` does it on the {training_rows:,} calls from May to August 2008,
{training_positive:,} of which brought a deposit. These months were chosen before the monitor was run: nobody
was called in September, so they are the first stretch of calls as a whole; May and June alone have 459
deposits. Left out are `duration`, which nobody knows before the call, and the date itself, since every later
month would be new. Where the file says -1 (`pdays`: not called before), the model gets -1. That a call costs
EUR 5 and a deposit brings EUR 100 is assumed."""

_BANK_TIMES = """\
Rows have a day and a month, and are in order of date, so the year follows: a new one begins where the month
turns back. That works out, from 5 May 2008 to 17 November 2010; {turned_back} rows are dated before the one
above them in the same month. There are no times. The calls of a day are spread evenly over its 24 hours, in
their order, so that no hour has enough of them, and days are looked at, or weeks. A window is looked at when
the next call comes. The {rows:,} calls from October 2008 on, on {days} days, were scored, counted and
watched."""

_AGREE_BANK = """\
## Would a person agree?

Judged by hand, with the months above and the days behind them.

* **Yes, and it matters.** `poutcome`, `pdays` and `previous`: the bank now calls clients whom it had called
  before, 13 of the 128 from 16 October to 12 November 2008, 22.0 % to 28.5 % on 17 to 21 November,
  and training had not one. It is one event told five times. The model was fitted where these fields never
  varied, so their weight is not known, and they rank as fields do on average, behind the score. Of the 1,511
  later clients whose earlier campaign had been a success 64.7 % subscribed, of the 12,921 without an earlier
  outcome 17.5 %: the reason to fit anew. Still open in the end, and still so: 73 % of the last four weeks.
* **Yes, and it matters.** `score` and `decision`: the model would call 66.8 % of its hold-out, 80 % of the
  calls from 17 to 21 November and 89 % in May 2009. It expected 7.6 % to subscribe on those five days; 5.4 %
  did. But what is said of `decision` in November compares with 26 calls of four Wednesdays, for which a
  person would not give much.
* **Yes.** `age`, clients older than 61, the eldest of training: 2.4 % on 2 February 2009, told with the week
  after it on 12 February, 17.6 % of all from July on, and of all 1,041 of them 42.7 % subscribed.
* **Yes, and it matters.** `job`, told on 17 September 2009 of the eight weeks from 23 July on: 27 % are
  retired or students, 4.7 % in training. It is late, since training's days vary (a z of 4.64 is asked for,
  and it was 2.3 in the four weeks before), and it closes on 7 January 2010 though it stays so: of 240 and of
  125 calls the z is 3.8 and 3.2. A finding that closes says that it can no longer be told from how days of
  training differ.
* **Yes, and no reason to act.** `balance`, higher on three days, 19 to 21 November: means of EUR 2,494,
  3,366 and 3,019; in training 1,124, and above 1,991 on no day of 20 calls. It is told for too long: by 29
  January the mean is 749, but two plain days and a plain week are not enough, and the next four weeks end on
  2 April. With 50 rows a window it closes on 6 February.
* **Hardly.** `default`: of the 567 calls of 13 May 2009 0.9 % had a credit in default, of 554 on the four
  Wednesdays before 3.1 %; but in the week from 30 April it was 1.7 % after 0.4 %. Strange windows, not a
  change. Gone by 20 August.

Of the 21,173 calls 16,157 lie in windows that were looked at, of the 5,849 after 18 May 2009, when the last
day has 500 calls, 5,446. With 50 rows a window it is 19,923 and 4,789, and more looks tell less: weeks of 50
to 300 calls never say `job`. What differs from the weeks before (`pdays` and `previous`, three times) is
told anew whenever more clients are called again.

What a person would have flagged, and the monitor did not, or not yet:

* **October 2008.** 80 calls on 15 days, 53 of them by landline telephone, and 61.3 % subscribe where the
  model expects 4.7 %. The busiest day has ten calls. Of the four weeks from 16 October the score is strange
  (z 9.3), but one window alone opens nothing, and the second is the 17 November, when other clients are
  called.
* **Weeks with one busy day.** In January, February, April and May 2009 a day of 500 calls stands for its
  week, and its other days are not looked at: 3,208 calls. Of the other 1,808 that are in no window, 1,764 lie
  in weeks of fewer than 500 calls, beside one that was looked at.
* **From June 2009 on** another kind of client is called: 23.1 % are retired or students, 22.0 % had been won
  before (none in training), and 45.5 % of 5,459 subscribe, where the model expects 9.2 %. The monitor says
  the first by `job` and `age` and the second by what stays open since November; the last is for the labels
  to say.

Rightly not told: how clients are reached, and how many have a housing loan, changes from day to day already
in training (the contact is unknown for all or for none, 10 % to 92 % have a loan). So 96 % with a housing
loan on 18 May 2009 is no finding, and a person who knows May 2008 would not make it one.

Of the labels `trainer monitor` says what matters, and both findings are right: 24 of 45 in October 2008, and
from 27 February 2009 on for good, at first 8.4 %, in the end nearly half. (It said more before this page was
made: 2 of 14 calls in December, with a p of 3.1e-08, and 1 of 11, because it took days for equally large. Now
a day of one or two calls strays as so few do.)

The model is a poor one to begin with: the area under its ROC curve is 0.55 on its hold-out, and on the calls
up to 18 May 2009 it is 0.48, worse than chance. Drift findings do not say that; outcomes do.

Five things in the monitor were mended for what was seen here, so this page is no test of them. Before, weeks
were not looked at, so nothing was after 18 May 2009, what was open stayed open, and `age` was told on 20
April; `balance`, declared in euros, was "multiplied by 2.205, pounds sent for kilograms"; what never varied
in training had a weight of 0 and stood last; it moved by "2508327697475.91 standard deviations"; and nobody
was told when the monitor had last looked. No setting was changed.
"""
