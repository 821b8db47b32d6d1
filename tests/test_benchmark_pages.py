"""Pages are rendered from results, and say what the results say."""

import pytest

from benchmarks.drift.__main__ import PAGES, rendered
from benchmarks.lineup import GRPCIO, VARIANTS
from benchmarks.pages.claims import Claim, best, render_claims
from benchmarks.pages.markdown import number, table
from benchmarks.pages.render import pages
from benchmarks.pages.rows import fault, rounds, shares
from benchmarks.results import FULL


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1234, "0.123"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (12345.6, "12,346"),
        (-2.5, "-2.50"),
    ],
)
def test_numbers_have_three_digits(value, shown):
    assert number(value) == shown


def test_tables_have_a_rule_under_their_head():
    assert table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_rounds_come_in_order_whatever_the_order_of_measuring():
    rows = [{"round": 1, "server": "a", "rate": 5}, {"round": 0, "server": "a", "rate": 4}]
    assert rounds(rows, lambda row: row["rate"], server="a") == [4, 5]
    assert rounds(rows, lambda row: row["rate"], server="b") == []


@pytest.mark.parametrize(
    ("bound", "at_least", "found", "holds"),
    [
        (2.0, True, [1.0, 2.0, 3.0], "yes"),
        (2.1, True, [1.0, 2.0, 3.0], "**no**"),
        (2.0, False, [1.0, 2.0, 3.0], "yes"),
        (1.9, False, [1.0, 2.0, 3.0], "**no**"),
        (1.9, False, [], ""),
    ],
)
def test_a_claim_holds_by_its_median(bound, at_least, found, holds):
    assert Claim("text", bound, at_least=at_least, found=found).row()[-1] == holds


def test_a_claim_whose_calls_failed_does_not_hold():
    failed = [{"ends": {"0": 99, "8": 1}, "achieved_rate": 100.0, "rate": 100.0}]
    slow = [{"ends": {"0": 90}, "achieved_rate": 90.0, "rate": 100.0}]
    assert fault([{"ends": {"0": 100}, "achieved_rate": 99.0, "rate": 100.0}]) == ""
    assert fault(failed) == "1 calls failed"
    assert fault(slow) == "the rate was not kept up in 1 runs"
    claim = Claim("text", 2.0, at_least=False, found=[1.0, 1.0, 1.0], fault=fault(failed))
    assert claim.row()[-1] == "**no**: 1 calls failed"


def test_shares_are_of_runs_that_counted():
    rows = [{"rows": {"served": 4, "written": 1}}, {"rows": {}}, {"rows": {"served": 2, "written": 2}}]
    assert shares(rows, "rows", "written", "served") == [0.25, 1.0]


def test_the_best_of_a_peers_variants_is_the_one_compared_with():
    threads = next(server for server in VARIANTS if server.name == "grpcio-threads")
    figures = {GRPCIO.name: [3.0, 4.0, 5.0], threads.name: [4.5, 4.6, 4.7]}
    result = {"labels": figures}
    assert best(result, (GRPCIO, threads), figures.__getitem__, least=False)[0] == threads.name
    assert best(result, (GRPCIO, threads), figures.__getitem__, least=True)[0] == GRPCIO.name


def test_without_results_nothing_is_claimed():
    names = ("throughput", "latency", "request", "shadow", "transform", "soak")
    assert "yes" not in render_claims(dict.fromkeys(names))


def test_the_pages_in_docs_are_those_of_the_results():
    rendered = pages(FULL)
    written = {file.name: file.read_text() for file in FULL.pages.glob("*.md")}
    if not any(FULL.results.glob("*.json")):
        pytest.skip("nothing has been measured")
    assert written == rendered


def test_the_drift_pages_in_docs_are_those_of_the_results():
    for name, text in rendered().items():
        assert (PAGES / name).read_text() == text
