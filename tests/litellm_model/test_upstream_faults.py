"""What an upstream can do wrong, and what callers of both RPCs see of it."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from logging import DEBUG, ERROR
from typing import Any, Final

import grpc
import pytest
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reasoning_grpc.cli.logs import JsonFormatter
from reasoning_grpc.client import CallFailed, FieldViolation, ReasoningClient
from reasoning_grpc.config import ModelEntry
from reasoning_grpc.v1 import completion_pb2, events_pb2, interruption_pb2, usage_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import UPSTREAM_KEY, RunningServer, config_for, model_entry, provider_entry, serving
from tests.support.upstream import (
    DEFAULT_ERROR,
    DEFAULT_USAGE,
    UPSTREAM_SECRET,
    FakeToolCall,
    FakeUpstream,
    Gate,
    chunk,
    numbered,
    refusing_api_base,
    usage_chunk,
)

PROMPT: Final = "prompt-canary-51c9"
PROMPT_TOKENS: Final = 5
"""What the server estimates for it: a token for each four bytes."""
EVERY_PROTOCOL: Final = pytest.mark.parametrize(
    "provider", ["openai", "azure", "hosted_vllm", "anthropic", "gemini"], indirect=True
)
"""Our own reader, and litellm's with each protocol that the fake upstream speaks."""
BOTH_RPCS: Final = pytest.mark.parametrize("rpc", ["StreamComplete", "Complete"])
THREE_DELTAS: Final = ["word0 ", "word1 ", "word2 "]
NOTHING_USED: Final = usage_pb2.Usage(source=usage_pb2.USAGE_SOURCE_PROVIDER)

DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
INTERNAL = grpc.StatusCode.INTERNAL
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed: the events before the failure, and everything that its status says."""

    events: list[events_pb2.StreamCompleteResponse]
    error: CallFailed
    details: list[str]
    pushback: str

    @property
    def verdict(self) -> tuple[grpc.StatusCode, str, dict[str, str]]:
        """Code, reason and metadata of the status."""
        return self.error.code, self.error.reason, self.error.metadata

    @property
    def forbids_retries(self) -> bool:
        """Whether the status stops retries by the client's library, which only UNAVAILABLE would cause."""
        return self.pushback == ("-1" if self.error.code is UNAVAILABLE else "")

    @property
    def kinds(self) -> list[str | None]:
        """The kinds of the events."""
        return [event.WhichOneof("kind") for event in self.events]

    @property
    def interruption(self) -> interruption_pb2.Interruption:
        """The progress, from the details of the status."""
        assert self.error.interruption is not None
        return self.error.interruption


@dataclass(frozen=True, slots=True)
class Answer:
    """A call that succeeded, by either RPC: its content, and how it ended."""

    text: str
    end: events_pb2.Completed | completion_pb2.CompleteResponse
    events: list[events_pb2.StreamCompleteResponse]


class CheckedServer:
    """A server that is called by either RPC, and keeps everything that callers saw of failures."""

    def __init__(self, running: RunningServer) -> None:
        self.running = running
        self.shown_bytes: list[bytes] = []

    async def answer(self, rpc: str, **fields: Any) -> Answer:
        """Makes a call that must succeed."""
        client, request = self.running.client(), a_wire_request(PROMPT, **fields)
        if rpc == "Complete":
            response = await client.complete(request)
            return Answer("".join(part.text for part in response.message.content), response, [])
        events: list[events_pb2.StreamCompleteResponse] = []
        await _collect(client, request, events)
        return Answer("".join(event.content_delta.text for event in events), events[-1].completed, events)

    async def failure(
        self, rpc: str, *, timeout_seconds: float | None = None, gate: Gate | None = None, **fields: Any
    ) -> Failure:
        """Makes a call that must fail; after each event, the gate lets the upstream take one more step."""
        client, request = self.running.client(), a_wire_request(PROMPT, **fields)
        events: list[events_pb2.StreamCompleteResponse] = []
        call = (
            client.complete(request, timeout_seconds=timeout_seconds)
            if rpc == "Complete"
            else _collect(client, request, events, timeout_seconds, gate)
        )
        with pytest.raises(CallFailed) as failed:
            await call
        return self.record_failure(failed.value, events)

    def record_failure(self, error: CallFailed, events: list[events_pb2.StreamCompleteResponse]) -> Failure:
        """Records everything that the caller sees of a failure."""
        cause = error.__cause__
        assert isinstance(cause, grpc.aio.AioRpcError)
        trailers = dict(cause.trailing_metadata() or ())
        self.shown_bytes += [value.encode() if isinstance(value, str) else value for value in trailers.values()]
        self.shown_bytes += [error.message.encode(), str(error).encode()]
        status = Status()
        status.ParseFromString(bytes(trailers.get("grpc-status-details-bin", b"")))
        details = [detail.type_url.rpartition(".")[2] for detail in status.details]
        pushback = trailers.get("grpc-retry-pushback-ms", "")
        assert isinstance(pushback, str)
        return Failure(events, error, details, pushback)


async def _collect(
    client: ReasoningClient,
    request: completion_pb2.CompleteRequest,
    events: list[events_pb2.StreamCompleteResponse],
    timeout_seconds: float | None = None,
    gate: Gate | None = None,
) -> None:
    """Appends the events of a stream."""
    async for event in client.stream(request, timeout_seconds=timeout_seconds):
        events.append(event)
        if gate is not None:
            gate.open()


