"""Retries and fallback models: when another attempt is made, and what callers see of it."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.domain import Prices
from reasoning_grpc.v1 import completion_pb2, errors_pb2, events_pb2, usage_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import FakeUpstream, Scripting, chunk, usage_chunk

UPSTREAM_TIMEOUT: Final = errors_pb2.ERROR_REASON_UPSTREAM_TIMEOUT
UPSTREAM_UNREACHABLE: Final = errors_pb2.ERROR_REASON_UPSTREAM_UNREACHABLE
UPSTREAM_ERROR: Final = errors_pb2.ERROR_REASON_UPSTREAM_ERROR
UPSTREAM_OVERLOADED: Final = errors_pb2.ERROR_REASON_UPSTREAM_OVERLOADED
UPSTREAM_EMPTY_RESPONSE: Final = errors_pb2.ERROR_REASON_UPSTREAM_EMPTY_RESPONSE
UPSTREAM_MALFORMED_RESPONSE: Final = errors_pb2.ERROR_REASON_UPSTREAM_MALFORMED_RESPONSE
SUCCEEDED: Final = errors_pb2.ERROR_REASON_UNSPECIFIED

Attempt = tuple[int, str, int, int]
"""Number, model, failure and HTTP status of an attempt."""


@pytest.fixture
async def backup() -> AsyncIterator[FakeUpstream]:
    """The upstream of a second model."""
    async with FakeUpstream() as fake:
        fake.always.reply("from ", "backup")
        yield fake


async def collect_events(
    running: RunningServer, *, timeout_seconds: float | None = None, **fields: Any
) -> list[events_pb2.StreamCompleteResponse]:
    """Returns the events of a stream that succeeds."""
    request = a_wire_request(**fields)
    return [event async for event in running.client().stream(request, timeout_seconds=timeout_seconds)]


async def expect_failure(
    running: RunningServer, token: str = "", timeout_seconds: float | None = None, **fields: Any
) -> CallFailed:
    """Returns the failure of a unary call."""
    with pytest.raises(CallFailed) as failed:
        await running.client(token=token).complete(a_wire_request(**fields), timeout_seconds=timeout_seconds)
    return failed.value


def list_switches(events: list[events_pb2.StreamCompleteResponse]) -> list[tuple[str, str, int, int, int]]:
    """Returns from, to, attempt, failure and HTTP status of each switch."""
    switched = [event.attempt_switched for event in events if event.WhichOneof("kind") == "attempt_switched"]
    return [
        (switch.from_model, switch.to_model, switch.next_attempt, switch.failure, switch.http_status)
        for switch in switched
    ]


def list_attempts(end: events_pb2.Completed | completion_pb2.CompleteResponse) -> list[Attempt]:
    """Returns the attempts of an answer, all of which belong to its one model call."""
    assert {attempt.call for attempt in end.attempts} == {1}
    return [(attempt.number, attempt.model, attempt.failure, attempt.http_status) for attempt in end.attempts]


@pytest.mark.parametrize(
    ("break_off", "failure", "http_status"),
    [
        pytest.param(lambda script: script.fail(409), UPSTREAM_ERROR, 409, id="409"),
        pytest.param(lambda script: script.fail(500), UPSTREAM_ERROR, 500, id="500"),
        pytest.param(lambda script: script.fail(503), UPSTREAM_OVERLOADED, 503, id="503"),
        pytest.param(lambda script: script.drop("reset"), UPSTREAM_UNREACHABLE, 0, id="reset"),
        pytest.param(lambda script: script.body(b"{}"), UPSTREAM_MALFORMED_RESPONSE, 0, id="malformed"),
        pytest.param(lambda script: script.chunks({"choices": []}), UPSTREAM_EMPTY_RESPONSE, 0, id="empty"),
    ],
)
async def test_retry_that_succeeds(
    upstream: FakeUpstream,
    running_server: RunningServer,
    break_off: Callable[[Scripting], Any],
    failure: int,
    http_status: int,
) -> None:
    """A retry is announced when it happens; both attempts are in the answer, whose text is the second one's."""
    break_off(upstream)

    events = await collect_events(running_server)

    kinds = [event.WhichOneof("kind") for event in events if event.WhichOneof("kind") != "content_delta"]
    assert kinds == ["started", "attempt_switched", "completed"]
    assert list_switches(events) == [("fake", "fake", 2, failure, http_status)]
    assert list_attempts(events[-1].completed) == [(1, "fake", failure, http_status), (2, "fake", SUCCEEDED, 0)]
    assert "".join(event.content_delta.text for event in events) == "Hello world"
    assert len(upstream.requests) == 2


