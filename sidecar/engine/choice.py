"""Which engine runs, and why."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.config import ENGINES
from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from sidecar.config import Config
    from sidecar.engine.contract import Engine

DATAPLANE = "sidecar_dataplane"
DATAPLANE_VERSION = "0.1.0"
"""The version of the native module that this package's boundary is written for."""
_FIX = "`pip install 'model-sidecar[native]'`, or in a clone `make setup` with cargo"
_LIBRARY = "libonnxruntime.*dylib" if sys.platform == "darwin" else "libonnxruntime.so*"


class NativeUnavailableError(Exception):
    """The native engine cannot run here; the message says what is missing."""


def choose_engine(config: Config) -> tuple[Engine, str]:
    """The engine that the configuration asks for, and why it is that one.

    "auto" takes the native engine where it can run. Raises ConfigError for "native" where it cannot, and for
    an engine there is not.
    """
    if config.engine not in ENGINES:
        raise ConfigError(f"engine is {config.engine!r}; it must be one of: {', '.join(ENGINES)}")
    if config.engine == "python":
        return _python(), "configured"
    try:
        library = find_native()
    except NativeUnavailableError as error:
        if config.engine == "native":
            raise ConfigError(f"engine is 'native', but {error}") from None
        return _python(), f"auto: {error}"
    from sidecar.engine.native import NativeEngine  # noqa: PLC0415 - needs the module that was just found

    why = "configured" if config.engine == "native" else f"auto: {DATAPLANE} {DATAPLANE_VERSION} is installed"
    return NativeEngine(library, config.native), why


def find_native() -> Path:
    """The library of ONNX Runtime, for a native engine that can run here.

    Raises NativeUnavailableError when the native module or the library is absent, or the module does not fit.
    """
    try:
        module = importlib.import_module(DATAPLANE)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == DATAPLANE
        said = "is not installed" if absent else f"cannot be loaded ({_first_line(error)})"
        raise NativeUnavailableError(f"{DATAPLANE} {said}: {_FIX}") from None
    version = getattr(module, "__version__", "unknown")
    if version != DATAPLANE_VERSION:
        raise NativeUnavailableError(
            f"{DATAPLANE} has version {version}, not {DATAPLANE_VERSION} as this package needs: {_FIX}"
        )
    library = _onnxruntime()
    try:
        module.Runtime(str(library))
    except OSError as error:
        raise NativeUnavailableError(
            f"{library.name}: {_first_line(error)}; install another onnxruntime"
        ) from None
    return library


def _onnxruntime() -> Path:
    """Find the library without importing the package, which takes a quarter of a second and 20 MB."""
    package = importlib.util.find_spec("onnxruntime")
    folders = [Path(folder) / "capi" for folder in (package and package.submodule_search_locations) or ()]
    found = [library for folder in folders for library in sorted(folder.glob(_LIBRARY))]
    if not found:
        raise NativeUnavailableError(
            "the installed onnxruntime package brings no shared library; install its wheel from PyPI"
        )
    return found[0]


def _python() -> Engine:
    from sidecar.engine.python import PythonEngine  # noqa: PLC0415 - brings ONNX Runtime's package along

    return PythonEngine()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
