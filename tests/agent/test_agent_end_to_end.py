"""The agent with real parts: the embedded model, a LiteLLM proxy, translated providers, a classifier and the log."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from reasoning_grpc.config import Config, ToolEntry
from reasoning_grpc.domain import Capability, Secret
from reasoning_grpc.embedded.naming import BUNDLED_NAME
from reasoning_grpc.v1 import agent_pb2, completion_pb2, events_pb2, routing_pb2, usage_pb2
from tests.support.agent import (
    PRICES,
    TOOLS,
    agent_config,
    collect_events,
    find_finish,
    join_text,
    list_executions,
    list_kinds,
    list_purposes,
    name_end,
    name_status,
    plan_call,
    read_texts,
    reasoning_request,
    select_payloads,
    write_plan,
)
from tests.support.agent_grammar import check_grammar
from tests.support.litellm_proxy import SERVER_KEY, LiteLLMProxy
from tests.support.serving import RunningServer, config_for, judging_config, model_entry, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream


def add_tools(config: Config) -> Config:
    """Adds the tools of the tests to a configuration."""
    return replace(config, tools={name: ToolEntry(name=name, function=function) for name, function in TOOLS.items()})


@pytest.mark.process
async def test_the_embedded_model_can_run_the_agent() -> None:
    """A run on the embedded model follows the grammar and ends with an answer."""
    request = reasoning_request(
        "How much is 12 times 12?", agent={"max_steps": 2}, sampling=completion_pb2.Sampling(max_output_tokens=20)
    )

    async with serving(config_for()) as running:
        events = await collect_events(running, request)

    check_grammar(events, ended_well=True)
    completed = events[-1].completed
    assert completed.model == BUNDLED_NAME
    assert completed.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert completed.cost.total_nano_usd == 0
    assert name_end(find_finish(events)) in {"FINISHED", "MAX_STEPS", "STEP_FAILED"}
    assert 1 <= find_finish(events).step_count <= 2
    assert completed.model_calls[-1].usage.output_tokens >= 1


@pytest.mark.process
async def test_the_agent_works_through_a_litellm_proxy(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A real LiteLLM proxy forwards steps in JSON and by native tool calls, and reports their usage."""
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
    """Checks a run with steps in JSON, one of which needs a repair."""
    upstream.reply("no plan")
    upstream.reply(write_plan(plan_call("weather", city="Paris"), thought="I look it up."))
    upstream.reply(write_plan())
    upstream.reply("It ", "rains.")

    events = await collect_events(running, reasoning_request("Weather?"))

    check_run(events, ["STEP", "REPAIR", "STEP", "SYNTHESIS"])
    bodies = [upstream_request.body for upstream_request in upstream.requests if upstream_request.body]
    assert [(body.get("response_format") or {}).get("type") for body in bodies] == [*["json_schema"] * 3, None]
    assert not any("tools" in body for body in bodies)
    assert "Paris: rain for 1 days" in "".join(read_texts(bodies[-1]["messages"]))


async def check_native_steps(upstream: FakeUpstream, running: RunningServer) -> None:
    """Checks a run with steps by native tool calls."""
    upstream.reply("I look it up.", tool_calls=[FakeToolCall("c1", "weather", '{"city": "Paris"}')])
    upstream.reply("READY")
    upstream.reply("It ", "rains.")

    events = await collect_events(running, reasoning_request("Weather?", model="native"))

    check_run(events, ["STEP", "STEP", "SYNTHESIS"])
    bodies = [upstream_request.body for upstream_request in upstream.requests if upstream_request.body]
    assert all("tools" in body and "response_format" not in body for body in bodies)
    assert [body.get("tool_choice") for body in bodies] == [None, None, "none"]
    assert [message["role"] for message in bodies[-1]["messages"]] == [
        *("system", "user", "assistant", "tool", "assistant", "user")
    ]


