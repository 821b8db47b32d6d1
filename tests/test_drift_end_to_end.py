"""A real sidecar counts real calls, and what has drifted is told on every way out of it."""

import json
import re
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from sidecar_process import (
    SidecarProcess,
    admit_without_check,
    promote,
    run_cli,
    wait_for_activation,
    wait_until,
)
from tiny_bundles import SIGNATURE, tiny_bundle

from sidecar.client import Client
from sidecar.drift.scale import HOUR_NS, WEEK_NS
from sidecar.drift.survey import open_findings
from sidecar.drift.words import moment
from sidecar.profile.layout import Layout
from sidecar.profile.reference import read_reference
from sidecar.profile.store import ProfileStore
from trainer.reference import make_reference

START_NS = 2800 * WEEK_NS
ROWS = 60


def columns(rows, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=rows),
        "amount": rng.gamma(4, 10, rows) * scale,
        "trigger": rng.integers(0, 5, rows),
        "colour": rng.choice(np.array(["red", "blue"], object), rows),
    }


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    blocks = SIGNATURE.pack_columns(columns(5000, 0))
    score = np.random.default_rng(1).random(5000).astype(np.float32)
    event_ns = START_NS - 28 * 24 * HOUR_NS + np.arange(5000) * (27 * 24 * HOUR_NS // 5000)
    reference = make_reference(SIGNATURE, blocks, event_ns, score, score > 0.5)
    folder = tmp_path_factory.mktemp("bundles")
    return tiny_bundle(folder, reference=reference.to_bytes(), facts={"importance": {"amount": 0.9}})


def send(sidecar, hour, scale):
    values = columns(ROWS, hour, scale)
    with Client(sidecar.target.removeprefix("unix:")) as client:
        for row in range(ROWS):
            record = {
                name: (str(column[row]) if name == "colour" else column[row].item())
                for name, column in values.items()
            }
            client.predict(record, event_ns=START_NS + hour * HOUR_NS + row)


class Receiver:
    """A web server that keeps what is posted, and fails the first time."""

    def __init__(self):
        receiver = self
        self.posted = []
        self.refused = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not receiver.refused:
                    receiver.refused += 1
                    self.send_response(503)
                else:
                    receiver.posted.append(json.loads(body))
                    self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_a_change_of_unit_reaches_metrics_log_webhook_command_page_and_gate(tmp_path, bundle):
    home = tmp_path / "home"
    home.mkdir()
    admit_without_check(home, bundle)
    generation = promote(home, bundle)
    receiver = Receiver()
    environ = {
        "SIDECAR_DRIFT_MIN_ROWS": "50",
        "SIDECAR_DRIFT_WEBHOOK": receiver.address,
        "SIDECAR_METRICS_LISTEN": "127.0.0.1:0",
    }
    try:
        with SidecarProcess(home, **environ) as sidecar:
            wait_for_activation(home, generation)
            for hour, scale in enumerate((1.0, 1.0, 1000.0, 1000.0, 1000.0)):
                send(sidecar, hour, scale)
            digest = bundle.model.digest
            (sighting,) = wait_until(
                lambda: [
                    each
                    for each in open_findings(home / "findings.db", digest)
                    if each.finding.subject == "amount"
                ]
            )
            found = sighting.finding
            assert (found.monitor, found.what) == ("drift", "unit")
            assert found.since_ns == START_NS + 2 * HOUR_NS
            assert found.evidence["importance"] == 0.9

            posted = wait_until(lambda: [each for each in receiver.posted if each["subject"] == "amount"])
            assert posted[0]["text"] == found.text
            assert receiver.refused == 1

            address = next(line.split()[1] for line in sidecar.lines if line.startswith("metrics"))
            with urllib.request.urlopen(address, timeout=10) as reply:
                metrics = reply.read().decode()
            assert f"sidecar_rows_served_total {5.0 * ROWS}" in metrics
            labels = f'model="{digest}",monitor="drift",subject="amount",what="unit"'
            assert f"sidecar_finding_open{{{labels}}}" in metrics
            assert f'sidecar_drift_psi{{model="{digest}",subject="amount"}}' in metrics
            looked_ns = sighting.finding.evidence["looked_until_ns"]
            assert looked_ns == START_NS + 4 * HOUR_NS
            (until,) = re.findall(
                rf'^sidecar_drift_looked_until_seconds{{model="{digest}"}} (.*)$', metrics, re.MULTILINE
            )
            assert float(until) >= looked_ns / 1e9
            assert f'sidecar_drift_looked_rows{{model="{digest}"}} {float(ROWS)}' in metrics
            assert any("multiplied by 1000" in line for line in sidecar.err)
            assert sidecar.stop() == 0
    finally:
        receiver.close()

    shown = run_cli("drift", "--html", str(tmp_path / "page.html"), home=home, **environ)
    assert shown.returncode == 0, shown.stderr
    assert "unit      amount looks multiplied by 1000" in shown.stdout
    assert f"last looked at: hour until {moment(START_NS + 5 * HOUR_NS)}, {ROWS} rows" in shown.stdout
    assert "not looked at since" not in shown.stdout
    facts = json.loads(run_cli("drift", "--json", home=home, **environ).stdout)
    assert ("amount", "unit") in {(one["subject"], one["what"]) for one in facts["findings"]}
    assert {each["name"] for each in facts["subjects"]} == {*SIGNATURE.by_name, "score", "decision"}
    page = (tmp_path / "page.html").read_text()
    assert "multiplied by 1000" in page
    assert page.count("<svg") == 6

    layout = read_reference(bundle.path, SIGNATURE).layout
    assert counted(home, bundle, layout) == [ROWS] * 5


def counted(home, bundle, layout: Layout):
    with ProfileStore(home / "profiles.db") as store:
        windows = store.windows(bundle.model.digest, layout, since_ns=0, until_ns=2**62)
    return [window.rows for _, window in windows]


def test_switched_off_nothing_is_counted(tmp_path, bundle):
    home = tmp_path / "home"
    home.mkdir()
    admit_without_check(home, bundle)
    generation = promote(home, bundle)
    with SidecarProcess(home, SIDECAR_DRIFT_WATCH="off") as sidecar:
        wait_for_activation(home, generation)
        send(sidecar, 0, 1.0)
        assert sidecar.stop() == 0
    assert not (home / "profiles.db").exists()
    shown = run_cli("drift", home=home)
    assert shown.returncode == 2
    assert "nothing was counted" in shown.stderr


def test_a_model_without_a_training_profile_is_served_all_the_same(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    plain = tiny_bundle(tmp_path / "bundles")
    admit_without_check(home, plain)
    generation = promote(home, plain)
    with SidecarProcess(home) as sidecar:
        wait_for_activation(home, generation)
        send(sidecar, 0, 1.0)
        assert sidecar.stop() == 0
    shown = run_cli("drift", home=home)
    assert "no training profile" in shown.stderr
