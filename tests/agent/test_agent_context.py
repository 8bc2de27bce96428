"""The agent in a small context window leaves out old messages, and keeps the question and the results."""

import json
from dataclasses import replace
from typing import Any

import pytest

from reasoning_grpc.agent.calls import AgentCalls
from reasoning_grpc.agent.transcript import Transcript
from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import Capability, ModelSourceKind
from reasoning_grpc.llm import ContextWindows
from reasoning_grpc.v1 import agent_pb2, completion_pb2, messages_pb2, routing_pb2
from tests.support.agent import PRICES, agent_config, plan_call, write_plan
from tests.support.factories import a_call
from tests.support.models import ScriptedModel, a_model
from tests.support.serving import model_entry, serving
from tests.support.upstream import FakeUpstream

WINDOW = 4096
REASONING = routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_REASONING)
QUESTION = "What is the weather in Oslo?"


def build_message(text: str, role: Any = messages_pb2.ROLE_USER) -> messages_pb2.Message:
    """Builds a message of one text."""
    return messages_pb2.Message(role=role, content=[messages_pb2.Part(text=text)])


def build_long_conversation() -> list[messages_pb2.Message]:
    """Builds a conversation that is longer than the window and ends with the question."""
    past = [
        build_message(f"{number} {'words ' * 200}", role)
        for number in range(12)
        for role in (messages_pb2.ROLE_USER, messages_pb2.ROLE_ASSISTANT)
    ]
    return [build_message("Be brief.", messages_pb2.ROLE_SYSTEM), *past, build_message(QUESTION)]


@pytest.mark.parametrize("policy", [0, completion_pb2.CONTEXT_POLICY_TRUNCATE_OLDEST], ids=["none", "truncate"])
async def test_old_messages_are_left_out(upstream: FakeUpstream, policy: Any) -> None:
    """The oldest messages are left out and counted so that each model call fits; question and results stay."""
    upstream.reply(write_plan(plan_call("weather", city="Oslo")))
    upstream.reply(write_plan(plan_call("write_letters", characters=5000)))
    upstream.reply(write_plan())
    schemas = frozenset({Capability.JSON_SCHEMA})
    entry = model_entry(upstream.api_base, prices=PRICES, context_window_tokens=WINDOW, capabilities=schemas)

    async with serving(agent_config(upstream, entry=entry, tool_limits={"max_result_characters": 6000})) as running:
        request = completion_pb2.CompleteRequest(
            messages=build_long_conversation(),
            routing=REASONING,
            context_policy=policy,
            include=completion_pb2.IncludeOptions(model_calls=True),
        )
        events = [event async for event in running.client().stream(request)]

    assert len(upstream.requests) == 4
    for upstream_request in upstream.requests:
        assert len(upstream_request.raw) < 6 * WINDOW
        texts = [json.dumps(message["content"]) for message in upstream_request.body["messages"]]
        assert "Be brief." in texts[0]
        assert any(QUESTION in text for text in texts)
        assert '"0 words' not in upstream_request.raw.decode()
    assert "Oslo" in json.dumps(upstream.requests[1].body["messages"][-1])
    for upstream_request in upstream.requests[2:]:
        assert "\u00e4\u00e4... [cut: 5,000 characters in all]" in upstream_request.body["messages"][-1]["content"]
    assert "Oslo" in upstream.requests[3].body["messages"][-1]["content"]
    finished = [event.model_call_finished for event in events if event.HasField("model_call_finished")]
    assert [call.omitted_messages > 0 and call.omitted_tokens > 0 for call in finished] == [True] * 4
    assert any(setting.field == "messages" for setting in events[0].started.effective_settings) == bool(policy)


@pytest.mark.parametrize(
    ("source", "budget", "tokens"),
    [
        pytest.param(ModelSourceKind.CONFIGURATION, None, 256, id="configured"),
        pytest.param(ModelSourceKind.EMBEDDED, None, 276, id="embedded"),
        pytest.param(ModelSourceKind.EMBEDDED, 100, 100, id="budget"),
    ],
)
async def test_a_plan_of_the_embedded_model_has_room_for_a_fence(
    source: ModelSourceKind, budget: int | None, tokens: int
) -> None:
    """The embedded model gets 20 tokens more for a plan, which may be in a code fence; a budget stays as it is."""
    model = a_model(source=source, context_window_tokens=WINDOW)
    direct = a_call()
    windows = ContextWindows(ScriptedModel(models=(model,)), unknown_window_tokens=WINDOW)
    transcript = Transcript(direct.messages, "Think.", native=False)
    calls = AgentCalls(direct, model, transcript, windows, tools=(), plan_request=None, fits=False)

    call = await calls.build_step_call(budget)

    assert call.sampling.max_output_tokens == tokens


async def test_a_token_budget_counts_only_what_is_sent(upstream: FakeUpstream) -> None:
    """Messages that are left out take nothing from the budget of tokens."""
    upstream.reply(write_plan())
    entry = model_entry(upstream.api_base, prices=PRICES, context_window_tokens=WINDOW)

    async with serving(agent_config(upstream, entry=entry)) as running:
        agent = agent_pb2.AgentOptions(max_tokens=6000)
        request = completion_pb2.CompleteRequest(messages=build_long_conversation(), routing=REASONING, agent=agent)
        answer = await running.client().complete(request)

    assert answer.reasoning_finished.reason == agent_pb2.REASONING_END_FINISHED


async def test_everything_is_sent_where_the_window_is_unknown(upstream: FakeUpstream) -> None:
    """Where the window is unknown and the request has no policy, the whole conversation is sent."""
    upstream.reply(write_plan())

    async with serving(agent_config(upstream)) as running:
        request = completion_pb2.CompleteRequest(messages=build_long_conversation(), routing=REASONING)
        await running.client().complete(request)

    for upstream_request in upstream.requests:
        assert "0 words" in upstream_request.raw.decode()
        assert "11 words" in upstream_request.raw.decode()


async def test_the_policy_error_refuses_before_the_first_step(upstream: FakeUpstream) -> None:
    """With the policy ERROR, a conversation that does not fit is refused before any model call."""
    entry = replace(model_entry(upstream.api_base, prices=PRICES), context_window_tokens=1024)

    async with serving(agent_config(upstream, entry=entry)) as running:
        policy = completion_pb2.CONTEXT_POLICY_ERROR
        request = completion_pb2.CompleteRequest(
            messages=build_long_conversation(), routing=REASONING, context_policy=policy
        )
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(request)

    assert failed.value.reason == "CONTEXT_WINDOW_EXCEEDED"
    assert failed.value.interruption is None
    assert upstream.requests == []
