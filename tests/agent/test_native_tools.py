"""The agent with a model's native tool calls, and the model's own reasoning on its way through the steps."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from reasoning_grpc.domain import Capability
from reasoning_grpc.v1 import completion_pb2, usage_pb2
from tests.support.agent import (
    PRICES,
    agent_config,
    end,
    executions,
    finished,
    kinds,
    native_entry,
    of_kind,
    outcome,
    outcomes,
    plan,
    purposes,
    reasoning_request,
    status,
    stream,
    text,
    tokens,
    using,
)
from tests.support.agent_grammar import check_grammar
from tests.support.serving import model_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream

PARIS: Final = FakeToolCall("toolu_1", "weather", '{"city": "Paris"}')
ROME: Final = FakeToolCall("toolu_2", "weather", '{"city": "Rome"}')
SIGNATURE: Final = "c2lnbmVk+/=" * 3
SECOND_SIGNATURE: Final = "YWdhaW4=" * 3
NATIVE: Final = pytest.mark.parametrize("provider", ["openai", "hosted_vllm", "anthropic", "gemini"])


@NATIVE
async def test_steps_by_tool_calls(upstream: FakeUpstream, provider: str) -> None:
    """A step is what the model says and the tools it calls; without a call it is ready, and then asked to answer."""
    upstream.reply("I look it up.", tool_calls=[PARIS, ROME])
    upstream.reply("READY")
    upstream.reply("It ", "rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider))) as running:
        events = await stream(running, reasoning_request("Weather?"))

    check_grammar(events, ended_well=True)
    first, second = of_kind(events, "step_planned")
    assert (first.thought, second.thought) == ("I look it up.", "READY")
    assert [call.name for call in first.tool_calls] == ["weather", "weather"]
    assert first.concurrent
    assert sorted(execution.result for execution in executions(events)) == [
        *("Paris: rain for 1 days", "Rome: rain for 1 days")
    ]
    assert (end(finished(events)), finished(events).tool_call_count, text(events)) == ("FINISHED", 2, "It rains.")
    assert purposes(events[-1].completed.model_calls) == ["STEP", "STEP", "SYNTHESIS"]
    assert "tool_call_delta" not in kinds(events)


async def test_what_the_wire_is_told(upstream: FakeUpstream) -> None:
    """Tools go as tools, calls and results as such; in the answer's call no tool may be called any more."""
    upstream.reply("I look it up.", tool_calls=[PARIS, ROME])
    upstream.reply("READY")
    upstream.reply("It rains.")
    request = reasoning_request(
        response_format=completion_pb2.ResponseFormat(json_object=completion_pb2.JsonObjectFormat()),
        sampling=completion_pb2.Sampling(temperature=0.5, max_output_tokens=50),
        agent={"allowed_tools": ["weather"]},
    )

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        await stream(running, request)

    first, second, last = (asked.body for asked in upstream.requests)
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


