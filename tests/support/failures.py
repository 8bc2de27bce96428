"""Failures of upstreams as our adapter meets them, and the error of ours that each becomes."""

import json
from collections.abc import Mapping
from typing import Any, Final

from reasoning_grpc.domain import Deployment, Secret, errors
from reasoning_grpc.domain.errors import UpstreamError
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.failures import convert_failure
from reasoning_grpc.litellm_model.transport.errors import HttpFailure
from tests.support.factories import a_deployment

Json = dict[str, Any]


SECRET: Final = "sk-secret-7f3a"
"""A text in every body, key and exception, which no error may show."""
SERVERS_KEY: Final = a_deployment(name="fake", api_key=Secret(SECRET))
CALLERS_KEY: Final = a_deployment(name="fake", api_key=Secret(SECRET), is_callers_key=True)
NO_HEADERS: Final[Mapping[str, str]] = {}


def convert(
    exc: BaseException, deployment: Deployment = SERVERS_KEY, *, is_upstream_reached: bool = True
) -> UpstreamError:
    """Converts an exception, and checks that the error says nothing that it must not say."""
    error = convert_failure(exc, deployment, is_upstream_reached=is_upstream_reached)
    assert isinstance(error, UpstreamError)
    status = {"http_status": str(error.http_status)} if error.http_status else {}
    assert error.metadata == {"model": "fake"} | status
    violations = [f"{first.field}: {first.description}" for first in error.violations[:1]]
    assert str(error) == " ".join([error.sentence.replace("{model}", "fake"), *violations])
    assert SECRET not in repr((error.args, error.metadata, error.violations))
    return error


def http_failure(status: int, body: object, headers: Mapping[str, str] = NO_HEADERS) -> HttpFailure:
    """Returns an answer of this status; a body that is not bytes is sent as JSON."""
    return HttpFailure(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def openai_body(
    message: str = "", code: str | int | None = None, kind: str | None = None, param: str | None = None
) -> Json:
    """Returns a body of the OpenAI dialect."""
    return {"error": {"message": f"{message} ({SECRET})", "type": kind, "param": param, "code": code}}


def anthropic_body(message: str, kind: str = "invalid_request_error") -> Json:
    """Returns a body of Anthropic's."""
    error = {"type": kind, "message": f"{message} ({SECRET})"}
    return {"type": "error", "error": error, "request_id": "req_1"}


def google_body(message: str, code: int, status: str, **details: str) -> Json:
    """Returns a body of Google's."""
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "googleapis.com", **details}
    return {"error": {"code": code, "message": f"{message} ({SECRET})", "status": status, "details": [detail]}}


STATUSES: Final[dict[int, type[UpstreamError]]] = {
    300: errors.UpstreamMalformedResponse,
    301: errors.UpstreamMalformedResponse,
    307: errors.UpstreamMalformedResponse,
    400: errors.UpstreamRejectedRequest,
    401: errors.UpstreamCredentialsRejected,
    402: errors.UpstreamQuotaExhausted,
    403: errors.UpstreamCredentialsRejected,
    404: errors.UpstreamModelMissing,
    405: errors.UpstreamRejectedRequest,
    408: errors.UpstreamTimeout,
    409: errors.UpstreamFailed,
    413: errors.ContextWindowExceeded,
    418: errors.UpstreamRejectedRequest,
    422: errors.UpstreamRejectedRequest,
    424: errors.UpstreamFailed,
    429: errors.UpstreamRateLimited,
    451: errors.UpstreamRejectedRequest,
    500: errors.UpstreamFailed,
    501: errors.UpstreamFailed,
    502: errors.UpstreamFailed,
    503: errors.UpstreamOverloaded,
    504: errors.UpstreamTimeout,
    520: errors.UpstreamFailed,
    529: errors.UpstreamOverloaded,
    599: errors.UpstreamFailed,
}


def make_litellm_error(name: str, **attributes: object) -> BaseException:
    """Returns an exception of litellm as if its constructor had never run, with only these attributes."""
    exception_class = getattr(library.import_litellm().exceptions, name)
    exc: BaseException = exception_class.__new__(exception_class)
    for attribute, value in attributes.items():
        setattr(exc, attribute, value)
    return exc


def chain_errors(exc: BaseException, cause: BaseException) -> BaseException:
    exc.__cause__ = cause
    return exc
