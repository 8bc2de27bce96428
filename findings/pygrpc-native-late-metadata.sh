#!/usr/bin/env bash
# A pygrpc-native server keeps the initial metadata of a unary call until the call ends.
#
# Versions: pygrpc-native 0.5.0, grpcio 1.85.1 (first seen 2026-11-29).
#
# Expected: `pygrpc_native.aio.server()` does what `grpc.aio.server()` does. Its README says that "metadata, deadlines,
#   cancellation and ServicerContext behave as they do in grpcio", and of initial metadata only that it leaves with the
#   status when a unary handler fails.
# Seen: when a unary handler sends its initial metadata and then goes on working, the client of grpc.aio has it at once,
#   and that of pygrpc-native only with the answer. A handler whose call has no deadline reads None from
#   `time_remaining()` in grpc.aio, and 9.2e18 seconds in pygrpc-native.
# Why it matters here: initial metadata commits a call, so that the client library does not send it again when the
#   connection breaks. Without it a model call that has begun is made, and paid, a second time. We tried this server for
#   its speed, a third of grpcio's CPU time a call, and this is one of the reasons why we do not offer it.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1 pygrpc-native==0.5.0

GRPC_VERBOSITY=ERROR timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys
from importlib.metadata import version

import grpc
import pygrpc_native.aio

SERVICE = "test.Test"
WAIT_SECONDS = 3


async def call_once(server):
    """Returns whether initial metadata came before the answer, and the time remaining that the handler read."""
    may_answer = asyncio.Event()
    remaining = []

    async def handle(request, context):
        remaining.append(context.time_remaining())
        await context.send_initial_metadata((("key", "value"),))
        await may_answer.wait()
        return b"done"

    handlers = {"Call": grpc.unary_unary_rpc_method_handler(handle)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_registered_method_handlers(SERVICE, handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        # On the wire this is a unary call. As a stream the client of grpcio shows each part when it arrives.
        call = channel.unary_stream(f"/{SERVICE}/Call")(b"")
        metadata = asyncio.ensure_future(call.initial_metadata())
        arrived, _ = await asyncio.wait([metadata], timeout=WAIT_SECONDS)
        may_answer.set()
        assert dict(await metadata) == {"key": "value"}
        assert [answer async for answer in call] == [b"done"]
    await server.stop(None)
    return bool(arrived), remaining[0]


async def main():
    print(f"grpcio {version('grpcio')}, pygrpc-native {version('pygrpc-native')}")
    got = {}
    for name, server in (("grpc.aio", grpc.aio.server()), ("pygrpc_native.aio", pygrpc_native.aio.server())):
        got[name] = is_early, remaining = await call_once(server)
        when = "before the answer" if is_early else "with the answer"
        print(f"{name}: initial metadata {when}, time_remaining() without a deadline {remaining}")
    if got != {"grpc.aio": (True, None), "pygrpc_native.aio": (False, float(sys.maxsize))}:
        sys.exit("The behaviour has changed.")
    print("The behaviour is still as described.")


asyncio.run(main())
PYTHON
