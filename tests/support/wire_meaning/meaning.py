"""`Meaning`: what a request says, in no protocol's words."""

import json
import math
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

SAME_TYPES: Final = {
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "image/jpg": "image/jpeg",
}
"""Other names of MIME types."""

FORMAT_TOOL: Final = "json_tool_call"
"""A tool whose arguments are the formatted answer, where a protocol has no format."""


class UnreadableBody(Exception):
    """A body has something that the reader of its protocol does not know, so nobody can say what it means."""


@dataclass(frozen=True, kw_only=True)
class MeaningPart:
    """One part of a conversation."""

    kind: str
    """text, media, call, result, reasoning, redacted, refusal; empty for a turn without parts."""
    value: Any
    """JSON data that says all of the part but what the other attributes say."""
    cache: bool = False
    signature: str = ""
    filename: str = ""

    @property
    def key(self) -> str:
        """Returns a text that is equal for equal parts."""
        return json.dumps([self.kind, self.value], sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A message: who speaks, and what."""

    role: str
    """system, user, assistant or tool."""
    parts: tuple[MeaningPart, ...]
    name: str = ""
    is_default: bool = False
    """Whether the entry of the model has it, and not the request: it has no place there."""


@dataclass(frozen=True, kw_only=True)
class ToolMeaning:
    """A tool that the model may call."""

    name: str
    description: str
    schema: Json
    strict: bool | None
    cache: bool = False


@dataclass(frozen=True, kw_only=True)
class FormatMeaning:
    """The format of the answer."""

    kind: str
    """json_object or json_schema; free text is no format."""
    name: str = ""
    description: str = ""
    schema: Json = field(default_factory=dict)
    strict: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What a protocol has words for; what it has none for is compared without it."""

    joins_turns: bool = False
    """Successive turns of one side are one turn, and SYSTEM turns stand apart."""
    has_call_ids: bool = True
    """A result names its call by an id; else by the name of the tool."""
    marks_errors: bool = False
    """A result can be marked as an error; else its text begins with "Error: "."""
    tells_lax_tools: bool = True
    """`strict: false` differs from no `strict`."""
    tells_media_types: bool = True
    """Media has a MIME type; else it is an image of whatever type."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """All that a request says."""

    model: str
    turns: tuple[Turn, ...]
    parameters: Json = field(default_factory=dict)
    """Values by the path of the request's field: "sampling.seed", "tool_choice", "reasoning", "end_user"."""
    defaulted: frozenset[str] = frozenset()
    """The parameters that only the defaults of the model's entry have."""
    tools: tuple[ToolMeaning, ...] = ()
    response_format: FormatMeaning | None = None
    extras: Json = field(default_factory=dict)
    """What has no field of its own: provider options, and what nobody asked for."""
    broken_rules: tuple[tuple[str, str], ...] = ()
    """Fields, and the provider's documented rule that they break: it refuses the request."""
    abilities: Abilities = field(default_factory=Abilities)


def text(value: str, *, cache: bool = False, signature: str = "") -> MeaningPart:
    """Returns a part of text."""
    return MeaningPart(kind="text", value=value, cache=cache, signature=signature)


def media(mime_type: str, *, data: str = "", uri: str = "", filename: str = "", cache: bool = False) -> MeaningPart:
    """Returns a part of media. The type of what is given by its URI is the server's to say; `data` is base64."""
    value: Json = {"uri": uri} if uri else {"mime_type": SAME_TYPES.get(mime_type, mime_type), "data": data}
    return MeaningPart(kind="media", value=value, cache=cache, filename=filename)


def call(call_id: str, name: str, arguments: Any, *, cache: bool = False, signature: str = "") -> MeaningPart:
    """Returns a tool call; arguments that are JSON text are compared as data."""
    value = {"id": call_id, "name": name, "arguments": parse_json(arguments)}
    return MeaningPart(kind="call", value=value, cache=cache, signature=signature)


def result(call_id: str, content: str, *, is_error: bool = False, cache: bool = False) -> MeaningPart:
    """Returns the result of a call."""
    value = {"call_id": call_id, "content": _parse_object(content), "is_error": is_error}
    return MeaningPart(kind="result", value=value, cache=cache)


def reasoning(words: str, *, signature: str = "") -> MeaningPart:
    """Returns reasoning in words."""
    return MeaningPart(kind="reasoning", value=words, signature=signature)


def redacted(data: str) -> MeaningPart:
    """Returns reasoning that only the provider can read."""
    return MeaningPart(kind="redacted", value=data)


def refusal(words: str) -> MeaningPart:
    """Returns the words with which the model declined."""
    return MeaningPart(kind="refusal", value=words)


EMPTY: Final = MeaningPart(kind="empty", value=None)
"""Stands for the content of a turn that has none."""


def take_format_tool(
    tools: tuple[ToolMeaning, ...], parameters: Json, response_format: FormatMeaning | None
) -> tuple[tuple[ToolMeaning, ...], FormatMeaning | None]:
    """Returns the tools and the format, where a tool that the model must call stands for the format."""
    formats = [tool for tool in tools if tool.name == FORMAT_TOOL]
    if not formats:
        return tools, response_format
    if parameters.get("tool_choice") == {"tool": FORMAT_TOOL}:
        del parameters["tool_choice"]
    read = FormatMeaning(kind="json_schema", schema=formats[0].schema, strict=formats[0].strict)
    return tuple(tool for tool in tools if tool.name != FORMAT_TOOL), read


def _parse_object(content: str) -> Any:
    """Returns the data of a JSON object, and other text as it is."""
    parsed = parse_json(content)
    return parsed if isinstance(parsed, dict) else content


def parse_json(arguments: Any) -> Any:
    """Returns the data of JSON text, and other text as it is."""
    if not isinstance(arguments, str):
        return arguments
    try:
        parsed = json.loads(arguments, parse_constant=_refuse, parse_float=_read_finite)
        json.dumps(parsed, ensure_ascii=False).encode()
    except ValueError:
        return arguments  # half a character, and what is no number, cannot be sent as data either
    return parsed


def _refuse(name: str) -> None:
    raise ValueError(name)


def _read_finite(number: str) -> float:
    read = float(number)
    if math.isinf(read):
        raise ValueError(number)
    return read
