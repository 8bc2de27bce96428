"""The agent's loop: its steps, its answer, and what each model call is sent."""

import json
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import ModelEntry
from reasoning_grpc.domain import Capability
from reasoning_grpc.v1 import completion_pb2, messages_pb2, routing_pb2, usage_pb2
from tests.support.agent import (
    DEFAULT_TOKENS,
    agent_config,
    bare_plan,
    end,
    finished,
    kinds,
    native_entry,
    of_kind,
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
from tests.support.upstream import FakeToolCall, FakeUpstream

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
    assert (end(finished(events)), finished(events).step_count, finished(events).tool_call_count) == ("FINISHED", 2, 1)
    assert text(events) == "Take an umbrella."
    assert purposes(events[-1].completed.model_calls) == ["STEP", "STEP", "SYNTHESIS"]


async def test_a_whole_answer_has_the_steps(upstream: FakeUpstream) -> None:
    """`Complete` tells the steps, their tools and why they ended; the message is the answer alone."""
    upstream.reply(plan(WEATHER, thought="I look it up."))
    upstream.reply(plan(thought="It rains."))
    upstream.reply("Take an umbrella.")

    async with serving(agent_config(upstream)) as running:
        answer = await running.client().complete(reasoning_request())

    usage: dict[str, Any] = {"inputTokens": 11, "cachedInputTokens": 3, "outputTokens": 7, "reasoningTokens": 2}
    usage |= {"totalTokens": 18, "source": "USAGE_SOURCE_PROVIDER"}
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
    assert (end(answer.reasoning_finished), answer.reasoning_finished.step_count) == ("FINISHED", 2)
    assert answer.reasoning_finished.usage.total_tokens == 2 * DEFAULT_TOKENS


async def test_what_is_shown_is_asked_for(upstream: FakeUpstream) -> None:
    """Thoughts, results, model calls and the model's own reasoning stay out unless they are asked for."""
    for _ in range(2):
        upstream.reply(plan(WEATHER, thought="A thought."), reasoning=("Hm.",))
        upstream.reply(plan(thought="A thought."))
        upstream.reply("It rains.", reasoning=("Hm.",))
    request = reasoning_request(include=None)

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


async def test_what_is_asked_of_the_answer_goes_to_its_call(upstream: FakeUpstream) -> None:
    """Format, sampling and length of the request shape the answer's call, not the steps'."""
    upstream.reply(plan())
    upstream.reply('{"rain": true}')
    schema = '{"type": "object", "properties": {"rain": {"type": "boolean"}}}'
    request = reasoning_request(
        sampling=completion_pb2.Sampling(
            temperature=0.7, top_p=0.9, max_output_tokens=77, stop_sequences=["END"], seed=5
        ),
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


@pytest.mark.parametrize("native", [False, True], ids=["in-json", "native"])
async def test_a_conversation_that_ends_with_the_assistant(upstream: FakeUpstream, native: bool) -> None:
    """Nobody asks anything there: the steps are told to go on, the answer to answer, and neither to do both."""
    if native:
        upstream.reply(tool_calls=[FakeToolCall("c1", "weather", '{"city": "Paris"}')])
        upstream.reply("READY")
    else:
        upstream.reply(plan(WEATHER))
        upstream.reply(plan())
    upstream.reply("Hello")
    request = reasoning_request("An umbrella?")
    request.messages.add(role=messages_pb2.ROLE_ASSISTANT).content.add(text="Let me see.")

    async with serving(agent_config(upstream, entry=native_entry(upstream) if native else None)) as running:
        await stream(running, request)

    first, _, last = (list(shown(asked.body["messages"])) for asked in upstream.requests)
    assert first[1:] == ["An umbrella?", "Let me see.", "Go on."]
    assert "Now answer me" in last[-1]
    assert not [words for words in last[1:] if "next step" in words]
    assert native or "Go on" not in last[-1]


async def test_an_answer_without_steps(upstream: FakeUpstream) -> None:
    """Where no step was made, the model is shown what it would be without the agent, whoever spoke last."""
    upstream.always.reply("Hello")
    request = reasoning_request("An umbrella?", agent={"max_tokens": 1})
    request.messages.add(role=messages_pb2.ROLE_ASSISTANT).content.add(text="Let me see.")

    async with serving(agent_config(upstream)) as running:
        await stream(running, request)
        request.routing.mode = routing_pb2.ROUTING_MODE_PASSTHROUGH
        await stream(running, request)

    by_agent, direct = (asked.body["messages"] for asked in upstream.requests)
    assert by_agent == direct


@pytest.mark.parametrize("native", [False, True], ids=["in-json", "native"])
@pytest.mark.parametrize("own", ["", "Be brief."], ids=["none", "own"])
async def test_the_system_prompt_of_the_models_entry(upstream: FakeUpstream, native: bool, own: str) -> None:
    """Each call begins with it, as without the agent, unless the conversation has a system message of its own."""
    upstream.reply("READY" if native else plan())
    upstream.reply("Hello")
    request = reasoning_request()
    if own:
        request.messages.insert(0, messages_pb2.Message(role=messages_pb2.ROLE_SYSTEM))
        request.messages[0].content.add(text=own)
    entry = (native_entry if native else fake_entry)(upstream, system_prompt="You are a pirate.")

    async with serving(agent_config(upstream, entry=entry)) as running:
        await stream(running, request)

    for asked in upstream.requests:
        system = [message for message in asked.body["messages"] if message["role"] == "system"]
        (words,) = shown(system)
        assert words.startswith(own or "You are a pirate.")
        assert ("pirate" in words) != bool(own)


def fake_entry(upstream: FakeUpstream, **overrides: Any) -> ModelEntry:
    """The fake upstream as a model that plans in JSON."""
    return model_entry(upstream.api_base, **overrides)


async def test_usage_and_cost_are_the_upstreams(upstream: FakeUpstream) -> None:
    """Each model call by its purpose, and all together, are what the upstream said that they used."""
    ledger = [(100, 10), (120, 20), (140, 30), (160, 40), (180, 50)]
    answers = (plan(WEATHER), JUNK, plan(WEATHER), plan(), "It rains.")
    for said, used in zip(answers, ledger, strict=True):
        upstream.reply(said, usage=tokens(*used))

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    completed, thought = events[-1].completed, finished(events)
    assert purposes(completed.model_calls) == ["STEP", "STEP", "REPAIR", "STEP", "SYNTHESIS"]
    assert [(call.usage.input_tokens, call.usage.output_tokens) for call in completed.model_calls] == ledger
    assert [call.call for call in completed.model_calls] == [1, 2, 3, 4, 5]
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
    sources = [call.usage.source for call in events[-1].completed.model_calls]
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
