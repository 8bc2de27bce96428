"""Reads a body of Gemini's protocol; the model stands in the path."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from tests.support.wire_meaning.meaning import (
    EMPTY,
    Abilities,
    FormatMeaning,
    Json,
    Meaning,
    MeaningPart,
    ToolMeaning,
    Turn,
    UnreadableBody,
    call,
    media,
    reasoning,
    result,
    text,
)
from tests.support.wire_meaning.openapi_schemas import read_openapi_schema

_NAMES: Final = {
    "temperature": "sampling.temperature",
    "topP": "sampling.top_p",
    "topK": "sampling.top_k",
    "maxOutputTokens": "sampling.max_output_tokens",
    "stopSequences": "sampling.stop_sequences",
    "seed": "sampling.seed",
    "presencePenalty": "sampling.presence_penalty",
    "frequencyPenalty": "sampling.frequency_penalty",
    "responseLogprobs": "sampling.logprobs",
    "logprobs": "sampling.top_logprobs",
}
_OTHER_NAMES: Final = {
    "max_output_tokens": "maxOutputTokens",
    "top_k": "topK",
    "top_p": "topP",
    "stop_sequences": "stopSequences",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "response_logprobs": "responseLogprobs",
    "response_mime_type": "responseMimeType",
    "response_schema": "responseSchema",
    "response_json_schema": "responseJsonSchema",
    "thinking_config": "thinkingConfig",
    "system_instruction": "systemInstruction",
    "function_declarations": "functionDeclarations",
    "function_call": "functionCall",
    "function_response": "functionResponse",
    "inline_data": "inlineData",
    "file_data": "fileData",
    "mime_type": "mimeType",
    "thought_signature": "thoughtSignature",
    "function_calling_config": "functionCallingConfig",
    "allowed_function_names": "allowedFunctionNames",
    "parameters_json_schema": "parametersJsonSchema",
    "tool_config": "toolConfig",
    "generation_config": "generationConfig",
}
"""Google takes the names of the protocol buffers too."""
_MODES: Final = {"AUTO": "auto", "NONE": "none", "ANY": "required"}
_MODEL_IN_PATH: Final = re.compile(r"/models/([^/:]+):streamGenerateContent")


def read_gemini(body: Json, path: str, described_model: str) -> Meaning:  # noqa: ARG001
    """Returns the meaning of a body."""
    rest = _rename(body)
    config = _rename(rest.pop("generationConfig", {}))
    parameters = {field: config.pop(name) for name, field in _NAMES.items() if name in config}
    parameters |= _read_reasoning_amount(config)
    response_format = _read_format(config)
    if config:
        rest["generationConfig"] = config
    parameters |= _read_choice(rest)
    found = _MODEL_IN_PATH.search(path)
    return Meaning(
        model=found[1] if found else "",
        turns=tuple(_read_system(rest.pop("systemInstruction", None)))
        + tuple(turn for content in rest.pop("contents") for turn in _read_content(content)),
        parameters=parameters,
        tools=tuple(_read_tools(rest.pop("tools", []))),
        response_format=response_format,
        extras=rest,
        broken_rules=tuple(_find_broken_rules(body)),
        abilities=Abilities(joins_turns=True, has_call_ids=False, tells_lax_tools=False),
    )


def _rename(data: Json) -> Json:
    return {_OTHER_NAMES.get(name, name): value for name, value in data.items()}


def _read_system(instruction: Any) -> Iterator[Turn]:
    if instruction is not None:
        yield Turn(role="system", parts=tuple(map(_read_part, instruction["parts"])) or (EMPTY,))


def _read_content(content: Json) -> Iterator[Turn]:
    role = "assistant" if content["role"] == "model" else str(content["role"])
    if not content["parts"]:
        yield Turn(role=role, parts=(EMPTY,))
    for part in map(_read_part, content["parts"]):
        if part.kind == "result" and role not in ("user", "function"):
            raise UnreadableBody(f"a result of the role {role}")
        yield Turn(role="tool" if part.kind == "result" else role, parts=(part,))


def _read_part(part: Json) -> MeaningPart:
    rest = _rename(part)
    signature = rest.pop("thoughtSignature", "")
    match rest:
        case {"text": words, "thought": True}:
            return reasoning(words, signature=signature)
        case {"text": words, **others} if not others:
            return text(words, signature=signature)
        case {"inlineData": data, **others} if not others:
            named = _rename(data)
            return media(named["mimeType"], data=named["data"], filename=named.get("displayName", ""))
        case {"fileData": data, **others} if not others:
            return media("", uri=data["fileUri"])
        case {"functionCall": function, **others} if not others:
            return call("", function["name"], function.get("args", {}), signature=signature)
        case {"functionResponse": function, **others} if not others:
            return result(function["name"], _read_response(function["response"]))
        case _:
            raise UnreadableBody(f"a part: {sorted(rest)}")


def _read_response(response: Json) -> str:
    """Returns the text of a result: the value of a member that Google's documentation names, else the JSON text."""
    if len(response) == 1 and response.keys() <= {"output", "result", "content"}:
        (content,) = response.values()
        if isinstance(content, str):
            return content
    return json.dumps(response)


