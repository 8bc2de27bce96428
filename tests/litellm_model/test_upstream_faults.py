"""What an upstream can do wrong, and what callers see of it, by both RPCs."""

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
"""Our own wire, and the plain path with each protocol that the fake upstream speaks."""
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
    """A call that failed: the events before, and everything that its status said."""

    events: list[events_pb2.StreamCompleteResponse]
    error: CallFailed
    details: list[str]
    pushback: str

    @property
    def verdict(self) -> tuple[grpc.StatusCode, str, dict[str, str]]:
        """Code, reason and metadata."""
        return self.error.code, self.error.reason, self.error.metadata

    @property
    def forbids_retries(self) -> bool:
        """Whether the client's library will not send the call again: told where it would, not told elsewhere."""
        return self.pushback == ("-1" if self.error.code is UNAVAILABLE else "")

    @property
    def kinds(self) -> list[str | None]:
        """The kinds of the events."""
        return [event.WhichOneof("kind") for event in self.events]

    @property
    def interruption(self) -> interruption_pb2.Interruption:
        """The progress in the details."""
        assert self.error.interruption is not None
        return self.error.interruption


@dataclass(frozen=True, slots=True)
class Answer:
    """A call that went well, by whichever RPC: the content, and how it ended."""

    text: str
    end: events_pb2.Completed | completion_pb2.CompleteResponse
    events: list[events_pb2.StreamCompleteResponse]


class Front:
    """A server, called by either RPC; it keeps what callers were told when a call failed."""

    def __init__(self, running: RunningServer) -> None:
        self.running = running
        self.told: list[bytes] = []

    async def answer(self, rpc: str, **fields: Any) -> Answer:
        """A call that must go well."""
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
        """A call that must fail; each event lets one more step of the upstream out of the gate."""
        client, request = self.running.client(), a_wire_request(PROMPT, **fields)
        events: list[events_pb2.StreamCompleteResponse] = []
        call = (
            client.complete(request, timeout_seconds=timeout_seconds)
            if rpc == "Complete"
            else _collect(client, request, events, timeout_seconds, gate)
        )
        with pytest.raises(CallFailed) as failed:
            await call
        return self.kept(failed.value, events)

    def kept(self, error: CallFailed, events: list[events_pb2.StreamCompleteResponse]) -> Failure:
        cause = error.__cause__
        assert isinstance(cause, grpc.aio.AioRpcError)
        trailers = dict(cause.trailing_metadata() or ())
        self.told += [value.encode() if isinstance(value, str) else value for value in trailers.values()]
        self.told += [error.message.encode(), str(error).encode()]
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
    async for event in client.stream(request, timeout_seconds=timeout_seconds):
        events.append(event)
        if gate is not None:
            gate.open()


Fronting = Callable[..., AbstractAsyncContextManager[Front]]


@pytest.fixture(params=["openai", "hosted_vllm"])
def provider(request: pytest.FixtureRequest) -> str:
    """litellm's prefix of the server's model; by itself, OpenAI's protocol by our reader and by litellm's."""
    return str(request.param)


@pytest.fixture
def fronting(upstream: FakeUpstream, provider: str, caplog: pytest.LogCaptureFixture) -> Fronting:
    """Opens a server; when the test is done with it, checks that the fault left nothing behind and told no secret."""
    caplog.set_level(DEBUG, "reasoning_grpc")

    @asynccontextmanager
    async def fronting(*entries: ModelEntry, **settings: Any) -> AsyncIterator[Front]:
        config = config_for(*(entries or (provider_entry(upstream, provider),)), **settings)
        async with serving(config) as running:
            front = Front(running)
            yield front

            await upstream.idle()
            assert running.server.calls_in_flight == 0
            health = health_pb2_grpc.HealthStub(running.channel)
            check = await health.Check(health_pb2.HealthCheckRequest())  # type: ignore[attr-defined]
            assert check.status == health_pb2.HealthCheckResponse.SERVING
        records = [record for phase in ("setup", "call", "teardown") for record in caplog.get_records(phase)]
        assert [record.getMessage() for record in records if record.levelno >= ERROR] == []
        shown = b"\n".join([JsonFormatter().format(record).encode() for record in records] + front.told)
        for secret in (UPSTREAM_KEY, UPSTREAM_SECRET, PROMPT):
            assert secret.encode() not in shown

    return fronting


