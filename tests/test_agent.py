"""The agent's loop: its steps, its answer, and what each model call is sent."""

import json
from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.types import Capability
from reasoning_grpc.v1 import completion_pb2, messages_pb2, usage_pb2
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
    tokens,
    told,
    using,
)
from tests.support.serving import model_entry, serving
from tests.support.upstream import UPSTREAM_SECRET, FakeToolCall, FakeUpstream

WEATHER: Final = using("weather", city="Paris")
JUNK: Final = "Let me think about it first."


async def test_steps_then_an_answer(upstream: FakeUpstream) -> None:
    """A step with a tool and a last one, then the answer; every event in its place."""
    upstream.reply(plan(WEATHER, thought="I look it up."))
    upstream.reply(plan(thought="It rains."))
    upstream.reply("Take ", "an umbrella.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request("An umbrella?"))

    called = ["model_call_started", "model_call_finished"]
    assert kinds(events) == [
        "started",
        *("step_started", *called, "step_planned", "tool_started", "tool_finished", "step_finished"),
        *("step_started", *called, "step_planned", "step_finished"),
        *("reasoning_finished", "model_call_started", "content_delta", "content_delta", "model_call_finished"),
        "completed",
    ]
    assert [event.step for event in events] == [0, *[1] * 7, *[2] * 5, *[0] * 6]
    assert [planned.thought for planned in of_kind(events, "step_planned")] == ["I look it up.", "It rains."]
    assert [each.execution.result for each in of_kind(events, "tool_finished")] == ["Paris: rain for 1 days"]
    assert (end(finished(events)), finished(events).steps, finished(events).tool_calls) == ("FINISHED", 2, 1)
    assert text(events) == "Take an umbrella."
    assert purposes(events[-1].completed.usage) == ["STEP", "STEP", "SYNTHESIS"]


async def test_a_whole_answer_has_the_steps(upstream: FakeUpstream) -> None:
    """`Complete` tells the steps, their tools and why they ended; the message is the answer alone."""
    upstream.reply(plan(WEATHER, thought="I look it up."))
    upstream.reply(plan(thought="It rains."))
    upstream.reply("Take an umbrella.")

    async with serving(agent_config(upstream)) as running:
        answer = await running.client().complete(reasoning_request())

    usage = {"inputTokens": "11", "cachedInputTokens": "3", "outputTokens": "7", "reasoningTokens": "2"}
    usage |= {"totalTokens": "18", "source": "USAGE_SOURCE_PROVIDER"}
    execution = {"callId": "call_1_1", "name": "weather", "arguments": '{"city": "Paris"}'}
    execution |= {"status": "TOOL_STATUS_OK", "result": "Paris: rain for 1 days"}
    assert [told(step) for step in answer.steps] == [
        {
            "number": 1,
            "thought": "I look it up.",
            "nextAction": "NEXT_ACTION_USE_TOOLS",
            "toolExecutions": [execution],
            "outcome": "STEP_OUTCOME_DONE",
            "usage": usage,
        },
        {
            "number": 2,
            "thought": "It rains.",
            "nextAction": "NEXT_ACTION_FINISH",
            "outcome": "STEP_OUTCOME_DONE",
            "usage": usage,
        },
    ]
    assert [part.text for part in answer.message.content] == ["Take an umbrella."]
    assert (end(answer.reasoning_finished), answer.reasoning_finished.steps) == ("FINISHED", 2)
    assert answer.reasoning_finished.usage.total_tokens == 2 * DEFAULT_TOKENS


async def test_what_is_shown_is_asked_for(upstream: FakeUpstream) -> None:
    """Thoughts, results, model calls and the model's own reasoning stay out unless they are asked for."""
    for _ in range(2):
        upstream.reply(plan(WEATHER, thought="A thought."), reasoning=("Hm.",))
        upstream.reply(plan(thought="A thought."))
        upstream.reply("It rains.", reasoning=("Hm.",))
    request = reasoning_request(include=None, reasoning=None)

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, request)
        answer = await running.client().complete(request)

    assert {"reasoning_delta", "model_call_started", "model_call_finished"}.isdisjoint(kinds(events))
    assert [event.sequence for event in events] == list(range(len(events)))
    for each in (*map(str, events), str(answer)):
        assert "A thought." not in each
        assert "rain for" not in each
        assert "Hm." not in each
    assert [step.tool_executions[0].arguments for step in answer.steps[:1]] == ['{"city": "Paris"}']


