"""The oracle of the differential test notices every change of a body: a lost member, and another value."""

import copy
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.support.wire_meaning import Meaning, UnreadableBody, find_differences, read_body

Json = dict[str, Any]
Path = tuple[str | int, ...]

SCHEMA: Final = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
BODIES: Final[dict[str, Json]] = {
    "/v1/chat/completions": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "ann"},
            {
                "role": "assistant",
                "reasoning_content": "hm",
                "content": "c",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"q": 1}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "r"},
        ],
        "temperature": 0.5,
        "max_tokens": 5,
        "stop": ["x"],
        "seed": 1,
        "logit_bias": {"7": 1},
        "user": "u",
        "reasoning_effort": "low",
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
    },
    "/v1/messages": {
        "model": "m",
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "YWJj"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "tool_use", "id": "c1", "name": "f", "input": {"q": 1}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "r", "is_error": True}],
            },
        ],
        "max_tokens": 5000,
        "top_p": 0.96,
        "stop_sequences": ["x"],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "metadata": {"user_id": "u"},
        "tools": [{"name": "f", "description": "d", "input_schema": SCHEMA}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    },
    "/v1beta/models/m:streamGenerateContent": {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "YWJj"}}]},
            {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True},
                    {"functionCall": {"name": "f", "args": {"q": 1}}, "thoughtSignature": "sig"},
                ],
            },
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "r"}}}]},
        ],
        "generationConfig": {
            "temperature": 0.5,
            "maxOutputTokens": 5,
            "stopSequences": ["x"],
            "thinkingConfig": {"thinkingBudget": 5},
            "responseMimeType": "application/json",
            "responseSchema": SCHEMA,
        },
        "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": SCHEMA}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    },
    "/model/m/converse-stream": {
        "system": [{"text": "s"}],
        "messages": [
            {"role": "user", "content": [{"text": "a"}, {"cachePoint": {"type": "default"}}, {"text": "b"}]},
            {
                "role": "assistant",
                "content": [{"text": "c"}, {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"q": 1}}}],
            },
            {
                "role": "user",
                "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "r"}], "status": "error"}}],
            },
        ],
        "inferenceConfig": {"temperature": 0.5, "maxTokens": 5, "stopSequences": ["x"]},
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": SCHEMA}}}],
            "toolChoice": {"tool": {"name": "f"}},
        },
    },
    "/api/chat": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "a", "images": ["YWJj"]},
            {
                "role": "assistant",
                "content": "c",
                "thinking": "hm",
                "tool_calls": [{"function": {"name": "f", "arguments": {"q": 1}}}],
            },
            {"role": "tool", "tool_name": "f", "content": "r"},
        ],
        "options": {"temperature": 0.5, "num_predict": 5, "stop": ["x"]},
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}],
        "format": SCHEMA,
        "think": True,
    },
    "/v1/responses": {
        "model": "m",
        "instructions": "s",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"q": 1}'},
            {"type": "function_call_output", "call_id": "c1", "output": "r"},
        ],
        "temperature": 0.5,
        "max_output_tokens": 50,
        "user": "u",
        "reasoning": {"effort": "low"},
        "tools": [{"type": "function", "name": "f", "description": "d", "parameters": SCHEMA}],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}},
    },
}
"""A body of each protocol, by its path."""
SILENT: Final = {
    # The only type that there is, and what this says already.
    ("cache_control", "type"),
    ("cachePoint", "type"),
    ("tool_calls", 0, "type"),
    ("tool_choice", "type"),
    ("input", 0, "type"),
    ("inputSchema", "json", "type"),
}
"""The ends of the paths whose value says nothing."""


@pytest.mark.parametrize("path", BODIES)
def test_every_change_of_a_body_is_noticed(path: str) -> None:
    """Whatever member of a body is lost or has another value, the oracle reports it or does not read the body."""
    body = BODIES[path]
    whole = read_body(path, body, "")

    unnoticed = [
        (change, place)
        for place in list_places(body)
        for change in ("lost", "changed")
        if not any(place[-len(end) :] == end for end in SILENT) and not is_noticed(path, whole, body, place, change)
    ]

    assert unnoticed == []


def is_noticed(path: str, whole: Meaning, body: Json, place: Path, change: str) -> bool:
    """Whether a change of a body at one place is a difference, or keeps the body from being read."""
    changed = copy.deepcopy(body)
    *way, last = place
    holder: Any = changed
    for step in way:
        holder = holder[step]
    if change == "lost":
        del holder[last]
    else:
        holder[last] = change_value(holder[last])
    try:
        return bool(find_differences(whole, read_body(path, changed, "")))
    except UnreadableBody:
        return True


def change_value(value: Any) -> Any:
    """Returns another value of the same type."""
    match value:
        case bool():
            return not value
        case str():
            return f"{value}x"
        case int() | float():
            return value + 0.25
        case list():
            return value[:-1]
        case _:
            return {**value, "other": "x"}


def list_places(value: Any, place: Path = ()) -> Iterator[Path]:
    """Yields the place of every member and item of a body."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in members:
        yield (*place, name)
        yield from list_places(each, (*place, name))
