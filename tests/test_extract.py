"""`sidecar log query`, `export` and `seal` on a log with bundles, hot and sealed."""

import csv
import json

import pytest
from shadowed import served
from sidecar_process import admit_without_check, promote, run_cli
from tiny_bundles import tiny_bundle

from sidecar.domain import Failure, Outcome, ScoreBatch, to_ids
from sidecar.errors import InvalidRequestError
from sidecar.store.extract import Condition
from sidecar.store.log import LogStore


@pytest.fixture
def home(tmp_path):
    """One sealed batch of three rows, one of two in SQLite, a score and an outcome."""
    home = tmp_path / "home"
    champion = tiny_bundle(home / "bundles", "champion")
    admit_without_check(home, champion)
    promote(home, champion)
    store = LogStore(home / "log.db")
    ledger = store.new_ledger()
    store.open_run(ledger)
    store.write([served(champion, 3, prefix="old")], [], [])
    assert run_cli("log", "seal", home=home).stdout.startswith("3 rows sealed in 1 files")
    failed = ScoreBatch.failed(champion.model, champion.model, to_ids(["new0"]), Failure.SHED, "full")
    store.write([served(champion, 2, prefix="new")], [failed], [[Outcome("new0", 1.0, 2.5, 7)]])
    store.close_run()
    store.close()
    ledger.close()
    return home


def test_query_prints_rows_by_name_from_both_parts(home):
    found = [json.loads(line) for line in run_cli("log", "query", home=home).stdout.splitlines()]
    assert [row["request_id"] for row in found] == ["old0", "old1", "old2", "new0", "new1"]
    assert (found[1]["x"], found[1]["amount"], found[1]["colour"], found[1]["trigger"]) == (
        pytest.approx(1 / 3),
        10.0,
        "red",
        0,
    )
    assert (found[0]["version"], found[0]["decision"]) == ("champion", False)
    assert found[0]["event_time"] == "1970-01-01T00:00:00.000000000Z"
    one = run_cli("log", "query", "--where", "request_id=new1", "--where", "x<1", home=home).stdout
    assert [json.loads(line)["request_id"] for line in one.splitlines()] == ["new1"]
    assert run_cli("log", "query", "--limit", "1", "--where", "x > 1", home=home).stdout == ""


def test_query_knows_scores_and_outcomes(home):
    (score,) = map(json.loads, run_cli("log", "query", "--rows", "scores", home=home).stdout.splitlines())
    assert (score["request_id"], score["failure"], score["score"]) == ("new0", "shed", None)
    (outcome,) = map(json.loads, run_cli("log", "query", "--rows", "outcomes", home=home).stdout.splitlines())
    assert (outcome["request_id"], outcome["label"], outcome["value"]) == ("new0", 1.0, 2.5)


def test_export_writes_each_format_and_says_what_it_cannot(home, tmp_path):
    for name in ("rows.csv", "rows.jsonl", "rows.parquet"):
        assert run_cli("log", "export", str(tmp_path / name), home=home).stdout.startswith("5 rows in")
    with (tmp_path / "rows.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [row["request_id"] for row in found] == ["old0", "old1", "old2", "new0", "new1"]
    parquet = pytest.importorskip("pyarrow.parquet")
    assert parquet.read_table(tmp_path / "rows.parquet")["colour"].to_pylist() == ["red"] * 5
    again = run_cli("log", "export", str(tmp_path / "rows.csv"), home=home)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    strange = run_cli("log", "query", "--where", "speed>3", home=home)
    assert (strange.returncode, "no column 'speed'" in strange.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("x>=2", [False, True, False]),
        ("x != 2", [True, False, False]),
        ("x=1", [True, False, False]),
    ],
)
def test_a_missing_value_fits_no_condition(text, holds):
    assert Condition.parse(text).holds([1.0, 2.0, None]).tolist() == holds


@pytest.mark.parametrize("text", ["x", "=3", "x ~ 3", ""])
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(InvalidRequestError, match="is no condition"):
        Condition.parse(text)


def test_a_word_is_no_number():
    with pytest.raises(InvalidRequestError, match="'many' is none"):
        Condition.parse("x>many").holds([1.0])
