"""`ErrorBody`: what the body of an error says, in every form seen in the field."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from reasoning_grpc.litellm_model.answers import CODE_FIELDS, find_error
from reasoning_grpc.litellm_model.lenient import read_objects, read_text

BY_ERROR_TYPE: Final[Mapping[str, int]] = {
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
    "overloaded": 529,
    "engine_overloaded_error": 503,
    "service_unavailable": 503,
    "service_unavailable_error": 503,
    "too_many_requests": 429,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "invalid_request_error": 400,
    "timeout_error": 504,
    "api_error": 500,
    "billing_error": 402,
    "request_too_large": 413,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "resource_exhausted": 429,
    "internal": 500,
    "unavailable": 503,
    "deadline_exceeded": 504,
}
"""The HTTP status that an error equals, by its type or Google's status, when it names no number itself."""


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
    retry_delay: str = ""
    """The seconds until another attempt makes sense, as Google writes them beside the error."""

    @classmethod
    def parse(cls, body: bytes) -> "ErrorBody":
        """Reads the body of a response; the result is empty when the body is not JSON of a known form."""
        try:
            decoded = msgspec.json.decode(body)
        except (ValueError, RecursionError):
            return cls()
        if isinstance(decoded, list) and decoded:
            decoded = decoded[0]  # Google answers so when a stream was requested without `alt=sse`
        if not isinstance(decoded, dict):
            return cls()
        error = find_error(decoded)
        return cls.read(decoded if error is None else error)

    @classmethod
    def read(cls, error: object) -> "ErrorBody":
        """Reads the error itself: an object, or only its message."""
        if isinstance(error, str):
            return cls(message=error)
        if not isinstance(error, dict):
            return cls()
        details = read_objects(error.get("details"))
        words = [error.get(key) for key in ("type", *CODE_FIELDS)] + [detail.get("reason") for detail in details]
        codes = frozenset(word.lower() for word in words if isinstance(word, str))
        delays = [detail.get("retryDelay") for detail in details]
        return cls(
            codes=codes,
            message=read_text(error.get("message")),
            parameter=read_text(error.get("param")),
            status=_find_status(error, codes),
            retry_delay=next((delay for delay in delays if isinstance(delay, str)), "").removesuffix("s"),
        )


def read_status(value: object) -> int:
    """Returns a status, which some servers write as text; 0 when the value is none."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{3}", value):
        return int(value)
    return value if isinstance(value, int) else 0


def _find_status(error: Mapping[str, Any], codes: frozenset[str]) -> int:
    for key in CODE_FIELDS:
        status = read_status(error.get(key))
        if 400 <= status < 600:
            return status
    return next((BY_ERROR_TYPE[code] for code in sorted(codes) if code in BY_ERROR_TYPE), 0)
