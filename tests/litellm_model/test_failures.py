"""Which error of ours an exception becomes, by what is most certain in its chain."""

import errno
from collections.abc import Callable
from typing import Final

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from reasoning_grpc.domain import errors
from reasoning_grpc.domain.errors import ReasoningError, UpstreamError
from reasoning_grpc.litellm_model.answers import MalformedAnswer
from reasoning_grpc.litellm_model.failures import convert_failure
from reasoning_grpc.litellm_model.transport.errors import AnswerTooLarge, MalformedStream
from tests.support.failures import (
    SECRET,
    SERVERS_KEY,
    chain_errors,
    convert,
    http_failure,
    make_litellm_error,
    openai_body,
)

VLLM_CONTEXT: Final = (
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4900 in the messages, 100"
    " in the completion). Please reduce the length of the messages or completion."
)


def _no_connection(kind: type[aiohttp.ClientConnectorError]) -> aiohttp.ClientConnectorError:
    return kind(ConnectionKey(SECRET, 80, False, True, None, None, None), OSError(SECRET))


ON_THE_WIRE: Final[dict[str, tuple[BaseException, type[UpstreamError], bool]]] = {
    "refused": (_no_connection(aiohttp.ClientConnectorError), errors.UpstreamUnreachable, False),
    "dns": (_no_connection(aiohttp.ClientConnectorDNSError), errors.UpstreamUnreachable, False),
    "connecting-too-long": (aiohttp.ConnectionTimeoutError(SECRET), errors.UpstreamUnreachable, False),
    "url": (aiohttp.InvalidURL(SECRET), errors.UpstreamUnreachable, False),
    "disconnected": (aiohttp.ServerDisconnectedError(SECRET), errors.UpstreamUnreachable, True),
    "reset-by-aiohttp": (aiohttp.ClientConnectionResetError(SECRET), errors.UpstreamUnreachable, True),
    "reset-by-the-system": (ConnectionResetError(SECRET), errors.UpstreamUnreachable, True),
    "broken-pipe": (BrokenPipeError(SECRET), errors.UpstreamUnreachable, True),
    "short-body": (aiohttp.ClientPayloadError(SECRET), errors.UpstreamUnreachable, True),
    "not-http": (aiohttp.ClientError(SECRET), errors.UpstreamMalformedResponse, True),
    "junk-line": (MalformedStream(SECRET), errors.UpstreamMalformedResponse, True),
    "not-json": (MalformedAnswer(SECRET), errors.UpstreamMalformedResponse, True),
    "too-large": (AnswerTooLarge(SECRET), errors.UpstreamMalformedResponse, True),
}


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped-by-litellm"])
@pytest.mark.parametrize(("exc", "expected", "is_upstream_reached"), ON_THE_WIRE.values(), ids=ON_THE_WIRE.keys())
def test_an_exception_of_the_network_is_found(
    exc: BaseException, expected: type[UpstreamError], is_upstream_reached: bool, wrapped: bool
) -> None:
    """An exception of the network is found below litellm's own.

    The upstream was reached unless no connection was made.
    """
    if wrapped:
        exc = chain_errors(make_litellm_error("InternalServerError", status_code=500, message=SECRET), exc)

    error = convert(exc, is_upstream_reached=False)

    assert type(error) is expected
    assert error.is_upstream_reached == is_upstream_reached
    assert error.http_status == 0


def _make_circle() -> BaseException:
    exc = make_litellm_error("APIError", message=SECRET)
    return chain_errors(exc, chain_errors(make_litellm_error("APIConnectionError"), exc))


def _raise_in_context(exc: BaseException, context: BaseException) -> BaseException:
    exc.__context__ = context
    return exc


CHAINS: Final[dict[str, tuple[Callable[[], BaseException], type[UpstreamError]]]] = {
    "status-under-a-misleading-class": (
        lambda: chain_errors(
            make_litellm_error("RateLimitError", status_code=429), http_failure(500, openai_body("Rate limit"))
        ),
        errors.UpstreamFailed,
    ),
    "body-under-a-class-that-says-nothing": (
        lambda: chain_errors(
            make_litellm_error("APIError", status_code=500), http_failure(400, {"detail": VLLM_CONTEXT})
        ),
        errors.ContextWindowExceeded,
    ),
    "context": (lambda: _raise_in_context(ValueError(SECRET), http_failure(404, b"")), errors.UpstreamModelMissing),
    "original_exception": (
        lambda: make_litellm_error(
            "MidStreamFallbackError", status_code=503, original_exception=make_litellm_error("RateLimitError")
        ),
        errors.UpstreamRateLimited,
    ),
    "original_exception-of-no-kind": (
        lambda: make_litellm_error("MidStreamFallbackError", status_code=503, original_exception=OSError(SECRET)),
        errors.UpstreamOverloaded,
    ),
    "far-down": (
        lambda: chain_errors(ValueError(SECRET), chain_errors(KeyError(SECRET), make_litellm_error("RateLimitError"))),
        errors.UpstreamRateLimited,
    ),
    "ring": (_make_circle, errors.UpstreamFailed),
}


@pytest.mark.parametrize(("chain", "expected"), CHAINS.values(), ids=CHAINS.keys())
def test_the_whole_chain_is_read(chain: Callable[[], BaseException], expected: type[UpstreamError]) -> None:
    """The whole chain is read, our own exceptions before litellm's classes, and a chain in a circle ends."""
    assert type(convert(chain())) is expected


@pytest.mark.parametrize("bug", [TypeError(SECRET), KeyError(SECRET), ValueError(SECRET), AssertionError(SECRET)])
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped-by-litellm"])
def test_a_bug_is_no_error_of_the_upstream(bug: BaseException, wrapped: bool) -> None:
    """An exception that nobody expects is not converted, so that it is logged and leaves as INTERNAL."""
    exc = (
        chain_errors(make_litellm_error("InternalServerError", status_code=500, message=SECRET), bug)
        if wrapped
        else bug
    )

    assert convert_failure(exc, SERVERS_KEY, is_upstream_reached=True) is None


def test_an_error_of_ours_stays_itself() -> None:
    """An error of ours is returned unchanged, wherever it is in the chain."""
    ours: ReasoningError = errors.ModelNotFound({"model": "x"})

    assert (
        convert_failure(chain_errors(make_litellm_error("APIError"), ours), SERVERS_KEY, is_upstream_reached=False)
        is ours
    )


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped-by-litellm"])
@pytest.mark.parametrize(
    "shortage",
    [
        aiohttp.ClientConnectorError(
            ConnectionKey("upstream", 80, False, True, None, None, None), OSError(errno.EMFILE, "too many open files")
        ),
        OSError(errno.ENFILE, "too many open files on this machine"),
        MemoryError(),
    ],
    ids=["files-of-the-process", "files-of-the-machine", "memory"],
)
def test_a_shortage_of_this_process_is_no_failure_of_the_upstream(shortage: Exception, wrapped: bool) -> None:
    """The caller may turn to another server, and nothing counts against the upstream."""
    exc = chain_errors(make_litellm_error("InternalServerError", status_code=500), shortage) if wrapped else shortage

    error = convert_failure(exc, SERVERS_KEY, is_upstream_reached=False)

    assert type(error) is errors.ServerOverloaded
    assert error.retry_after_seconds == 1.0
