"""Encrypted reasoning of the Responses API goes back at its place, over several turns with tools.

OpenAI's guide on reasoning asks for it: between the last message of the user and the answer, every reasoning item must
come back before the call that it led to, with its id, its encrypted content and its summary.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from reasoning_grpc.client import fold
from reasoning_grpc.v1 import completion_pb2, messages_pb2
from tests.support.agent import (
    agent_config,
    collect_events,
    find_finish,
    name_end,
    native_entry,
    plan_call,
    reasoning_request,
    write_plan,
)
from tests.support.factories import a_wire_request
from tests.support.responses_events import Json, write_stream
from tests.support.serving import RunningServer, config_for, model_entry, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream
from tests.support.upstream.responses import call_item, message_item, reasoning_item, text_part

MODEL: Final = "openai/gpt-5.6"
TOOLS: Final = [
    completion_pb2.Tool(name=name, parameters_schema='{"type":"object","properties":{}}') for name in ("f", "g")
]
FIRST_THOUGHT: Final = reasoning_item(1, "**Looking**\n\nI look.", "Both at once.", encrypted="gAAAone")
SECOND_THOUGHT: Final = reasoning_item(4, encrypted="gAAAtwo")
THIRD_THOUGHT: Final = reasoning_item(6, "Done.", encrypted="gAAAthree")
FIRST: Final = [FIRST_THOUGHT, call_item(2, "c1", "f", '{"a": 1}'), call_item(3, "c2", "g", "{}")]
SECOND: Final = [
    SECOND_THOUGHT,
    message_item(5, text_part("One more."), phase="commentary"),
    call_item(6, "c3", "f", '{"a": 2}'),
]
THIRD: Final = [THIRD_THOUGHT, message_item(7, text_part("It is 4."), phase="final_answer")]


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with a model of the Responses API, and another one with the same protocol."""
    entries = [provider_entry(upstream, "responses", name, base_model=MODEL) for name in ("fake", "other")]
    async with serving(config_for(*entries, model_entry(upstream.api_base, "chat"), max_retries=0)) as running:
        yield running


def strip(*items: Json) -> list[Json]:
    """Returns items as they are sent back: without the ids of messages and calls, and without states."""
    kept = []
    for item in items:
        names = {"id", "status"} if item["type"] == "function_call" else {"id", "status", "annotations"}
        stripped = {name: value for name, value in item.items() if name not in names}
        if item["type"] == "reasoning":
            stripped["id"] = item["id"]
        if item["type"] == "message":
            stripped["content"] = [{"type": "output_text", "text": part["text"]} for part in item["content"]]
        kept.append(stripped)
    return kept


def output(call_id: str, text: str) -> Json:
    """Returns the item with the result of a call."""
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def answer_calls(message: messages_pb2.Message) -> messages_pb2.Message:
    """Returns the message with the results of the calls of an answer."""
    calls = [part.tool_call for part in message.content if part.HasField("tool_call")]
    results = [messages_pb2.ToolResult(call_id=call.id, content=f"result of {call.id}") for call in calls]
    return messages_pb2.Message(
        role=messages_pb2.ROLE_TOOL, content=[messages_pb2.Part(tool_result=result) for result in results]
    )


async def converse(
    upstream: FakeUpstream, server: RunningServer, rpc: str, answers: list[list[Json]], **fields: Any
) -> list[completion_pb2.CompleteResponse]:
    """Plays the turns of a conversation, in which the caller sends back what it got, with the results of the calls."""
    request = a_wire_request("q", tools=TOOLS, **fields)
    responses = []
    for items in answers:
        upstream.lines(*write_stream(items))
        client = server.client()
        response = await (client.complete(request) if rpc == "Complete" else fold(client.stream(request)))
        responses.append(response)
        request.messages.extend([response.message, answer_calls(response.message)])
    return responses


INCLUDED: Final = completion_pb2.IncludeOptions(reasoning=True)
BOTH_RPCS: Final = pytest.mark.parametrize("rpc", ["Complete", "StreamComplete"])
QUESTION: Final[Json] = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "q"}]}
RESULTS: Final = [output("c1", "result of c1"), output("c2", "result of c2")]


@BOTH_RPCS
async def test_three_turns(upstream: FakeUpstream, server: RunningServer, rpc: str) -> None:
    """Each turn has all earlier items at their places: reasoning before its message or calls, then the results."""
    await converse(upstream, server, rpc, [FIRST, SECOND, THIRD], include=INCLUDED)

    bodies = [request.body for request in upstream.requests]
    second = [QUESTION, *strip(*FIRST), *RESULTS]
    assert bodies[0]["input"] == [QUESTION]
    assert bodies[1]["input"] == second
    assert bodies[2]["input"] == [*second, *strip(*SECOND), output("c3", "result of c3")]
    assert bodies[2]["input"][1]["summary"] == FIRST_THOUGHT["summary"]
    assert all(body["include"] == ["reasoning.encrypted_content"] for body in bodies)


@BOTH_RPCS
async def test_turns_without_the_reasoning(upstream: FakeUpstream, server: RunningServer, rpc: str) -> None:
    """A caller that does not include the reasoning gets none, and the conversation goes on without it."""
    responses = await converse(upstream, server, rpc, [FIRST, SECOND, THIRD])

    parts = [part for response in responses for part in response.message.content]
    assert not any(part.HasField("reasoning") for part in parts)
    kept = [item for item in [*FIRST, *RESULTS, *SECOND, output("c3", "result of c3")] if item["type"] != "reasoning"]
    assert upstream.requests[2].body["input"] == [QUESTION, *strip(*kept)]


