"""A program: calls a server that still loads litellm, and prints what happens.

`python -m tests.support.early_call` prints a JSON object: see `main`.
"""

import asyncio
import json
import sys
from typing import Any

import grpc

from reasoning_grpc.server.server import Server
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.factories import a_wire_request
from tests.support.health import NOT_SERVING, check_health
from tests.support.serving import config_for, model_entry
from tests.support.threads import hold_threads
from tests.support.upstream import FakeUpstream


async def main() -> dict[str, Any]:
    """Calls a server whose thread cannot import litellm yet; returns whether the call waited, and its answer."""
    async with FakeUpstream() as upstream:
        server = Server(config_for(model_entry(upstream.api_base)))
        with hold_threads() as release:
            starting = asyncio.create_task(server.start())
            while not server.address:  # noqa: ASYNC110 - no event says that the server listens
                await asyncio.sleep(0)
            async with grpc.aio.insecure_channel(server.address) as channel:
                stub: Any = ReasoningServiceStub(channel)
                call = stub.Complete(a_wire_request())
                while not server.calls_in_flight:
                    await check_health(channel)
                statuses = {await check_health(channel) for _ in range(20)}
                has_waited = "litellm" not in sys.modules and not call.done()
                release()
                answer = await call
                await starting
        await server.stop(grace_seconds=5)
    text = "".join(part.text for part in answer.message.content)
    return {"is_alive": statuses == {NOT_SERVING}, "has_waited": has_waited, "answer": text}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main())))
