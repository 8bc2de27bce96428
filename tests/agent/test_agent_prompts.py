"""The content of the agent's model calls: prompts, response formats, options, and earlier steps."""

import json
from typing import Any, Final

import pytest

from reasoning_grpc.config import ModelEntry
from reasoning_grpc.domain import Capability
from reasoning_grpc.v1 import completion_pb2, messages_pb2, routing_pb2
from tests.support.agent import (
    agent_config,
    collect_events,
    join_text,
    native_entry,
    plan_call,
    read_texts,
    reasoning_request,
    write_plan,
)
from tests.support.serving import model_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream

WEATHER: Final = plan_call("weather", city="Paris")


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
