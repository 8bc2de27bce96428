"""Bad requests, through the real server: what is wrong is named, all of it, and no upstream hears of it."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from reasoning_grpc.client import CallFailed, FieldViolation
from reasoning_grpc.domain import Capability
from reasoning_grpc.v1 import (
    classification_pb2,
    completion_pb2,
    events_pb2,
    messages_pb2,
    models_pb2,
    routing_pb2,
)
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, serving, serving_upstream
from tests.support.upstream import FakeUpstream

SERVICE: Final = "/reasoning_grpc.v1.ReasoningService/"
STATUS: Final = "grpc-status-details-bin"
INVALID: Final = "The request has invalid fields; see the field violations."
TOO_LARGE: Final = "The request exceeds a limit of this server; see the field violations."
UNSUPPORTED: Final = "The request has parameters that are not supported; see the field violations."
NOT_KNOWN: Final = "It is not a known value."
UNKNOWN: Final[Any] = 99
"""A number of no enum value."""
NAME: Final = "It must be 1 to 64 of letters, digits, underscore and dash."

Refusal = Callable[[completion_pb2.CompleteRequest], Awaitable[CallFailed]]


async def failure(call: Any) -> CallFailed:
    """How a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return CallFailed(failed.value)


@pytest.fixture
def refusal(upstream: FakeUpstream, stub: Any) -> Refusal:
    """Completes a request that must be refused before an upstream hears of it."""

    async def refused(request: completion_pb2.CompleteRequest) -> CallFailed:
        failed = await failure(stub.Complete(request))
        assert upstream.connections == 0
        return failed

    return refused


def raw(kind: Any, method: str = "Complete") -> Any:
    """A method that takes bytes, and sends them as they are."""
    return kind(SERVICE + method)


def violations(*pairs: tuple[str, str]) -> tuple[FieldViolation, ...]:
    """Fields, and what is wrong with each."""
    return tuple(FieldViolation(*pair) for pair in pairs)


def of_role(role: Any, *parts: messages_pb2.Part, name: str = "") -> dict[str, Any]:
    """A conversation of one message, as a field of a request."""
    return {"messages": [messages_pb2.Message(role=role, content=parts, name=name)]}


def of_user(**part: Any) -> dict[str, Any]:
    """A conversation of one part of the user's."""
    return of_role(messages_pb2.ROLE_USER, messages_pb2.Part(**part))


def of_assistant(**part: Any) -> dict[str, Any]:
    """A conversation of one part of the assistant's."""
    return of_role(messages_pb2.ROLE_ASSISTANT, messages_pb2.Part(**part))


def with_media(**media: Any) -> dict[str, Any]:
    """A conversation of one media part."""
    return of_user(media=messages_pb2.Media(**media))


def with_sampling(**sampling: Any) -> dict[str, Any]:
    """A valid conversation, sampled like this."""
    return {"sampling": completion_pb2.Sampling(**sampling)}


def with_tools(*tools: completion_pb2.Tool, **fields: Any) -> dict[str, Any]:
    """A valid conversation with these tools."""
    return {"tools": tools, **fields}


def with_schema(**schema: Any) -> dict[str, Any]:
    """A valid conversation that asks for JSON of a schema."""
    return {"response_format": completion_pb2.ResponseFormat(json_schema=completion_pb2.JsonSchemaFormat(**schema))}


def a_tool(name: str = "f", schema: str = "") -> completion_pb2.Tool:
    """A tool."""
    return completion_pb2.Tool(name=name, parameters_schema=schema)


def nested(depth: int, inside: str = "") -> str:
    """JSON text of objects in objects, so many levels."""
    return '{"a":' * depth + (inside or "1") + "}" * depth


GARBAGE = [
    pytest.param(b"\xff" * 8, id="garbage"),
    pytest.param(b"\x0a\x01\xff\x12\x01\xff", id="invalid UTF-8"),  # the first text is field 1 or 2
    pytest.param(b"\x0a\x05ab", id="cut short"),
    pytest.param(b"\xfb\x3f" * 1000 + b"\xfc\x3f" * 1000, id="groups nested a thousand deep"),
]


@pytest.mark.parametrize("payload", GARBAGE)
@pytest.mark.parametrize("method", ["Complete", "StreamComplete", "Classify", "ListModels"])
async def test_what_is_no_protobuf_is_malformed(
    upstream: FakeUpstream, running_server: RunningServer, method: str, payload: bytes
) -> None:
    """Every method answers MALFORMED_REQUEST to bytes that cannot be parsed."""
    if method == "StreamComplete":
        call = raw(running_server.channel.unary_stream, method)(payload).read()
    else:
        call = raw(running_server.channel.unary_unary, method)(payload)

    failed = await failure(call)

    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert failed.reason == "MALFORMED_REQUEST"
    assert failed.message == "The request is not a valid protobuf message."
    assert failed.metadata == {}
    assert failed.violations == ()
    assert upstream.connections == 0


