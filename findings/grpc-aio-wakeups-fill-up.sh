#!/usr/bin/env bash
# A busy grpc.aio event loop gets one event of gRPC's core in each turn, and calls wait where no program sees them.
#
# Versions: grpcio 1.85.1, Python 3.11, Linux (first seen 2026-11-30).
#
# Expected: in each turn of the event loop all events are handled that gRPC's core has by then.
# Seen: the thread that waits for events (`_poll` of the Cython class PollerCompletionQueue) writes one byte into a socket
#   for each event, and the event loop reads one byte in each turn (`_handle_events`). Turns with more events than one
#   leave bytes behind. When 278 are left (a Unix socket counts some 768 bytes for each), the socket is full, the thread
#   stops in the write, and from then on a turn brings one event. Here a server writes 400 streams at once, which
#   are read in the same loop: the socket fills.
# Why it matters here: in an overload calls waited in the core until their deadlines were over. The loop lagged by 20 ms
#   and nothing was refused. At five times the capacity a third of the peak was served. We read all bytes in each turn
#   (server/wakeups.py).
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1

cat > "$folder/wakeups.py" <<'PYTHON'
import asyncio
import fcntl
import termios
from array import array

import grpc

STREAMS, MESSAGES = 400, 20


def find_socket(loop):
    """Returns the socket whose reader is grpc.aio's."""
    return next(
        key.fd for key in loop._selector.get_map().values() if "PollerCompletionQueue" in repr(key.data[0])
    )


async def answer(request, context):
    for _ in range(MESSAGES):
        await context.write(request)


async def read(stream):
    async for _ in stream:
        pass


async def main():
    server = grpc.aio.server()
    method = grpc.unary_stream_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Call": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    loop = asyncio.get_running_loop()
    wakeups = find_socket(loop)
    most, waiting, turns = 0, array("i", [0]), 0
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_stream("/test.Test/Call")
        calls = asyncio.gather(*(read(call(b"x", timeout=100)) for _ in range(STREAMS)))
        while not calls.done():
            await asyncio.sleep(0)
            fcntl.ioctl(wakeups, termios.FIONREAD, waiting)
            most, turns = max(most, waiting[0]), turns + 1
        await calls
    await server.stop(None)
    print(f"{STREAMS} streams of {MESSAGES} messages: at most {most} bytes waited in the socket, {turns} turns of the loop")
    return 0 if most > 200 else 1


raise SystemExit(asyncio.run(main()))
PYTHON

timeout 120 "$folder/venv/bin/python" "$folder/wakeups.py"
