"""Factories of valid objects, of which a test changes only the fields that matter to it."""

import asyncio
from typing import Any

from msgspec.structs import replace

from reasoning_grpc.domain import (
    ANONYMOUS,
    CallContext,
    CompletionRequest,
    Deployment,
    Message,
    Part,
    Role,
    Secret,
    Text,
)
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.v1 import completion_pb2, events_pb2, messages_pb2


def a_message(text: str = "hi", role: Role = Role.USER) -> Message:
    """Builds a message of one text."""
    return Message(role, (Part(Text(text)),))


def a_request(**overrides: Any) -> CompletionRequest:
    """Builds a request of the domain."""
    return replace(CompletionRequest(messages=(a_message(),)), **overrides)


def a_call(**overrides: Any) -> ModelCall:
    """Builds a model call."""
    return replace(ModelCall(model="fake", messages=(a_message(),)), **overrides)


def a_deployment(**overrides: Any) -> Deployment:
    """Builds the facts that are needed to call a model."""
    return replace(
        Deployment(
            name="fake", litellm_model="openai/fake", api_base="http://127.0.0.1:9/v1", api_key=Secret("sk-secret")
        ),
        **overrides,
    )


def a_context(**overrides: Any) -> CallContext:
    """Builds the context of a call that arrives now. Needs a running loop."""
    now = asyncio.get_running_loop().time()
    return replace(CallContext(caller=ANONYMOUS, request_id="req_test", arrival_time=now), **overrides)


def a_wire_request(text: str = "hi", **fields: Any) -> completion_pb2.CompleteRequest:
    """Builds a request as a caller sends it."""
    message = messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[messages_pb2.Part(text=text)])
    return completion_pb2.CompleteRequest(**{"messages": [message], **fields})


def a_stream_request(text: str = "hi", **fields: Any) -> events_pb2.StreamCompleteRequest:
    """Builds a request for `StreamComplete` as a caller sends it."""
    return events_pb2.StreamCompleteRequest(request=a_wire_request(text, **fields))
