"""The parameters on Anthropic's wire: what the provider refuses together is refused, or fitted and reported."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import Sampling as Defaults
from reasoning_grpc.v1.completion_pb2 import (
    FINISH_REASON_STOP,
    REASONING_EFFORT_HIGH,
    REASONING_EFFORT_MAX,
    REASONING_EFFORT_MINIMAL,
    REASONING_EFFORT_NONE,
    REASONING_EFFORT_XHIGH,
    TOOL_CHOICE_MODE_AUTO,
    TOOL_CHOICE_MODE_NONE,
    TOOL_CHOICE_MODE_REQUIRED,
    JsonSchemaFormat,
    ReasoningOptions,
    ResponseFormat,
    Sampling,
    TextFormat,
    Tool,
    ToolChoice,
)
from reasoning_grpc.v1.messages_pb2 import ROLE_ASSISTANT, Message, Part
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream
from tests.support.wire_bodies import Json, Setting, capture_body, find_refused_fields

LEGACY, BOTH, ADAPTIVE, ALWAYS, OLD, UNABLE = (
    "claude-sonnet-4-5",
    "claude-opus-4-6",
    "claude-opus-4-8",
    "claude-sonnet-5-5",
    "claude-3-7-sonnet-20250219",
    "claude-3-5-haiku-20241022",
)
"""Models that take budgets; budgets and efforts; efforts; that always reason; write no schemas; do not reason."""
HIGH: Final = ReasoningOptions(effort=REASONING_EFFORT_HIGH)
AS_TOKENS: Final = ("reasoning.effort", "HIGH", "4096 tokens")
OFF: Final = ReasoningOptions(effort=REASONING_EFFORT_NONE)
TOOL: Final = Tool(name="f", parameters_schema='{"type": "object"}')
FORCED: Final = ToolChoice(mode=TOOL_CHOICE_MODE_REQUIRED)
PREFILL: Final = Message(role=ROLE_ASSISTANT, content=[Part(text="b")])


def schema_format(schema: Json, **members: Any) -> ResponseFormat:
    """Creates the format of a JSON schema."""
    return ResponseFormat(json_schema=JsonSchemaFormat(name="n", schema=json.dumps(schema), **members))


def adaptive(effort: str) -> Json:
    """Returns what requests an effort of a newer model."""
    return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": effort}}


def enabled(budget: int) -> Json:
    """Returns what requests reasoning within a budget."""
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def object_of(**properties: Any) -> Json:
    """Returns the schema of an object."""
    return {"type": "object", "properties": properties}


def closed(schema: Json) -> Json:
    """Returns the schema of an object without other properties."""
    return schema | {"additionalProperties": False}


STRING: Final[Json] = {"type": "string"}

SENT: Final[dict[str, tuple[str, Json, Json, list[Setting]]]] = {
    "an effort with a small limit": (
        LEGACY,
        {"reasoning": HIGH, "sampling": Sampling(max_output_tokens=3000)},
        {"max_tokens": 3000, **enabled(1500)},
        [("reasoning.effort", "HIGH", "1500 tokens")],
    ),
    "an effort with the smallest limit": (
        LEGACY,
        {"reasoning": HIGH, "sampling": Sampling(max_output_tokens=1025)},
        {"max_tokens": 1025, **enabled(1024)},
        [("reasoning.effort", "HIGH", "1024 tokens")],
    ),
    "an effort with a large limit": (
        LEGACY,
        {"reasoning": HIGH, "sampling": Sampling(max_output_tokens=5000)},
        {"max_tokens": 5000, **enabled(4096)},
        [AS_TOKENS],
    ),
    "an effort without a limit": (LEGACY, {"reasoning": HIGH}, {"max_tokens": 64000, **enabled(4096)}, [AS_TOKENS]),
    "an effort of a model that litellm hardly knows": (
        OLD,
        {"reasoning": HIGH},
        {"max_tokens": 8192, **enabled(4096)},
        [AS_TOKENS],
    ),
    "the smallest budget for the least effort": (
        LEGACY,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_MINIMAL)},
        {"max_tokens": 64000, **enabled(1024)},
        [("reasoning.effort", "MINIMAL", "1024 tokens")],
    ),
    "the greatest effort": (
        LEGACY,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_MAX)},
        {"max_tokens": 64000, **enabled(16384)},
        [("reasoning.effort", "MAX", "16384 tokens")],
    ),
    "the greatest effort of a newer model": (
        ADAPTIVE,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_MAX)},
        {"max_tokens": 128000, **adaptive("max")},
        [],
    ),
    "an effort between two that a model takes": (
        BOTH,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_XHIGH)},
        {"max_tokens": 128000, **adaptive("high")},
        [("reasoning.effort", "XHIGH", "HIGH")],
    ),
    "a budget below the smallest": (
        LEGACY,
        {"reasoning": ReasoningOptions(budget_tokens=1023)},
        {"max_tokens": 64000, **enabled(1024)},
        [("reasoning.budget_tokens", "1023", "1024")],
    ),
    "a budget of a newer model": (
        ADAPTIVE,
        {"reasoning": ReasoningOptions(budget_tokens=3000)},
        {"max_tokens": 128000, **adaptive("medium")},
        [("reasoning.budget_tokens", "3000", "MEDIUM")],
    ),
    "an effort below the lowest of a newer model": (
        ADAPTIVE,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_MINIMAL)},
        {"max_tokens": 128000, **adaptive("low")},
        [("reasoning.effort", "MINIMAL", "LOW")],
    ),
    "an effort of a newer model with a small limit": (
        ADAPTIVE,
        {"reasoning": HIGH, "sampling": Sampling(max_output_tokens=1000)},
        {"max_tokens": 1000, **adaptive("high")},
        [],
    ),
    "a budget of a model that takes both": (
        BOTH,
        {"reasoning": ReasoningOptions(budget_tokens=2000)},
        {"max_tokens": 128000, **enabled(2000)},
        [],
    ),
    "no reasoning of an older model": (LEGACY, {"reasoning": OFF}, {"max_tokens": 64000}, []),
    "no reasoning of a newer model": (
        ADAPTIVE,
        {"reasoning": OFF},
        {"max_tokens": 128000, "thinking": {"type": "disabled"}},
        [],
    ),
    "what goes with reasoning": (
        LEGACY,
        {
            "reasoning": HIGH,
            "sampling": Sampling(temperature=1, max_output_tokens=9000),
            "tools": [TOOL],
            "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_AUTO),
        },
        {"temperature": 1, "max_tokens": 9000, "tool_choice": {"type": "auto"}, **enabled(4096)},
        [AS_TOKENS],
    ),
    "top_p with reasoning": (
        LEGACY,
        {"reasoning": HIGH, "sampling": Sampling(top_p=0.95, max_output_tokens=9000)},
        {"top_p": 0.95, "max_tokens": 9000, **enabled(4096)},
        [AS_TOKENS],
    ),
    "temperature and top_p of an old model": (
        OLD,
        {"sampling": Sampling(temperature=0.5, top_p=0.5)},
        {"temperature": 0.5, "top_p": 0.5, "max_tokens": 4096},
        [],
    ),
    "the temperature that a newer model takes": (
        ADAPTIVE,
        {"sampling": Sampling(temperature=1)},
        {"temperature": 1, "max_tokens": 128000},
        [],
    ),
    "parallel calls and no calls": (
        LEGACY,
        {
            "tools": [TOOL],
            "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_NONE),
            "parallel_tool_calls": False,
        },
        {"tool_choice": {"type": "none"}, "max_tokens": 64000},
        [],
    ),
    "more stop sequences than OpenAI takes": (
        LEGACY,
        {"sampling": Sampling(stop_sequences=list("abcdef"))},
        {"stop_sequences": list("abcdef"), "max_tokens": 64000},
        [],
    ),
    "plain text": (LEGACY, {"response_format": ResponseFormat(text=TextFormat())}, {"max_tokens": 64000}, []),
    "an e-mail address": (
        LEGACY,
        {"end_user": "a@example.com"},
        {"max_tokens": 64000},
        [("end_user", "a@example.com", "")],
    ),
    "a telephone number": (
        LEGACY,
        {"end_user": "+49 30 1234567"},
        {"max_tokens": 64000},
        [("end_user", "+49 30 1234567", "")],
    ),
}
"""Requests that are sent: the model, the fields, what they add to the body without the tools, and what is reported."""

REFUSED: Final[dict[str, tuple[str, Json, list[str]]]] = {
    "an effort with too small a limit": (
        LEGACY,
        {"reasoning": HIGH, "sampling": Sampling(max_output_tokens=1000)},
        ["reasoning.effort"],
    ),
    "a budget of the whole limit": (
        LEGACY,
        {"reasoning": ReasoningOptions(budget_tokens=2000), "sampling": Sampling(max_output_tokens=2000)},
        ["reasoning.budget_tokens"],
    ),
    "a budget with too small a limit": (
        LEGACY,
        {"reasoning": ReasoningOptions(budget_tokens=10), "sampling": Sampling(max_output_tokens=1024)},
        ["reasoning.budget_tokens"],
    ),
    "no reasoning of a model that always reasons": (ALWAYS, {"reasoning": OFF}, ["reasoning.effort"]),
    "temperature with an effort": (
        LEGACY,
        {"reasoning": HIGH, "sampling": Sampling(temperature=0.2)},
        ["sampling.temperature"],
    ),
    "temperature with a budget": (
        BOTH,
        {"reasoning": ReasoningOptions(budget_tokens=2000), "sampling": Sampling(temperature=0)},
        ["sampling.temperature"],
    ),
    "top_k and top_p with an effort": (
        LEGACY,
        {"reasoning": HIGH, "sampling": Sampling(top_k=3, top_p=0.9)},
        ["sampling.top_k", "sampling.top_p"],
    ),
    "temperature with top_p": (LEGACY, {"sampling": Sampling(temperature=0.5, top_p=0.5)}, ["sampling.top_p"]),
    "a temperature above 1": (LEGACY, {"sampling": Sampling(temperature=1.2)}, ["sampling.temperature"]),
    "sampling of a newer model": (
        ADAPTIVE,
        {"sampling": Sampling(temperature=0.5, top_p=0.5, top_k=3)},
        ["sampling.temperature", "sampling.top_k", "sampling.top_p"],
    ),
    "blank stop sequences": (
        LEGACY,
        {"sampling": Sampling(stop_sequences=["x", "\n", " "])},
        ["sampling.stop_sequences[1]", "sampling.stop_sequences[2]"],
    ),
    "an effort of a model that does not reason": (UNABLE, {"reasoning": HIGH}, ["reasoning.effort"]),
    "an answer that is no object": (
        OLD,
        {"response_format": schema_format({"type": "array"})},
        ["response_format.json_schema.schema"],
    ),
    "an answer of alternatives": (
        OLD,
        {"response_format": schema_format({"anyOf": [object_of(a=STRING), object_of(b=STRING)]})},
        ["response_format.json_schema.schema"],
    ),
    "a forced tool with an effort": (
        LEGACY,
        {"reasoning": HIGH, "tools": [TOOL], "tool_choice": FORCED},
        ["tool_choice"],
    ),
    "a named tool with an effort": (
        ADAPTIVE,
        {"reasoning": HIGH, "tools": [TOOL], "tool_choice": ToolChoice(tool="f")},
        ["tool_choice"],
    ),
    "a forced tool of a model that always reasons": (ALWAYS, {"tools": [TOOL], "tool_choice": FORCED}, ["tool_choice"]),
    "a schema and tools of an old model": (
        OLD,
        {"response_format": schema_format(object_of(a=STRING)), "tools": [TOOL]},
        ["response_format"],
    ),
}
"""Requests that are refused: the model, the fields, and the fields by whose names they are refused."""


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with models of Anthropic of several generations."""
    names = (LEGACY, BOTH, ADAPTIVE, ALWAYS, OLD, UNABLE)
    entries = [provider_entry(upstream, "anthropic", name, litellm_model=f"anthropic/{name}") for name in names]
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
    body.pop("tools", None)
    assert body == expected
    assert settings == reported


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_parameters_that_the_model_refuses_are_not_sent(
    upstream: FakeUpstream, server: RunningServer, case: tuple[str, Json, list[str]]
) -> None:
    """A combination that the provider would refuse is refused before anything is sent, by the fields that cause it."""
    model, fields, refused = case

    assert await find_refused_fields(upstream, server, a_wire_request(model=model, **fields)) == refused


