"""GET /metrics for Prometheus. Everything is read when asked for, so that nothing is counted twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from sidecar.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.metrics_core import Metric

    from sidecar.drift.monitor import LastLook
    from sidecar.engine.contract import CanaryStats, Engine
    from sidecar.findings import FindingStore
    from sidecar.recorder import Recorder
    from sidecar.shadow.supervisor import ShadowSupervisor

_QUANTILES = {"0.5": "p50_ns", "0.99": "p99_ns", "0.999": "p999_ns", "1": "max_ns"}
_OF_A_SHADOW = ("scored", "failed", "shed", "queued", "restarts")


class SidecarCollector(Collector):
    """What the parts of the sidecar say about themselves.

    last_look: the newest window that was compared with training. findings: opened for each scrape.
    """

    def __init__(
        self,
        engine: Engine,
        recorder: Recorder,
        shadows: ShadowSupervisor,
        last_look: Callable[[], LastLook | None],
        findings: Callable[[], FindingStore],
    ) -> None:
        self._engine = engine
        self._recorder = recorder
        self._shadows = shadows
        self._last_look = last_look
        self._findings = findings

    def collect(self) -> Iterator[Metric]:
        """All metrics now."""
        yield from self._rows()
        yield from self._stages()
        yield from self._candidates()
        yield from self._drift()

    def _rows(self) -> Iterator[Metric]:
        engine, recorder = self._engine.stats(), self._recorder.stats()
        for name, text, value in (
            ("served", "Rows answered.", engine.served),
            ("dropped", "Answered rows that found the ring full.", engine.dropped),
            ("written", "Answered rows in the log.", recorder.written),
            ("failed", "Answered rows that the log refused for too long.", recorder.failed),
        ):
            yield CounterMetricFamily(f"sidecar_rows_{name}", text, value=value)
        yield GaugeMetricFamily(
            "sidecar_rows_queued", "Answered rows on their way to the log.", engine.queued
        )
        yield CounterMetricFamily("sidecar_outcomes", "Outcomes newly stored.", value=recorder.outcomes)
        yield from _canary(engine.canary)
        errors = CounterMetricFamily("sidecar_errors", "Calls that ended with an error.", labels=["status"])
        for status, count in sorted(engine.errors.items()):
            errors.add_metric([status], count)
        yield errors
        generation = self._engine.deployment.generation
        yield GaugeMetricFamily("sidecar_generation", "The deployment in force.", generation)

    def _stages(self) -> Iterator[Metric]:
        times = GaugeMetricFamily(
            "sidecar_stage_seconds",
            "Time of a stage of a reply, over all messages since the start.",
            labels=["stage", "quantile"],
        )
        counts = CounterMetricFamily(
            "sidecar_stage_messages", "Messages that passed a stage.", labels=["stage"]
        )
        for stage, found in self._engine.stats().stages.items():
            counts.add_metric([stage], found.count)
            for quantile, name in _QUANTILES.items():
                times.add_metric([stage, quantile], getattr(found, name) / 1e9)
        yield times
        yield counts

    def _candidates(self) -> Iterator[Metric]:
        rows = GaugeMetricFamily(
            "sidecar_shadow_rows",
            "Rows of a model in the shadow since it was deployed.",
            labels=["model", "role", "fate"],
        )
        state = GaugeMetricFamily(
            "sidecar_shadow_state", "1 for the state it is in.", labels=["model", "role", "state"]
        )
        for shadow in self._shadows.status():
            labels = [str(shadow.model), shadow.role]
            state.add_metric([*labels, shadow.state], 1)
            for fate in _OF_A_SHADOW:
                rows.add_metric([*labels, fate], getattr(shadow, fate))
        yield rows
        yield state

    def _drift(self) -> Iterator[Metric]:
        index = GaugeMetricFamily(
            "sidecar_drift_psi",
            "Population stability index of what was last looked at against the training rows, less chance.",
            labels=["model", "subject"],
        )
        until = GaugeMetricFamily(
            "sidecar_drift_looked_until_seconds",
            "End of the newest window looked at, in seconds since 1970 by the events' own time.",
            labels=["model"],
        )
        rows = GaugeMetricFamily(
            "sidecar_drift_looked_rows", "Rows of the newest window looked at.", labels=["model"]
        )
        if (look := self._last_look()) is not None:
            for subject, value in sorted(look.stability.items()):
                index.add_metric([look.model, subject], value)
            until.add_metric([look.model], look.end_ns / 1e9)
            rows.add_metric([look.model], look.rows)
        yield from (index, until, rows)
        found = GaugeMetricFamily(
            "sidecar_finding_open",
            "The size of each finding that is open.",
            labels=["monitor", "model", "subject", "what"],
        )
        with self._findings() as findings:
            for sighting in findings.open():
                one = sighting.finding
                found.add_metric([one.monitor, one.model, one.subject, one.what], one.size)
        yield found


def _canary(counted: CanaryStats | None) -> Iterator[Metric]:
    """One series for each canary; it begins anew with each share."""
    for name, text in (
        ("calls", "Calls that might have been drawn, since the canary has its present share."),
        ("answered", "Calls that the canary answered since then."),
        ("failed", "Calls on which the canary failed since then, and which the champion answered."),
    ):
        found = CounterMetricFamily(f"sidecar_canary_{name}", text, labels=["digest"])
        if counted is not None:
            found.add_metric([counted.digest], getattr(counted, name))
        yield found


class MetricsServer:
    """Serves a collector's metrics from a thread. Raises ConfigError when it cannot listen."""

    def __init__(self, listen: str, collector: Collector) -> None:
        host, _, port = listen.rpartition(":")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(collector)
        try:
            self._server, self._thread = start_http_server(int(port), host.strip("[]"), registry)
        except OSError as error:
            raise ConfigError(f"[metrics] listen is {listen!r}: {error.strerror}; give another") from error
        self.address = f"http://{host}:{self._server.server_port}/metrics"

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
