#!/usr/bin/env bash
# A Python gRPC client waits a minute for the answer to a keepalive ping, whatever its keepalive timeout is.
#
# Versions: grpcio 1.85.1 (first seen 2026-11-30).
#
# Expected: a client with `grpc.keepalive_timeout_ms` of 1000 closes a connection a second after a keepalive ping that is
#   not answered, as gRPC's guide to keepalive says of this option, and its calls fail with UNAVAILABLE.
# Seen: a call to a server that answers no ping goes on for longer than its deadline of 20 seconds. With the option
#   `grpc.http2.ping_timeout_ms` of 1000 besides, which the guide does not name, it fails within a few seconds.
# Why it matters here: a client notices a server that hangs only a minute later, and round robin sends it calls until then.
#   Our Python client and our server set both options.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1

GRPC_VERBOSITY=NONE timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys
import time
from importlib.metadata import version

import grpc

DEADLINE_SECONDS = 20
KEEPALIVE = [("grpc.keepalive_time_ms", 1000), ("grpc.keepalive_timeout_ms", 1000), ("grpc.enable_retries", 0)]
SETTINGS, PING, ACK = 4, 6, 1
PINGS = []


async def hang(reader, writer):
    """Opens a connection of HTTP/2, and then reads what comes and answers nothing."""
    await reader.readexactly(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    writer.write(bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]))
    try:
        while True:
            header = await reader.readexactly(9)
            await reader.readexactly(int.from_bytes(header[:3], "big"))
            if header[3] == SETTINGS and not header[4]:
                writer.write(bytes([0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0]))
            elif header[3] == PING:
                PINGS.append(time.monotonic())
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def call(port, options):
    """Returns how a call ends, after how many seconds, and how many pings it sent."""
    PINGS.clear()
    started = time.monotonic()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[*KEEPALIVE, *options]) as channel:
        try:
            await channel.unary_unary("/test.Test/Call")(b"", timeout=DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as failure:
            return failure.code(), time.monotonic() - started, len(PINGS)


async def main():
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"grpcio {version('grpcio')}, a server that answers no ping, a deadline of {DEADLINE_SECONDS} s")
    codes = []
    for options in ([], [("grpc.http2.ping_timeout_ms", 1000)]):
        code, seconds, pings = await call(port, options)
        codes.append(code)
        shown = ", ".join(f"{name}={value}" for name, value in [*KEEPALIVE[:2], *options])
        print(f"{shown}: {code.name} after {seconds:.1f} s and {pings} pings")
        if not pings:
            sys.exit("No ping was sent, so nothing was shown.")
    server.close()
    if codes != [grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE]:
        sys.exit("The behaviour has changed.")
    print("The behaviour is still as described.")


asyncio.run(main())
PYTHON
