import json
import struct
import subprocess
from pathlib import Path

import grpc
import numpy as np
import pytest
from infer_messages import TYPES, infer_request, outputs_of
from running_engine import RunningEngine, status_of_call
from tiny_bundles import SIGNATURE, row, tiny_bundle

from sidecar import __version__
from sidecar.config import Limits, Listeners
from sidecar.oip import open_inference_pb2 as oip
from sidecar.session import load_model

ROOT = Path(__file__).parent.parent
ROWS = [
    row(),
    row(x=None, colour=None),
    row(x=-3.25, amount=999_999.0, trigger=2**62, colour="blé"),
    row(x=1e-3, amount=0.1, trigger=-1, colour="red"),
]
COLUMNS = {name: [each[name] for each in ROWS] for name in ROWS[0]}


@pytest.fixture
def engine(kind, tmp_path):
    listeners = Listeners(tcp="127.0.0.1:0")
    champion = tiny_bundle(tmp_path / "bundles")
    with RunningEngine(
        tmp_path, kind, listeners=listeners, limits=Limits(max_rows=50), champion=champion
    ) as running:
        running.bundle = champion
        yield running


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("second_axis", [False, True])
def test_many_rows_are_answered_as_the_library_does_and_recorded_as_one_group(engine, raw, second_axis):
    request = infer_request(COLUMNS, raw=raw, second_axis=second_axis, id="batch")
    for name in ("features", "score", "decision"):
        request.outputs.add(name=name)
    response = engine.oip.ModelInfer(request, timeout=30)
    blocks = SIGNATURE.pack_columns(COLUMNS)
    expected = load_model(engine.bundle.path).run(blocks)

    outputs = outputs_of(response)
    assert list(outputs) == ["features", "score", "decision"]
    assert outputs["features"].tobytes() == expected.features.tobytes()
    assert outputs["score"].tobytes() == expected.score.tobytes()
    assert outputs["decision"].tolist() == expected.decision.tolist()
    assert [list(tensor.shape) for tensor in response.outputs] == [[4, 3], [4], [4]]
    assert bool(response.raw_output_contents) is raw
    assert (response.model_name, response.model_version, response.id) == ("tiny", "1", "batch")
    assert response.parameters["digest"].string_param == engine.bundle.model.digest

    rows = engine.recorded()
    assert list(rows) == ["batch/0", "batch/1", "batch/2", "batch/3"]
    batch, _ = rows["batch/0"]
    assert len(set(batch.group.tolist())) == 1
    assert batch.blocks.equals(blocks)
    assert batch.score.tobytes() == expected.score.tobytes()


def test_one_row_keeps_its_id_and_gives_score_and_decision(engine):
    single = {name: values[:1] for name, values in COLUMNS.items()}
    response = engine.oip.ModelInfer(infer_request(single, raw=False, id="mine"), timeout=30)
    assert list(outputs_of(response)) == ["score", "decision"]
    assert outputs_of(response)["score"][0] == np.float32(engine.client.predict(ROWS[0]).score)
    made = engine.oip.ModelInfer(infer_request(single, raw=False), timeout=30).id
    assert {"mine", made} <= engine.recorded().keys()


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("datatype", ["FP32", "FP64", "INT8", "INT16", "INT32", "INT64"])
def test_numbers_come_as_any_real_or_integer_type_and_integers_are_widened(engine, datatype, raw):
    columns = COLUMNS | {"x": [1, -2, 3, 0], "trigger": [0, -5, 100, 127]}
    integer = datatype if datatype.startswith("INT") else "INT32"
    request = infer_request(columns, raw=raw, types=TYPES | {"x": datatype, "trigger": integer}, id="r")
    response = engine.oip.ModelInfer(request, timeout=30)
    blocks = SIGNATURE.pack_columns(columns)
    expected = load_model(engine.bundle.path).run(blocks)
    assert outputs_of(response)["score"].tobytes() == expected.score.tobytes()
    batch, _ = engine.recorded()["r/0"]
    assert batch.blocks.equals(blocks)


def altered(change, *, raw=False):
    request = infer_request(COLUMNS, raw=raw)
    change(request)
    return request


def without_colour(request):
    del request.inputs[3]


