"""Which servers there are: the sidecar's two engines and the peers."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

from benchmarks.environments import HERE, ROOT, WORK, environment
from benchmarks.model import NAME, make_bundle
from benchmarks.servers import Launch, Server
from sidecar.bundle import PIPELINE, Bundle
from sidecar.registry import ModelState, Reason, Registry

WHY = Reason("benchmarks", "to measure")
_PATHS = {"PYTHONPATH": f"{ROOT}:{HERE / 'peers'}"}


@cache
def bundle(version: str) -> Bundle:
    """One version of the model, admitted by nobody yet."""
    return make_bundle(WORK / "bundles", version)


def graph() -> str:
    """The graph that every server runs."""
    return str(bundle("1").path / PIPELINE)


def sidecar(
    engine: str, name: str = "", label: str = "", *, candidates: tuple[str, ...] = (), **environ: str
) -> Server:
    """The sidecar with version 1 as its champion; `candidates` are versions that it shadows."""

    def launch(folder: Path, port: int) -> Launch:
        home = folder / "home"
        fill_registry(home, candidates)
        return Launch(
            [str(Path(sys.executable).with_name("sidecar")), "serve"],
            {
                "SIDECAR_HOME": str(home),
                "SIDECAR_ENGINE": engine,
                "SIDECAR_LISTENERS_TCP": f"127.0.0.1:{port}",
                **environ,
            },
            home / "sidecar.sock",
        )

    return Server(name or engine, label or f"sidecar, `{engine}` engine", launch)


def fill_registry(home: Path, candidates: tuple[str, ...] = ()) -> None:
    """Make a registry with version 1 as its champion and others as candidates."""
    home.mkdir(parents=True)
    with Registry(home / "registry.db") as registry:
        for version in ("1", *candidates):
            model = registry.register(bundle(version), WHY).model
            registry.move(model.digest, expected=ModelState.REGISTERED, to=ModelState.ADMITTED, reason=WHY)
        registry.promote(bundle("1").model.digest, WHY)
        for version in candidates:
            registry.move(
                bundle(version).model.digest,
                expected=ModelState.ADMITTED,
                to=ModelState.SHADOW,
                reason=WHY,
            )


def bare_grpcio(name: str, label: str, kind: str, processes: int) -> Server:
    """Grpcio and ONNX Runtime alone."""

    def launch(_: Path, port: int) -> Launch:
        return _script("grpcio", "bare_grpcio.py", graph(), str(port), kind, str(processes))

    return Server(name, label, launch, also_blocks=True)


def pygrpc_native(name: str, label: str, io_threads: int, batch: int) -> Server:
    """pygrpc-native's low-level front; `batch` is how many waiting calls are taken at a time."""

    def launch(_: Path, port: int) -> Launch:
        return _script("pygrpc_native", "pygrpc_front.py", graph(), str(port), str(io_threads), str(batch))

    return Server(name, label, launch, also_blocks=True)


def kserve(name: str, label: str, mode: str) -> Server:
    """KServe's Python model server."""

    def launch(_: Path, port: int) -> Launch:
        return _script("kserve", "kserve_server.py", graph(), str(port), str(port + 1), mode)

    return Server(name, label, launch)


def mlserver(name: str, label: str, settings: dict[str, object]) -> Server:
    """MLServer, with what `settings` say beside its ports."""

    def launch(folder: Path, port: int) -> Launch:
        ports = {"host": "127.0.0.1", "grpc_port": port, "http_port": port + 1, "metrics_port": port + 2}
        model = {
            "name": NAME,
            "implementation": "mlserver_model.Logistic",
            "parameters": {"uri": graph()},
        }
        (folder / "settings.json").write_text(json.dumps(ports | settings))
        (folder / "model-settings.json").write_text(json.dumps(model))
        return Launch([str(environment("mlserver") / "mlserver"), "start", str(folder)], _PATHS)

    return Server(name, label, launch)


def _script(name: str, script: str, *arguments: str) -> Launch:
    return Launch([str(environment(name) / "python"), str(HERE / "peers" / script), *arguments], _PATHS)


NATIVE = sidecar("native")
PYTHON = sidecar("python")
GRPCIO = bare_grpcio("grpcio", "grpcio (aio, uvloop)", "aio", 1)
PYGRPC = pygrpc_native("pygrpc-native", "pygrpc-native, low-level front", 1, 64)
MLSERVER = mlserver("mlserver", "MLServer, default", {})
MLSERVER_IN_PROCESS = mlserver(
    "mlserver-in-process",
    "MLServer, in-process",
    {"parallel_workers": 0, "debug": False, "metrics_endpoint": None},
)
KSERVE = kserve("kserve", "KServe, default", "default")
KSERVE_TUNED = kserve("kserve-tuned", "KServe, tuned", "tuned")

LINEUP = (NATIVE, PYTHON, GRPCIO, PYGRPC, MLSERVER, MLSERVER_IN_PROCESS, KSERVE, KSERVE_TUNED)
"""In the order of the pages."""
PYGRPC_SINGLE = pygrpc_native("pygrpc-native-single", "pygrpc-native, one call at a time", 1, 1)
GRPCIO_TWICE = bare_grpcio("grpcio-2", "grpcio (aio, uvloop), 2 processes", "aio", 2)
NATIVE_TWICE = sidecar(
    "native", "native-2", "sidecar, `native` engine, 2 event loops", SIDECAR_NATIVE_EVENT_LOOPS="2"
)
VARIANTS = (
    NATIVE_TWICE,
    bare_grpcio("grpcio-threads", "grpcio (thread pool of one)", "threads", 1),
    GRPCIO_TWICE,
    pygrpc_native("pygrpc-native-2-io", "pygrpc-native, 2 I/O threads", 2, 64),
    PYGRPC_SINGLE,
)
"""Other ways to run a server: to see that a peer above is at its best, and ours with as many threads."""
