"""Tokens and dollars are reserved before each model call, and settled by what was used, however the call ends."""

from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.config import ClassifierEntry
from reasoning_grpc.domain import Capability
from reasoning_grpc.v1 import completion_pb2, events_pb2
from tests.support.agent import (
    agent_config,
    build_usage,
    list_kinds,
    plan_call,
    reasoning_request,
    write_plan,
)
from tests.support.classification import AUTO, write_choice
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.limits import PRICES, bearer, limited_caller, limited_config, read_limits_of
from tests.support.serving import RunningServer, model_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure, read_first_delta, read_to_end

MANY: Final = 1_000_000
"""A limit that is renewed by 17 tokens in a millisecond, where a test needs a limit that is always left."""
NANO: Final = 1_000_000_000


def complete(running: RunningServer, caller: str = "alice", text: str = "hi", **fields: Any) -> Any:
    """Starts a call of `Complete`."""
    stub: Any = running.stub
    return stub.Complete(a_wire_request(text, **fields), metadata=bearer(caller))


def stream(running: RunningServer, **options: Any) -> Any:
    """Starts a stream of alice's."""
    stub: Any = running.stub
    return stub.StreamComplete(a_stream_request(), metadata=bearer("alice"), **options)


async def read_used_nano_usd(running: RunningServer) -> int:
    """Returns the cost of alice's calls so far, as the trailers have it."""
    limits = await read_limits_of(complete(running, model="unknown"))
    return round((limits["limit-usd"] - limits["remaining-usd"]) * NANO)


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        pytest.param({}, 1024, id="an answer of unknown length"),
        pytest.param({"max_output_tokens": 100}, 100, id="a bounded answer"),
        pytest.param({"max_output_tokens": 50_000}, 1024, id="a high bound"),
    ],
)
async def test_an_estimate_is_held_while_a_call_is_in_progress(
    upstream: FakeUpstream, options: dict[str, Any], answer: int
) -> None:
    """Prompt and answer are held back until the call ends, and what it has used counts then."""
    prompt = 7  # "hi" has one, and six are around a message
    caller = limited_caller(nano_usd_per_day=NANO)
    async with serving(limited_config(upstream, caller)) as running:
        gate = upstream.gated("a")
        gate.open()
        held: Any = running.stub
        held = held.StreamComplete(
            a_stream_request(sampling=completion_pb2.Sampling(**options)), metadata=bearer("alice")
        )
        await read_first_delta(held)
        meanwhile = await read_used_nano_usd(running)
        gate.open_all()
        await read_to_end(held)
        after = await read_used_nano_usd(running)

    assert meanwhile == prompt * 1000 + answer * 2000
    assert after == 11 * 1000 + 7 * 2000


async def test_the_estimate_learns_how_long_answers_are(upstream: FakeUpstream) -> None:
    """After twenty short answers as much is reserved as nineteen of twenty answers of the model need."""
    upstream.always.reply("a", usage=build_usage(10, 4))
    caller = limited_caller(nano_usd_per_day=NANO)
    async with serving(limited_config(upstream, caller)) as running:
        for _ in range(20):
            await complete(running)
        before = await read_used_nano_usd(running)
        gate = upstream.gated("a")
        gate.open()
        held = stream(running)
        await read_first_delta(held)
        meanwhile = await read_used_nano_usd(running)
        gate.open_all()
        await read_to_end(held)

    assert meanwhile - before == 7 * 1000 + 4 * 2000


async def end_by_cut(upstream: FakeUpstream, running: RunningServer) -> int:
    """Cuts the stream of the upstream after two deltas."""
    upstream.cut_after(2)
    interruption = (await expect_failure(read_to_end(stream(running)))).interruption
    assert interruption is not None
    return interruption.cost.total_nano_usd


async def end_by_failure(upstream: FakeUpstream, running: RunningServer) -> int:
    """Lets the upstream refuse the call, which costs nothing."""
    upstream.fail(400)
    await expect_failure(complete(running))
    return 0


async def end_by_cancel(upstream: FakeUpstream, running: RunningServer) -> int:
    """Cancels the call after its first delta of one token: the prompt and the delta are estimated."""
    gate = upstream.gated("a")
    gate.open()
    call = stream(running)
    await read_first_delta(call)
    call.cancel()
    await running.wait_for_calls(0)
    return 1000 + 2000


async def end_by_deadline(upstream: FakeUpstream, running: RunningServer) -> int:
    """Lets the deadline pass before the upstream answers; it may have begun to work on the prompt."""
    upstream.hang()

    async def cut(seconds: float) -> int | None:
        await expect_failure(read_to_end(stream(running, timeout=seconds)))
        await running.wait_for_calls(0)
        return 1000 if upstream.requests else None

    return await try_deadlines(cut, least_seconds=0.1)


async def end_by_retry(upstream: FakeUpstream, running: RunningServer) -> int:
    """Lets the first attempt fail, and the second answer."""
    upstream.drop()
    upstream.reply("a", usage=build_usage(3, 4))
    answer = await complete(running)
    return int(answer.cost.total_nano_usd)


@pytest.mark.parametrize(
    "end", [end_by_cut, end_by_failure, end_by_cancel, end_by_deadline, end_by_retry], ids=lambda end: end.__name__
)
async def test_every_end_of_a_call_settles_its_reservation(upstream: FakeUpstream, end: Any) -> None:
    """What counts is what the caller's own account of the call says, and nothing stays reserved."""
    caller = limited_caller(tokens_per_minute=MANY, nano_usd_per_day=NANO)
    async with serving(limited_config(upstream, caller)) as running:
        expected = await end(upstream, running)
        used = await read_used_nano_usd(running)

    assert used == expected


