"""What an engine hands to the recorder, whatever it is made of."""

from concurrent.futures import ThreadPoolExecutor

from running_engine import RunningEngine
from tiny_bundles import row, tiny_bundle

from sidecar.config import Limits
from sidecar.domain import OutcomeReceipt, to_texts


def test_a_full_ring_drops_rows_and_counts_them_without_failing_a_reply(kind, tmp_path, bundle):
    with RunningEngine(tmp_path, kind, limits=Limits(ring_rows=10), champion=bundle) as running:
        running.stop_recorder()
        replies = [running.client.predict(row(), request_id=f"r{i}") for i in range(15)]
        assert len(replies) == 15
        stats = running.engine.stats()
        assert (stats.served, stats.dropped, stats.queued, stats.errors) == (15, 5, 10, {})
        assert (running.ledger.offered, running.ledger.dropped) == (15, 5)
        first = running.engine.drain(4, 0).served
        assert [request_id for batch in first for request_id in to_texts(batch.request_ids)] == [
            "r0",
            "r1",
            "r2",
            "r3",
        ]
        running.client.predict(row(), request_id="after")
        rest = running.engine.drain(100, 0).served
        kept = [request_id for batch in rest for request_id in to_texts(batch.request_ids)]
        assert kept == ["r4", "r5", "r6", "r7", "r8", "r9", "after"]
        assert running.engine.stats().queued == 0


def test_rows_of_different_models_are_drained_apart_each_in_order(engine, tmp_path, bundle):
    other = tiny_bundle(tmp_path / "bundles", "2", weight=-3.0)
    engine.stop_recorder()
    engine.served.clear()
    for number, champion in enumerate((bundle, bundle, other, bundle, other)):
        engine.deploy(champion)
        engine.client.predict(row(), request_id=f"r{number}")
    batches = engine.engine.drain(100, 0).served
    assert [(batch.model.version, to_texts(batch.request_ids)) for batch in batches] == [
        ("1", ["r0", "r1", "r3"]),
        ("2", ["r2", "r4"]),
    ]
    groups = [int(group) for batch in batches for group in batch.group]
    assert len(set(groups)) == 5
    assert groups == sorted(groups)


def test_drain_comes_back_empty_after_its_wait(engine):
    engine.stop_recorder()
    drained = engine.engine.drain(100, 0.01)
    assert (list(drained.served), list(drained.outcomes)) == ([], [])


def test_drain_comes_back_early_for_outcomes_and_for_a_half_full_ring(kind, tmp_path, bundle):
    with (
        RunningEngine(tmp_path, kind, limits=Limits(ring_rows=8), champion=bundle) as running,
        ThreadPoolExecutor(2) as pool,
    ):
        running.stop_recorder()
        far_away = 600
        drain = pool.submit(running.engine.drain, 100, far_away)
        call = pool.submit(running.client.record_outcome, "r", 1)
        [pending] = drain.result(60).outcomes
        assert [outcome.request_id for outcome in pending.outcomes] == ["r"]
        running.engine.settle(pending.ticket, OutcomeReceipt(1, 0, ()))
        assert call.result(60) == OutcomeReceipt(1, 0, ())

        drain = pool.submit(running.engine.drain, 100, far_away)
        for _ in range(4):
            running.client.predict(row())
        assert sum(len(batch) for batch in drain.result(60).served) == 4
