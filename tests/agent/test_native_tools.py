"""The agent with native tool calls."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from reasoning_grpc.v1 import completion_pb2, usage_pb2
from tests.support.agent import (
    PRICES,
    TOOLS,
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
    native_entry,
    plan_call,
    reasoning_request,
    select_payloads,
    write_plan,
)
from tests.support.agent_grammar import check_grammar
from tests.support.serving import model_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream

PARIS: Final = FakeToolCall("toolu_1", "weather", '{"city": "Paris"}')
ROME: Final = FakeToolCall("toolu_2", "weather", '{"city": "Rome"}')
NATIVE: Final = pytest.mark.parametrize("provider", ["openai", "hosted_vllm", "anthropic", "gemini"])


@NATIVE
async def test_native_tool_calls_are_steps(upstream: FakeUpstream, provider: str) -> None:
    """A step is the text and the tool calls of one reply; a reply without a call ends the thinking."""
    upstream.reply("I look it up.", tool_calls=[PARIS, ROME])
    upstream.reply("READY")
    upstream.reply("It ", "rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider))) as running:
        events = await collect_events(running, reasoning_request("Weather?"))

    check_grammar(events, ended_well=True)
    first, second = select_payloads(events, "step_planned")
    assert (first.thought, second.thought) == ("I look it up.", "READY")
    assert [call.name for call in first.tool_calls] == ["weather", "weather"]
    assert first.concurrent
    assert sorted(execution.result for execution in list_executions(events)) == [
        *("Paris: rain for 1 days", "Rome: rain for 1 days")
    ]
    assert (name_end(find_finish(events)), find_finish(events).tool_call_count, join_text(events)) == (
        "FINISHED",
        2,
        "It rains.",
    )
    assert list_purposes(events[-1].completed.model_calls) == ["STEP", "STEP", "SYNTHESIS"]
    assert "tool_call_delta" not in list_kinds(events)


async def test_an_empty_result_is_no_blank_message(upstream: FakeUpstream) -> None:
    """The model is told that a result is empty, and the caller gets it as it is."""
    upstream.reply(tool_calls=[FakeToolCall("c1", "write_letters", '{"characters": 0}')])
    upstream.reply("READY")
    upstream.reply("Done.")

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        events = await collect_events(running, reasoning_request("Write nothing."))

    assert upstream.requests[1].body["messages"][-1]["content"] == "[empty result]"
    assert [(name_status(each), each.result) for each in list_executions(events)] == [("OK", "")]


@pytest.mark.parametrize(("count", "is_native"), [(128, True), (129, False)])
async def test_more_tools_than_providers_take_are_planned_in_json(
    upstream: FakeUpstream, count: int, is_native: bool
) -> None:
    """With more than 128 tools the steps are planned in JSON, because providers refuse a request with so many tools."""
    upstream.reply("READY" if is_native else write_plan())
    upstream.reply("It rains.")
    config = agent_config(
        upstream,
        entry=native_entry(upstream),
        tools={f"weather_{number}": TOOLS["weather"] for number in range(count - 2)},  # beside two built-in ones
    )

    async with serving(config) as running:
        events = await collect_events(running, reasoning_request("Weather?"))

    assert (name_end(find_finish(events)), join_text(events)) == ("FINISHED", "It rains.")
    assert [len(request.body.get("tools", [])) for request in upstream.requests] == [count if is_native else 0] * 2


async def test_tools_and_results_are_sent_natively(upstream: FakeUpstream) -> None:
    """Tools, calls and results are sent in their own fields, and the call of the answer forbids further tool calls."""
    upstream.reply("I look it up.", tool_calls=[PARIS, ROME])
    upstream.reply("READY")
    upstream.reply("It rains.")
    request = reasoning_request(
        response_format=completion_pb2.ResponseFormat(json_object=completion_pb2.JsonObjectFormat()),
        sampling=completion_pb2.Sampling(temperature=0.5, max_output_tokens=50),
        agent={"allowed_tools": ["weather"]},
    )

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        await collect_events(running, request)

    first, second, last = (upstream_request.body for upstream_request in upstream.requests)
    for body in (first, second, last):
        assert [tool["function"]["name"] for tool in body["tools"]] == ["weather"]
    assert {"response_format", "temperature", "tool_choice"}.isdisjoint(first)
    assert [message["role"] for message in last["messages"]] == [
        *("system", "user", "assistant", "tool", "tool", "assistant", "user")
    ]
    assert second["messages"] == last["messages"][:5]
    assert [call["function"]["arguments"] for call in second["messages"][2]["tool_calls"]] == [
        *('{"city": "Paris"}', '{"city": "Rome"}')
    ]
    assert [(message["tool_call_id"], message["content"]) for message in second["messages"][3:]] == [
        *[("toolu_1", "Paris: rain for 1 days"), ("toolu_2", "Rome: rain for 1 days")]
    ]
    assert (last["tool_choice"], last["temperature"], last["max_tokens"]) == ("none", 0.5, 50)
    assert last["response_format"] == {"type": "json_object"}


async def test_a_fallback_model_without_native_tools_needs_json(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Steps are requested in JSON where a fallback model does not have native tools."""
    upstream.always.fail(500)
    judge.reply(write_plan(plan_call("weather", city="Paris")))
    judge.reply(write_plan())
    judge.reply("It rains.")
    config = agent_config(upstream, entry=native_entry(upstream), max_retries=0)
    other = model_entry(judge.api_base, "other", prices=PRICES)

    async with serving(replace(config, models={**config.models, "other": other})) as running:
        events = await collect_events(running, reasoning_request(fallback_models=["other"]))

    assert (name_end(find_finish(events)), join_text(events)) == ("FINISHED", "It rains.")
    assert [execution.result for execution in list_executions(events)] == ["Paris: rain for 1 days"]
    for upstream_request in (*upstream.requests, *judge.requests):
        assert "tools" not in upstream_request.body


