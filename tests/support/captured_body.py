"""The body that an upstream of the OpenAI protocol gets for a request."""

import json
from typing import Any, Final

from reasoning_grpc.v1.completion_pb2 import CompleteRequest
from reasoning_grpc.v1.messages_pb2 import Message, Part, Role
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream

Json = dict[str, Any]

PREFIXES: Final = ("openai", "litellm_proxy", "custom_openai")
"""litellm's prefixes of the OpenAI protocol whose requests differ; the model of each has its name."""

BARE: Final[Json] = {
    "model": "fake",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}
"""The body of a minimal request."""


async def capture_body(upstream: FakeUpstream, server: RunningServer, request: CompleteRequest) -> Json:
    """Returns the body that the upstream gets for a request."""
    await server.client().complete(request)
    (captured,) = upstream.requests
    body: Json = captured.body
    return body


def encode_exactly(body: Json) -> str:
    """Returns the JSON text of a body for comparison: unlike dicts, it distinguishes false from 0, and 1 from 1.0."""
    return json.dumps(body, indent=1, sort_keys=True)


def a_wire_message(role: Role.ValueType, *parts: Part, **fields: Any) -> Message:
    return Message(role=role, content=parts, **fields)
