"""Failures in the agent: plans that cannot be read, and upstreams that fail in a step or in the answer."""

from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.v1 import usage_pb2
from tests.support.agent import (
    DEFAULT_TOKENS,
    PRICES,
    PlannedCall,
    agent_config,
    collect_events,
    collect_until_failure,
    find_finish,
    join_text,
    list_executions,
    list_kinds,
    list_outcomes,
    list_purposes,
    name_end,
    name_status,
    plan_call,
    read_texts,
    reasoning_request,
    select_payloads,
    write_plan,
    write_plan_without_tools,
)
from tests.support.serving import model_entry, serving
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream

WEATHER: Final = plan_call("weather", city="Paris")
JUNK: Final = "Let me think about it first."


async def test_a_fenced_plan_needs_no_repair(upstream: FakeUpstream) -> None:
    """A plan in one outer code fence is followed at once."""
    upstream.reply(f"```json\n{write_plan(WEATHER)}\n```")
    upstream.reply(f"```\n{write_plan()}\n```\n")
    upstream.reply("Hello")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    assert list_purposes(events[-1].completed.model_calls) == ["STEP", "STEP", "SYNTHESIS"]
    assert name_end(find_finish(events)) == "FINISHED"


async def test_deep_arguments_in_a_plan_fail_the_tool_call(upstream: FakeUpstream) -> None:
    """Arguments that are nested too deeply to be read do not end the run: the tool call has a bad argument."""
    upstream.reply(write_plan(PlannedCall("count", "[" * 3_000), PlannedCall("weather", '{"city":' * 1_500)))
    upstream.reply(write_plan())
    upstream.reply("Hello")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    assert [name_status(each) for each in list_executions(events)] == ["INVALID_ARGUMENTS"] * 2
    assert name_end(find_finish(events)) == "FINISHED"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(JUNK, id="words"),
        pytest.param(write_plan(plan_call("no_such_tool")), id="unknown-tool"),
        pytest.param(write_plan_without_tools(), id="members-missing"),
        pytest.param("[1, 2", id="cut"),
    ],
)
async def test_a_bad_plan_is_repaired_once(upstream: FakeUpstream, bad: str) -> None:
    """The model gets its bad plan back within the same step, and only the repaired plan stays in the conversation."""
    upstream.reply(bad)
    upstream.reply(write_plan(WEATHER))
    upstream.reply(write_plan())
    upstream.reply("Hello")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    assert list_purposes(events[-1].completed.model_calls) == ["STEP", "REPAIR", "STEP", "SYNTHESIS"]
    assert list_outcomes(events) == ["DONE", "DONE"]
    assert [step.usage.total_tokens for step in select_payloads(events, "step_finished")] == [
        2 * DEFAULT_TOKENS,
        DEFAULT_TOKENS,
    ]
    assert bad in list(read_texts(upstream.requests[1].body["messages"]))
    assistant_texts = [
        message["content"] for message in upstream.requests[2].body["messages"] if message["role"] == "assistant"
    ]
    assert assistant_texts == [write_plan(WEATHER)]


async def test_a_plan_that_stays_bad_ends_the_thinking(upstream: FakeUpstream) -> None:
    """A step whose repair is bad as well fails; the thinking ends, and the answer still comes."""
    upstream.reply(write_plan(WEATHER))
    upstream.reply(JUNK)
    upstream.reply(JUNK)
    upstream.reply("It rains.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    assert list_outcomes(events) == ["DONE", "INVALID_PLAN"]
    assert (name_end(find_finish(events)), find_finish(events).step_count) == ("STEP_FAILED", 2)
    assert [planned.thought for planned in select_payloads(events, "step_planned")] == ["I think."]
    (prompt_text,) = read_texts(upstream.requests[3].body["messages"])
    assert "Paris: rain for 1 days" in prompt_text
    assert JUNK not in prompt_text
    assert join_text(events) == "It rains."
    assert len(upstream.requests) == 4


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"refusal": "I must not."}, id="refusal"),
        pytest.param({"finish_reason": "content_filter"}, id="filter"),
        pytest.param({"finish_reason": "stop"}, id="empty"),
    ],
)
async def test_a_refused_plan_is_not_repaired(upstream: FakeUpstream, answer: dict[str, Any]) -> None:
    """A plan that is refused, filtered or empty fails the step without a repair."""
    upstream.reply(**answer)
    upstream.reply("Hello")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    assert list_purposes(events[-1].completed.model_calls) == ["STEP", "SYNTHESIS"]
    assert (list_outcomes(events), name_end(find_finish(events)), join_text(events)) == (
        ["INVALID_PLAN"],
        "STEP_FAILED",
        "Hello",
    )