@pytest.fixture
async def front(fronting: Fronting) -> AsyncIterator[Front]:
    """A server with the default settings."""
    async with fronting() as front:
        yield front


def progress(failure: Failure, **fields: Any) -> interruption_pb2.Interruption:
    """The interruption that this failure must carry; of its response id only that it is the stream's own."""
    response_id = failure.events[0].started.response_id if failure.events else failure.interruption.response_id
    assert response_id.startswith("rsp_")
    return interruption_pb2.Interruption(response_id=response_id, model_call_count=1, **fields)


def estimated(input_tokens: int, output_tokens: int) -> usage_pb2.Usage:
    """A usage that the server had to estimate."""
    return usage_pb2.Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=input_tokens + output_tokens,
        source=usage_pb2.USAGE_SOURCE_ESTIMATED,
    )


def numbered_chunk(number: int) -> dict[str, Any]:
    """The chunk of one piece of content."""
    return chunk({"content": numbered(number + 1)[number]})


def texts(events: Iterable[events_pb2.StreamCompleteResponse]) -> list[str]:
    """The pieces of content among the events."""
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
    front: Front,
    rpc: str,
    status: int,
    code: grpc.StatusCode,
    reason: str,
    requests: int,
) -> None:
    """Each HTTP status has its code, reason and number of requests, and says that nothing was used."""
    upstream.always.fail(status)

    failure = await front.failure(rpc)

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
    front: Front,
    rpc: str,
    failing: dict[str, Any],
    code: grpc.StatusCode,
    reason: str,
) -> None:
    """What a body says goes before its status, and is not retried."""
    upstream.always.fail(**failing)

    failure = await front.failure(rpc)

    assert failure.verdict == (code, reason, {"model": "fake", "http_status": str(failing["status"])})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert len(upstream.requests) == 1


async def test_a_parameter_that_the_model_does_not_take(upstream: FakeUpstream, front: Front) -> None:
    """The refused parameter is named as a field of the request."""
    error = {"error": {"message": UPSTREAM_SECRET, "code": "unsupported_parameter", "param": "seed"}}
    upstream.fail(400, body=error)

    failure = await front.failure("Complete")

    metadata = {"model": "fake", "http_status": "400"}
    assert failure.verdict == (INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER", metadata)
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption", "BadRequest"]
    assert failure.error.violations == (FieldViolation("sampling.seed", "The model does not take it."),)


@EVERY_PROTOCOL
async def test_a_server_error_that_mentions_a_rate_limit(upstream: FakeUpstream, front: Front) -> None:
    """A 500 stays one, and is retried, whatever its text says."""
    upstream.always.fail(500, message="rate limit reached")

    failure = await front.failure("Complete")

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
    upstream: FakeUpstream, front: Front, rpc: str, retry_after: str, seconds: float | None
) -> None:
    """A 429 passes its Retry-After on, clamped, in the details; it is not retried by us."""
    upstream.fail(429, headers={"Retry-After": retry_after})

    failure = await front.failure(rpc)

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
    upstream: FakeUpstream, front: Front, retry_after: str, deadline_seconds: float | None, requests: int
) -> None:
    """A 503 that names a time is retried by us if that is soon; the time is passed on in any case."""
    upstream.always.fail(503, headers={"Retry-After": retry_after})

    failure = await front.failure("StreamComplete", timeout_seconds=deadline_seconds)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_OVERLOADED", {"model": "fake", "http_status": "503"})
    assert failure.error.retry_after_seconds == float(retry_after)
    assert failure.pushback == str(round(float(retry_after) * 1000))
    assert failure.details == ["ErrorInfo", "RequestInfo", "RetryInfo", "Interruption"]
    assert len(upstream.requests) == requests


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_refused_connection(fronting: Fronting, provider: str, rpc: str) -> None:
    """A refused connection is retried, and carries no interruption: no upstream was reached."""
    with refusing_api_base() as api_base:
        async with fronting(model_entry(api_base, litellm_model=f"{provider}/fake")) as front:
            failure = await front.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo"]
    assert failure.forbids_retries
    if rpc == "StreamComplete":
        assert failure.kinds == ["started", "attempt_switched", "attempt_switched"]


