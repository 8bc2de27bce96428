"""Reads a body of Ollama's chat protocol."""

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

_NAMES: Final = {
    "temperature": "sampling.temperature",
    "top_p": "sampling.top_p",
    "top_k": "sampling.top_k",
    "num_predict": "sampling.max_output_tokens",
    "stop": "sampling.stop_sequences",
    "seed": "sampling.seed",
    "presence_penalty": "sampling.presence_penalty",
    "frequency_penalty": "sampling.frequency_penalty",
}


def read_ollama(body: Json, path: str, described_model: str) -> Meaning:  # noqa: ARG001
    """Returns the meaning of a body."""
    rest = dict(body)
    if rest.get("stream") is True:
        del rest["stream"]
    options = dict(rest.pop("options", {}))
    parameters = {field: options.pop(name) for name, field in _NAMES.items() if name in options}
    if options:
        rest["options"] = options
    match rest.pop("think", None):
        case None:
            pass
        case bool() as thinks:
            parameters["reasoning.effort"] = "on" if thinks else "none"
        case str() as effort:
            parameters["reasoning.effort"] = effort
        case other:
            raise UnreadableBody(f"think: {other}")
    return Meaning(
        model=rest.pop("model"),
        turns=tuple(map(_read_turn, rest.pop("messages"))),
        parameters=parameters,
        tools=tuple(map(_read_tool, rest.pop("tools", None) or [])),
        response_format=_read_format(rest.pop("format", None)),
        extras=rest,
        abilities=Abilities(has_call_ids=False, tells_lax_tools=False, tells_media_types=False),
    )


def _read_turn(message: Json) -> Turn:
    rest = dict(message)
    role = rest.pop("role")
    if not rest.get("images"):
        rest.pop("images", None)
    if role == "tool":
        name = rest.pop("tool_name", "") or rest.pop("name", "") or rest.pop("tool_call_id", "")
        rest.pop("tool_call_id", None)
        parts = [result(name, rest.pop("content"))]
    else:
        parts = list(_read_parts(rest))
    if rest:
        raise UnreadableBody(f"members of a message: {sorted(rest)}")
    return Turn(role=role, parts=tuple(parts) or (EMPTY,))


def _read_parts(rest: Json) -> Iterator[MeaningPart]:
    if words := rest.pop("thinking", ""):
        yield reasoning(words)
    if words := rest.pop("content", ""):
        yield text(words)
    for image in rest.pop("images", None) or []:
        yield media("image", data=image)
    for each in rest.pop("tool_calls", None) or []:
        if each.keys() - {"id", "type", "index", "function"} or each["function"].keys() - {
            "name",
            "arguments",
            "index",
        }:
            raise UnreadableBody(f"members of a tool call: {sorted(each)}")
        yield call("", each["function"]["name"], each["function"]["arguments"])


def _read_tool(tool: Json) -> ToolMeaning:
    function = dict(tool["function"])
    read = ToolMeaning(
        name=function.pop("name"),
        description=function.pop("description", ""),
        schema=function.pop("parameters", {"type": "object", "properties": {}}),
        strict=function.pop("strict", None),
    )
    if function or tool != {"type": "function", "function": tool["function"]}:
        raise UnreadableBody(f"members of a tool: {sorted(tool)}, {sorted(function)}")
    return read


def _read_format(given: Any) -> FormatMeaning | None:
    match given:
        case None | "":
            return None
        case "json":
            return FormatMeaning(kind="json_object")
        case dict():
            return FormatMeaning(kind="json_schema", schema=given, strict=True)  # a grammar holds the answer to it
        case _:
            raise UnreadableBody(f"a format: {given}")
