"""The agent in a small context window: what is left out of its model calls, and what never is."""

import json
from dataclasses import replace
from typing import Any

import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import Capability
from reasoning_grpc.v1 import agent_pb2, completion_pb2, messages_pb2, routing_pb2
from tests.support.agent import PRICES, agent_config, plan, using
from tests.support.serving import model_entry, serving
from tests.support.upstream import FakeUpstream

WINDOW = 4096
REASONING = routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_REASONING)
QUESTION = "What is the weather in Oslo?"


def said(text: str, role: Any = messages_pb2.ROLE_USER) -> messages_pb2.Message:
    """A message of one text."""
    return messages_pb2.Message(role=role, content=[messages_pb2.Part(text=text)])


def long_conversation() -> list[messages_pb2.Message]:
    """More than the window has room for, and the question."""
    past = [
        said(f"{number} {'words ' * 200}", role)
        for number in range(12)
        for role in (messages_pb2.ROLE_USER, messages_pb2.ROLE_ASSISTANT)
    ]
    return [said("Be brief.", messages_pb2.ROLE_SYSTEM), *past, said(QUESTION)]


@pytest.mark.parametrize("policy", [0, completion_pb2.CONTEXT_POLICY_TRUNCATE_OLDEST], ids=["none", "truncate"])
async def test_a_long_conversation_makes_room(upstream: FakeUpstream, policy: Any) -> None:
    """Each model call fits: the oldest messages go, the question and what the tools gave stay, and it is told."""
    upstream.reply(plan(using("weather", city="Oslo")))
    upstream.reply(plan(using("write_letters", characters=5000)))
    upstream.reply(plan())
    schemas = frozenset({Capability.JSON_SCHEMA})
    entry = model_entry(upstream.api_base, prices=PRICES, context_window_tokens=WINDOW, capabilities=schemas)

    async with serving(agent_config(upstream, entry=entry, tool_limits={"max_result_characters": 6000})) as running:
        request = completion_pb2.CompleteRequest(
            messages=long_conversation(),
            routing=REASONING,
            context_policy=policy,
            include=completion_pb2.IncludeOptions(model_calls=True),
        )
        events = [event async for event in running.client().stream(request)]

    assert len(upstream.requests) == 4
    for captured in upstream.requests:
        assert len(captured.raw) < 6 * WINDOW
        texts = [json.dumps(message["content"]) for message in captured.body["messages"]]
        assert "Be brief." in texts[0]
        assert any(QUESTION in text for text in texts)
        assert '"0 words' not in captured.raw.decode()
    assert "Oslo" in json.dumps(upstream.requests[1].body["messages"][-1])
    for captured in upstream.requests[2:]:
        assert "\u00e4\u00e4... [cut: 5,000 characters in all]" in captured.body["messages"][-1]["content"]
    assert "Oslo" in upstream.requests[3].body["messages"][-1]["content"]
    finished = [event.model_call_finished for event in events if event.HasField("model_call_finished")]
    assert [call.omitted_messages > 0 and call.omitted_tokens > 0 for call in finished] == [True] * 4
    assert any(setting.field == "messages" for setting in events[0].started.effective_settings) == bool(policy)


async def test_a_budget_of_tokens_counts_what_is_sent(upstream: FakeUpstream) -> None:
    """Of a conversation that makes room, what is left out takes nothing from the budget."""
    upstream.reply(plan())
    entry = model_entry(upstream.api_base, prices=PRICES, context_window_tokens=WINDOW)

    async with serving(agent_config(upstream, entry=entry)) as running:
        agent = agent_pb2.AgentOptions(max_tokens=6000)
        request = completion_pb2.CompleteRequest(messages=long_conversation(), routing=REASONING, agent=agent)
        answer = await running.client().complete(request)

    assert answer.reasoning_finished.reason == agent_pb2.REASONING_END_FINISHED


async def test_an_unknown_window_is_left_alone(upstream: FakeUpstream) -> None:
    """Where nobody knows the window, and no policy is given, everything is sent."""
    upstream.reply(plan())

    async with serving(agent_config(upstream)) as running:
        request = completion_pb2.CompleteRequest(messages=long_conversation(), routing=REASONING)
        await running.client().complete(request)

    for captured in upstream.requests:
        assert "0 words" in captured.raw.decode()
        assert "11 words" in captured.raw.decode()


async def test_a_conversation_that_is_refused_costs_nothing(upstream: FakeUpstream) -> None:
    """With the policy ERROR what does not fit is refused before the first step."""
    entry = replace(model_entry(upstream.api_base, prices=PRICES), context_window_tokens=1024)

    async with serving(agent_config(upstream, entry=entry)) as running:
        policy = completion_pb2.CONTEXT_POLICY_ERROR
        request = completion_pb2.CompleteRequest(messages=long_conversation(), routing=REASONING, context_policy=policy)
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(request)

    assert failed.value.reason == "CONTEXT_WINDOW_EXCEEDED"
    assert failed.value.interruption is None
    assert upstream.requests == []
