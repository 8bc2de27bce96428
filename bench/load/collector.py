"""A collector of OpenTelemetry that takes traces and drops them, and prints the size of each export.

Usage: python -m bench.load.collector PORT
"""

import asyncio
import sys
from typing import Any

import grpc


async def _export(request: bytes, _context: object) -> bytes:
    print(len(request), flush=True)
    return b""


async def _serve(port: str) -> None:
    server = grpc.aio.server()
    handlers: dict[str, Any] = {"Export": grpc.unary_unary_rpc_method_handler(_export)}
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
