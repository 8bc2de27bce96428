"""Finds the error that a provider reports in an answer, wherever providers put errors."""

from collections.abc import Mapping
from typing import Any, Final

from reasoning_grpc.litellm_model.answers.choices import select_choice
from reasoning_grpc.litellm_model.answers.errors import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.answers.json_events import decode_event

CODE_FIELDS: Final = ("status", "status_code", "code", "error_code")
"""The members in which an error has its code."""
_CONTENT_FIELDS: Final = frozenset({"choices", "candidates", "usage", "usageMetadata", "content", "delta", "response"})
"""Members that show that an object is a part of an answer."""


class ErrorEvent(bytes):
    """The data of a server-sent event with the name `error`, in whatever form."""


def decode_part(event: bytes) -> dict[str, Any]:
    """Returns the JSON object of one event of an answer. Raises MalformedAnswer, and ErrorInAnswer for an error."""
    if isinstance(event, ErrorEvent):
        raise ErrorInAnswer(_read_error_event(event))
    part = decode_event(event)
    if not isinstance(part, dict):
        raise MalformedAnswer("an event is not an object")
    check_part(part)
    return part


def check_part(part: Mapping[str, Any]) -> None:
    """Raises ErrorInAnswer if a part of an answer reports an error."""
    if (error := find_error(part)) is not None:
        raise ErrorInAnswer(error)


def find_error(part: Mapping[str, Any]) -> object:
    """Returns the error that a part of an answer, or the body of a failure, reports; None if it reports none.

    The error is in a member at the top, in the choice, or the object is the error itself.
    """
    # Bursts have thousands of parts without an error: what they lack must cost nothing.
    if part.get("error") or part.get("object") == "error" or part.get("type") == "error":
        return _unwrap_error(part)
    if choices := part.get("choices"):
        choice = select_choice(choices)
        return None if choice is None else _find_choice_error(choice)
    return _unwrap_error(part) if _is_bare_error(part) else None


def _unwrap_error(body: Mapping[str, Any]) -> object:
    """Returns the error in an object that reports one: its member for it, or else the object itself."""
    for name in ("error", "detail", "errors"):
        error = body.get(name)
        if name == "errors" and isinstance(error, list) and error:
            error = error[0]
        is_flag = isinstance(error, bool | int | float) and "message" in body
        if error and not is_flag:
            return _add_outer_codes(error, body)
    return body


def _is_bare_error(part: Mapping[str, Any]) -> bool:
    """Whether an object without content is an error: it has details, or a message with a code."""
    if not _CONTENT_FIELDS.isdisjoint(part):
        return False
    if part.get("detail") or part.get("errors"):
        return True
    return isinstance(part.get("message"), str) and any(part.get(name) for name in CODE_FIELDS)


def _find_choice_error(choice: Mapping[str, Any]) -> object:
    if error := choice.get("error"):
        return error
    for name in ("delta", "message"):
        holder = choice.get(name)
        if isinstance(holder, dict) and (error := holder.get("error")):
            return error
    return None


def _add_outer_codes(error: object, body: Mapping[str, Any]) -> object:
    """Returns the error with the codes that stand beside it, as far as it has none of its own."""
    outer = {name: value for name in CODE_FIELDS if (value := body.get(name))}
    if isinstance(error, str) and outer:
        return {"message": error, **outer}
    if isinstance(error, dict) and outer:
        return outer | {name: value for name, value in error.items() if value is not None}
    return error


def _read_error_event(event: bytes) -> object:
    """Returns the error of an event that is named so; text that is not JSON is its message."""
    try:
        error = decode_event(event)
    except MalformedAnswer:
        return event.decode(errors="replace")
    return _unwrap_error(error) if isinstance(error, dict) else error
