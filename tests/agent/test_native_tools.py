"""The agent with native tool calls, and the reasoning of the model on its way through the steps."""

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
    build_usage,
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
SIGNATURE: Final = "c2lnbmVk+/=" * 3
SECOND_SIGNATURE: Final = "YWdhaW4=" * 3
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
    """A call whose arguments are no JSON object fails, and is sent back as one, because some servers refuse others."""
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


async def test_signed_thinking_goes_back_to_anthropic(upstream: FakeUpstream) -> None:
    """Signed and redacted thinking is sent back unchanged before the tool call that it led to."""
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
        events = await collect_events(running, request)

    check_grammar(events, ended_well=True)
    _, second, last = (upstream_request.body for upstream_request in upstream.requests)
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
    ("reasoning", "max_tokens"),
    [
        pytest.param({"budget_tokens": 2048}, 2048 + 1024, id="budget"),
        pytest.param({"effort": completion_pb2.REASONING_EFFORT_LOW}, 4096 + 1024, id="low"),
        pytest.param({"effort": completion_pb2.REASONING_EFFORT_HIGH}, 4096 + 1024, id="high"),
        pytest.param({"effort": completion_pb2.REASONING_EFFORT_NONE}, 1024, id="none"),
    ],
)
async def test_the_reasoning_budget_is_added_to_the_plans_limit(
    upstream: FakeUpstream, reasoning: Mapping[str, Any], max_tokens: int
) -> None:
    """A step may have the tokens of its plan and those of the reasoning budget, which has to be the smaller number."""
    upstream.reply("READY")
    upstream.reply("It rains.")
    request = reasoning_request(reasoning=completion_pb2.ReasoningOptions(**reasoning))

    async with serving(agent_config(upstream, entry=thinking_entry(upstream))) as running:
        await collect_events(running, request)

    step = upstream.requests[0].body
    assert step["max_tokens"] == max_tokens
    assert step.get("thinking", {"budget_tokens": 0})["budget_tokens"] < max_tokens


async def test_a_token_budget_includes_the_reasoning_budget(upstream: FakeUpstream) -> None:
    """No step starts when the budget of tokens has no room beside the reasoning budget."""
    upstream.reply("It rains.")
    request = reasoning_request(
        reasoning=completion_pb2.ReasoningOptions(budget_tokens=2048), agent={"max_tokens": 2048}
    )

    async with serving(agent_config(upstream, entry=thinking_entry(upstream))) as running:
        events = await collect_events(running, request)

    assert (name_end(find_finish(events)), find_finish(events).step_count) == ("TOKEN_BUDGET", 0)


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


async def test_signed_reasoning_goes_back_with_steps_in_json(upstream: FakeUpstream) -> None:
    """Steps in JSON are sent back with their signed reasoning, and without reasoning that is not signed."""
    upstream.reply(write_plan(plan_call("weather", city="Paris")), reasoning=("Hm.",), reasoning_signature=SIGNATURE)
    upstream.reply(write_plan(plan_call("weather", city="Rome")), reasoning=("Just so.",))
    upstream.reply(write_plan())
    upstream.reply("It rains.", reasoning=("I say so.",))

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    check_grammar(events, ended_well=True)
    messages = [message for message in upstream.requests[2].body["messages"] if message["role"] == "assistant"]
    assert messages[0]["thinking_blocks"] == [{"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE}]
    assert {"thinking_blocks", "reasoning_content"}.isdisjoint(messages[1])
    check_reasoning(events, ["Hm.", "Just so."], "I say so.")


@pytest.mark.parametrize("provider", ["openai", "gemini"])
async def test_the_signature_of_a_call_goes_back(upstream: FakeUpstream, provider: str) -> None:
    """The signature of a tool call is sent back with the call."""
    upstream.reply(tool_calls=[PARIS], tool_signature=SIGNATURE)
    upstream.reply("READY")
    upstream.reply("It rains.")

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider))) as running:
        await collect_events(running, reasoning_request())

    for upstream_request in upstream.requests[1:]:
        assert upstream_request.raw.decode().count(SIGNATURE) == 1


async def test_reasoning_that_is_not_included_is_counted(upstream: FakeUpstream) -> None:
    """The reasoning tokens of steps are counted even if the request does not include the reasoning."""
    upstream.reply(
        write_plan(),
        reasoning=("Hm.",),
        usage={**build_usage(10, 20), "completion_tokens_details": {"reasoning_tokens": 9}},
    )
    upstream.reply("It rains.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(
            running, reasoning_request(include=completion_pb2.IncludeOptions(model_calls=True))
        )

    assert "reasoning_delta" not in list_kinds(events)
    assert events[-1].completed.usage.reasoning_tokens == 9 + 2
    assert list_outcomes(events) == ["DONE"]


def thinking_entry(upstream: FakeUpstream) -> Any:
    """Builds the entry of an Anthropic model that reasons, with native tools."""
    capabilities = frozenset({Capability.REASONING, Capability.TOOLS})
    return native_entry(upstream, "anthropic", litellm_model="anthropic/claude-sonnet-4-5", capabilities=capabilities)


def check_reasoning(events: Any, steps: list[str], answer: str) -> None:
    """Checks that the reasoning of each step has the number of the step, and that of the answer has none."""
    deltas = [event for event in events if event.WhichOneof("kind") == "reasoning_delta"]
    for number, reasoning in enumerate(steps, 1):
        assert "".join(delta.reasoning_delta.text for delta in deltas if delta.step == number) == reasoning
    assert "".join(delta.reasoning_delta.text for delta in deltas if not delta.step) == answer
