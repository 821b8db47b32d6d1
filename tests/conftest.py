"""What the tests of the engine contract share: each runs once for each engine that can run here."""

import pytest
from running_engine import ENGINES, RunningEngine
from tiny_bundles import tiny_bundle


@pytest.fixture(params=sorted(ENGINES))
def kind(request):
    return request.param


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path / "bundles")


@pytest.fixture
def engine(kind, tmp_path, bundle):
    with RunningEngine(tmp_path, kind, champion=bundle) as running:
        yield running
