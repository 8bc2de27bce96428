"""An answer says what really happened, and can be sent back as part of the next request."""

import gzip
import json
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed, FieldViolation
from reasoning_grpc.v1 import completion_pb2, messages_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream, chunk

ANSWERS: dict[str, dict[str, Any]] = {
    "text": {"tokens": ("Hello",)},
    "nothing": {"tokens": ()},
    "reasoning-alone": {"tokens": (), "reasoning": ("hm",)},
    "refusal-alone": {"tokens": (), "refusal": "no"},
    "calls": {"tokens": (), "tool_calls": (FakeToolCall("c1", "f", "{}"),)},
    "all": {"tokens": ("a",), "reasoning": ("hm",), "tool_calls": (FakeToolCall("c1", "f", "{}"),)},
    "logprobs": {"tokens": ("a", "b"), "logprobs": (-0.1, -0.2)},
}


@pytest.mark.parametrize("script", ANSWERS.values(), ids=ANSWERS.keys())
async def test_every_answer_can_be_sent_back(
    upstream: FakeUpstream, running_server: RunningServer, script: dict[str, Any]
) -> None:
    """The message of an answer is accepted in the next request; without tool calls the upstream receives a content."""
    client = running_server.client()
    options = {name: value for name, value in script.items() if name != "tokens"}
    upstream.reply(*script["tokens"], **options)
    request = a_wire_request(include=completion_pb2.IncludeOptions(reasoning=True))
    request.messages.append((await client.complete(request)).message)

    await client.complete(request)

    sent = upstream.requests[-1].body["messages"][1]
    assert sent["role"] == "assistant"
    assert ("content" in sent) or sent["tool_calls"]


async def test_a_fallback_that_lacks_an_option_is_refused(upstream: FakeUpstream) -> None:
    """A request is refused when a fallback model that it names does not allow one of its provider options."""
    first = model_entry(upstream.api_base, "first", provider_options=frozenset({"min_p"}))
    second = model_entry(upstream.api_base, "second")

    async with serving(config_for(first, second)) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(
                a_wire_request(provider_options={"min_p": "0.1"}, fallback_models=["second"])
            )

    assert failed.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failed.value.reason == "UNSUPPORTED_PARAMETER"
    assert failed.value.violations == (
        FieldViolation("provider_options[min_p]", "The entry of second does not allow it."),
    )
    assert upstream.requests == []


async def test_a_configured_fallback_that_lacks_an_option_is_left_out(upstream: FakeUpstream) -> None:
    """A configured fallback model that does not allow a provider option is not tried, and `started` reports that."""
    upstream.always.fail(503)
    first = model_entry(
        upstream.api_base, "first", provider_options=frozenset({"min_p"}), fallback_models=("second", "third")
    )
    second = model_entry(upstream.api_base, "second")
    third = model_entry(upstream.api_base, "third", provider_options=frozenset({"min_p"}))

    async with serving(config_for(first, second, third, max_retries=0)) as running:
        events = running.client().stream(a_wire_request(provider_options={"min_p": "0.1"}))
        settings = (await anext(events)).started.effective_settings
        with pytest.raises(CallFailed):
            async for _ in events:
                pass

    assert [(setting.field, setting.requested, setting.effective) for setting in settings] == [
        ("fallback_models", "second, third", "third")
    ]
    assert [request.body["model"] for request in upstream.requests] == ["first", "third"]


async def test_heartbeats_are_sent_during_hidden_reasoning(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """Reasoning that the caller did not request is not sent, so heartbeats are sent while the model reasons."""
    gate = upstream.reply("Hello", reasoning=("a", "b", "c"), gated=True)
    kinds = []

    async for event in running_server.client().stream(a_wire_request(), heartbeat_seconds=0.1):
        kinds.append(event.WhichOneof("kind"))
        if kinds[-1] == "heartbeat":
            if kinds.count("heartbeat") <= 3:
                gate.open()
            else:
                gate.open_all()

    assert kinds[0] == "started"
    assert kinds.count("heartbeat") >= 4
    assert kinds[-2:] == ["content_delta", "completed"]


async def test_an_aborted_answer_is_a_failure(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """The finish reason `abort`, with which some servers end an answer that they give up, is a failure."""
    upstream.always.reply("half an", finish_reason="abort")

    with pytest.raises(CallFailed) as failed:
        await running_server.client().complete(a_wire_request())

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_ERROR")


async def test_an_unknown_finish_reason_is_other(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """An unknown finish reason becomes OTHER, and the answer has the provider's own word as well."""
    upstream.reply("Hello", finish_reason="tired")

    answer = await running_server.client().complete(a_wire_request())

    assert (answer.finish_reason, answer.provider_finish_reason) == (completion_pb2.FINISH_REASON_OTHER, "tired")


async def test_a_tools_name_may_follow_its_id(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A tool call is complete when its name comes in a later chunk than its id."""
    upstream.chunks(
        chunk({"tool_calls": [{"index": 0, "id": "c1"}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}),
        finish="tool_calls",
    )

    answer = await running_server.client().complete(a_wire_request())

    call = answer.message.content[0].tool_call
    assert (call.id, call.name, call.arguments) == ("c1", "f", "{}")


async def test_a_tool_call_without_a_name_is_malformed(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A tool call without a name makes the answer malformed, because no caller could run it."""
    nameless = chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"arguments": "{}"}}]})
    upstream.always.chunks(nameless, finish="tool_calls")

    with pytest.raises(CallFailed) as failed:
        await running_server.client().complete(a_wire_request())

    assert failed.value.reason == "UPSTREAM_MALFORMED_RESPONSE"


async def test_a_compressed_error_is_read(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """The error code in a compressed body is read, and decides the reason of the failure."""
    error = {"error": {"message": "x", "type": "insufficient_quota", "code": "insufficient_quota"}}
    upstream.body(
        gzip.compress(json.dumps(error).encode()),
        content_type="application/json",
        status=429,
        headers={"Content-Encoding": "gzip"},
    )

    with pytest.raises(CallFailed) as failed:
        await running_server.client().complete(a_wire_request())

    assert failed.value.reason == "UPSTREAM_QUOTA_EXHAUSTED"


async def test_labels_are_in_the_log(running_server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    """The log line of a call has the labels of its request."""
    caplog.set_level("INFO", "reasoning_grpc.calls")

    await running_server.client().complete(a_wire_request(labels={"team": "billing"}))

    assert [vars(record)["labels"] for record in caplog.records if record.name == "reasoning_grpc.calls"] == [
        {"team": "billing"}
    ]


async def test_redacted_reasoning_that_is_no_text_is_refused(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """Redacted reasoning that is not UTF-8 text is refused, because it could not be sent on unchanged."""
    request = a_wire_request()
    request.messages.add(role=messages_pb2.ROLE_ASSISTANT).content.add().reasoning.redacted = b"\xff\xfe"

    with pytest.raises(CallFailed) as failed:
        await running_server.client().complete(request)

    assert failed.value.reason == "INVALID_FIELD"
    assert [violation.field for violation in failed.value.violations] == ["messages[1].content[0].reasoning.redacted"]
    assert upstream.requests == []