Fronting = Callable[..., AbstractAsyncContextManager[CheckedServer]]


@pytest.fixture(params=["openai", "hosted_vllm"])
def provider(request: pytest.FixtureRequest) -> str:
    """litellm's prefix of the server's model; the default is OpenAI's protocol, by our reader and by litellm's."""
    return str(request.param)


@pytest.fixture
def checked_serving(upstream: FakeUpstream, provider: str, caplog: pytest.LogCaptureFixture) -> Fronting:
    """Runs a server, and checks at the end that the fault left nothing behind and no secret was shown."""
    caplog.set_level(DEBUG, "reasoning_grpc")

    @asynccontextmanager
    async def checked_serving(*entries: ModelEntry, **settings: Any) -> AsyncIterator[CheckedServer]:
        config = config_for(*(entries or (provider_entry(upstream, provider),)), **settings)
        async with serving(config) as running:
            server = CheckedServer(running)
            yield server

            await upstream.idle()
            assert running.server.calls_in_flight == 0
            health = health_pb2_grpc.HealthStub(running.channel)
            check = await health.Check(health_pb2.HealthCheckRequest())  # type: ignore[attr-defined]
            assert check.status == health_pb2.HealthCheckResponse.SERVING
        records = [record for phase in ("setup", "call", "teardown") for record in caplog.get_records(phase)]
        assert [record.getMessage() for record in records if record.levelno >= ERROR] == []
        shown = b"\n".join([JsonFormatter().format(record).encode() for record in records] + server.shown_bytes)
        for secret in (UPSTREAM_KEY, UPSTREAM_SECRET, PROMPT):
            assert secret.encode() not in shown

    return checked_serving


@pytest.fixture
async def server(checked_serving: Fronting) -> AsyncIterator[CheckedServer]:
    """A server with the default settings."""
    async with checked_serving() as server:
        yield server


def progress(failure: Failure, **fields: Any) -> interruption_pb2.Interruption:
    """Returns the interruption that this failure must have; its response id must only be that of the stream."""
    response_id = failure.events[0].started.response_id if failure.events else failure.interruption.response_id
    assert response_id.startswith("rsp_")
    return interruption_pb2.Interruption(response_id=response_id, model_call_count=1, **fields)


def make_estimated_usage(input_tokens: int, output_tokens: int) -> usage_pb2.Usage:
    """Returns a usage that the server had to estimate."""
    return usage_pb2.Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=input_tokens + output_tokens,
        source=usage_pb2.USAGE_SOURCE_ESTIMATED,
    )


def numbered_chunk(number: int) -> dict[str, Any]:
    """Returns the chunk of one delta of content."""
    return chunk({"content": numbered(number + 1)[number]})


def content_texts(events: Iterable[events_pb2.StreamCompleteResponse]) -> list[str]:
    """Returns the deltas of content among the events."""
    return [event.content_delta.text for event in events if event.WhichOneof("kind") == "content_delta"]


