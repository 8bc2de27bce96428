"""Converts requests, and reports everything that is wrong with one at once.

Field paths are those of `CompleteRequest`, even when it is part of another request.
"""

import re
from dataclasses import dataclass
from typing import Final

from reasoning_grpc.domain import CompletionRequest, IncludeOptions
from reasoning_grpc.rpc.convert.checks import MAX_MODEL_NAME_CHARACTERS, Checks
from reasoning_grpc.rpc.convert.conversation import conversation
from reasoning_grpc.rpc.convert.model_options import (
    parallel_tool_calls,
    reasoning_options,
    response_format,
    sampling,
    tool_choice,
    tools,
)
from reasoning_grpc.rpc.convert.scalars import seconds_of
from reasoning_grpc.rpc.convert.server_options import agent_options, context_policy, fallback_models, routing_options
from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2

REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")
_MAX_LABELS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Our own limits on a request."""

    messages: int = 1000
    tools: int = 128


def completion_request(message: completion_pb2.CompleteRequest, caps: Caps) -> CompletionRequest:
    """Returns the request. Raises InvalidRequest, RequestTooLarge and UnsupportedParameter."""
    checks = Checks()
    request = _completion_request(message, caps, checks)
    checks.finish()
    return request


def stream_request(message: events_pb2.StreamCompleteRequest, caps: Caps) -> tuple[CompletionRequest, float | None]:
    """Returns the request and the interval of heartbeats in seconds. Raises as `completion_request` does."""
    checks = Checks()
    if not message.HasField("request"):
        checks.report_invalid("request", "It is required.")
    request = _completion_request(message.request, caps, checks) if message.HasField("request") else None
    heartbeat = None
    if message.stream_options.HasField("heartbeat_interval"):
        heartbeat = seconds_of(message.stream_options.heartbeat_interval)
        checks.check_number("stream_options.heartbeat_interval", heartbeat, 0.1, 3600)
    checks.finish()
    assert request is not None
    return request, heartbeat


def classify_request(message: classification_pb2.ClassifyRequest, caps: Caps) -> tuple[CompletionRequest, bool]:
    """Returns the request to classify, and whether rules alone may decide. Raises as `completion_request` does."""
    checks = Checks()
    if not message.HasField("request"):
        checks.report_invalid("request", "It is required.")
        checks.finish()
    return completion_request(message.request, caps), message.rules_only


def _completion_request(message: completion_pb2.CompleteRequest, caps: Caps, checks: Checks) -> CompletionRequest:
    checks.check_text("model", message.model, MAX_MODEL_NAME_CHARACTERS)
    if not message.model.isprintable():
        checks.report_invalid("model", "It must be printable.")
    if message.request_id:
        checks.check_pattern(
            "request_id", message.request_id, REQUEST_ID, "It must be 1 to 128 visible ASCII characters."
        )
    checks.check_text("end_user", message.end_user, 256)
    return CompletionRequest(
        model=message.model,
        messages=conversation(message.messages, caps.messages, checks),
        sampling=sampling(message, checks),
        tools=tools(message, caps.tools, checks),
        tool_choice=tool_choice(message, checks),
        parallel_tool_calls=parallel_tool_calls(message, checks),
        response_format=response_format(message, checks),
        reasoning=reasoning_options(message, checks),
        routing=routing_options(message, checks),
        context_policy=context_policy(message, checks),
        fallback_models=fallback_models(message, checks),
        agent=agent_options(message, checks),
        include=_include_options(message),
        labels=_labels(message, checks),
        end_user=message.end_user,
        provider_options=_provider_options(message, checks),
    )


def _include_options(message: completion_pb2.CompleteRequest) -> IncludeOptions:
    if not message.HasField("include"):
        return IncludeOptions()
    include = message.include
    return IncludeOptions(
        reasoning=include.reasoning,
        thoughts=include.thoughts,
        tool_results=include.tool_results,
        model_calls=include.model_calls,
    )


def _labels(message: completion_pb2.CompleteRequest, checks: Checks) -> dict[str, str]:
    labels = dict(message.labels)
    if checks.check_count("labels", len(labels), _MAX_LABELS):
        for key, value in labels.items():
            checks.check_text(f"labels[{key}]", key, 64, required=True)
            checks.check_text(f"labels[{key}]", value, 256)
    return labels


def _provider_options(message: completion_pb2.CompleteRequest, checks: Checks) -> dict[str, str]:
    options = dict(message.provider_options)
    if checks.check_count("provider_options", len(options), _MAX_LABELS):
        for name, value in options.items():
            checks.check_text(f"provider_options[{name}]", name, 64, required=True)
            checks.check_json(f"provider_options[{name}]", value, want_object=False)
    return options
