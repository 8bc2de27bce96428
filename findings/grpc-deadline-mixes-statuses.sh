#!/usr/bin/env bash
# A Python gRPC client that is busy while its deadline passes gets DEADLINE_EXCEEDED with the trailers of another status.
#
# Versions: grpcio 1.85.1 (first seen 2026-11-29).
#
# Expected: the code, the trailers and the messages of a call belong together. Either the server's status had arrived in
#   time, and the client gets it after all messages, or it had not, and the client gets a bare DEADLINE_EXCEEDED.
# Seen: a server sends two messages, and 20 ms later ends the call with RESOURCE_EXHAUSTED and trailers. The client, with
#   a deadline of 60 ms, reads the first message and is busy for 100 ms. Most calls of grpc.aio then end with the code
#   DEADLINE_EXCEEDED, the server's trailers, and without the second message, which had arrived long before.
# Why it matters here: the trailers hold the details of our statuses. A client that reads them next to the code sees
#   a DEADLINE_EXCEEDED whose reason is UPSTREAM_RATE_LIMITED, and an Interruption that counts events which it never got.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1

cat > "$folder/program.py" <<'PYTHON'
import asyncio
import sys
import time
from collections import Counter
from importlib.metadata import version

import grpc

CALLS = 40
METHOD = "/test.Test/Call"


async def answer(request, context):
    yield b"one"
    yield b"two"
    await asyncio.sleep(0.02)
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "wait", (("reason", "limited"),))


async def serve():
    server = grpc.aio.server()
    method = grpc.unary_stream_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", {"Call": method}),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


async def describe_call(channel):
    """Returns the code, the reason in the trailers and the number of messages that the client gets."""
    call = channel.unary_stream(METHOD)(b"", timeout=0.06)
    messages = 0
    try:
        while await call.read() is not grpc.aio.EOF:
            messages += 1
            if messages == 1:
                time.sleep(0.1)
    except grpc.aio.AioRpcError as error:
        return error.code().name, dict(error.trailing_metadata() or ()).get("reason"), messages


async def count_ends():
    command = (sys.executable, __file__, "serve")
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        port = int(await server.stdout.readline())
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await channel.channel_ready()
            return Counter([await describe_call(channel) for _ in range(CALLS)])
    finally:
        server.kill()
        await server.wait()


def main():
    ends = asyncio.run(count_ends())
    print(f"grpcio {version('grpcio')}, {CALLS} calls")
    for (code, reason, messages), count in ends.most_common():
        print(f"{count} ended with {code}, the trailer {reason!r} and {messages} messages")
    if not ends["DEADLINE_EXCEEDED", "limited", 1]:
        sys.exit("The behaviour has changed.")
    print("The behaviour is still as described.")


if sys.argv[1:] == ["serve"]:
    asyncio.run(serve())
else:
    main()
PYTHON
GRPC_VERBOSITY=ERROR timeout 120 "$folder/venv/bin/python" "$folder/program.py"
