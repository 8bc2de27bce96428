"""What becomes of a conversation that does not fit, from the caller to the upstream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import completion_pb2, events_pb2, messages_pb2
from reasoning_grpc.v1.completion_pb2 import (
    CONTEXT_POLICY_ERROR,
    CONTEXT_POLICY_TRUNCATE_OLDEST,
    CONTEXT_POLICY_UNSPECIFIED,
    EffectiveSetting,
)
from reasoning_grpc.v1.messages_pb2 import ROLE_ASSISTANT, ROLE_SYSTEM, ROLE_TOOL, ROLE_USER, Message, Part
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

LONG: Final = "four" * 94
"""With what stands around it, a message of 100 tokens, one for each four bytes; of 132 by the cautious estimate."""
SHORT: Final = "hi"
SYSTEM: Final = Message(role=ROLE_SYSTEM, content=[Part(text="Be brief.")])
CALL: Final = Message(
    role=ROLE_ASSISTANT, content=[Part(tool_call=messages_pb2.ToolCall(id="1", name="f", arguments="{}"))]
)
RESULT: Final = Message(role=ROLE_TOOL, content=[Part(tool_result=messages_pb2.ToolResult(call_id="1", content=LONG))])
LEFT_OUT: Final = EffectiveSetting(
    field="messages",
    cause=completion_pb2.EFFECTIVE_SETTING_CAUSE_CONTEXT_WINDOW,
    reason="The oldest messages are left out, to fit the context window.",
)


def user(text: str) -> Message:
    """A message of the user."""
    return Message(role=ROLE_USER, content=[Part(text=text)])


def assistant(text: str) -> Message:
    """A message of the assistant."""
    return Message(role=ROLE_ASSISTANT, content=[Part(text=text)])


TALK: Final = [SYSTEM, user(LONG), assistant(LONG), user(LONG), CALL, RESULT, assistant("4"), user("And now?")]


def a_request(policy: Any, *messages: Message, **fields: Any) -> completion_pb2.CompleteRequest:
    """A request with a policy, whose answer is to tell of model calls."""
    include = completion_pb2.IncludeOptions(model_calls=True)
    return completion_pb2.CompleteRequest(
        **{"messages": messages or TALK, "context_policy": policy, "include": include, **fields}
    )


@asynccontextmanager
async def serving_window(
    upstream: FakeUpstream, tokens: int | None, settings: dict[str, Any] | None = None, **overrides: Any
) -> AsyncIterator[RunningServer]:
    """Runs a server whose model has this window."""
    entry = model_entry(upstream.api_base, context_window_tokens=tokens, **overrides)
    async with serving(config_for(entry, **(settings or {}))) as running:
        yield running


async def events_of(
    running: RunningServer, request: completion_pb2.CompleteRequest
) -> dict[str, events_pb2.StreamCompleteResponse]:
    """The events of a stream, the last of each kind."""
    return {str(event.WhichOneof("kind")): event async for event in running.client().stream(request)}


async def refused(running: RunningServer, request: completion_pb2.CompleteRequest, *, streamed: bool) -> CallFailed:
    """How a call fails."""
    call = events_of(running, request) if streamed else running.client().complete(request)
    with pytest.raises(CallFailed) as failed:
        await call
    return failed.value


def roles(upstream: FakeUpstream) -> list[str]:
    """Who speaks in what the upstream got last."""
    return [message["role"] for message in upstream.requests[-1].body["messages"]]


def changed(effective: int, asked: int = len(TALK)) -> list[EffectiveSetting]:
    """What is told of messages that were left out."""
    setting = EffectiveSetting(requested=str(asked), effective=str(effective))
    setting.MergeFrom(LEFT_OUT)
    return [setting]


async def test_the_oldest_are_left_out_of_a_stream(upstream: FakeUpstream) -> None:
    """The upstream gets what fits; `started` tells of it, and so does the end of the model call."""
    async with serving_window(upstream, 600) as running:
        events = await events_of(running, a_request(CONTEXT_POLICY_TRUNCATE_OLDEST))

    finished = events["model_call_finished"].model_call_finished
    assert roles(upstream) == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert list(events["started"].started.effective_settings) == changed(6)
    assert (finished.omitted_messages, finished.omitted_tokens) == (2, 200)
    assert events["completed"].completed.finish_reason == completion_pb2.FINISH_REASON_STOP


async def test_the_oldest_are_left_out_of_a_whole_answer(upstream: FakeUpstream) -> None:
    """A unary answer tells the same; a tool result goes with its call."""
    async with serving_window(upstream, 300) as running:
        response = await running.client().complete(a_request(CONTEXT_POLICY_TRUNCATE_OLDEST))

    assert roles(upstream) == ["system", "user"]
    assert upstream.requests[0].body["messages"][-1]["content"] == "And now?"
    assert list(response.effective_settings) == changed(2)


@pytest.mark.parametrize("policy", [CONTEXT_POLICY_TRUNCATE_OLDEST, CONTEXT_POLICY_ERROR])
async def test_what_fits_is_sent_whole(upstream: FakeUpstream, policy: Any) -> None:
    """A policy changes nothing in a conversation that fits."""
    async with serving_window(upstream, 1000) as running:
        events = await events_of(running, a_request(policy))

    finished = events["model_call_finished"].model_call_finished
    assert len(roles(upstream)) == len(TALK)
    assert not events["started"].started.effective_settings
    assert (finished.omitted_messages, finished.omitted_tokens) == (0, 0)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("policy", "messages"),
    [
        pytest.param(CONTEXT_POLICY_ERROR, TALK, id="error"),
        pytest.param(CONTEXT_POLICY_TRUNCATE_OLDEST, [user(LONG * 4)], id="nothing to leave out"),
    ],
)
async def test_what_cannot_fit_is_refused(
    upstream: FakeUpstream, policy: Any, messages: list[Message], streamed: bool
) -> None:
    """The upstream is not asked, so that nothing was spent."""
    async with serving_window(upstream, 300) as running:
        failed = await refused(running, a_request(policy, *messages), streamed=streamed)

    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert failed.reason == "CONTEXT_WINDOW_EXCEEDED"
    assert failed.metadata == {"model": "fake"}
    assert failed.interruption is None
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("policy", "tokens"),
    [
        pytest.param(CONTEXT_POLICY_UNSPECIFIED, 300, id="no policy"),
        pytest.param(CONTEXT_POLICY_ERROR, None, id="an unknown window"),
    ],
)
async def test_what_nobody_measures_is_sent(upstream: FakeUpstream, policy: Any, tokens: int | None) -> None:
    """Without a policy, and with ERROR where the window is not known, the upstream decides."""
    async with serving_window(upstream, tokens) as running:
        response = await running.client().complete(a_request(policy))

    assert len(roles(upstream)) == len(TALK)
    assert not response.effective_settings


@pytest.mark.parametrize(("option", "left"), [({}, 8), ({"unknown_context_window_tokens": 600}, 6)])
async def test_an_unknown_window_is_the_operators(upstream: FakeUpstream, option: dict[str, Any], left: int) -> None:
    """A model whose window is not known is taken to have the one of the option."""
    async with serving_window(upstream, None, option) as running:
        await running.client().complete(a_request(CONTEXT_POLICY_TRUNCATE_OLDEST))

    assert len(roles(upstream)) == left


@pytest.mark.parametrize(("text", "left"), [("汉字" * 20, 3), ("x9Qz7Lk2" * 15, 1)])
async def test_the_models_own_tokenizer_counts(upstream: FakeUpstream, text: str, left: int) -> None:
    """Two texts of 120 bytes: by the tokenizer of GPT-4o one fits, and the other does not."""
    messages = [user(text), assistant("ok"), user(SHORT)]
    limit = completion_pb2.Sampling(max_output_tokens=10)

    async with serving_window(upstream, 80, base_model="openai/gpt-4o") as running:
        await running.client().complete(a_request(CONTEXT_POLICY_TRUNCATE_OLDEST, *messages, sampling=limit))

    assert len(roles(upstream)) == left


async def test_the_answer_has_its_reserve(upstream: FakeUpstream) -> None:
    """As many tokens as the answer may have are kept free."""
    async with serving_window(upstream, 1000) as running:
        await running.client().complete(
            a_request(CONTEXT_POLICY_TRUNCATE_OLDEST, sampling=completion_pb2.Sampling(max_output_tokens=450))
        )

    assert len(roles(upstream)) == 6


async def test_a_fallback_model_gets_what_it_can_take(upstream: FakeUpstream) -> None:
    """What is left out suits the smallest window; a fallback model that is too small even so is told to be left out."""
    entries = [
        model_entry(upstream.api_base, "big", context_window_tokens=9000),
        model_entry(upstream.api_base, "small", context_window_tokens=600),
        model_entry(upstream.api_base, "tiny", context_window_tokens=20),
    ]
    request = a_request(CONTEXT_POLICY_TRUNCATE_OLDEST, fallback_models=["small", "tiny"])
    upstream.fail(503)

    async with serving(config_for(*entries, max_retries=0)) as running:
        events = await events_of(running, request)

    settings = {setting.field: setting.effective for setting in events["started"].started.effective_settings}
    finished = events["model_call_finished"].model_call_finished
    assert settings == {"fallback_models": "small", "messages": "6"}
    bodies = [each.body for each in upstream.requests]
    assert [(body["model"], len(body["messages"])) for body in bodies] == [("big", 6), ("small", 6)]
    assert (finished.model, finished.omitted_messages) == ("small", 2)
