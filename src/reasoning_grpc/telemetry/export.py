"""`Telemetry`: exports traces and metrics over OpenTelemetry, when a `TelemetryPlan` requests them."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from threading import Thread
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

from opentelemetry.metrics import Meter, NoOpMeterProvider, Observation
from opentelemetry.trace import Tracer, TracerProvider

from reasoning_grpc.config import ConfigError
from reasoning_grpc.telemetry.metrics import Metrics
from reasoning_grpc.telemetry.plan import TelemetryPlan

if TYPE_CHECKING:  # costs half a second, and is needed only when something is exported
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter

DISTRIBUTION: Final = "reasoning-grpc"
SCOPE: Final = "reasoning_grpc"
_FLUSH_SECONDS: Final = 1.0
"""How long the exit waits until the telemetry that is left has been sent."""
_LAST_SECONDS: Final = 1.0
"""How long an export that was stopped then has to end."""

logger = logging.getLogger("reasoning_grpc.telemetry")


class Telemetry:
    """The providers of one server and their exporters. Without a plan there are none, and nothing runs."""

    def __init__(self, plan: TelemetryPlan | None = None) -> None:
        """Raises ConfigError when the SDK refuses a variable. None: nothing is exported."""
        plan = plan or TelemetryPlan()
        self._outlets: list[_Outlet] = []
        self.metrics = Metrics(version(DISTRIBUTION))
        """Counts what the server does, whether or not it is exported."""
        self._instance = str(uuid4())
        self.captures_content = plan.captures_content
        """See `TelemetryPlan`."""
        self.tracer_provider: TracerProvider | None = None
        """None: traces are not exported."""
        self.tracer: Tracer | None = None
        """Makes the spans of our own code; None: traces are not exported."""
        self.meter: Meter = NoOpMeterProvider().get_meter(SCOPE)
        """Makes instruments of the SDK; when metrics are not exported, they do nothing. Our own metrics need none."""
        try:
            if plan.traces.exporters:
                self.tracer_provider = self._export_spans(plan.traces.exporters)
                self.tracer = self.tracer_provider.get_tracer(SCOPE, version(DISTRIBUTION))
            if plan.metrics.exporters:
                self.meter = self._export_metrics(plan.metrics.exporters)
        except Exception as exc:
            self._close()
            raise ConfigError([f"OTEL_*: OpenTelemetry refuses a variable: {exc}"]) from exc

    async def aclose(self) -> None:
        """Sends the telemetry that is left, for a second at most: a collector that hangs must not delay the exit."""
        await asyncio.to_thread(self._close)

    def _export_spans(self, names: Sequence[str]) -> TracerProvider:
        from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = SdkTracerProvider(resource=_create_resource(self._instance), shutdown_on_exit=False)
        exporters = [_create_span_exporter(name) for name in names]
        self._outlets.append(_Outlet(provider.shutdown, exporters))
        for exporter in exporters:
            provider.add_span_processor(BatchSpanProcessor(exporter))
        return provider

    def _export_metrics(self, names: Sequence[str]) -> Meter:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        from reasoning_grpc.telemetry.metrics.otlp import BEAT, SnapshotExporter

        exporters = [SnapshotExporter(_create_metric_exporter(name), self.metrics) for name in names]
        readers = [PeriodicExportingMetricReader(exporter) for exporter in exporters]
        resource = _create_resource(self._instance)
        provider = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)
        self._outlets.append(_Outlet(provider.shutdown, exporters))
        meter = provider.get_meter(SCOPE, version(DISTRIBUTION))
        started = time.monotonic()
        meter.create_observable_gauge(
            BEAT.name, [lambda _: [Observation(time.monotonic() - started)]], unit=BEAT.unit, description=BEAT.help
        )
        return meter

    def _close(self) -> None:
        deadline = time.monotonic() + _FLUSH_SECONDS
        for outlet in self._outlets:
            outlet.start_closing()
        for outlet in self._outlets:
            outlet.finish_closing(deadline - time.monotonic())


class _Exporter(Protocol):
    def shutdown(self) -> None: ...


class _Outlet:
    """A provider and its exporters. It is closed in two steps, so that all outlets close at the same time."""

    def __init__(self, shutdown: Callable[[], None], exporters: Sequence[_Exporter]) -> None:
        self._exporters = exporters
        # The SDK's own shutdown waits for half a minute; a daemon thread lets us leave before that.
        self._closing = Thread(target=shutdown, name="telemetry-shutdown", daemon=True)

    def start_closing(self) -> None:
        self._closing.start()

    def finish_closing(self, timeout_seconds: float) -> None:
        self._closing.join(max(0.0, timeout_seconds))
        if self._closing.is_alive():
            logger.warning("not all telemetry could be sent in time")
            for exporter in self._exporters:
                exporter.shutdown()  # ends the export for which the provider waits
            self._closing.join(_LAST_SECONDS)


def _create_resource(instance: str) -> "Resource":
    """Returns the name and version of the server, and the id of this process.

    OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override them.
    """
    from opentelemetry.sdk.resources import (
        SERVICE_INSTANCE_ID,
        SERVICE_NAME,
        SERVICE_VERSION,
        OTELResourceDetector,
        Resource,
    )

    ours = {SERVICE_NAME: DISTRIBUTION, SERVICE_VERSION: version(DISTRIBUTION), SERVICE_INSTANCE_ID: instance}
    return Resource.create(ours | dict(OTELResourceDetector().detect().attributes))


def _create_span_exporter(name: str) -> "SpanExporter":
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from reasoning_grpc.telemetry.span_encoder import QuickSpanExporter

    return QuickSpanExporter()


def _create_metric_exporter(name: str) -> "MetricExporter":
    if name == "console":
        from opentelemetry.sdk.metrics.export import ConsoleMetricExporter

        return ConsoleMetricExporter()
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter()
