"""The tables that convert errors, enums and events are complete."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, get_args

import pytest

from reasoning_grpc import domain as types
from reasoning_grpc.domain import errors, events
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert import events as converted
from reasoning_grpc.rpc.status import CODES, call_status
from reasoning_grpc.v1 import (
    completion_pb2,
    errors_pb2,
    events_pb2,
    messages_pb2,
    models_pb2,
    orchestration_pb2,
    routing_pb2,
    usage_pb2,
)


def _list_raised_classes(error_class: type[errors.ReasoningError]) -> Iterator[type[errors.ReasoningError]]:
    """Yields the classes that can be raised: all except the three that group others."""
    for subclass in error_class.__subclasses__():
        if subclass not in (errors.RequestError, errors.ServerError, errors.UpstreamError):
            yield subclass
        yield from _list_raised_classes(subclass)


def test_every_error_has_a_status() -> None:
    """Every error class that can be raised has a status code, and the table has no other class."""
    assert set(_list_raised_classes(errors.ReasoningError)) == set(CODES)


def test_every_reason_is_in_the_proto() -> None:
    """The reasons of our errors are exactly the values of `ErrorReason`."""
    ours = {error_class.reason for error_class in CODES} | {"INTERNAL"}

    theirs = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118

    assert ours == theirs


ENUMS = [
    (enums.ROLE, types.Role, messages_pb2.Role),
    (enums.TOOL_CHOICE_MODE, types.ToolChoiceMode, completion_pb2.ToolChoiceMode),
    (enums.REASONING_EFFORT, types.ReasoningEffort, completion_pb2.ReasoningEffort),
    (enums.CONTEXT_POLICY, types.ContextPolicy, completion_pb2.ContextPolicy),
    (enums.ROUTING_MODE, types.RoutingMode, routing_pb2.RoutingMode),
    (enums.ROUTING_PREFERENCE, types.RoutingPreference, routing_pb2.RoutingPreference),
    (enums.ROUTE_SOURCE, types.RouteSource, routing_pb2.RouteSource),
    (enums.EFFECTIVE_SETTING_CAUSE, types.EffectiveSettingCause, completion_pb2.EffectiveSettingCause),
    (enums.ROUTE_REJECTION_CAUSE, types.RouteRejectionCause, routing_pb2.RouteRejectionCause),
    (enums.FINISH_REASON, types.FinishReason, completion_pb2.FinishReason),
    (enums.USAGE_SOURCE, types.UsageSource, usage_pb2.UsageSource),
    (enums.TOKEN_KIND, types.TokenKind, usage_pb2.TokenKind),
    (enums.MODEL_CALL_PURPOSE, types.ModelCallPurpose, usage_pb2.ModelCallPurpose),
    (enums.TASK_OUTCOME, types.TaskOutcome, orchestration_pb2.TaskOutcome),
    (enums.ROUTE_CHANGE_CAUSE, types.RouteChangeCause, orchestration_pb2.RouteChangeCause),
    (enums.MODEL_SOURCE_KIND, types.ModelSourceKind, models_pb2.ModelSourceKind),
    (enums.MODEL_STATE, types.ModelState, models_pb2.ModelState),
    (enums.MODEL_CAPABILITY, types.Capability, models_pb2.ModelCapability),
]


@pytest.mark.parametrize(("pair", "ours", "theirs"), ENUMS, ids=[ours.__name__ for _, ours, _ in ENUMS])
def test_every_enum_value_converts_both_ways(pair: enums.EnumPair[Any], ours: type[StrEnum], theirs: Any) -> None:
    """Each enum value of the domain has one in the proto and vice versa, except UNSPECIFIED."""
    assert set(pair.to_proto) == set(ours)
    assert set(pair.from_proto) == set(theirs.values()) - {0}
    assert all(pair.from_proto[pair.to_proto[member]] is member for member in ours)


def test_every_event_converts() -> None:
    """Each class of event that callers receive has its own field of the oneof, and a converter."""
    fields = {field.name for field in events_pb2.StreamCompleteResponse.DESCRIPTOR.oneofs_by_name["kind"].fields}
    classes = {argument for union in get_args(events.Event) for argument in (get_args(union) or (union,))}

    names = [name for name, _ in converted._EVENTS.values()]

    assert set(converted._EVENTS) == classes - {events.InternalDelta}
    assert len(set(names)) == len(names)
    assert set(names) <= fields


@pytest.mark.parametrize("error_class", list(CODES), ids=lambda error_class: error_class.__name__)
def test_every_error_sentence_is_complete(error_class: type[errors.ReasoningError]) -> None:
    """The metadata of an error has every value that its sentence names."""
    decision = types.RouteDecision(
        mode=types.RoutingMode.AUTO, model="m", source=types.RouteSource.REQUEST, reason="requested"
    )
    if issubclass(error_class, errors.UpstreamError):
        error: errors.ReasoningError = error_class(model="m")
    elif error_class is errors.CallerLimitReached:
        error = errors.CallerLimitReached(limit="calls_in_flight", maximum="4", retry_after_seconds=1.0)
    elif issubclass(error_class, errors.ServerError):
        error = error_class(retry_after_seconds=1.0)
    elif error_class is errors.RouteNotImplemented:
        error = errors.RouteNotImplemented(decision)
    else:
        error = error_class({"model": "m", "route": "r"})

    assert "?" not in str(error)
    assert str(error).endswith(".")


@pytest.mark.parametrize(("seconds", "pushback"), [(None, "-1"), (0.0, "1"), (0.0001, "1"), (1.5, "1500")])
def test_an_unavailable_status_has_a_pushback(seconds: float | None, pushback: str) -> None:
    """The pushback of UNAVAILABLE is the delay in milliseconds, and never 0, because gRPC's core waits forever on 0."""
    status = call_status(errors.UpstreamOverloaded(model="m", retry_after_seconds=seconds), "req_1")

    assert dict(status.trailing_metadata)["grpc-retry-pushback-ms"] == pushback


@pytest.mark.parametrize("seconds", [None, 1.0])
def test_other_codes_have_no_pushback(seconds: float | None) -> None:
    """Only UNAVAILABLE has a pushback: with another code grpc-java would delay the call, and other clients count -1."""
    status = call_status(errors.UpstreamRateLimited(model="m", retry_after_seconds=seconds), "req_1")

    assert "grpc-retry-pushback-ms" not in dict(status.trailing_metadata)
