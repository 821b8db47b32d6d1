import multiprocessing
import sqlite3
import threading
import time

import pytest
from tiny_bundles import tiny_bundle

from sidecar.domain import NOTHING_DEPLOYED
from sidecar.errors import (
    ConfigError,
    ConflictError,
    InvalidRequestError,
    NoChampionError,
    NotFoundError,
    SignatureMismatchError,
    UnavailableError,
)
from sidecar.registry import NOBODY, ModelState, Reason, Registry
from sidecar.signature import Field, Kind, Signature

WHY = Reason("tests", "to see")


@pytest.fixture
def registry(tmp_path):
    with Registry(tmp_path / "home" / "registry.db") as registry:
        yield registry


def admitted(registry, version, **options):
    bundle = tiny_bundle(registry.path.parent / "bundles", version, **options)
    registry.register(bundle, WHY)
    registry.move(bundle.model.digest, expected=ModelState.REGISTERED, to=ModelState.ADMITTED, reason=WHY)
    return bundle


def shadow(registry, version):
    bundle = admitted(registry, version)
    registry.move(bundle.model.digest, expected=ModelState.ADMITTED, to=ModelState.SHADOW, reason=WHY)
    return bundle


def states(registry):
    return {version.model.version: version.state.value for version in registry.versions()}


def test_reading_before_the_file_exists_finds_nothing(registry):
    assert registry.champion() is None
    assert registry.versions() == []
    assert registry.transitions() == []
    assert registry.decisions() == []
    assert registry.generation() == 0
    assert registry.activation(1) is None
    assert registry.deployment() == NOTHING_DEPLOYED
    with pytest.raises(NotFoundError):
        registry.find("ab")
    assert not registry.path.exists()


def test_a_reader_sees_what_another_handle_writes_later(registry):
    with Registry(registry.path) as reader:
        assert reader.versions() == []
        bundle = admitted(registry, "a")
        assert [version.model for version in reader.versions()] == [bundle.model]


def test_register_is_idempotent_and_keeps_the_state(registry):
    bundle = admitted(registry, "a")
    again = registry.register(bundle, WHY)
    assert again.state is ModelState.ADMITTED
    assert again.path == bundle.path
    assert again.signature_digest == bundle.signature.digest
    assert len(registry.transitions()) == 2


def test_the_folder_can_be_moved_with_its_bundles(tmp_path, registry):
    bundle = admitted(registry, "a")
    elsewhere = tiny_bundle(tmp_path / "elsewhere", "b")
    registry.register(elsewhere, WHY)
    registry.close()
    moved = registry.path.parent.rename(tmp_path / "moved")
    with Registry(moved / "registry.db") as after:
        paths = {version.model.version: version.path for version in after.versions()}
    assert paths == {"a": moved / "bundles" / bundle.model.digest, "b": elsewhere.path}


def test_every_arrow_leaves_one_audit_row(registry):
    first, second = admitted(registry, "a"), admitted(registry, "b")
    registry.promote(first.model.digest, WHY)
    registry.move(second.model.digest, expected=ModelState.ADMITTED, to=ModelState.SHADOW, reason=WHY)
    earned = Reason("gate", "earned it", "e" * 64)
    before = time.time_ns()
    registry.promote(second.model.digest, earned, over=first.model.digest)
    name = {first.model.digest: "a", second.model.digest: "b"}
    trail = registry.transitions()
    assert [(name[row.digest], row.from_state, row.to_state.value) for row in trail] == [
        ("a", None, "registered"),
        ("a", "registered", "admitted"),
        ("b", None, "registered"),
        ("b", "registered", "admitted"),
        ("a", "admitted", "champion"),
        ("b", "admitted", "shadow"),
        ("a", "champion", "standby"),
        ("b", "shadow", "champion"),
    ]
    assert [row.sequence for row in trail] == list(range(1, 9))
    assert trail[-1].reason == trail[-2].reason == earned
    assert before <= trail[-1].at_ns <= time.time_ns()
    assert [row.to_state for row in registry.transitions(second.model.digest)][-1] is ModelState.CHAMPION


def test_the_deployment_follows_and_its_generation_only_grows_when_serving_changes(registry):
    first = admitted(registry, "a")
    assert registry.generation() == 0
    deployed = registry.promote(first.model.digest, WHY)
    assert deployed == registry.deployment()
    assert deployed.champion == first.ref
    second, third = shadow(registry, "b"), shadow(registry, "c")
    assert registry.deployment().candidates == (second.ref, third.ref)
    generation = registry.generation()
    assert generation == registry.transitions()[-1].sequence
    admitted(registry, "d")
    assert registry.generation() == registry.deployment().generation == generation
    swapped = registry.promote(third.model.digest, WHY)
    assert swapped.champion == third.ref
    assert swapped.candidates == (second.ref,)
    assert swapped.generation > generation
    with Registry(registry.path) as other:
        assert other.deployment() == swapped
    registry.move(second.model.digest, expected=ModelState.SHADOW, to=ModelState.REJECTED, reason=WHY)
    assert registry.deployment().candidates == ()
    assert registry.generation() > swapped.generation


