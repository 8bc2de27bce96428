"""Builds the gRPC server and binds it to its address, with TLS where the settings have it."""

from collections.abc import Iterator
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from reasoning_grpc.config import Config, Settings
from reasoning_grpc.domain import CallerQuotas, ReadingPace
from reasoning_grpc.engine import Engine
from reasoning_grpc.rpc import (
    Admission,
    AdmissionLimits,
    Callers,
    CallInterceptor,
    CallTracker,
    Caps,
    ReasoningService,
)
from reasoning_grpc.server.accepting import AcceptingServer
from reasoning_grpc.server.certificates import CertificateError, Certificates
from reasoning_grpc.server.reflection import add_reflection
from reasoning_grpc.telemetry import Telemetry, families
from reasoning_grpc.v1 import reasoning_service_pb2, reasoning_service_pb2_grpc

SERVICE: Final = reasoning_service_pb2.DESCRIPTOR.services_by_name["ReasoningService"].full_name
_NEVER_REACHED: Final = 1_000_000
_OPTIONS: Final = (
    ("grpc.max_send_message_length", -1),
    # Clients ping a silent call; gRPC's own limit, one ping in five minutes, would end their calls.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # gRPC's core would end a burst of a thousand calls on one connection in part as CANCELLED, without any reason. Our
    # admission refuses what is too much, with one.
    ("grpc.server.max_pending_requests", _NEVER_REACHED),
    ("grpc.server.max_pending_requests_hard_limit", _NEVER_REACHED),
)


class BindError(Exception):
    """The server cannot listen on its address, or a TLS file cannot be used; the message says which."""


def build_grpc_server(
    service: ReasoningService,
    health: health_aio.HealthServicer,
    calls: CallInterceptor,
    interceptors: list[grpc.aio.ServerInterceptor],
    settings: Settings,
    *,
    shares_port: bool = False,
) -> grpc.aio.Server:
    """Builds a server of our service and of health, and of reflection unless it is turned off.

    `calls` is one of the interceptors. A call that it refuses at its arrival passes through none, so it has no span.
    Without `shares_port` a second server on the port fails; workers share the port that their supervisor has reserved.
    """
    options = [("grpc.so_reuseport", int(shares_port)), *_OPTIONS, *_list_limits(settings)]
    server = AcceptingServer(interceptors, options, calls.refuse_at_arrival)
    reasoning_service_pb2_grpc.add_ReasoningServiceServicer_to_server(service, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    if settings.reflection:
        add_reflection(server, (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name))
    return server


def _list_limits(settings: Settings) -> Iterator[tuple[str, int]]:
    """Yields the options of gRPC for what the settings limit."""
    # Twice our own limit, so that our interceptor refuses a long request, with its reason, before gRPC does.
    yield "grpc.max_receive_message_length", 2 * settings.max_request_bytes
    # Between its two limits of metadata, gRPC refuses calls at random.
    yield "grpc.max_metadata_size", settings.max_metadata_bytes
    yield "grpc.absolute_max_metadata_size", settings.max_metadata_bytes
    # gRPC varies each connection's age by a tenth, so that clients do not come back all at once.
    for name in ("max_connection_age", "max_connection_age_grace"):
        if seconds := getattr(settings, f"{name}_seconds"):
            yield f"grpc.{name}_ms", max(1, round(seconds * 1000))
    # A client that vanished answers no ping. A ping's own timeout, a minute by default, would count where it is longer.
    timeout_ms = max(1, round(settings.keepalive_timeout_seconds * 1000))
    yield "grpc.keepalive_time_ms", round(settings.keepalive_seconds * 1000)
    yield "grpc.keepalive_timeout_ms", timeout_ms
    yield "grpc.http2.ping_timeout_ms", timeout_ms


def build_caps(settings: Settings) -> Caps:
    """Returns how large a request may be."""
    return Caps(
        messages=settings.max_messages,
        parts=settings.max_parts,
        tools=settings.max_tools,
        stop_sequences=settings.max_stop_sequences,
        labels=settings.max_labels,
        json_bytes=settings.max_json_bytes,
        json_depth=settings.max_json_depth,
        media_bytes=settings.max_media_bytes,
        state_bytes=settings.max_pause_state_bytes,
    )


def build_call_interceptor(
    config: Config, tracker: CallTracker, quotas: CallerQuotas, pace: ReadingPace, telemetry: Telemetry
) -> CallInterceptor:
    """Builds the interceptor of each call of our service, whose admission sets the pace of the upstreams' answers."""
    settings = config.settings
    return CallInterceptor(
        service=SERVICE,
        callers=Callers(config.callers.values()),
        tracker=tracker,
        admission=Admission(
            AdmissionLimits(
                most_calls=settings.max_calls_in_flight,
                max_lag_seconds=settings.max_loop_lag_seconds,
                most_waiting=settings.max_queued_calls,
                longest_pause_seconds=settings.max_reading_pause_seconds,
                queue_seconds=settings.admission_queue_seconds,
            ),
            on_lag=telemetry.metrics.create_histogram(families.LOOP_LAG).record,
            pace=pace,
        ),
        quotas=quotas,
        metrics=telemetry.metrics,
        max_request_bytes=settings.max_request_bytes,
        max_request_fields=settings.max_request_fields,
        request_timeout_seconds=settings.request_timeout_seconds,
        write_timeout_seconds=settings.write_timeout_seconds,
        passes_upstream_messages=settings.pass_upstream_messages,
    )


def switch_calls(calls: CallInterceptor, config: Config, engine: Engine) -> None:
    """Lets the calls that begin from now on be served by another configuration, which the engine was built for."""
    settings = config.settings
    calls.switch(
        ReasoningService(engine, build_caps(settings)),
        callers=Callers(config.callers.values()),
        max_request_fields=settings.max_request_fields,
        request_timeout_seconds=settings.request_timeout_seconds,
        write_timeout_seconds=settings.write_timeout_seconds,
        passes_upstream_messages=settings.pass_upstream_messages,
    )


def build_interceptors(calls: CallInterceptor, telemetry: Telemetry) -> list[grpc.aio.ServerInterceptor]:
    """Builds the interceptors of each call, the outermost first."""
    if telemetry.tracer_provider is None:
        return [calls]
    from reasoning_grpc.rpc.server_spans import ServerSpans  # imports OpenTelemetry's instrumentation of gRPC

    return [ServerSpans(SERVICE, telemetry.tracer_provider), calls]


def bind(server: grpc.aio.Server, settings: Settings, certificates: Certificates | None) -> str:
    """Binds the server to `settings.listen`, with TLS if there are certificates; returns the address as HOST:PORT.

    Raises BindError.
    """
    try:
        if certificates is None:
            port = server.add_insecure_port(settings.listen)
        else:
            port = server.add_secure_port(settings.listen, certificates.build_credentials())
    except CertificateError as exc:
        raise BindError(str(exc)) from exc
    except RuntimeError as exc:
        reason = "it is in use, or it is not an address of this machine"
        raise BindError(f"{settings.listen} cannot be listened on: {reason}") from exc
    return f"{settings.listen.rpartition(':')[0]}:{port}"