async def test_repeated_call_ids_become_unique(upstream: FakeUpstream) -> None:
    """The ids of tool calls are unique within a run, although some servers count from zero in each answer."""
    for city in ("Paris", "Rome"):
        upstream.reply(tool_calls=[FakeToolCall("call_0", "weather", json.dumps({"city": city}))])
    upstream.reply("READY")
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        events = await collect_events(running, reasoning_request())

    check_grammar(events, ended_well=True)
    assert len({execution.call_id for execution in list_executions(events)}) == 2
    messages = upstream.requests[-1].body["messages"]
    call_ids = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    assert call_ids == [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert len(set(call_ids)) == 2


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
@pytest.mark.parametrize(
    ("arguments", "sent_back"),
    [
        pytest.param('{"city": ', {"malformed_arguments": '{"city": '}, id="cut"),
        pytest.param("[1]", {"malformed_arguments": "[1]"}, id="no-object"),
        pytest.param("", {}, id="none"),
        pytest.param('{ "city": 1 }', {"city": 1}, id="wrong-type"),
    ],
)
async def test_malformed_arguments_are_sent_back_as_an_object(
    upstream: FakeUpstream, provider: str, arguments: str, sent_back: dict[str, Any]
) -> None:
    """A call with malformed arguments fails, and goes back to the model with an object, which all servers accept."""
    upstream.reply("I look it up.", tool_calls=[FakeToolCall("c1", "weather", arguments)])
    upstream.reply("READY")
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider))) as running:
        events = await collect_events(running, reasoning_request())

    assert [(name_status(each), each.arguments) for each in list_executions(events)] == [
        ("INVALID_ARGUMENTS", arguments or "{}")
    ]
    for upstream_request in upstream.requests[1:]:
        (calls,) = [message["tool_calls"] for message in upstream_request.body["messages"] if message.get("tool_calls")]
        assert [json.loads(call["function"]["arguments"]) for call in calls] == [sent_back]


async def test_empty_arguments_are_an_empty_object(upstream: FakeUpstream) -> None:
    """A native call with an empty string as its arguments is run, because some servers send that."""
    upstream.reply(tool_calls=[FakeToolCall("c1", "count", "")])
    upstream.reply("READY")
    upstream.reply("One.")

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        events = await collect_events(running, reasoning_request())

    assert [(name_status(each), each.arguments) for each in list_executions(events)] == [("OK", "{}")]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("reasoning", [(), ("Hm.",)])
