import csv
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import small_task
from foreign_graphs import WIDTH, edited, features_of, fitted, graph, skl
from onnx import TensorProto, helper
from small_snapshot import small_snapshot

from sidecar.bundle import TRANSFORM
from sidecar.errors import SidecarError
from sidecar.session import load_model
from trainer.days import nanoseconds
from trainer.fit import fit_candidate
from trainer.registration import Given, register_model
from trainer.task import Threshold

TASK = small_task.task
FLOAT, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64
STRING, BOOL = TensorProto.STRING, TensorProto.BOOL
RAW = (("numbers", FLOAT, ["rows", 2]),)
FILLED = [
    ("IsNaN", ["numbers"], ["absent"]),
    ("Where", ["absent", "zero", "numbers"], ["filled"]),
    ("MatMul", ["filled", "weights"], ["line"]),
    ("Sigmoid", ["line"], ["score"]),
]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    return small_snapshot(tmp_path_factory.mktemp("snapshots"), 20)


@pytest.fixture
def register(snapshot, tmp_path):
    def of(path, *, task=TASK, recipe="line", **given):
        return register_model(
            task, Given(path, recipe=recipe, **given), snapshot, bundles=tmp_path / "bundles"
        )

    return of


@pytest.fixture
def refusal(register, tmp_path):
    def of(path, **given):
        with pytest.raises(SidecarError) as refused:
            register(path, **given)
        assert not (tmp_path / "bundles").exists()
        assert "\n" not in str(refused.value)
        return str(refused.value)

    return of


def before_the_hold_out(snapshot):
    """The rows that had matured when the hold-out began, and the newest of their events."""
    begins_ns = int(snapshot.event_ns[-1]) - nanoseconds(TASK.holdout)
    rows = slice(0, int(np.searchsorted(snapshot.event_ns, begins_ns - nanoseconds(TASK.maturity))))
    return rows, int(snapshot.event_ns[rows][-1])


def write_golden(path, snapshot, score, rows):
    signature = snapshot.signature
    records = [signature.unpack(snapshot.blocks, row) for row in rows]
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, [*records[0], "score"])
        table.writeheader()
        table.writerows(
            {**record, "score": repr(float(score[row]))} for record, row in zip(records, rows, strict=True)
        )
    return path


@pytest.mark.parametrize("options", [{}, {"zipmap": False}], ids=["ZipMap", "matrix"])
def test_a_scikit_learn_model_is_a_bundle_with_the_recipes_features(snapshot, register, tmp_path, options):
    rows, until_ns = before_the_hold_out(snapshot)
    model = fitted(TASK, snapshot, rows, trees=True)
    score = model.predict_proba(features_of(TASK, snapshot))[:, 1]
    golden = write_golden(tmp_path / "golden.csv", snapshot, score, range(0, 400, 7))
    made = register(skl(model, tmp_path / "theirs.onnx", **options), trained_until_ns=until_ns, golden=golden)
    manifest = made.bundle.manifest
    assert made.bundle.model.version == f"theirs-{snapshot.digest[:8]}"
    assert manifest["given"]["producer"].startswith("skl2onnx")
    assert manifest["decision"] == {"rule": "expected_utility"}
    assert manifest["training"] == {"last_event_ns": until_ns}
    assert manifest["parity"]["golden"]["rows"] == made.golden.rows == 58
    assert manifest["parity"]["golden"]["score_difference"] <= 1e-6
    assert manifest["unknown"] == ""
    served = load_model(made.bundle.path).run(snapshot.blocks)
    np.testing.assert_allclose(served.score, score, atol=1e-6)
    # The very transform that a fit of the recipe ships, and the figures that its own hold-out gives.
    own = fit_candidate(TASK, "line", snapshot, bundles=tmp_path / "own")
    assert (made.bundle.path / TRANSFORM).read_bytes() == (own.bundle.path / TRANSFORM).read_bytes()
    held_out = snapshot.event_ns > snapshot.event_ns[-1] - nanoseconds(TASK.holdout)
    money = TASK.costs.utility(TASK.signature, snapshot.blocks, served.decision, snapshot.label)[held_out]
    assert made.measured.rows == len(money)
    assert made.measured.utility_per_1000 == pytest.approx(1000 * money.mean())
    assert manifest["holdout"]["of_recipe"] is False
    assert manifest["importance"]["x"] > 0.5


def test_what_it_was_fitted_on_is_unknown_unless_somebody_says_it(snapshot, register, tmp_path):
    path = skl(fitted(TASK, snapshot), tmp_path / "theirs.onnx")
    made = register(path)
    assert made.bundle.model.digest == register(path).bundle.model.digest  # the same file, the same bundle
    assert made.measured is None
    assert made.bundle.manifest["training"] is made.bundle.manifest["holdout"] is None
    assert made.unknown == "it is not declared what it was fitted on"
    late = register(path, trained_until_ns=int(snapshot.event_ns[-1]))
    assert late.measured is None
    assert "and the hold-out begins on" in late.unknown


