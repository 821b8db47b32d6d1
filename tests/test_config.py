import pytest

from sidecar.config import Config, Native, address
from sidecar.errors import ConfigError
from sidecar.settings import Setting, describe, load_config


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "sidecar.toml"
        path.write_text(text)
        return path

    return write


def test_defaults_are_those_of_the_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(None, {})
    assert config == Config(home=tmp_path / "var")
    assert {setting.source for setting in describe(None, {})} == {"default"}


def test_file_and_environment_in_that_order(file, tmp_path):
    path = file(
        'home = "data"\n\n[listeners]\ntcp = "127.0.0.1:0"\n\n[recorder]\nflush_seconds = 1\nbatch_rows=7\n'
    )
    config = load_config(path, {"SIDECAR_RECORDER_BATCH_ROWS": "9", "SIDECAR_SHADOW_NICE": "0"})
    assert config.home == tmp_path / "data"
    assert config.listeners.tcp == "127.0.0.1:0"
    assert config.recorder.flush_seconds == 1.0
    assert isinstance(config.recorder.flush_seconds, float)
    assert config.recorder.batch_rows == 9
    assert config.shadow.nice == 0
    sources = {
        setting.name: setting.source
        for setting in describe(path, {"SIDECAR_RECORDER_BATCH_ROWS": "9"})
        if setting.source != "default"
    }
    assert sources == {
        "home": f"{path}:1",
        "[listeners] tcp": f"{path}:4",
        "[recorder] flush_seconds": f"{path}:7",
        "[recorder] batch_rows": "SIDECAR_RECORDER_BATCH_ROWS",
    }


def test_the_native_engine_may_choose_its_loops_and_hand_every_run_over(file):
    config = load_config(
        file("[native]\nevent_loops = 0\nhand_off_us = 0\n"), {"SIDECAR_NATIVE_BATCH_ROWS": "8"}
    )
    assert config.native == Native(event_loops=0, hand_off_us=0, batch_rows=8)


def test_home_is_relative_to_the_file_or_in_the_environment_to_the_working_folder(
    file, tmp_path, monkeypatch
):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    path = file('home = "data"')
    assert load_config(path, {}).home == tmp_path / "data"
    assert load_config(path, {"SIDECAR_HOME": "here"}).home == work / "here"
    assert load_config(path, {"SIDECAR_HOME": "/srv/x"}).home.as_posix() == "/srv/x"


def test_describe_lists_every_setting_once():
    names = [setting.name for setting in describe(None, {})]
    assert len(names) == len(set(names))
    assert {"home", "engine", "[listeners] admin", "[limits] ring_rows", "[shadow] backoff_seconds"} <= set(
        names
    )
    assert describe(None, {})[1] == Setting("", "engine", "auto", "default")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("engine = \nhome = 3", r"sidecar\.toml: not TOML: .*line 1"),
        ("\n\nengin = 'auto'", r"sidecar\.toml:3: unknown key 'engin'; did you mean 'engine'\?"),
        (
            "[limits]\n\nmax_inflight = 3",
            r"sidecar\.toml:3: unknown key 'max_inflight' in \[limits\]; did you mean 'max_in_flight'\?",
        ),
        ("[shadow]\nzzz = 3", r"unknown key 'zzz' in \[shadow\]; known: copy_share, queue_rows, "),
        ("a = 1\n[listener]\nuds = ''", r"unknown key 'a'; known: home, engine"),
        (
            "[listener]\nuds = ''",
            r"sidecar\.toml:1: unknown section \[listener\]; did you mean 'listeners'\?",
        ),
        ("limits = 3", r"sidecar\.toml:1: unknown key 'limits'"),
        ("[limits]\nmax_rows = '7'", r"sidecar\.toml:2: max_rows is '7'; it must be a whole number"),
        ("[limits]\nmax_rows = 7.5", r"max_rows is 7\.5; it must be a whole number"),
        ("[limits]\nmax_rows = true", r"max_rows is True; it must be a whole number"),
        (
            "[limits]\nmax_rows = 0",
            r"\[limits\] max_rows \(.*sidecar\.toml:2\) is 0; it must be greater than 0",
        ),
        ("[limits]\ngrace_seconds = -1", r"it must be 0 or more"),
        ("[limits]\ngrace_seconds = nan", r"it must be 0 or more"),
        ("[recorder]\nflush_seconds = inf", r"is inf; it must be at most 2147483647"),
        ("[limits]\nmax_message_bytes = 3_000_000_000", r"it must be at most 2147483647"),
        ("[native]\nevent_loops = 1_025", r"\[native\] event_loops .* it must be at most 1024"),
        ("[native]\nbatch_rows = 0", r"\[native\] batch_rows .* it must be greater than 0"),
        ("home = ''", r"home \(.*:1\) is empty; name a folder"),
        ("engine = 'rust'", r"engine \(.*:1\) is 'rust'; it must be one of: auto, native, python"),
        ("[listeners]\nuds = ''", r"uds and tcp are both empty"),
        ("[listeners]\nadmin = ''", r"\[listeners\] admin \(.*:2\) is empty"),
        ("[listeners]\ntcp = '8080'", r"\[listeners\] tcp \(.*:2\) is '8080'; it must be host:port"),
        (
            "[listeners]\nadmin = 'sidecar.sock'",
            r"admin \(.*:2\) is 'sidecar.sock', where predictions listen",
        ),
        ("[listeners]\nadmin = 'localhost:99999'", r"admin \(.*:2\) .*a port is at most 65535"),
        ("home = '" + "x" * 110 + "'", r"the socket path .* has over 107 bytes.*choose a shorter home"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_place_and_fix(file, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(file(text), {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"SIDECAR_LIMITS_MAX_ROW": "1"},
            r"SIDECAR_LIMITS_MAX_ROW: unknown key 'max_row' in \[limits\]; did you mean 'max_rows'",
        ),
        ({"SIDECAR_LIMITS_MAX_ROWS": "many"}, r"SIDECAR_LIMITS_MAX_ROWS: 'many' is not a whole number"),
        (
            {"SIDECAR_RECORDER_FLUSH_SECONDS": "0"},
            r"\(SIDECAR_RECORDER_FLUSH_SECONDS\) is 0\.0; it must be greater than 0",
        ),
        ({"SIDECAR_ENGINE": "rust"}, r"engine \(SIDECAR_ENGINE\) is 'rust'"),
    ],
)
def test_variables_are_checked_alike(environ, message):
    with pytest.raises(ConfigError, match=message):
        load_config(None, environ)


def test_variables_of_others_are_left_alone():
    others = {
        "SIDECAR_CONFIG": "x.toml",
        "SIDECAR_PORT": "tcp://10.0.0.1:80",
        "SIDECAR_SERVICE_HOST": "10.0.0.1",
    }
    assert load_config(None, others) == load_config(None, {})


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*none\.toml: No such file"):
        load_config(tmp_path / "none.toml", {})


def test_addresses(tmp_path):
    assert address(tmp_path, "admin.sock") == f"unix:{tmp_path}/admin.sock"
    assert address(tmp_path, "/run/admin.sock") == "unix:/run/admin.sock"
    assert address(tmp_path, "127.0.0.1:99") == "127.0.0.1:99"
    assert address(tmp_path, "[::1]:99") == "[::1]:99"
