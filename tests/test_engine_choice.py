"""Which engine runs, and why. Modules that are absent or do not fit are laid in the way as files."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
from running_engine import ENGINES
from sidecar_process import SidecarProcess, run_cli

from sidecar.config import Config, Native
from sidecar.engine.choice import DATAPLANE, DATAPLANE_VERSION, choose_engine
from sidecar.engine.python import PythonEngine
from sidecar.errors import ConfigError

NOT_THERE = 'raise ModuleNotFoundError("No module named it", name="sidecar_dataplane")'
BROKEN = 'raise ImportError("libmissing.so: cannot open shared object file")'
OLD = '__version__ = "0.0.1"'
FIX = "`pip install 'model-sidecar[native]'`, or in a clone `make setup` with cargo"
CASES = [
    (NOT_THERE, f"sidecar_dataplane is not installed: {FIX}"),
    (
        BROKEN,
        f"sidecar_dataplane cannot be loaded (libmissing.so: cannot open shared object file): {FIX}",
    ),
    (OLD, f"sidecar_dataplane has version 0.0.1, not {DATAPLANE_VERSION} as this package needs: {FIX}"),
]


@pytest.fixture
def in_the_way(tmp_path):
    """Has processes import this text as the native module."""

    def lay(text):
        folder = tmp_path / "path"
        folder.mkdir()
        (folder / f"{DATAPLANE}.py").write_text(text)
        return {"PYTHONPATH": str(folder)}

    return lay


def test_python_is_chosen_by_name():
    engine, why = choose_engine(Config(engine="python"))
    assert isinstance(engine, PythonEngine)
    assert why == "configured"


def test_there_is_no_other_engine():
    with pytest.raises(ConfigError, match="'rust'; it must be one of: auto, native, python"):
        choose_engine(Config(engine="rust"))


@pytest.mark.skipif("native" not in ENGINES, reason="the native engine is not built")
def test_auto_falls_back_when_the_library_cannot_be_loaded(tmp_path, monkeypatch):
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    (capi.parent / "__init__.py").touch()
    (capi / f"libonnxruntime.{'dylib' if sys.platform == 'darwin' else 'so.1'}").write_bytes(b"no library")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    engine, why = choose_engine(Config())
    assert engine.name == "python"
    assert "ONNX Runtime cannot be loaded" in why
    with pytest.raises(ConfigError, match="ONNX Runtime cannot be loaded"):
        choose_engine(Config(engine="native"))


@pytest.mark.skipif("native" not in ENGINES, reason="the native engine is not built")
def test_auto_takes_native_where_it_can_run():
    engine, why = choose_engine(Config())
    assert (engine.name, why) == ("native", f"auto: sidecar_dataplane {DATAPLANE_VERSION} is installed")
    engine, why = choose_engine(Config(engine="native", native=Native(event_loops=3)))
    assert (engine.name, why) == ("native", "configured")
    assert repr(engine) == "<NativeEngine not started>"


@pytest.mark.parametrize(("module", "why"), CASES)
def test_auto_goes_on_with_python_and_says_why(tmp_path, in_the_way, module, why):
    home = tmp_path / "home"
    with SidecarProcess(home, **in_the_way(module)) as sidecar:
        found = json.loads(run_cli("status", "--json", home=home).stdout)
        assert (found["engine"], found["engine_reason"]) == ("python", f"auto: {why}")
        assert sidecar.stop() == 0
    assert any(line.endswith(f"serving with the python engine (auto: {why})") for line in sidecar.err)


@pytest.mark.parametrize(("module", "why"), CASES)
def test_native_that_cannot_run_is_one_line_with_the_fix(tmp_path, in_the_way, module, why):
    result = run_cli("serve", home=tmp_path / "home", SIDECAR_ENGINE="native", **in_the_way(module))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: engine is 'native', but {why}\n"


def test_native_needs_the_library_in_the_package_of_onnx_runtime(tmp_path, in_the_way):
    environ = in_the_way(f'__version__ = "{DATAPLANE_VERSION}"')
    shutil.copytree(
        find_spec("onnxruntime").submodule_search_locations[0],
        tmp_path / "path" / "onnxruntime",
        ignore=shutil.ignore_patterns("libonnxruntime.*", "transformers", "tools", "quantization"),
    )
    code = "import sidecar.config as c, sidecar.engine.choice as e; print(e.choose_engine(c.Config())[1])"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert said == (
        "auto: the installed onnxruntime package brings no shared library; install its wheel from PyPI\n"
    )
