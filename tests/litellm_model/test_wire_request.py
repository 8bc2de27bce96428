"""What part of a request reaches the upstream, and in which form: each field, read from the captured body."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message as AnyMessage

from reasoning_grpc.v1.completion_pb2 import (
    CONTEXT_POLICY_TRUNCATE_OLDEST,
    REASONING_EFFORT_HIGH,
    REASONING_EFFORT_LOW,
    REASONING_EFFORT_MAX,
    REASONING_EFFORT_MEDIUM,
    REASONING_EFFORT_MINIMAL,
    REASONING_EFFORT_NONE,
    REASONING_EFFORT_XHIGH,
    TOOL_CHOICE_MODE_AUTO,
    TOOL_CHOICE_MODE_NONE,
    TOOL_CHOICE_MODE_REQUIRED,
    CompleteRequest,
    IncludeOptions,
    JsonObjectFormat,
    JsonSchemaFormat,
    ReasoningEffort,
    ReasoningOptions,
    ResponseFormat,
    Sampling,
    TextFormat,
    Tool,
    ToolChoice,
)
from reasoning_grpc.v1.messages_pb2 import (
    ROLE_ASSISTANT,
    ROLE_SYSTEM,
    ROLE_TOOL,
    ROLE_USER,
    Media,
    Message,
    Part,
    Reasoning,
    ToolCall,
    ToolResult,
)
from reasoning_grpc.v1.routing_pb2 import ROUTING_MODE_PASSTHROUGH, ROUTING_PREFERENCE_QUALITY, RoutingOptions
from tests.support.captured_body import BARE, PREFIXES, Json, a_wire_message, capture_body, encode_exactly
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream

NOT_SERVED: Final = {
    "CompleteRequest.agent",
    "IncludeOptions.task_results",
    "IncludeOptions.tool_results",
    "IncludeOptions.thoughts",
    "Part.paused_run",
}
"""Fields that no upstream gets: they are the agent's."""


def _media(mime_type: str, **fields: Any) -> Part:
    return Part(media=Media(mime_type=mime_type, **fields))


SCHEMA: Final = '{"type":"object","properties":{"b":{"type":"integer"},"a":{}}}'
WIRE_SCHEMA: Final = {"type": "object", "properties": {"b": {"type": "integer"}, "a": {}}}
LOOKUP: Final = Tool(name="lookup")
WIRE_LOOKUP: Final = {
    "type": "function",
    "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}},
}

