"""Reads a body of OpenAI's Responses protocol."""

import json
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
    reasoning,
    refusal,
    result,
    text,
)
from tests.support.wire_meaning.openai import read_media

_NAMES: Final = {
    "temperature": "sampling.temperature",
    "top_p": "sampling.top_p",
    "max_output_tokens": "sampling.max_output_tokens",
    "top_logprobs": "sampling.top_logprobs",
    "parallel_tool_calls": "parallel_tool_calls",
    "user": "end_user",
}
_LOGPROBS: Final = "message.output_text.logprobs"
_ENCRYPTED: Final = "reasoning.encrypted_content"
_OF_OPENAI: Final = re.compile(r"(azure|openai)/(?!our-|unknown)")
"""Models of OpenAI whose name says which model that is."""
_REASONS: Final = re.compile(r"(azure|openai)/(o\d|gpt-[5-9])(?!.*chat)")
_MAY_NOT_REASON: Final = re.compile(r"(azure|openai)/gpt-5\.[1-9](?!.*(pro|codex))")
"""Models that reason only with an effort."""
_REASONS_BY_DEFAULT: Final = re.compile(r"(azure|openai)/gpt-(5\.[5-9]|[6-9])")
_LEAST_TOKENS: Final = 16
_MOST_OF_USER: Final = 64


def read_responses(body: Json, path: str, described_model: str) -> Meaning:  # noqa: ARG001
    """Returns the meaning of a body."""
    rest = dict(body)
    broken = tuple(_find_broken_rules(body, described_model))
    if rest.get("stream") is True:
        del rest["stream"]
    if rest.get("store") is False:
        del rest["store"]
    parameters = {field: rest.pop(name) for name, field in _NAMES.items() if name in rest}
    included = rest.pop("include", [])
    if _LOGPROBS in included:
        parameters["sampling.logprobs"] = True
    if others := [each for each in included if each not in (_LOGPROBS, _ENCRYPTED)]:
        rest["include"] = others
    if "tool_choice" in rest:
        choice = rest.pop("tool_choice")
        parameters["tool_choice"] = {"tool": choice["name"]} if isinstance(choice, dict) else choice
    amount = dict(rest.pop("reasoning", None) or {})
    if "effort" in amount:
        parameters["reasoning.effort"] = amount.pop("effort")
    if amount.get("summary") == "auto":  # whether a summary is wanted is no matter of the conversation
        del amount["summary"]
    if amount:
        rest["reasoning"] = amount
    return Meaning(
        model=rest.pop("model"),
        turns=tuple(_read_items(rest.pop("input"))),
        parameters=parameters,
        tools=tuple(map(_read_tool, rest.pop("tools", None) or [])),
        response_format=_read_format(rest.pop("text", None)),
        extras=rest,
        broken_rules=broken,
        abilities=Abilities(joins_turns=True, tells_lax_tools=False),
    )


def _find_broken_rules(body: Json, described_model: str) -> Iterator[tuple[str, str]]:
    """Yields what OpenAI refuses by its documentation, and what a model does otherwise than it was asked."""
    if body.get("store") is not False:
        yield "store", "nothing is stored that nobody wants stored"
    if body.get("max_output_tokens", _LEAST_TOKENS) < _LEAST_TOKENS:
        yield "sampling.max_output_tokens", "the limit is 16 or more"
    if len(body.get("user", "")) > _MOST_OF_USER:
        yield "end_user", "a user has up to 64 characters"
    if not _OF_OPENAI.match(described_model):
        return
    is_encrypted = _ENCRYPTED in body.get("include", [])
    reasons = _REASONS.match(described_model) is not None
    if is_encrypted != reasons:
        yield "include", "encrypted reasoning is asked of the models that reason"
    effort = (body.get("reasoning") or {}).get("effort")
    if not reasons and body.get("reasoning"):
        yield "reasoning.effort", "a model that does not reason takes no effort and no summary"
    may_not_reason = _MAY_NOT_REASON.match(described_model) is not None
    is_off = effort == "none" or (effort is None and not _REASONS_BY_DEFAULT.match(described_model))
    if not reasons or (may_not_reason and is_off):
        return
    for name in ("temperature", "top_p"):
        if body.get(name, 1) != 1:
            yield _NAMES[name], f"a reasoning model does not take {name}"
    if "top_logprobs" in body:
        yield "sampling.top_logprobs", "a reasoning model does not take top_logprobs"
    if _LOGPROBS in body.get("include", []):
        yield "sampling.logprobs", "a reasoning model does not take logprobs"


