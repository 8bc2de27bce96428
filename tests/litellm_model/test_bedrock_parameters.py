"""The parameters on Bedrock's wire: nothing is left out or changed without an error or a report."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from reasoning_grpc.v1.completion_pb2 import (
    FINISH_REASON_STOP,
    REASONING_EFFORT_HIGH,
    REASONING_EFFORT_LOW,
    REASONING_EFFORT_MINIMAL,
    REASONING_EFFORT_NONE,
    TOOL_CHOICE_MODE_AUTO,
    TOOL_CHOICE_MODE_NONE,
    TOOL_CHOICE_MODE_REQUIRED,
    JsonObjectFormat,
    JsonSchemaFormat,
    ReasoningOptions,
    ResponseFormat,
    Sampling,
    TextFormat,
    Tool,
    ToolChoice,
)
from reasoning_grpc.v1.messages_pb2 import ROLE_ASSISTANT, ROLE_TOOL, Message, Part, ToolCall, ToolResult
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream
from tests.support.wire_bodies import Json, Setting, capture_body, find_refused_fields

MODELS: Final = {
    "claude": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "newer": "anthropic.claude-opus-4-8",
    "nova": "amazon.nova-pro-v1:0",
    "nova-2": "amazon.nova-2-lite-v1:0",
    "llama": "meta.llama3-1-70b-instruct-v1:0",
    "gpt-oss": "openai.gpt-oss-120b-1:0",
    "deepseek": "deepseek.v3-v1:0",
}
HIGH: Final = ReasoningOptions(effort=REASONING_EFFORT_HIGH)
OFF: Final = ReasoningOptions(effort=REASONING_EFFORT_NONE)
MINIMAL: Final = ReasoningOptions(effort=REASONING_EFFORT_MINIMAL)
TOOL: Final = Tool(name="f", description="d", parameters_schema='{"type": "object"}')
REQUIRED: Final = ToolChoice(mode=TOOL_CHOICE_MODE_REQUIRED)
NO_CALLS: Final = ToolChoice(mode=TOOL_CHOICE_MODE_NONE)
SCHEMA: Final[Json] = {"type": "object", "properties": {"a": {"type": "string"}}}
MAP: Final[Json] = {"type": "object", "additionalProperties": {"type": "integer"}}
CALLED: Final = (
    Message(role=ROLE_ASSISTANT, content=[Part(tool_call=ToolCall(id="t1", name="f", arguments="{}"))]),
    Message(role=ROLE_TOOL, content=[Part(tool_result=ToolResult(call_id="t1", content="42"))]),
)


def schema_format(schema: Json, **members: Any) -> ResponseFormat:
    """Creates the format of a JSON schema."""
    return ResponseFormat(json_schema=JsonSchemaFormat(name="n", schema=json.dumps(schema), **members))


def tool_block(**members: Any) -> Json:
    """Returns the block of the tool, as litellm writes it."""
    schema = {"type": "object", "properties": {}, "required": []}
    return {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": schema}, **members}}


def thinking(budget: int, limit: int) -> Json:
    """Returns what requests reasoning within a budget."""
    return {
        "inferenceConfig": {"maxTokens": limit},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": budget}},
        "additionalModelResponseFieldPaths": ["/usage/output_tokens_details"],
    }


SENT: Final[dict[str, tuple[str, Json, Json, list[Setting]]]] = {
    "the end user": ("claude", {"end_user": "user-7"}, {}, [("end_user", "user-7", "")]),
    "plain text": ("llama", {"response_format": ResponseFormat(text=TextFormat())}, {}, []),
    "top_k of Claude": (
        "claude",
        {"sampling": Sampling(top_k=3)},
        {"additionalModelRequestFields": {"top_k": 3}},
        [],
    ),
    "top_k of Nova": (
        "nova",
        {"sampling": Sampling(top_k=3)},
        {"additionalModelRequestFields": {"inferenceConfig": {"topK": 3}}},
        [],
    ),
    "sampling": (
        "nova",
        {"sampling": Sampling(temperature=0.5, top_p=0.5, max_output_tokens=5, stop_sequences=["x"])},
        {"inferenceConfig": {"temperature": 0.5, "topP": 0.5, "maxTokens": 5, "stopSequences": ["x"]}},
        [],
    ),
    "more stop sequences than OpenAI takes": (
        "nova",
        {"sampling": Sampling(stop_sequences=list("abcdef"))},
        {"inferenceConfig": {"stopSequences": list("abcdef")}},
        [],
    ),
    "a forced tool": (
        "nova",
        {"tools": [TOOL], "tool_choice": REQUIRED},
        {"toolConfig": {"tools": [tool_block()], "toolChoice": {"any": {}}}},
        [],
    ),
    "the usual choice of tools": (
        "llama",
        {"tools": [TOOL], "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_AUTO), "parallel_tool_calls": True},
        {"toolConfig": {"tools": [tool_block()]}},
        [],
    ),
    "no calls of tools": ("nova", {"tools": [TOOL], "tool_choice": NO_CALLS}, {}, [("tools", "1", "0")]),
    "one call at a time": (
        "claude",
        {"tools": [TOOL], "parallel_tool_calls": False},
        {
            "toolConfig": {"tools": [tool_block()]},
            "additionalModelRequestFields": {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        },
        [],
    ),
    "a strict tool": (
        "claude",
        {"tools": [Tool(name="f", description="d", parameters_schema='{"type": "object"}', strict=True)]},
        {"toolConfig": {"tools": [tool_block(strict=True)]}},
        [],
    ),
    "a tool that forbids other arguments": (
        "nova",
        {"tools": [Tool(name="f", description="d", parameters_schema='{"additionalProperties": false}')]},
        {"toolConfig": {"tools": [tool_block()]}},
        [("tools[0].parameters_schema", "additionalProperties", "")],
    ),
    "an effort of Claude": (
        "claude",
        {"reasoning": HIGH},
        thinking(4096, 64000),
        [("reasoning.effort", "HIGH", "4096 tokens")],
    ),
    "an effort of Claude with a small limit": (
        "claude",
        {"reasoning": HIGH, "sampling": Sampling(max_output_tokens=3000)},
        thinking(1500, 3000),
        [("reasoning.effort", "HIGH", "1500 tokens")],
    ),
    "no reasoning of a newer Claude": (
        "newer",
        {"reasoning": OFF},
        {
            "additionalModelRequestFields": {"thinking": {"type": "disabled"}},
            "additionalModelResponseFieldPaths": ["/usage/output_tokens_details"],
        },
        [],
    ),
    "an effort of Nova": (
        "nova-2",
        {"reasoning": HIGH},
        {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}},
        [],
    ),
    "an effort of Nova below the lowest": (
        "nova-2",
        {"reasoning": MINIMAL},
        {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}},
        [("reasoning.effort", "MINIMAL", "LOW")],
    ),
    "a budget below the smallest": (
        "claude",
        {"reasoning": ReasoningOptions(budget_tokens=100)},
        thinking(1024, 64000),
        [("reasoning.budget_tokens", "100", "1024")],
    ),
    "a budget of Nova": (
        "nova-2",
        {"reasoning": ReasoningOptions(budget_tokens=3000)},
        {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}},
        [("reasoning.budget_tokens", "3000", "MEDIUM")],
    ),
    "no reasoning of Nova": ("nova-2", {"reasoning": OFF}, {}, []),
    "an effort of gpt-oss": (
        "gpt-oss",
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_LOW)},
        {"additionalModelRequestFields": {"reasoning_effort": "low"}},
        [],
    ),
}
"""Requests that are sent: the model, the fields, what they add to the body, and what is reported."""

REFUSED: Final[dict[str, tuple[str, Json, list[str]]]] = {
    "seed": ("nova", {"sampling": Sampling(seed=1)}, ["sampling.seed"]),
    "top_k that litellm leaves out": ("llama", {"sampling": Sampling(top_k=3)}, ["sampling.top_k"]),
    "a temperature above 1": ("nova", {"sampling": Sampling(temperature=1.5)}, ["sampling.temperature"]),
    "temperature and top_p of Claude": (
        "claude",
        {"sampling": Sampling(temperature=0.5, top_p=0.5)},
        ["sampling.top_p"],
    ),
    "a blank stop sequence of Claude": (
        "claude",
        {"sampling": Sampling(stop_sequences=[" "])},
        ["sampling.stop_sequences[0]"],
    ),
    "no calls of tools that were called": (
        "nova",
        {"tools": [TOOL], "tool_choice": NO_CALLS, "called": True},
        ["tool_choice"],
    ),
    "a choice of a model that takes none": ("llama", {"tools": [TOOL], "tool_choice": REQUIRED}, ["tool_choice"]),
    "one call at a time": ("nova", {"tools": [TOOL], "parallel_tool_calls": False}, ["parallel_tool_calls"]),
    "a strict tool": ("nova", {"tools": [Tool(name="f", strict=True)]}, ["tools[0].strict"]),
    "the name of a tool": ("claude", {"tools": [Tool(name="1f")]}, ["tools[0].name"]),
    "a tool that refers to itself": (
        "claude",
        {
            "tools": [
                Tool(
                    name="f",
                    parameters_schema=json.dumps(
                        {
                            "properties": {"a": {"$ref": "#/$defs/A"}},
                            "$defs": {"A": {"properties": {"b": {"$ref": "#/$defs/A"}}}},
                        }
                    ),
                )
            ]
        },
        ["tools[0].parameters_schema"],
    ),
    "a map of arguments": (
        "nova",
        {"tools": [Tool(name="f", parameters_schema=json.dumps(MAP))]},
        ["tools[0].parameters_schema"],
    ),
    "a map as the answer": ("nova", {"response_format": schema_format(MAP)}, ["response_format.json_schema.schema"]),
    "an option with null in a list": (
        "nova",
        {"provider_options": {"foo": '{"a": [1, null]}'}},
        ["provider_options[foo]"],
    ),
    "a forced tool that litellm makes a free one": (
        "gpt-oss",
        {"reasoning": HIGH, "tools": [TOOL], "tool_choice": REQUIRED},
        ["tool_choice"],
    ),
    "a forced tool while Claude reasons": (
        "claude",
        {"reasoning": HIGH, "tools": [TOOL], "tool_choice": REQUIRED},
        ["tool_choice"],
    ),
    "a budget of a model that does not reason": (
        "nova",
        {"reasoning": ReasoningOptions(budget_tokens=2000)},
        ["reasoning.budget_tokens"],
    ),
    "an effort of a model that does not reason": ("nova", {"reasoning": HIGH}, ["reasoning.effort"]),
    "no reasoning of a model that always reasons": ("gpt-oss", {"reasoning": OFF}, ["reasoning.effort"]),
    "a map": (
        "claude",
        {"response_format": schema_format({"type": "object", "properties": {"m": MAP}})},
        ["response_format.json_schema.schema"],
    ),
    "a strict schema with limits": (
        "deepseek",
        {
            "response_format": schema_format(
                {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}, strict=True
            )
        },
        ["response_format.json_schema.schema"],
    ),
    "a schema and tools": ("nova", {"response_format": schema_format(SCHEMA), "tools": [TOOL]}, ["response_format"]),
}
"""Requests that are refused: the model, the fields, and the fields by whose names they are refused."""


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with models of several makers on Bedrock."""
    entries = [
        provider_entry(upstream, "bedrock", name, litellm_model=f"bedrock/{model}", provider_options=frozenset({"foo"}))
        for name, model in MODELS.items()
    ]
    async with serving(config_for(*entries)) as running:
        yield running


