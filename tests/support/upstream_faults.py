"""The faults of upstreams that any model call can meet, by their case, and the failure that each becomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
import pytest

from tests.support.upstream import Scripting, chunk

_DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED
_FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
_INTERNAL = grpc.StatusCode.INTERNAL
_INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
_RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamFault:
    """A way in which an upstream fails, and the failure that it is."""

    misbehave: Callable[[Scripting], object]
    """Scripts the upstream."""
    code: grpc.StatusCode
    reason: str
    limit: str = ""
    """The setting of the time limit that ends a call which has this fault. Empty where the fault ends it."""

    def limit_time(self, seconds: float) -> dict[str, Any]:
        """Returns the settings with which a call that has this fault takes no longer."""
        return {self.limit: seconds} if self.limit else {}


def _fail(status: int, expected: grpc.StatusCode, reason: str, **options: Any) -> UpstreamFault:
    return UpstreamFault(misbehave=lambda fake: fake.fail(status, **options), code=expected, reason=reason)


def _body(data: bytes, reason: str = "UPSTREAM_MALFORMED_RESPONSE", **options: Any) -> UpstreamFault:
    return UpstreamFault(misbehave=lambda fake: fake.body(data, **options), code=_INTERNAL, reason=reason)


def _break(misbehave: Callable[[Scripting], object], reason: str = "UPSTREAM_UNREACHABLE") -> UpstreamFault:
    return UpstreamFault(misbehave=misbehave, code=_UNAVAILABLE, reason=reason)


def _wait(misbehave: Callable[[Scripting], object], limit: str, reason: str = "UPSTREAM_TIMEOUT") -> UpstreamFault:
    return UpstreamFault(misbehave=misbehave, code=_DEADLINE_EXCEEDED, reason=reason, limit=limit)


STATUSES: Final = {
    400: (_INVALID_ARGUMENT, "UPSTREAM_REJECTED_REQUEST"),
    401: (_INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED"),
    402: (_RESOURCE_EXHAUSTED, "UPSTREAM_QUOTA_EXHAUSTED"),
    403: (_INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED"),
    404: (_FAILED_PRECONDITION, "UPSTREAM_MODEL_MISSING"),
    408: (_DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT"),
    409: (_UNAVAILABLE, "UPSTREAM_ERROR"),
    413: (_INVALID_ARGUMENT, "CONTEXT_WINDOW_EXCEEDED"),
    422: (_INVALID_ARGUMENT, "UPSTREAM_REJECTED_REQUEST"),
    424: (_UNAVAILABLE, "UPSTREAM_ERROR"),
    429: (_RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED"),
    500: (_UNAVAILABLE, "UPSTREAM_ERROR"),
    502: (_UNAVAILABLE, "UPSTREAM_ERROR"),
    503: (_UNAVAILABLE, "UPSTREAM_OVERLOADED"),
    504: (_DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT"),
    529: (_UNAVAILABLE, "UPSTREAM_OVERLOADED"),
}

FAULTS: Final[Mapping[str, UpstreamFault]] = {
    **{f"1-status-{status}": _fail(status, *expected) for status, expected in STATUSES.items()},
    "4-dropped": _break(lambda fake: fake.drop()),
    "4-reset": _break(lambda fake: fake.drop("reset")),
    "4-short-body": _break(lambda fake: fake.body(b'{"choices', content_length=99)),
    "5-silent": _wait(lambda fake: fake.hang(), "first_token_timeout_seconds"),
    "6-dripping": _wait(lambda fake: fake.drip(), "model_call_timeout_seconds"),
    "7-half-json": _body(b'{"choices": [{'),
    "7-html": _body(b"<html>busy</html>", content_type="text/html"),
    "7-empty-object": _body(b"{}"),
    "7-empty-body": _body(b"", "UPSTREAM_EMPTY_RESPONSE"),
    "7-error-in-200": _break(lambda fake: fake.body(b'{"error": {"code": 503}}'), "UPSTREAM_OVERLOADED"),
    "8-no-choices": _body(b'{"choices": []}', "UPSTREAM_EMPTY_RESPONSE"),
    "8-null-content": UpstreamFault(
        misbehave=lambda fake: fake.chunks(chunk({"content": None}), done=True),
        code=_INTERNAL,
        reason="UPSTREAM_EMPTY_RESPONSE",
    ),
    "9-context-window": _fail(400, _INVALID_ARGUMENT, "CONTEXT_WINDOW_EXCEEDED", code="context_length_exceeded"),
    "9-policy": _fail(400, _INVALID_ARGUMENT, "CONTENT_POLICY", code="content_policy_violation"),
    "9-quota": _fail(429, _RESOURCE_EXHAUSTED, "UPSTREAM_QUOTA_EXHAUSTED", code="insufficient_quota"),
    "10-rate-limit-in-500": _fail(500, _UNAVAILABLE, "UPSTREAM_ERROR", message="rate limit exceeded"),
    "11-cut": _break(lambda fake: fake.cut_after(3)),
    "12-clean-end": _break(lambda fake: fake.cut_after(3, "end"), "UPSTREAM_STREAM_TRUNCATED"),
    "13-done-alone": _break(
        lambda fake: fake.reply("a", "b", finish_reason=None, usage=None), "UPSTREAM_STREAM_TRUNCATED"
    ),
    "14-junk-line": UpstreamFault(
        misbehave=lambda fake: fake.lines(chunk({"content": "a"}), "junk", chunk({"content": "b"}, "stop")),
        code=_INTERNAL,
        reason="UPSTREAM_MALFORMED_RESPONSE",
    ),
    "14-empty-data": UpstreamFault(
        misbehave=lambda fake: fake.lines("data:", chunk({"content": "b"}, "stop")),
        code=_INTERNAL,
        reason="UPSTREAM_MALFORMED_RESPONSE",
    ),
    "15-error-500": _break(lambda fake: fake.error_in_stream(3, {"code": 500}), "UPSTREAM_ERROR"),
    "15-error-429": UpstreamFault(
        misbehave=lambda fake: fake.error_in_stream(3, {"code": 429}),
        code=_RESOURCE_EXHAUSTED,
        reason="UPSTREAM_RATE_LIMITED",
    ),
    "15-error-null": _break(lambda fake: fake.error_in_stream(3, {"code": None}), "UPSTREAM_ERROR"),
    "16-stalled": _wait(lambda fake: fake.hang_after(3), "stall_timeout_seconds", "UPSTREAM_STALLED"),
    "16-comments": _wait(lambda fake: fake.comments_forever(), "first_token_timeout_seconds"),
}
"""The faults; a name begins with the number of its case in tests/faults. With `max_retries=0` none is tried again."""

EVERY_FAULT: Final = pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, id=name, marks=[pytest.mark.slow] if fault.limit else []) for name, fault in FAULTS.items()],
)

OTHER_WIRES: Final = ("anthropic", "bedrock", "gemini", "responses")
"""Protocols beside OpenAI's chat protocol."""
_OF_ANY_WIRE: Final = (
    *("1-status-400", "1-status-429", "1-status-500", "4-dropped", "4-short-body", "5-silent", "7-html"),
    *("11-cut", "12-clean-end", "15-error-500", "16-stalled"),
)
"""Faults that every protocol can have; they differ in what reads them."""

EVERY_FAULT_OF_OTHER_WIRES: Final = pytest.mark.parametrize(
    ("fault", "wire"),
    [
        pytest.param(FAULTS[name], wire, id=f"{name}-{wire}", marks=[pytest.mark.slow] if FAULTS[name].limit else [])
        for name in _OF_ANY_WIRE
        for wire in OTHER_WIRES
    ],
)
"""Every fault that does not depend on the protocol, on each protocol beside OpenAI's chat protocol."""
