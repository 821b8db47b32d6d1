import json
import os
import re
import signal
import subprocess

import pytest
from sidecar_process import (
    SIDECAR,
    WHY,
    SidecarProcess,
    admit_without_check,
    promote,
    run_cli,
    wait_until,
)
from tiny_bundles import TRIGGER, Misbehaviour, row, tiny_bundle

from sidecar.client import Client
from sidecar.config import Config
from sidecar.engine.choice import choose_engine
from sidecar.registry import ModelState, Registry
from sidecar.store.reader import LogReader

AS = "as NAME=VALUE arguments, or records with --file"
RECORD = ("x=0.5", "amount=10", "trigger=0", "colour=red")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The home of a running sidecar with a champion and a candidate that raises on demand."""
    home = tmp_path_factory.mktemp("cli") / "home"
    champion = tiny_bundle(home / "bundles", "champion")
    candidate = tiny_bundle(home / "bundles", "candidate", weight=1.0, misbehaviour=Misbehaviour.RAISES)
    admit_without_check(home, champion, candidate)
    promote(home, champion)
    with Registry(home / "registry.db") as registry:
        registry.move(candidate.model.digest, expected=ModelState.ADMITTED, to=ModelState.SHADOW, reason=WHY)
    with SidecarProcess(home) as sidecar:
        yield home
        assert sidecar.stop() == 0


def fine(result):
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def error(result):
    """The one line of a command that failed."""
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").rstrip("\n")


def test_predict_one_record_given_by_name(home):
    out = fine(run_cli("predict", *RECORD, home=home))
    assert re.search(r"^score +0\.750260$", out, re.MULTILINE)
    assert re.search(r"^decision +act$", out, re.MULTILINE)
    assert re.search(r"^model +tiny/champion@[0-9a-f]{8}$", out, re.MULTILINE)
    assert re.search(
        r"^timings +queue \d+ us, decode \d+ us, infer \d+ us, encode \d+ us$", out, re.MULTILINE
    )


@pytest.mark.parametrize("missing", ["x=", "x=null"])
def test_a_missing_value_is_said_so(home, missing):
    reply = json.loads(fine(run_cli("predict", "--json", missing, *RECORD[1:], home=home)))
    with Client(home / "sidecar.sock", deadline=30) as client:
        assert reply["score"] == client.predict(row(x=None)).score
    assert reply["decision"] is True
    assert reply["model"]["version"] == "champion"
    assert reply["timings"]["infer_ns"] > 0


def test_predict_lines_of_a_file_and_of_standard_input(home, tmp_path):
    records = [row(x=number / 10) for number in range(5)]
    text = "\n".join(json.dumps(record) for record in records) + "\n\n"
    file = tmp_path / "rows.jsonl"
    file.write_text(text)
    replies = [
        json.loads(line)
        for line in fine(run_cli("predict", "--json", "--file", str(file), home=home)).splitlines()
    ]
    with Client(home / "sidecar.sock", deadline=30) as client:
        assert [reply["score"] for reply in replies] == [client.predict(record).score for record in records]
    lines = fine(run_cli("predict", "--file", "-", home=home, stdin=text)).splitlines()
    assert [float(line.split()[0]) for line in lines] == pytest.approx(
        [reply["score"] for reply in replies], abs=1e-6
    )


def test_predict_over_a_named_target_needs_no_settings(home, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    target = f"unix:{home}/sidecar.sock"
    out = fine(run_cli("predict", "--target", target, "--file", "-", home=elsewhere, stdin=json.dumps(row())))
    assert "tiny/champion@" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x=a", *RECORD[1:]), "field 'x' is 'a'; send a number"),
        ((*RECORD[:2], "trigger=1.5", RECORD[3]), "field 'trigger' is '1.5'; send a whole number"),
        (RECORD[:3], "field 'colour' is left out; send it as missing"),
        ((*RECORD, "coluor=red"), "field 'coluor' is not in the signature; did you mean 'colour'?"),
        (("x=1", "amount=-1", *RECORD[2:]), "field 'amount' is -1; send a value from 0 to 1e+06"),
        (("x=1", "amount=", *RECORD[2:]), "field 'amount' must not be missing; send a number"),
        (("x", *RECORD), "'x' is not NAME=VALUE (`sidecar predict --help` explains)"),
        ((*RECORD, "x=1"), "field 'x' is given twice (`sidecar predict --help` explains)"),
        ((), f"give one record {AS} (`sidecar predict --help` explains)"),
    ],
)
def test_predict_names_what_does_not_fit(home, arguments, message):
    assert error(run_cli("predict", *arguments, home=home)) == message


def test_predict_lines_names_the_bad_one_after_the_good_ones(home):
    good, bad = json.dumps(row()), json.dumps({**row(), "amount": -1})
    result = run_cli("predict", "--file", "-", home=home, stdin=f"{good}\n{bad}\n{good}\n")
    assert result.returncode == 2
    assert result.stderr == "error: record 2: field 'amount' is -1; send a value from 0 to 1e+06\n"
    assert len(result.stdout.splitlines()) == 1
    assert error(run_cli("predict", "--file", "-", home=home, stdin="{")).startswith("line 1 is not JSON: ")
    assert (
        error(run_cli("predict", "--file", "-", home=home, stdin="[1]"))
        == "line 1 is not a JSON object of fields"
    )


def test_predict_lines_of_a_file_that_is_no_text(home, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\xff\xfe")
    assert error(run_cli("predict", "--file", str(file), home=home)).startswith(f"{file} is not UTF-8: ")


def test_status(home):
    with Client(home / "sidecar.sock", deadline=30) as client:
        client.predict(row())

    def settled():
        found = json.loads(fine(run_cli("status", "--json", home=home)))
        shadow = found["shadows"][0]
        return found if found["written"] == found["served"] == shadow["scored"] + shadow["failed"] else None

    found = wait_until(settled)
    assert found["champion"]["version"] == "champion"
    assert [candidate["version"] for candidate in found["candidates"]] == ["candidate"]
    engine, why = choose_engine(Config())
    assert (found["engine"], found["engine_reason"]) == (engine.name, why)
    assert list(found["stages"]) == ["queue", "decode", "infer", "encode"]
    assert {stage["count"] for stage in found["stages"].values()} == {found["served"]}
    assert found["stages"]["infer"]["max_ns"] >= found["stages"]["infer"]["p50_ns"] > 0
    assert found["generation"] == 6
    assert (found["dropped"], found["failed"], found["queued"], found["lost_before"]) == (0, 0, 0, 0)
    assert (found["deploy_error"], found["scores_failed"]) == ("", 0)
    assert found["shadows"][0]["state"] == "running"
    out = fine(run_cli("status", home=home))
    assert re.search(r"champion +tiny/champion@", out)
    assert f"{engine.name} ({why})" in " ".join(out.split())
    assert re.search(rf"infer +{found['served']}( +[0-9.,]+){{4}} *\n", out)
    assert f"{found['served']} served = {found['served']} written + 0 sampled_out + 0 dropped" in out
    assert re.search(r"tiny/candidate@\w+ +candidate +running +\d+", out)


def test_log_shows_all_about_one_request(home):
    with Client(home / "sidecar.sock", deadline=30) as client:
        client.predict(
            row(x=None, trigger=TRIGGER), request_id="order-17", event_ns=1_700_000_000_123_456_789
        )
        client.record_outcome("order-17", 1, value=-12.5, observed_ns=1_700_000_100_000_000_000)

    def shown():
        result = run_cli("log", "show", "order-17", "--json", home=home)
        found = json.loads(result.stdout) if result.returncode == 0 else {"scores": []}
        return found if found["scores"] else None

    found = wait_until(shown)
    assert found["fields"] == {"x": None, "amount": 10.0, "trigger": TRIGGER, "colour": "red"}
    assert found["event_ns"] == 1_700_000_000_123_456_789
    assert found["model"].startswith("tiny/champion@")
    (score,) = found["scores"]
    assert (score["score"], score["decision"], score["failure"]) == (None, None, "raised")
    assert found["outcomes"] == [
        {"request_id": "order-17", "label": 1.0, "value": -12.5, "observed_ns": 1_700_000_100_000_000_000}
    ]
    out = fine(run_cli("log", "show", "order-17", home=home))
    assert "order-17  2023-11-14 22:13:20.123" in out
    assert re.search(r"x +missing", out)
    assert re.search(r"candidate tiny/candidate@\w+ failed: raised", out)
    assert "outcome 1, value -12.5, observed 2023-11-14 22:15:00.000" in out
    assert error(run_cli("log", "show", "order-1", home=home)) == "no prediction was logged under 'order-1'"


def test_log_tail_and_counts(home):
    with Client(home / "sidecar.sock", deadline=30) as client:
        keys = [client.predict(row(x=number)).request_id for number in range(30)]
    wait_until(lambda: keys[-1] in run_cli("log", "tail", "-n", "1", home=home).stdout)
    tail = [json.loads(line) for line in fine(run_cli("log", "tail", "--json", home=home)).splitlines()]
    assert [found["request_id"] for found in tail] == keys[-20:]
    assert fine(run_cli("log", "tail", "-n", "0", home=home)) == ""
    (line,) = fine(run_cli("log", "tail", "-n", "1", home=home)).splitlines()
    assert re.fullmatch(rf"\S+ \S+  1\.000000  act   tiny/champion@\w+ +\d+ us  {keys[-1]}", line)
    with LogReader(home / "log.db") as log:
        totals = log.counts()
    found = json.loads(fine(run_cli("log", "counts", "--json", home=home)))
    assert (found["served"], found["outcomes"]) == (totals.served, totals.outcomes)
    assert found["runs"][0]["written"] == totals.served
    assert found["runs"][0]["closed_ns"] is None
    assert f"{totals.served:,} served" in fine(run_cli("log", "counts", home=home))


def test_log_tail_follows_until_interrupted(home):
    environ = {**os.environ, "SIDECAR_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    follow = subprocess.Popen(
        [*SIDECAR, "log", "tail", "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )
    try:
        with Client(home / "sidecar.sock", deadline=30) as client:
            client.predict(row())
            follow.stdout.readline()  # it runs, and has shown what there was
            key = client.predict(row()).request_id
        assert any(key in line for line in follow.stdout)
        follow.send_signal(signal.SIGINT)
        assert follow.wait(60) == 130
        assert follow.stderr.read().strip() == ""
    finally:
        follow.kill()
        follow.communicate()


def test_config_shows_values_and_their_sources(tmp_path):
    (tmp_path / "sidecar.toml").write_text("[limits]\nmax_rows = 7\n")
    home = tmp_path / "home"
    found = json.loads(fine(run_cli("config", "--json", home=home, SIDECAR_SHADOW_NICE="3")))
    by_name = {(item["section"], item["key"]): (item["value"], item["source"]) for item in found}
    assert by_name["limits", "max_rows"] == (7, "sidecar.toml:2")
    assert by_name["shadow", "nice"] == (3, "SIDECAR_SHADOW_NICE")
    assert by_name["", "home"] == (str(home), "SIDECAR_HOME")
    assert by_name["listeners", "tcp"] == ("", "default")
    out = fine(run_cli("config", home=home))
    assert re.search(r"^\[limits\] max_rows +7 +sidecar\.toml:2", out, re.MULTILINE)


def test_the_file_comes_from_the_option_then_the_environment_then_the_folder(tmp_path):
    home = tmp_path / "home"
    for name, rows in (("sidecar", 1), ("a", 2), ("b", 3)):
        (tmp_path / f"{name}.toml").write_text(f"[limits]\nmax_rows = {rows}\n")

    def rows(*arguments, **environ):
        found = json.loads(fine(run_cli("config", "--json", *arguments, home=home, **environ)))
        return next(item["value"] for item in found if item["key"] == "max_rows")

    assert rows() == 1
    assert rows(SIDECAR_CONFIG="a.toml") == 2
    assert rows("--config", "b.toml", SIDECAR_CONFIG="a.toml") == 3


@pytest.mark.parametrize("command", ["serve", "config", "status", "predict", "log counts"])
def test_every_command_names_the_bad_line(tmp_path, command):
    (tmp_path / "sidecar.toml").write_text("[limits]\nmax_row = 7\n")
    result = run_cli(*command.split(), *(("x=1",) if command == "predict" else ()), home=tmp_path / "home")
    assert error(result) == "sidecar.toml:2: unknown key 'max_row' in [limits]; did you mean 'max_rows'?"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("status",), r"no sidecar answers at unix:.*/admin\.sock; start it with `sidecar serve`.*"),
        (("predict", "x=1"), r"no sidecar answers at unix:.*/admin\.sock; .*"),
        (("predict", "--file", "-"), r"no sidecar answers at unix:.*/sidecar\.sock; .*"),
        (("predict", "--file", "none.jsonl"), r"Invalid value for '--file': 'none\.jsonl': No such file.*"),
        (("log", "tail"), r"no log at .*/log\.db; .*"),
        (("log", "show", "a"), r"no log at .*"),
        (
            ("status", "--config", "none.toml"),
            r"cannot read the configuration none\.toml: No such file or directory",
        ),
        (("statsu",), r"No such command 'statsu'.* \(`sidecar --help` explains\)"),
        (("status", "--jsn"), r"No such option '--jsn'.* \(`sidecar status --help` explains\)"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(tmp_path, arguments, message):
    found = error(run_cli(*arguments, home=tmp_path / "home", stdin=json.dumps(row())))
    assert re.fullmatch(message, found)


def test_help_and_version(tmp_path):
    out = fine(run_cli("--help", home=tmp_path / "home"))
    assert all(f"  {command} " in out for command in ("serve", "config", "status", "predict", "log"))
    assert fine(run_cli("--version", home=tmp_path / "home")).startswith("sidecar, version ")
    assert fine(run_cli(home=tmp_path / "home")) == out
