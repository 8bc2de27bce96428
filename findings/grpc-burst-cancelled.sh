#!/usr/bin/env bash
# A grpc.aio server ends part of a burst of calls with CANCELLED, though nobody cancelled anything.
#
# Versions: grpcio 1.85.1 (first seen 2026-11-29).
#
# Expected: each of 4,000 calls that start at once on one channel, with a minute of time each, is answered. The
#   docstring of `grpc.aio.server` says that `maximum_concurrent_rpcs=None`, the default, means no limit. If there is a
#   limit all the same, RESOURCE_EXHAUSTED or UNAVAILABLE says so: CANCELLED, says gRPC's guide to status codes, is
#   typically the caller's doing.
# Seen: calls wait in a queue until Python takes them. From 1,000 waiting calls on, gRPC's core drops new ones at random
#   (the longer the queue, the more of them), from 3,000 on all of them. Their callers get CANCELLED with the text
#   "CANCELLED", and no handler of the server sees these calls. 900 calls are always answered, and 4,000 are when two
#   channel arguments raise the limits: grpc.server.max_pending_requests and its companion with the suffix _hard_limit.
# Why it matters here: the retry policy of our clients repeats what is UNAVAILABLE, not what is CANCELLED. When many
#   callers come back at once, some get an error that nothing retries, and our log has no line about it.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1

GRPC_VERBOSITY=ERROR timeout 150 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys
from collections import Counter
from importlib.metadata import version

import grpc

RAISED = [("grpc.server.max_pending_requests", 10_000), ("grpc.server.max_pending_requests_hard_limit", 10_000)]


async def send_burst(calls, options):
    """Sends the calls at once; returns how often each status came, and how many calls a handler saw."""
    handled = 0

    async def handle(request, context):
        nonlocal handled
        handled += 1
        return request

    method = grpc.unary_unary_rpc_method_handler(handle)
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Echo": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        echo = channel.unary_unary("/test.Test/Echo")

        async def status():
            try:
                await echo(b"hello", timeout=60)
            except grpc.aio.AioRpcError as error:
                return f"{error.code().name} ({error.details()!r})"
            return "OK"

        await channel.channel_ready()
        statuses = Counter(await asyncio.gather(*(status() for _ in range(calls))))
    await server.stop(None)
    return statuses, handled


async def main():
    few, handled_of_few = await send_burst(900, [])
    many, handled_of_many = await send_burst(4000, [])
    raised, handled_with_raised = await send_burst(4000, RAISED)
    print(f"grpcio {version('grpcio')}")
    print("expected: every call is OK, or RESOURCE_EXHAUSTED or UNAVAILABLE")
    print(f"seen with 900 calls: {dict(few)}, {handled_of_few} handled")
    print(f"seen with 4000 calls: {dict(many)}, {handled_of_many} handled")
    print(f"seen with 4000 calls and raised limits: {dict(raised)}, {handled_with_raised} handled")
    cancelled = "CANCELLED ('CANCELLED')"
    return (
        set(many) == {"OK", cancelled}
        and handled_of_many == many["OK"]
        and few == {"OK": 900}
        and raised == {"OK": 4000}
    )


if not asyncio.run(main()):
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