def test_move_compares_before_it_swaps(registry):
    bundle = admitted(registry, "a")
    with pytest.raises(ConflictError, match="is admitted, not registered; somebody moved first"):
        registry.move(bundle.model.digest, expected=ModelState.REGISTERED, to=ModelState.REFUSED, reason=WHY)
    with pytest.raises(ConflictError, match="cannot become retired"):
        registry.move(bundle.model.digest, expected=ModelState.ADMITTED, to=ModelState.RETIRED, reason=WHY)
    with pytest.raises(ConflictError, match="promote or roll back"):
        registry.move(bundle.model.digest, expected=ModelState.ADMITTED, to=ModelState.CHAMPION, reason=WHY)
    with pytest.raises(NotFoundError):
        registry.move("0" * 64, expected=ModelState.ADMITTED, to=ModelState.REFUSED, reason=WHY)
    assert states(registry) == {"a": "admitted"}
    assert len(registry.transitions()) == 2


def test_promote_refuses_what_was_judged_against_another_champion(registry):
    first, second, third = (admitted(registry, version) for version in "abc")
    with pytest.raises(ConflictError, match="now there is none"):
        registry.promote(second.model.digest, WHY, over=first.model.digest)
    registry.promote(first.model.digest, WHY, over=NOBODY)
    with pytest.raises(ConflictError, match=r"judged against nobody, as the first champion, .* tiny/a@"):
        registry.promote(second.model.digest, WHY, over=NOBODY)
    registry.promote(second.model.digest, WHY, over=first.model.digest)
    with pytest.raises(ConflictError, match=r"judged against champion .* now it is tiny/b@"):
        registry.promote(third.model.digest, WHY, over=first.model.digest)
    assert states(registry) == {"a": "standby", "b": "champion", "c": "admitted"}
    with pytest.raises(ConflictError, match="roll back to return"):
        registry.promote(first.model.digest, WHY)
    with pytest.raises(ConflictError, match="that is champion cannot become champion"):
        registry.promote(second.model.digest, WHY)


def test_another_signature_can_neither_shadow_nor_take_over(registry):
    champion = admitted(registry, "a")
    fields = (
        Field("x", missing_allowed=True),
        Field("amount"),
        Field("trigger", Kind.INTEGER),
        Field("colour", Kind.TEXT, missing_allowed=True),
    )
    other = admitted(registry, "b", signature=Signature(fields))
    with pytest.raises(NoChampionError):
        registry.move(other.model.digest, expected=ModelState.ADMITTED, to=ModelState.SHADOW, reason=WHY)
    registry.promote(champion.model.digest, WHY)
    with pytest.raises(SignatureMismatchError, match=r"tiny/b@.* expects other fields"):
        registry.move(other.model.digest, expected=ModelState.ADMITTED, to=ModelState.SHADOW, reason=WHY)
    with pytest.raises(ConflictError, match=r"tiny/b@.* expects other fields"):
        registry.promote(other.model.digest, WHY)
    assert states(registry) == {"a": "champion", "b": "admitted"}


def test_roll_back_returns_through_all_former_champions(registry):
    with pytest.raises(NoChampionError):
        registry.roll_back(WHY)
    bundles = {version: admitted(registry, version) for version in "abc"}
    for bundle in bundles.values():
        registry.promote(bundle.model.digest, WHY)
    assert registry.roll_back(WHY).champion == bundles["b"].ref
    assert registry.roll_back(WHY).champion == bundles["a"].ref
    with pytest.raises(ConflictError, match=r"tiny/a@.* is the first champion"):
        registry.roll_back(WHY)
    assert states(registry) == {"a": "champion", "b": "rolled_back", "c": "rolled_back"}


def test_the_former_champion_stands_by_until_the_next_one_or_its_release(registry):
    first, second, third = (admitted(registry, version) for version in "abc")
    assert registry.promote(first.model.digest, WHY).standby is None
    deployed = registry.promote(second.model.digest, WHY)
    assert (deployed.champion, deployed.standby) == (second.ref, first.ref)
    assert deployed.shadows == (first.ref,)
    assert registry.standby().model == first.model
    assert registry.promote(third.model.digest, WHY).standby == second.ref
    assert states(registry) == {"a": "retired", "b": "standby", "c": "champion"}
    generation = registry.generation()
    registry.move(second.model.digest, expected=ModelState.STANDBY, to=ModelState.RETIRED, reason=WHY)
    assert registry.deployment().standby is None
    assert registry.generation() > generation
    # Without a standby, the newest that retired returns.
    assert registry.roll_back(WHY).champion == second.ref


def test_roll_back_of_a_champion_that_is_not_one_any_more_is_refused(registry):
    first, second = (admitted(registry, version) for version in "ab")
    for bundle in (first, second):
        registry.promote(bundle.model.digest, WHY)
    with pytest.raises(ConflictError, match=r"is to be taken back, but now it is tiny/b@"):
        registry.roll_back(WHY, over=first.model.digest)
    assert registry.roll_back(WHY, over=second.model.digest).champion == first.ref


