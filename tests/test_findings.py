"""Findings open, go on, and close."""

from dataclasses import replace

import pytest

from sidecar.errors import ConfigError
from sidecar.findings import Finding, FindingStore

SHIFT = Finding(
    "drift", "d" * 64, "seats", "shift", 0.3, since_ns=100, text="seats moved", evidence={"psi": 0.3}
)
MISSING = replace(SHIFT, what="missing", text="seats are missing")


@pytest.fixture
def store(tmp_path):
    with FindingStore(tmp_path / "findings.db") as store:
        yield store


def look(store, *found, at):
    return store.report("drift", "d" * 64, found, at)


def test_what_goes_on_is_told_once(store):
    assert look(store, SHIFT, at=10) == [SHIFT]
    later = replace(SHIFT, size=0.5, since_ns=200, text="seats moved on")
    assert look(store, later, MISSING, at=20) == [MISSING]
    first, second = store.open()
    assert first.finding == replace(later, since_ns=100)
    assert (first.opened_ns, first.seen_ns, first.closed_ns) == (10, 20, None)
    assert (second.opened_ns, second.seen_ns, second.closed_ns) == (20, 20, None)


def test_what_is_no_longer_found_is_closed_and_may_come_back(store):
    look(store, SHIFT, at=10)
    look(store, at=20)
    assert store.open() == []
    assert look(store, SHIFT, at=30) == [SHIFT]
    assert [(one.opened_ns, one.seen_ns, one.closed_ns) for one in store.all()] == [
        (10, 10, 20),
        (30, 30, None),
    ]


def test_a_look_closes_nothing_of_other_models_and_monitors(store):
    look(store, SHIFT, at=10)
    other = replace(SHIFT, model="e" * 64)
    skew = replace(SHIFT, monitor="skew")
    store.report("drift", other.model, [other], 11)
    store.report("skew", skew.model, [skew], 12)
    look(store, at=20)
    assert [one.finding for one in store.open()] == [other, skew]
    assert [one.finding for one in store.open("d" * 64)] == [skew]


def test_a_look_that_contradicts_itself_changes_nothing(store):
    look(store, SHIFT, at=10)
    for found in (
        [replace(SHIFT, monitor="skew")],
        [replace(SHIFT, model="")],
        [MISSING, replace(MISSING, size=1)],
    ):
        with pytest.raises(ValueError, match="finding"):
            look(store, *found, at=20)
    assert [one.seen_ns for one in store.open()] == [10]


def test_two_processes_see_each_others_findings(store, tmp_path):
    with FindingStore(tmp_path / "findings.db") as other:
        look(other, SHIFT, at=10)
        assert look(store, SHIFT, at=20) == []


def test_a_file_of_another_format_is_refused(store, tmp_path):
    store._connection.execute("PRAGMA user_version = 9")
    with pytest.raises(ConfigError, match="format 9"):
        FindingStore(tmp_path / "findings.db")
