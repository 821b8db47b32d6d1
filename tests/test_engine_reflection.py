"""Server reflection and unknown methods, whatever the engine is made of."""

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from running_engine import status_of_call

SERVICES = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
    "inference.GRPCInferenceService",
    "sidecar.v1.PredictionService",
]
PREDICTION = {"sidecar/v1/prediction.proto", "google/protobuf/timestamp.proto"}


@pytest.fixture
def ask(engine):
    stub = reflection_pb2_grpc.ServerReflectionStub(engine.channel)

    def answers(*questions):
        requests = [reflection_pb2.ServerReflectionRequest(**question) for question in questions]
        found = list(stub.ServerReflectionInfo(iter(requests), timeout=30))
        assert [answer.original_request for answer in found] == requests
        return found

    return answers


def files_of(answer):
    files = answer.file_descriptor_response.file_descriptor_proto
    return {descriptor_pb2.FileDescriptorProto.FromString(file).name for file in files}


def test_the_services_are_named(ask):
    (answer,) = ask({"list_services": ""})
    assert sorted(service.name for service in answer.list_services_response.service) == SERVICES


@pytest.mark.parametrize(
    ("symbol", "files"),
    [
        ("sidecar.v1.PredictionService", PREDICTION),
        ("sidecar.v1.PredictRequest", PREDICTION),
        ("sidecar.v1.PredictRequest.FieldsEntry", PREDICTION),
        ("sidecar.v1.PredictRequest.request_id", PREDICTION),
        ("google.protobuf.Timestamp", {"google/protobuf/timestamp.proto"}),
        ("inference.ModelInferRequest.InferInputTensor", {"sidecar/oip/open_inference.proto"}),
        ("grpc.health.v1.HealthCheckResponse.ServingStatus", {"grpc_health/v1/health.proto"}),
        ("grpc.health.v1.HealthCheckResponse.SERVING", {"grpc_health/v1/health.proto"}),
    ],
)
def test_a_symbol_is_described_by_its_file_and_all_that_it_imports(ask, symbol, files):
    (answer,) = ask({"file_containing_symbol": symbol})
    assert files_of(answer) == files


def test_files_are_found_by_name_and_what_is_not_there_is_not_found(ask):
    found, no_file, no_symbol = ask(
        {"file_by_filename": "sidecar/v1/prediction.proto"},
        {"file_by_filename": "sidecar/v1/absent.proto"},
        {"file_containing_symbol": "sidecar.v1.Absent"},
    )
    assert files_of(found) == PREDICTION
    for answer in (no_file, no_symbol):
        assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("path", ["/sidecar.v1.PredictionService/Guess", "/no.Service/Predict", "/"])
def test_an_unknown_method_is_unimplemented(engine, path):
    assert status_of_call(engine.channel.unary_unary(path), b"")[0] is grpc.StatusCode.UNIMPLEMENTED
