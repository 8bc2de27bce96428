"""Spans hold the text of messages and answers only when the operator requests it."""

import json

import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import ThinkTags
from tests.support.factories import a_wire_request
from tests.support.otlp import OtlpReceiver
from tests.support.serving import (
    UPSTREAM_KEY,
    RunningServer,
    config_for,
    model_entry,
)
from tests.support.spans import ANSWER, CHAT, COMPLETE, PROMPT, Tracing, only_span
from tests.support.upstream import (
    UPSTREAM_SECRET,
    FakeToolCall,
    FakeUpstream,
)


async def test_texts_and_keys_are_not_exported(
    receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream
) -> None:
    """No export contains a prompt, an answer or a key, however a call ends."""
    upstream.reply(
        ANSWER, reasoning=[ANSWER], tool_calls=[FakeToolCall("call_1", "weather", json.dumps({"city": ANSWER}))]
    )
    await traced.client().complete(a_wire_request(PROMPT, end_user=PROMPT, labels={"team": PROMPT}))
    upstream.reply(ANSWER, finish_reason=None)
    with pytest.raises(CallFailed):
        await traced.client().complete(a_wire_request(PROMPT))
    for status in (400, 401, 500, 500, 500):
        upstream.fail(status, message=f"{PROMPT} {UPSTREAM_SECRET}")
    for _ in range(3):
        with pytest.raises(CallFailed):
            await traced.client().complete(a_wire_request(PROMPT))

    await receiver.expect_spans(COMPLETE, 5)
    exported = b"".join(receiver.raw)
    for secret in (PROMPT, ANSWER, UPSTREAM_KEY, UPSTREAM_SECRET):
        assert secret.encode() not in exported


@pytest.mark.parametrize("variable", ["true", "SPAN_ONLY"])
async def test_content_is_captured_when_requested(
    otel: pytest.MonkeyPatch, tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream, variable: str
) -> None:
    """With the variable set, spans hold messages and answers, but no keys."""
    otel.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", variable)
    upstream.reply(ANSWER, reasoning=["hm"])
    async with tracing(config_for(model_entry(upstream.api_base))) as running:
        await running.client().complete(a_wire_request(PROMPT))

        call, chat = await only_span(receiver, COMPLETE), await only_span(receiver, CHAT)
    assert json.loads(chat.attributes["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": PROMPT}]}
    ]
    assert json.loads(chat.attributes["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": ANSWER}],
            "finish_reason": "stop",
        }
    ]
    question_and_answer = {"input.value": PROMPT, "output.value": ANSWER}
    assert {name: call.attributes[name] for name in question_and_answer} == question_and_answer
    assert {name: chat.attributes[name] for name in question_and_answer} == question_and_answer
    assert UPSTREAM_KEY.encode() not in b"".join(receiver.raw)


async def test_captured_content_separates_reasoning(
    otel: pytest.MonkeyPatch, tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream
) -> None:
    """The text that a model writes between think tags is reasoning on the span."""
    otel.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    upstream.reply("<think>hm</thi", "nk>42")
    async with tracing(config_for(model_entry(upstream.api_base, think_tags=ThinkTags.PAIR))) as running:
        await running.client().complete(a_wire_request(PROMPT))

        chat = await only_span(receiver, CHAT)
    (message,) = json.loads(chat.attributes["gen_ai.output.messages"])
    assert message["parts"] == [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "42"}]


async def test_captured_content_of_a_cut_answer_is_partial(
    otel: pytest.MonkeyPatch, tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream
) -> None:
    """The span of an answer that was cut holds the deltas that arrived, and no finish reason."""
    otel.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    upstream.cut_after(2)
    async with tracing(config_for(model_entry(upstream.api_base))) as running:
        with pytest.raises(CallFailed):
            await running.client().complete(a_wire_request(PROMPT))

        chat = await only_span(receiver, CHAT)
    (message,) = json.loads(chat.attributes["gen_ai.output.messages"])
    assert message["parts"] == [{"type": "text", "content": "word0 word1 "}]
    assert message["finish_reason"] == ""
