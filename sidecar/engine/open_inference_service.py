"""inference.GRPCInferenceService: the Open Inference Protocol, so that clients of other servers work here."""
# ruff: noqa: N802 - the method names are the protocol's

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from sidecar import __version__
from sidecar.engine.request_id import MAX_LENGTH, RequestIds, check_request_id
from sidecar.engine.ring import Answered, Ring
from sidecar.engine.tensors import PREFERRED, read_columns, write_outputs
from sidecar.errors import InvalidRequestError, NoChampionError, NotFoundError
from sidecar.exploration import is_explored
from sidecar.oip import open_inference_pb2 as oip
from sidecar.oip import open_inference_pb2_grpc
from sidecar.session import DECISION, FEATURES, SCORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.engine.champion import Champion
    from sidecar.engine.stages import Stages

_OUTPUTS = (SCORE, DECISION, FEATURES)
_DEFAULT_OUTPUTS = (SCORE, DECISION)


class OpenInferenceService(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """One input tensor for each raw field; outputs `score`, `decision` and, when asked for, `features`.

    Where rows were explored, the parameter `explored` of the reply numbers them, by comma.
    """

    def __init__(
        self, champion: Champion, ring: Ring, ids: RequestIds, stages: Stages, max_rows: int
    ) -> None:
        self._champion = champion
        self._ring = ring
        self._ids = ids
        self._stages = stages
        self._max_rows = max_rows

    async def ServerLive(self, _: oip.ServerLiveRequest, __: str) -> oip.ServerLiveResponse:
        """Answer, which is the answer."""
        return oip.ServerLiveResponse(live=True)

    async def ServerReady(self, _: oip.ServerReadyRequest, __: str) -> oip.ServerReadyResponse:
        """Tell whether a champion is deployed."""
        return oip.ServerReadyResponse(ready=self._champion.deployed)

    async def ModelReady(self, request: oip.ModelReadyRequest, _: str) -> oip.ModelReadyResponse:
        """Tell whether this model answers calls."""
        try:
            self._champion.serving.named(request.name, request.version)
        except (NoChampionError, NotFoundError):
            return oip.ModelReadyResponse(ready=False)
        return oip.ModelReadyResponse(ready=True)

    async def ServerMetadata(self, _: oip.ServerMetadataRequest, __: str) -> oip.ServerMetadataResponse:
        """Name the server."""
        return oip.ServerMetadataResponse(name="model-sidecar", version=__version__)

    async def ModelMetadata(self, request: oip.ModelMetadataRequest, _: str) -> oip.ModelMetadataResponse:
        """List the inputs and outputs of the champion, or of the canary when its version is named."""
        serving = self._champion.serving
        named = serving.named(request.name, request.version)
        bundle = (named.model if named else serving.champion).bundle
        tensor = oip.ModelMetadataResponse.TensorMetadata
        return oip.ModelMetadataResponse(
            name=bundle.model.name,
            versions=[bundle.model.version],
            platform="onnxruntime",
            inputs=[
                tensor(name=field.name, datatype=PREFERRED[field.kind], shape=[-1])
                for field in bundle.signature.fields
            ],
            outputs=[
                tensor(name=SCORE, datatype="FP32", shape=[-1]),
                tensor(name=DECISION, datatype="BOOL", shape=[-1]),
                tensor(name=FEATURES, datatype="FP32", shape=[-1, len(bundle.feature_names)]),
            ],
        )

    async def ModelInfer(self, request: oip.ModelInferRequest, client: str) -> oip.ModelInferResponse:
        """Score all rows in one inference call, by the version that is named, else by who is drawn."""
        start = time.perf_counter_ns()
        received_ns = time.time_ns()
        serving = self._champion.serving
        signature = serving.signature
        named = serving.named(request.model_name, request.model_version)
        names = _asked_for(request)
        decoding = time.perf_counter_ns()
        queue_ns = decoding - start
        blocks = signature.pack_columns(read_columns(request, signature, self._max_rows))
        request_id = request.id or self._ids.make()
        request_ids = _row_ids(request_id, len(blocks))
        answering = named or serving.answering(request_id, blocks)
        decoded = time.perf_counter_ns()
        model, prediction, failed_ns = self._champion.run(answering, blocks)
        identity = model.bundle.model
        propensity = model.bundle.exploration.propensity(request_ids, prediction.decision)
        encoding = time.perf_counter_ns()
        self._ring.push(
            Answered(
                identity,
                request_ids,
                client,
                received_ns,
                received_ns,
                blocks,
                prediction,
                propensity,
                queue_ns,
                failed_ns,
            )
        )
        explored = is_explored(propensity)
        response = oip.ModelInferResponse(
            model_name=identity.name, model_version=identity.version, id=request_id
        )
        response.parameters["digest"].string_param = identity.digest
        if explored.any():
            rows = ",".join(map(str, np.flatnonzero(explored).tolist()))
            response.parameters["explored"].string_param = rows
        taken = prediction.decision != explored
        outputs = {SCORE: prediction.score, DECISION: taken, FEATURES: prediction.features}
        write_outputs(response, {name: outputs[name] for name in names}, raw=bool(request.raw_input_contents))
        encode_ns = time.perf_counter_ns() - encoding
        self._stages.record(queue_ns, decoded - decoding, prediction.infer_ns, encode_ns)
        return response


def _asked_for(request: oip.ModelInferRequest) -> Sequence[str]:
    names = [output.name for output in request.outputs] or _DEFAULT_OUTPUTS
    for name in names:
        if name not in _OUTPUTS:
            raise InvalidRequestError(f"there is no output {name!a}; ask for {', '.join(_OUTPUTS)}")
    if len(set(names)) != len(names):
        raise InvalidRequestError("an output is asked for twice; ask for each once")
    return names


def _row_ids(request_id: str, rows: int) -> Sequence[str]:
    """Key each row: the request's own key for a single row, else `id/0`, `id/1`, and so on."""
    check_request_id(request_id)
    if rows == 1:
        return (request_id,)
    if len(request_id) + len(f"/{rows - 1}") > MAX_LENGTH:
        raise InvalidRequestError(
            f"id {request_id[:16]}... leaves no room for a row's number; send a shorter one"
        )
    return [f"{request_id}/{row}" for row in range(rows)]