@pytest.mark.parametrize("reasoning", [HIGH, ReasoningOptions(budget_tokens=2000)], ids=["effort", "budget"])
async def test_a_model_that_reasons_does_not_continue_an_answer(
    upstream: FakeUpstream, server: RunningServer, reasoning: ReasoningOptions
) -> None:
    """The beginning of an answer at the end of the conversation is refused while the model reasons."""
    request = a_wire_request(model=LEGACY, reasoning=reasoning)
    request.messages.append(PREFILL)

    assert await find_refused_fields(upstream, server, request) == ["messages[1]"]


async def test_a_model_that_writes_a_schema_does_not_continue_an_answer(
    upstream: FakeUpstream, server: RunningServer
) -> None:
    """The beginning of an answer at the end of the conversation is refused beside a schema."""
    request = a_wire_request(model=LEGACY, response_format=schema_format(object_of(a=STRING)))
    request.messages.append(PREFILL)

    assert await find_refused_fields(upstream, server, request) == ["messages[1]"]


async def test_a_default_that_the_model_does_not_take_is_left_out(upstream: FakeUpstream) -> None:
    """A default of the configuration never refuses a request that did not set it; the limit of the answer holds."""
    defaults = Defaults(temperature=0.2, top_k=5, max_output_tokens=9000, stop_sequences=("x", " "))
    entry = provider_entry(upstream, "anthropic", LEGACY, litellm_model=f"anthropic/{LEGACY}", defaults=defaults)

    async with serving(config_for(entry)) as server:
        plain, _ = await capture_body(upstream, server, a_wire_request())
        reasoning, settings = await capture_body(upstream, server, a_wire_request(reasoning=HIGH))
        top_p, _ = await capture_body(upstream, server, a_wire_request(sampling=Sampling(top_p=0.5)))

    assert plain["messages"]
    del plain["messages"], reasoning["messages"], top_p["messages"]
    assert plain == {"temperature": 0.2, "top_k": 5, "max_tokens": 9000}
    assert reasoning == {"max_tokens": 9000, **enabled(4096)}
    assert settings == [AS_TOKENS]
    assert top_p == {"top_p": 0.5, "top_k": 5, "max_tokens": 9000}


