import hashlib
import io
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_bundles import SIGNATURE, Misbehaviour, _graph, tiny_bundle

from sidecar.admission import admit, register_and_admit
from sidecar.admission_check import sample_rows
from sidecar.bundle import FILES, PIPELINE, REFERENCE, TRANSFORM, write_bundle
from sidecar.errors import AdmissionError, BundleError
from sidecar.registry import ModelState, Reason, Registry
from sidecar.signature import Field, Kind, Outside, Signature

WHY = Reason("tests", "to see")


@pytest.fixture
def bundle_of(tmp_path):
    """Writes a bundle whose graphs were changed after they were made."""

    def write(pipeline=lambda _: None, transform=lambda _: None, features=("x", "amount", "colour=red")):
        graphs = {PIPELINE: (True, pipeline), TRANSFORM: (False, transform)}
        files = {}
        for name, (whole, change) in graphs.items():
            model = onnx.load_from_string(_graph(2.0, Misbehaviour.NONE, pipeline=whole))
            change(model)
            files[name] = model.SerializeToString(deterministic=True)
        reference = io.BytesIO()
        np.savez(reference, rows=np.array([0]))
        files[REFERENCE] = reference.getvalue()
        return write_bundle(
            tmp_path,
            name="tiny",
            version="odd",
            signature=SIGNATURE,
            feature_names=features,
            files=files,
            facts={},
        )

    return write


def before_score(*nodes, **constants):
    """Changes a pipeline: `nodes` turn the tensor `summed` into `logit`."""

    def change(model):
        add = next(node for node in model.graph.node if list(node.output) == ["logit"])
        add.output[0] = "summed"
        place = list(model.graph.node).index(add) + 1
        for offset, node in enumerate(nodes):
            model.graph.node.insert(place + offset, node)
        for name, value in constants.items():
            model.graph.initializer.append(numpy_helper.from_array(value, name))

    return change


def after_features(node, **constants):
    """Changes either graph: `node` turns the tensor `joined` into `features`."""

    def change(model):
        concat = next(item for item in model.graph.node if list(item.output) == ["features"])
        concat.output[0] = "joined"
        model.graph.node.insert(list(model.graph.node).index(concat) + 1, node)
        for name, value in constants.items():
            model.graph.initializer.append(numpy_helper.from_array(value, name))

    return change


@pytest.mark.parametrize("misbehaviour", list(Misbehaviour))
def test_what_behaves_on_ordinary_rows_is_admitted(tmp_path, misbehaviour):
    bundle = tiny_bundle(tmp_path, misbehaviour=misbehaviour)
    finding = admit(bundle.path)
    assert finding.model == bundle.model
    assert finding.bytes == (bundle.path / PIPELINE).stat().st_size
    assert finding.nodes >= 10
    assert 0 < finding.median_cpu_us <= finding.p99_cpu_us
    assert finding.empty_cpu_us > 0
    assert finding.transform_cpu_us > 0
    assert finding.model_cpu_us == pytest.approx(
        max(0, finding.median_cpu_us - finding.transform_cpu_us), abs=0.06
    )
    assert str(finding).startswith(f"{bundle.model} is admitted: ")


def test_an_edited_bundle_is_refused(tmp_path):
    bundle = tiny_bundle(tmp_path)
    target = bundle.path / "manifest.json"
    target.chmod(0o644)
    target.write_text(target.read_text().replace("tests", "thieves"))
    with pytest.raises(AdmissionError, match="was damaged or edited"):
        admit(bundle.path)
    with pytest.raises(AdmissionError, match="not a folder"):
        admit(tmp_path / "none")


def test_operators_of_other_domains_are_refused_by_name(bundle_of):
    node = helper.make_node("ReadFile", ["summed"], ["logit"], domain="com.evil")
    with pytest.raises(
        AdmissionError, match=r"pipeline\.onnx uses operator 'ReadFile' of domain 'com\.evil'"
    ):
        admit(bundle_of(before_score(node)).path)


