"""Calls of GPT-5.6 with function tools, behind an upstream that refuses them on Chat Completions, as OpenAI does."""

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed, fold
from reasoning_grpc.v1 import completion_pb2, events_pb2, messages_pb2, usage_pb2
from tests.support.agent import PRICES, agent_config, reasoning_request
from tests.support.factories import a_wire_request
from tests.support.opaque_values import remove_marks
from tests.support.serving import RunningServer, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream, Standing
from tests.support.upstream.responses import reasoning_item

MODEL: Final = "openai/gpt-5.6"
REFUSAL: Final = (
    "Function tools with reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions."
    " Please use /v1/responses instead."
)
TOOL: Final = completion_pb2.Tool(
    name="weather", description="Returns the weather.", parameters_schema='{"type":"object","properties":{}}'
)
OSLO: Final = FakeToolCall("call_1", "weather", ('{"city"', ': "Oslo"}'))
SIGNATURE: Final = '{"id":"rs_0","encrypted_content":"gAAAone"}'


@pytest.fixture(autouse=True)
def openai(upstream: FakeUpstream) -> Standing:
    """Makes the upstream refuse function tools on Chat Completions; elsewhere it answers what this standing has."""
    refusing, answering = Standing(), Standing()
    refusing.fail(400, message=REFUSAL)
    answering.reply("It is cold.", reasoning=("**Looking**",), reasoning_signature="gAAAone")
    upstream.always.choose(lambda body: refusing if "messages" in body and body.get("tools") else answering)
    return answering


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with GPT-5.6, whose agent gives the model its tools in the provider's own form."""
    entry = provider_entry(
        upstream,
        "openai",
        litellm_model=MODEL,
        base_model=MODEL,
        native_tools=True,
        prices=PRICES,
    )
    async with serving(agent_config(upstream, entry=entry, max_retries=0)) as running:
        yield running


def build_request(**fields: Any) -> completion_pb2.CompleteRequest:
    """Builds a request with a tool that includes the reasoning."""
    included = completion_pb2.IncludeOptions(reasoning=True)
    return a_wire_request("How cold is Oslo?", **{"include": included, "tools": [TOOL], **fields})


async def call(server: RunningServer, rpc: str, request: completion_pb2.CompleteRequest) -> Any:
    """Returns the answer of either RPC."""
    client = server.client()
    return await client.complete(request) if rpc == "Complete" else await fold(client.stream(request))


LOW: Final = completion_pb2.ReasoningOptions(effort=completion_pb2.REASONING_EFFORT_LOW)
BOTH_RPCS: Final = pytest.mark.parametrize("rpc", ["Complete", "StreamComplete"])


@BOTH_RPCS
async def test_tools_alone(upstream: FakeUpstream, server: RunningServer, openai: Standing, rpc: str) -> None:
    """A call with tools, and without an effort, goes through the Responses API at once."""
    openai.reply(reasoning=("Let me ", "look."), reasoning_signature="gAAAone", tool_calls=[OSLO])

    response = await call(server, rpc, build_request())

    assert [request.path for request in upstream.requests] == ["/v1/responses"]
    assert list(remove_marks(response.message).content) == [
        messages_pb2.Part(reasoning=messages_pb2.Reasoning(text="Let me look."), signature=SIGNATURE),
        messages_pb2.Part(tool_call=messages_pb2.ToolCall(id="call_1", name="weather", arguments='{"city": "Oslo"}')),
    ]
    assert response.finish_reason == completion_pb2.FINISH_REASON_TOOL_CALLS
    assert response.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert (response.usage.cached_input_tokens, response.usage.reasoning_tokens) == (3, 2)
    assert [item.tokens for item in response.cost.items] == [8, 3, 7]
    assert response.cost.total_nano_usd >= 8 * 1000 + 7 * 2000