@pytest.mark.parametrize("case", SENT.values(), ids=SENT)
async def test_parameters_are_sent_as_the_model_takes_them(
    upstream: FakeUpstream, server: RunningServer, case: tuple[str, Json, Json, list[Setting]]
) -> None:
    """Each parameter reaches the model, and a parameter that is fitted to it is reported."""
    model, fields, expected, reported = case

    body, settings = await capture_body(upstream, server, a_wire_request(model=model, **fields))

    del body["messages"]
    assert body == {"inferenceConfig": {}} | expected
    assert settings == reported


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_parameters_that_the_model_refuses_are_not_sent(
    upstream: FakeUpstream, server: RunningServer, case: tuple[str, Json, list[str]]
) -> None:
    """What a model would refuse, or litellm would leave out, is refused before anything is sent."""
    model, fields, refused = case
    is_called = fields.get("called", False)
    request = a_wire_request(model=model, **{name: value for name, value in fields.items() if name != "called"})
    request.messages.extend(CALLED if is_called else ())

    assert await find_refused_fields(upstream, server, request) == refused


@pytest.mark.parametrize("model", MODELS)
async def test_json_mode_is_refused(upstream: FakeUpstream, server: RunningServer, model: str) -> None:
    """JSON without a schema is refused, because litellm leaves it out."""
    request = a_wire_request(model=model, response_format=ResponseFormat(json_object=JsonObjectFormat()))

    assert await find_refused_fields(upstream, server, request) == ["response_format"]


