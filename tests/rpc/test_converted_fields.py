"""Every field that a caller sends is read, so that a new field of the proto cannot be forgotten."""

from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.domain.errors import RequestError
from reasoning_grpc.rpc import convert
from reasoning_grpc.rpc.convert import Caps
from reasoning_grpc.v1 import completion_pb2, events_pb2
from tests.support.wire_fields import clear_each_field, list_fields

READ_BY_THE_INTERCEPTOR: Final = {"reasoning_grpc.v1.CompleteRequest.request_id"}
ONLY_FOR_CALLERS: Final = {
    "reasoning_grpc.v1.PausedRun.approval_call_ids",
    "reasoning_grpc.v1.PausedRun.expire_time",
    "google.protobuf.Timestamp.seconds",
    "google.protobuf.Timestamp.nanos",
}
"""What an answer says of a paused run for its caller. The server believes only the sealed state."""

PAUSED_RUN: Final = {
    "state": b"sealed",
    "approval_call_ids": ["call_1"],
    "expire_time": {"seconds": 5, "nanos": 5},
}
MESSAGES: Final[Any] = [
    {"role": "ROLE_SYSTEM", "content": [{"text": "Be brief.", "cache": True}]},
    {
        "role": "ROLE_USER",
        "name": "ann",
        "content": [
            {"text": "hi"},
            {"media": {"mime_type": "image/png", "uri": "https://example.com/a.png", "filename": "a.png"}},
            {"media": {"mime_type": "audio/wav", "data": b"RIFF"}},
        ],
    },
    {
        "role": "ROLE_ASSISTANT",
        "content": [
            {"reasoning": {"text": "A greeting."}, "signature": "signed"},
            {"reasoning": {"redacted": b"opaque"}},
            {"refusal": "No."},
            {"tool_call": {"id": "call_1", "name": "greet", "arguments": "{}"}},
            {"paused_run": PAUSED_RUN},
        ],
    },
    {"role": "ROLE_TOOL", "content": [{"tool_result": {"call_id": "call_1", "content": "hello", "is_error": True}}]},
]
OPTIONS: Final[dict[str, Any]] = {
    "model": "m",
    "sampling": {
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 5,
        "max_output_tokens": 5,
        "stop_sequences": ["end"],
        "seed": 5,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.5,
        "logit_bias": {5: 0.5},
        "logprobs": True,
        "top_logprobs": 5,
    },
    "tools": [{"name": "greet", "description": "Greets.", "parameters_schema": '{"type": "object"}', "strict": True}],
    "parallel_tool_calls": False,
    "agent": {
        "max_steps": 5,
        "max_tool_calls": 5,
        "max_tokens": 5,
        "max_cost_nano_usd": 5,
        "allowed_tools": {"names": ["clock"]},
        "step_timeout": {"seconds": 5},
        "tool_timeout": {"nanos": 5},
        "max_tasks": 5,
    },
    "context_policy": "CONTEXT_POLICY_ERROR",
    "fallback_models": ["other"],
    "include": {"reasoning": True, "thoughts": True, "tool_results": True, "model_calls": True, "task_results": True},
    "request_id": "req_1",
    "labels": {"team": "blue"},
    "end_user": "ann",
    "provider_options": {"verbosity": "1"},
}
CHOICES: Final[list[dict[str, Any]]] = [
    {
        "tool_choice": {"mode": "TOOL_CHOICE_MODE_AUTO"},
        "response_format": {"text": {}},
        "reasoning": {"effort": "REASONING_EFFORT_LOW"},
        "routing": {"mode": "ROUTING_MODE_AUTO", "preference": "ROUTING_PREFERENCE_COST"},
    },
    {
        "tool_choice": {"tool": "greet"},
        "response_format": {
            "json_schema": {"name": "s", "schema": '{"type": "object"}', "description": "A thing.", "strict": True}
        },
        "reasoning": {"budget_tokens": 5},
        "routing": {"route": "passthrough"},
    },
    {"response_format": {"json_object": {}}},
]
"""Fields of which one excludes another."""

REQUESTS: Final = [
    events_pb2.StreamCompleteRequest(
        request=completion_pb2.CompleteRequest(messages=MESSAGES, **OPTIONS, **choices),
        stream_options=events_pb2.StreamOptions(heartbeat_interval=Duration(seconds=5)),
    )
    for choices in CHOICES
]
"""Valid requests, which together have every field."""


def _convert(request: events_pb2.StreamCompleteRequest) -> Any:
    """Returns what a request is converted to, or the violations for which it is refused."""
    try:
        return convert.stream_request(request, Caps())
    except RequestError as error:
        return error.violations


def test_every_field_of_a_request_is_read() -> None:
    """A request that lacks one field of a valid request is converted to another value, or refused."""
    read: set[str] = set()
    unread: set[str] = set()
    for request in REQUESTS:
        whole = convert.stream_request(request, Caps())
        for field, changed in clear_each_field(request):
            (unread if _convert(changed) == whole else read).add(field.full_name)

    assert unread == READ_BY_THE_INTERCEPTOR | ONLY_FOR_CALLERS
    assert read | unread == list_fields(events_pb2.StreamCompleteRequest.DESCRIPTOR)
