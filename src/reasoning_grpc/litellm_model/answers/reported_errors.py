"""Finds the error that a provider reports in an answer, wherever providers put errors."""

from typing import Final, Self

from reasoning_grpc.litellm_model.answers.choices import select_choice
from reasoning_grpc.litellm_model.answers.errors import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.answers.json_events import decode_event
from reasoning_grpc.litellm_model.lenient import Json, read_failed_status, read_text

CODE_FIELDS: Final = (
    *("status", "status_code", "statusCode", "http_status", "http_status_code", "httpStatus", "http_code"),
    *("code", "error_code", "errorCode"),
)
"""The members in which an error has its code."""
TYPE_FIELDS: Final = ("type", "error_type")
"""The members in which an error has the word for its type."""
_CONTENT_FIELDS: Final = frozenset({"choices", "candidates", "usage", "usageMetadata", "content", "delta", "response"})
"""Members that show that an object is a part of an answer, where they are not empty."""
_MESSAGE_FIELDS: Final = ("message", "title", "error_message", "errorMessage", "error_msg")
_ERROR_FIELDS: Final = ("error", "detail", "errors")
"""Members whose value is the error itself, or a list of errors."""
_ERROR_ENDINGS: Final = ("error", "exception")
"""The ends of the words for types of errors, in lower case."""
_MAX_WRAPPERS: Final = 4
"""The most objects around an error that only hold the error."""


class ErrorEvent(bytes):
    """The data of an event that reports an error by its name, in whatever form."""


class NamedEvent(bytes):
    """The data of an event whose name stands beside it, and says what the data is."""

    def __new__(cls, data: bytes, name: str) -> Self:
        """Returns the data, which remembers its name."""
        event = super().__new__(cls, data)
        event.name = name
        return event

    name: str


def decode_part(event: bytes) -> Json:
    """Returns the JSON object of one event; that of a `NamedEvent` is a member with the name, in an object of its own.

    Raises MalformedAnswer, and ErrorInAnswer for an `ErrorEvent`.
    """
    if isinstance(event, ErrorEvent):
        raise ErrorInAnswer(_read_error_event(event))
    part = decode_event(event)
    if isinstance(part, list) and part and isinstance(part[0], dict) and (error := find_error(part[0])) is not None:
        raise ErrorInAnswer(error)
    if not isinstance(part, dict):
        raise MalformedAnswer("an event is not an object")
    return {event.name: part} if isinstance(event, NamedEvent) else part


def read_choice(part: Json) -> Json | None:
    """Returns the choice of a part of an answer, if it has one. Raises ErrorInAnswer if the part reports an error."""
    choice = select_choice(part.get("choices"))
    error = _find_error_without_choice(part) if choice is None else _find_error_beside_choice(part, choice)
    if error is not None:
        raise ErrorInAnswer(error)
    return choice


def find_error(body: Json) -> object:
    """Returns the error that the body of a failure reports; None if it reports none in a place that is known."""
    choice = select_choice(body.get("choices"))
    return _find_error_without_choice(body) if choice is None else _find_error_beside_choice(body, choice)


def _find_error_beside_choice(part: Json, choice: Json) -> object:
    """Returns the error at the top of a part of an answer, or in its choice; None if there is none."""
    # Bursts have thousands of such parts, and hardly one has an error: what they lack must cost nothing.
    if part.get("error"):
        return _unwrap_error(part)
    if error := choice.get("error"):
        return error
    holder = choice.get("delta") or choice.get("message")
    return (holder.get("error") or None) if isinstance(holder, dict) else None


def _find_error_without_choice(part: Json) -> object:
    """Returns the error in an object: in a member at its top, in its candidate, or the object itself; None if none."""
    is_error = part.get("error") or part.get("object") == "error" or part.get("type") == "error"
    if is_error or _is_bare_error(part):
        return _unwrap_error(part)
    candidate = select_choice(part.get("candidates"))
    return None if candidate is None else candidate.get("error") or None


def _unwrap_error(body: Json) -> object:
    """Returns the error in an object that reports one: its member for it, or else the object itself."""
    error = _select_member(body)
    if error is None:
        return body
    error = _add_outer_codes(error, body)
    for _ in range(_MAX_WRAPPERS):
        if not isinstance(error, dict) or not error.keys() <= set(_ERROR_FIELDS):
            break
        error = _select_member(error)
    return error


def _select_member(body: Json) -> object:
    """Returns the member of an object that is its error; None where the object is the error itself."""
    for name in _ERROR_FIELDS:
        error = body.get(name)
        if name == "errors" and isinstance(error, list) and error:
            error = error[0]
        if read_failed_status(error):
            return {"code": error, "message": body.get("message")}
        is_flag = isinstance(error, bool | int | float) and "message" in body
        if error and not is_flag:
            return error
    return None


def _is_bare_error(part: Json) -> bool:
    """Whether an object without content is an error: it has details, or the status of a failure, or a message.

    The message is that of an error if a code or the type of an error stands beside it.
    """
    if any(part.get(name) for name in _CONTENT_FIELDS):
        return False
    codes = [part.get(name) for name in CODE_FIELDS]
    if part.get("detail") or part.get("errors") or any(map(read_failed_status, codes)):
        return True
    has_code = any(codes) or any(read_text(part.get(name)).lower().endswith(_ERROR_ENDINGS) for name in TYPE_FIELDS)
    return has_code and any(isinstance(part.get(name), str) for name in _MESSAGE_FIELDS)


def _add_outer_codes(error: object, body: Json) -> object:
    """Returns the error with the codes that stand beside it, as far as it has none of its own."""
    outer: Json = {name: value for name in CODE_FIELDS if (value := body.get(name))}
    if isinstance(error, str):
        outer |= {name: body[name] for name in TYPE_FIELDS if name in body}
        return {"message": error} | outer if outer else error
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
