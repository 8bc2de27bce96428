"""`ErrorBody`: what the body of an error says, in every form seen in the field."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from reasoning_grpc.litellm_model.answers import CODE_FIELDS, TYPE_FIELDS, find_error
from reasoning_grpc.litellm_model.failures.retry_after import find_delay_phrase
from reasoning_grpc.litellm_model.failures.sentences import join_location, unwrap_sentence
from reasoning_grpc.litellm_model.lenient import (
    Json,
    read_failed_status,
    read_list,
    read_object,
    read_objects,
    read_text,
)
from reasoning_grpc.litellm_model.transport.sse import EventStreamDecoder

BY_ERROR_TYPE: Final[Mapping[str, int]] = {
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
    "overloaded": 529,
    "engine_overloaded_error": 503,
    "service_unavailable": 503,
    "service_unavailable_error": 503,
    "too_many_requests": 429,
    "too_many_requests_error": 429,
    "too_many_tokens_error": 429,
    "rate_limit_reached_error": 429,
    "rate_limited": 429,
    "model_rate_limit": 429,
    "limit_requests": 429,
    "request_limit_exceeded": 429,
    "authentication_error": 401,
    "invalid_authentication_error": 401,
    "invalid_api_key": 401,
    "wrong_api_key": 401,
    "unauthorized": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "resource_not_found_error": 404,
    "model_not_available": 404,
    "invalid_request_error": 400,
    "timeout_error": 504,
    "api_error": 500,
    "internal_server_error": 500,
    "billing_error": 402,
    "credit_limit": 402,
    "request_too_large": 413,
    "temporarily_unavailable": 503,
    "resource_does_not_exist": 404,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "resource_exhausted": 429,
    "internal": 500,
    "unavailable": 503,
    "deadline_exceeded": 504,
    "accessdeniedexception": 403,
    "internalfailure": 500,
    "internalserverexception": 500,
    "modelerrorexception": 424,
    "modelnotreadyexception": 429,
    "modelstreamerrorexception": 424,
    "modeltimeoutexception": 408,
    "resourcenotfoundexception": 404,
    "serviceunavailable": 503,
    "serviceunavailableexception": 503,
    "throttling": 429,
    "throttlingexception": 429,
    "validationexception": 400,
    "client specified an invalid argument": 400,
    "the request does not have valid authentication credentials": 401,
    "the caller does not have permission to execute the specified operation": 403,
    "some requested entity was not found": 404,
    "some resource has been exhausted": 429,
    "the service is currently unavailable": 503,
    "deadline expired before operation could complete": 504,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "vector_store_timeout": 504,
    "invalid_prompt": 400,
    "data_residency_mismatch": 400,
    "bio_policy": 400,
    "cyber_policy": 400,
    "invalid_image": 400,
    "invalid_image_format": 400,
    "invalid_base64_image": 400,
    "invalid_image_url": 400,
    "image_too_large": 400,
    "image_too_small": 400,
    "image_parse_error": 400,
    "image_content_policy_violation": 400,
    "invalid_image_mode": 400,
    "image_file_too_large": 400,
    "unsupported_image_media_type": 400,
    "empty_image_file": 400,
    "failed_to_download_image": 400,
    "image_file_not_found": 400,
}
"""The HTTP status that an error equals, by its type, when it names no number itself.

The words with blanks are the names of gRPC's codes, as xAI writes them."""

_DELAY_FIELDS: Final[Mapping[str, str]] = {
    "retryafter": "retry-after",
    "retryafterseconds": "retry-after",
    "retryaftersecs": "retry-after",
    "retrydelay": "retry-after",
    "retryafterms": "retry-after-ms",
    "retryaftermillis": "retry-after-ms",
    "retryaftermilliseconds": "retry-after-ms",
    "retrydelayms": "retry-after-ms",
}
"""The header that says the same as a member of a body, by the member's name in lower case without `_` and `-`."""


_MESSAGE_FIELDS: Final = (
    *("message", "msg", "error_message", "errorMessage", "error_msg", "Message", "detail", "error", "title"),
)
"""The members in which an error has its message, the most telling one first."""
_LONGEST_TEXT: Final = 2000


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The content of an error's body. A member is empty where the body does not have it."""

    codes: frozenset[str] = frozenset()
    """Values of `type`, of the members of CODE_FIELDS and of a detail's `reason`, in lower case."""
    message: str = ""
    parameter: str = ""
    """The parameter that is at fault, in the words of the upstream."""
    status: int = 0
    """The HTTP status that the error equals."""
    delays: Mapping[str, str] = field(default_factory=dict)
    """The delay before another attempt that the body names, in the form of headers."""
    inner_message: str = ""
    """The message of the provider behind the upstream, or of the wrong value, where it says more than `message`."""

    @property
    def sentence(self) -> str:
        """The provider's own sentence, without what gateways put around it. It may repeat the request."""
        return unwrap_sentence(self.inner_message or self.message)

    @classmethod
    def parse(cls, body: bytes) -> "ErrorBody":
        """Reads the body of a response; the result is empty when the body is not JSON of a known form.

        Some servers answer a request for a stream with a failed status and an event stream, whose first event is the
        error.
        """
        decoded = _decode(body)
        if decoded is None:
            decoded = _decode(_find_first_event(body))
        if isinstance(decoded, list) and decoded:
            decoded = decoded[0]  # Google answers so when a stream was requested without `alt=sse`
        if not isinstance(decoded, dict):
            return cls(message=_read_plain_text(body) if decoded is None else "")
        error = find_error(decoded)
        found = cls.read(decoded if error is None else error)
        return replace(found, delays={**_find_delay_members(decoded), **found.delays})  # some stand beside the error

    @classmethod
    def read(cls, error: object) -> "ErrorBody":
        """Reads the error itself: an object, or only its message."""
        if isinstance(error, str):
            return cls(message=error, delays=_find_delays({}, [], error))
        if status := read_failed_status(error):
            return cls(status=status)
        error = _select_validation_error(error)
        if not isinstance(error, dict):
            return cls()
        details = read_objects(error.get("details"))
        words = [error.get(key) for key in (*TYPE_FIELDS, *CODE_FIELDS)] + [detail.get("reason") for detail in details]
        codes = frozenset(word.lower() for word in words if isinstance(word, str))
        message = _read_message(error)
        return cls(
            codes=codes,
            message=message,
            parameter=read_text(error.get("param")) or _find_located_parameter(error.get("loc")),
            status=_find_status(error, codes),
            delays=_find_delays(error, details, message),
            inner_message=_find_inner_message(error, details),
        )