SCHEMAS: Final[dict[str, tuple[Json, Json, list[Setting]]]] = {
    "an object": (object_of(a=STRING), closed(object_of(a=STRING)), []),
    "a closed object without properties": (closed(object_of()), closed(object_of()), []),
    "objects within": (
        object_of(
            a={"type": "array", "items": object_of(b=STRING)}, c={"type": ["object", "null"], **object_of(d=STRING)}
        ),
        closed(
            object_of(
                a={"type": "array", "items": closed(object_of(b=STRING))},
                c=closed(object_of(d=STRING)),
            )
        ),
        [],
    ),
    "references": (
        object_of(a={"$ref": "#/$defs/A"}, b={"allOf": [{"$ref": "#/$defs/A"}], "description": "d"})
        | {"$defs": {"A": object_of(b=STRING)}},
        closed(object_of(a={"$ref": "#/$defs/A"}, b={"$ref": "#/$defs/A", "description": "d"}))
        | {"$defs": {"A": closed(object_of(b=STRING))}},
        [],
    ),
    "values": (
        object_of(
            a={"enum": [1, "x", None]}, b={"const": 3}, c={"type": "string", "format": "date", "pattern": "^a+$"}
        ),
        closed(
            object_of(
                a={"enum": [1, "x", None]}, b={"const": 3}, c={"type": "string", "format": "date", "pattern": "^a+$"}
            )
        ),
        [],
    ),
    "limits": (
        object_of(
            a={"type": "integer", "minimum": 1, "description": "d"},
            b={"type": "array", "items": STRING, "minItems": 1, "maxItems": 3, "uniqueItems": False},
            c={"oneOf": [STRING, {"type": "string", "format": "x", "pattern": r"\bx"}]},
        ),
        closed(
            object_of(
                a={"type": "integer", "description": "d (minimum: 1)"},
                b={
                    "type": "array",
                    "items": STRING,
                    "minItems": 1,
                    "uniqueItems": False,
                    "description": "(maxItems: 3)",
                },
                c={"anyOf": [STRING, {"type": "string", "description": r'(format: "x"; pattern: "\\bx")'}]},
            )
        ),
        [("response_format.json_schema.schema", "format, maxItems, minimum, oneOf, pattern", "only described")],
    ),
}
"""Schemas of answers: as requested, as sent, and what is reported."""