def test_an_operator_in_a_branch_is_refused_too(bundle_of):
    noise = helper.make_graph(
        [helper.make_node("RandomNormal", [], ["noise"], shape=[1])],
        "noise",
        [],
        [helper.make_tensor_value_info("noise", TensorProto.FLOAT, [1])],
    )
    choose = helper.make_node("If", ["yes"], ["noise"], then_branch=noise, else_branch=noise)
    add = helper.make_node("Add", ["summed", "noise"], ["logit"])
    bundle = bundle_of(before_score(choose, add, yes=np.array(True)))
    with pytest.raises(AdmissionError, match="uses operator 'RandomNormal', which draws random numbers"):
        admit(bundle.path)


def test_tensors_in_other_files_are_refused(bundle_of):
    def outside(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../secret")

    with pytest.raises(AdmissionError, match=r"transform\.onnx keeps tensors in other files"):
        admit(bundle_of(transform=outside).path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: setattr(model, "ir_version", 99), "Unsupported model IR version: 99, max supported"),
        (lambda model: setattr(model.opset_import[0], "version", 99), "Opset 99 is under development"),
    ],
    ids=["ir", "opset"],
)
def test_what_this_runtime_is_too_old_for_is_said_clearly(bundle_of, change, words):
    with pytest.raises(AdmissionError, match=rf"too new for ONNX Runtime [\d.]+: {words}.*export it with"):
        admit(bundle_of(change).path)


def test_inputs_are_those_of_the_signature(bundle_of):
    def rename(model):
        model.graph.input[0].name = "inputs"
        for node in model.graph.node:
            node.input[:] = ["inputs" if name == "numbers" else name for name in node.input]

    with pytest.raises(
        AdmissionError, match=r"does not take what the signature packs: it takes inputs tensor"
    ):
        admit(bundle_of(rename).path)

    def widen(model):
        model.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 2

    with pytest.raises(AdmissionError, match=r"\['rows', 2\].*; the signature has .*\['rows', 1\]"):
        admit(bundle_of(widen).path)


def test_outputs_are_those_serving_reads(bundle_of):
    def rename(model):
        model.graph.node[-1].output[0] = model.graph.output[2].name = "verdict"

    with pytest.raises(AdmissionError, match=r"must give 'decision' as tensor\(bool\)"):
        admit(bundle_of(rename).path)
    with pytest.raises(AdmissionError, match="features, score and decision of shape"):
        admit(bundle_of(features=("x", "amount")).path)


def test_both_graphs_compute_the_same_features(bundle_of):
    change = after_features(
        helper.make_node("Mul", ["joined", "factor"], ["features"]), factor=np.float32([1.001])
    )
    with pytest.raises(
        AdmissionError, match=r"transform\.onnx and pipeline\.onnx compute different features"
    ):
        admit(bundle_of(transform=change).path)


def test_a_row_has_the_same_features_alone_and_in_a_batch(bundle_of):
    change = after_features(helper.make_node("CumSum", ["joined", "rows"], ["features"]), rows=np.array(0))
    with pytest.raises(AdmissionError, match="other features for a row alone than in a batch"):
        admit(bundle_of(change, change).path)


def test_a_row_has_the_same_score_alone_and_in_a_batch(bundle_of):
    most = helper.make_node("ReduceMax", ["summed"], ["most"], keepdims=0)
    add = helper.make_node("Add", ["summed", "most"], ["logit"])
    with pytest.raises(AdmissionError, match=r"scores a row .* alone and .* in a batch"):
        admit(bundle_of(before_score(most, add)).path)


def test_a_graph_that_fails_on_any_row_is_refused(bundle_of):
    gather = helper.make_node("Gather", ["one_row", "far"], ["nil"])
    add = helper.make_node("Add", ["summed", "nil"], ["logit"])
    rows = helper.make_node("Shape", ["summed"], ["far"])
    bundle = bundle_of(before_score(rows, gather, add, one_row=np.zeros(1, np.float32)))
    with pytest.raises(AdmissionError, match=r"tiny/odd@.*indices element out of data bounds"):
        admit(bundle.path)


