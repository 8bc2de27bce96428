"""Describes the input that a tool asks for and cannot get here: an answer of the user or of a model, or folders."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

_MAX_REQUESTS: Final = 5
_MAX_FIELDS: Final = 20
_MAX_TEXT_CHARACTERS: Final = 1000
_MAX_FIELD_CHARACTERS: Final = 200
_QUESTION: Final = "It asks the user a question."
_MODEL: Final = "It asks a model for an answer."
_FOLDERS: Final = "It asks for a list of folders."
_UNKNOWN: Final = "It asks for something else."
_CAPABILITIES: Final = {"elicitation": _QUESTION, "sampling": _MODEL, "roots": _FOLDERS}


def describe_input_requests(requests: Iterable[Any]) -> str:
    """Describes the requests that a server sends to its client, in a few lines for the model."""
    return "\n".join(line for request in islice(requests, _MAX_REQUESTS) for line in _describe(request))


def describe_capabilities(required: Any) -> str:
    """Describes the input for which a server wants these capabilities of its client."""
    names = required if isinstance(required, Mapping) else {}
    known = [text for name, text in _CAPABILITIES.items() if name in names]
    return "\n".join(known or [_UNKNOWN])


def list_members(value: Any) -> Sequence[Any]:
    """Returns the members of a list, or the values of an object; nothing for any other value."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _describe(request: Any) -> Iterator[str]:
    """Yields the lines about one request. A server may have left anything out of it."""
    method = request.get("method") if isinstance(request, dict) else None
    params = request.get("params") if isinstance(request, dict) else None
    if not isinstance(params, dict):
        params = {}
    match method:
        case "elicitation/create":
            yield from _describe_question(params)
        case "sampling/createMessage":
            text = _find_last_text(params.get("messages"))
            yield f"It asks a model: {text}" if text else _MODEL
        case "roots/list":
            yield _FOLDERS
        case _:
            yield _UNKNOWN


def _describe_question(params: Mapping[str, Any]) -> Iterator[str]:
    message = _cut(params.get("message"), _MAX_TEXT_CHARACTERS)
    yield f"It asks the user: {message}" if message else _QUESTION
    if url := _cut(params.get("url"), _MAX_TEXT_CHARACTERS):
        yield f"The user has to open {url}"
    schema = params.get("requestedSchema")
    fields = schema.get("properties") if isinstance(schema, dict) else None
    if isinstance(fields, dict) and fields:
        required = schema.get("required") if isinstance(schema, dict) else None
        names = required if isinstance(required, list) else []
        described = [
            _describe_field(name, field, is_required=name in names)
            for name, field in islice(fields.items(), _MAX_FIELDS)
        ]
        yield f"The answer has the fields: {'; '.join(described)}"


def _describe_field(name: str, field: Any, *, is_required: bool) -> str:
    """Describes a field of a form by its name, its type, its choices and its description."""
    facts = field if isinstance(field, dict) else {}
    choices = facts.get("enum")
    notes = [
        _cut(facts.get("type"), _MAX_FIELD_CHARACTERS),
        f"one of {', '.join(map(str, choices))}" if isinstance(choices, list) else "",
        "required" if is_required else "",
        _cut(facts.get("description") or facts.get("title"), _MAX_FIELD_CHARACTERS),
    ]
    text = f"{name} ({', '.join(filter(None, notes))})" if any(notes) else name
    return text[:_MAX_FIELD_CHARACTERS]


def _find_last_text(messages: Any) -> str:
    """Returns the text of the last message that has one, which is the question to the model."""
    for message in reversed(messages if isinstance(messages, list) else []):
        content = message.get("content") if isinstance(message, dict) else None
        blocks = content if isinstance(content, list) else [content]
        texts = [block["text"] for block in blocks if isinstance(block, dict) and isinstance(block.get("text"), str)]
        if texts:
            return _cut("\n".join(texts), _MAX_TEXT_CHARACTERS)
    return ""


def _cut(text: Any, max_characters: int) -> str:
    """Returns the beginning of a text; empty where it is no text."""
    if not isinstance(text, str):
        return ""
    return text if len(text) <= max_characters else f"{text[:max_characters]}..."
