"""ModelInfer requests as clients of the Open Inference Protocol make them, and their replies as arrays."""

import struct

import numpy as np

from sidecar.oip import open_inference_pb2 as oip

RAW_FORMAT = {"FP32": "f", "FP64": "d", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q"}
CONTENTS = {
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "BYTES": "bytes_contents",
}
TYPES = {"x": "FP32", "amount": "FP64", "trigger": "INT64", "colour": "BYTES"}


def infer_request(columns, *, raw, types=TYPES, second_axis=False, **rest):
    request = oip.ModelInferRequest(model_name="tiny", **rest)
    for name, values in columns.items():
        datatype = types[name]
        shape = [len(values), 1] if second_axis else [len(values)]
        tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
        if datatype == "BYTES":
            elements = [(value or "").encode() for value in values]
            data = b"".join(struct.pack("<I", len(text)) + text for text in elements)
        else:
            elements = [float("nan") if value is None else value for value in values]
            data = struct.pack(f"<{len(values)}{RAW_FORMAT[datatype]}", *elements)
        if raw:
            request.raw_input_contents.append(data)
        else:
            getattr(tensor.contents, CONTENTS[datatype]).extend(elements)
    return request


def outputs_of(response):
    found = {}
    for index, tensor in enumerate(response.outputs):
        dtype = {"FP32": np.float32, "BOOL": bool}[tensor.datatype]
        if response.raw_output_contents:
            values = np.frombuffer(response.raw_output_contents[index], dtype)
        else:
            contents = tensor.contents
            values = np.array(contents.bool_contents if dtype is bool else contents.fp32_contents, dtype)
        found[tensor.name] = values.reshape(tuple(tensor.shape))
    return found
