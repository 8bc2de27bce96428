"""What callers see of Bedrock's streams: the order of their events, cuts, damage, errors and usage."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import unquote

import pytest

from tests.support.converse_events import (
    CONVERSE_START,
    Json,
    converse_block_stop,
    converse_call,
    converse_call_start,
    converse_counts,
    converse_delta,
    converse_end,
    converse_stop,
    converse_stream,
    converse_text,
)
from tests.support.received import receive_answer
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.upstream import DEFAULT_USAGE, UPSTREAM_SECRET, FakeToolCall, FakeUpstream
from tests.support.upstream.bedrock import Bedrock, binary_message, event_message, exception_message

HELLO: Final = {"text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]}
MALFORMED: Final = {"error": "UPSTREAM_MALFORMED_RESPONSE"}
ENCODE: Final = Bedrock().event


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with one model of Bedrock, which is not retried."""
    async with serving(config_for(provider_entry(upstream, "bedrock"), max_retries=0)) as running:
        yield running


ORDERS: Final[dict[str, tuple[list[Json], Json]]] = {
    "a-second-start": (
        [
            *converse_stream(converse_call_start(0, "t1"), converse_delta(0, toolUse={"input": '{"a":"Sp'})),
            *converse_stream(converse_call(0, "t2", "f", '{"a":"Sparkle"}'), *converse_end("tool_use")),
        ],
        MALFORMED | {"calls": [["t1", "f", '{"a":"Sp', ""]]},
    ),
    "a-second-start-before-any-block": (
        converse_stream(CONVERSE_START, converse_text(0, "Hello"), *converse_end()),
        MALFORMED,
    ),
    "a-second-start-after-the-stop": (
        converse_stream(converse_text(0, "Hello"), converse_stop(), *converse_stream(converse_text(0, "Bye"))),
        MALFORMED | {"text": "Hello"},
    ),
    "a-second-answer-after-the-end": (
        [
            *converse_stream(converse_text(0, "Hello"), *converse_end()),
            *converse_stream(converse_text(0, "Bye"), *converse_end("max_tokens")),
        ],
        HELLO,
    ),
    "an-exception-after-the-end": (
        converse_stream(converse_text(0, "Hello"), *converse_end(), {"internalServerException": {}}),
        HELLO,
    ),
    "no-start": ([*converse_text(0, "Hello"), *converse_end()], MALFORMED),
    "the-stop-first": ([converse_stop(), *converse_stream(converse_text(0, "Hello"), *converse_end())], MALFORMED),
    "a-block-after-the-stop": (
        converse_stream(converse_text(0, "Hello"), converse_stop(), converse_text(1, " again"), converse_counts()),
        MALFORMED | {"text": "Hello"},
    ),
    "two-stops": (
        converse_stream(converse_text(0, "Hello"), converse_stop(), converse_stop("max_tokens"), converse_counts()),
        MALFORMED | {"text": "Hello"},
    ),
    "counts-before-the-stop": (
        converse_stream(converse_text(0, "Hello"), converse_counts(), converse_stop()),
        MALFORMED | {"text": "Hello"},
    ),
    "counts-alone": ([converse_counts()], MALFORMED),
    "a-delta-after-its-block": (
        converse_stream(converse_text(0, "Hello"), converse_delta(0, text=" again"), *converse_end()),
        MALFORMED | {"text": "Hello"},
    ),
    "arguments-without-a-call": (
        converse_stream(converse_delta(0, toolUse={"input": "{}"}), *converse_end("tool_use")),
        MALFORMED,
    ),
    "a-block-begun-twice": (
        converse_stream(converse_call_start(0, "t1"), converse_call_start(0, "t2"), *converse_end("tool_use")),
        MALFORMED | {"calls": [["t1", "f", "", ""]]},
    ),
    "a-block-ended-twice": (
        converse_stream(converse_text(0, "Hello"), converse_block_stop(0), *converse_end()),
        MALFORMED | {"text": "Hello"},
    ),
    "calls-that-overlap": (
        converse_stream(
            converse_call_start(0, "t1"),
            converse_call_start(1, "t2"),
            converse_delta(0, toolUse={"input": '{"a": 1}'}),
            converse_delta(1, toolUse={"input": '{"b": 2}'}),
            *converse_end("tool_use"),
        ),
        MALFORMED | {"calls": [["t1", "f", "{}", ""], ["t2", "f", "", ""]]},
    ),
    "an-index-of-another-type": (
        converse_stream(
            {"contentBlockDelta": {"contentBlockIndex": [0], "delta": {"text": "Hello"}}},
            {"contentBlockStop": {"contentBlockIndex": [0]}},
            *converse_end(),
        ),
        HELLO,
    ),
    "no-indices": (
        converse_stream(
            {"contentBlockDelta": {"delta": {"text": "Hel"}}},
            {"contentBlockDelta": {"delta": {"text": "lo"}}},
            {"contentBlockStop": {}},
            *converse_end(),
        ),
        HELLO,
    ),
    "text-in-the-start-of-a-block": (
        converse_stream(
            {"contentBlockStart": {"contentBlockIndex": 0, "start": {"text": "Hel"}}},
            *converse_text(0, "lo"),
            *converse_end(),
        ),
        HELLO,
    ),
    "an-empty-block": (converse_stream(converse_block_stop(0), converse_text(1, "Hello"), *converse_end()), HELLO),
    "no-counts": (
        converse_stream(converse_text(0, "Hello"), converse_stop()),
        {"text": "Hello", "ended": "STOP end_turn"},
    ),
    "nothing-but-the-start": ([CONVERSE_START], {"error": "UPSTREAM_EMPTY_RESPONSE"}),
    "nothing-known": ([{"brandNew": {}}], {"error": "UPSTREAM_EMPTY_RESPONSE"}),
    "nothing": ([], {"error": "UPSTREAM_EMPTY_RESPONSE"}),
    "no-content": (
        converse_stream(*converse_end("guardrail_intervened")),
        {"ended": "CONTENT_FILTER guardrail_intervened", "tokens": [11, 7]},
    ),
}