FIELDS: Final[dict[str, tuple[Json, Json]]] = {
    "nothing": ({}, {}),
    "temperature-0": ({"sampling": Sampling(temperature=0)}, {"temperature": 0.0}),
    "top_p": ({"sampling": Sampling(top_p=0.5)}, {"top_p": 0.5}),
    "top_k": ({"sampling": Sampling(top_k=3)}, {"top_k": 3}),
    "max_output_tokens": ({"sampling": Sampling(max_output_tokens=5)}, {"max_tokens": 5}),
    "stop": ({"sampling": Sampling(stop_sequences=["a", "\n", *"bcdef"])}, {"stop": ["a", "\n", *"bcdef"]}),
    "seed-0": ({"sampling": Sampling(seed=0)}, {"seed": 0}),
    "seed-of-64-bits": ({"sampling": Sampling(seed=-(2**63))}, {"seed": -(2**63)}),
    "presence_penalty-0": ({"sampling": Sampling(presence_penalty=0)}, {"presence_penalty": 0.0}),
    "frequency_penalty": ({"sampling": Sampling(frequency_penalty=-2)}, {"frequency_penalty": -2.0}),
    "logit_bias": (
        {"sampling": Sampling(logit_bias={50256: -100, 7: 1.5})},
        {"logit_bias": {"50256": -100.0, "7": 1.5}},
    ),
    "logprobs-false": ({"sampling": Sampling(logprobs=False)}, {"logprobs": False}),
    "top_logprobs-0": ({"sampling": Sampling(logprobs=True, top_logprobs=0)}, {"logprobs": True, "top_logprobs": 0}),
    "tool-without-schema": ({"tools": [LOOKUP]}, {"tools": [WIRE_LOOKUP]}),
    "tool-with-schema": (
        {"tools": [Tool(name="f", description="d", parameters_schema=SCHEMA)]},
        {"tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": WIRE_SCHEMA}}]},
    ),
    "strict-tool": (
        {"tools": [Tool(name="f", parameters_schema=SCHEMA, strict=True)]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": WIRE_SCHEMA, "strict": True}}]},
    ),
    "lax-tool": (
        {"tools": [Tool(name="f", parameters_schema=SCHEMA, strict=False)]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": WIRE_SCHEMA, "strict": False}}]},
    ),
    "tool_choice-auto": (
        {"tools": [LOOKUP], "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_AUTO)},
        {"tools": [WIRE_LOOKUP], "tool_choice": "auto"},
    ),
    "tool_choice-none": (
        {"tools": [LOOKUP], "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_NONE)},
        {"tools": [WIRE_LOOKUP], "tool_choice": "none"},
    ),
    "tool_choice-required": (
        {"tools": [LOOKUP], "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_REQUIRED)},
        {"tools": [WIRE_LOOKUP], "tool_choice": "required"},
    ),
    "tool_choice-by-name": (
        {"tools": [LOOKUP], "tool_choice": ToolChoice(tool="lookup")},
        {"tools": [WIRE_LOOKUP], "tool_choice": {"type": "function", "function": {"name": "lookup"}}},
    ),
    "parallel_tool_calls-false": (
        {"tools": [LOOKUP], "parallel_tool_calls": False},
        {"tools": [WIRE_LOOKUP], "parallel_tool_calls": False},
    ),
    "text-format": ({"response_format": ResponseFormat(text=TextFormat())}, {"response_format": {"type": "text"}}),
    "json-object": (
        {"response_format": ResponseFormat(json_object=JsonObjectFormat())},
        {"response_format": {"type": "json_object"}},
    ),
    "json-schema": (
        {"response_format": ResponseFormat(json_schema=JsonSchemaFormat(name="n", schema=SCHEMA))},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": WIRE_SCHEMA}}},
    ),
    "json-schema-in-full": (
        {
            "response_format": ResponseFormat(
                json_schema=JsonSchemaFormat(name="n", schema=SCHEMA, description="d", strict=False)
            )
        },
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": WIRE_SCHEMA, "description": "d", "strict": False},
            }
        },
    ),
    "end_user": ({"end_user": "user-7"}, {"user": "user-7"}),
    "provider_options": (
        {"provider_options": {"min_p": "0.1", "chat_template_kwargs": '{"enable_thinking":false,"x":[1,null]}'}},
        {"min_p": 0.1, "chat_template_kwargs": {"enable_thinking": False, "x": [1, None]}},
    ),
    "ours-alone": (
        {
            "routing": RoutingOptions(mode=ROUTING_MODE_PASSTHROUGH),
            "context_policy": CONTEXT_POLICY_TRUNCATE_OLDEST,
            "fallback_models": ["openai"],
            "include": IncludeOptions(reasoning=True, model_calls=True),
            "request_id": "req-7",
            "labels": {"team": "a"},
        },
        {},
    ),
    "a-route": (
        {"routing": RoutingOptions(route="passthrough", preference=ROUTING_PREFERENCE_QUALITY)},
        {},
    ),
}
"""Fields of a request, and what they add to the body, whatever the prefix."""

PDF: Final = {"file_data": "data:application/pdf;base64,YWJj"}
MESSAGES: Final[dict[str, tuple[Message, list[Json]]]] = {
    "system": (a_wire_message(ROLE_SYSTEM, Part(text="be brief")), [{"role": "system", "content": "be brief"}]),
    "user": (a_wire_message(ROLE_USER, Part(text="hi")), [{"role": "user", "content": "hi"}]),
    "assistant": (a_wire_message(ROLE_ASSISTANT, Part(text="yes")), [{"role": "assistant", "content": "yes"}]),
    "name": (
        a_wire_message(ROLE_USER, Part(text="hi"), name="ann"),
        [{"role": "user", "content": "hi", "name": "ann"}],
    ),
    "name-of-an-assistant": (
        a_wire_message(ROLE_ASSISTANT, Part(text="yes"), name="bot"),
        [{"role": "assistant", "content": "yes", "name": "bot"}],
    ),
    "several-texts": (
        a_wire_message(ROLE_USER, Part(text="a"), Part(text="b")),
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    ),
    "several-texts-of-an-assistant": (
        a_wire_message(ROLE_ASSISTANT, Part(text="a"), Part(text="b")),
        [{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    ),
    "every-character": (
        a_wire_message(ROLE_USER, Part(text='\u20ac\U0001f600\u0000"\\\u2028')),
        [{"role": "user", "content": '\u20ac\U0001f600\u0000"\\\u2028'}],
    ),
    "image-by-uri": (
        a_wire_message(ROLE_USER, Part(text="see"), _media("image/png", uri="https://example.com/a.png")),
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                ],
            }
        ],
    ),
    "image-by-data": (
        a_wire_message(ROLE_USER, _media("image/png", data=b"abc")),
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}}]}],
    ),
    "audio-wav": (
        a_wire_message(ROLE_USER, _media("audio/x-wav", data=b"abc")),
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "YWJj", "format": "wav"}}]}],
    ),
    "audio-mp3": (
        a_wire_message(ROLE_USER, _media("audio/mpeg", data=b"abc")),
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "YWJj", "format": "mp3"}}]}],
    ),
    "audio-of-another-kind": (
        a_wire_message(ROLE_USER, _media("audio/ogg", data=b"abc")),
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "YWJj", "format": "ogg"}}]}],
    ),
    "pdf": (
        a_wire_message(ROLE_USER, _media("application/pdf", data=b"abc", filename="a.pdf")),
        [{"role": "user", "content": [{"type": "file", "file": PDF | {"filename": "a.pdf"}}]}],
    ),
    "reasoning": (
        a_wire_message(ROLE_ASSISTANT, Part(reasoning=Reasoning(text="hm"))),
        [{"role": "assistant", "content": "", "reasoning_content": "hm"}],
    ),
    "signed-reasoning": (
        a_wire_message(ROLE_ASSISTANT, Part(reasoning=Reasoning(text="hm"), signature="sig"), Part(text="yes")),
        [
            {
                "role": "assistant",
                "content": "yes",
                "reasoning_content": "hm",
                "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "sig"}],
            }
        ],
    ),
    "redacted-reasoning": (
        a_wire_message(
            ROLE_ASSISTANT,
            Part(reasoning=Reasoning(text="a"), signature="s1"),
            Part(reasoning=Reasoning(redacted=b"opaque")),
            Part(reasoning=Reasoning(text="b"), signature="s2"),
        ),
        [
            {
                "role": "assistant",
                "content": "",
                "reasoning_content": "a\n\nb",
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "a", "signature": "s1"},
                    {"type": "redacted_thinking", "data": "opaque"},
                    {"type": "thinking", "thinking": "b", "signature": "s2"},
                ],
            }
        ],
    ),
    "refusal": (
        a_wire_message(ROLE_ASSISTANT, Part(refusal="no")),
        [{"role": "assistant", "content": "", "refusal": "no"}],
    ),
    "tool-calls": (
        a_wire_message(
            ROLE_ASSISTANT,
            Part(text="wait"),
            Part(tool_call=ToolCall(id="c1", name="f", arguments='{"a": 1}')),
            Part(tool_call=ToolCall(id="c2", name="g", arguments='{"malformed')),
        ),
        [
            {
                "role": "assistant",
                "content": "wait",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": '{"malformed'}},
                ],
            }
        ],
    ),
    "tool-results": (
        a_wire_message(
            ROLE_TOOL,
            Part(tool_result=ToolResult(call_id="c1", content='{"ok": 1}')),
            Part(tool_result=ToolResult(call_id="c2", content="no such file", is_error=True)),
        ),
        [
            {"role": "tool", "tool_call_id": "c1", "content": '{"ok": 1}'},
            {"role": "tool", "tool_call_id": "c2", "content": "Error: no such file"},
        ],
    ),
}
"""A message, and its form in the body. Other servers than a LiteLLM proxy get its reasoning in two members."""

