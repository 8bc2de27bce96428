"""Models of the Responses API beside other models: as a classifier, as a fallback, over the same connections."""

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from reasoning_grpc.config import ClassifierEntry
from reasoning_grpc.v1 import completion_pb2, messages_pb2, usage_pb2
from tests.support.classification import AUTO, CLASSIFIER, REASONING, build_schema, classify, write_choice
from tests.support.factories import a_wire_request
from tests.support.received import receive_answer
from tests.support.responses_events import Json, delta, end, make_response, write_stream
from tests.support.serving import config_for, model_entry, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream
from tests.support.upstream.responses import message_item, reasoning_item, text_part

PRO: Final = "openai/gpt-5-pro"
INCLUDED: Final = completion_pb2.IncludeOptions(reasoning=True)
FOREIGN: Final = completion_pb2.EFFECTIVE_SETTING_CAUSE_FOREIGN_SIGNATURE


async def test_a_model_with_the_responses_api_alone_can_classify(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A classifier without Chat Completions gets the schema of the routes, and its tokens are reported."""
    judge.reply(write_choice("reasoning"), reasoning=("Hm.",))
    judging = provider_entry(judge, "openai", "judge", litellm_model=PRO, base_model=PRO)
    config = replace(
        config_for(model_entry(upstream.api_base), judging),
        classifier=ClassifierEntry(model="judge", timeout_seconds=60.0),
    )

    async with serving(config) as running:
        decision = await classify(running, **AUTO)

    assert (decision.route, decision.mode, decision.source) == ("reasoning", REASONING, CLASSIFIER)
    assert decision.classification.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    (request,) = judge.requests
    assert request.path == "/v1/responses"
    assert request.body["text"]["format"]["schema"] == build_schema("passthrough", "reasoning")
    assert request.body["store"] is False


@pytest.mark.parametrize("other", ["openai", "anthropic"])
async def test_a_fallback_from_the_responses_api(upstream: FakeUpstream, other: str) -> None:
    """Another model answers when one of the Responses API fails; its signed reasoning is left out, and reported."""
    responses = provider_entry(upstream, "responses", fallback_models=("spare",), base_model="openai/gpt-5.6")
    async with serving(config_for(responses, provider_entry(upstream, other, "spare"), max_retries=0)) as running:
        upstream.reply("4", reasoning=("Hm.",), reasoning_signature="gAAAone")
        first = await running.client().complete(a_wire_request("q", include=INCLUDED))
        upstream.fail(503)
        upstream.reply("5")
        request = a_wire_request("q", include=INCLUDED)
        request.messages.extend([first.message, _ask("And now?")])
        events = [event async for event in running.client().stream(request)]

    assert "gAAAone" in upstream.requests[1].raw.decode()
    assert "gAAAone" not in upstream.requests[2].raw.decode()
    assert upstream.requests[2].path != "/v1/responses"
    (switched,) = [event.attempt_switched for event in events if event.HasField("attempt_switched")]
    assert FOREIGN in [setting.cause for setting in switched.effective_settings]
    assert "".join(event.content_delta.text for event in events) == "5"


@pytest.mark.parametrize("other", ["openai", "anthropic"])
async def test_a_fallback_to_the_responses_api(upstream: FakeUpstream, other: str) -> None:
    """A model of the Responses API answers when another one fails; signed reasoning of that one is left out."""
    first = provider_entry(upstream, other, fallback_models=("spare",))
    responses = provider_entry(upstream, "responses", "spare", base_model="openai/gpt-5.6")
    async with serving(config_for(first, responses, max_retries=0)) as running:
        upstream.reply("4", reasoning=("Hm.",), reasoning_signature="c2lnbmVk")
        answer = await running.client().complete(a_wire_request("q", include=INCLUDED))
        upstream.fail(503)
        upstream.reply("5", reasoning=("So.",), reasoning_signature="gAAAtwo")
        request = a_wire_request("q", include=INCLUDED)
        request.messages.extend([answer.message, _ask("And now?")])
        events = [event async for event in running.client().stream(request)]

    body = upstream.requests[2].body
    assert [item["type"] for item in body["input"]] == ["message", "message", "message"]
    assert "c2lnbmVk" not in upstream.requests[2].raw.decode()
    (switched,) = [event.attempt_switched for event in events if event.HasField("attempt_switched")]
    assert FOREIGN in [setting.cause for setting in switched.effective_settings]
    assert "".join(event.reasoning_delta.text for event in events) == "So."


async def test_a_retry_before_the_first_delta(upstream: FakeUpstream) -> None:
    """A response that failed before its first delta is requested again; one that failed later is not."""
    async with serving(config_for(provider_entry(upstream, "responses"), max_retries=1)) as running:
        upstream.lines(
            {"type": "response.created", "response": make_response("in_progress")},
            end("failed", error={"code": "server_error"}),
        )
        upstream.reply("4")
        answer = await running.client().complete(a_wire_request())
        upstream.lines(delta("Half"), end("failed", error={"code": "server_error"}))
        failed = await receive_answer(running.client())

    assert answer.message.content[0].text == "4"
    assert (failed.text, failed.error, len(upstream.requests)) == ("Half", "UPSTREAM_ERROR", 3)


async def test_both_apis_share_connections(upstream: FakeUpstream) -> None:
    """Calls of both APIs of one server take turns on one connection, also with a `[DONE]` after the last event."""
    chat, responses = model_entry(upstream.api_base, "chat"), provider_entry(upstream, "responses", "responses")
    async with serving(config_for(chat, responses)) as running:
        for model in ["chat", "responses"] * 4:
            await running.client().complete(a_wire_request(model=model))
            _ = [event async for event in running.client().stream(a_wire_request(model=model))]
        upstream.lines(*write_stream([message_item(0, text_part("Hello"))]), "data: [DONE]")
        answer = await receive_answer(running.client(), model="responses")
        await running.client().complete(a_wire_request(model="chat"))

    assert answer.summary() == {"text": "Hello", "ended": "STOP completed"}
    assert upstream.connections == 1


THOUGHT: Final = reasoning_item(0, "Hm.", encrypted="e")
HELLO: Final = message_item(1, text_part("Hello"), phase="final_answer")
WHOLE: Final = make_response("completed", THOUGHT, HELLO, usage={"input_tokens": 3, "output_tokens": 2})
LAST: Final = {"type": "response.completed", "response": WHOLE}
EXPECTED: Final = {
    "reasoning": "Hm.",
    "signatures": ['{"id":"rs_0","encrypted_content":"e"}', '{"phase":"final_answer"}'],
    "text": "Hello",
    "ended": "STOP completed",
    "tokens": [3, 2],
}
MALFORMED: Final = {"error": "UPSTREAM_MALFORMED_RESPONSE"}
BODIES: Final[dict[str, tuple[str, str, Json]]] = {
    "a-document": (json.dumps(WHOLE), "application/json", EXPECTED),
    "a-document-as-a-stream": (json.dumps(WHOLE), "text/event-stream", EXPECTED),
    "a-document-with-lines": (json.dumps(WHOLE, indent=1), "text/plain", EXPECTED),
    "a-document-in-one-event": (f"data: {json.dumps(WHOLE)}\n\n", "text/event-stream", EXPECTED),
    "the-last-event-alone": (
        f"data: {json.dumps(LAST)}\n\n",
        "text/event-stream",
        EXPECTED,
    ),
    "a-document-in-a-queue": (
        json.dumps(make_response("queued")),
        "application/json",
        {"error": "UPSTREAM_EMPTY_RESPONSE"},
    ),
    "a-document-in-progress": (
        json.dumps(make_response("in_progress", HELLO)),
        "application/json",
        {"text": "Hello", "signatures": ['{"phase":"final_answer"}'], "error": "UPSTREAM_STREAM_TRUNCATED"},
    ),
    "an-answer-of-chat-completions": (
        json.dumps({"object": "chat.completion", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}),
        "application/json",
        MALFORMED,
    ),
    "chunks-of-chat-completions": (
        'data: {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n',
        "text/event-stream",
        MALFORMED,
    ),
    "html": ("<html>busy</html>", "text/html", MALFORMED),
    "done-alone": ("data: [DONE]\n\n", "text/event-stream", {"error": "UPSTREAM_EMPTY_RESPONSE"}),
    "done-after-text": (
        f"data: {json.dumps(delta('Hello'))}\n\ndata: [DONE]\n\n",
        "text/event-stream",
        {"text": "Hello", "error": "UPSTREAM_STREAM_TRUNCATED"},
    ),
    "a-delta-of-another-type": (
        f"data: {json.dumps(delta('Hello'))}\n\ndata: {json.dumps(delta({'text': 'lost'}))}\n\n",
        "text/event-stream",
        {"text": "Hello"} | MALFORMED,
    ),
    "another-answer-after-the-end": (
        f"data: {json.dumps(LAST)}\n\ndata: {json.dumps(delta('Bye'))}\n\n",
        "text/event-stream",
        EXPECTED,
    ),
}


@pytest.mark.parametrize(("body", "content_type", "expected"), BODIES.values(), ids=BODIES.keys())
async def test_bodies(upstream: FakeUpstream, body: str, content_type: str, expected: dict[str, Any]) -> None:
    """A body is read by what it says, whatever its type, and one of another protocol is malformed."""
    async with serving(config_for(provider_entry(upstream, "responses"), max_retries=0)) as running:
        upstream.always.body(body.encode(), content_type=content_type)
        answer = await receive_answer(running.client())

    assert answer.summary() == expected


async def test_a_cut_at_the_limit_of_tokens(upstream: FakeUpstream) -> None:
    """An answer within which the limit was reached ends with LENGTH in the provider's own word, and has its calls."""
    async with serving(config_for(provider_entry(upstream, "responses"))) as running:
        upstream.reply("It", tool_calls=[FakeToolCall("c1", "f", '{"a')], finish_reason="length")
        answer = await receive_answer(running.client())

    assert (answer.text, answer.calls) == ("It", [["c1", "f", '{"a', ""]])
    assert (answer.finish, answer.word) == ("LENGTH", "max_output_tokens")


def _ask(text: str) -> messages_pb2.Message:
    return messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[messages_pb2.Part(text=text)])