OPEN: Final[dict[str, Json]] = {
    "a map": object_of(m={"type": "object", "additionalProperties": {"type": "integer"}}),
    "a map beside properties": object_of(a=STRING) | {"additionalProperties": True},
    "any object": object_of(m={"type": "object"}),
    "an object of patterns": closed(object_of(a=STRING)) | {"patternProperties": {"^x": STRING}},
    "a map in a definition": object_of(a={"$ref": "#/$defs/A"}) | {"$defs": {"A": {"type": ["object", "null"]}}},
    "a map in an array": object_of(a={"type": "array", "items": {"type": "object"}}),
    "a map in an alternative": object_of(a={"anyOf": [STRING, {"type": "object"}]}),
    "a schema that refers to itself": object_of(a={"$ref": "#/$defs/A"})
    | {"$defs": {"A": object_of(b={"$ref": "#/$defs/A"})}},
    "a reference to the root": object_of(a={"$ref": "#"}),
    "all of several": object_of(a={"allOf": [object_of(a=STRING), object_of(b=STRING)]}),
    "an enum of arrays": object_of(a={"enum": [[1]]}),
}
"""Schemas that the provider cannot follow."""


@pytest.mark.parametrize("case", SCHEMAS.values(), ids=SCHEMAS)
async def test_a_schema_keeps_its_meaning(
    upstream: FakeUpstream, server: RunningServer, case: tuple[Json, Json, list[Setting]]
) -> None:
    """A schema leaves as it is written; what the provider does not enforce is described and reported."""
    schema, expected, reported = case
    request = a_wire_request(model=LEGACY, response_format=schema_format(schema), tools=[TOOL])

    body, settings = await capture_body(upstream, server, request)

    assert body["output_config"] == {"format": {"type": "json_schema", "schema": expected}}
    assert "tool_choice" not in body
    assert settings == reported