async def test_tokens_a_minute_are_limited(upstream: FakeUpstream) -> None:
    """A call whose estimate is not left ends as CALLER_LIMIT with the time until it is, and is never sent."""
    caller = limited_caller(tokens_per_minute=2000)
    async with serving(limited_config(upstream, caller)) as running:
        upstream.reply("a", usage=build_usage(1000, 700))
        await complete(running)
        refused = await expect_failure(complete(running))
        upstream.reply("b")
        bounded = await complete(running, sampling=completion_pb2.Sampling(max_output_tokens=100))

    assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLER_LIMIT")
    assert refused.metadata == {"limit": "tokens_per_minute", "maximum": "2000"}
    assert refused.retry_after_seconds is not None
    assert 0 < refused.retry_after_seconds <= 22  # 731 tokens are missing, and 33 are renewed in a second
    assert refused.interruption is None
    assert bounded.message.content[0].text == "b"
    assert len(upstream.requests) == 2


async def test_dollars_a_day_are_limited(upstream: FakeUpstream) -> None:
    """A model call that the rest of the day's dollars does not pay for is not made."""
    caller = limited_caller(nano_usd_per_day=3_000_000)
    async with serving(limited_config(upstream, caller)) as running:
        upstream.reply("a", usage=build_usage(1000, 1000))
        await complete(running)
        refused = await expect_failure(complete(running))

    assert refused.metadata == {"limit": "usd_per_day", "maximum": "0.003"}
    assert refused.retry_after_seconds is not None
    assert 0 < refused.retry_after_seconds <= 86_400


@pytest.mark.parametrize(
    ("limits", "description"),
    [
        pytest.param(
            {"tokens_per_minute": 100},
            "They need about 1006 tokens; the limit tokens_per_minute of the caller is 100.",
            id="tokens",
        ),
        pytest.param(
            {"nano_usd_per_day": 500_000},
            "They need about 0.001006 usd; the limit usd_per_day of the caller is 0.0005.",
            id="dollars",
        ),
    ],
)
async def test_a_prompt_above_the_whole_limit_is_the_callers_mistake(
    upstream: FakeUpstream, limits: dict[str, Any], description: str
) -> None:
    """No delay would help such a request, so it is INVALID_ARGUMENT, and the violation names the limit."""
    async with serving(limited_config(upstream, limited_caller(**limits))) as running:
        failed = await expect_failure(complete(running, text="word" * 1000))

    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    assert [(each.field, each.description) for each in failed.violations] == [("messages", description)]
    assert upstream.connections == 0


async def test_an_answer_that_may_be_too_long_takes_the_whole_limit(upstream: FakeUpstream) -> None:
    """A prompt within the limit is served, even though its answer might need more than the limit."""
    async with serving(limited_config(upstream, limited_caller(tokens_per_minute=100))) as running:
        answer = await complete(running)

    assert answer.usage.total_tokens == 18


async def read_into(events: list[events_pb2.StreamCompleteResponse], answer: Any) -> None:
    """Adds the events of an answer to the list, however it ends."""
    async for event in answer:
        events.append(event)  # noqa: PERF401 - a comprehension would lose them when the stream fails


async def test_an_agent_that_reaches_the_limit_ends_with_its_progress(upstream: FakeUpstream) -> None:
    """Each of its model calls reserves. The one too many ends the answer, whose error says what was done and used."""
    caller = limited_caller(tokens_per_minute=3000)
    upstream.reply(write_plan(plan_call("weather", city="Paris")), usage=build_usage(2000, 900))
    config = agent_config(upstream, callers={"alice": caller})

    events: list[events_pb2.StreamCompleteResponse] = []
    async with serving(config) as running, ReasoningClient(running.address, token="alice") as client:
        with pytest.raises(CallFailed) as ended:
            await read_into(events, client.stream(reasoning_request()))

    failed = ended.value
    assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLER_LIMIT")
    assert failed.retry_after_seconds is None  # the caller has received tool events
    assert failed.interruption is not None
    assert failed.interruption.model_call_count == 1
    assert failed.interruption.usage.total_tokens == 2900
    assert "tool_finished" in list_kinds(events)
    assert len(upstream.requests) == 1


async def test_the_classifiers_call_counts(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The call that routes a request reserves and is settled like any other; its refusal is the caller's, too."""
    judge.reply(write_choice("passthrough"), usage=build_usage(1900, 50))
    config = limited_config(upstream, limited_caller(tokens_per_minute=2000))
    judges = model_entry(judge.api_base, "judge", capabilities=frozenset({Capability.JSON_SCHEMA}), prices=PRICES)
    config = replace(
        config,
        models={**config.models, "judge": judges},
        classifier=ClassifierEntry(model="judge", timeout_seconds=60.0, cache_entries=0),
    )
    async with serving(config) as running:
        first = await expect_failure(complete(running, **AUTO))
        second = await expect_failure(complete(running, **AUTO))

    assert [first.reason, second.reason] == ["CALLER_LIMIT", "CALLER_LIMIT"]
    assert first.interruption is not None
    assert first.interruption.usage.total_tokens == 1950
    assert first.retry_after_seconds is not None
    assert second.interruption is None
    assert len(judge.requests) == 1
    assert upstream.requests == []
