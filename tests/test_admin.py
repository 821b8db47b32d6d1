import itertools
import shutil
import sqlite3
from contextlib import closing

import grpc
import pytest
from sidecar_process import SidecarProcess, admit_without_check, promote, wait_until
from tiny_bundles import SIGNATURE, TRIGGER, Misbehaviour, row, tiny_bundle

from sidecar.bundle import RECIPE
from sidecar.client import Client
from sidecar.signature import Field, Signature
from sidecar.v1 import admin_pb2

WHY = admin_pb2.Reason(actor="tests", why="to see", evidence_digest="e" * 64)
SECONDS = 60


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def admin(home):
    with (
        SidecarProcess(home, SIDECAR_SHADOW_CRASHES="2", SIDECAR_SHADOW_BACKOFF_SECONDS="0.01") as sidecar,
        sidecar.admin() as stub,
    ):
        yield stub


@pytest.fixture
def refused():
    """Expects a call to end with this status."""

    def check(status, call, request):
        with pytest.raises(grpc.RpcError) as caught:
            call(request, timeout=SECONDS)
        assert caught.value.code() is status
        return caught.value.details()

    return check


def registered(admin, bundle):
    reply = admin.RegisterModel(
        admin_pb2.RegisterModelRequest(path=str(bundle.path), reason=WHY), timeout=SECONDS
    )
    assert reply.model.state == admin_pb2.MODEL_STATE_ADMITTED, reply.finding
    return bundle.model.digest


def promoted(admin, digest):
    return admin.Promote(admin_pb2.PromoteRequest(digest=digest, reason=WHY), timeout=SECONDS).deployment


def shadowed(admin, digest):
    return admin.StartShadow(
        admin_pb2.StartShadowRequest(digest=digest, reason=WHY), timeout=SECONDS
    ).deployment


def test_the_whole_lifecycle_by_hand(admin, home):
    first, second = (tiny_bundle(home / "bundles", version) for version in ("first", "second"))
    registered(admin, first)
    registered(admin, second)
    deployment = promoted(admin, first.model.digest[:16])
    assert deployment.champion.digest == first.model.digest
    deployment = shadowed(admin, second.model.digest)
    assert [candidate.version for candidate in deployment.candidates] == ["second"]
    with Client(home / "sidecar.sock", deadline=SECONDS) as client:
        assert client.predict(row()).model == first.model
        deployment = promoted(admin, second.model.digest)
        assert client.predict(row()).model == second.model, "the reply came before the version served"
        assert not deployment.candidates
        back = admin.RollBack(admin_pb2.RollBackRequest(reason=WHY), timeout=SECONDS).deployment
        assert client.predict(row()).model == first.model
    assert back.generation > deployment.generation
    described = admin.DescribeModel(
        admin_pb2.DescribeModelRequest(digest=second.model.digest[:10]), timeout=SECONDS
    )
    assert described.model.state == admin_pb2.MODEL_STATE_ROLLED_BACK
    assert described.model.path == str(second.path)
    assert described.model.signature_digest == SIGNATURE.digest
    arrows = [(arrow.from_state, arrow.to_state) for arrow in described.transitions]
    states = [
        0,
        *(
            admin_pb2.ModelState.Value(f"MODEL_STATE_{name}")
            for name in ("REGISTERED", "ADMITTED", "SHADOW", "CHAMPION", "ROLLED_BACK")
        ),
    ]
    assert arrows == list(itertools.pairwise(states))
    assert all(arrow.reason.actor == "tests" for arrow in described.transitions)
    assert described.transitions[-1].reason == WHY
    assert described.transitions[-1].time.seconds > 1_600_000_000
    listed = admin.ListModels(admin_pb2.ListModelsRequest(), timeout=SECONDS).models
    assert [model.identity.version for model in listed] == ["second", "first"]


def test_describe_tells_the_fields_of_the_champion(admin, home, refused):
    request = admin_pb2.DescribeModelRequest()
    words = refused(grpc.StatusCode.FAILED_PRECONDITION, admin.DescribeModel, request)
    assert "there is no champion; promote one" in words
    promoted(admin, registered(admin, tiny_bundle(home / "bundles")))
    fields = {field.name: field for field in admin.DescribeModel(request, timeout=SECONDS).fields}
    assert list(fields) == ["x", "amount", "trigger", "colour"]
    assert fields["x"].missing_allowed
    assert not fields["x"].HasField("lower")
    assert (fields["amount"].kind, fields["amount"].unit) == ("number", "USD")
    assert (fields["amount"].lower, fields["amount"].upper) == (0, 1e6)
    assert (fields["trigger"].kind, fields["colour"].kind) == ("integer", "text")