@EVERY_PROTOCOL
@BOTH_RPCS
@pytest.mark.parametrize(
    ("status", "code", "reason", "requests"),
    [
        (400, INVALID_ARGUMENT, "UPSTREAM_REJECTED_REQUEST", 1),
        (401, INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED", 1),
        (402, RESOURCE_EXHAUSTED, "UPSTREAM_QUOTA_EXHAUSTED", 1),
        (403, INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED", 1),
        (404, FAILED_PRECONDITION, "UPSTREAM_MODEL_MISSING", 1),
        (408, DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT", 1),
        (409, UNAVAILABLE, "UPSTREAM_ERROR", 3),
        (413, INVALID_ARGUMENT, "CONTEXT_WINDOW_EXCEEDED", 1),
        (422, INVALID_ARGUMENT, "UPSTREAM_REJECTED_REQUEST", 1),
        (424, UNAVAILABLE, "UPSTREAM_ERROR", 3),
        (429, RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED", 1),
        (500, UNAVAILABLE, "UPSTREAM_ERROR", 3),
        (502, UNAVAILABLE, "UPSTREAM_ERROR", 3),
        (503, UNAVAILABLE, "UPSTREAM_OVERLOADED", 3),
        (504, DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT", 1),
        (529, UNAVAILABLE, "UPSTREAM_OVERLOADED", 3),
    ],
)
async def test_http_statuses(
    upstream: FakeUpstream,
    server: CheckedServer,
    rpc: str,
    status: int,
    code: grpc.StatusCode,
    reason: str,
    requests: int,
) -> None:
    """Each HTTP status leads to its code, reason and number of requests, and to a usage of nothing."""
    upstream.always.fail(status)

    failure = await server.failure(rpc)

    assert failure.verdict == (code, reason, {"model": "fake", "http_status": str(status)})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=NOTHING_USED, attempt_count=requests, last_sequence=requests - 1
    )
    assert len(upstream.requests) == requests
    if rpc == "StreamComplete":
        assert failure.kinds == ["started"] + ["attempt_switched"] * (requests - 1)


@BOTH_RPCS
@pytest.mark.parametrize(
    ("failing", "code", "reason"),
    [
        pytest.param(
            {"status": 400, "code": "context_length_exceeded"},
            INVALID_ARGUMENT,
            "CONTEXT_WINDOW_EXCEEDED",
            id="context-window",
        ),
        pytest.param(
            {"status": 400, "code": "content_policy_violation"}, INVALID_ARGUMENT, "CONTENT_POLICY", id="policy"
        ),
        pytest.param({"status": 400, "code": "content_filter"}, INVALID_ARGUMENT, "CONTENT_POLICY", id="filter"),
        pytest.param(
            {"status": 429, "code": "insufficient_quota"},
            RESOURCE_EXHAUSTED,
            "UPSTREAM_QUOTA_EXHAUSTED",
            id="insufficient-quota",
        ),
        pytest.param(
            {"status": 400, "code": "budget_exceeded"},
            RESOURCE_EXHAUSTED,
            "UPSTREAM_QUOTA_EXHAUSTED",
            id="budget-under-400",
        ),
        pytest.param(
            {"status": 400, "code": "no_db_connection"},
            INTERNAL,
            "UPSTREAM_CREDENTIALS_REJECTED",
            id="key-refused-by-a-proxy",
        ),
        pytest.param(
            {"status": 400, "message": "Invalid model name passed in model=fake"},
            FAILED_PRECONDITION,
            "UPSTREAM_MODEL_MISSING",
            id="model-unknown-to-a-proxy",
        ),
    ],
)
async def test_bodies_that_say_more_than_their_status(
    upstream: FakeUpstream,
    server: CheckedServer,
    rpc: str,
    failing: dict[str, Any],
    code: grpc.StatusCode,
    reason: str,
) -> None:
    """What a body says decides before its status, and the request is not retried."""
    upstream.always.fail(**failing)

    failure = await server.failure(rpc)

    assert failure.verdict == (code, reason, {"model": "fake", "http_status": str(failing["status"])})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert len(upstream.requests) == 1


async def test_a_parameter_that_the_model_does_not_take(upstream: FakeUpstream, server: CheckedServer) -> None:
    """A refused parameter is named as a field of the request."""
    error = {"error": {"message": UPSTREAM_SECRET, "code": "unsupported_parameter", "param": "seed"}}
    upstream.fail(400, body=error)

    failure = await server.failure("Complete")

    metadata = {"model": "fake", "http_status": "400"}
    assert failure.verdict == (INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER", metadata)
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption", "BadRequest"]
    assert failure.error.violations == (FieldViolation("sampling.seed", "The model does not take it."),)


@EVERY_PROTOCOL
async def test_a_server_error_that_mentions_a_rate_limit(upstream: FakeUpstream, server: CheckedServer) -> None:
    """A 500 stays a failure of the upstream, and is retried, whatever its text says."""
    upstream.always.fail(500, message="rate limit reached")

    failure = await server.failure("Complete")

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_ERROR", {"model": "fake", "http_status": "500"})
    assert len(upstream.requests) == 3


@EVERY_PROTOCOL
@BOTH_RPCS
@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        pytest.param("7", 7.0, id="seconds"),
        pytest.param("0.25", 0.25, id="fraction"),
        pytest.param("3600", 300.0, id="clamped"),
        pytest.param("Fri, 01 Jan 2100 00:00:00 GMT", 300.0, id="date-clamped"),
        pytest.param("Sat, 01 Jan 2000 00:00:00 GMT", 0.0, id="date-passed"),
        pytest.param("abc", None, id="no-number"),
        pytest.param("-1", None, id="negative"),
    ],
)
async def test_retry_after_of_a_rate_limit(
    upstream: FakeUpstream, server: CheckedServer, rpc: str, retry_after: str, seconds: float | None
) -> None:
    """The Retry-After of a 429 is reported in the details, limited in length; the server does not retry the call."""
    upstream.fail(429, headers={"Retry-After": retry_after})

    failure = await server.failure(rpc)

    assert failure.verdict == (
        RESOURCE_EXHAUSTED,
        "UPSTREAM_RATE_LIMITED",
        {"model": "fake", "http_status": "429"},
    )
    assert failure.error.retry_after_seconds == seconds
    assert failure.pushback == ""
    retry_info = [] if seconds is None else ["RetryInfo"]
    assert failure.details == ["ErrorInfo", "RequestInfo", *retry_info, "Interruption"]
    assert len(upstream.requests) == 1


@EVERY_PROTOCOL
@pytest.mark.parametrize(
    ("retry_after", "deadline_seconds", "requests"),
    [
        pytest.param("0.01", None, 3, id="soon"),
        pytest.param("6", None, 1, id="later-than-our-limit"),
        pytest.param("4", 3.0, 1, id="later-than-the-deadline"),
    ],
)
async def test_retry_after_of_an_overloaded_upstream(
    upstream: FakeUpstream, server: CheckedServer, retry_after: str, deadline_seconds: float | None, requests: int
) -> None:
    """The Retry-After of a 503 is always reported; the server retries only if the delay is short."""
    upstream.always.fail(503, headers={"Retry-After": retry_after})

    failure = await server.failure("StreamComplete", timeout_seconds=deadline_seconds)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_OVERLOADED", {"model": "fake", "http_status": "503"})
    assert failure.error.retry_after_seconds == float(retry_after)
    assert failure.pushback == str(round(float(retry_after) * 1000))
    assert failure.details == ["ErrorInfo", "RequestInfo", "RetryInfo", "Interruption"]
    assert len(upstream.requests) == requests


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_refused_connection(checked_serving: Fronting, provider: str, rpc: str) -> None:
    """A refused connection is retried, and has no interruption because no upstream was reached."""
    with refusing_api_base() as api_base:
        async with checked_serving(model_entry(api_base, litellm_model=f"{provider}/fake")) as server:
            failure = await server.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo"]
    assert failure.forbids_retries
    if rpc == "StreamComplete":
        assert failure.kinds == ["started", "attempt_switched", "attempt_switched"]


@EVERY_PROTOCOL
async def test_unknown_host(checked_serving: Fronting, provider: str) -> None:
    """A host name that does not resolve is an unreachable upstream."""
    entry = model_entry("http://nonexistent.invalid/v1", litellm_model=f"{provider}/fake")
    async with checked_serving(entry, max_retries=0) as server:
        failure = await server.failure("Complete")

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo"]


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_closed_on_accept(upstream: FakeUpstream, server: CheckedServer, rpc: str) -> None:
    """A connection that the upstream closes at once is tried three times."""
    upstream.close_on_accept()

    failure = await server.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "fake"})
    assert failure.forbids_retries
    assert failure.interruption.attempt_count == 3
    assert upstream.connections == 3
    assert upstream.requests == []


@EVERY_PROTOCOL
@BOTH_RPCS
@pytest.mark.parametrize(
    "break_off",
    [
        pytest.param(lambda script: script.drop("close"), id="close-before-headers"),
        pytest.param(lambda script: script.drop("reset"), id="reset-before-headers"),
        pytest.param(lambda script: script.cut_after(0, "close"), id="close-after-headers"),
        pytest.param(lambda script: script.cut_after(0, "reset"), id="reset-after-headers"),
        pytest.param(lambda script: script.body(b'{"choices', content_length=99), id="short-body"),
    ],
)
async def test_broken_connection(
    upstream: FakeUpstream, server: CheckedServer, rpc: str, break_off: Callable[..., Any]
) -> None:
    """A connection that breaks before the first delta is tried again, and its possible usage is estimated."""
    break_off(upstream.always)

    failure = await server.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=make_estimated_usage(3 * PROMPT_TOKENS, 0), attempt_count=3, last_sequence=2
    )
    assert len(upstream.requests) == 3


