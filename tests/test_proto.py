"""The committed generated code is what the .proto files say."""

import filecmp
from importlib import import_module, resources
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor
from grpc_tools import protoc

ROOT = Path(__file__).parent.parent
PROTOS = sorted(path.relative_to(ROOT / "proto").as_posix() for path in (ROOT / "proto").rglob("*.proto"))


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    target = tmp_path_factory.mktemp("generated")
    flags = [f"--{plugin}_out={target}" for plugin in ("python", "pyi", "grpc_python")]
    well_known = resources.files("grpc_tools") / "_proto"
    assert protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"-I{well_known}", *flags, *PROTOS]) == 0
    return target


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("suffix", ["_pb2.py", "_pb2.pyi", "_pb2_grpc.py"])
def test_committed_code_is_what_make_proto_writes(generated, proto, suffix):
    name = proto.removesuffix(".proto") + suffix
    assert filecmp.cmp(generated / name, ROOT / name, shallow=False), f"{name} is stale: run `make proto`"


def test_open_inference_field_numbers_are_the_standards():
    message = import_module("sidecar.oip.open_inference_pb2").ModelInferRequest.DESCRIPTOR
    assert message.full_name == "inference.ModelInferRequest"
    numbers = {field.name: field.number for field in message.fields}
    assert numbers == {
        "model_name": 1,
        "model_version": 2,
        "id": 3,
        "parameters": 4,
        "inputs": 5,
        "outputs": 6,
        "raw_input_contents": 7,
    }
    contents = import_module("sidecar.oip.open_inference_pb2").InferTensorContents.DESCRIPTOR
    fp32 = contents.fields_by_name["fp32_contents"]
    assert (fp32.number, fp32.type) == (6, FieldDescriptor.TYPE_FLOAT)