SIGNED_CALL: Final = a_wire_message(
    ROLE_ASSISTANT, Part(tool_call=ToolCall(id="c1", name="f", arguments="{}"), signature="gs")
)
WIRE_CALL: Final = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
GOOGLES: Final = {"extra_content": {"google": {"thought_signature": "gs"}}}
CACHED: Final = a_wire_message(ROLE_USER, Part(text="long", cache=True), Part(text="short"))
SHORT: Final = {"type": "text", "text": "short"}
UNCACHED_WIRE: Final = [{"role": "user", "content": [{"type": "text", "text": "long"}, SHORT]}]
UNNAMED_PDF: Final = a_wire_message(ROLE_USER, _media("application/pdf", data=b"abc"))
THINKING: Final[Json] = {"reasoning": ReasoningOptions(budget_tokens=100)}
BY_PREFIX: Final[dict[str, tuple[str, Json, Json]]] = {
    "signature-of-a-call-openai": (
        "openai",
        {"messages": [SIGNED_CALL]},
        {"messages": [{"role": "assistant", "tool_calls": [WIRE_CALL | GOOGLES]}]},
    ),
    "signature-of-a-call-custom_openai": (
        "custom_openai",
        {"messages": [SIGNED_CALL]},
        {"messages": [{"role": "assistant", "tool_calls": [WIRE_CALL | GOOGLES]}]},
    ),
    "signature-of-a-call-litellm_proxy": (
        "litellm_proxy",
        {"messages": [SIGNED_CALL]},
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [WIRE_CALL | {"provider_specific_fields": {"thought_signature": "gs"}}],
                }
            ]
        },
    ),
    "cache-openai": ("openai", {"messages": [CACHED]}, {"messages": UNCACHED_WIRE}),
    "cache-of-an-answer-and-a-result-litellm_proxy": (
        "litellm_proxy",
        {
            "messages": [
                a_wire_message(ROLE_ASSISTANT, Part(text="yes", cache=True)),
                a_wire_message(ROLE_TOOL, Part(tool_result=ToolResult(call_id="c1", content="4"), cache=True)),
            ]
        },
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": [{"type": "text", "text": "yes", "cache_control": {"type": "ephemeral"}}],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "4", "cache_control": {"type": "ephemeral"}},
            ]
        },
    ),
    "cache-custom_openai": ("custom_openai", {"messages": [CACHED]}, {"messages": UNCACHED_WIRE}),
    "cache-litellm_proxy": (
        "litellm_proxy",
        {"messages": [CACHED]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}, SHORT],
                }
            ]
        },
    ),
    "budget_tokens-litellm_proxy": (
        "litellm_proxy",
        THINKING,
        {"thinking": {"type": "enabled", "budget_tokens": 100}},
    ),
    # OpenAI's own API requires a name; litellm invents one.
    "pdf-without-a-name-openai": (
        "openai",
        {"messages": [UNNAMED_PDF]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": PDF | {"filename": "document.pdf"}}]}]},
    ),
    "pdf-without-a-name-litellm_proxy": (
        "litellm_proxy",
        {"messages": [UNNAMED_PDF]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": PDF}]}]},
    ),
}
"""Prefix, fields, and what they add to the body, where prefixes differ."""

EFFORTS: Final = {
    REASONING_EFFORT_NONE: "none",
    REASONING_EFFORT_MINIMAL: "minimal",
    REASONING_EFFORT_LOW: "low",
    REASONING_EFFORT_MEDIUM: "medium",
    REASONING_EFFORT_HIGH: "high",
    REASONING_EFFORT_XHIGH: "xhigh",
    REASONING_EFFORT_MAX: "max",
}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("fields", "added"), FIELDS.values(), ids=FIELDS.keys())
async def test_a_field_is_sent(
    upstream: FakeUpstream, prefix_server: RunningServer, prefix: str, fields: Json, added: Json
) -> None:
    """A field that is set is sent in the form of the OpenAI dialect, and nothing else is sent."""
    body = await capture_body(upstream, prefix_server, a_wire_request(model=prefix, **fields))

    assert encode_exactly(body) == encode_exactly(BARE | added)


