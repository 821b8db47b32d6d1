"""The committed models of LightGBM, XGBoost and PyTorch (examples/byom) score as those libraries do.

First as bundles, then in a real sidecar: one makes the replies, another scores the same rows in the shadow.
"""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sidecar_process import WHY, SidecarProcess, wait_until

from sidecar.client import Client
from sidecar.registry import Registry
from sidecar.store.reader import LogReader
from trainer.days import moment
from trainer.golden import read_golden
from trainer.promote import promote_first, shadow
from trainer.registration import Given, register_model
from trainer.snapshot import from_history
from trainer.task import load_task

EXAMPLES = Path(__file__).parent.parent / "examples"
UNTIL_NS = moment(datetime(2013, 1, 30, tzinfo=UTC)) - 1
MODELS = {"lightgbm": "boosting", "xgboost": "boosting", "torch": "logistic"}
PRODUCERS = {"lightgbm": "OnnxMLTools 1.16.0", "xgboost": "OnnxMLTools 1.16.0", "torch": "pytorch 2.15.0"}


@pytest.fixture(scope="module")
def task():
    return load_task(EXAMPLES / "flights" / "task.py")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("brought") / "home"


@pytest.fixture(scope="module")
def registered(task, home):
    snapshot = from_history(task, moment(datetime(2013, 2, 15, tzinfo=UTC)), root=home / "snapshots")

    def register(name):
        path = EXAMPLES / "byom" / name
        return register_model(
            task,
            Given(
                path.with_suffix(".onnx"),
                recipe=MODELS[name],
                trained_until_ns=UNTIL_NS,
                golden=path.with_suffix(".csv"),
            ),
            snapshot,
            bundles=home / "bundles",
        )

    return {name: register(name) for name in MODELS}


def golden_of(task, name):
    return read_golden(EXAMPLES / "byom" / f"{name}.csv", task.signature)


@pytest.mark.parametrize("name", MODELS)
def test_it_gives_the_librarys_own_scores_of_golden_rows(registered, name):
    made = registered[name]
    assert made.golden.rows == 60
    assert made.golden.difference <= 2e-7
    assert made.bundle.manifest["parity"]["file"]["score_difference"] <= 1e-7
    assert made.bundle.manifest["given"]["producer"].startswith(PRODUCERS[name])
    assert made.measured.auc > 0.65


def test_it_is_served_and_shadowed_like_any_other(task, home, registered):
    champion, candidate = registered["lightgbm"].bundle, registered["torch"].bundle
    with Registry(home / "registry.db") as registry:
        promote_first(registry, champion.path, WHY)
        shadow(registry, candidate.path, WHY)
    golden = golden_of(task, "lightgbm")
    records = [task.signature.unpack(golden.blocks, row) for row in range(len(golden.score))]
    with SidecarProcess(home) as sidecar, Client(sidecar.target) as client:
        replies = [client.predict(record) for record in records]
        with LogReader(home / "log.db") as log:
            pair = candidate.model.digest, champion.model.digest
            wait_until(lambda: sum(map(len, log.scores(*pair))) == len(records))
        assert sidecar.stop() == 0
    np.testing.assert_allclose([reply.score for reply in replies], golden.score, atol=1e-6)
    with LogReader(home / "log.db") as log:
        scored = list(log.scores(*pair))
    by_id = {
        request_id: score
        for batch in scored
        for request_id, score in zip(batch.request_ids.tolist(), batch.score.tolist(), strict=True)
    }
    shadowed = [by_id[reply.request_id.encode()] for reply in replies]
    np.testing.assert_allclose(shadowed, golden_of(task, "torch").score, atol=1e-6)