@pytest.mark.parametrize("together", [True, False], ids=["one-write", "a-write-each"])
@pytest.mark.parametrize(("events", "expected"), ORDERS.values(), ids=ORDERS.keys())
async def test_the_order_of_events(
    upstream: FakeUpstream, server: RunningServer, events: list[Json], expected: Json, together: bool
) -> None:
    """Events out of order are malformed, what follows the end is not read, and no two answers are joined."""
    upstream.lines(*events, together=together)

    answer = await receive_answer(server.client())

    assert answer.summary() == expected


STREAM: Final = b"".join(
    map(
        ENCODE,
        converse_stream(
            converse_text(0, "Hel", "lo"), converse_call(1, "t1", "f", '{"a"', ": 1}"), *converse_end("tool_use")
        ),
    )
)
WHOLE_AFTER: Final = STREAM.index(ENCODE(converse_counts()))
BEGUN_AFTER: Final = STREAM.index(ENCODE(converse_delta(0, text="lo")))


@pytest.mark.thorough
async def test_a_stream_that_is_cut_at_any_byte(upstream: FakeUpstream, server: RunningServer) -> None:
    """A stream is whole when its stop reason has come; a stream that is cut before is never a whole answer."""
    for cut in range(0, len(STREAM), 7):
        upstream.body(STREAM[:cut], content_type=Bedrock.content_type)

        answer = await receive_answer(server.client())

        if cut >= WHOLE_AFTER:
            assert (answer.text, answer.calls, answer.word) == ("Hello", [["t1", "f", '{"a": 1}', ""]], "tool_use")
        elif cut >= BEGUN_AFTER:
            assert (answer.error, answer.finish) == ("UPSTREAM_STREAM_TRUNCATED", "")
        else:
            assert answer.summary() == {"error": "UPSTREAM_EMPTY_RESPONSE"}


@pytest.mark.parametrize("position", [3, 9, 20, -30, -1], ids=["length", "prelude", "header", "payload", "checksum"])
async def test_damage(upstream: FakeUpstream, server: RunningServer, position: int) -> None:
    """A damaged message is malformed, and what came before it is reported as progress."""
    damaged = bytearray(ENCODE(converse_delta(0, text=" world")))
    damaged[position] ^= 1
    events = [*map(ENCODE, converse_stream(converse_delta(0, text="Hello"))), bytes(damaged)]
    upstream.lines(*events, *map(ENCODE, converse_end()))

    answer = await receive_answer(server.client())

    assert answer.summary() == {"text": "Hello", "error": "UPSTREAM_MALFORMED_RESPONSE"}
    assert answer.interruption is not None
    assert answer.interruption.content_characters == 5


async def test_an_event_that_is_too_long(upstream: FakeUpstream, server: RunningServer) -> None:
    """A message that says that it is longer than an event may be is malformed at once, before it has come."""
    message = event_message("contentBlockDelta", "x" * 17 * 2**20)
    gate = upstream.lines(message[:12], message[12:], gated=True)
    gate.open()

    answer = await receive_answer(server.client())

    assert answer.error == "UPSTREAM_MALFORMED_RESPONSE"
    await upstream.disconnect()