def _read_tools(tools: list[Json]) -> Iterator[ToolMeaning]:
    for tool in map(_rename, tools):
        if tool.keys() != {"functionDeclarations"}:
            raise UnreadableBody(f"members of a tool: {sorted(tool)}")
        for declaration in map(_rename, tool["functionDeclarations"]):
            if declaration.keys() - {"name", "description", "parameters", "parametersJsonSchema"}:
                raise UnreadableBody(f"members of a declaration: {sorted(declaration)}")
            schema = declaration.get("parametersJsonSchema") or read_openapi_schema(
                declaration.get("parameters") or {"type": "OBJECT", "properties": {}}
            )
            yield ToolMeaning(
                name=declaration["name"], description=declaration.get("description", ""), schema=schema, strict=None
            )


def _read_choice(rest: Json) -> Json:
    tool_config = _rename(rest.pop("toolConfig", {}))
    config = _rename(tool_config.pop("functionCallingConfig", {}))
    if tool_config:
        raise UnreadableBody(f"members of a tool configuration: {sorted(tool_config)}")
    match config:
        case {"mode": "ANY", "allowedFunctionNames": [name], **others} if not others:
            return {"tool_choice": {"tool": name}}
        case {"mode": mode, **others} if not others:
            return {"tool_choice": _MODES[mode]}
        case {**others} if not others:
            return {}
        case _:
            raise UnreadableBody(f"a function calling configuration: {config}")


def _read_format(config: Json) -> FormatMeaning | None:
    mime_type = config.pop("responseMimeType", "text/plain")
    openapi, schema = config.pop("responseSchema", None), config.pop("responseJsonSchema", None)
    if mime_type == "text/plain" and openapi is None and schema is None:
        return None
    if mime_type != "application/json":
        raise UnreadableBody(f"an answer of the type {mime_type}")
    if openapi is not None:
        schema = read_openapi_schema(openapi)
    if schema is None:
        return FormatMeaning(kind="json_object")
    return FormatMeaning(kind="json_schema", schema=schema, strict=True)  # Google always holds the answer to it


def _read_reasoning_amount(config: Json) -> Json:
    given = config.pop("thinkingConfig", None)
    match given:
        case None:
            return {}
        case {**members} if members.keys() <= {"thinkingBudget", "includeThoughts", "thinkingLevel"}:
            read: Json = {}
            if "thinkingLevel" in members:
                read["reasoning.effort"] = str(members["thinkingLevel"]).lower()
            elif members.get("thinkingBudget") == 0:
                read["reasoning.effort"] = "none"
            elif "thinkingBudget" in members:
                read["reasoning.budget_tokens"] = members["thinkingBudget"]
            return read
        case _:
            raise UnreadableBody(f"a thinking configuration: {given}")


def _find_broken_rules(body: Json) -> Iterator[tuple[str, str]]:
    """Yields what Google refuses, by the documentation of its API."""
    renamed = _rename(body)
    contents = renamed["contents"]
    if not contents:
        yield "messages", "contents are not empty"
    for content in contents:
        if not content["parts"]:
            yield "messages", "a content has parts"
        for part in content["parts"]:
            if part.get("text") == "" and part.keys() == {"text"}:
                yield "messages", "a part is not empty"
    config = _rename(renamed.get("generationConfig", {}))
    if not -(2**31) <= config.get("seed", 0) < 2**31:
        yield "sampling.seed", "a seed has 32 bits"
    if len(config.get("stopSequences", [])) > 5:
        yield "sampling.stop_sequences", "at most five stop sequences are taken"
    thinking = config.get("thinkingConfig") or {}
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        yield "reasoning", "a level excludes a budget"
    for tool in map(_rename, renamed.get("tools", [])):
        for declaration in tool.get("functionDeclarations", []):
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}", declaration["name"]):
                yield "tools", "the name of a function begins with a letter"
    if "toolConfig" in renamed and not renamed.get("tools"):
        yield "tool_choice", "a tool configuration needs tools"
