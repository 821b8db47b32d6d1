import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_bundles import Misbehaviour, _graph

from sidecar.errors import BundleError
from sidecar.onnx_graph import read_graph

PIPELINE = _graph(2.0, Misbehaviour.SLEEPS, pipeline=True)


def model(*nodes, functions=(), initializers=()):
    graph = helper.make_graph(nodes, "g", [], [], initializers)
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=10, functions=functions
    ).SerializeToString()


def branch(*nodes):
    return helper.make_graph(nodes, "branch", [], [])


def test_operators_of_sub_graphs_count():
    facts = read_graph(PIPELINE)
    assert facts.ir_version == 10
    assert facts.opsets == {"": 18, "ai.onnx.ml": 3}
    assert facts.operators["", "Loop"] == 1
    assert facts.operators["", "Identity"] == 1  # inside the loop
    assert facts.operators["ai.onnx.ml", "LabelEncoder"] == 1
    outside = len(onnx.load_from_string(PIPELINE).graph.node)
    assert facts.nodes == outside + 2
    assert not facts.external_data


def test_nested_branches_and_functions_are_walked():
    evil = helper.make_node("Evil", [], ["y"], domain="com.evil")
    inner = helper.make_node("If", ["c"], ["y"], then_branch=branch(evil), else_branch=branch(evil))
    outer = helper.make_node("If", ["c"], ["y"], then_branch=branch(inner), else_branch=branch())
    assert read_graph(model(outer)).operators["com.evil", "Evil"] == 2
    function = helper.make_function("mine", "F", [], ["y"], [evil], [helper.make_opsetid("", 18)])
    assert read_graph(model(functions=[function])).operators["com.evil", "Evil"] == 1


def test_the_standard_domain_has_one_name():
    node = helper.make_node("Abs", ["x"], ["y"], domain="ai.onnx")
    assert read_graph(model(node)).operators == {("", "Abs"): 1}


@pytest.mark.parametrize("place", ["initializer", "attribute", "sparse"])
def test_tensors_in_other_files_are_seen(place):
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "t")
    tensor.data_location = TensorProto.EXTERNAL
    node = helper.make_node("Constant", [], ["y"], value=tensor)
    if place == "initializer":
        data = model(initializers=[tensor])
    elif place == "attribute":
        data = model(node)
    else:
        plain = numpy_helper.from_array(np.zeros(3, np.int64), "i")
        sparse = helper.make_sparse_tensor(tensor, plain, [3])
        data = model(helper.make_node("Constant", [], ["y"], sparse_value=sparse))
    assert read_graph(data).external_data


def test_long_attributes_are_passed_over():
    rows = 100_000
    forest = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        nodes_values=np.linspace(-1e9, 1e9, rows).tolist(),
        nodes_treeids=list(range(-5, rows)),
        n_targets=1,
    )
    facts = read_graph(model(forest, helper.make_node("Abs", ["y"], ["z"])))
    assert facts.operators == {("ai.onnx.ml", "TreeEnsembleRegressor"): 1, ("", "Abs"): 1}


def test_depth_is_bounded():
    node = helper.make_node("Abs", ["x"], ["y"])
    for _ in range(30):
        node = helper.make_node("If", ["c"], ["y"], then_branch=branch(node), else_branch=branch())
    with pytest.raises(BundleError, match="nested deeper"):
        read_graph(model(node))


@pytest.mark.parametrize("data", [b"", b"\x00" * 40, b"{}", b"\xff" * 40, b"\x3a\x05ab"])
def test_anything_else_is_no_model(data):
    with pytest.raises(BundleError, match="not an ONNX model"):
        read_graph(data)


def test_a_cut_file_never_passes_for_a_whole_one():
    whole = read_graph(PIPELINE)
    for length in range(len(PIPELINE)):
        try:
            facts = read_graph(PIPELINE[:length])
        except BundleError:
            continue
        assert facts.operators == whole.operators, "only the operator sets, which come last, may be lost"
