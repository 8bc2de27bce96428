"""What Gemini gets of a request: the same in its own words, or something else that is reported, or nothing at all."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.request.dialects.amounts import describe_amounts
from reasoning_grpc.litellm_model.request.dialects.google.models import is_gemini_3
from reasoning_grpc.v1.completion_pb2 import (
    EFFECTIVE_SETTING_CAUSE_PROVIDER_LIMIT,
    REASONING_EFFORT_HIGH,
    REASONING_EFFORT_MEDIUM,
    REASONING_EFFORT_MINIMAL,
    REASONING_EFFORT_NONE,
    TOOL_CHOICE_MODE_NONE,
    CompleteRequest,
    CompleteResponse,
    JsonObjectFormat,
    JsonSchemaFormat,
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
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.upstream import FakeUpstream

Json = dict[str, Any]
PRO_2, FLASH_2, PRO_3, FLASH_3 = "gemini-2.5-pro", "gemini-2.5-flash", "gemini-3-pro-preview", "gemini-3-flash-preview"
LATEST, GEMMA, PRO_1 = "gemini-flash-latest", "gemma-3-27b-it", "gemini-1.5-pro"
TOOL: Final = Tool(name="f", description="d", parameters_schema='{"type": "object", "properties": {}}')
JSON: Final = ResponseFormat(json_object=JsonObjectFormat())
STRICT_NAME: Final = {"type": "object", "properties": {"strict": {"const": 1}}, "additionalProperties": False}
SENT_STRICT_NAME: Final = {"type": "object", "properties": {"strict": {"enum": [1]}}, "additionalProperties": False}
PATTERN: Final = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x"}}}
SCHEMA: Final = ResponseFormat(json_schema=JsonSchemaFormat(name="n", schema=json.dumps(STRICT_NAME)))


def system(*texts: str) -> Message:
    """Builds a message of the system."""
    return Message(role=ROLE_SYSTEM, content=[Part(text=text) for text in texts])


def user(text: str) -> Message:
    """Builds a message of the user."""
    return Message(role=ROLE_USER, content=[Part(text=text)])


def assistant(*texts: str, calls: tuple[ToolCall, ...] = ()) -> Message:
    """Builds a message of the model."""
    parts = [Part(text=text) for text in texts] + [Part(tool_call=call) for call in calls]
    return Message(role=ROLE_ASSISTANT, content=parts)


def call(call_id: str, name: str = "f", arguments: str = '{"a":1}') -> ToolCall:
    """Builds a tool call."""
    return ToolCall(id=call_id, name=name, arguments=arguments)


def results(**contents: str) -> Message:
    """Builds the results of calls, by their ids."""
    parts = [Part(tool_result=ToolResult(call_id=each, content=content)) for each, content in contents.items()]
    return Message(role=ROLE_TOOL, content=parts)


def model_turn(*parts: Json) -> Json:
    """Builds a turn of the model in the protocol."""
    return {"role": "model", "parts": list(parts)}


def user_turn(*parts: Json) -> Json:
    """Builds a turn of the user in the protocol."""
    return {"role": "user", "parts": list(parts)}


def made(name: str = "f", **arguments: Any) -> Json:
    """Builds a call in the protocol."""
    return {"function_call": {"name": name, "args": arguments or {"a": 1}}}


def answered(text: str, name: str = "f") -> Json:
    """Builds a result in the protocol."""
    return {"function_response": {"name": name, "response": {"content": text}}}


ASKED: Final = user_turn({"text": "q"})
CONVERSATIONS: Final[dict[str, tuple[list[Message], list[Json]]]] = {
    "empty message of the model": ([user("q"), assistant(), user("r")], [user_turn({"text": "q"}, {"text": "r"})]),
    "model first": ([assistant("a"), user("q")], [model_turn({"text": "a"}), ASKED]),
    "model last, with blanks": ([user("q"), assistant("a  ")], [ASKED, model_turn({"text": "a  "})]),
    "successive messages": ([user("q"), user("r")], [user_turn({"text": "q"}, {"text": "r"})]),
    "equal calls": (
        [user("q"), assistant(calls=(call("1"), call("2"))), results(**{"1": "x", "2": "y"})],
        [ASKED, model_turn(made(), made()), user_turn(answered("x"), answered("y"))],
    ),
    "results of successive messages": (
        [user("q"), assistant(calls=(call("1"),)), assistant(calls=(call("2", "g"),)), results(**{"1": "x", "2": "y"})],
        [ASKED, model_turn(made(), made("g")), user_turn(answered("x"), answered("y", "g"))],
    ),
    "a late result": (
        [
            user("q"),
            assistant(calls=(call("1"),)),
            user("r"),
            assistant(calls=(call("2", "g"),)),
            results(**{"1": "x"}),
        ],
        [ASKED, model_turn(made()), user_turn({"text": "r"}), model_turn(made("g")), user_turn(answered("x"))],
    ),
    "a result in JSON": (
        [user("q"), assistant(calls=(call("1"),)), results(**{"1": '{"id": 12345678901234567890, "id": NaN}'})],
        [ASKED, model_turn(made()), user_turn(answered('{"id": 12345678901234567890, "id": NaN}'))],
    ),
    "a result like an image": (
        [user("q"), assistant(calls=(call("1"),)), results(**{"1": "data:image/png;base64,aaaa"})],
        [ASKED, model_turn(made()), user_turn(answered("data:image/png;base64,aaaa"))],
    ),
    "arguments without a JSON form": (
        [user("q"), assistant(calls=(call("1", arguments='{"a":1e999}'),)), results(**{"1": ""})],
        [ASKED, model_turn(made(malformed_arguments='{"a":1e999}')), user_turn(answered(""))],
    ),
    "an audio of another name": (
        [Message(role=ROLE_USER, content=[Part(text="q"), Part(media=Media(mime_type="audio/mpeg", data=b"x"))])],
        [user_turn({"text": "q"}, {"inline_data": {"data": "eA==", "mime_type": "audio/mp3"}})],
    ),
    "media alone": (
        [Message(role=ROLE_USER, content=[Part(media=Media(mime_type="image/png", data=b"x"))])],
        [user_turn({"inline_data": {"data": "eA==", "mime_type": "image/png"}})],
    ),
    "reasoning, texts and calls in their order": (
        [
            user("q"),
            Message(
                role=ROLE_ASSISTANT,
                content=[
                    Part(text="one"),
                    Part(reasoning=Reasoning(text="hm")),
                    Part(tool_call=call("1"), signature="Y2FsbA=="),
                    Part(text="two", signature="dHdv"),
                    Part(reasoning=Reasoning(text="so")),
                    Part(text="", signature="ZW5k"),
                ],
            ),
            results(**{"1": "x"}),
        ],
        [
            ASKED,
            model_turn(
                {"text": "one"},
                {"text": "hm", "thought": True},
                made() | {"thoughtSignature": "Y2FsbA=="},
                {"text": "two", "thoughtSignature": "dHdv"},
                {"text": "so", "thought": True},
                {"text": "", "thoughtSignature": "ZW5k"},
            ),
            user_turn(answered("x")),
        ],
    ),
    "a refusal": (
        [user("q"), Message(role=ROLE_ASSISTANT, content=[Part(refusal="no")]), user("r")],
        [ASKED, model_turn({"text": "no"}), user_turn({"text": "r"})],
    ),
    "a document of text": (
        [Message(role=ROLE_USER, content=[Part(text="q"), Part(media=Media(mime_type="text/plain", data=b"x"))])],
        [user_turn({"text": "q"}, {"inline_data": {"data": "eA==", "mime_type": "text/plain"}})],
    ),
}
"""Conversations, and the turns that leave."""

REFUSED: Final[dict[str, tuple[str, Json, list[str]]]] = {
    "six stop sequences": (PRO_2, {"sampling": Sampling(stop_sequences="abcdef")}, ["sampling.stop_sequences"]),
    "a long seed": (PRO_2, {"sampling": Sampling(seed=2**31)}, ["sampling.seed"]),
    "a penalty of 2": (PRO_2, {"sampling": Sampling(presence_penalty=2)}, ["sampling.presence_penalty"]),
    "top_logprobs": (PRO_2, {"sampling": Sampling(logprobs=True, top_logprobs=3)}, ["sampling.top_logprobs"]),
    "logit_bias": (PRO_2, {"sampling": Sampling(logit_bias={5: 1})}, ["sampling.logit_bias"]),
    "JSON beside tools": (PRO_2, {"tools": [TOOL], "response_format": JSON}, ["response_format", "tools"]),
    "a schema without words in OpenAPI": (GEMMA, {"response_format": SCHEMA}, ["response_format.json_schema.schema"]),
    "a strict schema that would not be held": (
        PRO_3,
        {
            "response_format": ResponseFormat(
                json_schema=JsonSchemaFormat(name="n", schema=json.dumps(PATTERN), strict=True)
            )
        },
        ["response_format.json_schema.schema"],
    ),
    "system alone": (PRO_2, {"messages": [system("s")]}, ["messages"]),
    "no reasoning, 2.5 Pro": (
        PRO_2,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_NONE)},
        ["reasoning.effort"],
    ),
    "no reasoning, 3 Flash": (
        FLASH_3,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_NONE)},
        ["reasoning.effort"],
    ),
    "nobody but the system": (PRO_2, {"messages": [system("s"), assistant()]}, ["messages"]),
    "a result without a call": (
        PRO_3,
        {"messages": [user("q"), results(**{"1": "x"})]},
        ["messages[1].content[0].tool_result.call_id"],
    ),
    "a name that begins with a digit": (PRO_3, {"tools": [Tool(name="3d")]}, ["tools[0].name"]),
    "a schema without words": (
        PRO_3,
        {"tools": [TOOL, Tool(name="g", parameters_schema='{"properties": {"a": {"not": {}}}}')]},
        ["tools[1].parameters_schema"],
    ),
}
"""Requests that are refused, with the model and the fields."""

REPORTED: Final[dict[str, tuple[str, Json, tuple[str, str, str], Json]]] = {
    "minimal, 3 Pro": (
        PRO_3,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_MINIMAL)},
        ("reasoning.effort", "MINIMAL", "LOW"),
        {"generationConfig": {"temperature": 1.0, "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True}}},
    ),
    "medium, 3 Pro": (
        PRO_3,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_MEDIUM)},
        ("reasoning.effort", "MEDIUM", "LOW"),
        {"generationConfig": {"temperature": 1.0, "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True}}},
    ),
    "a budget, 3 Pro": (
        PRO_3,
        {"reasoning": ReasoningOptions(budget_tokens=10_000)},
        ("reasoning.budget_tokens", "10000", "HIGH"),
        {
            "generationConfig": {
                "temperature": 1.0,
                "thinkingConfig": {"thinkingLevel": "high", "includeThoughts": True},
            }
        },
    ),
    "an effort, 2.5 Pro": (
        PRO_2,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_HIGH)},
        ("reasoning.effort", "HIGH", "4096 tokens"),
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 4096, "includeThoughts": True}}},
    ),
    "a small budget": (
        PRO_2,
        {"reasoning": ReasoningOptions(budget_tokens=1)},
        ("reasoning.budget_tokens", "1", "128"),
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 128, "includeThoughts": True}}},
    ),
    "a large budget": (
        FLASH_2,
        {"reasoning": ReasoningOptions(budget_tokens=50_000)},
        ("reasoning.budget_tokens", "50000", "24576"),
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 24576, "includeThoughts": True}}},
    ),
    "redacted reasoning": (
        PRO_2,
        {"messages": [user("q"), Message(role=ROLE_ASSISTANT, content=[Part(reasoning=Reasoning(redacted=b"x"))])]},
        ("messages[1].content[0].reasoning", "redacted reasoning", ""),
        {"contents": [ASKED]},
    ),
    "a signature of reasoning": (
        PRO_2,
        {
            "messages": [
                user("q"),
                Message(role=ROLE_ASSISTANT, content=[Part(reasoning=Reasoning(text="hm"), signature="c2ln")]),
            ]
        },
        ("messages[1].content[0].signature", "signature of reasoning", ""),
        {"contents": [ASKED, model_turn({"text": "hm", "thought": True})]},
    ),
    "a name": (
        PRO_2,
        {"messages": [Message(role=ROLE_USER, name="Ada", content=[Part(text="q")])]},
        ("messages[0].name", "Ada", ""),
        {"contents": [ASKED]},
    ),
    "an end user": (PRO_2, {"end_user": "user-7"}, ("end_user", "user-7", ""), {"user": None, "labels": None}),
    "system later": (
        PRO_2,
        {"messages": [system("s1", "s2"), user("q"), assistant("a"), system("s3"), user("r")]},
        ("messages[3]", "at its place", "in the system prompt"),
        {
            "system_instruction": {"parts": [{"text": "s1"}, {"text": "s2"}, {"text": "s3"}]},
            "contents": [ASKED, model_turn({"text": "a"}), user_turn({"text": "r"})],
        },
    ),
    "no place for the system": (
        GEMMA,
        {"messages": [system("s"), user("q")]},
        ("messages[0].role", "SYSTEM", "USER"),
        {"contents": [user_turn({"text": "s"}, {"text": "q"})]},
    ),
}
"""Requests with a setting that takes effect otherwise: field, requested and effective value, and what leaves."""

SENT: Final[dict[str, tuple[str, Json, Json]]] = {
    "five stop sequences": (
        PRO_2,
        {"sampling": Sampling(stop_sequences="abcde")},
        {"generationConfig": {"stop_sequences": ["a", "b", "c", "d", "e"]}},
    ),
    "no reasoning": (
        FLASH_2,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_NONE)},
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0, "includeThoughts": False}}},
    ),
    "the largest seed": (PRO_2, {"sampling": Sampling(seed=2**31 - 1)}, {"generationConfig": {"seed": 2**31 - 1}}),
    "text": (
        PRO_2,
        {"tools": [TOOL], "response_format": ResponseFormat(text=TextFormat())},
        {
            "generationConfig": {"response_mime_type": "text/plain"},
            "tools": [{"function_declarations": [{"name": "f", "description": "d", "parameters": {"type": "object"}}]}],
        },
    ),
    "a schema, whole": (
        LATEST,
        {"response_format": SCHEMA},
        {
            "generationConfig": {
                "temperature": 1.0,
                "response_mime_type": "application/json",
                "response_json_schema": SENT_STRICT_NAME,
            }
        },
    ),
    "a schema, whole, 2.5": (
        PRO_2,
        {"response_format": SCHEMA},
        {"generationConfig": {"response_mime_type": "application/json", "response_json_schema": SENT_STRICT_NAME}},
    ),
    "a schema for an older model": (
        PRO_1,
        {"response_format": ResponseFormat(json_schema=JsonSchemaFormat(name="n", schema='{"enum": ["a", null]}'))},
        {
            "generationConfig": {
                "response_mime_type": "application/json",
                "response_schema": {"type": "string", "enum": ["a"], "nullable": True},
            }
        },
    ),
    "a schema that is not strict": (
        PRO_3,
        {"response_format": ResponseFormat(json_schema=JsonSchemaFormat(name="n", schema=json.dumps(PATTERN)))},
        {
            "generationConfig": {
                "temperature": 1.0,
                "response_mime_type": "application/json",
                "response_json_schema": PATTERN,
            }
        },
    ),
    "JSON beside tools": (
        PRO_3,
        {"tools": [TOOL], "response_format": JSON},
        {"generationConfig": {"temperature": 1.0, "response_mime_type": "application/json"}},
    ),
    "JSON beside tools that must not be called": (
        PRO_2,
        {"tools": [TOOL], "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_NONE), "response_format": JSON},
        {"generationConfig": {"response_mime_type": "application/json"}, "tools": None, "toolConfig": None},
    ),
    "tools": (
        PRO_3,
        {
            "tools": [
                Tool(name="f", parameters_schema='{"properties": {"strict": {"const": "x"}}}'),
                Tool(
                    name="g", parameters_schema='{"properties": {"m": {"additionalProperties": {"type": "integer"}}}}'
                ),
            ]
        },
        {
            "tools": [
                {
                    "function_declarations": [
                        {
                            "name": "f",
                            "parameters": {
                                "type": "object",
                                "properties": {"strict": {"type": "string", "enum": ["x"]}},
                            },
                        },
                        {
                            "name": "g",
                            "parametersJsonSchema": {
                                "type": "object",
                                "properties": {"m": {"additionalProperties": {"type": "integer"}}},
                            },
                        },
                    ]
                }
            ]
        },
    ),
    "parts of a system message": (
        PRO_3,
        {"messages": [system("s1", "s2"), user("q")]},
        {"system_instruction": {"parts": [{"text": "s1"}, {"text": "s2"}]}},
    ),
    "calls of another model": (
        PRO_3,
        {"messages": [user("q"), assistant(calls=(call("1"), call("2"))), results(**{"1": "x", "2": "y"})]},
        {
            "contents": [
                ASKED,
                model_turn(
                    {
                        "function_call": {"name": "f", "args": {"a": 1}, "id": "1"},
                        "thoughtSignature": "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=",
                    },
                    {"function_call": {"name": "f", "args": {"a": 1}, "id": "2"}},
                ),
                user_turn(
                    {"function_response": {"name": "f", "response": {"content": "x"}, "id": "1"}},
                    {"function_response": {"name": "f", "response": {"content": "y"}, "id": "2"}},
                ),
            ]
        },
    ),
    "a description of the answer": (
        PRO_3,
        {"response_format": ResponseFormat(json_schema=JsonSchemaFormat(name="n", description="d", schema="{}"))},
        {
            "generationConfig": {
                "temperature": 1.0,
                "response_mime_type": "application/json",
                "response_json_schema": {"description": "d"},
            }
        },
    ),
    "an option of the caller's": (
        PRO_2,
        {"sampling": Sampling(seed=7), "provider_options": {"generationConfig": '{"candidateCount": 1}'}},
        {"generationConfig": {"seed": 7, "candidateCount": 1}},
    ),
    "a cache mark": (
        PRO_2,
        {"messages": [Message(role=ROLE_USER, content=[Part(text="q" * 9000, cache=True)])]},
        {"contents": [user_turn({"text": "q" * 9000})], "cachedContent": None},
    ),
}
"""Requests that leave as they are, with members of the body; None for a member that is not there."""


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with models of each generation."""
    models = (PRO_1, PRO_2, FLASH_2, PRO_3, FLASH_3, LATEST, GEMMA)
    options = frozenset({"generationConfig"})
    entries = [
        provider_entry(upstream, "gemini", model, litellm_model=f"gemini/{model}", provider_options=options)
        for model in models
    ]
    async with serving(config_for(*entries)) as running:
        yield running


