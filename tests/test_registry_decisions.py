"""Decisions in the registry: kept as they were, and found by whom they are on."""

from dataclasses import replace

import pytest
from made_decision import DECISION

from sidecar.registry import Registry


@pytest.fixture
def registry(tmp_path):
    with Registry(tmp_path / "home" / "registry.db") as registry:
        yield registry


def test_decisions_are_kept_as_they_were(registry):
    assert [registry.save_decision(DECISION), registry.save_decision(DECISION)] == [1, 2]
    assert registry.decisions() == [replace(DECISION, sequence=1), replace(DECISION, sequence=2)]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, 4),
        ({"candidate": "c1"}, 3),
        ({"champion": "d1"}, 2),
        ({"candidate": "c1", "champion": "d1"}, 1),
        ({"actions": ("lapse", "release")}, 3),
        ({"champion": "d1", "actions": ("lapse", "release")}, 2),
        ({"champion": "d1", "actions": ("lapse",), "since_ns": 11}, None),
        ({"since_ns": 13}, 3),
        ({"candidate": "c3"}, None),
    ],
)
def test_the_newest_decision_is_that_of_whom_one_asks_about(registry, asked, found):
    assert registry.newest_decision(**asked) is None
    for candidate, champion, action, decided_ns in [
        ("c1", "d1", "lapse", 10),
        ("c2", "d1", "release", 12),
        ("c1", "d2", "lapse", 13),
        ("c2", "d2", "hold", 11),  # the machine's clock was set back
    ]:
        registry.save_decision(
            replace(DECISION, candidate=candidate, champion=champion, action=action, decided_ns=decided_ns)
        )
    newest = registry.newest_decision(**asked)
    assert (newest and newest.sequence) == found
    assert newest is None or newest in registry.decisions()
