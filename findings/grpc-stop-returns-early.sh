#!/usr/bin/env bash
# The stop() of a grpc.aio server returns before the handlers that it cancels have ended.
#
# Versions: grpcio 1.85.1 (first seen 2026-11-29).
#
# Expected: the docstring of `grpc.aio.Server.stop` says that without a grace period "this method blocks until the last
#   RPC handler terminates", and that with one, the calls that outlive it are aborted.
# Seen: `stop(None)` and `stop(0.2)` return while a handler is still in its `finally`, or has not even reached it.
#   `wait_for_termination()` does not wait for the handler either. A program that ends then never finishes the cleanup:
#   `asyncio.run` cancels the handler a second time, in its `finally`.
# Why it matters here: a handler's `finally` closes the call to the model provider, and records what the call cost. We
#   count the calls in flight ourselves, and wait for that count after `stop`.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1

GRPC_VERBOSITY=ERROR timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys
from importlib.metadata import version

import grpc


async def serve_and_stop(grace, log):
    """Stops a server while it handles a call whose cleanup takes two seconds, and then ends at once."""
    started = asyncio.Event()

    async def handle(request, context):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(2)
            log.append("the cleanup ended")

    method = grpc.unary_unary_rpc_method_handler(handle)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Call": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/test.Test/Call")(b"")
        await started.wait()
        await server.stop(grace)
        log.append("stop returned")
        await server.wait_for_termination()
        log.append("wait_for_termination returned")
        call.cancel()


def run(grace):
    """Returns what happened, in order, until the program had ended."""
    log = []
    asyncio.run(serve_and_stop(grace, log))
    return log


got = {grace: run(grace) for grace in (None, 0.2)}
print(f"grpcio {version('grpcio')}")
print("expected: the cleanup ended, stop returned, wait_for_termination returned")
for grace, log in got.items():
    print(f"seen with stop({grace}): {', '.join(log)}")
if any(log != ["stop returned", "wait_for_termination returned"] for log in got.values()):
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
