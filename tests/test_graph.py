import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sidecar.session import open_session
from trainer.graph import Graph

ROWS = helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["rows", 2])
MADE = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", 2])
TWO = np.array(2, np.float32)


def finish(graph):
    return onnx.load_from_string(graph.finish([ROWS], [MADE]))


def run(model, rows=((1.0, 2.0),)):
    return (
        open_session(model.SerializeToString()).run(None, {"numbers": np.array(rows, np.float32)})[0].tolist()
    )


def test_the_same_node_is_added_once_and_equal_constants_are_one():
    graph = Graph()
    first = graph.add("Mul", "numbers", graph.constant(TWO))
    second = graph.add("Mul", "numbers", graph.constant(TWO.copy()))
    assert first == second
    assert first != graph.add("Mul", "numbers", graph.constant(np.array(3, np.float32)))
    assert graph.constant(np.array(2, np.int64)) != graph.constant(np.array(2, np.float64))


def test_what_depends_on_constants_alone_is_computed_at_once():
    graph = Graph()
    four = graph.add("Mul", graph.constant(TWO), graph.constant(TWO))
    graph.add("Add", "numbers", graph.add("Sqrt", four), output="features")
    model = finish(graph)
    assert [node.op_type for node in model.graph.node] == ["Add"]
    assert [numpy_helper.to_array(each).tolist() for each in model.graph.initializer] == [2.0]
    assert run(model) == [[3.0, 4.0]]


def test_a_named_output_needs_no_node_of_its_own():
    graph = Graph()
    doubled = graph.add("Mul", "numbers", graph.constant(TWO))
    graph.name_output(doubled, "features")
    # Those who knew it by its old name still find it.
    assert graph.add("Mul", "numbers", graph.constant(TWO)) == "features"
    graph.add("Abs", doubled)
    model = finish(graph)
    assert [(node.op_type, *node.input) for node in model.graph.node][1] == ("Abs", "features")
    assert run(model) == [[2.0, 4.0]]


def test_an_input_that_is_an_output_is_copied():
    graph = Graph()
    graph.name_output(graph.add("Identity", "numbers"), "features")
    model = finish(graph)
    assert [node.op_type for node in model.graph.node] == ["Identity"]
    assert run(model) == [[1.0, 2.0]]


def test_another_graph_is_taken_in_without_what_it_does_for_nothing():
    inner = helper.make_graph(
        [
            helper.make_node("Identity", ["x"], ["same"]),
            helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(TWO)),
            helper.make_node("Mul", ["same", "two"], ["y"]),
            helper.make_node("Abs", ["same"], ["unused"]),
        ],
        "inner",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
    )
    graph = Graph()
    graph.name_output(graph.inline(helper.make_model(inner), {"x": "numbers"}, "y"), "features")
    model = finish(graph)
    assert [node.op_type for node in model.graph.node] == ["Mul"]
    assert run(model) == [[2.0, 4.0]]