def check_run(events: Sequence[events_pb2.StreamCompleteResponse], calls: list[str]) -> None:
    """Checks a run that looked up the weather with model calls for these purposes."""
    check_grammar(events, ended_well=True)
    assert select_payloads(events, "step_planned")[0].thought == "I look it up."
    assert [(name_status(each), each.result) for each in list_executions(events)] == [("OK", "Paris: rain for 1 days")]
    assert (name_end(find_finish(events)), join_text(events)) == ("FINISHED", "It rains.")
    usage = events[-1].completed.usage
    assert list_purposes(events[-1].completed.model_calls) == calls
    assert (usage.total_tokens, usage.source) == (18 * len(calls), usage_pb2.USAGE_SOURCE_PROVIDER)


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "bedrock", "hosted_vllm"])
async def test_translated_providers_get_steps_in_json(upstream: FakeUpstream, provider: str) -> None:
    """Providers that litellm translates for receive the steps in JSON."""
    upstream.reply("no plan")
    upstream.reply(write_plan(plan_call("weather", city="Paris"), thought="I look it up."))
    upstream.reply(write_plan())
    upstream.reply("It ", "rains.")

    async with serving(agent_config(upstream, entry=provider_entry(upstream, provider, prices=PRICES))) as running:
        events = await collect_events(running, reasoning_request("Weather?"))

    check_run(events, ["STEP", "REPAIR", "STEP", "SYNTHESIS"])


async def test_the_classifiers_call_is_part_of_the_usage(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A run that the classifier routed to the agent includes the classifier's model call in its usage and its cost."""
    judge.reply(json.dumps({"route": "reasoning"}))
    upstream.reply(write_plan())
    upstream.reply("The answer.")
    request = reasoning_request("Plan my week.")
    request.routing.mode = routing_pb2.ROUTING_MODE_AUTO

    async with serving(add_tools(judging_config(upstream, judge))) as running:
        events = await collect_events(running, request)

    assert list_kinds(events)[:4] == ["started", "model_call_started", "model_call_finished", "step_started"]
    assert events[0].started.route_decision.mode == routing_pb2.ROUTING_MODE_REASONING
    usage = events[-1].completed.usage
    assert list_purposes(events[-1].completed.model_calls) == ["ROUTING", "STEP", "SYNTHESIS"]
    assert [call.model for call in events[-1].completed.model_calls] == ["judge", "fake", "fake"]
    assert usage.total_tokens == 3 * 18
    assert find_finish(events).usage.total_tokens == 2 * 18
    assert events[-1].completed.cost.total_nano_usd == sum(item.nano_usd for item in events[-1].completed.cost.items)


async def test_a_run_has_one_line_in_the_log(upstream: FakeUpstream, caplog: pytest.LogCaptureFixture) -> None:
    """A run has one line in the log of calls with the usage of all its model calls, and no log has content."""
    caplog.set_level(logging.DEBUG)
    upstream.reply(write_plan(plan_call("note", text="a-secret-argument"), thought="a-secret-thought"))
    upstream.reply(write_plan())
    upstream.reply("a-secret-answer")

    async with serving(agent_config(upstream)) as running:
        await running.client().complete(reasoning_request("a-secret-prompt"))

    (line,) = [vars(record) for record in caplog.records if record.name == "reasoning_grpc.calls"]
    assert (line["code"], line["route"], line["attempts"]) == ("OK", "reasoning", 3)
    assert (line["input_tokens"], line["output_tokens"], line["usage_source"]) == (33, 21, "PROVIDER")
    assert line["cost_nano_usd"] == 33 * 1000 + 21 * 2000
    ours = [str(vars(record)) for record in caplog.records if record.name.startswith("reasoning_grpc")]
    assert not [line for line in ours if "a-secret" in line]


def test_every_end_has_a_test() -> None:
    """Each reason for which the agent may stop thinking is asserted in one of the tests of this folder."""
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    for name in agent_pb2.ReasoningEnd.DESCRIPTOR.values_by_name:
        reason = name.removeprefix("REASONING_END_")
        assert reason == "UNSPECIFIED" or f'"{reason}"' in tests