async def test_a_schema_of_a_model_that_writes_schemas(upstream: FakeUpstream, server: RunningServer) -> None:
    """A schema goes to Bedrock's structured outputs, closed, beside the tools of the caller."""
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
    request = a_wire_request(model="claude", response_format=schema_format(schema, description="d"), tools=[TOOL])

    body, settings = await capture_body(upstream, server, request)

    written = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(written.pop("schema")) == {
        "type": "object",
        "properties": {"a": {"type": "integer", "description": "(minimum: 1)"}},
        "additionalProperties": False,
    }
    assert written == {"name": "n", "description": "d"}
    assert body["toolConfig"] == {"tools": [tool_block()]}
    assert settings == [("response_format.json_schema.schema", "minimum", "only described")]


async def test_a_schema_of_another_model(upstream: FakeUpstream, server: RunningServer) -> None:
    """litellm gives the schema to another model as a tool, whose arguments are the text of the answer."""
    upstream.reply(tool_calls=(FakeToolCall("t1", "json_tool_call", '{"a": "b"}'),))
    request = a_wire_request(model="nova", response_format=schema_format(SCHEMA, strict=True))

    answer = await server.client().complete(request)

    (captured,) = upstream.requests
    assert captured.body["toolConfig"]["toolChoice"] == {"tool": {"name": "json_tool_call"}}
    assert [part.text for part in answer.message.content] == ['{"a": "b"}']
    assert answer.finish_reason == FINISH_REASON_STOP
    assert [(each.field, each.requested, each.effective) for each in answer.effective_settings] == [
        ("response_format.json_schema.strict", "true", "false")
    ]


