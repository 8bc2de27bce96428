"""The server with the real embedded model: the order of its events and its limits, never the quality of its answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.embedded import EmbeddedUpstream
from reasoning_grpc.embedded.naming import BUNDLED_NAME
from reasoning_grpc.v1 import completion_pb2, messages_pb2, models_pb2, usage_pb2
from tests.support.embedded_death import kill_and_notice
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, serving

pytestmark = pytest.mark.process

A_SHORT_REQUEST: Final = a_wire_request("Say hello.", sampling=completion_pb2.Sampling(max_output_tokens=2))
A_LONG_REQUEST: Final = a_wire_request(
    "Tell a very long story.", sampling=completion_pb2.Sampling(max_output_tokens=3000)
)


@pytest.fixture
async def embedded_server() -> AsyncIterator[RunningServer]:
    """A server without any configuration, whose requests the embedded model answers."""
    async with serving(config_for()) as running:
        yield running


async def test_it_answers_when_nothing_is_configured(embedded_server: RunningServer) -> None:
    """Without configuration the embedded model streams an answer with its own usage, which costs nothing."""
    request = a_wire_request("Say hello.", sampling=completion_pb2.Sampling(max_output_tokens=12))

    events = [event async for event in embedded_server.client().stream(request)]

    kinds = [event.WhichOneof("kind") for event in events]
    completed = events[-1].completed
    assert kinds[0] == "started"
    assert set(kinds[1:-1]) == {"content_delta"}
    assert kinds[-1] == "completed"
    assert events[0].started.model == BUNDLED_NAME
    assert completed.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert 1 <= completed.usage.output_tokens <= 12
    assert completed.cost.total_nano_usd == 0


async def test_its_length_limit_is_its_finish_reason(embedded_server: RunningServer) -> None:
    """An answer that reaches the limit of output tokens has the finish reason LENGTH."""
    request = a_wire_request(
        "Count from one to one hundred in words.", sampling=completion_pb2.Sampling(max_output_tokens=3)
    )

    answer = await embedded_server.client().complete(request)

    assert answer.finish_reason == completion_pb2.FINISH_REASON_LENGTH
    assert answer.provider_finish_reason == "length"
    assert answer.usage.output_tokens == 3


async def test_a_truncated_conversation_fits_its_window() -> None:
    """A conversation in two languages, truncated to the context window, is answered."""
    roles = (messages_pb2.ROLE_USER, messages_pb2.ROLE_ASSISTANT)
    said = ["What is a window?", "Ein Fenster ist eine Öffnung in der Wand, mit Glas, durch die man hinaussieht."]
    parts = [messages_pb2.Part(text=text) for text in said]
    talk = [messages_pb2.Message(role=roles[at % 2], content=[parts[at % 2]]) for at in range(81)]
    request = completion_pb2.CompleteRequest(
        messages=talk,
        context_policy=completion_pb2.CONTEXT_POLICY_TRUNCATE_OLDEST,
        sampling=completion_pb2.Sampling(max_output_tokens=64),
    )

    async with serving(config_for(embedded_context_tokens=512)) as running:
        answer = await running.client().complete(request)

    (left,) = (setting for setting in answer.effective_settings if setting.field == "messages")
    assert left.requested == "81"
    assert 9 <= int(left.effective) < 81
    assert 256 <= answer.usage.input_tokens <= 512


async def test_its_structured_output_follows_the_schema(embedded_server: RunningServer) -> None:
    """A JSON schema limits the answer to the keys and values that it allows."""
    schema = {
        "type": "object",
        "properties": {"mood": {"type": "string", "enum": ["glad", "sad"]}},
        "required": ["mood"],
        "additionalProperties": False,
    }
    json_schema = completion_pb2.JsonSchemaFormat(name="mood", schema=json.dumps(schema), strict=True)
    request = a_wire_request(
        "I won a prize.",
        response_format=completion_pb2.ResponseFormat(json_schema=json_schema),
        sampling=completion_pb2.Sampling(max_output_tokens=40),
    )

    answer = await embedded_server.client().complete(request)

    assert json.loads(answer.message.content[0].text)["mood"] in {"glad", "sad"}
    assert answer.route_decision.rule_id == "response-format"


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("tools", {"tools": [completion_pb2.Tool(name="f")]}),
        ("reasoning.effort", {"reasoning": {"effort": completion_pb2.REASONING_EFFORT_LOW}}),
        (
            "messages[0].content[0].media",
            {"messages": [{"role": 2, "content": [{"media": {"mime_type": "image/png", "data": b"x"}}]}]},
        ),
    ],
    ids=["tools", "effort", "image"],
)
async def test_what_it_cannot_do_is_refused(embedded_server: RunningServer, field: str, fields: dict[str, Any]) -> None:
    """A request for what llama.cpp would ignore or fail on is refused with the field's name."""
    with pytest.raises(CallFailed) as failed:
        await embedded_server.client().complete(a_wire_request(**fields))

    assert failed.value.reason == "UNSUPPORTED_PARAMETER"
    assert [violation.field for violation in failed.value.violations] == [field]


