"""Reads a body of Anthropic's Messages protocol."""

import base64
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
    redacted,
    result,
    take_format_tool,
    text,
)

_NAMES: Final = {
    "temperature": "sampling.temperature",
    "top_p": "sampling.top_p",
    "top_k": "sampling.top_k",
    "max_tokens": "sampling.max_output_tokens",
    "stop_sequences": "sampling.stop_sequences",
}
_MOST_CACHE_MARKS: Final = 4
_ROLES: Final = ("user", "assistant")
_ONE_OF_TWO: Final = re.compile(r"claude-(opus-4-[1-6]|sonnet-4-5|haiku-4-5)")
"""Models that take a temperature or a top_p, by the documentation of Anthropic's API."""
_IMAGES: Final = re.compile(r"image/(jpeg|png|gif|webp)")


def read_anthropic(body: Json, path: str, described_model: str) -> Meaning:  # noqa: ARG001
    """Returns the meaning of a body."""
    rest = dict(body)
    if rest.get("stream") is True:
        del rest["stream"]
    parameters = {field: rest.pop(name) for name, field in _NAMES.items() if name in rest}
    tools = tuple(map(_read_tool, rest.pop("tools", [])))
    response_format = _read_output_format(rest)
    parameters |= _read_choice(rest.pop("tool_choice", None))
    parameters |= _read_reasoning_amount(rest)
    tools, response_format = take_format_tool(tools, parameters, response_format)
    match rest.pop("metadata", {}):
        case {"user_id": user, **others} if not others:
            parameters["end_user"] = user
        case {}:
            pass
    return Meaning(
        model=rest.pop("model", ""),
        turns=tuple(_read_system(rest.pop("system", []))) + tuple(_read_turns(rest.pop("messages"))),
        parameters=parameters,
        tools=tools,
        response_format=response_format,
        extras=rest,
        broken_rules=tuple(find_broken_rules(body, described_model)),
        abilities=Abilities(joins_turns=True, marks_errors=True, tells_lax_tools=False),
    )


def _read_system(system: Any) -> Iterator[Turn]:
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
    if blocks:
        yield Turn(role="system", parts=tuple(_read_block(block)[1] for block in blocks))


def _read_turns(messages: list[Json]) -> Iterator[Turn]:
    for message in messages:
        if message.keys() != {"role", "content"}:
            raise UnreadableBody(f"members of a message: {sorted(message)}")
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        parts = [_read_block(block) for block in blocks]
        if message["role"] not in _ROLES or (message["role"] != "user" and any(role == "tool" for role, _ in parts)):
            raise UnreadableBody(f"a message of the role {message['role']}")
        if not parts:
            yield Turn(role=message["role"], parts=(EMPTY,))
        for role, part in parts:
            yield Turn(role=role or message["role"], parts=(part,))


def _read_block(block: Json) -> tuple[str, MeaningPart]:
    """Returns a block, and its role where that is not the message's."""
    rest = dict(block)
    cache = rest.pop("cache_control", None) is not None
    match rest:
        case {"type": "text", "text": words, **others} if not others:
            return "", text(words, cache=cache)
        case {"type": "thinking", "thinking": words, **others}:
            return "", reasoning(words, signature=others.get("signature", ""))
        case {"type": "redacted_thinking", "data": data}:
            return "", redacted(data)
        case {"type": "tool_use", "id": call_id, "name": name, "input": arguments, **others} if not others:
            return "", call(call_id, name, arguments, cache=cache)
        case {"type": "tool_result", "tool_use_id": call_id, **others} if not others.keys() - {"content", "is_error"}:
            content = others.get("content", "")
            if not isinstance(content, str):
                cache = cache or any("cache_control" in each for each in content)
                content = "\n".join(each["text"] for each in content)
            return "tool", result(call_id, content, is_error=bool(others.get("is_error")), cache=cache)
        case {"type": "image" | "document", "source": dict() as source, **others} if not others.keys() - {"title"}:
            return "", _read_source(source, others.get("title", ""), cache=cache)
        case _:
            raise UnreadableBody(f"a block: {rest.get('type')} with {sorted(rest)}")


def _read_source(source: Json, filename: str, *, cache: bool) -> MeaningPart:
    match source:
        case {"type": "base64", "media_type": mime_type, "data": data}:
            return media(mime_type, data=data, filename=filename, cache=cache)
        case {"type": "url", "url": uri}:
            return media("", uri=uri, filename=filename, cache=cache)
        case {"type": "text", "media_type": mime_type, "data": words}:
            return media(mime_type, data=_encode(words), filename=filename, cache=cache)
        case _:
            raise UnreadableBody(f"a source: {source.get('type')}")


def _encode(words: str) -> str:
    return base64.b64encode(words.encode()).decode()


def _read_tool(tool: Json) -> ToolMeaning:
    rest = dict(tool)
    if rest.pop("type", "custom") != "custom":
        raise UnreadableBody(f"a tool of the type {tool['type']}")
    read = ToolMeaning(
        name=rest.pop("name"),
        description=rest.pop("description", ""),
        schema=rest.pop("input_schema"),
        strict=rest.pop("strict", None),
        cache=rest.pop("cache_control", None) is not None,
    )
    if rest:
        raise UnreadableBody(f"members of a tool: {sorted(rest)}")
    return read


def _read_output_format(rest: Json) -> FormatMeaning | None:
    config = dict(rest.pop("output_config", {}))
    given = config.pop("format", None) or rest.pop("output_format", None)
    if config:
        rest["output_config"] = config
    match given:
        case None:
            return None
        case {"type": "json_schema", "schema": schema}:
            return FormatMeaning(kind="json_schema", schema=schema, strict=True)
        case _:
            raise UnreadableBody(f"an output format: {given}")