def test_a_threshold_is_chosen_on_rows_that_are_new_to_the_model_or_not_at_all(
    snapshot, register, refusal, tmp_path
):
    task = replace(TASK, decision=Threshold())
    rows, until_ns = before_the_hold_out(snapshot)
    path = skl(fitted(TASK, snapshot, rows), tmp_path / "theirs.onnx")
    assert "give --trained-until" in refusal(path, task=task)
    made = register(path, task=task, trained_until_ns=until_ns)
    decision = made.bundle.manifest["decision"]
    assert decision["rule"] == "threshold"
    served = load_model(made.bundle.path).run(snapshot.blocks)
    assert np.array_equal(served.decision, served.score >= np.float32(decision["threshold"]))
    assert made.measured.rows < (snapshot.event_ns > snapshot.event_ns[-1] - nanoseconds(TASK.holdout)).sum()


def test_a_raw_graph_has_its_numbers_for_features_and_the_tasks_rule(snapshot, register, tmp_path):
    path = graph(tmp_path / "raw.onnx", FILLED, takes=RAW, zero=np.float32(0))
    made = register(path, recipe=None)
    served = load_model(made.bundle.path).run(snapshot.blocks)
    filled = np.nan_to_num(snapshot.blocks.numbers)
    np.testing.assert_allclose(served.score, 1 / (1 + np.exp(filled[:, 0] - filled[:, 1])), atol=1e-6)
    assert served.features.tobytes() == snapshot.blocks.numbers.tobytes()
    assert made.bundle.feature_names == ("x", "amount")
    assert (made.bundle.manifest["recipe"], made.bundle.manifest["transform"]) == (None, None)


def test_a_raw_graph_may_show_features_and_decide_by_itself(snapshot, register, tmp_path):
    path = graph(
        tmp_path / "raw.onnx",
        [*FILLED, ("Identity", ["filled"], ["features"]), ("Less", ["score", "tenth"], ["decision"])],
        takes=(*RAW, ("texts", STRING, ["rows", 1])),
        gives=(
            ("features", FLOAT, ["rows", 2]),
            ("score", FLOAT, ["rows", 1]),
            ("decision", BOOL, ["rows", 1]),
        ),
        zero=np.float32(0),
        tenth=np.float32(0.1),
    )
    # A task that chooses thresholds asks nothing of a graph that decides by itself.
    made = register(path, recipe=None, task=replace(TASK, decision=Threshold()))
    served = load_model(made.bundle.path).run(snapshot.blocks)
    assert np.array_equal(served.decision, served.score < np.float32(0.1))
    assert np.array_equal(served.features, np.nan_to_num(snapshot.blocks.numbers))
    assert made.bundle.manifest["decision"] == {"rule": "own"}


def test_golden_rows_that_score_otherwise_are_named_with_their_fields(snapshot, refusal, tmp_path):
    model = fitted(TASK, snapshot)
    score = model.predict_proba(features_of(TASK, snapshot))[:, 1]
    score[14] += 0.01
    score[7] += 1e-5
    golden = write_golden(tmp_path / "golden.csv", snapshot, score, range(0, 70, 7))
    said = refusal(skl(model, tmp_path / "theirs.onnx"), golden=golden)
    assert "golden rows golden.csv: 2 of 10 score otherwise than in the original; the worst is row 2" in said
    assert "0.01 apart, 1e-06 is allowed" in said
    fields = snapshot.signature.unpack(snapshot.blocks, 14)
    assert f"hour={fields['hour']}" in said


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"width": 5}, "'X' float32 [?, 5] of theirs.onnx must be float32 [rows, 6], the recipe's features"),
        ({"recipe": "nope"}, "no candidate 'nope'; the task has line, trees"),
        ({"recipe": None}, "theirs.onnx takes 'X' float32 [?, 6]; the signature's raw blocks are numbers"),
        ({"score": "nope"}, "theirs.onnx has no output 'nope'; it has output_label, output_probability"),
        ({"score": "output_label"}, "gives no probability: 'output_label' is int64. Needed: float32 [rows]"),
        (
            {"classes": [1, 2]},
            "'output_probability' is of other classes than 0 and 1; fit the model on labels",
        ),
    ],
    ids=str,
)
def test_a_scikit_learn_model_that_does_not_fit_is_refused(snapshot, refusal, tmp_path, change, says):
    features = features_of(TASK, snapshot)[:, : change.pop("width", WIDTH)]
    label = np.array(change.pop("classes", [0, 1]))[snapshot.label.astype(int)]
    model = fitted(TASK, snapshot).fit(features, label)
    assert says in refusal(skl(model, tmp_path / "theirs.onnx"), **change)