def misnamed(request):
    request.inputs[3].name = "color"


def twice(request):
    request.inputs[0].name = "amount"


def of_real_integers(request):
    request.inputs[2].datatype = "FP32"


def of_unknown_type(request):
    request.inputs[0].datatype = "FP16"


def in_a_cube(request):
    request.inputs[0].shape[:] = [4, 1, 1]


def in_two_columns(request):
    request.inputs[0].shape[:] = [2, 2]


def without_rows(request):
    request.inputs[0].shape[:] = [0]


def of_negative_rows(request):
    request.inputs[0].shape[:] = [-4]


def with_fewer_rows(request):
    request.inputs[1].shape[:] = [3]
    del request.inputs[1].contents.fp64_contents[3:]


def with_too_few_elements(request):
    del request.inputs[0].contents.fp32_contents[2:]


def in_the_wrong_contents(request):
    request.inputs[0].contents.Clear()
    request.inputs[0].contents.fp64_contents.extend([1, 2, 3, 4])


def out_of_bounds(request):
    request.inputs[1].contents.fp64_contents[2] = -1


def missing_where_it_must_not_be(request):
    request.inputs[1].contents.fp64_contents[3] = float("nan")


def not_utf8(request):
    request.inputs[3].contents.bytes_contents[1] = b"\xff\xfe"


def asking_for_more(request):
    request.outputs.add(name="logit")


def asking_twice(request):
    request.outputs.add(name="score")
    request.outputs.add(name="score")


def with_a_bad_id(request):
    request.id = "a b"


def with_an_id_too_long_for_row_numbers(request):
    request.id = "x" * 127


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_colour, ["'colour' is left out"]),
        (misnamed, ["'color'", "did you mean 'colour'"]),
        (twice, ["given twice"]),
        (of_real_integers, ["'trigger'", "FP32", "INT64"]),
        (of_unknown_type, ["'x'", "FP16"]),
        (in_a_cube, ["'x'", "[4, 1, 1]"]),
        (in_two_columns, ["'x'", "[2, 2]"]),
        (without_rows, ["'x'", "[0]"]),
        (of_negative_rows, ["'x'", "[-4]"]),
        (with_fewer_rows, ["'amount' has 3 rows", "4"]),
        (with_too_few_elements, ["'x' has 2 FP32 elements", "4"]),
        (in_the_wrong_contents, ["'x' has 0 FP32 elements"]),
        (out_of_bounds, ["'amount'", "row 2"]),
        (missing_where_it_must_not_be, ["'amount'", "missing", "row 3"]),
        (not_utf8, ["'colour'", "UTF-8", "row 1"]),
        (asking_for_more, ["'logit'", "score"]),
        (asking_twice, ["twice"]),
        (with_a_bad_id, ["request_id"]),
        (with_an_id_too_long_for_row_numbers, ["shorter"]),
    ],
)
def test_a_request_that_does_not_fit_is_refused_and_names_the_field(engine, change, words):
    code, detail = status_of_call(engine.oip.ModelInfer, altered(change))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert all(word in detail for word in words), detail
    assert engine.engine.stats().served == 0


def cut_off(request):
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]


def cut_off_text(request):
    request.raw_input_contents[3] = request.raw_input_contents[3][:-1]


def cut_off_length(request):
    request.raw_input_contents[3] += b"\1\0"


def with_one_text_more(request):
    request.raw_input_contents[3] += struct.pack("<I", 0)


def with_contents_too(request):
    request.inputs[0].contents.fp32_contents.append(1)


def with_one_raw_less(request):
    del request.raw_input_contents[3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cut_off, ["'x' has 15 raw bytes", "16"]),
        (cut_off_text, ["'colour'", "end within"]),
        (cut_off_length, ["'colour'", "end within"]),
        (with_one_text_more, ["'colour' has 5 BYTES"]),
        (with_contents_too, ["'x'", "one of the two"]),
        (with_one_raw_less, ["3 raw_input_contents", "4 inputs"]),
    ],
)
def test_raw_contents_that_do_not_fit_are_refused_and_name_the_field(engine, change, words):
    code, detail = status_of_call(engine.oip.ModelInfer, altered(change, raw=True))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert all(word in detail for word in words), detail