@pytest.mark.parametrize("schema", OPEN.values(), ids=OPEN)
async def test_a_schema_that_the_provider_cannot_follow_is_refused(
    upstream: FakeUpstream, server: RunningServer, schema: Json
) -> None:
    """A schema whose maps could only be empty, for example, is refused before anything is sent."""
    request = a_wire_request(model=LEGACY, response_format=schema_format(schema))

    assert await find_refused_fields(upstream, server, request) == ["response_format.json_schema.schema"]


async def test_the_refusal_of_a_schema_names_the_place(server: RunningServer) -> None:
    """The violation points to the object within the schema that the provider does not take, and says what to do."""
    of_maps = {"type": "array", "items": {"type": "object", "additionalProperties": STRING}}
    request = a_wire_request(model=LEGACY, response_format=schema_format(object_of(**{"a/b": of_maps})))

    with pytest.raises(CallFailed) as failed:
        await server.client().complete(request)

    (violation,) = failed.value.violations
    assert violation.description == (
        "#/properties/a~1b/items: The model writes only objects whose properties are all listed. "
        "List them, or make additionalProperties false."
    )


async def test_strict_is_refused_where_it_would_not_hold(upstream: FakeUpstream, server: RunningServer) -> None:
    """A strict schema with keywords that the provider does not enforce is refused."""
    schema = object_of(a={"type": "integer", "minimum": 1})
    request = a_wire_request(model=LEGACY, response_format=schema_format(schema, strict=True))

    assert await find_refused_fields(upstream, server, request) == ["response_format.json_schema.schema"]


async def test_the_description_of_a_format_reaches_the_model(upstream: FakeUpstream, server: RunningServer) -> None:
    """The description of a format becomes that of its schema, unless the schema has one."""
    described = schema_format(object_of(a=STRING), description="d")

    body, _ = await capture_body(upstream, server, a_wire_request(model=LEGACY, response_format=described))

    assert body["output_config"]["format"]["schema"] == closed(object_of(a=STRING)) | {"description": "d"}


