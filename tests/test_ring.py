import threading
import time

import numpy as np
import pytest

from sidecar.domain import ModelId, Outcome, to_texts
from sidecar.engine.contract import PendingOutcomes
from sidecar.engine.ring import Answered, Ring
from sidecar.ledger import Ledger
from sidecar.session import Prediction
from sidecar.signature import Blocks

MODELS = [ModelId("task", version, version * 64) for version in "ab"]


@pytest.fixture
def ledger(tmp_path):
    made = Ledger.create(tmp_path / "ledger")
    yield made
    made.close()


def answered(number, rows=1, model=MODELS[0]):
    return Answered(
        model=model,
        request_ids=[f"r{number}/{i}" for i in range(rows)],
        client=f"app/{number}",
        received_ns=number,
        event_ns=-number,
        blocks=Blocks(
            np.full((rows, 2), number, np.float32),
            np.full((rows, 1), number, np.int64),
            np.full((rows, 1), str(number), object),
        ),
        prediction=Prediction(
            features=np.full((rows, 3), number, np.float32),
            score=np.arange(rows, dtype=np.float32) + number,
            decision=np.full(rows, number % 2 == 0),
            infer_ns=number * 10,
            cpu_ns=number * 5,
        ),
        propensity=np.full(rows, number / 8, np.float32),
        queue_ns=number * 2,
        failed_ns=number * 3,
    )


def ids(drained):
    return [request_id for batch in drained.served for request_id in to_texts(batch.request_ids)]


def test_calls_become_columns_in_order(ledger):
    ring = Ring(100, ledger)
    ring.push(answered(1, rows=2))
    ring.push(answered(2))
    [batch] = ring.drain(100, 0).served
    assert len(batch) == 3
    assert batch.model == MODELS[0]
    assert to_texts(batch.request_ids) == ["r1/0", "r1/1", "r2/0"]
    assert batch.client.tolist() == ["app/1", "app/1", "app/2"]
    assert batch.group.tolist() == [0, 0, 1]
    assert batch.received_ns.tolist() == [1, 1, 2]
    assert batch.event_ns.tolist() == [-1, -1, -2]
    assert batch.queue_ns.tolist() == [2, 2, 4]
    assert batch.failed_ns.tolist() == [3, 3, 6]
    assert batch.infer_ns.tolist() == [10, 10, 20]
    assert batch.cpu_ns.tolist() == [5, 5, 10]
    assert batch.score.tolist() == [1.0, 2.0, 2.0]
    assert batch.decision.tolist() == [False, False, True]
    assert batch.propensity.tolist() == [0.125, 0.125, 0.25]
    assert batch.features.tolist() == [[1.0] * 3, [1.0] * 3, [2.0] * 3]
    assert batch.blocks.numbers.tolist() == [[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]]
    assert batch.blocks.texts.tolist() == [["1"], ["1"], ["2"]]
    for name in ("received_ns", "event_ns", "group", "queue_ns", "failed_ns", "infer_ns", "cpu_ns"):
        assert getattr(batch, name).dtype == np.int64, name


def test_groups_go_on_counting_from_drain_to_drain(ledger):
    ring = Ring(100, ledger)
    ring.push(answered(1))
    ring.push(answered(2, model=MODELS[1]))
    groups = [batch.group.tolist() for batch in ring.drain(100, 0).served]
    ring.push(answered(3))
    groups += [batch.group.tolist() for batch in ring.drain(100, 0).served]
    assert groups == [[0], [1], [2]]


def test_a_drain_gives_one_batch_for_each_model_its_rows_in_order(ledger):
    ring = Ring(100, ledger)
    for number, model in enumerate([1, 0, 1, 1, 0]):
        ring.push(answered(number, model=MODELS[model]))
    served = ring.drain(100, 0).served
    assert [batch.model for batch in served] == [MODELS[1], MODELS[0]]
    assert [to_texts(batch.request_ids) for batch in served] == [["r0/0", "r2/0", "r3/0"], ["r1/0", "r4/0"]]
    assert [batch.group.tolist() for batch in served] == [[0, 1, 2], [3, 4]]


def test_a_call_is_kept_whole_or_dropped_whole(ledger):
    ring = Ring(5, ledger)
    ring.push(answered(1, rows=3))
    ring.push(answered(2, rows=3))
    ring.push(answered(3, rows=2))
    assert (ring.offered, ring.dropped, ring.queued) == (8, 3, 5)
    assert (ledger.offered, ledger.dropped) == (8, 3)
    assert ids(ring.drain(100, 0)) == ["r1/0", "r1/1", "r1/2", "r3/0", "r3/1"]
    assert ring.queued == 0


def test_a_drain_takes_whole_calls_up_to_its_bound_and_at_least_one(ledger):
    ring = Ring(100, ledger)
    ring.push(answered(1, rows=4))
    ring.push(answered(2))
    ring.push(answered(3))
    ring.push(answered(4))
    assert len(ids(ring.drain(2, 0))) == 4
    assert ids(ring.drain(2, 0)) == ["r2/0", "r3/0"]
    assert ids(ring.drain(2, 0)) == ["r4/0"]
    assert ids(ring.drain(2, 0)) == []


@pytest.mark.parametrize(
    ("most", "at_once", "last"),
    [(3, [3, 3, 3], 1), (5, [5, 5], 0), (6, [6], 4)],
    ids=["whole", "half", "less"],
)
def test_a_drain_that_left_a_whole_one_or_half_a_ring_is_followed_at_once(ledger, most, at_once, last):
    ring = Ring(10, ledger)
    for number in range(10):
        ring.push(answered(number))
    sizes = []
    drains = threading.Thread(target=lambda: sizes.extend(len(ids(ring.drain(most, 600))) for _ in at_once))
    drains.start()
    drains.join(60)
    assert not drains.is_alive()
    assert sizes == at_once
    start = time.monotonic()
    assert len(ids(ring.drain(most, 0.02))) == last
    assert time.monotonic() - start >= 0.02


def test_outcomes_come_in_the_order_of_their_calls_and_survive_a_full_ring(ledger):
    ring = Ring(1, ledger)
    ring.push(answered(1))
    pending = [PendingOutcomes(ticket, [Outcome(f"r{ticket}", 1.0, None, 0)]) for ticket in (1, 2)]
    for each in pending:
        ring.push_outcomes(each)
    assert list(ring.drain(1, 600).outcomes) == pending


def test_one_thread_pushes_while_another_drains_and_no_row_is_lost_or_doubled(ledger):
    ring = Ring(64, ledger)
    pushed = threading.Event()

    def push():
        for number in range(20_000):
            ring.push(answered(number))
        pushed.set()

    pushing = threading.Thread(target=push)
    pushing.start()
    taken = []
    while not pushed.is_set() or ring.queued:
        drained = ring.drain(50, 0.001)
        assert len(ids(drained)) <= 50
        taken += ids(drained)
    pushing.join()
    numbers = [int(request_id[1:].split("/")[0]) for request_id in taken]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + ring.dropped == ring.offered == 20_000
    assert (ledger.offered, ledger.dropped) == (ring.offered, ring.dropped)