ONE = np.array([[1.0, -1.0]], np.float32)
GRAPHS = {
    "two inputs": (
        {"takes": (("x", FLOAT, ["rows", WIDTH]), ("y", FLOAT, ["rows", 1]))},
        "takes 'x' float32 [?, 6], 'y' float32 [?, 1]; with a recipe it must take one input",
    ),
    "double": (
        {"takes": (("x", DOUBLE, ["rows", WIDTH]),), "weights": np.ones((WIDTH, 1))},
        "input 'x' float64 [?, 6] of given.onnx must be float32 [rows, 6]",
    ),
    "one row": (
        {"takes": (("x", FLOAT, [1, WIDTH]),)},
        "is fixed to 1 rows; export it with a dynamic first axis",
    ),
    "no rank": (
        {"takes": (("x", FLOAT, None),)},
        "input 'x' float32 of unknown rank of given.onnx must be",
    ),
    "three classes": (
        {
            "nodes": [("Concat", ["logit", "logit", "logit"], ["score"], {"axis": 1})],
            "gives": (("score", FLOAT, None),),
        },
        "gives no probability: 'score' has 3 columns",
    ),
    "two outputs": (
        {
            "nodes": [("Sigmoid", ["logit"], ["a"]), ("Neg", ["logit"], ["b"])],
            "gives": (("a", FLOAT, ["rows", 1]), ("b", FLOAT, ["rows", 1])),
        },
        "gives several outputs that may be the probability: a, b; name one with --score",
    ),
    "logits": (
        {"nodes": [("Identity", ["logit"], ["score"])]},
        "which is no probability; export it with its sigmoid or softmax",
    ),
    "two logits": (
        {
            "nodes": [("Sigmoid", ["logit"], ["p"]), ("Concat", ["p", "p"], ["score"], {"axis": 1})],
            "gives": (("score", FLOAT, ["rows", 2]),),
        },
        "do not add up to 1; end it with a softmax",
    ),
    "classes the other way round": (
        {
            "nodes": [
                ("MatMul", ["logit", "apart"], ["both"]),
                ("Softmax", ["both"], ["score"], {"axis": 1}),
                ("ArgMin", ["score"], ["label"], {"axis": 1, "keepdims": 0}),
            ],
            "gives": (("label", INT64, ["rows"]), ("score", FLOAT, ["rows", 2])),
            "apart": ONE,
        },
        "'label' of given.onnx is not the number of the likelier column of 'score'",
    ),
    "not a number": (
        {"nodes": [("Sqrt", ["logit"], ["score"])]},
        "the score is not a number; it must score every row that the signature allows",
    ),
    "operator": (
        {"nodes": [("Gelu", ["logit"], ["score"], {"domain": "com.microsoft"})]},
        "given.onnx uses operator 'Gelu' of domain 'com.microsoft'; only standard ones are run",
    ),
    "old operator": (
        {
            "nodes": [
                ("Cast", ["logit"], ["int"], {"to": INT64}),
                (
                    "LabelEncoder",
                    ["int"],
                    ["score"],
                    {"domain": "ai.onnx.ml", "classes_strings": ["a"]},
                ),
            ],
            "ml": 1,
        },
        "given.onnx uses LabelEncoder of ai.onnx.ml 1, which ai.onnx.ml 3 does not have so; export it with",
    ),
    "too new": ({"opset": 99}, "is of operator set 99 and cannot be brought to 20"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_does_not_fit_is_refused(refusal, tmp_path, name):
    change, says = GRAPHS[name]
    assert says in refusal(graph(tmp_path / "given.onnx", **change))


def test_raw_blocks_have_the_signatures_widths(refusal, tmp_path):
    path = graph(tmp_path / "raw.onnx", takes=(("numbers", FLOAT, ["rows", 3]),))
    assert "input 'numbers' float32 [?, 3] of raw.onnx must be float32 [rows, 2]" in refusal(
        path, recipe=None
    )


def test_a_loop_is_not_taken_over(refusal, tmp_path):
    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("logit", FLOAT, ["rows", 1])])
    branch = ("If", ["yes"], ["score"], {"then_branch": body, "else_branch": body})
    path = graph(tmp_path / "given.onnx", [branch], yes=np.array(True))
    assert "a If with a graph of its own is not taken over" in refusal(path)


def test_tensors_in_another_file_are_refused_with_what_to_tell_torch(refusal, tmp_path):
    def outside(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="given.onnx.data")

    path = edited(graph(tmp_path / "given.onnx"), outside)
    assert "keeps tensors in other files; export it whole (torch.onnx: external_data=False)" in refusal(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "given.onnx cannot be read: No such file"), (b"text", "given.onnx: not an ONNX")],
)
def test_what_is_no_model_is_refused(refusal, tmp_path, content, says):
    path = tmp_path / "given.onnx"
    if content:
        path.write_bytes(content)
    assert says in refusal(path)


def test_a_snapshot_of_other_fields_is_refused(refusal, tmp_path):
    task = replace(TASK, signature=small_task.Signature(TASK.signature.fields[::-1]))
    assert "another signature" in refusal(graph(tmp_path / "given.onnx"), task=task)


def test_hold_out_figures_need_rows_later_than_the_fit(register, tmp_path):
    path = graph(tmp_path / "given.onnx")
    longer = replace(TASK, holdout=timedelta(days=19))
    made = register(path, task=longer, trained_until_ns=small_task.START_NS + nanoseconds(timedelta(days=2)))
    assert made.measured is None
