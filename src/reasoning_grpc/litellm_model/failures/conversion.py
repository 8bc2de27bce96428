"""`convert_failure`: finds in a chain of exceptions what is most certainly known of a failed model call.

An exception is read along its whole chain: first for an error of ours, then for what the upstream answered, then for
what the network raised, and last for litellm's class. litellm's class alone misleads, since litellm wraps
everything that our client raises as `InternalServerError` or `APIError`.
"""

import json
import traceback
from typing import Final

import aiohttp
import httpx

from reasoning_grpc.domain import CallContext, Deployment, Wire, walk_chain
from reasoning_grpc.domain.errors import (
    SHORTAGE_RETRY_SECONDS,
    ReasoningError,
    ServerOverloaded,
    UpstreamError,
    UpstreamMalformedResponse,
    UpstreamTimeout,
    UpstreamUnreachable,
    find_shortage,
)
from reasoning_grpc.litellm_model.answers import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.failures.error_body import ErrorBody
from reasoning_grpc.litellm_model.failures.http_errors import convert_http_error, convert_proxy_refusal
from reasoning_grpc.litellm_model.failures.litellm_errors import convert_litellm_error, is_expected
from reasoning_grpc.litellm_model.failures.upstream_message import find_upstream_message, has_upstream_message
from reasoning_grpc.litellm_model.request import choose_wire
from reasoning_grpc.litellm_model.transport.errors import (
    AnswerTooLarge,
    HttpFailure,
    MalformedStream,
    NoFreeConnection,
    TunnelNotOpened,
)
from reasoning_grpc.llm import ModelCall

BY_EXCEPTION: Final[tuple[tuple[type[BaseException], type[UpstreamError]], ...]] = (
    (MalformedStream, UpstreamMalformedResponse),
    (MalformedAnswer, UpstreamMalformedResponse),
    (AnswerTooLarge, UpstreamMalformedResponse),
    (aiohttp.ClientPayloadError, UpstreamUnreachable),
    (aiohttp.ClientConnectionError, UpstreamUnreachable),
    (aiohttp.InvalidURL, UpstreamUnreachable),
    (aiohttp.ClientError, UpstreamMalformedResponse),
    (ConnectionError, UpstreamUnreachable),
    (httpx.ConnectTimeout, UpstreamUnreachable),
    (httpx.TimeoutException, UpstreamTimeout),
    (httpx.TransportError, UpstreamUnreachable),
    (httpx.RequestError, UpstreamMalformedResponse),
)
"""The errors of what our connections raise, and of what litellm's own connections raise; most specific first."""

_NOT_CONNECTED: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    TunnelNotOpened,
    httpx.ConnectError,
    httpx.ConnectTimeout,
)
"""Exceptions after which the upstream cannot have received the request."""


def convert_failure(
    exc: BaseException,
    deployment: Deployment,
    *,
    is_upstream_reached: bool,
    call: ModelCall | None = None,
    context: CallContext | None = None,
) -> ReasoningError | None:
    """Converts an exception in a call of this deployment to the error of ours that says what happened.

    `is_upstream_reached` says whether the upstream has received the request, as far as our connection knows. The error
    has the provider's own sentence only when the call and its context are given, because it must not repeat them.
    Returns None for an exception that nobody expects.
    """
    chain = list(walk_chain(exc))
    answered = _find_answered_error(chain, deployment, call)
    if answered is not None:
        error, body = answered
        if (
            call is not None
            and context is not None
            and isinstance(error, UpstreamError)
            and has_upstream_message(error)
        ):
            sentence = find_upstream_message(body.sentence, call, context, deployment)
            error.upstream_message = error.upstream_message or sentence
        return error
    if (shortage := find_shortage(exc)) is not None:
        return shortage
    if any(isinstance(link, NoFreeConnection) for link in chain):
        return ServerOverloaded(retry_after_seconds=SHORTAGE_RETRY_SECONDS)
    for link in chain:
        for exception_class, error_class in BY_EXCEPTION:
            if isinstance(link, exception_class):
                return error_class(
                    model=deployment.name,
                    is_upstream_reached=is_upstream_reached or not isinstance(link, _NOT_CONNECTED),
                )
    if is_upstream_reached and any(isinstance(link, json.JSONDecodeError | UnicodeDecodeError) for link in chain):
        return UpstreamMalformedResponse(model=deployment.name)  # raised by litellm's reader
    failure = convert_litellm_error(chain, deployment, is_upstream_reached=is_upstream_reached)
    if (
        failure is None
        and is_upstream_reached
        and all(is_expected(link) or _is_raised_by_litellm(link) for link in chain)
    ):
        return UpstreamMalformedResponse(model=deployment.name)  # litellm breaks on what it has read
    return failure


def _find_answered_error(
    chain: list[BaseException], deployment: Deployment, call: ModelCall | None
) -> tuple[ReasoningError, ErrorBody] | None:
    """Returns the first error of ours in the chain, or the first that the upstream itself answered, with its body."""
    used_wire = Wire.CHAT if call is None else choose_wire(call, deployment).wire
    for link in chain:
        if isinstance(link, ReasoningError):
            return link, ErrorBody()
        if isinstance(link, aiohttp.ClientHttpProxyError):
            return convert_proxy_refusal(link.status, deployment), ErrorBody()
        if isinstance(link, HttpFailure):
            body = ErrorBody.parse(link.body)
            return convert_http_error(link.status, link.headers, body, deployment, used_wire), body
        if isinstance(link, ErrorInAnswer):
            body = ErrorBody.read(link.error)
            return convert_http_error(body.status, {}, body, deployment, used_wire), body
        if (response := _find_response(link)) is not None:
            body = _read_response_body(link, response)
            return convert_http_error(response.status_code, response.headers, body, deployment, used_wire), body
    return None


def _is_raised_by_litellm(exc: BaseException) -> bool:
    """Whether litellm's code, and not ours, raised the exception, perhaps in another library that it called."""
    frames = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(exc.__traceback__))
    packages = [name.partition(".")[0] for name in frames]
    return next((name for name in reversed(packages) if name in {"litellm", "reasoning_grpc"}), "") == "litellm"


def _find_response(exc: BaseException) -> httpx.Response | None:
    """Returns the upstream's answer in an exception of litellm's connections.

    Only exceptions of the OpenAI SDK and of httpx hold a real answer; those of litellm hold an invented one.
    """
    is_sdks = type(exc).__module__.partition(".")[0] == "openai"
    response = getattr(exc, "response", None) if is_sdks or isinstance(exc, httpx.HTTPStatusError) else None
    return response if isinstance(response, httpx.Response) and response.status_code >= 300 else None


def _read_response_body(exc: BaseException, response: httpx.Response) -> ErrorBody:
    """Reads the body of such an answer; the SDK has read it already, and keeps the error in the exception."""
    if error := getattr(exc, "body", None):
        return ErrorBody.read(error)
    return ErrorBody.parse(response.content) if response.is_closed or response.is_stream_consumed else ErrorBody()