async def test_null_among_values_arrives(upstream: FakeUpstream, server: RunningServer) -> None:
    """Null among the values of an enum is written as a type, because litellm leaves it out of lists."""
    schema = {"properties": {"a": {"enum": ["x", None]}, "b": {"const": None}}}
    tool = Tool(name="f", parameters_schema=json.dumps(schema))

    body, _ = await capture_body(upstream, server, a_wire_request(model="claude", tools=[tool]))

    (sent,) = body["toolConfig"]["tools"]
    assert sent["toolSpec"]["inputSchema"]["json"]["properties"] == {
        "a": {"anyOf": [{"enum": ["x"]}, {"type": "null"}]},
        "b": {"anyOf": [{"type": "null"}]},
    }


@pytest.mark.parametrize(("model", "fields"), [("nova-2", {"reasoning": HIGH}), ("llama", {})])
async def test_a_schema_that_is_only_offered(
    upstream: FakeUpstream, server: RunningServer, model: str, fields: Json
) -> None:
    """A model that cannot be forced to call a tool gets the schema as a tool, and the caller learns this."""
    request = a_wire_request(model=model, response_format=schema_format(SCHEMA), **fields)

    body, settings = await capture_body(upstream, server, request)

    assert body["toolConfig"].keys() == {"tools"}
    assert settings == [("response_format", "JSON_SCHEMA", "offered as a tool")]
