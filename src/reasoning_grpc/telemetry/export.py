"""`Telemetry`: what leaves the server over OpenTelemetry. Off, unless the `OTEL_*` variables ask for it."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from opentelemetry.metrics import Meter, NoOpMeterProvider
from opentelemetry.trace import Tracer, TracerProvider

from reasoning_grpc.config import ConfigError
from reasoning_grpc.telemetry.tracing import propagator

if TYPE_CHECKING:  # costs half a second, and is needed only when something is exported
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter

DISTRIBUTION: Final = "reasoning-grpc"
SCOPE: Final = "reasoning_grpc"
EXPORTERS: Final = ("otlp", "console", "none")
_DEFAULT_ENDPOINT: Final = "http://localhost:4317"
_CAPTURE_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CAPTURES: Final = {"": False, "false": False, "no_content": False} | {
    "true": True,
    "span_only": True,
    "span_and_event": True,
}
_FLUSH_SECONDS: Final = 1.0
"""How long what is left at the exit may take to be sent."""
_LAST_SECONDS: Final = 1.0
"""How long an export that is told to stop then may take to do so."""

logger = logging.getLogger("reasoning_grpc.telemetry")


@dataclass(frozen=True, slots=True)
class Export:
    """Where one signal goes."""

    exporters: tuple[str, ...] = ()
    """Of EXPORTERS, but for "none"; empty: it is not exported."""
    endpoint: str = ""
    """Where otlp sends it; without credentials, fit to be shown."""


@dataclass(frozen=True, slots=True)
class TelemetryPlan:
    """What the `OTEL_*` variables ask for."""

    traces: Export = field(default_factory=Export)
    metrics: Export = field(default_factory=Export)
    captures_content: bool = False
    """Whether the spans of model calls hold what was said."""


def telemetry_plan(environment: Mapping[str, str]) -> TelemetryPlan:
    """What the variables of this environment ask for. Raises ConfigError with all that this build cannot do.

    Here are only the switches; samplers, limits, headers and the like are read by the SDK itself.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return TelemetryPlan()
    problems: list[str] = []
    traces, metrics = _export("TRACES", environment, problems), _export("METRICS", environment, problems)
    captured = environment.get(_CAPTURE_VARIABLE, "").strip().lower()
    if captured not in _CAPTURES:
        problems.append(f"{_CAPTURE_VARIABLE}: must be true, false, NO_CONTENT, SPAN_ONLY or SPAN_AND_EVENT")
    try:
        propagator()
    except Exception:  # what a propagator of somebody else's raises as well
        problems.append("OTEL_PROPAGATORS: names a propagator that is not installed")
    if problems:
        raise ConfigError(problems)
    return TelemetryPlan(traces, metrics, _CAPTURES[captured])


class Telemetry:
    """The providers of one server, and what sends from them. Without a plan there are none, and nothing runs."""

    def __init__(self, plan: TelemetryPlan | None = None) -> None:
        """Raises ConfigError when the SDK refuses one of its variables."""
        plan = plan or TelemetryPlan()
        self._outlets: list[_Outlet] = []
        self.captures_content = plan.captures_content
        """See `TelemetryPlan`."""
        self.tracer_provider: TracerProvider | None = None
        """None: there are no traces."""
        self.tracer: Tracer | None = None
        """For spans of our own; None: there are no traces."""
        self.meter: Meter = NoOpMeterProvider().get_meter(SCOPE)
        """For instruments of our own; without metrics it takes them, and does nothing."""
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
        """Sends what is left, for a second at most: a collector that hangs does not hold up the exit."""
        await asyncio.to_thread(self._close)

    def _export_spans(self, names: Sequence[str]) -> TracerProvider:
        from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = SdkTracerProvider(resource=_resource(), shutdown_on_exit=False)
        exporters = [_span_exporter(name) for name in names]
        self._outlets.append(_Outlet(provider.shutdown, exporters))
        for exporter in exporters:
            provider.add_span_processor(BatchSpanProcessor(exporter))
        return provider

    def _export_metrics(self, names: Sequence[str]) -> Meter:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        exporters = [_metric_exporter(name) for name in names]
        readers = [PeriodicExportingMetricReader(exporter) for exporter in exporters]
        provider = MeterProvider(metric_readers=readers, resource=_resource(), shutdown_on_exit=False)
        self._outlets.append(_Outlet(provider.shutdown, exporters))
        return provider.get_meter(SCOPE, version(DISTRIBUTION))

    def _close(self) -> None:
        ends = time.monotonic() + _FLUSH_SECONDS
        for outlet in self._outlets:
            outlet.start_closing()
        for outlet in self._outlets:
            outlet.finish_closing(ends - time.monotonic())


