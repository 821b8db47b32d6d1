"""`trainer skew` on a real home: rows sent over gRPC, findings kept."""

from dataclasses import replace

import numpy as np
import pytest
from sidecar_process import SidecarProcess
from small_task import traffic
from trainer_process import trainer, trainer_error

from sidecar.client import Client, Record
from sidecar.config import Config
from sidecar.domain import ServedBatch
from sidecar.findings import FindingStore
from sidecar.registry import Registry
from sidecar.session import load_model
from sidecar.signature import Blocks
from sidecar.store.log import LogStore
from sidecar.store.reader import LogReader
from trainer.days import DAY_NS
from trainer.skew.audit import Auditor
from trainer.skew.log_sample import sample

TASK = "tests/small_task.py"
EARLIER, TODAY = (30, 4), (34, 1)
"""First day and number of days: what came before, and what is audited. Two rows of the evening before are
within a day of the last one."""


@pytest.fixture(scope="module")
def home(tmp_path_factory, request):
    """Trained, serving four days of one client, and a fifth on which half the rows come from a wrong one."""
    home = tmp_path_factory.mktemp("audit") / "var"
    task = str(request.config.rootpath / TASK)
    snapshot = trainer(home, "snapshot", task, "--history-until", "2024-02-15")["digest"]
    [fitted] = trainer(home, "fit", task, "--snapshot", snapshot, "--recipe", "line")["fitted"]
    trainer(home, "promote", fitted["bundle"], "--first", "--why", "tests", "--patience", "0")
    assert "nothing was served yet" in trainer_error_without_rows(home)
    with SidecarProcess(home) as sidecar:
        send(sidecar, traffic(*EARLIER, rows_a_day=400), "app/1", slice(None))
        today = traffic(*TODAY, rows_a_day=400)
        send(sidecar, today, "app/1", slice(0, None, 2))
        send(sidecar, today, "app/2", slice(1, None, 2), amount=1000.0)
        assert sidecar.stop() == 0
    return home


def trainer_error_without_rows(home):
    LogStore(home / "log.db").close()
    return trainer_error(home, "skew")


def send(sidecar, rows, client, part, amount=1.0):
    records = []
    for row in range(len(rows.request_ids))[part]:
        fields = rows.record(row)
        fields["amount"] *= amount
        records.append(Record(fields, rows.request_ids[row], int(rows.event_ns[row])))
    with Client(sidecar.target, client=client) as caller:
        assert len(list(caller.predict_many(records))) == len(records)


def test_the_audit_names_field_mistake_client_and_time(home):
    [audit] = trainer(home, "skew")["audits"]
    assert (audit["rows"], audit["compared"]) == ({"app/1": 202, "app/2": 200}, 402)
    [found] = audit["findings"]
    assert (found["monitor"], found["subject"], found["what"], found["new"]) == (
        "skew",
        "amount",
        "unit",
        True,
    )
    assert found["evidence"]["clients"] == ["app/2"]
    assert found["evidence"]["factor"] == 1000
    today = traffic(*TODAY, rows_a_day=400)
    assert 0 <= found["since_ns"] - int(today.event_ns[0]) < DAY_NS // 24
    assert "amount sent 1,000 times as large by app/2 since 2024-02-04 00:" in found["text"]
    [again] = trainer(home, "skew", "--every-row")["audits"]
    assert [one["new"] for one in again["findings"]] == [False]
    with FindingStore(home / "findings.db") as findings:
        assert [one.finding.subject for one in findings.open()] == ["amount"]


def test_every_row_that_was_served_is_computed_again_bit_for_bit(home):
    [audit] = trainer(home, "skew", "--every-row", "--window", "240")["audits"]
    assert audit["compared"] == 2000
    assert {one["what"] for one in audit["findings"]} <= {"unit"}


def audited(home, tmp_path, change):
    """The findings about a copy of the log, in which each batch is changed."""
    copy = tmp_path / "log.db"
    store = LogStore(copy)
    ledger = store.new_ledger()
    store.open_run(ledger)
    with LogReader(home / "log.db") as reader:
        batches = list(reader.served())
    store.write([change(batch) for batch in batches], [], [])
    store.close()
    ledger.close()
    config = Config(home=home)
    (tmp_path / "snapshots").symlink_to(config.snapshots_path)
    with Registry(config.registry_path) as registry, FindingStore(tmp_path / "findings.db") as findings:
        return Auditor(Config(home=tmp_path), registry, findings).look()


def right(batch: ServedBatch) -> ServedBatch:
    """The batch with right amounts, as the champion would have answered it."""
    wrong = np.equal(batch.client, "app/2")
    numbers = batch.blocks.numbers.copy()
    numbers[wrong, 1] /= 1000
    return replace(batch, blocks=Blocks(numbers, batch.blocks.integers, batch.blocks.texts))


def answered(batch: ServedBatch, bundle) -> ServedBatch:
    made = load_model(bundle).run(batch.blocks)
    return replace(batch, features=made.features, score=made.score, decision=made.decision)


@pytest.fixture(scope="module")
def bundle(home):
    with Registry(home / "registry.db") as registry:
        return registry.deployment().champion.path


def test_a_clean_log_has_no_findings(home, bundle, tmp_path):
    [audit] = audited(home, tmp_path, lambda batch: answered(right(batch), bundle))
    assert (audit.compared, audit.found) == (402, [])


@pytest.mark.parametrize(("part", "largest"), [("features", 2e-6), ("score", 1.2e-7), ("decision", 1.0)])
def test_an_answer_that_differs_in_one_bit_is_found(home, bundle, tmp_path, part, largest):
    def damaged(batch):
        made = answered(right(batch), bundle)
        values = getattr(made, part).copy()
        row = np.flatnonzero(np.equal(made.client, "app/2"))[-1:]
        if part == "decision":
            values[row] = ~values[row]
        else:
            values[row] = np.nextafter(values[row], np.float32(np.inf))
        return replace(made, **{part: values})

    [audit] = audited(home, tmp_path, damaged)
    [found] = audit.found
    assert (found.subject, found.what) == (part, "recomputed")
    assert found.evidence["clients"] == ["app/2"]
    assert 0 < found.evidence["largest_difference"] <= largest


def test_without_its_snapshot_the_days_before_are_the_measure(home, tmp_path):
    config = Config(home=home)
    with Registry(config.registry_path) as registry, FindingStore(tmp_path / "findings.db") as findings:
        (tmp_path / "log.db").symlink_to(config.log_path)
        [audit] = Auditor(Config(home=tmp_path), registry, findings).look()
    assert [(one.subject, one.what) for one in audit.found] == [("amount", "unit")]


def test_what_a_retired_model_was_found_with_is_closed(home, tmp_path):
    config = Config(home=home)
    with Registry(config.registry_path) as registry, FindingStore(tmp_path / "findings.db") as findings:
        (tmp_path / "log.db").symlink_to(config.log_path)
        [audit] = Auditor(Config(home=tmp_path), registry, findings).look()
        findings.report("skew", "e" * 64, [replace(audit.found[0], model="e" * 64)], 1)
        Auditor(Config(home=tmp_path), registry, findings).look()
        assert [one.finding.model for one in findings.open()] == [audit.model]


def test_a_sample_is_bounded_and_fair(home):
    with LogReader(home / "log.db") as reader:
        found = sample(reader.served(), 500)
    assert found.of == 2000
    assert 200 < len(found) <= 500
    assert 0.05 < np.mean(np.equal(found.client, "app/2")) < 0.16