async def test_a_fallback_model_without_native_tools(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Where a model that may step in is not given tools natively, steps are asked for in JSON, which both can write."""
    upstream.always.fail(500)
    judge.reply(plan(using("weather", city="Paris")))
    judge.reply(plan())
    judge.reply("It rains.")
    config = agent_config(upstream, entry=native_entry(upstream), max_retries=0)
    other = model_entry(judge.api_base, "other", prices=PRICES)

    async with serving(replace(config, models={**config.models, "other": other})) as running:
        events = await stream(running, reasoning_request(fallback_models=["other"]))

    assert (end(finished(events)), text(events)) == ("FINISHED", "It rains.")
    assert [execution.result for execution in executions(events)] == ["Paris: rain for 1 days"]
    for asked in (*upstream.requests, *judge.requests):
        assert "tools" not in asked.body


async def test_ids_that_come_again(upstream: FakeUpstream) -> None:
    """Some servers number their calls from zero in each answer; within ours each id is another."""
    for city in ("Paris", "Rome"):
        upstream.reply(tool_calls=[FakeToolCall("call_0", "weather", json.dumps({"city": city}))])
    upstream.reply("READY")
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        events = await stream(running, reasoning_request())

    check_grammar(events, ended_well=True)
    assert len({execution.call_id for execution in executions(events)}) == 2
    messages = upstream.requests[-1].body["messages"]
    called = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    assert called == [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert len(set(called)) == 2


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
@pytest.mark.parametrize(
    ("arguments", "back"),
    [
        pytest.param('{"city": ', {"malformed_arguments": '{"city": '}, id="cut"),
        pytest.param("[1]", {"malformed_arguments": "[1]"}, id="no-object"),
        pytest.param("", {}, id="none"),
        pytest.param('{ "city": 1 }', {"city": 1}, id="wrong-type"),
    ],
)
async def test_arguments_that_servers_refuse(
    upstream: FakeUpstream, provider: str, arguments: str, back: dict[str, Any]
) -> None:
    """A call whose arguments are no JSON object fails, and goes back as one: some servers refuse all else."""
    upstream.reply("I look it up.", tool_calls=[FakeToolCall("c1", "weather", arguments)])
    upstream.reply("READY")
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider))) as running:
        events = await stream(running, reasoning_request())

    assert [(status(each), each.arguments) for each in executions(events)] == [("INVALID_ARGUMENTS", arguments or "{}")]
    for asked in upstream.requests[1:]:
        (said,) = [message["tool_calls"] for message in asked.body["messages"] if message.get("tool_calls")]
        assert [json.loads(call["function"]["arguments"]) for call in said] == [back]


async def test_a_tool_that_takes_nothing(upstream: FakeUpstream) -> None:
    """Some servers say nothing where a call has no arguments: it is run."""
    upstream.reply(tool_calls=[FakeToolCall("c1", "count", "")])
    upstream.reply("READY")
    upstream.reply("One.")

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        events = await stream(running, reasoning_request())

    assert [(status(each), each.arguments) for each in executions(events)] == [("OK", "{}")]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("reasoning", [(), ("Hm.",)])
async def test_a_step_that_says_nothing(upstream: FakeUpstream, provider: str, reasoning: tuple[str, ...]) -> None:
    """A model that neither speaks nor calls is ready; where empty words are refused, it is sent none next."""
    upstream.reply(tool_calls=[PARIS])
    upstream.reply(reasoning=reasoning, finish_reason="stop")
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider))) as running:
        events = await stream(running, reasoning_request())

    assert (end(finished(events)), text(events)) == ("FINISHED", "It rains.")
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
async def test_a_step_that_breaks_off(upstream: FakeUpstream, provider: str, answer: Mapping[str, Any]) -> None:
    """A model that declines, is filtered or cut before it called a tool has not said that it is ready."""
    upstream.reply(tool_calls=[PARIS])
    upstream.reply(**dict(answer))
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider))) as running:
        events = await stream(running, reasoning_request())

    check_grammar(events, ended_well=True)
    assert (end(finished(events)), outcomes(events)) == ("STEP_FAILED", ["DONE", "INVALID_PLAN"])
    assert text(events) == "It rains."


async def test_an_answer_that_calls_a_tool_all_the_same(upstream: FakeUpstream) -> None:
    """The server's tools are not the caller's: a call in the answer is none for it, however the model ended."""
    upstream.reply("READY")
    upstream.reply("It rains.", tool_calls=[PARIS])
    upstream.reply("READY")
    upstream.reply("It rains.", tool_calls=[PARIS])

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        events = await stream(running, reasoning_request())
        answer = await running.client().complete(reasoning_request())

    assert "tool_call_delta" not in kinds(events)
    completed = events[-1].completed
    assert completed.finish_reason == completion_pb2.FINISH_REASON_OTHER
    assert completed.provider_finish_reason == "tool_calls"
    assert [part.WhichOneof("kind") for part in answer.message.content] == ["text"]
    assert answer.finish_reason == completion_pb2.FINISH_REASON_OTHER


async def test_calls_that_are_not_run_have_a_result(upstream: FakeUpstream) -> None:
    """Providers want a result for each call: where a budget keeps one from being run, the result says so."""
    upstream.reply(tool_calls=[PARIS, ROME])
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        events = await stream(running, reasoning_request(agent={"max_tool_calls": 1}))

    results = [message for message in upstream.requests[-1].body["messages"] if message["role"] == "tool"]
    assert [result["tool_call_id"] for result in results] == ["toolu_1", "toolu_2"]
    assert "not run" in results[1]["content"]
    assert end(finished(events)) == "MAX_TOOL_CALLS"


async def test_a_native_loop(upstream: FakeUpstream) -> None:
    """Loops are noticed whatever the ids of the calls are."""
    for number in range(3):
        upstream.reply(tool_calls=[FakeToolCall(f"c{number}", "weather", '{"city": "Paris"}')])
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        events = await stream(running, reasoning_request())

    assert (end(finished(events)), finished(events).tool_call_count, text(events)) == ("LOOP", 2, "It rains.")


@NATIVE
async def test_a_native_step_that_is_cut(upstream: FakeUpstream, provider: str) -> None:
    """An upstream that breaks off in the middle of a step is a status, however much of a plan was there."""
    upstream.reply("I look", tool_calls=[PARIS], finish_reason=None, done=False, usage=None)

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider), max_retries=0)) as running:
        events, failure = await outcome(running, reasoning_request())

    assert failure is not None
    assert failure.reason == "UPSTREAM_STREAM_TRUNCATED"
    assert "tool_started" not in kinds(events)
    assert failure.interruption is not None
    assert failure.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED


async def test_signed_thinking_goes_back_to_anthropic(upstream: FakeUpstream) -> None:
    """Thinking stands with its signature before the call it led to, byte for byte, and so does what was withheld."""
    upstream.reply(
        "I look.",
        reasoning=("Is it ", "raining? ä\U0001f327"),
        reasoning_signature=SIGNATURE,
        redacted_reasoning=("d2l0aGhlbGQ=",),
        tool_calls=[PARIS],
    )
    upstream.reply("READY", reasoning=("It is.",), reasoning_signature=SECOND_SIGNATURE)
    upstream.reply("It rains.", reasoning=("I say so.",), reasoning_signature=SIGNATURE)
    request = reasoning_request(reasoning=completion_pb2.ReasoningOptions(budget_tokens=2048))

    async with serving(agent_config(upstream, entry=thinking_entry(upstream))) as running:
        events = await stream(running, request)

    check_grammar(events, ended_well=True)
    _, second, last = (asked.body for asked in upstream.requests)
    blocks = next(message["content"] for message in second["messages"] if message["role"] == "assistant")
    assert blocks == [
        {"type": "thinking", "thinking": "Is it raining? ä\U0001f327", "signature": SIGNATURE},
        {"type": "redacted_thinking", "data": "d2l0aGhlbGQ="},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
    ]
    signed = [block for message in last["messages"] for block in message["content"] if "signature" in block]
    assert [block["signature"] for block in signed] == [SIGNATURE, SECOND_SIGNATURE]
    check_reasoning(events, ["Is it raining? ä\U0001f327", "It is."], "I say so.")


@pytest.mark.parametrize(
    ("asked", "most"),
    [
        pytest.param({"budget_tokens": 2048}, 2048 + 1024, id="budget"),
        pytest.param({"effort": completion_pb2.REASONING_EFFORT_LOW}, 4096 + 1024, id="low"),
        pytest.param({"effort": completion_pb2.REASONING_EFFORT_HIGH}, 4096 + 1024, id="high"),
        pytest.param({"effort": completion_pb2.REASONING_EFFORT_NONE}, 1024, id="none"),
    ],
)
async def test_thinking_fits_into_each_step(upstream: FakeUpstream, asked: Mapping[str, Any], most: int) -> None:
    """What a model may think comes on top of what its plan may take: providers refuse a budget that is not below it."""
    upstream.reply("READY")
    upstream.reply("It rains.")
    request = reasoning_request(reasoning=completion_pb2.ReasoningOptions(**asked))

    async with serving(agent_config(upstream, entry=thinking_entry(upstream))) as running:
        await stream(running, request)

    step = upstream.requests[0].body
    assert step["max_tokens"] == most
    assert step.get("thinking", {"budget_tokens": 0})["budget_tokens"] < most


async def test_a_budget_of_tokens_counts_what_may_be_thought(upstream: FakeUpstream) -> None:
    """No step begins for which the model's reasoning would leave nothing."""
    upstream.reply("It rains.")
    request = reasoning_request(
        reasoning=completion_pb2.ReasoningOptions(budget_tokens=2048), agent={"max_tokens": 2048}
    )

    async with serving(agent_config(upstream, entry=thinking_entry(upstream))) as running:
        events = await stream(running, request)

    assert (end(finished(events)), finished(events).step_count) == ("TOKEN_BUDGET", 0)


async def test_a_budget_of_tokens_counts_the_tools(upstream: FakeUpstream) -> None:
    """What the tools take of a prompt leaves less of the budget for the plan."""
    upstream.reply("READY")
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        await stream(running, reasoning_request(agent={"max_tokens": 1000}))

    body = upstream.requests[0].body
    words = sum(len(message["content"]) for message in body["messages"])
    words += sum(len(json.dumps(tool["function"]["parameters"])) for tool in body["tools"])
    assert 1 <= body["max_tokens"] <= 1000 - words // 5


async def test_signed_reasoning_goes_back_on_our_own_wire(upstream: FakeUpstream) -> None:
    """Steps in JSON: what was signed goes back with its step, what was not stays out of the next one."""
    upstream.reply(plan(using("weather", city="Paris")), reasoning=("Hm.",), reasoning_signature=SIGNATURE)
    upstream.reply(plan(using("weather", city="Rome")), reasoning=("Just so.",))
    upstream.reply(plan())
    upstream.reply("It rains.", reasoning=("I say so.",))

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    check_grammar(events, ended_well=True)
    said = [message for message in upstream.requests[2].body["messages"] if message["role"] == "assistant"]
    assert said[0]["thinking_blocks"] == [{"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE}]
    assert {"thinking_blocks", "reasoning_content"}.isdisjoint(said[1])
    check_reasoning(events, ["Hm.", "Just so."], "I say so.")


@pytest.mark.parametrize("provider", ["openai", "gemini"])
async def test_a_signed_call_goes_back(upstream: FakeUpstream, provider: str) -> None:
    """What signs a tool call goes back with it."""
    upstream.reply(tool_calls=[PARIS], tool_signature=SIGNATURE)
    upstream.reply("READY")
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider))) as running:
        await stream(running, reasoning_request())

    for asked in upstream.requests[1:]:
        assert asked.raw.decode().count(SIGNATURE) == 1


