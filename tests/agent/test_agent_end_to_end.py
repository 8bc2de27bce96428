"""The agent against everything that there is: the embedded model, a LiteLLM proxy, the plain path, a classifier."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from reasoning_grpc.catalog.embedded_entry import EMBEDDED_NAME
from reasoning_grpc.config import Config, ToolEntry
from reasoning_grpc.domain import Capability, Secret
from reasoning_grpc.v1 import agent_pb2, completion_pb2, events_pb2, routing_pb2, usage_pb2
from tests.support.agent import (
    PRICES,
    TOOLS,
    agent_config,
    end,
    executions,
    finished,
    kinds,
    of_kind,
    plan,
    purposes,
    reasoning_request,
    shown,
    status,
    stream,
    text,
    using,
)
from tests.support.agent_grammar import check_grammar
from tests.support.litellm_proxy import SERVER_KEY, LiteLLMProxy
from tests.support.serving import RunningServer, config_for, judging_config, model_entry, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream


def with_tools(config: Config) -> Config:
    """The configuration with the tools of the tests."""
    return replace(config, tools={name: ToolEntry(name=name, function=function) for name, function in TOOLS.items()})


@pytest.mark.process
async def test_on_the_embedded_model() -> None:
    """On a real model a run with tools keeps the grammar, whatever it thinks, and ends with an answer."""
    request = reasoning_request(
        "How much is 12 times 12?", agent={"max_steps": 2}, sampling=completion_pb2.Sampling(max_output_tokens=20)
    )

    async with serving(config_for()) as running:
        events = await stream(running, request)

    check_grammar(events, ended_well=True)
    completed = events[-1].completed
    assert completed.model == EMBEDDED_NAME
    assert completed.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert completed.cost.total_nano_usd == 0
    assert end(finished(events)) in {"FINISHED", "MAX_STEPS", "STEP_FAILED"}
    assert 1 <= finished(events).step_count <= 2
    assert completed.model_calls[-1].usage.output_tokens >= 1


@pytest.mark.process
async def test_through_a_litellm_proxy(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A real proxy passes on what each step asks, in JSON by a schema and by tool calls, and what it used."""
    proxy = LiteLLMProxy(tmp_path, upstream.api_base)
    entry = model_entry(
        f"{proxy.base_url}/v1",
        litellm_model="litellm_proxy/fake",
        api_key=Secret(SERVER_KEY),
        capabilities=frozenset({Capability.JSON_SCHEMA, Capability.TOOLS}),
        prices=PRICES,
    )
    config = agent_config(upstream, entry=entry)
    native = replace(entry, name="native", native_tools=True)

    await proxy.start()
    try:
        async with serving(replace(config, models={"fake": entry, "native": native})) as running:
            await check_steps_in_json(upstream, running)
            upstream.requests.clear()
            await check_native_steps(upstream, running)
    finally:
        await proxy.kill()


async def check_steps_in_json(upstream: FakeUpstream, running: RunningServer) -> None:
    """One run with steps in JSON, one of which has to be mended."""
    upstream.reply("no plan")
    upstream.reply(plan(using("weather", city="Paris"), thought="I look it up."))
    upstream.reply(plan())
    upstream.reply("It ", "rains.")

    events = await stream(running, reasoning_request("Weather?"))

    check_run(events, ["STEP", "REPAIR", "STEP", "SYNTHESIS"])
    bodies = [asked.body for asked in upstream.requests if asked.body]
    assert [(body.get("response_format") or {}).get("type") for body in bodies] == [*["json_schema"] * 3, None]
    assert not any("tools" in body for body in bodies)
    assert "Paris: rain for 1 days" in "".join(shown(bodies[-1]["messages"]))


async def check_native_steps(upstream: FakeUpstream, running: RunningServer) -> None:
    """One run with steps by tool calls."""
    upstream.reply("I look it up.", tool_calls=[FakeToolCall("c1", "weather", '{"city": "Paris"}')])
    upstream.reply("READY")
    upstream.reply("It ", "rains.")

    events = await stream(running, reasoning_request("Weather?", model="native"))

    check_run(events, ["STEP", "STEP", "SYNTHESIS"])
    bodies = [asked.body for asked in upstream.requests if asked.body]
    assert all("tools" in body and "response_format" not in body for body in bodies)
    assert [body.get("tool_choice") for body in bodies] == [None, None, "none"]
    assert [message["role"] for message in bodies[-1]["messages"]] == [
        *("system", "user", "assistant", "tool", "assistant", "user")
    ]


