"""Reads a body of the OpenAI chat protocol, in the variants of the providers that speak it."""

import re
from collections.abc import Iterator
from dataclasses import replace
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
    refusal,
    result,
    take_format_tool,
    text,
)

_DATA_URI: Final = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)
_REASONING_MODEL: Final = re.compile(r"(azure|openai)/(o[134]|gpt-5)(?!.*chat)")
"""Models of OpenAI that take neither `max_tokens` nor a temperature of their own."""
_NAMES: Final = {
    "temperature": "sampling.temperature",
    "top_p": "sampling.top_p",
    "top_k": "sampling.top_k",
    "max_tokens": "sampling.max_output_tokens",
    "max_completion_tokens": "sampling.max_output_tokens",
    "seed": "sampling.seed",
    "random_seed": "sampling.seed",
    "presence_penalty": "sampling.presence_penalty",
    "frequency_penalty": "sampling.frequency_penalty",
    "logit_bias": "sampling.logit_bias",
    "logprobs": "sampling.logprobs",
    "top_logprobs": "sampling.top_logprobs",
    "parallel_tool_calls": "parallel_tool_calls",
    "user": "end_user",
}
"""Members of the body whose value needs no conversion; Mistral has its own word for the seed."""
_MAY_NOT_REASON: Final = re.compile(r"(azure|openai)/gpt-5\.[1-9]")
"""Models that reason only with an effort."""
_FOR_NO_REASONING: Final = frozenset({"temperature", "top_p", "logprobs", "top_logprobs"})
_NOT_FOR_REASONING: Final = frozenset(
    {"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias", "stop"}
)
_TAKES_STOP: Final = re.compile(r"(azure|openai)/(o1|o3-mini)")
"""Models of the series o that take stop sequences: OpenAI documents them as "not supported with o3 and o4-mini"."""
_OF_THE_STREAM: Final[Json] = {"stream": True, "stream_options": {"include_usage": True}}


