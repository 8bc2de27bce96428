"""The agent's loop: its steps, its answer, and their usage."""

from typing import Any, Final

from reasoning_grpc.v1 import usage_pb2
from tests.support.agent import (
    DEFAULT_TOKENS,
    agent_config,
    build_usage,
    collect_events,
    drop_times_and_ids,
    find_finish,
    join_text,
    list_kinds,
    list_purposes,
    name_end,
    plan_call,
    read_texts,
    reasoning_request,
    select_payloads,
    write_plan,
    write_plan_without_tools,
)
from tests.support.serving import serving
from tests.support.upstream import FakeToolCall, FakeUpstream

WEATHER: Final = plan_call("weather", city="Paris")
JUNK: Final = "Let me think about it first."


async def test_steps_then_an_answer(upstream: FakeUpstream) -> None:
    """A run with one tool call has two steps and an answer, and its events come in the documented order."""
    upstream.reply(write_plan(WEATHER, thought="I look it up."))
    upstream.reply(write_plan(thought="It rains."))
    upstream.reply("Take ", "an umbrella.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request("An umbrella?"))

    model_call = ["model_call_started", "model_call_finished"]
    assert list_kinds(events) == [
        "started",
        *("step_started", *model_call, "step_planned", "tool_started", "tool_finished", "step_finished"),
        *("step_started", *model_call, "step_planned", "step_finished"),
        *("reasoning_finished", "model_call_started", "content_delta", "content_delta", "model_call_finished"),
        "completed",
    ]
    assert [event.step for event in events] == [0, *[1] * 7, *[2] * 5, *[0] * 6]
    assert [planned.thought for planned in select_payloads(events, "step_planned")] == ["I look it up.", "It rains."]
    assert [each.execution.result for each in select_payloads(events, "tool_finished")] == ["Paris: rain for 1 days"]
    assert (name_end(find_finish(events)), find_finish(events).step_count, find_finish(events).tool_call_count) == (
        "FINISHED",
        2,
        1,
    )
    assert join_text(events) == "Take an umbrella."
    assert list_purposes(events[-1].completed.model_calls) == ["STEP", "STEP", "SYNTHESIS"]


async def test_complete_returns_the_steps(upstream: FakeUpstream) -> None:
    """`Complete` returns the steps with their tool calls and why they ended; the message is only the answer."""
    upstream.reply(write_plan(WEATHER, thought="I look it up."))
    upstream.reply(write_plan(thought="It rains."))
    upstream.reply("Take an umbrella.")

    async with serving(agent_config(upstream)) as running:
        answer = await running.client().complete(reasoning_request())

    usage: dict[str, Any] = {"inputTokens": 11, "cachedInputTokens": 3, "outputTokens": 7, "reasoningTokens": 2}
    usage |= {"totalTokens": 18, "source": "USAGE_SOURCE_PROVIDER"}
    execution = {"callId": "call_1_1", "name": "weather", "arguments": '{"city": "Paris"}'}
    execution |= {"status": "TOOL_STATUS_OK", "result": "Paris: rain for 1 days"}
    assert [drop_times_and_ids(step) for step in answer.steps] == [
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
    assert (name_end(answer.reasoning_finished), answer.reasoning_finished.step_count) == ("FINISHED", 2)
    assert answer.reasoning_finished.usage.total_tokens == 2 * DEFAULT_TOKENS


async def test_details_are_included_only_on_request(upstream: FakeUpstream) -> None:
    """Thoughts, results, model calls and the model's reasoning are left out unless the request includes them."""
    for _ in range(2):
        upstream.reply(write_plan(WEATHER, thought="A thought."), reasoning=("Hm.",))
        upstream.reply(write_plan(thought="A thought."))
        upstream.reply("It rains.", reasoning=("Hm.",))
    request = reasoning_request(include=None)

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, request)
        answer = await running.client().complete(request)

    assert {"reasoning_delta", "model_call_started", "model_call_finished"}.isdisjoint(list_kinds(events))
    assert [event.sequence for event in events] == list(range(len(events)))
    for each in (*map(str, events), str(answer)):
        assert "A thought." not in each
        assert "rain for" not in each
        assert "Hm." not in each
    assert [step.tool_executions[0].arguments for step in answer.steps[:1]] == ['{"city": "Paris"}']


async def test_an_agent_without_tools_thinks_in_steps(upstream: FakeUpstream) -> None:
    """An agent without tools thinks in steps as well."""
    upstream.reply(write_plan_without_tools("continue", "First."))
    upstream.reply(write_plan_without_tools("finish", "Second."))
    upstream.reply("Hello")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request(agent={"allowed_tools": []}))

    assert [planned.thought for planned in select_payloads(events, "step_planned")] == ["First.", "Second."]
    assert "There are none." in next(read_texts(upstream.requests[0].body["messages"]))
    assert (name_end(find_finish(events)), join_text(events)) == ("FINISHED", "Hello")


async def test_usage_and_cost_are_those_of_the_upstream(upstream: FakeUpstream) -> None:
    """The usage of each model call, and its sum, are the numbers that the upstream reported."""
    ledger = [(100, 10), (120, 20), (140, 30), (160, 40), (180, 50)]
    answers = (write_plan(WEATHER), JUNK, write_plan(WEATHER), write_plan(), "It rains.")
    for reply, used in zip(answers, ledger, strict=True):
        upstream.reply(reply, usage=build_usage(*used))

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    completed, finish = events[-1].completed, find_finish(events)
    assert list_purposes(completed.model_calls) == ["STEP", "STEP", "REPAIR", "STEP", "SYNTHESIS"]
    assert [(call.usage.input_tokens, call.usage.output_tokens) for call in completed.model_calls] == ledger
    assert [call.call for call in completed.model_calls] == [1, 2, 3, 4, 5]
    assert (completed.usage.input_tokens, completed.usage.output_tokens) == (700, 150)
    assert completed.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert completed.cost.total_nano_usd == 700 * 1000 + 150 * 2000
    assert (finish.usage.input_tokens, finish.usage.output_tokens) == (520, 100)
    assert finish.cost.total_nano_usd == 520 * 1000 + 100 * 2000
    steps = [step.usage.total_tokens for step in select_payloads(events, "step_finished")]
    assert steps == [110, 140 + 170, 200]
    assert len(upstream.requests) == len(ledger)


async def test_missing_usage_is_estimated(upstream: FakeUpstream) -> None:
    """A model call whose upstream reports no usage is estimated, and marked as an estimate."""
    upstream.reply(write_plan(WEATHER), usage=None)
    upstream.reply(write_plan())
    upstream.reply("It rains.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    usage = events[-1].completed.usage
    sources = [call.usage.source for call in events[-1].completed.model_calls]
    provider, estimated = usage_pb2.USAGE_SOURCE_PROVIDER, usage_pb2.USAGE_SOURCE_ESTIMATED
    assert sources == [estimated, provider, provider]
    assert usage.source == find_finish(events).usage.source == estimated


async def test_a_native_call_is_no_plan_in_json(upstream: FakeUpstream) -> None:
    """A native tool call is an invalid plan where steps are in JSON, and the caller sees no tool call."""
    upstream.reply(tool_calls=[FakeToolCall("c1", "weather", '{"city": "Paris"}')])
    upstream.reply("Hello")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    assert "tool_call_delta" not in list_kinds(events)
    assert name_end(find_finish(events)) == "STEP_FAILED"
