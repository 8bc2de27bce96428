"""`TelemetryPlan`: which signals the `OTEL_*` variables switch on, and where they are sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from reasoning_grpc.config import ConfigError
from reasoning_grpc.telemetry.tracing import get_propagator

EXPORTERS: Final = ("otlp", "console", "none")
_DEFAULT_ENDPOINT: Final = "http://localhost:4317"
_CAPTURE_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CAPTURE_VALUES: Final = {"": False, "false": False, "no_content": False} | {
    "true": True,
    "span_only": True,
    "span_and_event": True,
}


@dataclass(frozen=True, slots=True)
class Export:
    """The exporters of one signal, and their endpoint."""

    exporters: tuple[str, ...] = ()
    """Names from EXPORTERS, without "none"; empty: the signal is not exported."""
    endpoint: str = ""
    """The address to which otlp sends the signal, without credentials."""


@dataclass(frozen=True, slots=True)
class TelemetryPlan:
    """The telemetry that the `OTEL_*` variables request."""

    traces: Export = field(default_factory=Export)
    metrics: Export = field(default_factory=Export)
    captures_content: bool = False
    """Whether spans hold words: of messages, answers and plans, and what goes into tools and comes out of them."""


def read_telemetry_plan(environment: Mapping[str, str]) -> TelemetryPlan:
    """Reads the plan from the variables of this environment. Raises ConfigError with all that this build cannot do.

    Only the switches are read here; the SDK itself reads samplers, limits, headers and the like.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return TelemetryPlan()
    problems: list[str] = []
    traces = _SignalVariables("TRACES", environment, problems).read_export()
    metrics = _SignalVariables("METRICS", environment, problems).read_export()
    capture = environment.get(_CAPTURE_VARIABLE, "").strip().lower()
    if capture not in _CAPTURE_VALUES:
        problems.append(f"{_CAPTURE_VARIABLE}: must be true, false, NO_CONTENT, SPAN_ONLY or SPAN_AND_EVENT")
    try:
        get_propagator()
    except Exception:  # a propagator of another package may raise anything
        problems.append("OTEL_PROPAGATORS: names a propagator that is not installed")
    if problems:
        raise ConfigError(problems)
    return TelemetryPlan(traces, metrics, _CAPTURE_VALUES[capture])


class _SignalVariables:
    """The variables of one signal, of which some also exist for all signals together."""

    def __init__(self, signal: str, environment: Mapping[str, str], problems: list[str]) -> None:
        self._signal = signal
        self._environment = environment
        self._problems = problems

    def read_export(self) -> Export:
        """Returns where the signal is sent: nowhere, unless a variable names an exporter or an endpoint."""
        _, endpoint = self._read_otlp("ENDPOINT")
        names = self._read_exporters("otlp" if endpoint else "none")
        if "otlp" not in names:
            return Export(tuple(name for name in names if name != "none"))
        self._check_otlp()
        return Export(names, _remove_credentials(endpoint or _DEFAULT_ENDPOINT))

    def _read_exporters(self, default: str) -> tuple[str, ...]:
        variable, value = self._read_first(f"OTEL_{self._signal}_EXPORTER")
        names = tuple(dict.fromkeys(name.strip() for name in (value or default).split(",")))
        unknown = [name for name in names if name not in EXPORTERS]
        if unknown or (len(names) > 1 and "none" in names):
            self._problems.append(f"{variable}: {value!r} is not served; there are {', '.join(EXPORTERS)}")
        return names

    def _check_otlp(self) -> None:
        """Reports the variables of the otlp exporter that this build, or the SDK, cannot use."""
        variable, protocol = self._read_otlp("PROTOCOL")
        if protocol not in {"", "grpc"}:
            self._problems.append(f"{variable}: {protocol!r} is not served; there is grpc")
        variable, certificate = self._read_otlp("CERTIFICATE")
        if certificate and not Path(certificate).is_file():
            self._problems.append(f"{variable}: {certificate}: there is no such file")
        variable, headers = self._read_otlp("HEADERS")
        if any("=" not in header for header in headers.split(",") if header.strip()):
            # The value is a secret, so the sentence does not quote it.
            self._problems.append(f"{variable}: must be NAME=VALUE, several with commas between")

    def _read_otlp(self, name: str) -> tuple[str, str]:
        return self._read_first(f"OTEL_EXPORTER_OTLP_{self._signal}_{name}", f"OTEL_EXPORTER_OTLP_{name}")

    def _read_first(self, *variables: str) -> tuple[str, str]:
        """Returns the name and the value of the first variable that is set; both are empty when none is."""
        values = ((name, self._environment.get(name, "").strip()) for name in variables)
        return next(((name, value) for name, value in values if value), ("", ""))


def _remove_credentials(endpoint: str) -> str:
    """Returns the endpoint without user and password."""
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
