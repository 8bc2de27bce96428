#!/usr/bin/env bash
# A Python gRPC call with a timeout of zero is sent, and most often succeeds.
#
# Versions: grpcio 1.85.1 (first seen 2026-11-29).
#
# Expected: the call fails with DEADLINE_EXCEEDED before anything is sent. Its time is over when it begins, and a timeout
#   of -1 second ends so.
# Seen: of 100 calls with `timeout=0` to a server on the same machine, the handler runs for most, and most of those end
#   with OK, in grpc.aio as in the synchronous API. None with `timeout=-1` reaches the handler.
# Why it matters here: a caller that passes on what is left of its own deadline passes 0 when nothing is left, and pays
#   for a model call whose answer nobody waits for. Our Python client fails such a call itself.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1

GRPC_VERBOSITY=ERROR timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys
from importlib.metadata import version

import grpc

CALLS = 100
METHOD = "/test.Test/Call"


class Counter:
    """Counts the calls that reach the handler."""

    def __init__(self):
        self.handled = 0

    async def handle(self, request, context):
        self.handled += 1
        return b"done"


def is_ok(call, timeout):
    """Returns whether a call of the synchronous API ends with OK."""
    try:
        call(b"", timeout=timeout)
    except grpc.RpcError:
        return False
    return True


async def is_ok_aio(call, timeout):
    """Returns whether a call of grpc.aio ends with OK."""
    try:
        await call(b"", timeout=timeout)
    except grpc.aio.AioRpcError:
        return False
    return True


def count_synchronous(port, timeout):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(METHOD)
        call(b"")  # so that the channel is connected
        return sum(is_ok(call, timeout) for _ in range(CALLS))


async def count_aio(port, timeout):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(METHOD)
        await call(b"")
        return sum([await is_ok_aio(call, timeout) for _ in range(CALLS)])


async def main():
    counter = Counter()
    method = grpc.unary_unary_rpc_method_handler(counter.handle)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Call": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"grpcio {version('grpcio')}, {CALLS} calls each")
    got = {}
    for timeout in (0, -1):
        for name, count in (
            ("grpc.aio", count_aio(port, timeout)),
            ("grpc", asyncio.to_thread(count_synchronous, port, timeout)),
        ):
            counter.handled = -1  # without the call that connects
            ended_ok = await count
            got[timeout, name] = ended_ok
            print(f"{name}, timeout={timeout}: {counter.handled} reached the handler, {ended_ok} ended with OK")
    await server.stop(None)
    if not (got[0, "grpc.aio"] and got[0, "grpc"]) or got[-1, "grpc.aio"] or got[-1, "grpc"]:
        sys.exit("The behaviour has changed.")
    print("The behaviour is still as described.")


asyncio.run(main())
PYTHON