async def test_the_model_sees_what_came_of_its_steps(upstream: FakeUpstream) -> None:
    """The tools are in the instructions, each step follows the last with its results, and the answer gets notes."""
    upstream.reply(plan(WEATHER, thought="I look it up."))
    upstream.reply(plan(thought="It rains."))
    upstream.reply("Take an umbrella.")
    request = reasoning_request("An umbrella?")
    request.messages.insert(0, messages_pb2.Message(role=messages_pb2.ROLE_SYSTEM))
    request.messages[0].content.add(text="Be brief.")

    async with serving(agent_config(upstream)) as running:
        await stream(running, request)

    first, second, last = (list(shown(asked.body["messages"])) for asked in upstream.requests)
    assert first[0].startswith("Be brief.")
    assert "- weather: Tell the weather." in first[0]
    assert first[1:] == ["An umbrella?"]
    assert second[:2] == first
    assert json.loads(second[2])["thought"] == "I look it up."
    assert "Paris: rain for 1 days" in second[3]
    assert last[0] == "Be brief."
    (words,) = last[1:]
    assert words.startswith("An umbrella?")
    assert "I look it up." in words
    assert "Paris: rain for 1 days" in words
    assert "next_action" not in words


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        pytest.param({"capabilities": frozenset({Capability.JSON_SCHEMA})}, "json_schema", id="json-schema"),
        pytest.param({}, "json_object", id="nothing-known"),
    ],
)
async def test_each_step_is_asked_for_in_a_schema(upstream: FakeUpstream, known: dict[str, Any], kind: str) -> None:
    """A step goes out as structured output, by the strongest way that the model takes; the answer does not."""
    upstream.reply(plan())
    upstream.reply("Hello")
    entry = model_entry(upstream.api_base, **known)

    async with serving(agent_config(upstream, entry=entry)) as running:
        await stream(running, reasoning_request())

    step, answer = (asked.body for asked in upstream.requests)
    assert step["response_format"]["type"] == kind
    assert "response_format" not in answer
    if kind == "json_schema":
        tools = step["response_format"]["json_schema"]["schema"]["properties"]["tool_calls"]
        assert "weather" in tools["items"]["properties"]["name"]["enum"]


async def test_without_tools(upstream: FakeUpstream) -> None:
    """An agent without tools thinks in steps all the same."""
    upstream.reply(bare_plan("continue", "First."))
    upstream.reply(bare_plan("finish", "Second."))
    upstream.reply("Hello")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request(agent={"allowed_tools": []}))

    assert [planned.thought for planned in of_kind(events, "step_planned")] == ["First.", "Second."]
    assert "There are none." in next(shown(upstream.requests[0].body["messages"]))
    assert (end(finished(events)), text(events)) == ("FINISHED", "Hello")


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

    usage = events[-1].completed.usage
    assert purposes(usage) == ["STEP", "REPAIR", "STEP", "SYNTHESIS"]
    assert outcomes(events) == ["DONE", "DONE"]
    assert [step.usage.total_tokens for step in of_kind(events, "step_finished")] == [
        2 * DEFAULT_TOKENS,
        DEFAULT_TOKENS,
    ]
    assert bad in list(shown(upstream.requests[1].body["messages"]))
    assert bad not in list(shown(upstream.requests[2].body["messages"]))


