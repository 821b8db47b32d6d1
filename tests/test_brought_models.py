"""The committed models of LightGBM, XGBoost and PyTorch (examples/byom) score as those libraries do."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from trainer.days import moment
from trainer.registration import Given, register_model
from trainer.snapshot import from_history
from trainer.task import load_task

EXAMPLES = Path(__file__).parent.parent / "examples"
UNTIL_NS = moment(datetime(2013, 1, 30, tzinfo=UTC)) - 1


@pytest.fixture(scope="module")
def task():
    return load_task(EXAMPLES / "flights" / "task.py")


@pytest.fixture(scope="module")
def snapshot(task, tmp_path_factory):
    return from_history(
        task, moment(datetime(2013, 2, 15, tzinfo=UTC)), root=tmp_path_factory.mktemp("snapshots")
    )


@pytest.fixture
def brought(task, snapshot, tmp_path):
    def register(name, recipe):
        path = EXAMPLES / "byom" / name
        given = Given(
            path.with_suffix(".onnx"), recipe, trained_until_ns=UNTIL_NS, golden=path.with_suffix(".csv")
        )
        return register_model(task, given, snapshot, bundles=tmp_path)

    return register


@pytest.mark.parametrize(
    ("name", "recipe", "producer"),
    [
        ("lightgbm", "boosting", "OnnxMLTools 1.16.0"),
        ("xgboost", "boosting", "OnnxMLTools 1.16.0"),
        ("torch", "logistic", "pytorch 2.15.0"),
    ],
)
def test_it_gives_the_librarys_own_scores_of_golden_rows(brought, name, recipe, producer):
    made = brought(name, recipe)
    assert made.golden.rows == 60
    assert made.golden.difference <= 2e-7
    assert made.bundle.manifest["parity"]["file"]["score_difference"] <= 1e-7
    assert made.bundle.manifest["given"]["producer"].startswith(producer)
    assert made.measured.auc > 0.65