EXCEPTIONS: Final[dict[str, tuple[bytes, str, str, bool]]] = {
    "model-stream-error": (
        exception_message("modelStreamErrorException", message=UPSTREAM_SECRET, originalStatusCode=424),
        "UPSTREAM_ERROR",
        "424",
        True,
    ),
    "throttling": (exception_message("throttlingException", message="x"), "UPSTREAM_RATE_LIMITED", "429", False),
    "internal-server": (exception_message("internalServerException"), "UPSTREAM_ERROR", "500", True),
    "service-unavailable": (exception_message("serviceUnavailableException"), "UPSTREAM_OVERLOADED", "503", True),
    "validation": (exception_message("validationException"), "UPSTREAM_REJECTED_REQUEST", "400", False),
    "unknown": (exception_message("brandNewException"), "UPSTREAM_ERROR", "", True),
    "nameless": (binary_message({":message-type": "exception"}, b""), "UPSTREAM_ERROR", "", True),
    "error": (
        binary_message({":message-type": "error", ":error-code": "InternalFailure", ":error-message": "x"}, b""),
        "UPSTREAM_ERROR",
        "500",
        True,
    ),
    "error-with-a-number": (
        binary_message({":message-type": "error", ":error-code": "503"}, b""),
        "UPSTREAM_OVERLOADED",
        "503",
        True,
    ),
}


@pytest.mark.parametrize(("message", "reason", "http_status", "is_retried"), EXCEPTIONS.values(), ids=EXCEPTIONS.keys())
async def test_an_exception_before_the_first_delta(
    upstream: FakeUpstream, message: bytes, reason: str, http_status: str, is_retried: bool
) -> None:
    """An exception before the first delta is retried where the HTTP status that it equals would be."""
    upstream.always.lines(*map(ENCODE, converse_stream()), message)

    async with serving(config_for(provider_entry(upstream, "bedrock"), max_retries=1)) as running:
        answer = await receive_answer(running.client())

    assert len(upstream.requests) == (2 if is_retried else 1)
    assert (answer.error, answer.http_status) == (reason, http_status)


async def test_an_exception_is_followed_by_the_fallback(upstream: FakeUpstream) -> None:
    """When a model's stream breaks before the first delta, the fallback model answers."""
    upstream.lines(*map(ENCODE, converse_stream()), exception_message("modelStreamErrorException"))
    upstream.reply("Hello")
    entries = [
        provider_entry(upstream, "bedrock", fallback_models=("other",)),
        provider_entry(upstream, "bedrock", name="other", litellm_model="bedrock/amazon.nova-lite-v1:0"),
    ]

    async with serving(config_for(*entries, max_retries=0)) as running:
        answer = await receive_answer(running.client())

    models = [unquote(request.path.split("/")[2]) for request in upstream.requests]
    assert models == ["anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-lite-v1:0"]
    assert (answer.text, answer.finish) == ("Hello", "STOP")


@pytest.mark.parametrize(
    ("message", "reason", "http_status"),
    [case[:3] for case in EXCEPTIONS.values()],
    ids=EXCEPTIONS.keys(),
)
async def test_an_exception_after_the_first_delta(
    upstream: FakeUpstream,
    native_server: RunningServer,
    message: bytes,
    reason: str,
    http_status: str,
) -> None:
    """An exception after the first delta ends the answer with the progress so far."""
    upstream.lines(*map(ENCODE, converse_stream(converse_delta(0, text="Half"))), message)

    answer = await receive_answer(native_server.client(), model="bedrock")

    assert (answer.text, answer.error, answer.http_status) == ("Half", reason, http_status)
    assert answer.interruption is not None
    assert (answer.interruption.content_characters, answer.interruption.attempt_count) == (4, 1)
    assert len(upstream.requests) == 1


def usage(source: str, input_tokens: int, output_tokens: int, **parts: int) -> Json:
    """Returns the usage that a caller gets."""
    counts = {"inputTokens": input_tokens, "outputTokens": output_tokens, "totalTokens": input_tokens + output_tokens}
    return {"source": f"USAGE_SOURCE_{source}", **counts, **parts}


def counts(input_tokens: Any, output_tokens: Any, total_tokens: Any = None, **more: Any) -> Json:
    """Returns the usage that Bedrock sends."""
    known = {"inputTokens": input_tokens, "outputTokens": output_tokens, "totalTokens": total_tokens}
    return {name: value for name, value in known.items() if value is not None} | more