def _name_reasoning_twice(message: Json) -> Json:
    return {"reasoning": message["reasoning_content"]} if "reasoning_content" in message else {}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("message", "wire"), MESSAGES.values(), ids=MESSAGES.keys())
async def test_a_message_is_sent(
    upstream: FakeUpstream, prefix_server: RunningServer, prefix: str, message: Message, wire: list[Json]
) -> None:
    """Every role and kind of part is sent in the form of the OpenAI dialect, each tool result as a message."""
    body = await capture_body(upstream, prefix_server, a_wire_request(model=prefix, messages=[message]))

    if prefix != "litellm_proxy":
        wire = [each | _name_reasoning_twice(each) for each in wire]
    assert encode_exactly(body) == encode_exactly(BARE | {"messages": wire})


@pytest.mark.parametrize(("prefix", "fields", "added"), BY_PREFIX.values(), ids=BY_PREFIX.keys())
async def test_where_prefixes_differ(
    upstream: FakeUpstream, prefix_server: RunningServer, prefix: str, fields: Json, added: Json
) -> None:
    """Cache marks, signatures and budgets are sent in the form of the provider behind the prefix, or not at all."""
    body = await capture_body(upstream, prefix_server, a_wire_request(model=prefix, **fields))

    assert encode_exactly(body) == encode_exactly(BARE | added)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("effort", "word"), EFFORTS.items(), ids=EFFORTS.values())