def _read_choice(choice: Any) -> Json:
    if choice is None:
        return {}
    rest = dict(choice)
    read: Json = {}
    disables = rest.pop("disable_parallel_tool_use", None)
    if disables is not None:
        read["parallel_tool_calls"] = not disables
    match rest:
        case {"type": "auto" | "none" as mode}:
            read["tool_choice"] = mode
        case {"type": "any"}:
            read["tool_choice"] = "required"
        case {"type": "tool", "name": name}:
            read["tool_choice"] = {"tool": name}
        case _:
            raise UnreadableBody(f"a tool choice: {choice}")
    return read


def _read_reasoning_amount(rest: Json) -> Json:
    thinking = rest.pop("thinking", None)
    effort = rest.get("output_config", {}).get("effort")
    if effort is not None:
        rest["output_config"] = {name: each for name, each in rest["output_config"].items() if name != "effort"}
        if not rest["output_config"]:
            del rest["output_config"]
    match thinking:
        case {"type": "enabled", "budget_tokens": budget, **others} if not others:
            read: Json = {"reasoning.budget_tokens": budget}
        case {"type": "adaptive", **others} if not others.keys() - {"display", "block_binding"}:
            read = {}
            if effort is None:
                read["reasoning.effort"] = "adaptive"
        case {"type": "disabled"}:
            read = {"reasoning.effort": "none"}
        case None:
            read = {}
        case _:
            raise UnreadableBody(f"thinking: {thinking}")
    return read | ({"reasoning.effort": effort} if effort is not None else {})


def find_broken_rules(body: Json, described_model: str) -> Iterator[tuple[str, str]]:
    """Yields what Anthropic refuses, by the documentation of its API."""
    thinking = body.get("thinking") or {}
    is_thinking = thinking.get("type") in ("enabled", "adaptive")
    budget, most = thinking.get("budget_tokens"), body.get("max_tokens")
    if most is None:
        yield "sampling.max_output_tokens", "max_tokens is required"
    if budget is not None and budget < 1024:
        yield "reasoning", "a budget is at least 1024"
    if budget is not None and most is not None and budget >= most:
        yield "reasoning", "a budget is below max_tokens"
    if is_thinking and body.get("temperature", 1) != 1:
        yield "sampling.temperature", "a model that thinks takes no temperature but 1"
    if is_thinking and "top_k" in body:
        yield "sampling.top_k", "a model that thinks takes no top_k"
    if is_thinking and body.get("top_p", 1) < 0.95:
        yield "sampling.top_p", "a model that thinks takes a top_p from 0.95"
    if is_thinking and (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        yield "tool_choice", "a model that thinks cannot be forced to call a tool"
    if body.get("temperature") is not None and body["temperature"] > 1:
        yield "sampling.temperature", "a temperature is at most 1"
    if any(not stop.strip() for stop in body.get("stop_sequences", [])):
        yield "sampling.stop_sequences", "a stop sequence is not blank"
    if _ONE_OF_TWO.search(described_model) and {"temperature", "top_p"} <= body.keys():
        yield "sampling.top_p", "the model does not take a temperature and a top_p together"
    if count_marks(body) > _MOST_CACHE_MARKS:
        yield "messages", "at most four cache marks are taken"
    yield from _find_broken_message_rules(body)
    if "tool_choice" in body and not body.get("tools"):
        yield "tool_choice", "a tool choice needs tools"


def _find_broken_message_rules(body: Json) -> Iterator[tuple[str, str]]:
    messages = body["messages"]
    if not messages or messages[0]["role"] != "user":
        yield "messages", "the first message is the user's"
    system = body.get("system")
    if system == "" or (isinstance(system, list) and any(not each.get("text", "x").strip() for each in system)):
        yield "messages", "a text is not blank"
    for index, message in enumerate(messages):
        content = message["content"]
        blocks: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        is_last_answer = index == len(messages) - 1 and message["role"] == "assistant"
        if not blocks and not is_last_answer:
            yield "messages", "a message is not empty"
        for block in blocks:
            if block.get("type") == "text" and not block["text"].strip():
                yield "messages", "a text is not blank"
            if not re.fullmatch(r"[a-zA-Z0-9_-]+", block.get("tool_use_id") or block.get("id") or "x"):
                yield "messages", "an id has letters, digits, underscores and dashes"
            if block.get("type") == "thinking" and not block.get("signature"):
                yield "messages", "reasoning has a signature"
            if block.get("type") == "thinking" and "cache_control" in block:
                yield "messages", "reasoning has no cache mark"
            source: Json = block.get("source", {})
            encoded = source.get("media_type", "") if source.get("type") == "base64" else None
            if block.get("type") == "document" and encoded not in (None, "application/pdf"):
                yield "messages", "a base64 document is a PDF"
            if block.get("type") == "image" and encoded is not None and not _IMAGES.fullmatch(encoded):
                yield "messages", "an image is JPEG, PNG, GIF or WebP"
        if is_last_answer and blocks and re.search(r"\s$", blocks[-1].get("text", "")):
            yield "messages", "the last answer does not end in blanks"


def count_marks(value: Any) -> int:
    """Returns the number of cache marks anywhere in the body."""
    match value:
        case dict():
            return ("cache_control" in value) + sum(
                count_marks(each) for name, each in value.items() if name not in ("input", "input_schema")
            )
        case list():
            return sum(map(count_marks, value))
        case _:
            return 0