def test_what_was_rolled_back_comes_back_by_an_override_only(registry):
    first, second = (admitted(registry, version) for version in "ab")
    for bundle in (first, second):
        registry.promote(bundle.model.digest, WHY)
    registry.roll_back(WHY)
    again = {"expected": ModelState.ROLLED_BACK, "to": ModelState.SHADOW, "reason": WHY}
    with pytest.raises(ConflictError, match=r"tiny/b@.* was rolled back; it comes back only with --override"):
        registry.move(second.model.digest, **again)
    with pytest.raises(ConflictError, match="that is rolled_back cannot become champion; possible: shadow"):
        registry.promote(second.model.digest, WHY)
    registry.move(second.model.digest, **again, override=True)
    assert registry.deployment().candidates == (second.ref,)


def test_find_takes_an_unambiguous_beginning(registry):
    bundles = [admitted(registry, str(number)) for number in range(17)]
    digest = bundles[0].model.digest
    assert registry.find(digest).model == registry.find(digest[:12]).model == bundles[0].model
    first = [bundle.model.digest[0] for bundle in bundles]
    twice = next(letter for letter in first if first.count(letter) > 1)
    with pytest.raises(InvalidRequestError, match="several versions"):
        registry.find(twice)
    with pytest.raises(InvalidRequestError, match="name a version by its digest"):
        registry.find("")
    for nothing in ("xyz", "%", digest + "0"):
        with pytest.raises(NotFoundError):
            registry.find(nothing)


def test_what_a_sidecar_says_of_a_generation(registry):
    registry.record_activation(5, "one", "cannot load")
    assert registry.activation(5).error == "cannot load"
    assert registry.activation(6) is None
    registry.record_activation(5, "one", "")
    assert registry.activation(5).error == ""
    registry.record_activation(7, "one", "")
    assert registry.activation(6).generation == 7


def test_the_last_word_counts_when_the_clock_was_set_back(registry, monkeypatch):
    registry.record_activation(5, "one", "cannot load")
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    registry.record_activation(5, "two", "")
    assert registry.activation(5).sidecar == "two"


def test_the_database_itself_keeps_the_rules(registry):
    first, second = admitted(registry, "a"), admitted(registry, "b")
    registry.promote(first.model.digest, WHY)
    direct = sqlite3.connect(registry.path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        direct.execute("UPDATE transitions SET actor = 'nobody'")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        direct.execute("DELETE FROM transitions")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        direct.execute("UPDATE versions SET state = 'champion' WHERE digest = ?", (second.model.digest,))
    direct.close()


def test_a_file_that_is_no_registry(tmp_path):
    path = tmp_path / "registry.db"
    path.write_text("not a database, but long enough to be looked at as one " * 30)
    with Registry(path) as registry, pytest.raises(UnavailableError, match=str(path)):
        registry.versions()
    path.unlink()
    sqlite3.connect(path).execute("PRAGMA user_version = 99").connection.close()
    with Registry(path) as registry, pytest.raises(ConfigError, match="schema 99"):
        registry.versions()


def test_threads_share_a_handle(registry):
    bundles = [tiny_bundle(registry.path.parent / "bundles", str(number)) for number in range(8)]
    threads = [threading.Thread(target=registry.register, args=(bundle, WHY)) for bundle in bundles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry.versions()) == len(registry.transitions()) == 8


def race(path, digest, over, gate, results):
    registry = Registry(path)
    gate.wait()
    try:
        registry.promote(digest, Reason(digest[:8], "race"), over=over)
        results.put(("won", digest))
    except ConflictError:
        results.put(("lost", digest))
    registry.close()


def test_of_racing_processes_exactly_one_promotes(registry):
    champion = admitted(registry, "champion")
    registry.promote(champion.model.digest, WHY)
    racers = [shadow(registry, str(number)) for number in range(4)]
    context = multiprocessing.get_context("spawn")
    gate, results = context.Barrier(4), context.Queue()
    processes = [
        context.Process(
            target=race, args=(registry.path, racer.model.digest, champion.model.digest, gate, results)
        )
        for racer in racers
    ]
    for process in processes:
        process.start()
    outcome = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert [word for word, _ in sorted(outcome)] == ["lost", "lost", "lost", "won"]
    winner = next(digest for word, digest in outcome if word == "won")
    assert registry.champion().model.digest == winner
    assert sorted(states(registry).values()) == ["champion", "shadow", "shadow", "shadow", "standby"]


def make(path, gate):
    registry = Registry(path)
    gate.wait()
    registry.record_activation(1, path.name, "")
    registry.close()


def test_processes_that_make_the_file_at_once_make_one_file(tmp_path):
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(3)
    path = tmp_path / "registry.db"
    processes = [context.Process(target=make, args=(path, gate)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    with Registry(path) as registry:
        assert registry.activation(1) is not None
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []
