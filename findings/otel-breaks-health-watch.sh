#!/usr/bin/env bash
# Tracing a grpc.aio server with OpenTelemetry breaks the health service's Watch, and the trace says that all is well.
#
# Versions: opentelemetry-instrumentation-grpc 0.66b2, opentelemetry-sdk 1.45.2, grpcio 1.85.1,
#   grpcio-health-checking 1.85.1 (first seen 2026-11-29).
#
# Expected: the instrumentation observes calls and does not change them. A streaming handler of grpc.aio may be an
#   async generator or a coroutine that calls `context.write`, and both work behind the interceptor.
# Seen: the interceptor iterates over what every streaming handler returns, as if each were an async generator. `Watch`
#   in grpcio-health-checking, gRPC's own package, is a coroutine, so its caller gets UNKNOWN with Python's TypeError as
#   the text. The span of this failed call has no error status, and its gRPC status code is 0, which is OK. A probe that
#   calls `Check` notices nothing.
# Why it matters here: a client with a `healthCheckConfig` in its service config sends Watch on each connection. We
#   trace our own service only, and set the status of each span ourselves.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    grpcio==1.85.1 grpcio-health-checking==1.85.1 opentelemetry-instrumentation-grpc==0.66b2 opentelemetry-sdk==1.45.2

GRPC_VERBOSITY=ERROR timeout 60 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import asyncio
import sys
from importlib.metadata import version

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from opentelemetry.instrumentation.grpc import aio_server_interceptor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


async def first_status(call):
    """Returns the first health status of a call, or the gRPC status with which the call failed."""
    try:
        response = await call
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    return health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)


async def ask_for_health(*interceptors):
    """Returns what Check and Watch answer from a server with these interceptors."""
    server = grpc.aio.server(interceptors=interceptors)
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        check = await first_status(stub.Check(health_pb2.HealthCheckRequest(), timeout=10))
        watching = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
        watch = await first_status(watching.read())
        watching.cancel()
    await server.stop(None)
    return check, watch


exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
plain = asyncio.run(ask_for_health())
traced = asyncio.run(ask_for_health(aio_server_interceptor(tracer_provider=provider)))
[span] = [span for span in exporter.get_finished_spans() if span.name.endswith("/Watch")]
recorded = span.attributes["rpc.grpc.status_code"], span.status.status_code.name

packages = ("opentelemetry-instrumentation-grpc", "grpcio-health-checking", "grpcio")
print(", ".join(f"{package} {version(package)}" for package in packages))
print("expected: Check and Watch answer SERVING, with tracing and without")
print(f"seen without tracing: Check {plain[0]}, Watch {plain[1]}")
print(f"seen with tracing: Check {traced[0]}, Watch {traced[1]}")
print(f"seen in the span of that Watch: rpc.grpc.status_code {recorded[0]}, status {recorded[1]}")
broken = traced[1].startswith("UNKNOWN: ") and "TypeError" in traced[1]
if (plain, traced[0], broken, recorded) != (("SERVING", "SERVING"), "SERVING", True, (0, "UNSET")):
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
