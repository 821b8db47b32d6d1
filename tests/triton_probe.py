"""Speaks to a sidecar through the public Triton client, and prints what it saw as JSON.

Runs in .venv-triton, because that client needs another protobuf. Arguments: host:port, then the records as
JSON columns. Everything goes through the client's own functions, except the typed request: the client itself
only sends raw contents, so that one is put together from its message classes.
"""

import json
import sys

import grpc
import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc


def main() -> None:
    address, columns = sys.argv[1], json.loads(sys.argv[2])
    client = triton.InferenceServerClient(address)
    metadata = client.get_model_metadata("tiny")
    seen = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready("tiny"),
        "other_model_ready": client.is_model_ready("other"),
        "server": client.get_server_metadata().name,
        "inputs": [[each.name, each.datatype, list(each.shape)] for each in metadata.inputs],
        "outputs": [[each.name, each.datatype, list(each.shape)] for each in metadata.outputs],
        "versions": list(metadata.versions),
        "raw": raw(client, columns),
        "typed": typed(address, columns),
        "refusal": refusal(client, columns),
    }
    client.close()
    print(json.dumps(seen))  # noqa: T201 - how the probe answers the test


def arrays(columns):
    return {
        "x": ("FP32", np.array([np.nan if x is None else x for x in columns["x"]], np.float32)),
        "amount": ("FP64", np.array(columns["amount"], np.float64).reshape(-1, 1)),
        "trigger": ("INT64", np.array(columns["trigger"], np.int64)),
        "colour": ("BYTES", np.array([(text or "").encode() for text in columns["colour"]], object)),
    }


def raw(client, columns):
    inputs = []
    for name, (datatype, values) in arrays(columns).items():
        tensor = triton.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values)
        inputs.append(tensor)
    outputs = [triton.InferRequestedOutput(name) for name in ("features", "score", "decision")]
    result = client.infer("tiny", inputs, outputs=outputs, request_id="triton")
    return {
        "id": result.get_response().id,
        "score": result.as_numpy("score").tolist(),
        "decision": result.as_numpy("decision").tolist(),
        "features": result.as_numpy("features").tolist(),
        "dtypes": [str(result.as_numpy(name).dtype) for name in ("score", "decision", "features")],
    }


def typed(address, columns):
    request = service_pb2.ModelInferRequest(model_name="tiny")
    for name, (datatype, values) in arrays(columns).items():
        tensor = request.inputs.add(name=name, datatype=datatype, shape=values.shape)
        contents = {
            "FP32": tensor.contents.fp32_contents,
            "FP64": tensor.contents.fp64_contents,
            "INT64": tensor.contents.int64_contents,
            "BYTES": tensor.contents.bytes_contents,
        }
        contents[datatype].extend(values.ravel().tolist())
    with grpc.insecure_channel(address) as channel:
        response = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    score, decision = response.outputs
    return {"score": list(score.contents.fp32_contents), "decision": list(decision.contents.bool_contents)}


def refusal(client, columns):
    name, (datatype, values) = "x", arrays(columns)["x"]
    tensor = triton.InferInput(name, list(values.shape), datatype)
    tensor.set_data_from_numpy(values)
    try:
        client.infer("tiny", [tensor])
    except triton.InferenceServerException as error:
        return [error.status(), error.message()]
    return None


main()
