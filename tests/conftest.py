"""What tests of engines and shadows share: each runs once for each engine that can run here."""

import pytest
from running_engine import ENGINES, RunningEngine
from shadowed import SETTINGS
from tiny_bundles import tiny_bundle

from sidecar.domain import Deployment
from sidecar.shadow.supervisor import ShadowSupervisor


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


@pytest.fixture
def champion(tmp_path):
    return tiny_bundle(tmp_path, "champion").ref


@pytest.fixture(params=ENGINES)
def start_shadow(champion, request):
    """Starts supervisors for bundles and stops them all in the end."""
    started = []

    def make(*candidates, settings=SETTINGS):
        supervisor = ShadowSupervisor(request.param, settings)
        started.append(supervisor)
        supervisor.deploy(Deployment(1, champion, candidates))
        return supervisor

    yield make
    for supervisor in started:
        supervisor.stop(0)
