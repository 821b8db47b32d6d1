import shutil
import sqlite3
from dataclasses import replace

import pytest
from made_decision import DECISION
from tiny_bundles import tiny_bundle

from sidecar.audit_chain import GENESIS
from sidecar.lifecycle import ModelState, Reason
from sidecar.registry import Judged, Registry, StoredDecision

WHY = Reason("tests", "to see")


def stored(candidate: str, action: str = "hold") -> StoredDecision:
    return replace(DECISION, candidate=candidate, action=action, reasons=["It is early.", "Wait."])


@pytest.fixture
def path(tmp_path):
    """A registry with a few transitions and two decisions between them."""
    file = tmp_path / "registry.db"
    with Registry(file) as registry:
        first, second = (
            tiny_bundle(tmp_path / "bundles", name, weight=w) for name, w in (("a", 2.0), ("b", 3.0))
        )
        for bundle in (first, second):
            registry.register(bundle, WHY)
            registry.move(
                bundle.model.digest, expected=ModelState.REGISTERED, to=ModelState.ADMITTED, reason=WHY
            )
        registry.promote(first.model.digest, WHY)
        digest = second.model.digest
        registry.move(digest, expected=ModelState.ADMITTED, to=ModelState.SHADOW, reason=WHY)
        assert registry.save_decision(stored(digest)) == 1
        assert registry.save_decision(stored(digest, "reject")) == 2
        registry.move(digest, expected=ModelState.SHADOW, to=ModelState.REJECTED, reason=WHY)
    return file


def tamper(path, sql):
    """Edit the file as somebody would who can write to it and knows its rules."""
    connection = sqlite3.connect(path)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.executescript(sql)
    connection.commit()
    connection.close()


def faults(path):
    with Registry(path) as registry:
        return registry.verify().faults


def test_what_was_written_is_intact_and_in_order(path):
    with Registry(path) as registry:
        audit = registry.verify()
        history = registry.history()
    assert (audit.entries, audit.faults) == (9, ())
    kinds = ["decision" if isinstance(one, StoredDecision) else one.to_state.value for one in history]
    assert kinds == [
        "registered",
        "admitted",
        "registered",
        "admitted",
        "champion",
        "shadow",
        "decision",
        "decision",
        "rejected",
    ]
    assert history[7].action == "reject"
    assert history[6].reasons == ["It is early.", "Wait."]


def test_the_course_is_the_history_without_what_decisions_rest_on(path):
    with Registry(path) as registry:
        history, course = registry.history(), registry.course()
    assert course == [
        Judged(one.candidate, one.champion, one.sequence) if isinstance(one, StoredDecision) else one
        for one in history
    ]


def test_an_empty_registry_is_intact(tmp_path):
    with Registry(tmp_path / "none.db") as registry:
        assert registry.verify().head == GENESIS
        assert registry.history() == registry.course() == []
        registry.create()
        assert registry.verify().faults == ()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (
            "UPDATE decisions SET action = 'promote' WHERE sequence = 1",
            "entry 7 (decisions 1): the row was changed",
        ),
        (
            "UPDATE decisions SET e_value = 99 WHERE sequence = 2",
            "entry 8 (decisions 2): the row was changed",
        ),
        (
            "UPDATE transitions SET actor = 'somebody' WHERE sequence = 2",
            "entry 2 (transitions 2): the row was",
        ),
        ("DELETE FROM decisions WHERE sequence = 1", "entry 7 (decisions 1): the row is gone"),
        (
            "DELETE FROM decisions WHERE sequence = 1; DELETE FROM audit WHERE number = 7",
            "entry 8 (decisions 2): it is not tied",
        ),
        ("DELETE FROM audit WHERE number = 9", "transitions 7: the row is not in the chain"),
        (
            """
            INSERT INTO decisions SELECT 3, candidate, champion, 'promote', reasons, e_value, wanted, budget,
              budget_left, evidence_digest, policy_digest, evidence_json, policy_json, decided_ns, logged_ns,
              actor
            FROM decisions WHERE sequence = 1
            """,
            "decisions 3: the row is not in the chain",
        ),
        (
            "UPDATE versions SET state = 'shadow' WHERE state = 'rejected'",
            "but its newest transition led to rejected",
        ),
        ("UPDATE audit SET digest = 'x' WHERE number = 3", "entry 3 (transitions 3): it is not tied"),
    ],
)
def test_every_kind_of_tampering_is_found(path, sql, says):
    tamper(path, sql)
    assert any(says in fault for fault in faults(path)), faults(path)


def test_only_an_old_head_tells_that_the_end_was_cut_off(path):
    with Registry(path) as registry:
        head = registry.verify().head
    tamper(
        path,
        "DELETE FROM audit WHERE number = 9; DELETE FROM transitions WHERE sequence = 7; "
        "UPDATE versions SET state = 'shadow' WHERE state = 'rejected'",
    )
    assert faults(path) == ()
    with Registry(path) as registry:
        assert head not in {entry.link for entry in registry.entries()}


def test_the_database_refuses_to_change_the_chain(path):
    connection = sqlite3.connect(path)
    for sql in ("UPDATE audit SET link = 'x'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(sql)
    connection.close()


def test_the_chain_goes_on_in_a_copy(path, tmp_path):
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)
    with Registry(copy) as registry:
        registry.save_decision(stored("f" * 64))
        assert registry.verify().entries == 10
        assert registry.verify().faults == ()
