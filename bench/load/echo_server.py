"""A grpc.aio server that does nothing: the floor of what our server library costs.

It answers bytes with bytes, so that nothing is decoded. A stream has as many messages as the model's name says.

Usage: python -m bench.load.echo_server PORT
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

from bench.load.driver import WORD

_ANSWER = WORD.encode()


async def _complete(_request: bytes, _context: object) -> bytes:
    return _ANSWER


async def _stream(request: bytes, _context: object) -> AsyncIterator[bytes]:
    for _ in range(int(request.split(b"-")[1])):
        yield _ANSWER


async def _serve(port: str) -> None:
    server = grpc.aio.server()
    handlers: dict[str, Any] = {
        "Complete": grpc.unary_unary_rpc_method_handler(_complete),
        "Stream": grpc.unary_stream_rpc_method_handler(_stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