def read_openai(body: Json, path: str, described_model: str) -> Meaning:  # noqa: ARG001
    """Returns the meaning of a body; `described_model` is the model's name in the price map."""
    rest = dict(body)
    for name, value in _OF_THE_STREAM.items():
        if rest.get(name) == value:
            del rest[name]
    parameters: Json = {}
    for name, field in _NAMES.items():
        if name in rest:
            parameters[field] = rest.pop(name)
    if "stop" in rest:
        stop = rest.pop("stop")
        parameters["sampling.stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if "tool_choice" in rest:
        parameters["tool_choice"] = _read_choice(rest.pop("tool_choice"))
    parameters |= _read_reasoning_amount(rest)
    given_tools = tuple(map(_read_tool, rest.pop("tools", None) or []))
    given_format = _read_format(rest.pop("response_format", None))
    tools, response_format = take_format_tool(given_tools, parameters, given_format)
    return Meaning(
        model=rest.pop("model", ""),
        turns=tuple(map(_read_turn, rest.pop("messages"))),
        parameters=parameters,
        tools=tools,
        response_format=response_format,
        extras=rest,
        broken_rules=tuple(_find_broken_rules(body, described_model)),
        abilities=Abilities(),
    )


def _read_turn(message: Json) -> Turn:
    rest = dict(message)
    role, name = rest.pop("role"), rest.pop("name", "")
    if role == "tool":
        content = rest.pop("content", None)
        texts = [part.value for part in _read_content(content)]
        cache = rest.pop("cache_control", None) is not None or any(part.cache for part in _read_content(content))
        parts = [result(rest.pop("tool_call_id"), "\n".join(texts), cache=cache)]
    else:
        parts = list(_read_parts(rest))
    if rest:
        raise UnreadableBody(f"members of a message: {sorted(rest)}")
    return Turn(role="system" if role == "developer" else role, parts=tuple(parts) or (EMPTY,), name=name)


def _read_parts(rest: Json) -> Iterator[MeaningPart]:
    yield from _read_reasoning(rest)
    fields = rest.pop("provider_specific_fields", {})
    signatures = list(fields.get("thought_signatures", []))
    is_cached = rest.pop("cache_control", None) is not None
    for part in _read_content(rest.pop("content", None)):
        signature = signatures.pop(0) if signatures and part.kind == "text" else ""
        yield replace(part, cache=part.cache or is_cached, signature=signature)
    if signatures:
        yield text("", signature=signatures.pop(0))
    if "refusal" in rest:
        yield refusal(rest.pop("refusal"))
    for each in rest.pop("tool_calls", []):
        yield _read_call(dict(each))


def _read_reasoning(rest: Json) -> Iterator[MeaningPart]:
    """Yields the reasoning of a message: signed blocks or details first, then the words that no block has."""
    for detail in rest.pop("reasoning_details", []):
        yield _read_detail(dict(detail))
    members = {rest.pop(name) for name in ("reasoning_content", "reasoning") if name in rest}
    if len(members) > 1:
        raise UnreadableBody("two members with different reasoning")
    words = "".join(members)
    for block in rest.pop("thinking_blocks", []):
        if block["type"] == "redacted_thinking":
            yield redacted(block["data"])
            continue
        yield reasoning(block["thinking"], signature=block.get("signature", ""))
        words = words.replace(block["thinking"], "", 1).strip("\n")
    if words:
        yield reasoning(words)


def _read_detail(detail: Json) -> MeaningPart:
    """Returns the meaning of one of OpenRouter's details with a value that did not come from its answers."""
    match detail:
        case {"type": "reasoning.encrypted", "data": data, "format": "anthropic-claude-v1"} if len(detail) == 3:
            return redacted(data)
        case {"type": "reasoning.text", "text": words, "signature": signature, "format": "anthropic-claude-v1"}:
            return reasoning(words, signature=signature)
        case _:
            raise UnreadableBody(f"a detail of reasoning: {detail}")


def _read_content(content: Any) -> list[MeaningPart]:
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [text(content)]
    return [_read_part(dict(part)) for part in content]


def _read_part(part: Json) -> MeaningPart:
    cache = part.pop("cache_control", None) is not None
    match part:
        case {"type": "text", "text": words, **rest} if not rest:
            return text(words, cache=cache)
        case {"type": "thinking", "thinking": [{"type": "text", "text": words}], **rest} if not rest:  # Mistral's form
            return reasoning(words)
        case {"type": "image_url", "image_url": {"url": url}}:
            return read_media(url, cache=cache)
        case {"type": "image_url", "image_url": str() as url}:  # Mistral's form
            return read_media(url, cache=cache)
        case {"type": "input_audio", "input_audio": {"data": data, "format": name}}:
            return read_audio(data, name, cache=cache)
        case {"type": "input_audio", "input_audio": str() as data}:  # Mistral's form: the data alone
            return media("audio", data=data, cache=cache)
        case {"type": "file", "file": {"file_data": data, **rest}} if not rest.keys() - {"filename"}:
            return read_media(data, filename=str(rest.get("filename", "")), cache=cache)
        case _:
            raise UnreadableBody(f"a part of a message: {part.get('type')} with {sorted(part)}")


def read_audio(data: str, name: str, *, cache: bool) -> MeaningPart:
    """Reads audio, whose format is a short name."""
    return media(f"audio/{'mpeg' if name == 'mp3' else name}", data=data, cache=cache)


def read_media(location: str, *, filename: str = "", cache: bool) -> MeaningPart:
    """Reads media from a data URI or another one."""
    if (found := _DATA_URI.fullmatch(location)) is None:
        return media("", uri=location, filename=filename, cache=cache)
    return media(found[1], data=found[2], filename=filename, cache=cache)


def _read_call(each: Json) -> MeaningPart:
    cache = each.pop("cache_control", None) is not None
    google = each.pop("extra_content", {}).get("google", {})
    signature = google.get("thought_signature") or each.pop("provider_specific_fields", {}).get("thought_signature", "")
    function = each.pop("function")
    if each.keys() - {"id", "type", "index"} or function.keys() - {"name", "arguments"}:
        raise UnreadableBody(f"members of a tool call: {sorted(each)}, {sorted(function)}")
    return call(each["id"], function["name"], function["arguments"], cache=cache, signature=signature)


def _read_choice(choice: Any) -> Any:
    match choice:
        case "any":  # Mistral's word
            return "required"
        case str():
            return choice
        case {"type": "function", "function": {"name": name}}:
            return {"tool": name}
        case _:
            raise UnreadableBody(f"a tool choice: {choice}")


def _read_tool(tool: Json) -> ToolMeaning:
    rest = dict(tool)
    function = dict(rest.pop("function"))
    cache = rest.pop("cache_control", None) is not None
    if rest != {"type": "function"}:
        raise UnreadableBody(f"members of a tool: {sorted(rest)}")
    read = ToolMeaning(
        name=function.pop("name"),
        description=function.pop("description", ""),
        schema=function.pop("parameters", {"type": "object", "properties": {}}),
        strict=function.pop("strict", None),
        cache=cache,
    )
    if function:
        raise UnreadableBody(f"members of a function: {sorted(function)}")
    return read


def _read_format(given: Any) -> FormatMeaning | None:
    if given is None or given == {"type": "text"}:
        return None
    rest = dict(given)
    match rest.pop("type"):
        case "json_object":
            # Fireworks and Together take a schema here.
            schema = rest.pop("schema", None) or rest.pop("response_schema", None)
            read = FormatMeaning(kind="json_schema", schema=schema) if schema else FormatMeaning(kind="json_object")
        case "json_schema" if rest.keys() == {"json_schema"}:
            rest = dict(rest["json_schema"])
            read = FormatMeaning(
                kind="json_schema",
                name=rest.pop("name", ""),
                description=rest.pop("description", ""),
                schema=rest.pop("schema"),
                strict=rest.pop("strict", None),
            )
        case _:
            raise UnreadableBody(f"a response format: {given}")
    if rest:
        raise UnreadableBody(f"members of a response format: {sorted(rest)}")
    return read


def _read_reasoning_amount(rest: Json) -> Json:
    """Takes the amount of reasoning out of the body, in the words of whichever provider."""
    words = [_read_words(rest)]
    if "reasoning_effort" in rest:  # what else is said, must say the same
        effort = rest.pop("reasoning_effort")
        words.append({"reasoning.effort": "on" if effort == "default" else effort})
    found = [each for each in words if each]
    if len(found) == 2 and found[0] == {"reasoning.effort": "on"}:
        return found[1]
    if len(found) > 1 and found[0] != found[1]:
        raise UnreadableBody(f"amounts of reasoning: {found}")
    return found[0] if found else {}


def _read_words(rest: Json) -> Json:
    match rest.pop("thinking", None):
        case {"type": "enabled", "budget_tokens": budget}:
            return {"reasoning.budget_tokens": budget}
        case {"type": "disabled"}:
            return {"reasoning.effort": "none"}
        case {"type": "enabled", **others} if not others:
            return {"reasoning.effort": "on"}
        case {"type": "adaptive"}:
            return {"reasoning.effort": rest.pop("output_config")["effort"]}
        case None:
            pass
        case other:
            raise UnreadableBody(f"thinking: {other}")
    match rest.pop("reasoning", None):
        case {"effort": effort}:
            return {"reasoning.effort": effort}
        case {"max_tokens": budget}:
            return {"reasoning.budget_tokens": budget}
        case {"enabled": bool() as is_on}:
            return {"reasoning.effort": "on" if is_on else "none"}
        case None:
            pass
        case other:
            raise UnreadableBody(f"reasoning: {other}")
    is_on = rest.pop("enable_thinking", None)
    if "thinking_budget" in rest:
        return {"reasoning.budget_tokens": rest.pop("thinking_budget")}
    return {} if is_on is None else {"reasoning.effort": "on" if is_on else "none"}


def _find_broken_rules(body: Json, described_model: str) -> Iterator[tuple[str, str]]:
    """Yields what is refused by the documentation of OpenAI's API, mostly by its own reasoning models."""
    if any(message["role"] == "tool" and message.get("content") is None for message in body["messages"]):
        yield "messages", "a tool's message has content"
    if not _REASONING_MODEL.match(described_model):
        return
    is_reasoning = body.get("reasoning_effort", "none") != "none" or not _MAY_NOT_REASON.match(described_model)
    if "max_tokens" in body:
        yield "sampling.max_output_tokens", "a reasoning model takes max_completion_tokens, not max_tokens"
    for name in sorted(_NOT_FOR_REASONING & body.keys()):
        if name in _FOR_NO_REASONING and not is_reasoning:
            continue
        if name == "stop" and _TAKES_STOP.match(described_model):
            continue
        if (name, body[name]) not in [("temperature", 1), ("top_p", 1)]:
            yield _NAMES.get(name, "sampling.stop_sequences"), f"a reasoning model does not take {name}"