async def test_a_step_that_stays_bad_ends_the_thinking(upstream: FakeUpstream) -> None:
    """After one repair the step has failed; it says so, nothing of it is a thought, and the answer still comes."""
    upstream.reply(plan(WEATHER))
    upstream.reply(JUNK)
    upstream.reply(JUNK)
    upstream.reply("It rains.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    assert outcomes(events) == ["DONE", "INVALID_PLAN"]
    assert (end(finished(events)), finished(events).steps) == ("STEP_FAILED", 2)
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

    assert purposes(events[-1].completed.usage) == ["STEP", "SYNTHESIS"]
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
    assert failure.interruption.model_calls == steps_before + 1
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
    assert failure.interruption.model_calls == 2
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

    (switch,) = [event for event in events if event.WhichOneof("event") == "attempt_switched"]
    assert (switch.step, switch.call, switch.attempt_switched.http_status) == (1, 1, 503)
    assert [(attempt.call, attempt.number) for attempt in events[-1].completed.attempts] == [(1, 1), (1, 2), (2, 1)]
    assert outcomes(events) == ["DONE"]


async def test_another_model_steps_in(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A model that fails in a step or in the answer is replaced by the request's fallback."""
    upstream.always.fail(400)
    judge.reply(plan())
    judge.reply("Hello")
    config = agent_config(upstream)
    other = model_entry(judge.api_base, "other", prices=PRICES)
    upstream.always.fail(500)

    async with serving(replace(config, models={**config.models, "other": other})) as running:
        events = await stream(running, reasoning_request(fallback_models=["other"]))

    assert text(events) == "Hello"
    assert [call.model for call in events[-1].completed.usage.model_calls] == ["other", "other"]
    assert events[-1].completed.model == "other"


async def test_what_is_asked_of_the_answer_goes_to_its_call(upstream: FakeUpstream) -> None:
    """Format, sampling and length of the request shape the answer's call, not the steps'."""
    upstream.reply(plan())
    upstream.reply('{"rain": true}')
    schema = '{"type": "object", "properties": {"rain": {"type": "boolean"}}}'
    request = reasoning_request(
        sampling=completion_pb2.Sampling(temperature=0.7, top_p=0.9, max_output_tokens=77, stop=["END"], seed=5),
        response_format=completion_pb2.ResponseFormat(
            json_schema=completion_pb2.JsonSchemaFormat(name="weather", schema=schema)
        ),
        end_user="someone",
    )

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, request)

    step, answer = (asked.body for asked in upstream.requests)
    assert {"temperature", "top_p", "stop"}.isdisjoint(step)
    assert (step["max_tokens"], step["seed"], step["user"]) == (1024, 5, "someone")
    assert step["response_format"]["type"] == "json_object"
    assert (answer["temperature"], answer["top_p"], answer["max_tokens"]) == (0.7, 0.9, 77)
    assert (answer["stop"], answer["seed"], answer["user"]) == (["END"], 5, "someone")
    assert answer["response_format"]["json_schema"]["schema"] == json.loads(schema)
    assert text(events) == '{"rain": true}'


async def test_a_conversation_with_the_callers_own_tools(upstream: FakeUpstream) -> None:
    """Calls of the caller's tools in the conversation are told in words: this call does not have those tools."""
    upstream.reply(plan())
    upstream.reply("Hello")
    request = reasoning_request("Is it raining?")
    call = messages_pb2.ToolCall(id="c1", name="radar", arguments='{"zoom": 3}')
    request.messages.add(role=messages_pb2.ROLE_ASSISTANT).content.add(tool_call=call)
    result = messages_pb2.ToolResult(call_id="c1", content="dry")
    request.messages.add(role=messages_pb2.ROLE_TOOL).content.add(tool_result=result)

    async with serving(agent_config(upstream)) as running:
        await stream(running, request)

    for asked in upstream.requests:
        assert {message["role"] for message in asked.body["messages"]} <= {"system", "user", "assistant"}
        assert not any("tool_calls" in message for message in asked.body["messages"])
        said = "".join(shown(asked.body["messages"]))
        assert 'radar: {"zoom": 3}' in said
        assert "dry" in said


async def test_usage_and_cost_are_the_upstreams(upstream: FakeUpstream) -> None:
    """Each model call by its purpose, and all together, are what the upstream said that they used."""
    ledger = [(100, 10), (120, 20), (140, 30), (160, 40), (180, 50)]
    answers = (plan(WEATHER), JUNK, plan(WEATHER), plan(), "It rains.")
    for said, used in zip(answers, ledger, strict=True):
        upstream.reply(said, usage=tokens(*used))

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    completed, thought = events[-1].completed, finished(events)
    assert purposes(completed.usage) == ["STEP", "STEP", "REPAIR", "STEP", "SYNTHESIS"]
    assert [(call.input_tokens, call.output_tokens) for call in completed.usage.model_calls] == ledger
    assert [call.call for call in completed.usage.model_calls] == [1, 2, 3, 4, 5]
    assert (completed.usage.input_tokens, completed.usage.output_tokens) == (700, 150)
    assert completed.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert completed.cost.total_nano_usd == 700 * 1000 + 150 * 2000
    assert (thought.usage.input_tokens, thought.usage.output_tokens) == (520, 100)
    assert thought.cost.total_nano_usd == 520 * 1000 + 100 * 2000
    steps = [step.usage.total_tokens for step in of_kind(events, "step_finished")]
    assert steps == [110, 140 + 170, 200]
    assert len(upstream.requests) == len(ledger)


async def test_usage_of_an_upstream_that_does_not_count(upstream: FakeUpstream) -> None:
    """Where the upstream reports nothing the numbers are estimates and say so; the calls are all there."""
    upstream.reply(plan(WEATHER), usage=None)
    upstream.reply(plan())
    upstream.reply("It rains.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    usage = events[-1].completed.usage
    sources = [call.source for call in usage.model_calls]
    provider, estimated = usage_pb2.USAGE_SOURCE_PROVIDER, usage_pb2.USAGE_SOURCE_ESTIMATED
    assert sources == [estimated, provider, provider]
    assert usage.source == finished(events).usage.source == estimated


async def test_no_tool_call_of_the_answer_reaches_the_caller_as_a_tool_of_its_own(upstream: FakeUpstream) -> None:
    """A plan by a tool call that nobody offered is a bad plan."""
    upstream.reply(tool_calls=[FakeToolCall("c1", "weather", '{"city": "Paris"}')])
    upstream.reply("Hello")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    assert "tool_call_delta" not in kinds(events)
    assert end(finished(events)) == "STEP_FAILED"


async def test_the_callers_own_tools_are_refused(upstream: FakeUpstream) -> None:
    """The agent cannot run the caller's tools: a request that has some is refused, and nothing is asked."""
    request = reasoning_request(tools=[completion_pb2.Tool(name="radar")])

    async with serving(agent_config(upstream)) as running:
        with pytest.raises(CallFailed) as failed:
            await stream(running, request)

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert upstream.requests == []
