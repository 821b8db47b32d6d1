"""What only the native engine's settings and make-up allow to test; the rest is in test_engine_*.py."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from infer_messages import infer_request
from running_engine import ENGINES, RunningEngine, request
from tiny_bundles import SIGNATURE, TRIGGER, Misbehaviour, row, tiny_bundle

from sidecar.bundle import PIPELINE, REFERENCE, TRANSFORM, write_bundle
from sidecar.config import Limits, Native
from sidecar.domain import NOTHING_DEPLOYED
from sidecar.errors import BundleError, ConfigError
from sidecar.session import load_model

pytestmark = pytest.mark.skipif("native" not in ENGINES, reason="the native engine is not built")


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path / "bundles")


@pytest.mark.parametrize(
    "settings",
    [Native(event_loops=1), Native(event_loops=3), Native(hand_off_us=0), Native(batch_rows=16)],
    ids=str,
)
def test_no_setting_changes_a_reply_or_a_recorded_row(tmp_path, bundle, settings):
    rows = [
        row(x=number / 25, amount=number, colour=("red", None, "blé")[number % 3]) for number in range(200)
    ]
    with (
        RunningEngine(tmp_path, "native", native=settings, champion=bundle) as running,
        ThreadPoolExecutor(8) as pool,
    ):

        def ask(number):
            return running.stub.Predict(request(rows[number], request_id=f"r{number}"), timeout=60)

        replies = list(pool.map(ask, range(100)))
        messages = (request(rows[number], request_id=f"r{number}") for number in range(100, 200))
        replies += running.stub.PredictStream(messages, timeout=60)
        columns = {name: [each[name] for each in rows] for name in rows[0]}
        running.oip.ModelInfer(infer_request(columns, raw=True, id="all"), timeout=60)
        recorded = running.recorded()
        model = load_model(bundle.path)
        for number, reply in enumerate(replies):
            expected = model.run(SIGNATURE.pack(rows[number]))
            assert (reply.request_id, np.float32(reply.score)) == (f"r{number}", expected.score[0])
            for key in (f"r{number}", f"all/{number}"):
                batch, at = recorded[key]
                assert batch.blocks.take([at]).equals(SIGNATURE.pack(rows[number]))
                assert batch.score[at] == expected.score[0]
        assert running.engine.stats().errors == {}
        assert running.engine.stats().stages["infer"].count == 201


@pytest.mark.parametrize("settings", [Native(hand_off_us=0), Native(batch_rows=16)], ids=str)
def test_a_run_that_fails_apart_from_its_caller_fails_its_call_and_no_other(tmp_path, settings):
    raising = tiny_bundle(tmp_path / "bundles", misbehaviour=Misbehaviour.RAISES)
    with (
        RunningEngine(
            tmp_path, "native", native=settings, limits=Limits(max_in_flight=1000), champion=raising
        ) as running,
        ThreadPoolExecutor(16) as pool,
    ):
        together = threading.Barrier(16)

        def ask(_):
            together.wait(60)
            calls = [running.stub.Predict.future(request(row(trigger=each))) for each in [0, TRIGGER] * 10]
            return [call.code().name for call in calls]

        for codes in pool.map(ask, range(16)):
            assert codes == ["OK", "INTERNAL"] * 10
        assert running.engine.stats().errors == {"INTERNAL": 160}
        assert running.engine.stats().served == 160


def test_an_engine_that_is_not_started_says_so():
    engine = ENGINES["native"](Native())
    assert engine.deployment == NOTHING_DEPLOYED
    assert repr(engine) == "<NativeEngine not started>"
    with pytest.raises(RuntimeError, match="not started"):
        engine.stats()


def test_it_prints_what_it_serves(tmp_path, bundle):
    with RunningEngine(tmp_path, "native") as running:
        assert repr(running.engine) == "<NativeEngine None>"
        running.deploy(bundle)
        assert repr(running.engine) == f"<NativeEngine {bundle.model}>"


def test_a_library_that_is_none_ends_the_start_and_leaves_no_socket(tmp_path):
    from sidecar.engine.native import NativeEngine  # noqa: PLC0415 - needs the native module

    library = tmp_path / "libonnxruntime.so.1"
    library.write_bytes(b"no library")
    with RunningEngine(tmp_path) as running:  # for its event loop and its ledger
        engine = NativeEngine(library, Native())
        home = tmp_path / "home"
        home.mkdir()
        with pytest.raises(ConfigError, match=r'cannot start: .*; engine = "python" can') as caught:
            running.call(engine.start(home, running._listeners, Limits(), running.ledger))
        assert "\n" not in str(caught.value)
        assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("misbehaviour", "signature"),
    [(None, SIGNATURE), (Misbehaviour.RAISES, type(SIGNATURE)(SIGNATURE.fields[:2]))],
)
def test_a_graph_that_cannot_be_deployed_says_what_the_python_engine_says(tmp_path, misbehaviour, signature):
    bundle = tiny_bundle(
        tmp_path / "bundles", signature=signature, misbehaviour=misbehaviour or Misbehaviour.NONE
    )
    if misbehaviour is None:
        bundle = with_another_pipeline(tmp_path / "others", bundle, b"not a graph")
    said = []
    for kind in ("python", "native"):
        home = tmp_path / kind
        home.mkdir()
        with RunningEngine(home, kind) as running, pytest.raises(BundleError) as caught:
            running.deploy(bundle)
        said.append(str(caught.value))
    assert said[0] == said[1]


def with_another_pipeline(root, bundle, pipeline):
    files = {name: (bundle.path / name).read_bytes() for name in (TRANSFORM, REFERENCE)}
    return write_bundle(
        root,
        name=bundle.model.name,
        version=bundle.model.version,
        signature=bundle.signature,
        feature_names=bundle.feature_names,
        files=files | {PIPELINE: pipeline},
        facts={},
    )
