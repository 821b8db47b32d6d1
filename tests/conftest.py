"""What tests of engines, canaries, shadows and probations share; engines are tested one after the other."""

import pytest
from promoted_home import copy_of, promoted_home, with_policy
from running_engine import ENGINES, RunningEngine
from shadowed import SETTINGS
from tiny_bundles import Misbehaviour, tiny_bundle

from sidecar.config import Limits, Native
from sidecar.domain import Deployment
from sidecar.exploration import Exploration
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


@pytest.fixture
def canary(tmp_path):
    return tiny_bundle(tmp_path / "bundles", "2", weight=-3.0)


@pytest.fixture
def raising(tmp_path):
    """Behaves but for rows with the trigger; explores much, so that it shows whose exploration is applied."""
    facts = {"exploration": Exploration("act", 0.49).to_json()}
    return tiny_bundle(tmp_path / "bundles", "3", misbehaviour=Misbehaviour.RAISES, facts=facts)


@pytest.fixture(params=sorted(ENGINES) + ["native apart", "native together"] * ("native" in ENGINES))
def running(request, tmp_path):
    """Each engine, and the native one with runs that leave the thread that read them, or wait for others."""
    kind, _, how = request.param.partition(" ")
    settings = {"apart": Native(hand_off_us=0), "together": Native(batch_rows=16)}.get(how)
    (tmp_path / "home").mkdir()
    with RunningEngine(tmp_path / "home", kind, native=settings, limits=Limits(max_in_flight=1000)) as engine:
        yield engine


@pytest.fixture(scope="session")
def promoted(tmp_path_factory):
    """Made once; a test that changes it takes a copy."""
    return promoted_home(tmp_path_factory.mktemp("promoted"))


@pytest.fixture
def home(promoted, tmp_path):
    """A copy of the promoted home."""
    return copy_of(promoted, tmp_path)


@pytest.fixture
def short(tmp_path):
    """The small task with a probation of three days."""
    return with_policy(tmp_path / "short.py", "probation_days=3")
