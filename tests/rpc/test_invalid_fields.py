"""A request with invalid fields is refused before an upstream is called, and every field is named."""

from typing import Any, Final

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, messages_pb2, routing_pb2
from tests.support.bad_requests import (
    NAME,
    NOT_KNOWN,
    UNKNOWN,
    ExpectRefusal,
    a_tool,
    violations,
    with_assistant_part,
    with_media,
    with_message,
    with_sampling,
    with_schema,
    with_tools,
    with_user_part,
)
from tests.support.factories import a_wire_request
from tests.support.wire_calls import expect_failure

INVALID: Final = "The request has invalid fields; see the field violations."
MEDIA_TYPE: Final = "It must be a type of image, audio, application or text."


INVALID_FIELDS = [
    pytest.param({"messages": []}, "messages", "At least one message is required.", id="no messages"),
    pytest.param(with_message(1), "messages[0].content", "At least one part is required.", id="no content"),
    pytest.param(
        with_message(0, messages_pb2.Part(text="hi")),
        "messages[0].role",
        "It is required.",
        id="a message without role",
    ),
    pytest.param(with_user_part(text=""), "messages[0].content[0].text", "It must not be empty.", id="empty text"),
    pytest.param(with_user_part(), "messages[0].content[0]", "It must hold a content.", id="a part without content"),
    pytest.param(
        with_user_part(refusal="no"),
        "messages[0].content[0].refusal",
        "A message of the role USER takes media, text.",
        id="a refusal by the user",
    ),
    pytest.param(
        with_message(messages_pb2.ROLE_TOOL, messages_pb2.Part(text="hi")),
        "messages[0].content[0].text",
        "A message of the role TOOL takes tool_result.",
        id="a text of a tool",
    ),
    pytest.param(
        with_message(1, messages_pb2.Part(text="hi"), name="a b"),
        "messages[0].name",
        "It must be up to 64 of letters, digits, underscore and dash.",
        id="name of a participant",
    ),
    pytest.param(
        with_assistant_part(refusal=""), "messages[0].content[0].refusal", "It must not be empty.", id="empty refusal"
    ),
    pytest.param(
        with_assistant_part(tool_call=messages_pb2.ToolCall(name="f")),
        "messages[0].content[0].tool_call.id",
        "It is required.",
        id="a tool call without id",
    ),
    pytest.param(
        with_assistant_part(tool_call=messages_pb2.ToolCall(id="1")),
        "messages[0].content[0].tool_call.name",
        "It is required.",
        id="a tool call without name",
    ),
    pytest.param(
        with_message(messages_pb2.ROLE_TOOL, messages_pb2.Part(tool_result=messages_pb2.ToolResult())),
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
        id="audio by URI",
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
    expect_refusal: ExpectRefusal, fields: dict[str, Any], field: str, description: str
) -> None:
    """A request with one invalid field has one violation, which names the field."""
    failed = await expect_refusal(a_wire_request(**fields))

    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert failed.reason == "INVALID_FIELD"
    assert failed.message == f"{INVALID} {field}: {description}"
    assert failed.metadata == {}
    assert failed.violations == violations((field, description))


async def test_all_invalid_fields_are_named_at_once(expect_refusal: ExpectRefusal) -> None:
    """All violations of a request are reported together, those of a limit last."""
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

    failed = await expect_refusal(request)

    assert failed.reason == "INVALID_FIELD"
    assert failed.message == f"{INVALID} model: It must be printable."
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


@pytest.mark.parametrize("method", ["StreamComplete", "Classify"])
async def test_the_inner_request_is_required(stub: Any, method: str) -> None:
    """`StreamComplete` and `Classify` refuse a message that does not hold a request."""
    kinds = {"StreamComplete": events_pb2.StreamCompleteRequest, "Classify": classification_pb2.ClassifyRequest}
    call = getattr(stub, method)(kinds[method]())

    failed = await expect_failure(call.read() if method == "StreamComplete" else call)

    assert failed.reason == "INVALID_FIELD"
    assert failed.violations == violations(("request", "It is required."))


@pytest.mark.parametrize("seconds", [-1, 0, 3601])
async def test_heartbeats_have_bounds(stub: Any, seconds: int) -> None:
    """A heartbeat interval out of bounds is reported together with the violations of the request."""
    request = events_pb2.StreamCompleteRequest(
        request=completion_pb2.CompleteRequest(),
        stream_options=events_pb2.StreamOptions(heartbeat_interval=Duration(seconds=seconds)),
    )

    failed = await expect_failure(stub.StreamComplete(request).read())

    assert failed.violations == violations(
        ("messages", "At least one message is required."),
        ("stream_options.heartbeat_interval", "It must be from 0.1 to 3600."),
    )