def test_a_long_name_comes_back_in_a_message_that_still_travels(engine):
    message = oip.ModelInferRequest(model_name="tiny")
    message.outputs.add(name="\N{GRINNING FACE}" * 5000)
    status, details = status_of_call(engine.oip.ModelInfer, message)
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("there is no output ")


def test_no_more_rows_than_the_limit(engine):
    columns = {name: [values[0]] * 51 for name, values in COLUMNS.items()}
    code, detail = status_of_call(engine.oip.ModelInfer, infer_request(columns, raw=True))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "at most 50" in detail
    fewer = {name: values[:50] for name, values in columns.items()}
    response = engine.oip.ModelInfer(infer_request(fewer, raw=True), timeout=30)
    assert outputs_of(response)["score"].shape == (50,)


def test_metadata_and_readiness_speak_of_the_champion(engine):
    assert engine.oip.ServerLive(oip.ServerLiveRequest()).live
    assert engine.oip.ServerReady(oip.ServerReadyRequest()).ready
    server = engine.oip.ServerMetadata(oip.ServerMetadataRequest())
    assert (server.name, server.version) == ("model-sidecar", __version__)
    ready = {
        (name, version): engine.oip.ModelReady(oip.ModelReadyRequest(name=name, version=version)).ready
        for name in ("tiny", "other")
        for version in ("", "1", "2")
    }
    assert [key for key, is_ready in ready.items() if is_ready] == [("tiny", ""), ("tiny", "1")]
    for name, version in (("other", ""), ("tiny", "2")):
        asked = oip.ModelMetadataRequest(name=name, version=version)
        assert status_of_call(engine.oip.ModelMetadata, asked)[0] is grpc.StatusCode.NOT_FOUND
    request = infer_request(COLUMNS, raw=True, model_version="2")
    assert status_of_call(engine.oip.ModelInfer, request)[0] is grpc.StatusCode.NOT_FOUND

    engine.deploy(None)
    assert not engine.oip.ServerReady(oip.ServerReadyRequest()).ready
    assert not engine.oip.ModelReady(oip.ModelReadyRequest(name="tiny")).ready
    for call, message in (
        (engine.oip.ModelMetadata, oip.ModelMetadataRequest(name="tiny")),
        (engine.oip.ModelInfer, infer_request(COLUMNS, raw=True)),
    ):
        assert status_of_call(call, message)[0] is grpc.StatusCode.FAILED_PRECONDITION


def test_the_triton_client_sees_the_model_and_gets_the_same_scores(engine):
    python = ROOT / ".venv-triton" / "bin" / "python"
    assert python.exists(), "the Triton client's environment is absent; run `make .venv-triton/ready`"
    probe = subprocess.run(
        [python, ROOT / "tests" / "triton_probe.py", engine.endpoints.tcp, json.dumps(COLUMNS)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert probe.returncode == 0, probe.stderr
    seen = json.loads(probe.stdout)
    assert (seen["live"], seen["ready"], seen["model_ready"], seen["other_model_ready"]) == (
        True,
        True,
        True,
        False,
    )
    assert seen["server"] == "model-sidecar"
    assert seen["versions"] == ["1"]
    assert seen["inputs"] == [
        ["x", "FP32", [-1]],
        ["amount", "FP32", [-1]],
        ["trigger", "INT64", [-1]],
        ["colour", "BYTES", [-1]],
    ]
    assert seen["outputs"] == [
        ["score", "FP32", [-1]],
        ["decision", "BOOL", [-1]],
        ["features", "FP32", [-1, 3]],
    ]
    replies = [engine.client.predict(each) for each in ROWS]
    for form in ("raw", "typed"):
        assert seen[form]["score"] == [reply.score for reply in replies]
        assert seen[form]["decision"] == [reply.decision for reply in replies]
    assert seen["raw"]["id"] == "triton"
    assert seen["raw"]["dtypes"] == ["float32", "bool", "float32"]
    batch, at = engine.recorded()["triton/2"]
    assert seen["raw"]["features"][2] == batch.features[at].tolist()
    status, message = seen["refusal"]
    assert status == "StatusCode.INVALID_ARGUMENT"
    assert "'amount' is left out" in message