class _Exporter(Protocol):
    def shutdown(self) -> None: ...


class _Outlet:
    """A provider with its exporters, which is closed at once or not much later."""

    def __init__(self, shutdown: Callable[[], None], exporters: Sequence[_Exporter]) -> None:
        self._exporters = exporters
        # The SDK's own shutdown waits for half a minute; a thread of ours need not be waited for.
        self._closing = Thread(target=shutdown, name="telemetry-shutdown", daemon=True)

    def start_closing(self) -> None:
        self._closing.start()

    def finish_closing(self, patience_seconds: float) -> None:
        self._closing.join(max(0.0, patience_seconds))
        if self._closing.is_alive():
            logger.warning("not all telemetry could be sent in time")
            for exporter in self._exporters:
                exporter.shutdown()  # ends the export that it waits for
            self._closing.join(_LAST_SECONDS)


def _export(signal: str, environment: Mapping[str, str], problems: list[str]) -> Export:
    """Where a signal goes: nowhere, unless its exporter or an endpoint is named."""

    def told(*variables: str) -> tuple[str, str]:
        return next(((name, value) for name in variables if (value := environment.get(name, "").strip())), ("", ""))

    variable, named = told(f"OTEL_{signal}_EXPORTER")
    _, endpoint = told(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    names = tuple(dict.fromkeys(name.strip() for name in (named or ("otlp" if endpoint else "none")).split(",")))
    unknown = [name for name in names if name not in EXPORTERS]
    if unknown or (len(names) > 1 and "none" in names):
        problems.append(f"{variable}: {named!r} is not served; there are {', '.join(EXPORTERS)}")
    if "otlp" not in names:
        return Export(tuple(name for name in names if name != "none"))
    variable, protocol = told(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in {"", "grpc"}:
        problems.append(f"{variable}: {protocol!r} is not served; there is grpc")
    variable, certificate = told(f"OTEL_EXPORTER_OTLP_{signal}_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")
    if certificate and not Path(certificate).is_file():
        problems.append(f"{variable}: {certificate}: there is no such file")
    variable, headers = told(f"OTEL_EXPORTER_OTLP_{signal}_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
    if any("=" not in header for header in headers.split(",") if header.strip()):
        problems.append(
            f"{variable}: must be NAME=VALUE, several with commas between"
        )  # not what it is: it is a secret
    return Export(names, _shown(endpoint or _DEFAULT_ENDPOINT))


def _shown(endpoint: str) -> str:
    """The endpoint without user and password."""
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _resource() -> "Resource":
    """What the server calls itself; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES know better."""
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource

    ours = {SERVICE_NAME: DISTRIBUTION, SERVICE_VERSION: version(DISTRIBUTION)}
    return Resource.create(ours | dict(OTELResourceDetector().detect().attributes))


def _span_exporter(name: str) -> "SpanExporter":
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _metric_exporter(name: str) -> "MetricExporter":
    if name == "console":
        from opentelemetry.sdk.metrics.export import ConsoleMetricExporter

        return ConsoleMetricExporter()
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter()