@BOTH_RPCS
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param({"data": b'{"choices": [{'}, "UPSTREAM_MALFORMED_RESPONSE", id="malformed-json"),
        pytest.param(
            {"data": b"<html>busy</html>", "content_type": "text/html"}, "UPSTREAM_MALFORMED_RESPONSE", id="html"
        ),
        pytest.param({"data": b"<html>busy</html>"}, "UPSTREAM_MALFORMED_RESPONSE", id="html-called-json"),
        pytest.param(
            {"data": b"<html>busy</html>", "content_type": "text/event-stream"},
            "UPSTREAM_MALFORMED_RESPONSE",
            id="html-called-stream",
        ),
        pytest.param({"data": b"{}"}, "UPSTREAM_MALFORMED_RESPONSE", id="empty-object"),
        pytest.param({"data": b"[" * 5000}, "UPSTREAM_MALFORMED_RESPONSE", id="deeply-nested"),
        pytest.param({"data": b"[]"}, "UPSTREAM_MALFORMED_RESPONSE", id="no-object"),
        pytest.param(
            {"data": b"data: \xff\n\n", "content_type": "text/event-stream"},
            "UPSTREAM_MALFORMED_RESPONSE",
            id="no-utf-8",
        ),
        pytest.param({"data": b""}, "UPSTREAM_EMPTY_RESPONSE", id="empty-json-body"),
        pytest.param(
            {"data": b"", "content_type": "text/event-stream"}, "UPSTREAM_EMPTY_RESPONSE", id="empty-stream-body"
        ),
        pytest.param({"data": b'{"choices": []}'}, "UPSTREAM_EMPTY_RESPONSE", id="no-choices"),
        pytest.param({"data": b'{"choices": null}'}, "UPSTREAM_EMPTY_RESPONSE", id="null-choices"),
        pytest.param(
            {"data": b'{"choices": [{"message": {"content": null}, "finish_reason": null}]}'},
            "UPSTREAM_EMPTY_RESPONSE",
            id="null-content-unfinished",
        ),
    ],
)
async def test_success_without_an_answer(
    upstream: FakeUpstream, server: CheckedServer, rpc: str, script: dict[str, Any], reason: str
) -> None:
    """A 200 without an answer of the protocol is tried once more."""
    upstream.always.body(**script)

    failure = await server.failure(rpc)

    assert failure.verdict == (INTERNAL, reason, {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=make_estimated_usage(2 * PROMPT_TOKENS, 0), attempt_count=2, last_sequence=1
    )
    assert len(upstream.requests) == 2


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_error_object_in_a_200(upstream: FakeUpstream, server: CheckedServer, rpc: str) -> None:
    """An error object in a 200 counts as the status that it names, and is retried like it."""
    upstream.always.body(b'{"error": {"message": "upstream-secret-7f3a", "code": 503}}')

    failure = await server.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_OVERLOADED", {"model": "fake", "http_status": "503"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert len(upstream.requests) == 3


@BOTH_RPCS
async def test_whole_answer_instead_of_a_stream(upstream: FakeUpstream, server: CheckedServer, rpc: str) -> None:
    """An upstream that answers a streaming request with one JSON body is understood."""
    upstream.body(
        b'{"choices": [{"message": {"content": "Hello"}, "finish_reason": "length"}],'
        b' "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}}'
    )

    answer = await server.answer(rpc)

    assert answer.text == "Hello"
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_LENGTH
    assert (answer.end.usage.total_tokens, answer.end.usage.source) == (6, usage_pb2.USAGE_SOURCE_PROVIDER)


@BOTH_RPCS
@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([{"choices": []}], id="no-choices"),
        pytest.param([chunk({"content": None})], id="null-content"),
        pytest.param([chunk({"role": "assistant"})], id="role-only"),
        pytest.param([chunk({"content": ""})], id="empty-content"),
    ],
)
async def test_stream_of_nothing(
    upstream: FakeUpstream, server: CheckedServer, rpc: str, chunks: list[dict[str, Any]]
) -> None:
    """A stream with neither text nor finish reason is an empty answer, and is tried once more."""
    upstream.always.chunks(*chunks, done=True)

    failure = await server.failure(rpc)

    assert failure.verdict == (INTERNAL, "UPSTREAM_EMPTY_RESPONSE", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert len(upstream.requests) == 2


@BOTH_RPCS
async def test_null_content_with_a_finish_reason(upstream: FakeUpstream, server: CheckedServer, rpc: str) -> None:
    """An empty answer with a real finish reason is OK."""
    upstream.chunks(chunk({"content": None}), finish="stop", done=True)

    answer = await server.answer(rpc)

    assert answer.text == ""
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        pytest.param("reset", "UPSTREAM_UNREACHABLE", id="reset"),
        pytest.param("close", "UPSTREAM_UNREACHABLE", id="close"),
        pytest.param("end", "UPSTREAM_STREAM_TRUNCATED", id="clean-end"),
    ],
)
async def test_stream_cut_after_three_chunks(
    upstream: FakeUpstream, server: CheckedServer, how: Any, reason: str
) -> None:
    """A stream that is cut after three deltas ends with UNAVAILABLE and the progress, without a second request."""
    gate = upstream.cut_after(3, how, gated=True)

    failure = await server.failure("StreamComplete", gate=gate)

    assert failure.kinds == ["started", "content_delta", "content_delta", "content_delta"]
    assert content_texts(failure.events) == THREE_DELTAS
    assert [event.sequence for event in failure.events] == [0, 1, 2, 3]
    assert failure.verdict == (UNAVAILABLE, reason, {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=make_estimated_usage(PROMPT_TOKENS, 5), attempt_count=1, last_sequence=3, content_characters=18
    )
    assert len(upstream.requests) == 1


async def test_unary_call_of_a_truncated_stream(upstream: FakeUpstream, server: CheckedServer) -> None:
    """A unary call of a cut stream fails in the same way, and reports how far its answer had come."""
    upstream.cut_after(3, "end")

    failure = await server.failure("Complete")

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_STREAM_TRUNCATED", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert (failure.interruption.usage, failure.interruption.content_characters) == (
        make_estimated_usage(PROMPT_TOKENS, 5),
        18,
    )
    assert len(upstream.requests) == 1