async def test_unknown_fields_are_ignored(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A field of a later version changes nothing, as protobuf promises."""
    complete = raw(running_server.channel.unary_unary)
    known = a_wire_request().SerializeToString()

    await complete(known)
    await complete(known + b"\xfa\x3f\x02hi")  # field 1023

    assert upstream.requests[0].body == upstream.requests[1].body


async def test_a_number_of_more_than_its_bits_is_out_of_range(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """2^31 as a number of tokens is cut to its bits by protobuf, and refused by us."""
    complete = raw(running_server.channel.unary_unary)

    failed = await failure(complete(a_wire_request().SerializeToString() + b"\x1a\x06\x20\x80\x80\x80\x80\x08"))

    assert failed.violations == violations(("sampling.max_output_tokens", "It must be at least 1."))
    assert upstream.connections == 0


MEDIA_TYPE: Final = "It must be a type of image, audio, application or text."
INVALID_FIELDS = [
    pytest.param({"messages": []}, "messages", "At least one message is required.", id="no messages"),
    pytest.param(of_role(1), "messages[0].content", "At least one part is required.", id="no content"),
    pytest.param(
        of_role(0, messages_pb2.Part(text="hi")), "messages[0].role", "It is required.", id="a message without role"
    ),
    pytest.param(of_user(text=""), "messages[0].content[0].text", "It must not be empty.", id="empty text"),
    pytest.param(of_user(), "messages[0].content[0]", "It must hold a content.", id="a part without content"),
    pytest.param(
        of_user(refusal="no"),
        "messages[0].content[0].refusal",
        "A message of the role USER takes media, text.",
        id="a refusal of the user's",
    ),
    pytest.param(
        of_role(messages_pb2.ROLE_TOOL, messages_pb2.Part(text="hi")),
        "messages[0].content[0].text",
        "A message of the role TOOL takes tool_result.",
        id="a text of a tool's",
    ),
    pytest.param(
        of_role(1, messages_pb2.Part(text="hi"), name="a b"),
        "messages[0].name",
        "It must be up to 64 of letters, digits, underscore and dash.",
        id="name of a participant",
    ),
    pytest.param(
        of_assistant(refusal=""), "messages[0].content[0].refusal", "It must not be empty.", id="empty refusal"
    ),
    pytest.param(
        of_assistant(tool_call=messages_pb2.ToolCall(name="f")),
        "messages[0].content[0].tool_call.id",
        "It is required.",
        id="a tool call without id",
    ),
    pytest.param(
        of_assistant(tool_call=messages_pb2.ToolCall(id="1")),
        "messages[0].content[0].tool_call.name",
        "It is required.",
        id="a tool call without name",
    ),
    pytest.param(
        of_role(messages_pb2.ROLE_TOOL, messages_pb2.Part(tool_result=messages_pb2.ToolResult())),
        "messages[0].content[0].tool_result.call_id",
        "It is required.",
        id="a tool result without call",
    ),
    pytest.param(
        with_media(mime_type="video/mp4", data=b"x"),
        "messages[0].content[0].media.mime_type",
        MEDIA_TYPE,
        id="a video",
    ),
    pytest.param(
        with_media(mime_type="image/png\r\nx: y", data=b"x"),
        "messages[0].content[0].media.mime_type",
        MEDIA_TYPE,
        id="a MIME type with CRLF",
    ),
    pytest.param(
        with_media(mime_type="image/png", data=b""),
        "messages[0].content[0].media.data",
        "It must not be empty.",
        id="media without bytes",
    ),
    pytest.param(
        with_media(mime_type="image/png", uri="file:///etc/passwd"),
        "messages[0].content[0].media.uri",
        "It must be an https URI.",
        id="a file URI",
    ),
    pytest.param(
        with_media(mime_type="audio/wav", uri="https://example.com/a.wav"),
        "messages[0].content[0].media.uri",
        "Only images may be given by URI; send the data instead.",
        id="sound by URI",
    ),
    *(
        pytest.param(with_sampling(temperature=value), "sampling.temperature", "It must be from 0 to 2.", id=name)
        for name, value in {
            "temperature NaN": float("nan"),
            "temperature inf": float("inf"),
            "temperature -inf": float("-inf"),
            "temperature 2.1": 2.1,
            "temperature below 0": -1e-9,
        }.items()
    ),
    pytest.param(with_sampling(top_p=0.0), "sampling.top_p", "It must be above 0 to 1.", id="top_p 0"),
    pytest.param(with_sampling(top_p=float("nan")), "sampling.top_p", "It must be above 0 to 1.", id="top_p NaN"),
    pytest.param(with_sampling(top_k=0), "sampling.top_k", "It must be at least 1.", id="top_k 0"),
    pytest.param(
        with_sampling(max_output_tokens=0), "sampling.max_output_tokens", "It must be at least 1.", id="max tokens 0"
    ),
    pytest.param(
        with_sampling(max_output_tokens=-1), "sampling.max_output_tokens", "It must be at least 1.", id="max tokens -1"
    ),
    pytest.param(
        with_sampling(stop_sequences=["x", ""]),
        "sampling.stop_sequences[1]",
        "It is required.",
        id="an empty stop sequence",
    ),
    pytest.param(
        with_sampling(stop_sequences=["x" * 257]),
        "sampling.stop_sequences[0]",
        "It must have at most 256 characters.",
        id="a long stop sequence",
    ),
    pytest.param(
        with_sampling(presence_penalty=-2.5), "sampling.presence_penalty", "It must be from -2 to 2.", id="presence"
    ),
    pytest.param(
        with_sampling(frequency_penalty=float("inf")),
        "sampling.frequency_penalty",
        "It must be from -2 to 2.",
        id="frequency",
    ),
    pytest.param(
        with_sampling(logit_bias={7: 101.0}), "sampling.logit_bias[7]", "It must be from -100 to 100.", id="bias"
    ),
    pytest.param(
        with_sampling(logprobs=True, top_logprobs=21),
        "sampling.top_logprobs",
        "It must be from 0 to 20.",
        id="too many alternatives",
    ),
    pytest.param(
        with_sampling(top_logprobs=1),
        "sampling.top_logprobs",
        "It requires `logprobs` to be true.",
        id="alternatives without logprobs",
    ),
    pytest.param(
        {"reasoning": completion_pb2.ReasoningOptions(budget_tokens=0)},
        "reasoning.budget_tokens",
        "It must be at least 1.",
        id="reasoning budget 0",
    ),
    pytest.param(with_tools(a_tool("")), "tools[0].name", NAME, id="a tool without name"),
    pytest.param(with_tools(a_tool("f g")), "tools[0].name", NAME, id="a tool's name with a space"),
    pytest.param(with_tools(a_tool("f\n")), "tools[0].name", NAME, id="a tool's name with a newline"),
    pytest.param(with_tools(a_tool("f" * 65)), "tools[0].name", NAME, id="a tool's long name"),
    pytest.param(with_tools(a_tool(), a_tool()), "tools[1].name", "Another tool has this name.", id="two tools alike"),
    pytest.param(
        with_tools(a_tool(schema="{")), "tools[0].parameters_schema", "It must be JSON text.", id="schema is no JSON"
    ),
    pytest.param(
        with_tools(a_tool(schema='{"a": NaN}')),
        "tools[0].parameters_schema",
        "It must be JSON text.",
        id="schema with NaN",
    ),
    pytest.param(
        with_tools(a_tool(schema="[]")),
        "tools[0].parameters_schema",
        "It must be the JSON text of an object.",
        id="schema is a list",
    ),
    pytest.param(
        with_tools(a_tool(schema='"' + '\\"' * 500_000)),
        "tools[0].parameters_schema",
        "It must be JSON text.",
        id="schema is a string without end",
    ),
    pytest.param(
        {"tool_choice": completion_pb2.ToolChoice(mode=completion_pb2.TOOL_CHOICE_MODE_AUTO)},
        "tool_choice",
        "It requires `tools`.",
        id="tool choice without tools",
    ),
    pytest.param(
        {"tool_choice": completion_pb2.ToolChoice(tool="f")},
        "tool_choice",
        "It requires `tools`.",
        id="tool choice by name without tools",
    ),
    pytest.param(
        with_tools(a_tool(), tool_choice=completion_pb2.ToolChoice(tool="g")),
        "tool_choice.tool",
        "It is not the name of one of `tools`.",
        id="tool choice of another tool",
    ),
    pytest.param({"parallel_tool_calls": False}, "parallel_tool_calls", "It requires `tools`.", id="parallel"),
    pytest.param(
        with_schema(name="a b", schema="{}"), "response_format.json_schema.name", NAME, id="name of a response schema"
    ),
    pytest.param(
        with_schema(name="a"),
        "response_format.json_schema.schema",
        "It must be JSON text.",
        id="a response schema that is missing",
    ),
    pytest.param(
        {"routing": routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_PASSTHROUGH, route="fast")},
        "routing",
        "It must hold a mode or a route, not both.",
        id="mode and route",
    ),
    pytest.param({"fallback_models": ["fake", ""]}, "fallback_models[1]", "It is required.", id="an empty fallback"),
    pytest.param({"model": "fake\r\nx: y"}, "model", "It must be printable.", id="model with CRLF"),
    pytest.param({"model": "x" * 10_240}, "model", "It must have at most 128 characters.", id="model of 10 KB"),
    pytest.param(
        {"request_id": "two words"},
        "request_id",
        "It must be 1 to 128 visible ASCII characters.",
        id="request id with a space",
    ),
    pytest.param({"end_user": "x" * 257}, "end_user", "It must have at most 256 characters.", id="end user"),
    pytest.param({"labels": {"": "x"}}, "labels[]", "It is required.", id="a label without key"),
    pytest.param({"labels": {"k": "x" * 257}}, "labels[k]", "It must have at most 256 characters.", id="a long label"),
    pytest.param(
        {"labels": {"k" * 65: "x"}},
        f"labels[{'k' * 50}...",
        "It must have at most 64 characters.",
        id="a label's long key",
    ),
    pytest.param(
        {"provider_options": {"top_a": "{"}}, "provider_options[top_a]", "It must be JSON text.", id="provider option"
    ),
    pytest.param(
        {"provider_options": {"top_a": ""}},
        "provider_options[top_a]",
        "It must be JSON text.",
        id="a provider option without value",
    ),
]


@pytest.mark.parametrize(("fields", "field", "description"), INVALID_FIELDS)
async def test_an_invalid_field_is_named(
    refusal: Refusal, fields: dict[str, Any], field: str, description: str
) -> None:
    """One bad field gives one violation, and nothing else is complained of."""
    failed = await refusal(a_wire_request(**fields))

    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert failed.reason == "INVALID_FIELD"
    assert failed.message == INVALID
    assert failed.metadata == {}
    assert failed.violations == violations((field, description))


async def test_all_faults_are_named_at_once(refusal: Refusal) -> None:
    """Faults in several fields come together, in the order of the fields; caps are named among them."""
    request = completion_pb2.CompleteRequest(
        model="fake\n",
        messages=[
            messages_pb2.Message(role=messages_pb2.ROLE_USER),
            messages_pb2.Message(role=UNKNOWN, content=[messages_pb2.Part()]),
        ],
        sampling=completion_pb2.Sampling(temperature=float("nan"), max_output_tokens=0, stop_sequences=["x"] * 10_000),
        tools=[a_tool("f g", schema="[]")],
        context_policy=completion_pb2.CONTEXT_POLICY_ERROR,
        request_id="two words",
    )

    failed = await refusal(request)

    assert failed.reason == "INVALID_FIELD"
    assert failed.violations == violations(
        ("model", "It must be printable."),
        ("request_id", "It must be 1 to 128 visible ASCII characters."),
        ("messages[0].content", "At least one part is required."),
        ("messages[1].role", NOT_KNOWN),
        ("messages[1].content[0]", "It must hold a content."),
        ("sampling.temperature", "It must be from 0 to 2."),
        ("sampling.max_output_tokens", "It must be at least 1."),
        ("tools[0].name", NAME),
        ("tools[0].parameters_schema", "It must be the JSON text of an object."),
        ("sampling.stop_sequences", "It has 10000 entries; at most 16 are accepted."),
    )


def _fields_of(descriptor: Any, path: str = "") -> Iterator[tuple[str, FieldDescriptor]]:
    for field in descriptor.fields:
        here = f"{path}.{field.name}" if path else field.name
        yield here, field
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            yield from _fields_of(field.message_type, here)


def _enum_fields(kind: type[Message]) -> set[str]:
    return {path for path, field in _fields_of(kind.DESCRIPTOR) if field.enum_type is not None}


UNKNOWN_ENUMS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "messages.role": (of_role(UNKNOWN, messages_pb2.Part(text="hi")), "messages[0].role"),
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


def test_every_enum_of_a_request_is_tried() -> None:
    """The tables below have every enum field that a request has."""
    assert set(UNKNOWN_ENUMS) == _enum_fields(completion_pb2.CompleteRequest)
    assert set(UNKNOWN_FILTERS) == _enum_fields(models_pb2.ListModelsRequest)
    assert _enum_fields(events_pb2.StreamCompleteRequest) == {f"request.{path}" for path in UNKNOWN_ENUMS}
    assert _enum_fields(classification_pb2.ClassifyRequest) == {f"request.{path}" for path in UNKNOWN_ENUMS}


@pytest.mark.parametrize(("fields", "field"), UNKNOWN_ENUMS.values(), ids=UNKNOWN_ENUMS)
async def test_an_unknown_enum_number_is_invalid(refusal: Refusal, fields: dict[str, Any], field: str) -> None:
    """A value that this version does not know is INVALID_FIELD, never taken for unspecified."""
    failed = await refusal(a_wire_request(**fields))

    assert failed.reason == "INVALID_FIELD"
    assert failed.violations == violations((field, NOT_KNOWN))


@pytest.mark.parametrize(("model_filter", "field"), UNKNOWN_FILTERS.values(), ids=UNKNOWN_FILTERS)
async def test_an_unknown_enum_number_in_a_filter_is_invalid(
    stub: Any, model_filter: models_pb2.ModelFilter, field: str
) -> None:
    """The same in the filter of `ListModels`."""
    failed = await failure(stub.ListModels(models_pb2.ListModelsRequest(filter=model_filter)))

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
async def test_a_choice_of_nothing_is_invalid(refusal: Refusal, fields: dict[str, Any], field: str) -> None:
    """A oneof that holds an unspecified enum value is a mistake, not a default."""
    failed = await refusal(a_wire_request(**fields))

    assert failed.violations == violations((field, "It must be specified."))


UNSET_ONEOFS: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "messages.content.kind": (of_user(cache=True), "messages[0].content[0]", "It must hold a content."),
    "messages.content.media.source": (
        with_media(mime_type="image/png"),
        "messages[0].content[0].media",
        "It must hold a URI or data.",
    ),
    "messages.content.reasoning.form": (
        of_assistant(reasoning=messages_pb2.Reasoning()),
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


def test_every_oneof_of_a_request_is_tried() -> None:
    """The table below has every oneof of a request but the one that may stay unset."""
    oneofs = {
        f"{path.rpartition('.')[0]}.{field.containing_oneof.name}"
        for path, field in _fields_of(completion_pb2.CompleteRequest.DESCRIPTOR)
        if field.containing_oneof is not None and len(field.containing_oneof.fields) > 1
    }

    assert oneofs - {"reasoning.amount"} == set(UNSET_ONEOFS)


@pytest.mark.parametrize(("fields", "field", "description"), UNSET_ONEOFS.values(), ids=UNSET_ONEOFS)
async def test_an_unset_oneof_is_invalid(
    refusal: Refusal, fields: dict[str, Any], field: str, description: str
) -> None:
    """A message that must hold one of several fields, and holds none, is named."""
    failed = await refusal(a_wire_request(**fields))

    assert failed.reason == "INVALID_FIELD"
    assert failed.violations == violations((field, description))


DEEP: Final = "It is nested more than 64 levels deep."
CAPS = [
    pytest.param(
        with_sampling(stop_sequences=["x"] * 10_000),
        "sampling.stop_sequences",
        "It has 10000 entries; at most 16 are accepted.",
        id="ten thousand stops",
    ),
    pytest.param(
        with_sampling(logit_bias=dict.fromkeys(range(1025), 0.0)),
        "sampling.logit_bias",
        "It has 1025 entries; at most 1024 are accepted.",
        id="biases",
    ),
    pytest.param(
        {"messages": list(a_wire_request().messages) * 1001},
        "messages",
        "It has 1001 entries; at most 1000 are accepted.",
        id="messages",
    ),
    pytest.param(
        with_tools(*(a_tool(f"f{number}") for number in range(129))),
        "tools",
        "It has 129 entries; at most 128 are accepted.",
        id="tools",
    ),
    pytest.param(
        with_tools(
            *(a_tool(f"f{number}") for number in range(129)), tool_choice=completion_pb2.ToolChoice(tool="f128")
        ),
        "tools",
        "It has 129 entries; at most 128 are accepted.",
        id="tools, and a choice among them",
    ),
    pytest.param(
        {"labels": {str(number): "" for number in range(33)}},
        "labels",
        "It has 33 entries; at most 32 are accepted.",
        id="labels",
    ),
    pytest.param(
        {"provider_options": {str(number): "1" for number in range(33)}},
        "provider_options",
        "It has 33 entries; at most 32 are accepted.",
        id="provider options",
    ),
    pytest.param(
        {"fallback_models": ["fake"] * 9},
        "fallback_models",
        "It has 9 entries; at most 8 are accepted.",
        id="fallback models",
    ),
    pytest.param(
        with_tools(a_tool(schema=nested(5000))), "tools[0].parameters_schema", DEEP, id="schema 5000 levels deep"
    ),
    pytest.param(with_tools(a_tool(schema=nested(65))), "tools[0].parameters_schema", DEEP, id="schema 65 levels deep"),
    pytest.param(
        with_tools(a_tool(schema="[" * 5000)), "tools[0].parameters_schema", DEEP, id="schema of opening brackets"
    ),
    pytest.param(
        with_schema(name="a", schema=nested(5000)),
        "response_format.json_schema.schema",
        DEEP,
        id="response schema 5000 levels deep",
    ),
    pytest.param(
        {"provider_options": {"top_a": nested(5000)}},
        "provider_options[top_a]",
        DEEP,
        id="provider option 5000 levels deep",
    ),
]


@pytest.mark.parametrize(("fields", "field", "description"), CAPS)
async def test_what_is_over_a_cap_is_too_large(
    refusal: Refusal, fields: dict[str, Any], field: str, description: str
) -> None:
    """Our own caps answer REQUEST_TOO_LARGE, and name the field and the cap."""
    failed = await refusal(a_wire_request(**fields))

    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert failed.reason == "REQUEST_TOO_LARGE"
    assert failed.message == TOO_LARGE
    assert failed.violations == violations((field, description))


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(nested(64), id="64 levels"),
        pytest.param(nested(1, '"' + "[" * 100 + '"'), id="brackets in a string"),
        pytest.param(nested(1, '"\\"' + "[" * 100 + '\\\\"'), id="brackets between escapes"),
    ],
)
async def test_what_is_just_within_the_depth_is_sent(upstream: FakeUpstream, stub: Any, schema: str) -> None:
    """Only nesting counts, not brackets in strings."""
    await stub.Complete(a_wire_request(tools=[a_tool(schema=schema)]))

    assert len(upstream.requests) == 1


async def test_a_message_over_our_cap_is_too_large(upstream: FakeUpstream) -> None:
    """A request of too many bytes is answered by us, whether it was compressed on its way or not."""
    request = a_wire_request("x" * 100_000)
    expected = violations(("request", f"It has {request.ByteSize()} bytes; at most 65536 are accepted."))

    async with serving_upstream(upstream, max_request_bytes=65_536) as running:
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            failed = await failure(running.stub.Complete(request, compression=compression))

            assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
            assert failed.reason == "REQUEST_TOO_LARGE"
            assert failed.violations == expected

    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("size", "compression", "message"),
    [
        pytest.param(
            200_000,
            grpc.Compression.NoCompression,
            "SERVER: Received message larger than max (200014 vs. 131072)",
            id="plain",
        ),
        pytest.param(50_000_000, grpc.Compression.Gzip, "Decompressed message larger than max", id="gzip bomb"),
    ],
)
async def test_a_message_over_the_limit_of_grpc_is_refused_by_grpc(
    upstream: FakeUpstream, size: int, compression: grpc.Compression, message: str
) -> None:
    """Twice our cap is refused before our code, without an ErrorInfo, and the server lives on."""
    async with serving_upstream(upstream, max_request_bytes=65_536) as running:
        failed = await failure(running.stub.Complete(a_wire_request("x" * size), compression=compression))

        assert failed.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert failed.message == message
        assert failed.reason == ""
        assert upstream.connections == 0
        await running.client().complete(a_wire_request())


async def test_metadata_of_20_kb_is_refused_by_grpc(
    upstream: FakeUpstream, running_server: RunningServer, stub: Any
) -> None:
    """More metadata than grpc takes never reaches our code, and the next call is served."""
    failed = await failure(stub.Complete(a_wire_request(), metadata=(("x-big", "y" * 20_480),)))

    assert failed.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failed.reason == ""
    assert upstream.connections == 0
    assert running_server.server.calls_in_flight == 0
    await stub.Complete(a_wire_request())


@pytest.mark.parametrize("capabilities", [frozenset(), frozenset({Capability.REASONING})], ids=["plain", "reasoning"])
async def test_the_effort_xhigh_is_unsupported(upstream: FakeUpstream, capabilities: frozenset[Capability]) -> None:
    """No model accepts the effort XHIGH yet; every method refuses it before an upstream is called."""
    xhigh = completion_pb2.ReasoningOptions(effort=completion_pb2.REASONING_EFFORT_XHIGH)
    entry = model_entry(upstream.api_base, capabilities=capabilities)
    request = a_wire_request(reasoning=xhigh)

    async with serving(config_for(entry)) as running:
        stub: Any = running.stub
        failures = [
            await failure(stub.Complete(request)),
            await failure(stub.StreamComplete(events_pb2.StreamCompleteRequest(request=request)).read()),
            await failure(stub.Classify(classification_pb2.ClassifyRequest(request=request))),
        ]

    for failed in failures:
        assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
        assert failed.violations == (FieldViolation("reasoning.effort", "No model accepts XHIGH yet."),)
    assert upstream.connections == 0


async def test_provider_options_outside_the_whitelist_are_unsupported(upstream: FakeUpstream) -> None:
    """Only what the model's entry allows is taken; each other name is told."""
    entry = model_entry(upstream.api_base, provider_options=frozenset({"top_a"}))
    options = {"top_a": "0.5", "api_base": '"http://evil"', "extra_headers": "{}"}

    async with serving(config_for(entry)) as running:
        failed = await failure(running.stub.Complete(a_wire_request(provider_options=options)))

    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert failed.reason == "UNSUPPORTED_PARAMETER"
    assert failed.violations == violations(
        ("provider_options[api_base]", "The entry of fake does not allow it."),
        ("provider_options[extra_headers]", "The entry of fake does not allow it."),
    )
    assert upstream.connections == 0


@pytest.mark.parametrize("method", ["StreamComplete", "Classify"])
async def test_a_request_inside_another_is_required(stub: Any, method: str) -> None:
    """`StreamComplete` and `Classify` without their request say so."""
    kinds = {"StreamComplete": events_pb2.StreamCompleteRequest, "Classify": classification_pb2.ClassifyRequest}
    call = getattr(stub, method)(kinds[method]())

    failed = await failure(call.read() if method == "StreamComplete" else call)

    assert failed.reason == "INVALID_FIELD"
    assert failed.violations == violations(("request", "It is required."))


@pytest.mark.parametrize("seconds", [-1, 0, 3601])
async def test_heartbeats_have_bounds(stub: Any, seconds: int) -> None:
    """An interval out of bounds is named beside the faults of the request."""
    request = events_pb2.StreamCompleteRequest(
        request=completion_pb2.CompleteRequest(),
        stream_options=events_pb2.StreamOptions(heartbeat_interval=Duration(seconds=seconds)),
    )

    failed = await failure(stub.StreamComplete(request).read())

    assert failed.violations == violations(
        ("messages", "At least one message is required."),
        ("stream_options.heartbeat_interval", "It must be from 0.1 to 3600."),
    )


UNKNOWN_MODELS = [
    pytest.param("../x", {}, id="path"),
    pytest.param("azure/x", {}, id="another provider"),
    pytest.param("openai/fake", {"nearest": "fake"}, id="litellm's own name"),
    pytest.param("http://127.0.0.1:1/v1", {}, id="URL"),
    pytest.param("fak", {"nearest": "fake"}, id="a slip"),
    pytest.param("{model}{0}", {}, id="a format"),
    pytest.param("\U0001f600" * 128, {}, id="128 smileys"),
]


@pytest.mark.parametrize(("model", "nearest"), UNKNOWN_MODELS)
@pytest.mark.parametrize("field", ["model", "fallback_models"])
async def test_an_unknown_model_is_not_found(refusal: Refusal, field: str, model: str, nearest: dict[str, str]) -> None:
    """Callers name entries of our table and nothing else, as the model or to fall back on."""
    failed = await refusal(a_wire_request(**({"model": model} if field == "model" else {"fallback_models": [model]})))

    assert failed.code == grpc.StatusCode.NOT_FOUND
    assert failed.reason == "MODEL_NOT_FOUND"
    assert failed.message == f'There is no model "{model}".'
    assert failed.metadata == {"model": model} | nearest
    assert failed.violations == ()


async def test_an_unknown_fallback_is_printed_safely(refusal: Refusal) -> None:
    """What is not printable in a name that we repeat is replaced."""
    failed = await refusal(a_wire_request(fallback_models=["azure\r\nx: y"]))

    assert failed.code == grpc.StatusCode.NOT_FOUND
    assert failed.message == 'There is no model "azure??x: y".'
    assert failed.metadata == {"model": "azure??x: y"}


async def test_streams_and_classification_refuse_the_same_models(upstream: FakeUpstream, stub: Any) -> None:
    """No method is a way around the table."""
    classify = classification_pb2.ClassifyRequest(request=a_wire_request(model="azure/x"))

    for call in (stub.StreamComplete(a_stream_request(model="azure/x")).read(), stub.Classify(classify)):
        failed = await failure(call)

        assert failed.code == grpc.StatusCode.NOT_FOUND
        assert failed.reason == "MODEL_NOT_FOUND"
        assert failed.metadata == {"model": "azure/x"}
    assert upstream.connections == 0


async def test_the_nearest_names_come_nearest_first(upstream: FakeUpstream) -> None:
    """A slip in a name is answered with up to three names that are like it."""
    names = ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-nano", "claude")

    async with serving(config_for(*(model_entry(upstream.api_base, name) for name in names))) as running:
        failed = await failure(running.stub.Complete(a_wire_request(model="gpt-4")))

    assert failed.metadata == {"model": "gpt-4", "nearest": "gpt-4o, gpt-4.1, gpt-4o-mini"}


SMILEY: Final = "\U0001f600"
HUGE = [
    pytest.param({"labels": {f"{number}{SMILEY * 1000}": "x" for number in range(32)}}, id="keys of labels"),
    pytest.param(
        {"provider_options": {f"{number}{SMILEY * 1000}": "{" for number in range(32)}}, id="names of provider options"
    ),
    pytest.param({"messages": [messages_pb2.Message()] * 1000}, id="a thousand messages"),
    pytest.param(with_tools(*(a_tool(SMILEY * 1000, "[]") for _ in range(128))), id="tools"),
]


@pytest.mark.parametrize("fields", HUGE)
async def test_details_stay_under_4_kb(upstream: FakeUpstream, stub: Any, fields: dict[str, Any]) -> None:
    """However much is wrong, the status is ours and not grpc's refusal of too large a one."""
    request = a_wire_request(request_id="r" * 128, **fields)

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.Complete(request)

    details = dict(failed.value.trailing_metadata() or ())[STATUS]
    assert len(details) < 4096
    assert CallFailed(failed.value).reason == "INVALID_FIELD"
    assert CallFailed(failed.value).request_id == "r" * 128
    assert 10 <= len(CallFailed(failed.value).violations) <= 20
    assert upstream.connections == 0


EVERY_ERROR = [
    pytest.param(b"\xff", "MALFORMED_REQUEST", [], id="malformed"),
    pytest.param(a_wire_request("x" * 70_000), "REQUEST_TOO_LARGE", ["BadRequest"], id="too large"),
    pytest.param(completion_pb2.CompleteRequest(), "INVALID_FIELD", ["BadRequest"], id="invalid"),
    pytest.param(
        a_wire_request(provider_options={"x": "1"}), "UNSUPPORTED_PARAMETER", ["BadRequest"], id="unsupported"
    ),
    pytest.param(a_wire_request(model="x"), "MODEL_NOT_FOUND", [], id="not found"),
    pytest.param(
        a_wire_request(routing=routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_ORCHESTRATION)),
        "ROUTE_NOT_IMPLEMENTED",
        ["RouteDecision"],
        id="not implemented",
    ),
]