async def test_the_agent_with_native_tools(upstream: FakeUpstream, server: RunningServer) -> None:
    """A run of the agent with tools in the provider's own form goes through the Responses API to its end."""
    upstream.reply(reasoning=("Let me look.",), reasoning_signature="gAAAone", tool_calls=[OSLO])
    upstream.reply("READY")

    response = await server.client().complete(reasoning_request("How cold is Oslo?"))

    assert [captured.path for captured in upstream.requests] == ["/v1/responses"] * 3
    assert [part.text for part in response.message.content if part.text] == ["It is cold."]
    assert response.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert [execution.name for step in response.steps for execution in step.tool_executions] == ["weather"]


@BOTH_RPCS
async def test_tools_and_an_effort(upstream: FakeUpstream, server: RunningServer, rpc: str) -> None:
    """The summary that was included is requested and received, and the encrypted reasoning; nothing is stored."""
    response = await call(server, rpc, build_request(reasoning=LOW))

    (captured,) = upstream.requests
    assert captured.path == "/v1/responses"
    assert captured.body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert captured.body["store"] is False
    assert captured.body["include"] == ["reasoning.encrypted_content"]
    assert list(remove_marks(response.message).content) == [
        messages_pb2.Part(reasoning=messages_pb2.Reasoning(text="**Looking**"), signature=SIGNATURE),
        messages_pb2.Part(text="It is cold."),
    ]


@BOTH_RPCS
async def test_a_stream_that_is_cut(upstream: FakeUpstream, server: RunningServer, rpc: str) -> None:
    """A stream that the upstream cuts is a truncation, with the progress so far."""
    upstream.cut_after(2, "end")

    with pytest.raises(CallFailed) as failed:
        await call(server, rpc, build_request(reasoning=LOW))

    error = failed.value
    assert error.reason == "UPSTREAM_STREAM_TRUNCATED"
    assert error.interruption is not None
    assert error.interruption.content_characters == len("word0 word1 ")
    assert error.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    assert error.interruption.usage.output_tokens > 0


BEGINNING: Final[list[dict[str, Any]]] = [
    {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}},
    {"type": "response.in_progress", "response": {"id": "resp_1", "status": "in_progress", "output": []}},
    {"type": "response.output_item.added", "output_index": 0, "item": reasoning_item(0)},
]
"""The events that arrive before a model has reasoned to the end, where no summary is requested."""


@BOTH_RPCS
@pytest.mark.parametrize("count", range(1, len(BEGINNING) + 1))
async def test_a_stream_that_is_cut_while_the_model_reasons(
    upstream: FakeUpstream, server: RunningServer, rpc: str, count: int
) -> None:
    """A stream that ends before its first delta is a truncation too, because a response has begun."""
    upstream.chunks(*BEGINNING[:count], done=False)

    with pytest.raises(CallFailed) as failed:
        await call(server, rpc, build_request(reasoning=LOW))

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_STREAM_TRUNCATED")


@BOTH_RPCS
async def test_the_word_for_the_end(server: RunningServer, rpc: str) -> None:
    """The word for the end of the answer is the provider's own."""
    response = await call(server, rpc, build_request(reasoning=LOW))

    assert (response.finish_reason, response.provider_finish_reason) == (
        completion_pb2.FINISH_REASON_STOP,
        "completed",
    )


async def test_the_events_of_a_stream(server: RunningServer, openai: Standing) -> None:
    """The parts of an answer are streamed in the order in which the model wrote them."""
    openai.reply("Cold.", reasoning=("Hm.",), reasoning_signature="gAAAone", tool_calls=[OSLO])

    events = [event async for event in server.client().stream(build_request(reasoning=LOW))]

    assert list(dict.fromkeys(map(name_kind, events))) == [
        "started",
        "reasoning_delta",
        "content_delta",
        "tool_call_delta",
        "completed",
    ]


def name_kind(event: events_pb2.StreamCompleteResponse) -> str:
    """Returns the kind of an event."""
    return event.WhichOneof("kind") or ""
