"""Reads a body of Bedrock's Converse protocol; the model stands in the path."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

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
    redacted,
    result,
    take_format_tool,
    text,
)

_NAMES: Final = {
    "temperature": "sampling.temperature",
    "topP": "sampling.top_p",
    "maxTokens": "sampling.max_output_tokens",
    "stopSequences": "sampling.stop_sequences",
}
_MODEL_IN_PATH: Final = re.compile(r"/model/(.+)/converse(?:-stream)?")
_TYPES: Final = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "csv": "text/csv",
    "html": "text/html",
    "md": "text/markdown",
}


def read_bedrock(body: Json, path: str, described_model: str) -> Meaning:  # noqa: ARG001
    """Returns the meaning of a body."""
    rest = dict(body)
    config = dict(rest.pop("inferenceConfig", {}))
    parameters = {field: config.pop(name) for name, field in _NAMES.items() if name in config}
    if config:
        rest["inferenceConfig"] = config
    more = dict(rest.pop("additionalModelRequestFields", {}))
    if "top_k" in more:
        parameters["sampling.top_k"] = more.pop("top_k")
    match more.get("inferenceConfig"):  # Amazon's own models have it there
        case {"topK": top_k, **others} if not others:
            parameters["sampling.top_k"] = top_k
            del more["inferenceConfig"]
    parameters |= _read_parallel(more)
    parameters |= _read_reasoning_amount(more)
    tool_config = dict(rest.pop("toolConfig", {}))
    tools = tuple(map(_read_tool, _join_cache_points(tool_config.pop("tools", []))))
    parameters |= _read_choice(tool_config.pop("toolChoice", None))
    if tool_config:
        raise UnreadableBody(f"members of a tool configuration: {sorted(tool_config)}")
    response_format = _read_output_format(rest)
    if rest.get("additionalModelResponseFieldPaths") == ["/usage/output_tokens_details"]:
        del rest["additionalModelResponseFieldPaths"]  # it asks for counts, and changes nothing of the answer
    tools, response_format = take_format_tool(tools, parameters, response_format)
    rest |= more
    found = _MODEL_IN_PATH.search(unquote(path))
    return Meaning(
        model=found[1] if found else "",
        turns=tuple(_read_system(rest.pop("system", [])))
        + tuple(turn for message in rest.pop("messages") for turn in _read_message(message)),
        parameters=parameters,
        tools=tools,
        response_format=response_format,
        extras={name: value for name, value in rest.items() if value != {}},
        broken_rules=tuple(_find_broken_rules(body)),
        abilities=Abilities(joins_turns=True, marks_errors=True, tells_lax_tools=False),
    )


def _read_system(system: list[Json]) -> Iterator[Turn]:
    if system:
        yield Turn(role="system", parts=tuple(_read_block(block)[1] for block in _join_cache_points(system)))


def _read_message(message: Json) -> Iterator[Turn]:
    blocks = _join_cache_points(message["content"])
    if not blocks:
        yield Turn(role=message["role"], parts=(EMPTY,))
    for block in blocks:
        role, part = _read_block(block)
        if role == "tool" and message["role"] != "user":
            raise UnreadableBody(f"a result of the role {message['role']}")
        yield Turn(role=role or message["role"], parts=(part,))


def _join_cache_points(blocks: list[Json]) -> list[Json]:
    """Returns the blocks; a cache point becomes a member of the block before it."""
    joined: list[Json] = []
    for block in blocks:
        if block.keys() == {"cachePoint"}:
            joined[-1] = {**joined[-1], "cachePoint": block["cachePoint"]}
        else:
            joined.append(block)
    return joined


def _read_block(block: Json) -> tuple[str, MeaningPart]:
    rest = dict(block)
    cache = rest.pop("cachePoint", None) is not None
    match rest:
        case {"text": words, **others} if not others:
            return "", text(words, cache=cache)
        case {"image": {"format": kind, "source": {"bytes": data}}}:
            return "", media(f"image/{kind}", data=data, cache=cache)
        case {"document": {"format": kind, "source": {"bytes": data}, **others}} if not others.keys() - {"name"}:
            return "", media(_TYPES.get(kind, kind), data=data, cache=cache)
        case {"toolUse": {"toolUseId": call_id, "name": name, "input": arguments}}:
            return "", call(call_id, name, arguments, cache=cache)
        case {"toolResult": {"toolUseId": call_id, "content": content, **others}} if not others.keys() - {"status"}:
            words = "\n".join(each["text"] for each in content)
            return "tool", result(call_id, words, is_error=others.get("status") == "error", cache=cache)
        case {"reasoningContent": {"reasoningText": {"text": words, **others}}}:
            return "", reasoning(words, signature=str(others.get("signature", "")))
        case {"reasoningContent": {"redactedContent": data}}:
            return "", redacted(data)
        case _:
            raise UnreadableBody(f"a block: {sorted(rest)}")


def _read_tool(tool: Json) -> ToolMeaning:
    spec = dict(tool["toolSpec"])
    read = ToolMeaning(
        name=spec.pop("name"),
        description=spec.pop("description", ""),
        schema=spec.pop("inputSchema")["json"],
        strict=spec.pop("strict", None),
        cache="cachePoint" in tool,
    )
    if spec:
        raise UnreadableBody(f"members of a tool: {sorted(spec)}")
    return read


def _read_choice(choice: Any) -> Json:
    match choice:
        case None:
            return {}
        case {"auto": _}:
            return {"tool_choice": "auto"}
        case {"any": _}:
            return {"tool_choice": "required"}
        case {"tool": {"name": name}}:
            return {"tool_choice": {"tool": name}}
        case _:
            raise UnreadableBody(f"a tool choice: {choice}")


def _read_parallel(more: Json) -> Json:
    """Reads the rule of Anthropic's own tool choice, whose type is the usual one, or stands in Converse's member."""
    match more.get("tool_choice"):
        case {"disable_parallel_tool_use": disables, **others} if others in ({}, {"type": "auto"}):
            del more["tool_choice"]
            return {"parallel_tool_calls": not disables}
        case _:
            return {}


def _read_output_format(rest: Json) -> FormatMeaning | None:
    config = rest.pop("outputConfig", None)
    match config:
        case None:
            return None
        case {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema, **others}}}}:
            return FormatMeaning(
                kind="json_schema",
                name=str(others.get("name", "")),
                description=str(others.get("description", "")),
                schema=json.loads(schema) if isinstance(schema, str) else schema,
                strict=True,
            )
        case _:
            raise UnreadableBody(f"an output configuration: {config}")


def _read_reasoning_amount(more: Json) -> Json:
    match more.get("thinking") or more.get("reasoning_config") or more.get("reasoningConfig"):
        case {"type": "enabled", "budget_tokens": budget}:
            read: Json = {"reasoning.budget_tokens": budget}
        case {"type": "enabled", "maxReasoningEffort": effort}:
            read = {"reasoning.effort": effort}
        case {"type": "disabled"}:
            read = {"reasoning.effort": "none"}
        case {"type": "adaptive"}:
            read = {"reasoning.effort": "adaptive"}
        case None if "reasoning" in more:
            return {"reasoning.effort": more.pop("reasoning")["effort"]}
        case None:
            return {"reasoning.effort": more.pop("reasoning_effort")} if "reasoning_effort" in more else {}
        case other:
            raise UnreadableBody(f"reasoning: {other}")
    for name in ("thinking", "reasoning_config", "reasoningConfig"):
        more.pop(name, None)
    match more.get("output_config"):
        case {"effort": effort, **others} if not others:
            del more["output_config"]
            read = {"reasoning.effort": effort}
    return read


def _find_broken_rules(body: Json) -> Iterator[tuple[str, str]]:
    """Yields what Bedrock refuses, by the documentation of its API."""
    messages = body["messages"]
    if not messages or messages[0]["role"] != "user":
        yield "messages", "the first message is the user's"
    config = body.get("inferenceConfig", {})
    thinking = body.get("additionalModelRequestFields", {}).get("thinking") or {}
    if thinking.get("type") == "disabled":
        thinking = {}
    budget, most = thinking.get("budget_tokens"), config.get("maxTokens")
    if budget is not None and budget < 1024:
        yield "reasoning", "a budget is at least 1024"
    if budget is not None and most is not None and budget >= most:
        yield "reasoning", "a budget is below maxTokens"
    if thinking and config.get("temperature", 1) != 1:
        yield "sampling.temperature", "a model that thinks takes no temperature but 1"
    if thinking and config.get("topP", 1) < 0.95:
        yield "sampling.top_p", "a model that thinks takes a topP from 0.95"
    choice = body.get("toolConfig", {}).get("toolChoice", {})
    if thinking and choice.keys() & {"any", "tool"}:
        yield "tool_choice", "a model that thinks cannot be forced to call a tool"
    if config.get("temperature", 0) > 1:
        yield "sampling.temperature", "a temperature is at most 1"
    if sum(_count_points(body)) > 4:
        yield "messages", "at most four cache points are taken"
    for message in messages:
        for block in message["content"]:
            if "text" in block and not block["text"].strip():
                yield "messages", "a text is not blank"
            call_id = (block.get("toolUse") or block.get("toolResult") or {}).get("toolUseId", "x")
            if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call_id):
                yield "messages", "an id has 1 to 64 letters, digits, underscores and dashes"


def _count_points(value: Any) -> Iterator[int]:
    match value:
        case dict():
            yield "cachePoint" in value
            for name, each in value.items():
                if name not in ("input", "json"):
                    yield from _count_points(each)
        case list():
            for each in value:
                yield from _count_points(each)