async def test_reasoning_of_another_model_is_left_out(upstream: FakeUpstream, server: RunningServer) -> None:
    """Reasoning of another model is left out, because no provider can decrypt it, and the caller is told."""
    (response,) = await converse(upstream, server, "Complete", [FIRST], include=INCLUDED)
    request = a_wire_request("q", model="other", tools=TOOLS, include=INCLUDED)
    request.messages.extend([response.message, answer_calls(response.message)])
    upstream.lines(*write_stream(THIRD))

    answer = await server.client().complete(request)

    assert upstream.requests[1].body["input"] == [QUESTION, *strip(*FIRST[1:]), *RESULTS]
    causes = [setting.cause for setting in answer.effective_settings]
    assert completion_pb2.EFFECTIVE_SETTING_CAUSE_FOREIGN_SIGNATURE in causes


async def test_reasoning_without_a_successor(upstream: FakeUpstream, server: RunningServer) -> None:
    """Reasoning of an answer that was cut before its text does not go back, because OpenAI refuses it alone."""
    upstream.lines(
        *write_stream([FIRST_THOUGHT], status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    )
    request = a_wire_request("q", include=INCLUDED)
    cut = await server.client().complete(request)
    request.messages.extend([cut.message, messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[_text("Go on.")])])
    upstream.lines(*write_stream(THIRD))

    answer = await server.client().complete(request)

    assert cut.finish_reason == completion_pb2.FINISH_REASON_LENGTH
    assert [part.signature != "" for part in cut.message.content] == [True]
    assert {item["type"] for item in upstream.requests[1].body["input"]} == {"message"}
    assert [setting.field for setting in answer.effective_settings] == ["messages.content.reasoning"]


def _text(text: str) -> messages_pb2.Part:
    return messages_pb2.Part(text=text)


OSLO: Final = FakeToolCall("call_1", "weather", '{"city": "Oslo"}')
PARIS: Final = FakeToolCall("call_2", "weather", '{"city": "Paris"}')


@pytest.mark.parametrize("is_included", [True, False], ids=["included", "not-included"])
async def test_steps_of_the_agent(upstream: FakeUpstream, is_included: bool) -> None:
    """Each step has the reasoning of earlier steps before its call, also where the caller does not include it."""
    upstream.reply(reasoning=("Let me ", "look."), reasoning_signature="gAAAone", tool_calls=[OSLO])
    upstream.reply(reasoning=("And Paris.",), reasoning_signature="gAAAtwo", tool_calls=[PARIS])
    upstream.reply("READY", reasoning=("Enough.",), reasoning_signature="gAAAthree")
    upstream.reply("It is cold.", reasoning=("I say so.",), reasoning_signature="gAAAfour")
    request = reasoning_request(include=completion_pb2.IncludeOptions(reasoning=is_included))

    async with serving(agent_config(upstream, entry=native_entry(upstream, "responses", base_model=MODEL))) as running:
        events = await collect_events(running, request)

    assert name_end(find_finish(events)) == "FINISHED"
    assert len(upstream.requests) == 4
    for number, kinds in enumerate((STEPS[:1], STEPS[:2], STEPS)):
        items = [
            item for item in upstream.requests[number + 1].body["input"] if item.get("role") not in {"system", "user"}
        ]
        expected = [item for step in kinds for item in step]
        summaries = [{"summary": item["summary"]} for item in items if item["type"] == "reasoning"]
        assert [describe(item) for item in items] == expected
        assert all(isinstance(each["summary"], list) for each in summaries)
        if is_included:
            assert summaries[0]["summary"] == [{"type": "summary_text", "text": "Let me look."}]


STEPS: Final = [
    ["reasoning gAAAone", "function_call call_1", "function_call_output call_1"],
    ["reasoning gAAAtwo", "function_call call_2", "function_call_output call_2"],
    ["reasoning gAAAthree", "message"],
]


def describe(item: Json) -> str:
    """Returns what an item is, with its encrypted reasoning or the id of its call."""
    return " ".join(filter(None, [item["type"], item.get("encrypted_content"), item.get("call_id")]))


async def test_steps_in_json(upstream: FakeUpstream) -> None:
    """Steps in JSON keep their reasoning too, before the plan that it led to."""
    upstream.reply(
        write_plan(plan_call("weather", city="Oslo")), reasoning=("Let me look.",), reasoning_signature="gAAAone"
    )
    upstream.reply(write_plan(), reasoning=("Enough.",), reasoning_signature="gAAAtwo")
    upstream.reply("It is cold.")

    async with serving(
        agent_config(upstream, entry=provider_entry(upstream, "responses", base_model=MODEL))
    ) as running:
        events = await collect_events(running, reasoning_request())

    assert name_end(find_finish(events)) == "FINISHED"
    second = upstream.requests[1].body["input"]
    place = next(row for row, item in enumerate(second) if item["type"] == "reasoning")
    assert (second[place]["encrypted_content"], second[place]["id"]) == ("gAAAone", "rs_0")
    assert (second[place + 1]["type"], second[place + 1]["role"]) == ("message", "assistant")
    assert upstream.requests[0].body["text"]["format"]["type"] == "json_schema"