@pytest.mark.parametrize(("request_or_bytes", "reason", "further"), EVERY_ERROR)
async def test_every_error_carries_its_details(
    upstream: FakeUpstream, request_or_bytes: Message | bytes, reason: str, further: list[str]
) -> None:
    """An ErrorInfo of our domain, a RequestInfo, what belongs to the reason, and the word not to retry."""
    payload = request_or_bytes if isinstance(request_or_bytes, bytes) else request_or_bytes.SerializeToString()

    async with serving_upstream(upstream, max_request_bytes=65_536) as running:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await raw(running.channel.unary_unary)(payload, metadata=(("x-request-id", "r-1"),))

    trailers = dict(failed.value.trailing_metadata() or ())
    status = Status.FromString(trailers[STATUS])
    error_info, request_info = error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo()
    assert [detail.TypeName().rpartition(".")[2] for detail in status.details] == ["ErrorInfo", "RequestInfo", *further]
    assert status.details[0].Unpack(error_info)
    assert (error_info.domain, error_info.reason) == ("reasoning-grpc", reason)
    assert status.details[1].Unpack(request_info)
    assert request_info.request_id == "r-1"
    assert status.code == failed.value.code().value[0]
    assert status.message == failed.value.details()
    assert "grpc-retry-pushback-ms" not in trailers