async def test_retries_of_a_unary_call(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A unary answer names the failed attempts, too."""
    upstream.fail(502)
    upstream.fail(529)

    response = await running_server.client().complete(a_wire_request())

    assert list_attempts(response) == [
        (1, "fake", UPSTREAM_ERROR, 502),
        (2, "fake", UPSTREAM_OVERLOADED, 529),
        (3, "fake", SUCCEEDED, 0),
    ]
    assert response.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER


async def test_times_of_attempts(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """Attempts follow each other with the announced delay between them, which does not count as overhead of ours."""
    upstream.fail(503, headers={"Retry-After": "0.5"})

    events = await collect_events(running_server)

    (delay,) = [event.attempt_switched.delay for event in events if event.WhichOneof("kind") == "attempt_switched"]
    first, second = events[-1].completed.attempts
    timings = events[-1].completed.timings
    ended = first.start_offset.ToNanoseconds() + first.duration.ToNanoseconds()
    total = timings.total_duration.ToNanoseconds()
    assert delay.ToMilliseconds() == 500
    assert second.start_offset.ToNanoseconds() >= ended + delay.ToNanoseconds()
    assert second.start_offset.ToNanoseconds() + second.duration.ToNanoseconds() <= total
    assert timings.overhead_duration.ToNanoseconds() <= total - delay.ToNanoseconds()


@pytest.mark.parametrize("max_retries", [0, 1, 3])
async def test_number_of_retries_is_configured(upstream: FakeUpstream, max_retries: int) -> None:
    """`max_retries` limits the retries with the same model."""
    upstream.always.fail(500)

    async with serving(config_for(model_entry(upstream.api_base), max_retries=max_retries)) as running:
        failure = await expect_failure(running)

    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_ERROR")
    assert failure.interruption is not None
    assert failure.interruption.attempt_count == max_retries + 1
    assert len(upstream.requests) == max_retries + 1


async def test_what_is_retried_once_is_not_retried_without_retries(upstream: FakeUpstream) -> None:
    """With `max_retries` of 0, a failure that is otherwise retried once is not retried."""
    upstream.always.body(b"{}")

    async with serving(config_for(model_entry(upstream.api_base), max_retries=0)) as running:
        failure = await expect_failure(running)

    assert failure.reason == "UPSTREAM_MALFORMED_RESPONSE"
    assert len(upstream.requests) == 1


async def test_no_retry_after_the_first_delta(upstream: FakeUpstream, backup: FakeUpstream) -> None:
    """After the first delta, neither a retry nor a fallback repeats it."""
    gate = upstream.cut_after(1, gated=True)
    entries = (model_entry(upstream.api_base), model_entry(backup.api_base, "backup"))
    kinds = []

    async def read(running: RunningServer) -> None:
        async for event in running.client().stream(a_wire_request(fallback_models=["backup"])):
            kinds.append(event.WhichOneof("kind"))
            gate.open()

    async with serving(config_for(*entries)) as running:
        with pytest.raises(CallFailed) as failed:
            await read(running)

    assert kinds == ["started", "content_delta"]
    assert failed.value.reason == "UPSTREAM_UNREACHABLE"
    assert (len(upstream.requests), backup.requests) == (1, [])


async def test_retry_after_within_the_limits_is_waited_for(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """A delay that the upstream asks for is waited for to the millisecond, and announced."""
    upstream.fail(503, headers={"Retry-After": "0.3"})

    events = await collect_events(running_server, timeout_seconds=30)

    (switch,) = [event.attempt_switched for event in events if event.WhichOneof("kind") == "attempt_switched"]
    assert switch.delay.ToMilliseconds() == 300
    assert events[-1].WhichOneof("kind") == "completed"


@pytest.mark.parametrize(
    ("retry_after", "timeout_seconds"),
    [pytest.param("6", None, id="our-limit"), pytest.param("4", 3.0, id="the-deadline")],
)
async def test_fallback_instead_of_a_long_delay(
    upstream: FakeUpstream, backup: FakeUpstream, retry_after: str, timeout_seconds: float | None
) -> None:
    """When the upstream asks for a delay beyond our limit, the fallback model is called at once."""
    upstream.always.fail(503, headers={"Retry-After": retry_after})
    entries = (model_entry(upstream.api_base), model_entry(backup.api_base, "backup"))

    async with serving(config_for(*entries)) as running:
        events = await collect_events(running, timeout_seconds=timeout_seconds, fallback_models=["backup"])

    assert list_switches(events) == [("fake", "backup", 2, UPSTREAM_OVERLOADED, 503)]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "in_request", [pytest.param(True, id="of-the-request"), pytest.param(False, id="of-the-entry")]
)
async def test_fallback_after_the_retries(upstream: FakeUpstream, backup: FakeUpstream, in_request: bool) -> None:
    """The fallback model answers after the last retry, and answer, usage and cost name it."""
    upstream.always.fail(503)
    entries = (
        model_entry(upstream.api_base, fallback_models=() if in_request else ("backup",)),
        model_entry(backup.api_base, "backup", prices=Prices(input=1_000_000, output=2_000_000)),
    )

    async with serving(config_for(*entries)) as running:
        events = await collect_events(running, fallback_models=["backup"] if in_request else [])

    completed = events[-1].completed
    assert events[0].started.model == "fake"
    assert list_switches(events) == [
        ("fake", "fake", 2, UPSTREAM_OVERLOADED, 503),
        ("fake", "fake", 3, UPSTREAM_OVERLOADED, 503),
        ("fake", "backup", 4, UPSTREAM_OVERLOADED, 503),
    ]
    assert list_attempts(completed)[2:] == [(3, "fake", UPSTREAM_OVERLOADED, 503), (4, "backup", SUCCEEDED, 0)]
    assert "".join(event.content_delta.text for event in events) == "from backup"
    assert completed.model == "backup"
    assert [call.model for call in completed.model_calls] == ["backup"]
    assert completed.cost.total_nano_usd == 11 + 14
    assert (len(upstream.requests), len(backup.requests)) == (3, 1)
    assert backup.requests[0].body["model"] == "backup"


async def test_models_of_the_request_replace_those_of_the_entry(upstream: FakeUpstream, backup: FakeUpstream) -> None:
    """Fallback models of a request are tried in their order, and replace those of the entry."""
    upstream.always.fail(503)
    entries = (
        model_entry(upstream.api_base, fallback_models=("never",)),
        model_entry(upstream.api_base, "second"),
        model_entry(backup.api_base, "backup"),
        model_entry(backup.api_base, "never"),
    )

    async with serving(config_for(*entries, max_retries=0)) as running:
        events = await collect_events(running, fallback_models=["second", "backup"])

    assert list_switches(events) == [
        ("fake", "second", 2, UPSTREAM_OVERLOADED, 503),
        ("second", "backup", 3, UPSTREAM_OVERLOADED, 503),
    ]
    assert [request.body["model"] for request in upstream.requests + backup.requests] == ["fake", "second", "backup"]


async def test_error_of_the_last_model(upstream: FakeUpstream, backup: FakeUpstream) -> None:
    """When all models fail, the status is that of the last one, and reports the number of attempts."""
    upstream.always.fail(503)
    backup.always.fail(429, headers={"Retry-After": "7"})
    entries = (model_entry(upstream.api_base), model_entry(backup.api_base, "backup"))

    async with serving(config_for(*entries)) as running:
        failure = await expect_failure(running, fallback_models=["backup"])

    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED")
    assert failure.metadata == {"model": "backup", "http_status": "429"}
    assert failure.retry_after_seconds == 7.0
    assert failure.interruption is not None
    assert (failure.interruption.attempt_count, failure.interruption.model_call_count) == (4, 1)


@pytest.mark.slow
async def test_fallback_on_timeout(upstream: FakeUpstream, backup: FakeUpstream) -> None:
    """A model that does not begin in time is left for the fallback.

    The tokens of its prompt are estimated, since they may cost.
    """
    upstream.hang()
    entries = (model_entry(upstream.api_base), model_entry(backup.api_base, "backup"))

    async with serving(config_for(*entries, first_token_timeout_seconds=2.0)) as running:
        events = await collect_events(running, text="four" * 25, fallback_models=["backup"])

    completed = events[-1].completed
    await upstream.disconnect()
    assert list_switches(events) == [("fake", "backup", 2, UPSTREAM_TIMEOUT, 0)]
    assert list_attempts(completed) == [(1, "fake", UPSTREAM_TIMEOUT, 0), (2, "backup", SUCCEEDED, 0)]
    assert (completed.usage.input_tokens, completed.usage.output_tokens) == (25 + 11, 7)
    assert completed.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED


@pytest.mark.parametrize(
    ("failing", "reason"),
    [
        pytest.param({"status": 400}, "UPSTREAM_REJECTED_REQUEST", id="400"),
        pytest.param({"status": 400, "code": "context_length_exceeded"}, "CONTEXT_WINDOW_EXCEEDED", id="context"),
        pytest.param({"status": 400, "code": "content_policy_violation"}, "CONTENT_POLICY", id="policy"),
        pytest.param({"status": 400, "code": "unsupported_parameter"}, "UNSUPPORTED_PARAMETER", id="parameter"),
    ],
)
async def test_no_fallback_when_the_request_is_at_fault(
    upstream: FakeUpstream, backup: FakeUpstream, failing: dict[str, Any], reason: str
) -> None:
    """A failure that the caller must fix leads to no fallback."""
    upstream.fail(**failing)
    entries = (model_entry(upstream.api_base, fallback_models=("backup",)), model_entry(backup.api_base, "backup"))

    async with serving(config_for(*entries)) as running:
        failure = await expect_failure(running)

    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert (len(upstream.requests), backup.requests) == (1, [])


@pytest.mark.parametrize("status", [401, 402, 404, 429])
async def test_fallback_when_the_upstream_is_at_fault(
    upstream: FakeUpstream, backup: FakeUpstream, status: int
) -> None:
    """A failure that only the operator, or time, can fix leads to the fallback at once."""
    upstream.fail(status)
    entries = (model_entry(upstream.api_base, fallback_models=("backup",)), model_entry(backup.api_base, "backup"))

    async with serving(config_for(*entries)) as running:
        response = await running.client().complete(a_wire_request())

    assert [(number, model, http_status) for number, model, _, http_status in list_attempts(response)] == [
        (1, "fake", status),
        (2, "backup", 0),
    ]


async def test_usage_and_cost_of_all_attempts(upstream: FakeUpstream, backup: FakeUpstream) -> None:
    """The counts of failed attempts are added to the answer's usage, each at the price of its model."""
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    upstream.always.chunks(chunk({"content": ""}), usage_chunk(usage))
    entries = (
        model_entry(upstream.api_base, prices=Prices(input=10_000_000, output=20_000_000)),
        model_entry(backup.api_base, "backup", prices=Prices(input=1_000_000, output=2_000_000, cached_input=0)),
    )

    async with serving(config_for(*entries)) as running:
        response = await running.client().complete(a_wire_request(fallback_models=["backup"]))

    assert list_attempts(response) == [
        (1, "fake", UPSTREAM_EMPTY_RESPONSE, 0),
        (2, "fake", UPSTREAM_EMPTY_RESPONSE, 0),
        (3, "backup", SUCCEEDED, 0),
    ]
    call = usage_pb2.ModelCallUsage(
        call=1,
        purpose=usage_pb2.MODEL_CALL_PURPOSE_ANSWER,
        model="backup",
        usage=usage_pb2.Usage(
            input_tokens=2 * 100 + 11,
            output_tokens=2 * 10 + 7,
            total_tokens=2 * 110 + 18,
            cached_input_tokens=3,
            reasoning_tokens=2,
            source=usage_pb2.USAGE_SOURCE_PROVIDER,
        ),
    )
    assert list(response.model_calls) == [call]
    assert response.usage.total_tokens == 238
    items = [(item.model, item.kind, item.tokens, item.nano_usd) for item in response.cost.items]
    assert items == [
        ("fake", usage_pb2.TOKEN_KIND_INPUT, 200, 2000),
        ("fake", usage_pb2.TOKEN_KIND_OUTPUT, 20, 400),
        ("backup", usage_pb2.TOKEN_KIND_INPUT, 8, 8),
        ("backup", usage_pb2.TOKEN_KIND_CACHED_INPUT, 3, 0),
        ("backup", usage_pb2.TOKEN_KIND_OUTPUT, 7, 14),
    ]
    assert response.cost.total_nano_usd == 2422


async def test_usage_of_a_retried_attempt(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A stream that ends before its first delta is tried again, and its count is kept."""
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}
    upstream.chunks(chunk({"content": None}), usage_chunk(usage))

    response = await running_server.client().complete(a_wire_request())

    assert list_attempts(response) == [(1, "fake", UPSTREAM_EMPTY_RESPONSE, 0), (2, "fake", SUCCEEDED, 0)]
    assert (response.usage.input_tokens, response.usage.output_tokens) == (100 + 11, 1 + 7)
    assert response.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER


async def test_a_fallback_that_the_caller_may_not_use(upstream: FakeUpstream, backup: FakeUpstream) -> None:
    """A request that names a forbidden fallback is refused before any upstream is called."""
    entries = (model_entry(upstream.api_base, fallback_models=("backup",)), model_entry(backup.api_base, "backup"))
    caller = CallerEntry(name="ada", token_hash=hash_token("t0ken"), allowed_models=frozenset({"fake"}))

    async with serving(config_for(*entries, callers={"ada": caller})) as running:
        failure = await expect_failure(running, "t0ken", fallback_models=["backup"])

    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "MODEL_NOT_ALLOWED")
    assert failure.metadata == {"model": "backup"}
    assert failure.interruption is None
    assert upstream.requests == backup.requests == []


async def test_a_fallback_of_the_entry_that_the_caller_may_not_use(
    upstream: FakeUpstream, backup: FakeUpstream
) -> None:
    """The entry's own fallbacks are skipped where the caller may not use them."""
    upstream.always.fail(503)
    entries = (model_entry(upstream.api_base, fallback_models=("backup",)), model_entry(backup.api_base, "backup"))
    caller = CallerEntry(name="ada", token_hash=hash_token("t0ken"), allowed_models=frozenset({"fake"}))

    async with serving(config_for(*entries, callers={"ada": caller}, max_retries=0)) as running:
        failure = await expect_failure(running, "t0ken")

    assert failure.metadata == {"model": "fake", "http_status": "503"}
    assert (len(upstream.requests), backup.requests) == (1, [])


async def test_an_unknown_fallback(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A fallback that is not served is NOT_FOUND, with the nearest names, before any upstream is called."""
    failure = await expect_failure(running_server, fallback_models=["fakes"])

    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert failure.metadata == {"model": "fakes", "nearest": "fake"}
    assert upstream.requests == []
