import numpy as np
import onnx
import pytest

from sidecar.empty_graph import empty_graph
from sidecar.session import feed, open_session
from sidecar.signature import Field, Kind, Signature

FIELDS = (Field("x"), Field("y", missing_allowed=True), Field("n", Kind.INTEGER), Field("word", Kind.TEXT))


@pytest.mark.parametrize("fields", [FIELDS, FIELDS[:1], FIELDS[2:3], FIELDS[3:]])
def test_it_gives_back_what_it_takes(fields):
    signature = Signature(fields)
    onnx.checker.check_model(onnx.load_from_string(empty_graph(signature)), full_check=True)
    values = {"x": 0.5, "y": None, "n": 2**60, "word": "naïve"}
    inputs = feed(signature.pack({field.name: values[field.name] for field in fields}))
    session = open_session(empty_graph(signature))
    outputs = dict(zip([each.name for each in session.get_outputs()], session.run(None, inputs), strict=True))
    assert outputs.keys() == {f"same_{name}" for name in inputs}
    for name, block in inputs.items():
        np.testing.assert_array_equal(outputs[f"same_{name}"], block)


def test_many_fields_have_lengths_of_two_bytes():
    signature = Signature(tuple(Field(f"f{number}") for number in range(300)))
    (made,) = open_session(empty_graph(signature)).run(None, {"numbers": np.ones((2, 300), np.float32)})
    assert made.shape == (2, 300)
