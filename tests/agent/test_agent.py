"""The agent's loop: its steps, its answer, and the content of each model call."""

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
    build_usage,
    collect_events,
    drop_times_and_ids,
    find_finish,
    join_text,
    list_kinds,
    list_purposes,
    name_end,
    native_entry,
    plan_call,
    read_texts,
    reasoning_request,
    select_payloads,
    write_plan,
    write_plan_without_tools,
)
from tests.support.serving import model_entry, serving
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


async def test_the_model_reads_its_earlier_steps(upstream: FakeUpstream) -> None:
    """Each step reads the tools and the plans and results before it, and the answer reads notes of them."""
    upstream.reply(write_plan(WEATHER, thought="I look it up."))
    upstream.reply(write_plan(thought="It rains."))
    upstream.reply("Take an umbrella.")
    request = reasoning_request("An umbrella?")
    request.messages.insert(0, messages_pb2.Message(role=messages_pb2.ROLE_SYSTEM))
    request.messages[0].content.add(text="Be brief.")

    async with serving(agent_config(upstream)) as running:
        await collect_events(running, request)

    first, second, last = (
        list(read_texts(upstream_request.body["messages"])) for upstream_request in upstream.requests
    )
    assert first[0].startswith("Be brief.")
    assert "- weather: Tell the weather." in first[0]
    assert first[1:] == ["An umbrella?"]
    assert second[:2] == first
    assert json.loads(second[2])["thought"] == "I look it up."
    assert "Paris: rain for 1 days" in second[3]
    assert last[0] == "Be brief."
    (prompt_text,) = last[1:]
    assert prompt_text.startswith("An umbrella?")
    assert "I look it up." in prompt_text
    assert "Paris: rain for 1 days" in prompt_text
    assert "next_action" not in prompt_text


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        pytest.param({"capabilities": frozenset({Capability.JSON_SCHEMA})}, "json_schema", id="json-schema"),
        pytest.param({}, "json_object", id="nothing-known"),
    ],
)
async def test_a_step_is_requested_as_structured_output(
    upstream: FakeUpstream, known: dict[str, Any], kind: str
) -> None:
    """A step uses the strongest response format that the model supports; the answer has no such format."""
    upstream.reply(write_plan())
    upstream.reply("Hello")
    entry = model_entry(upstream.api_base, **known)

    async with serving(agent_config(upstream, entry=entry)) as running:
        await collect_events(running, reasoning_request())

    step, answer = (upstream_request.body for upstream_request in upstream.requests)
    assert step["response_format"]["type"] == kind
    assert "response_format" not in answer
    if kind == "json_schema":
        tools = step["response_format"]["json_schema"]["schema"]["properties"]["tool_calls"]
        assert "weather" in tools["items"]["properties"]["name"]["enum"]


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


async def test_options_of_the_answer_apply_to_its_call(upstream: FakeUpstream) -> None:
    """The response format, sampling and length of the request apply to the call of the answer, not to the steps."""
    upstream.reply(write_plan())
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
        events = await collect_events(running, request)

    step, answer = (upstream_request.body for upstream_request in upstream.requests)
    assert {"temperature", "top_p", "stop"}.isdisjoint(step)
    assert (step["max_tokens"], step["seed"], step["user"]) == (1024, 5, "someone")
    assert step["response_format"]["type"] == "json_object"
    assert (answer["temperature"], answer["top_p"], answer["max_tokens"]) == (0.7, 0.9, 77)
    assert (answer["stop"], answer["seed"], answer["user"]) == (["END"], 5, "someone")
    assert answer["response_format"]["json_schema"]["schema"] == json.loads(schema)
    assert join_text(events) == '{"rain": true}'


async def test_calls_of_the_callers_tools_become_text(upstream: FakeUpstream) -> None:
    """Calls of the caller's tools in the conversation are sent as text, because the agent does not have those tools."""
    upstream.reply(write_plan())
    upstream.reply("Hello")
    request = reasoning_request("Is it raining?")
    call = messages_pb2.ToolCall(id="c1", name="radar", arguments='{"zoom": 3}')
    request.messages.add(role=messages_pb2.ROLE_ASSISTANT).content.add(tool_call=call)
    result = messages_pb2.ToolResult(call_id="c1", content="dry")
    request.messages.add(role=messages_pb2.ROLE_TOOL).content.add(tool_result=result)

    async with serving(agent_config(upstream)) as running:
        await collect_events(running, request)

    for upstream_request in upstream.requests:
        assert {message["role"] for message in upstream_request.body["messages"]} <= {"system", "user", "assistant"}
        assert not any("tool_calls" in message for message in upstream_request.body["messages"])
        prompt_text = "".join(read_texts(upstream_request.body["messages"]))
        assert 'radar: {"zoom": 3}' in prompt_text
        assert "dry" in prompt_text