async def test_an_empty_step_ends_the_thinking(
    upstream: FakeUpstream, provider: str, reasoning: tuple[str, ...]
) -> None:
    """A model that writes nothing and calls nothing has finished; no empty text is sent to providers that refuse it."""
    upstream.reply(tool_calls=[PARIS])
    upstream.reply(reasoning=reasoning, finish_reason="stop")
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider))) as running:
        events = await collect_events(running, reasoning_request())

    assert (name_end(find_finish(events)), join_text(events)) == ("FINISHED", "It rains.")
    for message in upstream.requests[-1].body["messages"]:
        assert provider == "openai" or all(block.get("text") != "" for block in message["content"])


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"refusal": "I must not."}, id="refusal"),
        pytest.param({"reasoning": ("Hm.",), "finish_reason": "content_filter"}, id="filter"),
        pytest.param({"reasoning": ("Hm.",), "finish_reason": "length"}, id="cut"),
    ],
)
async def test_an_incomplete_step_is_an_invalid_plan(
    upstream: FakeUpstream, provider: str, answer: Mapping[str, Any]
) -> None:
    """A model that refuses, is filtered or is cut before it called a tool has made an invalid plan."""
    upstream.reply(tool_calls=[PARIS])
    upstream.reply(**dict(answer))
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider))) as running:
        events = await collect_events(running, reasoning_request())

    check_grammar(events, ended_well=True)
    assert (name_end(find_finish(events)), list_outcomes(events)) == ("STEP_FAILED", ["DONE", "INVALID_PLAN"])
    assert join_text(events) == "It rains."


async def test_a_tool_call_in_the_answer_is_dropped(upstream: FakeUpstream) -> None:
    """A tool call in the answer does not reach the caller, because the tools are those of the server."""
    upstream.reply("READY")
    upstream.reply("It rains.", tool_calls=[PARIS])
    upstream.reply("READY")
    upstream.reply("It rains.", tool_calls=[PARIS])

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        events = await collect_events(running, reasoning_request())
        answer = await running.client().complete(reasoning_request())

    assert "tool_call_delta" not in list_kinds(events)
    completed = events[-1].completed
    assert completed.finish_reason == completion_pb2.FINISH_REASON_OTHER
    assert completed.provider_finish_reason == "tool_calls"
    assert [part.WhichOneof("kind") for part in answer.message.content] == ["text"]
    assert answer.finish_reason == completion_pb2.FINISH_REASON_OTHER


async def test_calls_that_are_not_run_have_a_result(upstream: FakeUpstream) -> None:
    """A tool call beyond the budget gets a result that says so, because providers require a result for each call."""
    upstream.reply(tool_calls=[PARIS, ROME])
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        events = await collect_events(running, reasoning_request(agent={"max_tool_calls": 1}))

    results = [message for message in upstream.requests[-1].body["messages"] if message["role"] == "tool"]
    assert [result["tool_call_id"] for result in results] == ["toolu_1", "toolu_2"]
    assert "not run" in results[1]["content"]
    assert name_end(find_finish(events)) == "MAX_TOOL_CALLS"


async def test_a_loop_of_native_calls_is_found(upstream: FakeUpstream) -> None:
    """Repeated native calls are a loop, whatever their ids are."""
    for number in range(3):
        upstream.reply(tool_calls=[FakeToolCall(f"c{number}", "weather", '{"city": "Paris"}')])
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        events = await collect_events(running, reasoning_request())

    assert (name_end(find_finish(events)), find_finish(events).tool_call_count, join_text(events)) == (
        "LOOP",
        2,
        "It rains.",
    )


@NATIVE
async def test_a_truncated_native_step_ends_the_call(upstream: FakeUpstream, provider: str) -> None:
    """An upstream that breaks off in the middle of a native step ends the call with a status, and no tool is run."""
    upstream.reply("I look", tool_calls=[PARIS], finish_reason=None, done=False, usage=None)

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider), max_retries=0)) as running:
        events, failure = await collect_until_failure(running, reasoning_request())

    assert failure is not None
    assert failure.reason == "UPSTREAM_STREAM_TRUNCATED"
    assert "tool_started" not in list_kinds(events)
    assert failure.interruption is not None
    assert failure.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED


async def test_a_token_budget_includes_the_tools(upstream: FakeUpstream) -> None:
    """The tokens of the tools in the prompt leave fewer tokens for the plan."""
    upstream.reply("READY")
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        await collect_events(running, reasoning_request(agent={"max_tokens": 1000}))

    body = upstream.requests[0].body
    words = sum(len(message["content"]) for message in body["messages"])
    words += sum(len(json.dumps(tool["function"]["parameters"])) for tool in body["tools"])
    assert 1 <= body["max_tokens"] <= 1000 - words // 5
