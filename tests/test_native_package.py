"""The native module's package: it is built where it can be, and every file names the same version."""

import shutil
import tomllib
from pathlib import Path

import pytest
from running_engine import ENGINES

from sidecar.engine.choice import DATAPLANE_VERSION

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(shutil.which("cargo") is None, reason="there is no cargo to build it with")
def test_where_cargo_is_there_the_native_engine_is_built_and_tested():
    assert "native" in ENGINES, "run `make native` to see why it is not built"


def test_all_files_name_the_same_version():
    cargo = tomllib.loads((ROOT / "dataplane" / "Cargo.toml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    name = tomllib.loads((ROOT / "dataplane" / "pyproject.toml").read_text())["project"]["name"]
    assert cargo["package"]["version"] == DATAPLANE_VERSION
    assert project["project"]["optional-dependencies"]["native"] == [f"{name}=={DATAPLANE_VERSION}"]


def test_the_lock_file_is_that_of_the_manifest():
    lock = tomllib.loads((ROOT / "dataplane" / "Cargo.lock").read_text())
    (package,) = [each for each in lock["package"] if each["name"] == "sidecar-dataplane"]
    assert package["version"] == DATAPLANE_VERSION
