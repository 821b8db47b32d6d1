"""The drift monitor on a bank's calls, in files of that form: what is planted is found, and on the page."""

import hashlib
from datetime import date, timedelta

import numpy as np
import pytest

from benchmarks.drift import bank
from benchmarks.drift.__main__ import everything, main
from benchmarks.drift.bank_calls import SHA256, SOURCE, read_calls
from benchmarks.drift.real_page import render_bank
from sidecar.drift.scale import DAY_NS
from sidecar.errors import ConfigError

FIELDS = (
    *(
        "age",
        "job",
        "marital",
        "education",
        "default",
        "balance",
        "housing",
        "loan",
        "contact",
        "day",
        "month",
    ),
    *("duration", "campaign", "pdays", "previous", "poutcome", "y"),
)
MONTHS = {5: "may", 6: "jun", 7: "jul", 11: "nov", 1: "jan"}
TRAINING_DAYS, TRAINING_CALLS = 60, 60
LATER = date(2008, 11, 17), date(2008, 11, 18), date(2009, 1, 28)
CALLS = 600


def line(rng, day, *, again=False):
    """One call; students subscribe more often than others. again: the client was called in vain before."""
    job = rng.choice(["student", "retired", "services"])
    row = {
        "age": int(rng.integers(20, 60)),
        "job": job,
        "marital": rng.choice(["single", "married"]),
        "education": rng.choice(["secondary", "tertiary"]),
        "default": "no",
        "balance": int(rng.integers(-300, 3000)),
        "housing": rng.choice(["yes", "no"]),
        "loan": "no",
        "contact": rng.choice(["cellular", "telephone", "unknown"]),
        "day": day.day,
        "month": MONTHS[day.month],
        "duration": int(rng.integers(5, 900)),
        "campaign": int(rng.integers(1, 5)),
        "pdays": int(rng.integers(90, 400)) if again else -1,
        "previous": 2 if again else 0,
        "poutcome": "failure" if again else "unknown",
        "y": "yes" if rng.random() < (0.3 if job == "student" else 0.05) else "no",
    }
    return ";".join(f"{row[name]}" if isinstance(row[name], int) else f'"{row[name]}"' for name in FIELDS)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Sixty days from May 2008 on; then two in November and one in January, a third of them called before."""
    rng = np.random.default_rng(0)
    training = [date(2008, 5, 5) + timedelta(days) for days in range(TRAINING_DAYS)]
    lines = [line(rng, day) for day in training for _ in range(TRAINING_CALLS)]
    lines += [line(rng, day, again=call % 3 == 0) for day in LATER for call in range(CALLS)]
    written = tmp_path_factory.mktemp("bank") / "bank-full.csv"
    written.write_text(
        "\n".join([";".join(f'"{name}"' for name in FIELDS), *lines, line(rng, date(2009, 1, 27)), ""])
    )
    return written


def digest_of(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def found(file, tmp_path_factory):
    return bank.measure(file, sha256=digest_of(file), folder=tmp_path_factory.mktemp("drift"))


def test_the_year_follows_from_the_months_and_a_day_from_its_order(file):
    calls = read_calls(file, sha256=digest_of(file))
    days = (calls.event_ns // DAY_NS).astype("datetime64[D]")
    assert np.unique(days[-3 * CALLS - 1 :]).astype(str).tolist() == [str(day) for day in LATER]
    assert (np.diff(calls.event_ns) > 0).all()
    assert calls.turned_back == 1
    assert "duration" not in calls.columns


def test_what_changes_is_found_and_said_on_the_page(found):
    assert found["training_rows"] == TRAINING_DAYS * TRAINING_CALLS
    assert (found["rows"], found["days"], found["turned_back"]) == (3 * CALLS + 1, 3, 1)
    first = {(one["subject"], one["what"]): one for one in found["findings"]}["poutcome", "unseen"]
    assert (first["since"], first["opened"], first["closed"]) == ("2008-11-17", "2009-01-28", None)
    assert "marital" not in {one["subject"] for one in found["findings"]}
    assert [month["month"] for month in found["months"]] == [
        "2008-05",
        "2008-06",
        "2008-07",
        "2008-11",
        "2009-01",
    ]
    page = render_bank({"bank": found})
    assert first["text"] in page
    assert found["model"] in page
    assert f"Looked at: {found['looks']['day']} days" in page


def test_without_results_the_page_is_its_title():
    assert len(render_bank({"bank": None}).splitlines()) == 3


def test_a_file_that_is_not_named_is_asked_for():
    with pytest.raises(ConfigError, match=f"{SOURCE}.*--bank-file.*{SHA256}"):
        read_calls(None)


@pytest.mark.parametrize("parts", [["bank"], []])
@pytest.mark.parametrize("name", ["absent.csv", "bank-full.csv"])
def test_no_file_and_another_file_are_errors_of_one_line_before_anything_is_measured(
    name, parts, file, capsys
):
    with pytest.raises(SystemExit) as ended:
        main(["run", *parts, "--bank-file", str(file.parent / name)])
    out, error = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert len(error.splitlines()) == 1
    assert "number 222 in the UCI Machine Learning Repository" in error
    assert SHA256 in error
    assert ("another file" in error) == (name == "bank-full.csv")


def test_the_bank_is_part_of_everything_only_with_its_file(file):
    assert "bank" not in everything(None)
    assert set(everything(file)) == {"bank", *everything(None)}