@pytest.mark.parametrize("native", [False, True], ids=["in-json", "native"])
async def test_a_conversation_that_ends_with_the_assistant(upstream: FakeUpstream, native: bool) -> None:
    """After a last message of the assistant, steps are prompted to go on, and the answer is prompted to answer."""
    if native:
        upstream.reply(tool_calls=[FakeToolCall("c1", "weather", '{"city": "Paris"}')])
        upstream.reply("READY")
    else:
        upstream.reply(write_plan(WEATHER))
        upstream.reply(write_plan())
    upstream.reply("Hello")
    request = reasoning_request("An umbrella?")
    request.messages.add(role=messages_pb2.ROLE_ASSISTANT).content.add(text="Let me see.")

    async with serving(agent_config(upstream, entry=native_entry(upstream) if native else None)) as running:
        await collect_events(running, request)

    first, _, last = (list(read_texts(upstream_request.body["messages"])) for upstream_request in upstream.requests)
    assert first[1:] == ["An umbrella?", "Let me see.", "Go on."]
    assert "Now answer me" in last[-1]
    assert not [prompt_text for prompt_text in last[1:] if "next step" in prompt_text]
    assert native or "Go on" not in last[-1]


async def test_an_answer_without_steps_has_the_plain_prompt(upstream: FakeUpstream) -> None:
    """Where no step was made, the model gets the same messages as without the agent."""
    upstream.always.reply("Hello")
    request = reasoning_request("An umbrella?", agent={"max_tokens": 1})
    request.messages.add(role=messages_pb2.ROLE_ASSISTANT).content.add(text="Let me see.")

    async with serving(agent_config(upstream)) as running:
        await collect_events(running, request)
        request.routing.mode = routing_pb2.ROUTING_MODE_PASSTHROUGH
        await collect_events(running, request)

    messages_of_agent, messages_without_agent = (
        upstream_request.body["messages"] for upstream_request in upstream.requests
    )
    assert messages_of_agent == messages_without_agent


@pytest.mark.parametrize("native", [False, True], ids=["in-json", "native"])
@pytest.mark.parametrize("own", ["", "Be brief."], ids=["none", "own"])
async def test_the_system_prompt_of_the_models_entry(upstream: FakeUpstream, native: bool, own: str) -> None:
    """The system prompt of the model's entry begins each model call, unless the conversation has a system message."""
    upstream.reply("READY" if native else write_plan())
    upstream.reply("Hello")
    request = reasoning_request()
    if own:
        request.messages.insert(0, messages_pb2.Message(role=messages_pb2.ROLE_SYSTEM))
        request.messages[0].content.add(text=own)
    entry = (native_entry if native else json_entry)(upstream, system_prompt="You are a pirate.")

    async with serving(agent_config(upstream, entry=entry)) as running:
        await collect_events(running, request)

    for upstream_request in upstream.requests:
        system = [message for message in upstream_request.body["messages"] if message["role"] == "system"]
        (prompt_text,) = read_texts(system)
        assert prompt_text.startswith(own or "You are a pirate.")
        assert ("pirate" in prompt_text) != bool(own)


def json_entry(upstream: FakeUpstream, **overrides: Any) -> ModelEntry:
    """Builds the entry of a model that plans in JSON."""
    return model_entry(upstream.api_base, **overrides)


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


async def test_the_callers_own_tools_are_refused(upstream: FakeUpstream) -> None:
    """A request for the agent that brings its own tools is refused before any model call."""
    request = reasoning_request(tools=[completion_pb2.Tool(name="radar")])

    async with serving(agent_config(upstream)) as running:
        with pytest.raises(CallFailed) as failed:
            await collect_events(running, request)

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert upstream.requests == []