REQUEST_IDS = [
    pytest.param("in-request", "in-metadata", "in-request", id="the request's own before the metadata's"),
    pytest.param("", "in-metadata", "in-metadata", id="the metadata's"),
    pytest.param("two words", "in-metadata", "in-metadata", id="the metadata's when the request's is invalid"),
]


@pytest.mark.parametrize(("in_request", "in_metadata", "expected"), REQUEST_IDS)
async def test_the_request_id_is_the_callers(stub: Any, in_request: str, in_metadata: str, expected: str) -> None:
    """Errors of all methods name the id that the caller gave."""
    bad = a_wire_request(model="x\n", request_id=in_request)
    metadata = (("x-request-id", in_metadata),)
    calls = (
        stub.Complete(bad, metadata=metadata),
        stub.StreamComplete(events_pb2.StreamCompleteRequest(request=bad), metadata=metadata).read(),
        stub.Classify(classification_pb2.ClassifyRequest(request=bad), metadata=metadata),
    )

    for call in calls:
        assert (await failure(call)).request_id == expected


@pytest.mark.parametrize(
    "in_metadata",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("two words", id="invalid"),
        pytest.param("x" * 129, id="too long"),
    ],
)
async def test_a_request_without_id_gets_one(stub: Any, in_metadata: str | None) -> None:
    """The server makes an id for each call that brings no usable one."""
    metadata = () if in_metadata is None else (("x-request-id", in_metadata),)

    ids = [(await failure(stub.Complete(a_wire_request(model="x"), metadata=metadata))).request_id for _ in range(2)]

    assert [len(request_id) for request_id in ids] == [36, 36]
    assert all(request_id.startswith("req_") for request_id in ids)
    assert ids[0] != ids[1]


async def test_an_answer_names_its_request_id(stub: Any) -> None:
    """A call that ends well says in its trailers under which id it was logged."""
    call = stub.Complete(a_wire_request(request_id="mine"))

    await call

    assert dict(await call.trailing_metadata() or ())["x-request-id"] == "mine"