@EVERY_PROTOCOL
async def test_unknown_host(fronting: Fronting, provider: str) -> None:
    """A name that does not resolve is an unreachable upstream."""
    entry = model_entry("http://nonexistent.invalid/v1", litellm_model=f"{provider}/fake")
    async with fronting(entry, max_retries=0) as front:
        failure = await front.failure("Complete")

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo"]


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_closed_on_accept(upstream: FakeUpstream, front: Front, rpc: str) -> None:
    """A connection that closes as soon as it is there is tried three times."""
    upstream.close_on_accept()

    failure = await front.failure(rpc)

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
async def test_broken_connection(upstream: FakeUpstream, front: Front, rpc: str, break_off: Callable[..., Any]) -> None:
    """A connection that breaks before the first delta is tried again, and the usage is what it may have cost."""
    break_off(upstream.always)

    failure = await front.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=estimated(3 * PROMPT_TOKENS, 0), attempt_count=3, last_sequence=2
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
    upstream: FakeUpstream, front: Front, rpc: str, script: dict[str, Any], reason: str
) -> None:
    """A 200 that holds no answer of the protocol is tried once more."""
    upstream.always.body(**script)

    failure = await front.failure(rpc)

    assert failure.verdict == (INTERNAL, reason, {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=estimated(2 * PROMPT_TOKENS, 0), attempt_count=2, last_sequence=1
    )
    assert len(upstream.requests) == 2


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_error_object_in_a_200(upstream: FakeUpstream, front: Front, rpc: str) -> None:
    """An error object counts as the status it names, and is retried as such."""
    upstream.always.body(b'{"error": {"message": "upstream-secret-7f3a", "code": 503}}')

    failure = await front.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_OVERLOADED", {"model": "fake", "http_status": "503"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert len(upstream.requests) == 3


@BOTH_RPCS
async def test_whole_answer_instead_of_a_stream(upstream: FakeUpstream, front: Front, rpc: str) -> None:
    """An upstream that answers the stream with one JSON body is understood."""
    upstream.body(
        b'{"choices": [{"message": {"content": "Hello"}, "finish_reason": "length"}],'
        b' "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}}'
    )

    answer = await front.answer(rpc)

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
async def test_stream_of_nothing(upstream: FakeUpstream, front: Front, rpc: str, chunks: list[dict[str, Any]]) -> None:
    """A stream with neither text nor finish reason is an empty answer, tried once more."""
    upstream.always.chunks(*chunks, done=True)

    failure = await front.failure(rpc)

    assert failure.verdict == (INTERNAL, "UPSTREAM_EMPTY_RESPONSE", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert len(upstream.requests) == 2


@BOTH_RPCS
async def test_null_content_with_a_finish_reason(upstream: FakeUpstream, front: Front, rpc: str) -> None:
    """An empty answer that really finished is OK."""
    upstream.chunks(chunk({"content": None}), finish="stop", done=True)

    answer = await front.answer(rpc)

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
async def test_stream_cut_after_three_chunks(upstream: FakeUpstream, front: Front, how: Any, reason: str) -> None:
    """Three deltas arrive, then UNAVAILABLE with the progress, and no second request."""
    gate = upstream.cut_after(3, how, gated=True)

    failure = await front.failure("StreamComplete", gate=gate)

    assert failure.kinds == ["started", "content_delta", "content_delta", "content_delta"]
    assert texts(failure.events) == THREE_DELTAS
    assert [event.sequence for event in failure.events] == [0, 1, 2, 3]
    assert failure.verdict == (UNAVAILABLE, reason, {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=estimated(PROMPT_TOKENS, 5), attempt_count=1, last_sequence=3, content_characters=18
    )
    assert len(upstream.requests) == 1


async def test_unary_call_of_a_truncated_stream(upstream: FakeUpstream, front: Front) -> None:
    """A unary call fails the same way, and tells how far its answer had come."""
    upstream.cut_after(3, "end")

    failure = await front.failure("Complete")

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_STREAM_TRUNCATED", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert (failure.interruption.usage, failure.interruption.content_characters) == (estimated(PROMPT_TOKENS, 5), 18)
    assert len(upstream.requests) == 1


async def test_truncated_stream_with_usage_so_far(upstream: FakeUpstream, front: Front) -> None:
    """The upstream's own count is passed on even when its stream was cut."""
    usage = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}
    upstream.chunks(chunk({"content": "Hel"}), usage_chunk(usage))

    failure = await front.failure("StreamComplete")

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_STREAM_TRUNCATED", {"model": "fake"})
    assert failure.interruption.usage == usage_pb2.Usage(
        input_tokens=40, output_tokens=2, total_tokens=42, source=usage_pb2.USAGE_SOURCE_PROVIDER
    )


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_done_without_a_finish_reason(upstream: FakeUpstream, front: Front, rpc: str) -> None:
    """`[DONE]` alone does not finish an answer."""
    upstream.reply("Hel", "lo", finish_reason=None, usage=None)

    failure = await front.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_STREAM_TRUNCATED", {"model": "fake"})
    assert "completed" not in failure.kinds
    assert "".join(texts(failure.events)) == ("Hello" if rpc == "StreamComplete" else "")
    assert len(upstream.requests) == 1


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_finish_reason_without_done(upstream: FakeUpstream, front: Front, rpc: str) -> None:
    """A finish reason finishes an answer, with or without `[DONE]`."""
    upstream.reply("Hel", "lo", done=False)

    answer = await front.answer(rpc)

    assert answer.text == "Hello"
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert answer.end.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER


async def test_comments_without_end_after_the_finish_reason(upstream: FakeUpstream, front: Front) -> None:
    """Once the finish reason is there, an upstream that never ends its stream cannot hold the answer back for long."""
    comments = [b": still here\n\n"] * 10_000
    gate = upstream.lines(chunk({"content": "Hello"}), chunk({}, "stop"), *comments, gated=True)

    async def drip() -> None:
        while True:
            gate.open()
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    try:
        answer = await asyncio.wait_for(front.answer("StreamComplete"), timeout=60)
    finally:
        dripping.cancel()

    assert answer.text == "Hello"
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert (await upstream.disconnect()).body["model"] == "fake"


async def test_content_filter_in_a_stream(upstream: FakeUpstream, front: Front) -> None:
    """A content filter in mid-stream is how the model ended, and no failure."""
    upstream.reply("Hel", finish_reason="content_filter")

    answer = await front.answer("StreamComplete")

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
async def test_junk_in_a_stream(upstream: FakeUpstream, front: Front, junk: str, retried: bool) -> None:
    """A line that may have held text is an error, tried once more only before the first delta."""
    before = [] if retried else [chunk({"content": "Hel"})]
    gate = upstream.always.lines(*before, junk, chunk({"content": "lo"}, "stop"), gated=not retried)

    failure = await front.failure("StreamComplete", gate=gate)

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
    front: Front,
    rpc: str,
    error: Any,
    code: grpc.StatusCode,
    reason: str,
    http_status: str,
    requests: int,
) -> None:
    """Before the first delta an error object is the failure that it names, and retried as such."""
    upstream.always.error_in_stream(0, error)

    failure = await front.failure(rpc)

    metadata = {"model": "fake"} | ({"http_status": http_status} if http_status else {})
    assert failure.verdict == (code, reason, metadata)
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption.attempt_count == requests
    assert len(upstream.requests) == requests


@ERRORS_IN_STREAM
async def test_error_object_after_three_deltas(
    upstream: FakeUpstream,
    front: Front,
    error: Any,
    code: grpc.StatusCode,
    reason: str,
    http_status: str,
    requests: int,
) -> None:
    """After deltas the same failure ends the stream at once, and the usage is estimated."""
    gate = upstream.error_in_stream(3, error, gated=True)

    failure = await front.failure("StreamComplete", gate=gate)

    metadata = {"model": "fake"} | ({"http_status": http_status} if http_status else {})
    assert failure.verdict == (code, reason, metadata)
    assert failure.forbids_retries
    assert texts(failure.events) == THREE_DELTAS
    assert failure.interruption == progress(
        failure, usage=estimated(PROMPT_TOKENS, 5), attempt_count=1, last_sequence=3, content_characters=18
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


def without(usage: dict[str, Any], *names: str) -> dict[str, Any]:
    """The same usage without these fields."""
    return {name: value for name, value in usage.items() if name not in names}


@BOTH_RPCS
@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        pytest.param(FULL_USAGE, FULL, id="full"),
        pytest.param("null", GUESSED, id="null"),
        pytest.param(None, GUESSED, id="none"),
        pytest.param({}, GUESSED, id="empty"),
        pytest.param(without(FULL_USAGE, "prompt_tokens"), FULL, id="no-prompt-tokens"),
        pytest.param(without(FULL_USAGE, "completion_tokens"), FULL, id="no-completion-tokens"),
        pytest.param(without(FULL_USAGE, "total_tokens"), FULL, id="no-total-tokens"),
        pytest.param(
            without(FULL_USAGE, "prompt_tokens_details"),
            without(FULL, "cached_input_tokens", "cache_write_tokens", "audio_input_tokens"),
            id="no-prompt-details",
        ),
        pytest.param(
            without(FULL_USAGE, "completion_tokens_details"),
            without(FULL, "reasoning_tokens"),
            id="no-completion-details",
        ),
        pytest.param(
            FULL_USAGE | {"prompt_tokens_details": None, "completion_tokens_details": 5},
            without(FULL, "cached_input_tokens", "cache_write_tokens", "audio_input_tokens", "reasoning_tokens"),
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
            without(FULL, "cached_input_tokens", "cache_write_tokens", "audio_input_tokens", "reasoning_tokens"),
            id="whole-float",
        ),
    ],
)
async def test_usage(upstream: FakeUpstream, front: Front, rpc: str, reported: Any, expected: dict[str, Any]) -> None:
    """Usage is the provider's where it counted both sides; what it left out is estimated, and marked so."""
    upstream.reply("Hel", "lo", usage=reported)

    answer = await front.answer(rpc)

    usage = usage_pb2.Usage(**expected)
    call = usage_pb2.ModelCallUsage(call=1, purpose=usage_pb2.MODEL_CALL_PURPOSE_ANSWER, model="fake", usage=usage)
    assert answer.end.usage == usage
    assert list(answer.end.model_calls) == [call]