async def test_a_conversation_over_its_context_is_refused(embedded_server: RunningServer) -> None:
    """A request that is longer than the context window is refused as the caller's mistake."""
    with pytest.raises(CallFailed) as failed:
        await embedded_server.client().complete(a_wire_request("word " * 20_000))

    assert failed.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failed.value.reason == "CONTEXT_WINDOW_EXCEEDED"


async def test_a_cancelled_stream_frees_its_slot(embedded_server: RunningServer) -> None:
    """More streams than slots, each cancelled after its first delta, do not delay a later call."""
    client = embedded_server.client()
    for _ in range(5):
        async with aclosing(client.stream(A_LONG_REQUEST)) as events:
            async for event in events:
                if event.WhichOneof("kind") == "content_delta":
                    break

    assert (await client.complete(A_SHORT_REQUEST)).usage.output_tokens == 2


async def test_calls_during_a_restart_have_a_retry_delay() -> None:
    """Calls during a restart that are not retried are UNAVAILABLE with RetryInfo, and the list shows it."""
    async with serving(config_for(max_retries=0)) as running:
        embedded = get_embedded_model(running)
        await kill_and_notice(embedded)
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(A_SHORT_REQUEST)
        listed = await running.client().list_models()
        await embedded.wait_ready()
        answer = await running.client().complete(A_SHORT_REQUEST)

    assert failed.value.code is grpc.StatusCode.UNAVAILABLE
    assert failed.value.reason == "UPSTREAM_UNREACHABLE"
    assert failed.value.retry_after_seconds == 1.0
    assert [model.state for model in listed] == [models_pb2.MODEL_STATE_UNAVAILABLE]
    assert answer.usage.output_tokens == 2
    assert embedded.restarts == 1


async def test_calls_wait_for_a_restart() -> None:
    """A call that comes during a restart is answered after it, and so is one that the killed model had not begun."""
    async with serving(config_for(embedded_slots=1, max_retries=10)) as running:
        client = running.client()
        events = client.stream(A_LONG_REQUEST)
        while not (await anext(events)).HasField("content_delta"):
            pass
        waiting = asyncio.create_task(client.complete(A_SHORT_REQUEST))  # the only slot is taken
        embedded = get_embedded_model(running)
        await kill_and_notice(embedded)
        with pytest.raises(CallFailed) as cut:
            await read_to_end(events)
        answers = [await waiting, await client.complete(A_SHORT_REQUEST)]

    assert [answer.usage.output_tokens for answer in answers] == [2, 2]
    assert cut.value.code is grpc.StatusCode.UNAVAILABLE
    assert cut.value.interruption is not None
    assert embedded.restarts == 1


async def read_to_end(events: AsyncIterator[Any]) -> None:
    """Reads the events that are left."""
    async for _ in events:
        pass


def get_embedded_model(running: RunningServer) -> EmbeddedUpstream:
    """Returns the embedded model of a server that runs one."""
    embedded = running.server.embedded
    assert embedded is not None
    return embedded