def _read_items(items: Any) -> Iterator[Turn]:
    if isinstance(items, str):
        yield Turn(role="user", parts=(text(items),))
        return
    for item in items:
        rest = dict(item)
        match rest.pop("type", "message"):
            case "message":
                role = rest.pop("role")
                parts = tuple(_read_content(rest.pop("content"), of_model=role == "assistant"))
                if "phase" in rest:
                    signature = _sign(phase=rest.pop("phase"))
                    parts = (*parts[:-1], replace(parts[-1], signature=signature))
                yield Turn(role="system" if role == "developer" else role, parts=parts or (EMPTY,))
            case "function_call":
                part = call(rest.pop("call_id"), rest.pop("name"), rest.pop("arguments"))
                yield Turn(role="assistant", parts=(part,))
            case "function_call_output":
                outputs = list(_read_content(rest.pop("output"), of_model=False))
                words = "\n".join(part.value for part in outputs)
                is_cached = any(part.cache for part in outputs)
                yield Turn(role="tool", parts=(result(rest.pop("call_id"), words, cache=is_cached),))
            case "reasoning":
                words = "\n\n".join(each["text"] for each in rest.pop("summary"))
                signature = _sign(id=rest.pop("id"), encrypted_content=rest.pop("encrypted_content", None))
                yield Turn(role="assistant", parts=(reasoning(words, signature=signature),))
            case kind:
                raise UnreadableBody(f"an item of the type {kind}")
        if rest:
            raise UnreadableBody(f"members of an item: {sorted(rest)}")


def _sign(**members: str | None) -> str:
    """Returns the signature that callers get of an item with these members."""
    return json.dumps({name: value for name, value in members.items() if value is not None}, separators=(",", ":"))


def _read_content(content: Any, *, of_model: bool) -> Iterator[MeaningPart]:
    kind = "output_text" if of_model else "input_text"
    if isinstance(content, str):
        content = [{"type": kind, "text": content}] if content else []
    for part in content:
        rest = dict(part)
        mark = rest.pop("prompt_cache_breakpoint", None)
        if mark not in (None, {"mode": "explicit"}) or (mark is not None and of_model):
            raise UnreadableBody(f"a mark: {mark}")
        yield replace(_read_part(rest, kind), cache=mark is not None)


def _read_part(part: Json, kind: str) -> MeaningPart:
    match part:
        case {"type": name, "text": words, **rest} if name == kind and not rest:
            return text(words)
        case {"type": "refusal", "refusal": words, **rest} if kind == "output_text" and not rest:
            return refusal(words)
        case {"type": "input_image", "image_url": str() as url, "detail": "auto", **rest} if not rest:
            return read_media(url, cache=False)
        case {"type": "input_file", "file_data": str() as data, "filename": str() as name, **rest} if not rest:
            return read_media(data, filename=name, cache=False)
        case {"type": "input_file", "file_url": str() as url, **rest} if not rest:
            return read_media(url, cache=False)
        case _:
            raise UnreadableBody(f"a part: {part.get('type')} with {sorted(part)}")


def _read_tool(tool: Json) -> ToolMeaning:
    rest = dict(tool)
    if rest.pop("type") != "function":
        raise UnreadableBody(f"a tool of the type {tool['type']}")
    read = ToolMeaning(
        name=rest.pop("name"),
        description=rest.pop("description", ""),
        schema=rest.pop("parameters"),
        strict=rest.pop("strict", True),  # true is this protocol's default
    )
    if rest:
        raise UnreadableBody(f"members of a tool: {sorted(rest)}")
    return read


def _read_format(given: Any) -> FormatMeaning | None:
    if given is not None and given.keys() != {"format"}:
        raise UnreadableBody(f"members of a text: {sorted(given)}")
    rest = dict((given or {}).get("format") or {"type": "text"})
    match rest.pop("type"):
        case "text":
            read = None
        case "json_object":
            read = FormatMeaning(kind="json_object")
        case "json_schema":
            read = FormatMeaning(
                kind="json_schema",
                name=rest.pop("name", ""),
                description=rest.pop("description", ""),
                schema=rest.pop("schema"),
                strict=rest.pop("strict", False),  # false is this protocol's default
            )
        case kind:
            raise UnreadableBody(f"a format of the type {kind}")
    if rest:
        raise UnreadableBody(f"members of a format: {sorted(rest)}")
    return read