def test_a_graph_that_kills_its_process_is_refused_and_kills_no_more(bundle_of):
    null = helper.make_node("Sub", ["integers", "integers"], ["null"])
    lowest = helper.make_node("Add", ["null", "low"], ["lowest"])
    divide = helper.make_node("Div", ["lowest", "minus"], ["boom"])
    cast = helper.make_node("Cast", ["boom"], ["noise"], to=TensorProto.FLOAT)
    add = helper.make_node("Add", ["summed", "noise"], ["logit"])
    change = before_score(
        null, lowest, divide, cast, add, low=np.array(-(2**63), np.int64), minus=np.array(-1, np.int64)
    )
    with pytest.raises(AdmissionError, match=r"kills the process that runs it \(SIGFPE\)"):
        admit(bundle_of(change).path)


def endless():
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Abs", ["so_far"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("so_far", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["trips", "", "summed"], ["logit"], body=body)
    return before_score(loop, trips=np.array(2**40, np.int64))


def test_a_graph_that_does_not_end_is_stopped(bundle_of):
    with pytest.raises(AdmissionError, match=r"took longer than 3 s|used up its CPU time"):
        admit(bundle_of(endless()).path, wall_seconds=3)


def test_a_graph_that_wants_too_much_memory_is_refused(bundle_of):
    big = helper.make_node("Expand", ["summed", "size"], ["big"])
    back = helper.make_node("ReduceMax", ["big", "axis"], ["logit"], keepdims=0)
    change = before_score(big, back, size=np.array([2**30, 1, 1], np.int64), axis=np.array([0], np.int64))
    with pytest.raises(AdmissionError):
        admit(bundle_of(change).path, memory_bytes=3 << 30)


def test_sample_rows_keep_to_the_signature():
    signature = Signature(
        (
            Field("bounded", lower=-1, upper=1),
            Field("above", lower=5000),
            Field("below", upper=-5000, missing_allowed=True),
            Field("odd", lower=0, upper=10, missing_allowed=True, outside=Outside.MISSING),
            Field("day", Kind.INTEGER, lower=1.5, upper=7),
            Field("word", Kind.TEXT),
        )
    )
    blocks = sample_rows(signature, 500)
    assert blocks.equals(sample_rows(signature, 500))
    bounded, above, below, odd = blocks.numbers.T
    assert bounded.min() >= -1
    assert bounded.max() <= 1
    assert above.min() >= 5000
    assert np.nanmax(below) <= -5000
    assert np.isnan(below).any()
    assert not np.isnan(bounded).any()
    assert (odd < 0).any()
    assert set(blocks.integers[:, 0]) == {2, 3, 4, 5, 6, 7}
    assert all(blocks.texts[:, 0])


def test_the_finding_goes_into_the_registry(tmp_path, bundle_of):
    with Registry(tmp_path / "registry.db") as registry:
        good, words = register_and_admit(registry, tiny_bundle(tmp_path).path, WHY)
        assert good.state is ModelState.ADMITTED
        assert re.search(r"is admitted: .*: transform \d+, model \d+; an empty graph takes \d+$", words)
        assert registry.transitions(good.model.digest)[-1].reason.why == f"to see: {words}"
        again, words = register_and_admit(registry, good.path, WHY)
        assert again == good
        assert "was checked before; it is admitted" in words
        node = helper.make_node("Evil", ["summed"], ["logit"], domain="com.evil")
        bad, words = register_and_admit(registry, bundle_of(before_score(node)).path, WHY)
        assert bad.state is ModelState.REFUSED
        assert "com.evil" in words
        with pytest.raises(BundleError):
            register_and_admit(registry, tmp_path / "none", WHY)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 1, "name": "a", "version": "1", "signature": 3}']
)
def test_a_manifest_that_is_none_is_a_finding_not_a_crash(tmp_path, text):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text(text)
    lines = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name in sorted(FILES))
    bundle = folder.rename(tmp_path / hashlib.sha256(lines.encode()).hexdigest())
    with Registry(tmp_path / "registry.db") as registry, pytest.raises(BundleError, match=bundle.name[:12]):
        register_and_admit(registry, bundle, WHY)
    with pytest.raises(AdmissionError, match=bundle.name[:12]):
        admit(bundle)