async def test_truncated_stream_with_usage_so_far(upstream: FakeUpstream, server: CheckedServer) -> None:
    """The upstream's own count is reported even when its stream was cut."""
    usage = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}
    upstream.chunks(chunk({"content": "Hel"}), usage_chunk(usage))

    failure = await server.failure("StreamComplete")

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_STREAM_TRUNCATED", {"model": "fake"})
    assert failure.interruption.usage == usage_pb2.Usage(
        input_tokens=40, output_tokens=2, total_tokens=42, source=usage_pb2.USAGE_SOURCE_PROVIDER
    )


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_done_without_a_finish_reason(upstream: FakeUpstream, server: CheckedServer, rpc: str) -> None:
    """`[DONE]` alone does not finish an answer."""
    upstream.reply("Hel", "lo", finish_reason=None, usage=None)

    failure = await server.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_STREAM_TRUNCATED", {"model": "fake"})
    assert "completed" not in failure.kinds
    assert "".join(content_texts(failure.events)) == ("Hello" if rpc == "StreamComplete" else "")
    assert len(upstream.requests) == 1


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_finish_reason_without_done(upstream: FakeUpstream, server: CheckedServer, rpc: str) -> None:
    """A finish reason finishes an answer, with or without `[DONE]`."""
    upstream.reply("Hel", "lo", done=False)

    answer = await server.answer(rpc)

    assert answer.text == "Hello"
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert answer.end.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER


async def test_comments_without_end_after_the_finish_reason(upstream: FakeUpstream, server: CheckedServer) -> None:
    """After the finish reason, an upstream that never ends its stream delays the answer only for a short time."""
    comments = [b": still here\n\n"] * 10_000
    gate = upstream.lines(chunk({"content": "Hello"}), chunk({}, "stop"), *comments, gated=True)

    async def send_comments() -> None:
        while True:
            gate.open()
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(send_comments())
    try:
        answer = await asyncio.wait_for(server.answer("StreamComplete"), timeout=60)
    finally:
        dripping.cancel()

    assert answer.text == "Hello"
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert (await upstream.disconnect()).body["model"] == "fake"


