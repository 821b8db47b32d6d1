"""The model class for MLServer, which has no runtime of its own for ONNX."""

from __future__ import annotations

import numpy as np
from graph import open_graph, run
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Logistic(MLModel):
    """Decodes and encodes with MLServer's codec, as its documentation has it."""

    async def load(self) -> bool:
        """Open the graph that the settings name."""
        self._session = open_graph(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Score the rows of a request."""
        tensors = [NumpyCodec.decode_input(tensor) for tensor in payload.inputs]
        rows = tensors[0] if len(tensors) == 1 else np.stack(tensors, axis=1)
        score, decision = run(self._session, rows)
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("score", score),
                NumpyCodec.encode_output("decision", decision),
            ],
        )
