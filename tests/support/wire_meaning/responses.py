"""Reads a body of OpenAI's Responses protocol, which litellm uses for some models of OpenAI."""

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
    reasoning,
    refusal,
    result,
    text,
)
from tests.support.wire_meaning.openai import read_audio, read_media

_NAMES: Final = {
    "temperature": "sampling.temperature",
    "top_p": "sampling.top_p",
    "max_output_tokens": "sampling.max_output_tokens",
    "top_logprobs": "sampling.top_logprobs",
    "parallel_tool_calls": "parallel_tool_calls",
    "user": "end_user",
}


def read_responses(body: Json, path: str, described_model: str) -> Meaning:  # noqa: ARG001
    """Returns the meaning of a body."""
    rest = dict(body)
    if rest.get("stream") is True:
        del rest["stream"]
    parameters = {field: rest.pop(name) for name, field in _NAMES.items() if name in rest}
    if "message.output_text.logprobs" in rest.get("include", []):
        parameters["sampling.logprobs"] = True
        del rest["include"]
    if "tool_choice" in rest:
        choice = rest.pop("tool_choice")
        parameters["tool_choice"] = {"tool": choice["name"]} if isinstance(choice, dict) else choice
    amount = dict(rest.pop("reasoning", None) or {})
    if "effort" in amount:
        parameters["reasoning.effort"] = amount.pop("effort")
    if amount:
        rest["reasoning"] = amount
    instructions = rest.pop("instructions", None)
    first = (Turn(role="system", parts=(text(instructions),)),) if instructions else ()
    return Meaning(
        model=rest.pop("model"),
        turns=first + tuple(_read_items(rest.pop("input"))),
        parameters=parameters,
        tools=tuple(map(_read_tool, rest.pop("tools", None) or [])),
        response_format=_read_format(rest.pop("text", None)),
        extras=rest,
        abilities=Abilities(joins_turns=True),
    )


def _read_items(items: Any) -> Iterator[Turn]:
    if isinstance(items, str):
        yield Turn(role="user", parts=(text(items),))
        return
    for item in items:
        rest = dict(item)
        match rest.pop("type", "message"):
            case "message":
                role = rest.pop("role")
                parts = tuple(_read_content(rest.pop("content")))
                yield Turn(role="system" if role == "developer" else role, parts=parts or (EMPTY,))
            case "function_call":
                part = call(rest.pop("call_id"), rest.pop("name"), rest.pop("arguments"))
                yield Turn(role="assistant", parts=(part,))
            case "function_call_output":
                output = "\n".join(part.value for part in _read_content(rest.pop("output")))
                yield Turn(role="tool", parts=(result(rest.pop("call_id"), output),))
            case "reasoning":
                words = "".join(each["text"] for each in rest.pop("summary", []))
                yield Turn(role="assistant", parts=(reasoning(words, signature=rest.pop("encrypted_content", "")),))
            case kind:
                raise UnreadableBody(f"an item of the type {kind}")
        if rest.keys() - {"id", "status"}:
            raise UnreadableBody(f"members of an item: {sorted(rest)}")


def _read_content(content: Any) -> Iterator[MeaningPart]:
    if isinstance(content, str):
        content = [{"type": "input_text", "text": content}] if content else []
    for part in content:
        match part:
            case {"type": "input_text" | "output_text", "text": words}:
                if words:
                    yield text(words)
            case {"type": "refusal", "refusal": words}:
                yield refusal(words)
            case {"type": "input_image", "image_url": str() as url}:
                yield read_media(url, cache=False)
            case {"type": "input_file", "file_data": str() as data, **others}:
                yield read_media(data, filename=str(others.get("filename", "")), cache=False)
            case {"type": "input_audio", "input_audio": {"data": data, "format": name}}:
                yield read_audio(data, name, cache=False)
            case _:
                raise UnreadableBody(f"a part: {part.get('type')} with {sorted(part)}")


def _read_tool(tool: Json) -> ToolMeaning:
    rest = dict(tool)
    if rest.pop("type") != "function":
        raise UnreadableBody(f"a tool of the type {tool['type']}")
    read = ToolMeaning(
        name=rest.pop("name"),
        description=rest.pop("description", "") or "",
        schema=rest.pop("parameters", None) or {"type": "object", "properties": {}},
        strict=rest.pop("strict", None),
    )
    if rest:
        raise UnreadableBody(f"members of a tool: {sorted(rest)}")
    return read


def _read_format(given: Any) -> FormatMeaning | None:
    rest = dict((given or {}).get("format") or {"type": "text"})
    match rest.pop("type"):
        case "text":
            return None
        case "json_object":
            return FormatMeaning(kind="json_object")
        case "json_schema":
            return FormatMeaning(
                kind="json_schema",
                name=rest.pop("name", ""),
                description=rest.pop("description", "") or "",
                schema=rest.pop("schema"),
                strict=rest.pop("strict", None) or None,  # false is this protocol's default
            )
        case kind:
            raise UnreadableBody(f"a format of the type {kind}")
