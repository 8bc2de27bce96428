#!/usr/bin/env bash
# A gRPC server in Python that limits the streams of a connection refuses calls that its client had queued.
#
# Versions: grpcio 1.85.1; 1.60.2, 1.70.0, 1.76.0, 1.80.0 and 1.83.0 do it as well (first seen 2026-11-29).
#
# Expected: gRPC's guide to performance says that when a connection has as many calls as it may have, "additional RPCs
#   are queued in the client", and are sent when others have finished. So 300 calls on one channel to a server whose
#   `grpc.max_concurrent_streams` is 100 are all answered, a hundred at a time. They are when the server is written in
#   Go (grpc-go 1.85.0 with MaxConcurrentStreams(100), the same client).
# Seen: the client queues, and at no time do more than 100 handlers run. But the server counts calls that it has
#   answered and not yet cleared away, and when the client sends the next ones in their place, it resets them as too
#   many: often more than half of the 300 calls end as UNAVAILABLE. A client whose service config has a retry policy for
#   UNAVAILABLE does not notice.
# Why it matters here: the limit is the obvious means against bursts of calls, and with it every client that does not
#   retry would take a healthy server for an unavailable one. We do not set it; the service config of our clients
#   retries what is UNAVAILABLE.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1

GRPC_VERBOSITY=ERROR timeout 150 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import json
import sys
from collections import Counter
from importlib.metadata import version

import grpc

LIMIT = 100
RETRIES = {
    "maxAttempts": 5,
    "initialBackoff": "0.5s",
    "maxBackoff": "5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
SERVICE_CONFIG = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": RETRIES}]})


async def send_burst(calls, channel_options):
    """Sends the calls at once; returns how often each status came, and how many handlers ran at the same time."""
    running = most = 0

    async def handle(request, context):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.1)
        running -= 1
        return request

    method = grpc.unary_unary_rpc_method_handler(handle)
    server = grpc.aio.server(options=[("grpc.max_concurrent_streams", LIMIT)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Echo": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=channel_options) as channel:
        echo = channel.unary_unary("/test.Test/Echo")

        async def status():
            try:
                await echo(b"hello", timeout=60)
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return "OK"

        # This first call waits until the client knows the server's limit.
        await echo(b"hello")
        statuses = Counter(await asyncio.gather(*(status() for _ in range(calls))))
    await server.stop(None)
    return statuses, most


async def main():
    few, _ = await send_burst(LIMIT // 2, [])
    many, most = await send_burst(3 * LIMIT, [])
    retried, _ = await send_burst(3 * LIMIT, [("grpc.service_config", SERVICE_CONFIG)])
    print(f"grpcio {version('grpcio')}")
    print("expected: every call is OK")
    print(f"seen with {LIMIT // 2} calls: {dict(few)}")
    print(f"seen with {3 * LIMIT} calls: {dict(many)}, at most {most} handlers at a time")
    print(f"seen with {3 * LIMIT} calls and a retry policy: {dict(retried)}")
    return set(many) == {"OK", "UNAVAILABLE"} and most <= LIMIT and few == {"OK": LIMIT // 2} and set(retried) == {"OK"}


if not asyncio.run(main()):
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
