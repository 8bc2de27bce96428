"""Converts requests, and reports everything that is wrong with one at once.

Field paths are those of `CompleteRequest`, even when it is part of another request.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from reasoning_grpc.domain import CompletionRequest, IncludeOptions
from reasoning_grpc.rpc.convert.checks import MAX_MODEL_NAME_CHARACTERS, Caps, Checks
from reasoning_grpc.rpc.convert.conversation import conversation, find_continuation
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
_MAX_PROVIDER_OPTIONS: Final = 32


def completion_request(message: completion_pb2.CompleteRequest, caps: Caps) -> CompletionRequest:
    """Returns the request. Raises InvalidRequest and RequestTooLarge."""
    checks = Checks(caps)
    request = _completion_request(message, checks)
    checks.finish()
    return request


def stream_request(message: events_pb2.StreamCompleteRequest, caps: Caps) -> tuple[CompletionRequest, float | None]:
    """Returns the request and the interval of heartbeats in seconds. Raises as `completion_request` does."""
    checks = Checks(caps)
    if not message.HasField("request"):
        checks.report_invalid("request", "It is required.")
    request = _completion_request(message.request, checks) if message.HasField("request") else None
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


def _completion_request(message: completion_pb2.CompleteRequest, checks: Checks) -> CompletionRequest:
    model, request_id, end_user = message.model, message.request_id, message.end_user
    if model:
        checks.check_text("model", model, MAX_MODEL_NAME_CHARACTERS)
        if not model.isprintable():
            checks.report_invalid("model", "It must be printable.")
    if request_id:
        checks.check_pattern("request_id", request_id, REQUEST_ID, "It must be 1 to 128 visible ASCII characters.")
    if end_user:
        checks.check_text("end_user", end_user, 256)
    messages = conversation(message.messages, checks)
    given = []
    for field, _ in message.ListFields():
        if (option := _OPTIONS.get(field)) is not None:
            given.append(option)
    options: dict[str, Any] = {}
    for _, name, convert in sorted(given):
        options[name] = convert(message, checks)
    if checks.paused_run is not None:
        options["continuation"] = find_continuation(messages, checks)
    return CompletionRequest(model=model, messages=messages, end_user=end_user, **options)


def _include_options(message: completion_pb2.CompleteRequest, _checks: Checks) -> IncludeOptions:
    include = message.include
    return IncludeOptions(
        reasoning=include.reasoning,
        thoughts=include.thoughts,
        tool_results=include.tool_results,
        model_calls=include.model_calls,
        task_results=include.task_results,
    )


def _labels(message: completion_pb2.CompleteRequest, checks: Checks) -> dict[str, str]:
    if not checks.check_count("labels", len(message.labels), checks.caps.labels):
        return {}
    labels = dict(message.labels)
    for key, value in labels.items():
        checks.check_text(f"labels[{key}]", key, 64, required=True)
        checks.check_text(f"labels[{key}]", value, 256)
    return labels


def _provider_options(message: completion_pb2.CompleteRequest, checks: Checks) -> dict[str, str]:
    if not checks.check_count("provider_options", len(message.provider_options), _MAX_PROVIDER_OPTIONS):
        return {}
    options = dict(message.provider_options)
    for name, value in options.items():
        checks.check_text(f"provider_options[{name}]", name, 64, required=True)
        checks.check_json(f"provider_options[{name}]", value, want_object=False)
    return options


_Convert = Callable[[completion_pb2.CompleteRequest, Checks], Any]
_CONVERTERS: Final[Mapping[str, _Convert]] = {
    "sampling": sampling,
    "tools": tools,
    "tool_choice": tool_choice,
    "parallel_tool_calls": parallel_tool_calls,
    "response_format": response_format,
    "reasoning": reasoning_options,
    "routing": routing_options,
    "context_policy": context_policy,
    "fallback_models": fallback_models,
    "agent": agent_options,
    "include": _include_options,
    "labels": _labels,
    "provider_options": _provider_options,
}
"""The converter of each option, in the order in which violations are reported.

A field of `CompleteRequest` has the name of the attribute that it becomes.
"""

_OPTIONS: Final[Mapping[FieldDescriptor, tuple[int, str, _Convert]]] = {
    completion_pb2.CompleteRequest.DESCRIPTOR.fields_by_name[name]: (place, name, convert)
    for place, (name, convert) in enumerate(_CONVERTERS.items())
}
"""The options by the descriptors of their fields, as a message lists those that it has. No other costs anything."""