async def test_an_old_model_gets_a_schema_as_a_tool(upstream: FakeUpstream, server: RunningServer) -> None:
    """An old model gets the schema as a tool that it must call, with its references and its description."""
    schema = object_of(a={"$ref": "#/$defs/A"}) | {"$defs": {"A": STRING}}
    request = a_wire_request(model=OLD, response_format=schema_format(schema, description="d"))

    body, settings = await capture_body(upstream, server, request)

    assert body["tools"] == [{"name": "json_tool_call", "description": "d", "input_schema": schema}]
    assert body["tool_choice"] == {"type": "tool", "name": "json_tool_call"}
    assert settings == []


async def test_an_old_model_does_not_hold_to_a_schema_strictly(upstream: FakeUpstream, server: RunningServer) -> None:
    """A strict schema of an old model is sent, and the caller learns that the model may answer otherwise."""
    request = a_wire_request(model=OLD, response_format=schema_format(object_of(a=STRING), strict=True))

    _, settings = await capture_body(upstream, server, request)

    assert settings == [("response_format.json_schema.strict", "true", "false")]


async def test_an_old_model_that_reasons_cannot_be_forced(upstream: FakeUpstream, server: RunningServer) -> None:
    """An old model that reasons gets the schema as a tool that it need not call, and the caller learns this."""
    request = a_wire_request(model=OLD, response_format=schema_format(object_of(a=STRING)), reasoning=HIGH)

    body, settings = await capture_body(upstream, server, request)

    assert [tool["name"] for tool in body["tools"]] == ["json_tool_call"]
    assert "tool_choice" not in body
    assert settings == [("response_format", "JSON_SCHEMA", "offered as a tool"), AS_TOKENS]


async def test_the_call_of_that_tool_is_the_answer(upstream: FakeUpstream, server: RunningServer) -> None:
    """The arguments of the schema's tool are the text of the answer, which ends as a text does."""
    upstream.reply(tool_calls=(FakeToolCall("t1", "json_tool_call", '{"a": "b"}'),))
    request = a_wire_request(model=OLD, response_format=schema_format(object_of(a=STRING)))

    answer = await server.client().complete(request)

    assert [part.text for part in answer.message.content] == ['{"a": "b"}']
    assert answer.finish_reason == FINISH_REASON_STOP


async def test_a_tool_keeps_the_whole_of_its_schema(upstream: FakeUpstream, server: RunningServer) -> None:
    """A tool leaves with the descriptions and the definitions of its schema."""
    schema = object_of(a={"$ref": "#/$defs/A"}) | {"description": "all", "$defs": {"A": STRING}}
    tool = Tool(name="f", parameters_schema=json.dumps(schema))

    body, _ = await capture_body(upstream, server, a_wire_request(model=LEGACY, tools=[tool]))

    assert body["tools"] == [{"name": "f", "input_schema": schema, "type": "custom"}]


INTERLEAVED: Final = "interleaved-thinking-2025-05-14"
FEATURES: Final[dict[str, tuple[str, ReasoningOptions, list[Tool], str]]] = {
    "a budget": (LEGACY, ReasoningOptions(budget_tokens=2000), [TOOL], INTERLEAVED),
    "an effort that becomes a budget": (LEGACY, HIGH, [TOOL], INTERLEAVED),
    "a budget of a model that takes efforts too": (BOTH, ReasoningOptions(budget_tokens=2000), [TOOL], INTERLEAVED),
    "an effort": (BOTH, HIGH, [TOOL], ""),
    "no tools": (LEGACY, ReasoningOptions(budget_tokens=2000), [], ""),
    "no reasoning": (LEGACY, OFF, [TOOL], ""),
    "nothing said of reasoning": (LEGACY, ReasoningOptions(), [TOOL], ""),
}
"""The model, the reasoning and the tools of a request, and the features in beta that it uses."""


@pytest.mark.parametrize("case", FEATURES.values(), ids=FEATURES)
async def test_a_model_with_a_budget_reasons_between_calls(
    upstream: FakeUpstream, server: RunningServer, case: tuple[str, ReasoningOptions, list[Tool], str]
) -> None:
    """A request with a budget and tools uses the feature by which the model reasons between its calls."""
    model, reasoning, tools, features = case

    await server.client().complete(a_wire_request(model=model, reasoning=reasoning, tools=tools))

    assert upstream.requests[0].headers.get("anthropic-beta", "") == features
