"""What `sidecar drift` says of looks that ceased: when the last one was, and what has stayed open since."""

import json

import numpy as np
import pytest
from sidecar_process import SidecarProcess, admit_without_check, promote, run_cli, wait_for_activation
from tiny_bundles import SIGNATURE, row, tiny_bundle

from sidecar.client import Client
from sidecar.config import Drift
from sidecar.drift.naming import MONITOR, name_findings
from sidecar.drift.scale import DAY_NS, HOUR_NS, WEEK_NS
from sidecar.drift.watch import Watch
from sidecar.drift.words import moment
from sidecar.findings import FindingStore
from sidecar.profile.profile import count_rows
from sidecar.profile.store import ProfileStore
from trainer.reference import make_reference

START_NS = 2800 * WEEK_NS
BUSY_DAYS = 2


def columns(rows, rng, scale=1.0):
    return {
        "x": rng.normal(size=rows),
        "amount": rng.gamma(4, 10, rows) * scale,
        "trigger": rng.integers(0, 5, rows),
        "colour": rng.choice(np.array(["red", "blue"], object), rows),
    }


@pytest.fixture
def home_after(tmp_path):
    """A home after two days of another unit, and then one call a day."""

    def make(quiet_days):
        rng = np.random.default_rng(0)
        score = rng.random(5000).astype(np.float32)
        event_ns = START_NS - 28 * DAY_NS + np.arange(5000) * (27 * DAY_NS // 5000)
        blocks = SIGNATURE.pack_columns(columns(5000, rng))
        reference = make_reference(SIGNATURE, blocks, event_ns, score, score > 0.5)
        bundle = tiny_bundle(tmp_path / "bundles", reference=reference.to_bytes())
        home = tmp_path / "home"
        home.mkdir()
        admit_without_check(home, bundle)
        promote(home, bundle)
        watch, digest = Watch(reference, Drift()), bundle.model.digest
        with ProfileStore(home / "profiles.db") as profiles, FindingStore(home / "findings.db") as findings:
            for day in range(BUSY_DAYS + quiet_days):
                # Two hours of a busy day, neither of which has enough rows.
                for hour, rows in enumerate((300, 300) if day < BUSY_DAYS else (1,)):
                    sent = SIGNATURE.pack_columns(columns(rows, rng, scale=1000))
                    made = rng.random(rows).astype(np.float32)
                    window = count_rows(reference.layout, sent, made, made > 0.5)
                    at_ns = START_NS + day * DAY_NS + hour * HOUR_NS
                    profiles.add("here", {(digest, at_ns): window}, {digest: reference.layout})
                    watch.take(at_ns, window)
                    findings.report(MONITOR, digest, name_findings(watch, digest, {}), at_ns)
        return home

    return make


@pytest.mark.parametrize(("quiet_days", "stale"), [(2, False), (3, True), (60, True)])
def test_a_finding_that_nobody_looked_at_since_says_so(home_after, tmp_path, quiet_days, stale):
    home = home_after(quiet_days)
    shown = run_cli("drift", "--html", str(tmp_path / "page.html"), home=home)
    assert shown.returncode == 0, shown.stderr
    page = (tmp_path / "page.html").read_text()
    facts = json.loads(run_cli("drift", "--json", home=home).stdout)
    looked_ns = START_NS + BUSY_DAYS * DAY_NS
    (unit,) = (one for one in facts["findings"] if one["what"] == "unit")
    assert facts["look"] == {"scale": "day", "start_ns": looked_ns - DAY_NS, "end_ns": looked_ns, "rows": 600}
    assert unit["not_looked_at_since_ns"] == (looked_ns if stale else None)
    for text in (" ".join(shown.stdout.split()), page):
        assert f"last looked at: day until {moment(looked_ns)}, 600 rows" in text
        assert (f"not looked at since {moment(looked_ns)}" in text) == stale


def test_where_there_was_no_look_it_is_said(home_after):
    home = home_after(1)
    shown = run_cli("drift", home=home, SIDECAR_DRIFT_MIN_ROWS="10000")
    assert "not looked at: too few rows" in shown.stdout


def test_a_sidecar_that_starts_where_nothing_is_looked_at_leaves_open_what_was_found(home_after):
    home = home_after(200)
    (digest,) = {one.finding.model for one in everything(home)}
    with SidecarProcess(home) as sidecar, Client(sidecar.target.removeprefix("unix:")) as client:
        wait_for_activation(home, 1)
        client.predict(row(), event_ns=START_NS + 210 * DAY_NS)
        assert sidecar.stop() == 0
    with ProfileStore(home / "profiles.db") as profiles:
        assert profiles.newest_ns(digest) == START_NS + 210 * DAY_NS
    assert [one.closed_ns for one in everything(home)] == [None] * len(everything(home))


def everything(home):
    with FindingStore(home / "findings.db") as findings:
        return findings.all()