@pytest.mark.parametrize(
    ("misbehave", "reason"),
    [
        pytest.param(lambda fake: fake.fail(401), "UPSTREAM_CREDENTIALS_REJECTED", id="key"),
        pytest.param(lambda fake: fake.cut_after(2), "UPSTREAM_UNREACHABLE", id="cut"),
        pytest.param(lambda fake: fake.cut_after(2, "end"), "UPSTREAM_STREAM_TRUNCATED", id="truncated"),
    ],
)
@pytest.mark.parametrize("steps_before", [0, 1])
async def test_a_failing_upstream_ends_the_call(
    upstream: FakeUpstream, misbehave: Any, reason: str, steps_before: int
) -> None:
    """An upstream that fails in a step ends the call with a status, which reports the usage until then."""
    for _ in range(steps_before):
        upstream.reply(write_plan(WEATHER))
    misbehave(upstream)

    async with serving(agent_config(upstream)) as running:
        events, failure = await collect_until_failure(running, reasoning_request())

    assert failure is not None
    assert (failure.reason, failure.retry_after_seconds) == (reason, None)
    assert failure.interruption is not None
    assert failure.interruption.model_call_count == steps_before + 1
    assert failure.interruption.last_sequence == len(events) - 1
    assert failure.interruption.usage.total_tokens >= steps_before * DEFAULT_TOKENS
    assert list_kinds(events).count("step_started") == steps_before + 1
    assert list_kinds(events).count("step_finished") == steps_before
    assert {"reasoning_finished", "content_delta", "completed"}.isdisjoint(list_kinds(events))
    assert UPSTREAM_SECRET not in str(failure)


@pytest.mark.parametrize(
    ("before", "seconds"),
    [
        pytest.param(None, 7.0, id="at-once"),
        pytest.param(write_plan(action="continue"), 7.0, id="after-a-thought"),
        pytest.param(write_plan(WEATHER), None, id="after-a-tool"),
    ],
)
async def test_a_retry_is_recommended_only_before_tools_ran(
    upstream: FakeUpstream, before: str | None, seconds: float | None
) -> None:
    """The status recommends a retry only while no tool was run for the caller."""
    if before is not None:
        upstream.reply(before)
    upstream.fail(429, headers={"Retry-After": "7"})

    async with serving(agent_config(upstream)) as running:
        _, failure = await collect_until_failure(running, reasoning_request())

    assert failure is not None
    assert (failure.reason, failure.retry_after_seconds) == ("UPSTREAM_RATE_LIMITED", seconds)


async def test_an_upstream_that_fails_in_the_answer_ends_the_call(upstream: FakeUpstream) -> None:
    """An answer that is cut off ends the call with a status after its deltas, without `completed`."""
    upstream.reply(write_plan())
    upstream.cut_after(3, "end")

    async with serving(agent_config(upstream)) as running:
        events, failure = await collect_until_failure(running, reasoning_request())

    assert failure is not None
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_STREAM_TRUNCATED")
    assert failure.interruption is not None
    assert failure.interruption.model_call_count == 2
    assert failure.interruption.content_characters == len(join_text(events)) > 0
    assert failure.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    assert list_kinds(events)[-1] == "content_delta"


async def test_a_step_is_retried(upstream: FakeUpstream) -> None:
    """A model call of a step is retried like any other, and the events carry the number of its step."""
    upstream.fail(503)
    upstream.reply(write_plan())
    upstream.reply("Hello")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    (switch,) = [event for event in events if event.WhichOneof("kind") == "attempt_switched"]
    assert (switch.step, switch.call, switch.attempt_switched.http_status) == (1, 1, 503)
    assert [(attempt.call, attempt.number) for attempt in events[-1].completed.attempts] == [(1, 1), (1, 2), (2, 1)]
    assert list_outcomes(events) == ["DONE"]


async def test_a_fallback_model_replaces_a_failing_one(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A model that fails in a step or in the answer is replaced by the fallback model of the request."""
    upstream.always.fail(500)
    judge.reply(write_plan())
    judge.reply("Hello")
    config = agent_config(upstream)
    other = model_entry(judge.api_base, "other", prices=PRICES)

    async with serving(replace(config, models={**config.models, "other": other})) as running:
        events = await collect_events(running, reasoning_request(fallback_models=["other"]))

    assert join_text(events) == "Hello"
    assert [call.model for call in events[-1].completed.model_calls] == ["other", "other"]
    assert events[-1].completed.model == "other"