async def test_usage_of_a_litellm_proxy(upstream: FakeUpstream, front: Front) -> None:
    """A usage chunk whose choices hold an empty delta is read like any other."""
    upstream.chunks(chunk({"content": "Hello"}, "stop"), usage_chunk(DEFAULT_USAGE, [{"delta": {}}]), done=True)

    answer = await front.answer("StreamComplete")

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
    fronting: Fronting,
    rpc: str,
    misbehave: Callable[[FakeUpstream], Any],
    settings: dict[str, float],
) -> None:
    """An upstream that is slow to begin, or to finish, is left, and not asked again."""
    misbehave(upstream)

    async with fronting(**settings) as front:
        failure = await front.failure(rpc)

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
    upstream: FakeUpstream, fronting: Fronting, fall_silent: Callable[[FakeUpstream], Gate]
) -> None:
    """Silence between tokens ends the stream with the progress so far; comments do not count as tokens."""
    gate = fall_silent(upstream)

    async with fronting(stall_timeout_seconds=1.0) as front:
        failure = await front.failure("StreamComplete", gate=gate)

        await upstream.disconnect()
    assert texts(failure.events) == THREE_DELTAS
    assert failure.verdict == (DEADLINE_EXCEEDED, "UPSTREAM_STALLED", {"model": "fake"})
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=estimated(PROMPT_TOKENS, 5), attempt_count=1, last_sequence=3, content_characters=18
    )


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_redirect(upstream: FakeUpstream, front: Front, rpc: str) -> None:
    """A redirect is no answer, and is not followed: the key goes nowhere else."""
    async with FakeUpstream() as elsewhere:
        upstream.always.redirect(f"{elsewhere.api_base}/chat/completions")

        failure = await front.failure(rpc)

        assert elsewhere.connections == 0
    assert failure.verdict == (INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", {"model": "fake", "http_status": "307"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert len(upstream.requests) == 2


@EVERY_PROTOCOL
async def test_compressed_answer(upstream: FakeUpstream, front: Front) -> None:
    """An upstream that compresses although it was asked not to is understood."""
    upstream.compressed_bomb(megabytes=1)

    answer = await front.answer("StreamComplete")

    assert answer.text == "x" * 2**20
    assert upstream.requests[0].headers["Accept-Encoding"] == "identity"


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_compressed_bomb(upstream: FakeUpstream, front: Front, rpc: str) -> None:
    """An event that expands without end is malformed, and never held in memory as a whole."""
    upstream.always.compressed_bomb(megabytes=256, event_megabytes=256)

    tracemalloc.start()
    try:
        failure = await front.failure(rpc)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert failure.verdict == (INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", {"model": "fake"})
    assert peak_bytes < 100 * 2**20
    assert len(upstream.requests) == 2


@EVERY_PROTOCOL
async def test_unknown_compression(upstream: FakeUpstream, front: Front) -> None:
    """An encoding that was not asked for and is not known is malformed."""
    upstream.always.body(b"\x28\xb5\x2f\xfd", headers={"Content-Encoding": "zstd"})

    failure = await front.failure("Complete")

    assert failure.verdict == (INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", {"model": "fake"})
    assert len(upstream.requests) == 2


@EVERY_PROTOCOL
@pytest.mark.parametrize("wire_field", ["reasoning_content", "reasoning"])
async def test_reasoning_included(upstream: FakeUpstream, front: Front, wire_field: str) -> None:
    """Reasoning streams as its own kind, before the content, under either name of the wire."""
    gate = upstream.gated("4", "2", reasoning=("let me ", "see"), reasoning_field=wire_field)
    request = a_wire_request(PROMPT, include=completion_pb2.IncludeOptions(reasoning=True))
    events: list[events_pb2.StreamCompleteResponse] = []

    await _collect(front.running.client(), request, events, gate=gate)

    kinds = ["started", "reasoning_delta", "reasoning_delta", "content_delta", "content_delta", "completed"]
    assert [event.WhichOneof("kind") for event in events] == kinds
    assert [event.reasoning_delta.text for event in events[1:3]] == ["let me ", "see"]
    assert texts(events) == ["4", "2"]


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_reasoning_not_included(upstream: FakeUpstream, front: Front, rpc: str) -> None:
    """Reasoning that was not asked for is left out, and counted all the same."""
    upstream.reply("42", reasoning=("let me ", "see"))

    answer = await front.answer(rpc)

    assert answer.text == "42"
    assert {event.WhichOneof("kind") for event in answer.events} <= {"started", "content_delta", "completed"}
    assert answer.end.usage.reasoning_tokens == 2


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_think_tags_stay_content(upstream: FakeUpstream, front: Front, rpc: str) -> None:
    """`<think>` inside content is text as the model wrote it, however it is split."""
    upstream.reply("<th", "ink>hm</thi", "nk>42")

    answer = await front.answer(rpc)

    assert answer.text == "<think>hm</think>42"


@EVERY_PROTOCOL
@BOTH_RPCS
@pytest.mark.parametrize("indexed", [pytest.param(True, id="index"), pytest.param(False, id="no-index")])
async def test_tool_calls(upstream: FakeUpstream, front: Front, rpc: str, indexed: bool) -> None:
    """Pieces of tool calls are put together, with and without the index of the wire, after the content."""
    upstream.reply(
        "Looking.",
        tool_calls=(
            FakeToolCall("call_a", "find", ('{"q"', ': "x"}'), indexed=indexed),
            FakeToolCall("call_b", "count", ("{", "}"), indexed=indexed),
        ),
    )

    answer = await front.answer(rpc)

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