def _decode(body: bytes) -> object:
    """Returns the JSON value of a body; None when it is no JSON."""
    try:
        decoded: object = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    return decoded


def _read_plain_text(body: bytes) -> str:
    """Returns a body that is a short text, as some gateways answer; empty when it is a page or no text."""
    text = body[: _LONGEST_TEXT + 1].decode(errors="ignore").strip()
    is_text = len(text) <= _LONGEST_TEXT and not text.startswith(("<", "{", "[", "data:", "event:", ":"))
    return text if is_text and text.replace("\n", " ").isprintable() else ""


def _read_message(error: Json) -> str:
    """Returns the message of an error; a LiteLLM proxy puts it into an object at times."""
    holders = (error, read_object(error.get("message")))
    texts = (read_text(holder.get(name)) for holder in holders for name in _MESSAGE_FIELDS)
    return next(filter(None, texts), "")


def _find_inner_message(error: Json, details: list[Json]) -> str:
    """Returns the message in an error that says more than the error's own one; empty where there is none.

    OpenRouter passes on the body of the provider, Google and FastAPI name the wrong value.
    """
    raw = read_object(error.get("metadata")).get("raw")
    if message := read_text(raw) or _read_message(read_object(find_error(read_object(raw)))):
        return message
    if read_text(error.get("message")).startswith("Request contains an invalid argument"):
        violations = [violation for detail in details for violation in read_objects(detail.get("fieldViolations"))]
        for violation in violations:
            return join_location([read_text(violation.get("field"))], read_text(violation.get("description")))
    return join_location(read_list(error.get("loc")), read_text(error.get("msg")))


def _find_first_event(body: bytes) -> bytes:
    """Returns the data of the first event in a body that is an event stream; empty when there is none."""
    decoder = EventStreamDecoder(max_event_bytes=len(body))
    return next(iter([*decoder.feed(body), *decoder.finish()]), b"")


def _select_validation_error(error: object) -> object:
    """Returns the first validation error in the lists of servers that are written with FastAPI, else the error itself.

    The list is the detail of a body, and Mistral puts that body into the message.
    """
    message = error.get("message") if isinstance(error, dict) else None
    listed = message.get("detail") if isinstance(message, dict) else error
    return next(iter(read_objects(listed)), {}) if isinstance(listed, list) else error


def _find_located_parameter(location: object) -> str:
    """Returns the parameter in the path to a wrong value, such as ["body", "top_k"]; empty if there is none."""
    path = location if isinstance(location, list) else []
    return read_text(path[1]) if len(path) > 1 and path[0] == "body" else ""


def _find_delays(error: Mapping[str, Any], details: list[Json], message: str) -> dict[str, str]:
    """Returns the delays beside an error, by the headers that would say the same.

    Google writes `retryDelay`, others `retry_after` or `retryAfterMs`; OpenRouter passes the provider's headers on, and
    OpenAI and Groq write the delay into the message as well.
    """
    metadata = read_object(error.get("metadata"))
    headers = read_object(metadata.get("headers"))
    delays: dict[str, str] = {}
    if phrase := find_delay_phrase(message):
        delays["retry-after"] = phrase
    for holder in (metadata, error, *reversed(details)):
        delays |= _find_delay_members(holder)
    return delays | {name.lower(): str(value) for name, value in headers.items() if _is_scalar(value)}


def _find_delay_members(holder: Mapping[str, Any]) -> dict[str, str]:
    """Returns the members of an object that state a delay, by the headers that would say the same."""
    found = {_DELAY_FIELDS.get(re.sub("[_-]", "", name.lower()), ""): value for name, value in holder.items()}
    return {header: str(value) for header, value in found.items() if header and _is_scalar(value)}


def _is_scalar(value: object) -> bool:
    """Returns whether a value is text or a number."""
    return isinstance(value, str | int | float)


def _find_status(error: Mapping[str, Any], codes: frozenset[str]) -> int:
    for key in CODE_FIELDS:
        if status := read_failed_status(error.get(key)):
            return status
    statuses = [BY_ERROR_TYPE[code] for code in sorted(codes) if code in BY_ERROR_TYPE]
    return min(statuses, key=lambda status: status == 400, default=0)  # many servers put a 400 beside a better word