async def complete(
    upstream: FakeUpstream, server: RunningServer, request: CompleteRequest
) -> tuple[CompleteResponse, Json]:
    """Returns the answer to a request, and the body that left."""
    answer = await server.client().complete(request)
    (captured,) = upstream.requests
    return answer, captured.body


def select(body: Json, expected: Json) -> Json:
    """Returns the expected members of a body."""
    return {name: body.get(name) for name in expected}


@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_conversations_leave_as_they_are(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """Nothing is added to a conversation, and nothing is lost."""
    messages, turns = CONVERSATIONS[name]

    answer, body = await complete(upstream, server, CompleteRequest(model=PRO_2, messages=messages, tools=[TOOL]))

    assert body["contents"] == turns
    assert not answer.effective_settings


@pytest.mark.parametrize("name", SENT)
async def test_fields_leave_as_they_are(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """A field is sent in the words of the protocol."""
    model, fields, expected = SENT[name]

    answer, body = await complete(upstream, server, a_wire_request(model=model, **fields))

    assert select(body, expected) == expected
    assert not answer.effective_settings


@pytest.mark.parametrize("name", REPORTED)
async def test_what_the_provider_takes_otherwise_is_reported(
    upstream: FakeUpstream, server: RunningServer, name: str
) -> None:
    """What the model takes only in another form is sent in that form, and the answer says so."""
    model, fields, setting, expected = REPORTED[name]

    answer, body = await complete(upstream, server, a_wire_request(model=model, **fields))

    (reported,) = answer.effective_settings
    assert (reported.field, reported.requested, reported.effective) == setting
    assert reported.cause == EFFECTIVE_SETTING_CAUSE_PROVIDER_LIMIT
    assert select(body, expected) == expected


@pytest.mark.parametrize("name", REFUSED)
async def test_what_the_provider_does_not_take_is_refused(
    upstream: FakeUpstream, server: RunningServer, name: str
) -> None:
    """What the model does not take is refused by name, and nothing is sent."""
    model, fields, expected = REFUSED[name]

    with pytest.raises(CallFailed) as failed:
        await server.client().complete(a_wire_request(model=model, **fields))

    error = failed.value
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert [violation.field for violation in error.violations] == expected
    assert upstream.requests == []


async def test_each_moved_message_is_reported(upstream: FakeUpstream, server: RunningServer) -> None:
    """Every message of the system within the conversation has a setting of its own."""
    messages = [system("s1"), user("q"), system("s2"), assistant("a"), system("s3"), user("r")]

    answer, _ = await complete(upstream, server, CompleteRequest(model=PRO_3, messages=messages))

    assert [setting.field for setting in answer.effective_settings] == ["messages[2]", "messages[4]"]


async def test_the_place_of_an_unsayable_rule_is_named(upstream: FakeUpstream, server: RunningServer) -> None:
    """The refusal of a tool names the keyword and where it stands in the schema."""
    schema = {"properties": {"a": {"type": "array", "items": {"type": "number", "multipleOf": 0.5}}}}
    tool = Tool(name="f", parameters_schema=json.dumps(schema))

    with pytest.raises(CallFailed) as failed:
        await server.client().complete(a_wire_request(model=PRO_3, tools=[tool]))

    (violation,) = failed.value.violations
    assert violation.description == "The model takes no multipleOf here: /properties/a/items."
    assert upstream.requests == []


def test_levels_are_those_that_litellm_sends() -> None:
    """For each model that litellm knows, a level that the model takes is sent as it is."""
    litellm = library.import_litellm()
    from litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini import VertexGeminiConfig

    models = [
        name
        for name, facts in litellm.model_cost.items()
        if name.startswith("gemini/gemini-") and facts["mode"] == "chat"
    ]
    for model in models:
        name = model.partition("/")[2]
        amounts = describe_amounts(model)
        assert is_gemini_3(model) == VertexGeminiConfig._is_gemini_3_or_newer(name) == bool(amounts.levels)
        for level in amounts.levels:
            sent = VertexGeminiConfig._map_reasoning_effort_to_thinking_level(level.value.lower(), name)
            assert sent["thinkingLevel"] == level.value.lower(), (model, level)
