"""What goes wrong in the agent: plans that cannot be read, and upstreams that fail, in a step or in the answer."""

from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.v1 import usage_pb2
from tests.support.agent import (
    DEFAULT_TOKENS,
    PRICES,
    agent_config,
    bare_plan,
    end,
    finished,
    kinds,
    of_kind,
    outcome,
    outcomes,
    plan,
    purposes,
    reasoning_request,
    shown,
    stream,
    text,
    using,
)
from tests.support.serving import model_entry, serving
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream

WEATHER: Final = using("weather", city="Paris")
JUNK: Final = "Let me think about it first."


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(JUNK, id="words"),
        pytest.param(plan(using("no_such_tool")), id="unknown-tool"),
        pytest.param(bare_plan(), id="members-missing"),
        pytest.param("[1, 2", id="cut"),
    ],
)
async def test_a_bad_plan_is_mended_once(upstream: FakeUpstream, bad: str) -> None:
    """The model is shown its bad plan and asked again, within the same step; the mended plan alone is remembered."""
    upstream.reply(bad)
    upstream.reply(plan(WEATHER))
    upstream.reply(plan())
    upstream.reply("Hello")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    assert purposes(events[-1].completed.model_calls) == ["STEP", "REPAIR", "STEP", "SYNTHESIS"]
    assert outcomes(events) == ["DONE", "DONE"]
    assert [step.usage.total_tokens for step in of_kind(events, "step_finished")] == [
        2 * DEFAULT_TOKENS,
        DEFAULT_TOKENS,
    ]
    assert bad in list(shown(upstream.requests[1].body["messages"]))
    said = [message["content"] for message in upstream.requests[2].body["messages"] if message["role"] == "assistant"]
    assert said == [plan(WEATHER)]


async def test_a_step_that_stays_bad_ends_the_thinking(upstream: FakeUpstream) -> None:
    """After one repair the step has failed; it says so, nothing of it is a thought, and the answer still comes."""
    upstream.reply(plan(WEATHER))
    upstream.reply(JUNK)
    upstream.reply(JUNK)
    upstream.reply("It rains.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    assert outcomes(events) == ["DONE", "INVALID_PLAN"]
    assert (end(finished(events)), finished(events).step_count) == ("STEP_FAILED", 2)
    assert [planned.thought for planned in of_kind(events, "step_planned")] == ["I think."]
    (words,) = shown(upstream.requests[3].body["messages"])
    assert "Paris: rain for 1 days" in words
    assert JUNK not in words
    assert text(events) == "It rains."
    assert len(upstream.requests) == 4


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"refusal": "I must not."}, id="refusal"),
        pytest.param({"finish_reason": "content_filter"}, id="filter"),
        pytest.param({"finish_reason": "stop"}, id="empty"),
    ],
)
async def test_who_declines_is_not_asked_to_mend(upstream: FakeUpstream, answer: dict[str, Any]) -> None:
    """A refusal, a filter and an empty plan fail the step at once."""
    upstream.reply(**answer)
    upstream.reply("Hello")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    assert purposes(events[-1].completed.model_calls) == ["STEP", "SYNTHESIS"]
    assert (outcomes(events), end(finished(events)), text(events)) == (["INVALID_PLAN"], "STEP_FAILED", "Hello")


@pytest.mark.parametrize(
    ("misbehave", "reason"),
    [
        pytest.param(lambda fake: fake.fail(401), "UPSTREAM_CREDENTIALS_REJECTED", id="key"),
        pytest.param(lambda fake: fake.cut_after(2), "UPSTREAM_UNREACHABLE", id="cut"),
        pytest.param(lambda fake: fake.cut_after(2, "end"), "UPSTREAM_STREAM_TRUNCATED", id="truncated"),
    ],
)
@pytest.mark.parametrize("steps_before", [0, 1])
async def test_a_failing_upstream_is_a_status(
    upstream: FakeUpstream, misbehave: Any, reason: str, steps_before: int
) -> None:
    """A step whose upstream fails ends the call with its status, which tells what was used until then."""
    for _ in range(steps_before):
        upstream.reply(plan(WEATHER))
    misbehave(upstream)

    async with serving(agent_config(upstream)) as running:
        events, failure = await outcome(running, reasoning_request())

    assert failure is not None
    assert (failure.reason, failure.retry_after_seconds) == (reason, None)
    assert failure.interruption is not None
    assert failure.interruption.model_call_count == steps_before + 1
    assert failure.interruption.last_sequence == len(events) - 1
    assert failure.interruption.usage.total_tokens >= steps_before * DEFAULT_TOKENS
    assert kinds(events).count("step_started") == steps_before + 1
    assert kinds(events).count("step_finished") == steps_before
    assert {"reasoning_finished", "content_delta", "completed"}.isdisjoint(kinds(events))
    assert UPSTREAM_SECRET not in str(failure)


@pytest.mark.parametrize(
    ("before", "seconds"),
    [
        pytest.param(None, 7.0, id="at-once"),
        pytest.param(plan(action="continue"), 7.0, id="after-a-thought"),
        pytest.param(plan(WEATHER), None, id="after-a-tool"),
    ],
)
async def test_when_to_try_again(upstream: FakeUpstream, before: str | None, seconds: float | None) -> None:
    """A caller is told to try again only while nothing was done for it that would be done twice."""
    if before is not None:
        upstream.reply(before)
    upstream.fail(429, headers={"Retry-After": "7"})

    async with serving(agent_config(upstream)) as running:
        _, failure = await outcome(running, reasoning_request())

    assert failure is not None
    assert (failure.reason, failure.retry_after_seconds) == ("UPSTREAM_RATE_LIMITED", seconds)


async def test_a_failing_answer_is_a_status(upstream: FakeUpstream) -> None:
    """So does an answer that is cut: what was said of it stands, and no `completed` follows."""
    upstream.reply(plan())
    upstream.cut_after(3, "end")

    async with serving(agent_config(upstream)) as running:
        events, failure = await outcome(running, reasoning_request())

    assert failure is not None
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_STREAM_TRUNCATED")
    assert failure.interruption is not None
    assert failure.interruption.model_call_count == 2
    assert failure.interruption.content_characters == len(text(events)) > 0
    assert failure.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    assert kinds(events)[-1] == "content_delta"


async def test_a_step_is_tried_again(upstream: FakeUpstream) -> None:
    """A model call of a step is retried by the same rule as any other, and the events tell its step."""
    upstream.fail(503)
    upstream.reply(plan())
    upstream.reply("Hello")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    (switch,) = [event for event in events if event.WhichOneof("kind") == "attempt_switched"]
    assert (switch.step, switch.call, switch.attempt_switched.http_status) == (1, 1, 503)
    assert [(attempt.call, attempt.number) for attempt in events[-1].completed.attempts] == [(1, 1), (1, 2), (2, 1)]
    assert outcomes(events) == ["DONE"]


async def test_another_model_steps_in(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A model that fails in a step or in the answer is replaced by the request's fallback."""
    upstream.always.fail(500)
    judge.reply(plan())
    judge.reply("Hello")
    config = agent_config(upstream)
    other = model_entry(judge.api_base, "other", prices=PRICES)

    async with serving(replace(config, models={**config.models, "other": other})) as running:
        events = await stream(running, reasoning_request(fallback_models=["other"]))

    assert text(events) == "Hello"
    assert [call.model for call in events[-1].completed.model_calls] == ["other", "other"]
    assert events[-1].completed.model == "other"