CACHE: Final = {"cacheReadInputTokens": 600, "cacheWriteInputTokens": 400}
WITH_CACHE: Final = {"cachedInputTokens": 600, "cacheWriteTokens": 400}
USAGES: Final[dict[str, tuple[Any, Json]]] = {
    "plain": (counts(11, 7, 18), usage("PROVIDER", 11, 7)),
    "cache": (counts(11, 7, 1018, **CACHE), usage("PROVIDER", 1011, 7, **WITH_CACHE)),
    "cache-without-a-total": (counts(11, 7, **CACHE), usage("PROVIDER", 1011, 7, **WITH_CACHE)),
    "cache-in-the-input": (counts(1011, 7, 1018, **CACHE), usage("PROVIDER", 1011, 7, **WITH_CACHE)),
    "cache-by-time": (
        counts(
            11, 7, 1018, **CACHE, cacheDetails=[{"ttl": "1h", "inputTokens": 300}, {"ttl": "5m", "inputTokens": 100}]
        ),
        usage("PROVIDER", 1011, 7, **WITH_CACHE, longCacheWriteTokens=300),
    ),
    "a-total-that-does-not-add-up": (counts(11, 7, 10, **CACHE), usage("ESTIMATED", 1011, 7, **WITH_CACHE)),
    "no-output": (counts(11, None), usage("ESTIMATED", 11, 2)),
    "null": (None, usage("ESTIMATED", 1, 2)),
    "odd": (
        counts("11", True, [], cacheDetails=[7, {"ttl": []}], cacheReadInputTokens="x"),
        usage("ESTIMATED", 1, 2),
    ),
}


@pytest.mark.parametrize(("sent", "expected"), USAGES.values(), ids=USAGES.keys())
async def test_usage(upstream: FakeUpstream, server: RunningServer, sent: Any, expected: Json) -> None:
    """Bedrock counts what was read from or written to its cache beside the input, and the whole input is reported."""
    last = {"metadata": {"usage": sent, "metrics": {"latencyMs": 1}}}
    upstream.lines(*converse_stream(converse_text(0, "Hello"), converse_stop(), last))

    answer = await receive_answer(server.client())

    assert (answer.text, answer.usage) == ("Hello", expected)


async def test_thinking_is_counted(upstream: FakeUpstream, server: RunningServer) -> None:
    """The tokens of thinking stand beside the stop reason, and are a part of the output."""
    upstream.reply("Hello", usage=DEFAULT_USAGE)

    answer = await receive_answer(server.client())

    assert answer.usage == usage("PROVIDER", 11, 7, cachedInputTokens=3, cacheWriteTokens=0, reasoningTokens=2)


@pytest.mark.parametrize("content_type", ["application/octet-stream", "binary/octet-stream"])
async def test_a_gateway_that_changes_the_type(
    upstream: FakeUpstream, server: RunningServer, content_type: str
) -> None:
    """A stream whose type a gateway has replaced by that of any bytes is still a stream."""
    upstream.reply("Hello", headers={"Content-Type": content_type})

    answer = await receive_answer(server.client())

    assert (answer.text, answer.finish) == ("Hello", "STOP")


async def test_a_stream_of_another_kind(upstream: FakeUpstream, server: RunningServer) -> None:
    """Server-sent events are no answer of Bedrock's."""
    upstream.body(b'data: {"messageStart": {}}\n\n', content_type="text/event-stream")

    answer = await receive_answer(server.client())

    assert answer.summary() == MALFORMED


async def test_everything_that_an_answer_has(upstream: FakeUpstream, server: RunningServer) -> None:
    """Reasoning, text and several calls come in their order, whatever the tokens are cut into."""
    upstream.reply(
        "Let me ",
        "look.",
        reasoning=("hm", "m"),
        reasoning_signature="EqQB",
        redacted_reasoning=("EmwK",),
        tool_calls=[FakeToolCall("t1", "weather", ('{"city":', ' "Oslo"}')), FakeToolCall("t2", "now", "")],
    )

    answer = await receive_answer(server.client())

    assert answer.order == ["reasoning", "redacted", "text", "call 0", "call 1"]
    assert answer.summary() == {
        "reasoning": "hmm",
        "signatures": ["EqQB"],
        "redacted": [b"EmwK"],
        "text": "Let me look.",
        "calls": [["t1", "weather", '{"city": "Oslo"}', ""], ["t2", "now", "{}", ""]],
        "ended": "TOOL_CALLS tool_use",
        "tokens": [11, 7],
    }


JSON_BODIES: Final = {
    "answer": (
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18},
        },
        HELLO,
    ),
    "answer-with-citations": (
        {
            "output": {"message": {"content": [{"citationsContent": {"content": [{"text": "Hel"}, {"text": "lo"}]}}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18},
        },
        HELLO,
    ),
    "error": ({"message": "slow", "code": 429}, {"error": "UPSTREAM_RATE_LIMITED"}),
    "unknown-operation": (
        {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"},
        MALFORMED,
    ),
}


@pytest.mark.parametrize(("body", "expected"), JSON_BODIES.values(), ids=JSON_BODIES.keys())
async def test_json_instead_of_a_stream(
    upstream: FakeUpstream, server: RunningServer, body: Json, expected: Json
) -> None:
    """A whole answer in the place of a stream is understood; other JSON is an error or malformed."""
    upstream.body(json.dumps(body).encode())

    answer = await receive_answer(server.client())

    assert answer.summary() == expected
