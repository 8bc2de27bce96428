"""The reasoning of the model in the steps of the agent: it goes back with its signature, and counts."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from reasoning_grpc.domain import Capability
from reasoning_grpc.v1 import completion_pb2
from tests.support.agent import (
    agent_config,
    build_usage,
    collect_events,
    find_finish,
    list_kinds,
    list_outcomes,
    name_end,
    native_entry,
    plan_call,
    reasoning_request,
    write_plan,
)
from tests.support.agent_grammar import check_grammar
from tests.support.serving import serving
from tests.support.upstream import FakeToolCall, FakeUpstream

PARIS: Final = FakeToolCall("toolu_1", "weather", '{"city": "Paris"}')
SIGNATURE: Final = "c2lnbmVk+/=" * 3
SECOND_SIGNATURE: Final = "YWdhaW4=" * 3


async def test_signed_thinking_goes_back_to_anthropic(upstream: FakeUpstream) -> None:
    """Signed and redacted thinking goes back to Anthropic unchanged, before the tool call that it led to."""
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
        pytest.param({"effort": completion_pb2.REASONING_EFFORT_MAX}, 16_384 + 1024, id="max"),
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
