"""An enum value that is not known, and a oneof without a value, are refused in every field of a request."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, messages_pb2, models_pb2, routing_pb2
from tests.support.bad_requests import (
    NOT_KNOWN,
    UNKNOWN,
    ExpectRefusal,
    a_tool,
    violations,
    with_assistant_part,
    with_media,
    with_message,
    with_tools,
    with_user_part,
)
from tests.support.factories import a_wire_request
from tests.support.wire_calls import expect_failure


def _list_fields(descriptor: Any, path: str = "") -> Iterator[tuple[str, FieldDescriptor]]:
    for field in descriptor.fields:
        here = f"{path}.{field.name}" if path else field.name
        yield here, field
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            yield from _list_fields(field.message_type, here)


def _list_enum_fields(kind: type[Message]) -> set[str]:
    return {path for path, field in _list_fields(kind.DESCRIPTOR) if field.enum_type is not None}


UNKNOWN_ENUMS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "messages.role": (with_message(UNKNOWN, messages_pb2.Part(text="hi")), "messages[0].role"),
    "tool_choice.mode": (
        with_tools(a_tool(), tool_choice=completion_pb2.ToolChoice(mode=UNKNOWN)),
        "tool_choice.mode",
    ),
    "reasoning.effort": (
        {"reasoning": completion_pb2.ReasoningOptions(effort=UNKNOWN)},
        "reasoning.effort",
    ),
    "routing.mode": ({"routing": routing_pb2.RoutingOptions(mode=UNKNOWN)}, "routing.mode"),
    "routing.preference": (
        {"routing": routing_pb2.RoutingOptions(preference=UNKNOWN)},
        "routing.preference",
    ),
    "context_policy": ({"context_policy": UNKNOWN}, "context_policy"),
}


UNKNOWN_FILTERS: Final[dict[str, tuple[models_pb2.ModelFilter, str]]] = {
    "filter.capabilities": (
        models_pb2.ModelFilter(capabilities=[models_pb2.MODEL_CAPABILITY_TOOLS, UNKNOWN]),
        "filter.capabilities[1]",
    ),
    "filter.states": (models_pb2.ModelFilter(states=[UNKNOWN]), "filter.states[0]"),
}


def test_every_enum_of_a_request_has_a_case() -> None:
    """Every enum field of a request has a case with an unknown value."""
    assert set(UNKNOWN_ENUMS) == _list_enum_fields(completion_pb2.CompleteRequest)
    assert set(UNKNOWN_FILTERS) == _list_enum_fields(models_pb2.ListModelsRequest)
    assert _list_enum_fields(events_pb2.StreamCompleteRequest) == {f"request.{path}" for path in UNKNOWN_ENUMS}
    assert _list_enum_fields(classification_pb2.ClassifyRequest) == {f"request.{path}" for path in UNKNOWN_ENUMS}


@pytest.mark.parametrize(("fields", "field"), UNKNOWN_ENUMS.values(), ids=UNKNOWN_ENUMS)
async def test_an_unknown_enum_number_is_invalid(
    expect_refusal: ExpectRefusal, fields: dict[str, Any], field: str
) -> None:
    """An enum value that the server does not know is refused with INVALID_FIELD, and never taken as unspecified."""
    failed = await expect_refusal(a_wire_request(**fields))

    assert failed.reason == "INVALID_FIELD"
    assert failed.violations == violations((field, NOT_KNOWN))


@pytest.mark.parametrize(("model_filter", "field"), UNKNOWN_FILTERS.values(), ids=UNKNOWN_FILTERS)
async def test_an_unknown_enum_number_in_a_filter_is_invalid(
    stub: Any, model_filter: models_pb2.ModelFilter, field: str
) -> None:
    """An enum value in the filter of `ListModels` that the server does not know is refused with INVALID_FIELD."""
    failed = await expect_failure(stub.ListModels(models_pb2.ListModelsRequest(filter=model_filter)))

    assert failed.reason == "INVALID_FIELD"
    assert failed.violations == violations((field, NOT_KNOWN))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param(
            with_tools(
                a_tool(), tool_choice=completion_pb2.ToolChoice(mode=completion_pb2.TOOL_CHOICE_MODE_UNSPECIFIED)
            ),
            "tool_choice.mode",
            id="tool choice",
        ),
        pytest.param(
            {"reasoning": completion_pb2.ReasoningOptions(effort=completion_pb2.REASONING_EFFORT_UNSPECIFIED)},
            "reasoning.effort",
            id="effort",
        ),
    ],
)
async def test_an_unspecified_choice_is_invalid(
    expect_refusal: ExpectRefusal, fields: dict[str, Any], field: str
) -> None:
    """A oneof that holds an unspecified enum value is refused, and does not mean the default."""
    failed = await expect_refusal(a_wire_request(**fields))

    assert failed.violations == violations((field, "It must be specified."))


UNSET_ONEOFS: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "messages.content.kind": (with_user_part(cache=True), "messages[0].content[0]", "It must hold a content."),
    "messages.content.media.source": (
        with_media(mime_type="image/png"),
        "messages[0].content[0].media",
        "It must hold a URI or data.",
    ),
    "messages.content.reasoning.form": (
        with_assistant_part(reasoning=messages_pb2.Reasoning()),
        "messages[0].content[0].reasoning",
        "It must hold a text, or redacted reasoning.",
    ),
    "tool_choice.choice": (
        with_tools(a_tool(), tool_choice=completion_pb2.ToolChoice()),
        "tool_choice",
        "It must hold a mode or a tool.",
    ),
    "response_format.format": (
        {"response_format": completion_pb2.ResponseFormat()},
        "response_format",
        "It must hold a format.",
    ),
}


def test_every_oneof_of_a_request_has_a_case() -> None:
    """Every oneof of a request has a case without a value, except the one that may be unset."""
    oneofs = {
        f"{path.rpartition('.')[0]}.{field.containing_oneof.name}"
        for path, field in _list_fields(completion_pb2.CompleteRequest.DESCRIPTOR)
        if field.containing_oneof is not None and len(field.containing_oneof.fields) > 1
    }

    assert oneofs - {"reasoning.amount"} == set(UNSET_ONEOFS)


@pytest.mark.parametrize(("fields", "field", "description"), UNSET_ONEOFS.values(), ids=UNSET_ONEOFS)
async def test_an_unset_oneof_is_invalid(
    expect_refusal: ExpectRefusal, fields: dict[str, Any], field: str, description: str
) -> None:
    """A oneof that must have a value and has none is refused, and the violation names it."""
    failed = await expect_refusal(a_wire_request(**fields))

    assert failed.reason == "INVALID_FIELD"
    assert failed.violations == violations((field, description))
