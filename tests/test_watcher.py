from sidecar.config import Shadow
from sidecar.engine.python import PythonEngine
from sidecar.registry import Registry
from sidecar.shadow.supervisor import ShadowSupervisor
from sidecar.watcher import Watcher


async def test_whatever_reading_the_registry_ends_with_the_watch_goes_on(tmp_path, monkeypatch):
    with Registry(tmp_path / "registry.db") as registry:
        watcher = Watcher(registry, PythonEngine(), ShadowSupervisor("python", Shadow()), sidecar="tests")
        with monkeypatch.context() as broken:
            broken.setattr(registry, "generation", lambda: int("canary"))
            await watcher.look()
        assert watcher.error.startswith("the registry cannot be followed: invalid literal")
        await watcher.look()
        assert registry.activation(0) is None, "nothing was deployed"
