#!/usr/bin/env bash
# grpcio-health-checking has the method List in its stubs, and its servicers do not serve it.
#
# Versions: grpcio-health-checking 1.85.1, grpcio 1.85.1 (first seen 2026-11-29).
#
# Expected: the status of each service. The protocol `grpc.health.v1.Health` has a method List, the package's generated stub
#   and messages have it, and the health server of grpc-go 1.85.0 serves it.
# Seen: `health.aio.HealthServicer` and `health.HealthServicer` know the statuses and answer Check, and List ends with
#   UNIMPLEMENTED; in grpc.aio the message of the status says "Unexpected <class 'NotImplementedError'>".
# Why it matters here: reflection and the stubs offer the method, so an operator who lists the services of our server
#   meets an error that looks like a fault of ours. We serve List ourselves.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    grpcio-health-checking==1.85.1 grpcio==1.85.1

GRPC_VERBOSITY=NONE timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def ask(port):
    """Returns the status of one service by Check, and the code and details of List."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        checked = stub.Check(health_pb2.HealthCheckRequest(service="shop.Orders")).status
        try:
            listed = stub.List(health_pb2.HealthListRequest())
        except grpc.RpcError as error:
            return checked, error.code(), error.details()
        return checked, grpc.StatusCode.OK, str(listed)


def try_synchronous():
    servicer = health.HealthServicer()
    servicer.set("shop.Orders", health_pb2.HealthCheckResponse.SERVING)
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    answer = ask(port)
    server.stop(None)
    return answer


async def try_aio():
    servicer = health.aio.HealthServicer()
    await servicer.set("shop.Orders", health_pb2.HealthCheckResponse.SERVING)
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    answer = await asyncio.to_thread(ask, port)
    await server.stop(None)
    return answer


got = {"health.HealthServicer": try_synchronous(), "health.aio.HealthServicer": asyncio.run(try_aio())}
print(f"grpcio-health-checking {version('grpcio-health-checking')}, grpcio {version('grpcio')}")
for name, (checked, code, details) in got.items():
    word = health_pb2.HealthCheckResponse.ServingStatus.Name(checked)
    print(f"{name}: Check says {word}, List ends with {code.name}: {details}")
serving = health_pb2.HealthCheckResponse.SERVING
if any(answer[:2] != (serving, grpc.StatusCode.UNIMPLEMENTED) for answer in got.values()):
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