async def test_content_filter_in_a_stream(upstream: FakeUpstream, server: CheckedServer) -> None:
    """A content filter in the middle of a stream is how the answer ended, not a failure."""
    upstream.reply("Hel", finish_reason="content_filter")

    answer = await server.answer("StreamComplete")

    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_CONTENT_FILTER
    assert answer.end.provider_finish_reason == "content_filter"


@pytest.mark.parametrize("retried", [pytest.param(True, id="first"), pytest.param(False, id="after-a-delta")])
@pytest.mark.parametrize(
    "junk",
    [
        pytest.param("junk", id="junk-line"),
        pytest.param("data:", id="empty-data"),
        pytest.param("data: {", id="half-an-object"),
        pytest.param("data: 7", id="number"),
        pytest.param('data: {"object": "x"}', id="no-choices-key"),
        pytest.param('data: {"choices": [{"delta": {"content": 7}}]}', id="content-of-a-wrong-type"),
    ],
)
async def test_junk_in_a_stream(upstream: FakeUpstream, server: CheckedServer, junk: str, retried: bool) -> None:
    """A line that may have held text is an error, and is tried once more only before the first delta."""
    before = [] if retried else [chunk({"content": "Hel"})]
    gate = upstream.always.lines(*before, junk, chunk({"content": "lo"}, "stop"), gated=not retried)

    failure = await server.failure("StreamComplete", gate=gate)

    assert failure.verdict == (INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", {"model": "fake"})
    assert failure.forbids_retries
    assert failure.kinds == ["started", "attempt_switched" if retried else "content_delta"]
    assert failure.interruption.content_characters == (0 if retried else 3)
    assert len(upstream.requests) == (2 if retried else 1)


ERRORS_IN_STREAM: Final = pytest.mark.parametrize(
    ("error", "code", "reason", "http_status", "requests"),
    [
        pytest.param(DEFAULT_ERROR, UNAVAILABLE, "UPSTREAM_ERROR", "500", 3, id="500"),
        pytest.param({"code": 429}, RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED", "429", 1, id="429"),
        pytest.param({"code": None}, UNAVAILABLE, "UPSTREAM_ERROR", "", 3, id="code-null"),
        pytest.param(
            {"type": "overloaded_error", "message": UPSTREAM_SECRET},
            UNAVAILABLE,
            "UPSTREAM_OVERLOADED",
            "529",
            3,
            id="type-only",
        ),
        pytest.param(None, INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", "", 2, id="null"),
    ],
)


@BOTH_RPCS
@ERRORS_IN_STREAM
async def test_error_object_first_in_a_stream(
    upstream: FakeUpstream,
    server: CheckedServer,
    rpc: str,
    error: Any,
    code: grpc.StatusCode,
    reason: str,
    http_status: str,
    requests: int,
) -> None:
    """Before the first delta, an error object is the failure that it names, and is retried like it."""
    upstream.always.error_in_stream(0, error)

    failure = await server.failure(rpc)

    metadata = {"model": "fake"} | ({"http_status": http_status} if http_status else {})
    assert failure.verdict == (code, reason, metadata)
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption.attempt_count == requests
    assert len(upstream.requests) == requests


@ERRORS_IN_STREAM
async def test_error_object_after_three_deltas(
    upstream: FakeUpstream,
    server: CheckedServer,
    error: Any,
    code: grpc.StatusCode,
    reason: str,
    http_status: str,
    requests: int,
) -> None:
    """After deltas, an error object ends the stream at once, and the usage is estimated."""
    gate = upstream.error_in_stream(3, error, gated=True)

    failure = await server.failure("StreamComplete", gate=gate)

    metadata = {"model": "fake"} | ({"http_status": http_status} if http_status else {})
    assert failure.verdict == (code, reason, metadata)
    assert failure.forbids_retries
    assert content_texts(failure.events) == THREE_DELTAS
    assert failure.interruption == progress(
        failure, usage=make_estimated_usage(PROMPT_TOKENS, 5), attempt_count=1, last_sequence=3, content_characters=18
    )
    assert len(upstream.requests) == min(requests, 1)


FULL_USAGE: Final = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
FULL: Final = {
    "input_tokens": 11,
    "output_tokens": 7,
    "total_tokens": 18,
    "cached_input_tokens": 3,
    "cache_write_tokens": 1,
    "audio_input_tokens": 0,
    "reasoning_tokens": 2,
    "source": usage_pb2.USAGE_SOURCE_PROVIDER,
}
GUESSED: Final = {
    "input_tokens": PROMPT_TOKENS,
    "output_tokens": 2,
    "total_tokens": PROMPT_TOKENS + 2,
    "source": usage_pb2.USAGE_SOURCE_ESTIMATED,
}


def remove_fields(usage: dict[str, Any], *names: str) -> dict[str, Any]:
    """Returns the usage without these fields."""
    return {name: value for name, value in usage.items() if name not in names}


@BOTH_RPCS
@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        pytest.param(FULL_USAGE, FULL, id="full"),
        pytest.param("null", GUESSED, id="null"),
        pytest.param(None, GUESSED, id="none"),
        pytest.param({}, GUESSED, id="empty"),
        pytest.param(remove_fields(FULL_USAGE, "prompt_tokens"), FULL, id="no-prompt-tokens"),
        pytest.param(remove_fields(FULL_USAGE, "completion_tokens"), FULL, id="no-completion-tokens"),
        pytest.param(remove_fields(FULL_USAGE, "total_tokens"), FULL, id="no-total-tokens"),
        pytest.param(
            remove_fields(FULL_USAGE, "prompt_tokens_details"),
            remove_fields(FULL, "cached_input_tokens", "cache_write_tokens", "audio_input_tokens"),
            id="no-prompt-details",
        ),
        pytest.param(
            remove_fields(FULL_USAGE, "completion_tokens_details"),
            remove_fields(FULL, "reasoning_tokens"),
            id="no-completion-details",
        ),
        pytest.param(
            FULL_USAGE | {"prompt_tokens_details": None, "completion_tokens_details": 5},
            remove_fields(FULL, "cached_input_tokens", "cache_write_tokens", "audio_input_tokens", "reasoning_tokens"),
            id="details-null-or-number",
        ),
        pytest.param(
            {"prompt_tokens": 11},
            GUESSED | {"input_tokens": 11, "total_tokens": 13},
            id="prompt-tokens-only",
        ),
        pytest.param(
            {"completion_tokens": 7},
            GUESSED | {"output_tokens": 7, "total_tokens": PROMPT_TOKENS + 7},
            id="completion-tokens-only",
        ),
        pytest.param({"total_tokens": 18}, GUESSED, id="total-only"),
        pytest.param({"prompt_tokens": "11", "completion_tokens": -7, "total_tokens": 1.5}, GUESSED, id="wrong-types"),
        pytest.param(
            {"prompt_tokens": 11.0, "completion_tokens": 7},
            remove_fields(FULL, "cached_input_tokens", "cache_write_tokens", "audio_input_tokens", "reasoning_tokens"),
            id="whole-float",
        ),
    ],
)
async def test_usage_is_counted_or_estimated(
    upstream: FakeUpstream, server: CheckedServer, rpc: str, reported: Any, expected: dict[str, Any]
) -> None:
    """Usage is the provider's where it counted input and output; missing counts are estimated, and marked so."""
    upstream.reply("Hel", "lo", usage=reported)

    answer = await server.answer(rpc)

    usage = usage_pb2.Usage(**expected)
    call = usage_pb2.ModelCallUsage(call=1, purpose=usage_pb2.MODEL_CALL_PURPOSE_ANSWER, model="fake", usage=usage)
    assert answer.end.usage == usage
    assert list(answer.end.model_calls) == [call]


async def test_usage_of_a_litellm_proxy(upstream: FakeUpstream, server: CheckedServer) -> None:
    """A usage chunk whose choices hold an empty delta is read like any other."""
    upstream.chunks(chunk({"content": "Hello"}, "stop"), usage_chunk(DEFAULT_USAGE, [{"delta": {}}]), done=True)

    answer = await server.answer("StreamComplete")

    assert answer.text == "Hello"
    assert (answer.end.usage.input_tokens, answer.end.usage.output_tokens) == (11, 7)
    assert answer.end.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER


FIRST_TOKEN: Final = {"first_token_timeout_seconds": 0.5}
TOTAL: Final = {"model_call_timeout_seconds": 0.5}


@EVERY_PROTOCOL
@pytest.mark.parametrize(
    ("rpc", "misbehave", "settings"),
    [
        pytest.param("StreamComplete", lambda fake: fake.drip(0.01), TOTAL, id="drip-stream"),
        pytest.param("Complete", lambda fake: fake.drip(0.01), TOTAL, id="drip-unary"),
        pytest.param("StreamComplete", lambda fake: fake.comments_forever(), FIRST_TOKEN, id="comments-stream"),
        pytest.param("Complete", lambda fake: fake.comments_forever(), FIRST_TOKEN, id="comments-unary"),
        pytest.param("StreamComplete", lambda fake: fake.hang(), FIRST_TOKEN, id="hang-before-headers"),
        pytest.param("Complete", lambda fake: fake.hang_after(0), FIRST_TOKEN, id="hang-after-headers"),
    ],
)
async def test_slow_upstream(
    upstream: FakeUpstream,
    checked_serving: Fronting,
    rpc: str,
    misbehave: Callable[[FakeUpstream], Any],
    settings: dict[str, float],
) -> None:
    """An upstream that is slow to begin, or to finish, is left, and is not called again."""
    misbehave(upstream)

    async with checked_serving(**settings) as server:
        failure = await server.failure(rpc)

        await upstream.disconnect()
    assert failure.verdict == (DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption.attempt_count == 1
    assert failure.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    assert failure.interruption.usage.input_tokens == PROMPT_TOKENS
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "fall_silent",
    [
        pytest.param(lambda fake: fake.hang_after(3, gated=True), id="silence"),
        pytest.param(
            lambda fake: fake.lines(*map(numbered_chunk, range(3)), *[b": hm\n\n"] * 9, gated=True), id="comments"
        ),
    ],
)
async def test_stall_after_three_deltas(
    upstream: FakeUpstream, checked_serving: Fronting, fall_silent: Callable[[FakeUpstream], Gate]
) -> None:
    """Silence between tokens ends the stream with the progress so far; comments do not count as tokens."""
    gate = fall_silent(upstream)

    async with checked_serving(stall_timeout_seconds=1.0) as server:
        failure = await server.failure("StreamComplete", gate=gate)

        await upstream.disconnect()
    assert content_texts(failure.events) == THREE_DELTAS
    assert failure.verdict == (DEADLINE_EXCEEDED, "UPSTREAM_STALLED", {"model": "fake"})
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=make_estimated_usage(PROMPT_TOKENS, 5), attempt_count=1, last_sequence=3, content_characters=18
    )


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_redirect(upstream: FakeUpstream, server: CheckedServer, rpc: str) -> None:
    """A redirect is not followed and is no answer, so that the key goes to no other server."""
    async with FakeUpstream() as elsewhere:
        upstream.always.redirect(f"{elsewhere.api_base}/chat/completions")

        failure = await server.failure(rpc)

        assert elsewhere.connections == 0
    assert failure.verdict == (INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", {"model": "fake", "http_status": "307"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert len(upstream.requests) == 2


@EVERY_PROTOCOL
async def test_compressed_answer(upstream: FakeUpstream, server: CheckedServer) -> None:
    """An answer that is compressed although we asked for none is understood."""
    upstream.compressed_bomb(megabytes=1)

    answer = await server.answer("StreamComplete")

    assert answer.text == "x" * 2**20
    assert upstream.requests[0].headers["Accept-Encoding"] == "identity"


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_compressed_bomb(upstream: FakeUpstream, server: CheckedServer, rpc: str) -> None:
    """An event that expands without end is malformed, and never held in memory as a whole."""
    upstream.always.compressed_bomb(megabytes=256, event_megabytes=256)

    tracemalloc.start()
    try:
        failure = await server.failure(rpc)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert failure.verdict == (INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", {"model": "fake"})
    assert peak_bytes < 100 * 2**20
    assert len(upstream.requests) == 2


@EVERY_PROTOCOL
async def test_unknown_compression(upstream: FakeUpstream, server: CheckedServer) -> None:
    """An unknown encoding that was not requested is malformed."""
    upstream.always.body(b"\x28\xb5\x2f\xfd", headers={"Content-Encoding": "zstd"})

    failure = await server.failure("Complete")

    assert failure.verdict == (INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", {"model": "fake"})
    assert len(upstream.requests) == 2


@EVERY_PROTOCOL
@pytest.mark.parametrize("wire_field", ["reasoning_content", "reasoning"])
async def test_reasoning_included(upstream: FakeUpstream, server: CheckedServer, wire_field: str) -> None:
    """Reasoning streams as its own kind, before the content, under either field name of the upstream."""
    gate = upstream.gated("4", "2", reasoning=("let me ", "see"), reasoning_field=wire_field)
    request = a_wire_request(PROMPT, include=completion_pb2.IncludeOptions(reasoning=True))
    events: list[events_pb2.StreamCompleteResponse] = []

    await _collect(server.running.client(), request, events, gate=gate)

    kinds = ["started", "reasoning_delta", "reasoning_delta", "content_delta", "content_delta", "completed"]
    assert [event.WhichOneof("kind") for event in events] == kinds
    assert [event.reasoning_delta.text for event in events[1:3]] == ["let me ", "see"]
    assert content_texts(events) == ["4", "2"]


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_reasoning_not_included(upstream: FakeUpstream, server: CheckedServer, rpc: str) -> None:
    """Reasoning that was not requested is left out, but its tokens are counted."""
    upstream.reply("42", reasoning=("let me ", "see"))

    answer = await server.answer(rpc)

    assert answer.text == "42"
    assert {event.WhichOneof("kind") for event in answer.events} <= {"started", "content_delta", "completed"}
    assert answer.end.usage.reasoning_tokens == 2


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_think_tags_stay_content(upstream: FakeUpstream, server: CheckedServer, rpc: str) -> None:
    """`<think>` inside content is text as the model wrote it, wherever it is split."""
    upstream.reply("<th", "ink>hm</thi", "nk>42")

    answer = await server.answer(rpc)

    assert answer.text == "<think>hm</think>42"


@EVERY_PROTOCOL
@BOTH_RPCS
@pytest.mark.parametrize("indexed", [pytest.param(True, id="index"), pytest.param(False, id="no-index")])
async def test_tool_calls(upstream: FakeUpstream, server: CheckedServer, rpc: str, indexed: bool) -> None:
    """Deltas of tool calls are joined, with and without the upstream's index, after the content."""
    upstream.reply(
        "Looking.",
        tool_calls=(
            FakeToolCall("call_a", "find", ('{"q"', ': "x"}'), indexed=indexed),
            FakeToolCall("call_b", "count", ("{", "}"), indexed=indexed),
        ),
    )

    answer = await server.answer(rpc)

    if isinstance(answer.end, completion_pb2.CompleteResponse):
        _, *parts = answer.end.message.content
        calls = [(part.tool_call.id, part.tool_call.name, part.tool_call.arguments) for part in parts]
    else:
        deltas = [event.tool_call_delta for event in answer.events if event.WhichOneof("kind") == "tool_call_delta"]
        ids = dict.fromkeys(delta.call_id for delta in deltas)
        calls = [
            (
                call_id,
                "".join(delta.name for delta in deltas if delta.call_id == call_id),
                "".join(delta.arguments for delta in deltas if delta.call_id == call_id),
            )
            for call_id in ids
        ]
        assert [delta.index for delta in deltas] == sorted(delta.index for delta in deltas)
    assert answer.text == "Looking."
    assert calls == [("call_a", "find", '{"q": "x"}'), ("call_b", "count", "{}")]
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_TOOL_CALLS
