#!/usr/bin/env bash
# A grpc.aio server that stops gracefully ends calls that arrive at that moment with CANCELLED.
#
# Versions: grpcio 1.85.1, typing_extensions 4.16.0 (first seen 2026-11-29).
#
# Expected: `stop(grace)` sends GOAWAY and refuses later calls, so that the client's library knows that the server has
#   not begun them: it sends them again by itself, or reports UNAVAILABLE, which retry policies name.
# Seen: calls that reach the server between the beginning of the stop and the client's reading of the GOAWAY end with
#   CANCELLED, without a word. No retry policy names this code, because it is the one of a client that has changed its
#   mind. A policy that does name it makes all of them go on.
# Why it matters here: each restart of one of several servers would fail a few calls of each busy client, although the
#   others could serve them. Our server refuses calls with a status of its own until its process ends, and lets the
#   system close the connections: what arrives then fails as UNAVAILABLE, and is sent again.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    grpcio==1.85.1 typing_extensions==4.16.0

cat > "$folder/calls.py" <<'PYTHON'
import asyncio
import collections

import grpc

CALLS = 200
STOP_AFTER = 40


async def answer(request, context):
    return b""


class Handlers(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(answer)


async def call_while_it_stops():
    """Starts calls, stops the server in between, and counts the codes with which the calls end."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary("/any/Call")
        await method(b"")
        calls = []
        for number in range(CALLS):
            if number == STOP_AFTER:
                stopping = asyncio.create_task(server.stop(5))
            calls.append(method(b""))
            if number % 5 == 0:
                await asyncio.sleep(0)
        codes = collections.Counter([(await call.code()).name for call in calls])
        await stopping
    return codes


async def main():
    codes = collections.Counter()
    for _ in range(10):
        codes += await call_while_it_stops()
    print(codes["CANCELLED"], dict(codes))


asyncio.run(main())
PYTHON

"$folder/venv/bin/pip" list --disable-pip-version-check | awk '/^grpcio / {print $1, $2}'
read -r cancelled codes <<< "$(timeout 60 "$folder/venv/bin/python" "$folder/calls.py" 2> "$folder/errors")" ||
    { cat "$folder/errors" >&2; exit 1; }
echo "expected: no call ends with CANCELLED"
echo "seen: $cancelled do, of these: $codes"
if ((cancelled == 0)); then
    echo "The behaviour has changed." >&2
    exit 1
fi
echo "The behaviour is still as described."