def test_a_bundle_that_fails_the_check_is_registered_as_refused(admin, home, refused):
    signature = Signature((*SIGNATURE.fields, Field("more")))
    bundle = tiny_bundle(home / "bundles", signature=signature)
    reply = admin.RegisterModel(
        admin_pb2.RegisterModelRequest(path=str(bundle.path), reason=WHY), timeout=SECONDS
    )
    assert reply.model.state == admin_pb2.MODEL_STATE_REFUSED
    assert "does not take what the signature packs" in reply.finding
    words = refused(
        grpc.StatusCode.FAILED_PRECONDITION,
        admin.Promote,
        admin_pb2.PromoteRequest(digest=bundle.model.digest, reason=WHY),
    )
    assert "that is refused cannot become champion" in words


def test_errors_have_their_status_and_say_what_to_do(admin, home, refused):
    digest = registered(admin, tiny_bundle(home / "bundles"))
    words = refused(
        grpc.StatusCode.INVALID_ARGUMENT,
        admin.RegisterModel,
        admin_pb2.RegisterModelRequest(path="/nowhere", reason=WHY),
    )
    assert "no bundle at /nowhere" in words
    for path in ("", f"bundles/{digest}"):
        words = refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            admin.RegisterModel,
            admin_pb2.RegisterModelRequest(path=path, reason=WHY),
        )
        assert words == f"path is {path!r}; send the absolute path of a bundle's folder"
    words = refused(grpc.StatusCode.INVALID_ARGUMENT, admin.Promote, admin_pb2.PromoteRequest(digest=digest))
    assert "no 'actor'" in words
    refused(grpc.StatusCode.NOT_FOUND, admin.Promote, admin_pb2.PromoteRequest(digest="f" * 64, reason=WHY))
    refused(grpc.StatusCode.NOT_FOUND, admin.DescribeModel, admin_pb2.DescribeModelRequest(digest="nothex"))
    words = refused(
        grpc.StatusCode.FAILED_PRECONDITION,
        admin.StartShadow,
        admin_pb2.StartShadowRequest(digest=digest, reason=WHY),
    )
    assert "promote a first champion" in words
    refused(grpc.StatusCode.FAILED_PRECONDITION, admin.RollBack, admin_pb2.RollBackRequest(reason=WHY))
    promoted(admin, digest)
    words = refused(
        grpc.StatusCode.FAILED_PRECONDITION, admin.RollBack, admin_pb2.RollBackRequest(reason=WHY)
    )
    assert "first champion" in words


def test_a_new_fit_of_a_recipe_takes_the_place_of_the_one_before_it(admin, home):
    promoted(admin, registered(admin, tiny_bundle(home / "bundles")))

    def fit(version, recipe, weight):
        facts = {RECIPE: recipe, "training": {"last_event_ns": 0}}
        digest = registered(admin, tiny_bundle(home / "bundles", version, weight=weight, facts=facts))
        return digest, [one.version for one in shadowed(admin, digest).candidates]

    may, candidates = fit("may", "trees", 3.0)
    assert candidates == ["may"]
    assert fit("line", "line", 4.0)[1] == ["may", "line"]
    june, candidates = fit("june", "trees", 5.0)
    assert candidates == ["line", "june"]
    described = admin.DescribeModel(admin_pb2.DescribeModelRequest(digest=may), timeout=SECONDS)
    assert described.model.state == admin_pb2.MODEL_STATE_SUPERSEDED
    assert described.transitions[-1].successor == june
    # Where it is already, and as it was.
    assert [one.version for one in shadowed(admin, june).candidates] == ["line", "june"]


def test_what_was_rolled_back_does_not_return_to_the_shadow_without_an_override(admin, home, refused):
    first, second = (registered(admin, tiny_bundle(home / "bundles", version)) for version in ("1", "2"))
    promoted(admin, first)
    promoted(admin, second)
    admin.RollBack(admin_pb2.RollBackRequest(reason=WHY), timeout=SECONDS)
    words = refused(
        grpc.StatusCode.FAILED_PRECONDITION,
        admin.StartShadow,
        admin_pb2.StartShadowRequest(digest=second, reason=WHY),
    )
    assert "comes back only with --override" in words


def test_a_candidate_with_other_fields_cannot_shadow(admin, home, refused):
    promoted(admin, registered(admin, tiny_bundle(home / "bundles")))
    fields = (SIGNATURE.fields[0], Field("amount"), *SIGNATURE.fields[2:])
    other = registered(admin, tiny_bundle(home / "bundles", "other", signature=Signature(fields)))
    words = refused(
        grpc.StatusCode.FAILED_PRECONDITION,
        admin.StartShadow,
        admin_pb2.StartShadowRequest(digest=other, reason=WHY),
    )
    assert "tiny/other" in words
    assert "expects other fields" in words