async def test_reasoning_that_nobody_asked_for_is_counted(upstream: FakeUpstream) -> None:
    """The model's reasoning in steps is paid for, and read, whether or not the caller wants to see it."""
    upstream.reply(
        plan(), reasoning=("Hm.",), usage={**tokens(10, 20), "completion_tokens_details": {"reasoning_tokens": 9}}
    )
    upstream.reply("It rains.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request(include=completion_pb2.IncludeOptions(model_calls=True)))

    assert "reasoning_delta" not in kinds(events)
    assert events[-1].completed.usage.reasoning_tokens == 9 + 2
    assert outcomes(events) == ["DONE"]


def thinking_entry(upstream: FakeUpstream) -> Any:
    """A model of Anthropic's that thinks, with native tools."""
    capabilities = frozenset({Capability.REASONING, Capability.TOOLS})
    return native_entry(upstream, "anthropic", litellm_model="anthropic/claude-sonnet-4-5", capabilities=capabilities)


def check_reasoning(events: Any, steps: list[str], answer: str) -> None:
    """The model's reasoning is told as it came: that of steps in its step, that of the answer outside."""
    deltas = [event for event in events if event.WhichOneof("kind") == "reasoning_delta"]
    for number, said in enumerate(steps, 1):
        assert "".join(delta.reasoning_delta.text for delta in deltas if delta.step == number) == said
    assert "".join(delta.reasoning_delta.text for delta in deltas if not delta.step) == answer