def check_run(events: Sequence[events_pb2.StreamCompleteResponse], calls: list[str]) -> None:
    """A run that looked up the weather with so many model calls."""
    check_grammar(events, ended_well=True)
    assert of_kind(events, "step_planned")[0].thought == "I look it up."
    assert [(status(each), each.result) for each in executions(events)] == [("OK", "Paris: rain for 1 days")]
    assert (end(finished(events)), text(events)) == ("FINISHED", "It rains.")
    usage = events[-1].completed.usage
    assert purposes(events[-1].completed.model_calls) == calls
    assert (usage.total_tokens, usage.source) == (18 * len(calls), usage_pb2.USAGE_SOURCE_PROVIDER)


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "hosted_vllm"])
async def test_in_json_on_the_plain_path(upstream: FakeUpstream, provider: str) -> None:
    """Providers that litellm translates for get the same steps in JSON."""
    upstream.reply("no plan")
    upstream.reply(plan(using("weather", city="Paris"), thought="I look it up."))
    upstream.reply(plan())
    upstream.reply("It ", "rains.")

    async with serving(agent_config(upstream, entry=provider_entry(upstream, provider, prices=PRICES))) as running:
        events = await stream(running, reasoning_request("Weather?"))

    check_run(events, ["STEP", "REPAIR", "STEP", "SYNTHESIS"])


async def test_after_a_classifier(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A request that a model routes to the agent tells of that call too, and pays for it."""
    judge.reply(json.dumps({"route": "reasoning"}))
    upstream.reply(plan())
    upstream.reply("The answer.")
    request = reasoning_request("Plan my week.")
    request.routing.mode = routing_pb2.ROUTING_MODE_AUTO

    async with serving(with_tools(judging_config(upstream, judge))) as running:
        events = await stream(running, request)

    assert kinds(events)[:4] == ["started", "model_call_started", "model_call_finished", "step_started"]
    assert events[0].started.route_decision.mode == routing_pb2.ROUTING_MODE_REASONING
    usage = events[-1].completed.usage
    assert purposes(events[-1].completed.model_calls) == ["ROUTING", "STEP", "SYNTHESIS"]
    assert [call.model for call in events[-1].completed.model_calls] == ["judge", "fake", "fake"]
    assert usage.total_tokens == 3 * 18
    assert finished(events).usage.total_tokens == 2 * 18
    assert events[-1].completed.cost.total_nano_usd == sum(item.nano_usd for item in events[-1].completed.cost.items)


async def test_the_line_in_the_log(upstream: FakeUpstream, caplog: pytest.LogCaptureFixture) -> None:
    """A run has one line, with all that its model calls used; nobody's words are in any log."""
    caplog.set_level(logging.DEBUG)
    upstream.reply(plan(using("note", text="a-secret-argument"), thought="a-secret-thought"))
    upstream.reply(plan())
    upstream.reply("a-secret-answer")

    async with serving(agent_config(upstream)) as running:
        await running.client().complete(reasoning_request("a-secret-prompt"))

    (line,) = [vars(record) for record in caplog.records if record.name == "reasoning_grpc.calls"]
    assert (line["code"], line["route"], line["attempts"]) == ("OK", "reasoning", 3)
    assert (line["input_tokens"], line["output_tokens"], line["usage_source"]) == (33, 21, "PROVIDER")
    assert line["cost_nano_usd"] == 33 * 1000 + 21 * 2000
    ours = [str(vars(record)) for record in caplog.records if record.name.startswith("reasoning_grpc")]
    assert not [told for told in ours if "a-secret" in told]


def test_every_end_has_a_test() -> None:
    """Each reason for which the agent may stop thinking is asserted somewhere in these tests."""
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    for name in agent_pb2.ReasoningEnd.DESCRIPTOR.values_by_name:
        reason = name.removeprefix("REASONING_END_")
        assert reason == "UNSPECIFIED" or f'"{reason}"' in tests