def test_what_cannot_be_deployed_is_unavailable_and_the_former_serves_on(admin, home, refused):
    first, second = (tiny_bundle(home / "bundles", version) for version in ("first", "second"))
    promoted(admin, registered(admin, first))
    promoted(admin, registered(admin, second))
    shutil.move(first.path, home / "away")
    words = refused(grpc.StatusCode.UNAVAILABLE, admin.RollBack, admin_pb2.RollBackRequest(reason=WHY))
    assert "the former one still serves: no bundle at" in words
    status = admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=SECONDS)
    assert "no bundle at" in status.deploy_error
    assert status.deployment.champion.version == "second"


def test_a_version_whose_bundle_is_gone_is_not_made_champion(admin, home, refused):
    first, second = (tiny_bundle(home / "bundles", version) for version in ("first", "second"))
    promoted(admin, registered(admin, first))
    digest = registered(admin, second)
    shutil.move(second.path, home / "away")
    words = refused(
        grpc.StatusCode.INVALID_ARGUMENT, admin.Promote, admin_pb2.PromoteRequest(digest=digest, reason=WHY)
    )
    assert "no bundle at" in words
    described = admin.DescribeModel(admin_pb2.DescribeModelRequest(), timeout=SECONDS)
    assert described.model.identity.version == "first"


def test_an_unexpected_error_is_internal_and_tells_nothing(admin, home, refused):
    admit_without_check(home, tiny_bundle(home / "bundles"))
    with closing(sqlite3.connect(home / "registry.db")) as registry, registry:
        registry.execute("UPDATE versions SET state = 'unheard-of'")
    words = refused(grpc.StatusCode.INTERNAL, admin.ListModels, admin_pb2.ListModelsRequest())
    assert words == "the sidecar failed; its log says how"


def test_watching_sends_the_present_deployment_and_each_that_follows(admin, home):
    first, second = (tiny_bundle(home / "bundles", version) for version in ("first", "second"))
    admit_without_check(home, first, second)
    stream = admin.WatchDeployment(admin_pb2.WatchDeploymentRequest(), timeout=SECONDS)
    assert not next(stream).deployment.HasField("champion")
    promoted(admin, first.model.digest)
    assert next(stream).deployment.champion.version == "first"
    promote(home, second)
    assert next(stream).deployment.champion.version == "second"
    stream.cancel()


def test_status_counts_what_became_of_the_rows(admin, home):
    champion = tiny_bundle(home / "bundles")
    candidate = tiny_bundle(home / "bundles", "candidate")
    promoted(admin, registered(admin, champion))
    shadowed(admin, registered(admin, candidate))

    def status():
        return admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=SECONDS)

    with Client(home / "sidecar.sock", deadline=SECONDS) as client:
        reply = client.predict(row())
        client.record_outcome(reply.request_id, 1)
        with pytest.raises(Exception, match="'y' is not in the signature"):
            client.predict({**row(), "y": 1.0})
        wait_until(lambda: status().shadows[0].scored == 1, SECONDS)
    wait_until(lambda: status().written == 1, SECONDS)
    found = status()
    assert found.engine in ("native", "python")
    assert found.engine_reason.startswith("auto: ")
    assert [stage.stage for stage in found.stages] == ["queue", "decode", "infer", "encode"]
    assert all(stage.count == 1 for stage in found.stages)
    assert found.stages[2].p50_ns == found.stages[2].max_ns > 0
    assert found.started_time.seconds > 1_600_000_000
    assert (found.served, found.written, found.failed, found.dropped, found.queued) == (1, 1, 0, 0, 0)
    assert found.outcomes == 1
    assert dict(found.errors) == {"INVALID_ARGUMENT": 1}
    assert (found.deploy_error, found.scores_failed, found.lost_before) == ("", 0, 0)
    shadow, copy = found.shadows
    assert (shadow.model.version, shadow.role) == ("candidate", "candidate")
    assert (copy.model, copy.role) == (found.deployment.champion, "copy")
    assert (shadow.state, shadow.scored, shadow.failed, shadow.shed) == ("running", 1, 0, 0)


def test_a_quarantined_candidate_cannot_be_promoted(admin, home, refused):
    promoted(admin, registered(admin, tiny_bundle(home / "bundles")))
    digest = registered(admin, tiny_bundle(home / "bundles", "crasher", misbehaviour=Misbehaviour.DIES))
    shadowed(admin, digest)

    def shadow():
        return admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=SECONDS).shadows[0]

    with Client(home / "sidecar.sock", deadline=SECONDS) as client:
        while shadow().state != "quarantined":
            failed = shadow().failed
            client.predict(row(trigger=TRIGGER))
            wait_until(
                lambda failed=failed: shadow().failed > failed or shadow().state == "quarantined", SECONDS
            )
    words = refused(
        grpc.StatusCode.FAILED_PRECONDITION,
        admin.Promote,
        admin_pb2.PromoteRequest(digest=digest, reason=WHY),
    )
    assert "is quarantined" in words