async def test_reasoning_effort(
    upstream: FakeUpstream, prefix_server: RunningServer, prefix: str, effort: ReasoningEffort.ValueType, word: str
) -> None:
    """Every reasoning effort is sent by its word to a model of which nothing is known."""
    body = await capture_body(
        upstream, prefix_server, a_wire_request(model=prefix, reasoning=ReasoningOptions(effort=effort))
    )

    assert encode_exactly(body) == encode_exactly(BARE | {"reasoning_effort": word})


def test_every_effort_is_tried() -> None:
    """The table of efforts has each value of the enum."""
    assert {0, *EFFORTS} == set(ReasoningEffort.values())


def test_every_field_is_tried() -> None:
    """The tables have each field of a request, except those that this build refuses."""
    rows: list[Json] = [fields for fields, _ in FIELDS.values()]
    rows += [fields for _, fields, _ in BY_PREFIX.values()]
    rows += [{"messages": [message]} for message, _ in MESSAGES.values()]
    efforts: list[Json] = [{"reasoning": ReasoningOptions(effort=effort)} for effort in EFFORTS]
    tried = {field for fields in rows + efforts for field in _list_set_fields(a_wire_request(model="x", **fields))}

    assert tried == set(_list_fields(CompleteRequest.DESCRIPTOR, without=NOT_SERVED))


def _list_set_fields(message: AnyMessage) -> Iterator[str]:
    for field, value in message.ListFields():
        yield f"{message.DESCRIPTOR.name}.{field.name}"
        for item in value if field.is_repeated else [value]:
            if isinstance(item, AnyMessage):
                yield from _list_set_fields(item)


def _list_fields(descriptor: Descriptor, without: set[str]) -> Iterator[str]:
    for field in descriptor.fields:
        name = f"{descriptor.name}.{field.name}"
        if name in without:
            continue
        yield name
        if field.message_type and not field.message_type.GetOptions().map_entry:
            yield from _list_fields(field.message_type, without)


async def test_json_text_is_sent_as_it_is(upstream: FakeUpstream, prefix_server: RunningServer) -> None:
    """The order of a schema's members stays, and so do integers that a double cannot hold."""
    schema = '{"type":"object","properties":{"z":{"maximum":9007199254740993},"a":{"minimum":1.0}}}'

    await prefix_server.client().complete(a_wire_request(tools=[Tool(name="f", parameters_schema=schema)]))

    (captured,) = upstream.requests
    assert schema.encode() in captured.raw
