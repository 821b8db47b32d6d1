"""gRPC's own ways, which every engine must know: compression, deadlines, large messages, many connections."""

import contextlib
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from infer_messages import infer_request, outputs_of
from raw_http2 import call_slowly
from running_engine import RunningEngine, request, status_of_call
from tiny_bundles import SIGNATURE, row

from sidecar.config import Limits
from sidecar.domain import to_texts
from sidecar.session import load_model
from sidecar.v1 import prediction_pb2, prediction_pb2_grpc

PREDICT = "/sidecar.v1.PredictionService/Predict"


def score_of(bundle, fields):
    return load_model(bundle.path).run(SIGNATURE.pack(fields)).score[0]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_requests_may_be_compressed(engine, bundle, compression):
    message = request(row(colour="red" * 300))
    reply = engine.stub.Predict(message, timeout=30, compression=compression)
    assert np.float32(reply.score) == score_of(bundle, row(colour="red" * 300))
    replies = list(engine.stub.PredictStream(iter([message] * 5), timeout=30, compression=compression))
    assert [each.score for each in replies] == [reply.score] * 5


def test_a_compressed_message_is_limited_by_what_it_unpacks_to(kind, tmp_path, bundle):
    with RunningEngine(tmp_path, kind, limits=Limits(max_message_bytes=100_000), champion=bundle) as running:
        bomb = request(row(colour="x" * 5_000_000))
        with pytest.raises(grpc.RpcError) as caught:
            running.stub.Predict(bomb, timeout=30, compression=grpc.Compression.Gzip)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert running.client.predict(row()).score > 0


def test_a_call_whose_deadline_has_passed_when_it_comes_is_not_scored(engine):
    message = request(row()).SerializeToString()
    for timeout in ("1n", "1u", "1m", "50m"):
        call_slowly(engine.endpoints.uds, PREDICT, message, timeout=timeout, pause_seconds=0.2)
    assert engine.client.predict(row()).score > 0
    assert engine.engine.stats().served == 1
    assert engine.ledger.offered == 1
    assert engine.engine.stats().errors.keys() <= {"DEADLINE_EXCEEDED"}


def test_the_largest_message_is_answered_and_one_byte_more_is_refused(kind, tmp_path, bundle):
    rows = 4096
    chance = random.Random(7)
    columns = {
        "x": [chance.choice([None, chance.uniform(-9, 9)]) for _ in range(rows)],
        "amount": [chance.uniform(0, 1e6) for _ in range(rows)],
        "trigger": [chance.randrange(-(2**62), 2**62) for _ in range(rows)],
        "colour": [
            chance.choice([None, "red", "blé" * 250, "x" * 1024, f"{each:0990}"]) for each in range(rows)
        ],
    }
    message = infer_request(columns, raw=True, id="all")
    message.outputs.add(name="features")
    message.outputs.add(name="score")
    most = 4 * 1024 * 1024
    message.parameters["padding"].string_param = ""
    spare = most - message.ByteSize()
    message.parameters["padding"].string_param = "p" * (spare - 8)
    message.parameters["padding"].string_param += "p" * (most - message.ByteSize())
    assert message.ByteSize() == most
    with RunningEngine(tmp_path, kind, limits=Limits(max_message_bytes=most), champion=bundle) as running:
        reply = running.oip.ModelInfer(message, timeout=60)
        blocks = SIGNATURE.pack_columns(columns)
        expected = load_model(bundle.path).run(blocks)
        outputs = outputs_of(reply)
        assert outputs["score"].tobytes() == expected.score.tobytes()
        assert outputs["features"].tobytes() == expected.features.tobytes()
        batch, _ = running.recorded()["all/0"]
        assert to_texts(batch.request_ids) == [f"all/{number}" for number in range(rows)]
        assert batch.blocks.equals(blocks)
        message.parameters["padding"].string_param += "p"
        assert status_of_call(running.oip.ModelInfer, message)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert running.client.predict(row()).score > 0


def test_many_connections_are_answered_each_with_its_own(engine, bundle):
    def ask(number):
        # Otherwise all channels of a process share one connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"unix:{engine.endpoints.uds}", options) as channel:
            stub = prediction_pb2_grpc.PredictionServiceStub(channel)
            asked = [request(row(x=number / 50), request_id=f"{number}-{turn}") for turn in range(3)]
            together.wait(60)
            replies = [stub.Predict(asked[0], timeout=60), *stub.PredictStream(iter(asked[1:]), timeout=60)]
            return [(reply.request_id, np.float32(reply.score)) for reply in replies]

    callers = 100
    together = threading.Barrier(callers)
    with ThreadPoolExecutor(callers) as pool:
        answers = list(pool.map(ask, range(callers)))
    model = load_model(bundle.path)
    for number, answer in enumerate(answers):
        score = model.run(SIGNATURE.pack(row(x=number / 50))).score[0]
        assert answer == [(f"{number}-{turn}", score) for turn in range(3)]
    assert len(engine.recorded()) == 300
    assert engine.engine.stats().errors == {}


def test_connections_that_say_nothing_or_nonsense_disturb_nobody(engine):
    with contextlib.ExitStack() as open_sockets:
        silent = [open_sockets.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(50)]
        for number, each in enumerate(silent):
            each.connect(engine.endpoints.uds)
            if number % 2:
                each.sendall(b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n")
        start = time.monotonic()
        for _ in range(50):
            engine.client.predict(row())
        assert time.monotonic() - start < 10
    assert engine.engine.stats().served == 50


def test_an_empty_message_is_a_message(engine):
    code, detail = status_of_call(engine.stub.Predict, prediction_pb2.PredictRequest())
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "'x' is left out" in detail
