"""Try the packages that are installed: a sidecar of its own answers one prediction with the engine named.

python tests/check_installed.py native
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from sidecar_process import SidecarProcess, admit_without_check, promote, run_cli
from tiny_bundles import row, tiny_bundle

from sidecar.client import Client


def main(engine: str) -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        bundle = tiny_bundle(home / "bundles")
        admit_without_check(home, bundle)
        promote(home, bundle)
        with SidecarProcess(home, SIDECAR_ENGINE=engine) as sidecar:
            with Client(sidecar.target, deadline=30) as client:
                assert client.predict(row()).model == bundle.model
            print(run_cli("status", home=home).stdout)  # noqa: T201 - a person reads the job's log
            assert sidecar.stop() == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
