"""The context policy decides what happens to a conversation that does not fit the context window of the model."""

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
"""A message of this text has 100 tokens at one for each four bytes, and 132 tokens by the cautious estimate."""
SHORT: Final = "hi"
SYSTEM: Final = Message(role=ROLE_SYSTEM, content=[Part(text="Be brief.")])
CALL: Final = Message(
    role=ROLE_ASSISTANT, content=[Part(tool_call=messages_pb2.ToolCall(id="1", name="f", arguments="{}"))]
)
RESULT: Final = Message(role=ROLE_TOOL, content=[Part(tool_result=messages_pb2.ToolResult(call_id="1", content=LONG))])
OMISSION: Final = EffectiveSetting(
    field="messages",
    cause=completion_pb2.EFFECTIVE_SETTING_CAUSE_CONTEXT_WINDOW,
    reason="The oldest messages are left out, to fit the context window.",
)


def user(text: str) -> Message:
    """Creates a message of the user."""
    return Message(role=ROLE_USER, content=[Part(text=text)])


def assistant(text: str) -> Message:
    """Creates a message of the assistant."""
    return Message(role=ROLE_ASSISTANT, content=[Part(text=text)])


TALK: Final = [SYSTEM, user(LONG), assistant(LONG), user(LONG), CALL, RESULT, assistant("4"), user("And now?")]


def a_request(policy: Any, *messages: Message, **fields: Any) -> completion_pb2.CompleteRequest:
    """Creates a request with a policy, which includes the events of model calls."""
    include = completion_pb2.IncludeOptions(model_calls=True)
    return completion_pb2.CompleteRequest(
        **{"messages": messages or TALK, "context_policy": policy, "include": include, **fields}
    )


@asynccontextmanager
async def serving_window(
    upstream: FakeUpstream, tokens: int | None, settings: dict[str, Any] | None = None, **overrides: Any
) -> AsyncIterator[RunningServer]:
    """Runs a server whose model has a context window of this many tokens."""
    entry = model_entry(upstream.api_base, context_window_tokens=tokens, **overrides)
    async with serving(config_for(entry, **(settings or {}))) as running:
        yield running


async def collect_last_events(
    running: RunningServer, request: completion_pb2.CompleteRequest
) -> dict[str, events_pb2.StreamCompleteResponse]:
    """Returns the last event of each kind in a stream."""
    return {str(event.WhichOneof("kind")): event async for event in running.client().stream(request)}


async def expect_failure(
    running: RunningServer, request: completion_pb2.CompleteRequest, *, streamed: bool
) -> CallFailed:
    """Returns how the call fails."""
    call = collect_last_events(running, request) if streamed else running.client().complete(request)
    with pytest.raises(CallFailed) as failed:
        await call
    return failed.value


def read_roles(upstream: FakeUpstream) -> list[str]:
    """Returns the roles of the messages in the last request that the upstream received."""
    return [message["role"] for message in upstream.requests[-1].body["messages"]]


def expected_settings(effective: int, requested: int = len(TALK)) -> list[EffectiveSetting]:
    """Returns the setting that reports how many messages were sent in place of those requested."""
    setting = EffectiveSetting(requested=str(requested), effective=str(effective))
    setting.MergeFrom(OMISSION)
    return [setting]


async def test_a_stream_omits_the_oldest_messages(upstream: FakeUpstream) -> None:
    """With TRUNCATE_OLDEST the upstream receives what fits; `started` and `model_call_finished` report the omission."""
    async with serving_window(upstream, 600) as running:
        events = await collect_last_events(running, a_request(CONTEXT_POLICY_TRUNCATE_OLDEST))

    finished = events["model_call_finished"].model_call_finished
    assert read_roles(upstream) == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert list(events["started"].started.effective_settings) == expected_settings(6)
    assert (finished.omitted_messages, finished.omitted_tokens) == (2, 200)
    assert events["completed"].completed.finish_reason == completion_pb2.FINISH_REASON_STOP


async def test_a_unary_call_omits_the_oldest_messages(upstream: FakeUpstream) -> None:
    """`Complete` with TRUNCATE_OLDEST reports the omitted messages; a tool result is omitted together with its call."""
    async with serving_window(upstream, 300) as running:
        response = await running.client().complete(a_request(CONTEXT_POLICY_TRUNCATE_OLDEST))

    assert read_roles(upstream) == ["system", "user"]
    assert upstream.requests[0].body["messages"][-1]["content"] == "And now?"
    assert list(response.effective_settings) == expected_settings(2)


@pytest.mark.parametrize("policy", [CONTEXT_POLICY_TRUNCATE_OLDEST, CONTEXT_POLICY_ERROR])
async def test_a_conversation_that_fits_is_sent_whole(upstream: FakeUpstream, policy: Any) -> None:
    """A context policy changes nothing in a conversation that fits the window."""
    async with serving_window(upstream, 1000) as running:
        events = await collect_last_events(running, a_request(policy))

    finished = events["model_call_finished"].model_call_finished
    assert len(read_roles(upstream)) == len(TALK)
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
async def test_a_conversation_that_cannot_fit_is_refused(
    upstream: FakeUpstream, policy: Any, messages: list[Message], streamed: bool
) -> None:
    """A conversation that cannot fit is refused before the upstream is called, so that it has no cost."""
    async with serving_window(upstream, 300) as running:
        failed = await expect_failure(running, a_request(policy, *messages), streamed=streamed)

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
async def test_a_conversation_is_sent_when_it_cannot_be_checked(
    upstream: FakeUpstream, policy: Any, tokens: int | None
) -> None:
    """Without a policy, or with ERROR and an unknown window, the conversation is sent and the upstream decides."""
    async with serving_window(upstream, tokens) as running:
        response = await running.client().complete(a_request(policy))

    assert len(read_roles(upstream)) == len(TALK)
    assert not response.effective_settings


@pytest.mark.parametrize(("option", "sent"), [({}, 8), ({"unknown_context_window_tokens": 600}, 6)])
async def test_an_option_gives_the_size_of_unknown_windows(
    upstream: FakeUpstream, option: dict[str, Any], sent: int
) -> None:
    """A model whose window is not known has the window of the option `unknown_context_window_tokens`."""
    async with serving_window(upstream, None, option) as running:
        await running.client().complete(a_request(CONTEXT_POLICY_TRUNCATE_OLDEST))

    assert len(read_roles(upstream)) == sent


@pytest.mark.parametrize(("text", "sent"), [("汉字" * 20, 3), ("x9Qz7Lk2" * 15, 1)])
async def test_the_tokenizer_of_the_model_counts(upstream: FakeUpstream, text: str, sent: int) -> None:
    """One text of 120 bytes fits and another does not, because the tokenizer of the model counts them."""
    messages = [user(text), assistant("ok"), user(SHORT)]
    limit = completion_pb2.Sampling(max_output_tokens=10)

    async with serving_window(upstream, 80, base_model="openai/gpt-4o") as running:
        await running.client().complete(a_request(CONTEXT_POLICY_TRUNCATE_OLDEST, *messages, sampling=limit))

    assert len(read_roles(upstream)) == sent


async def test_room_is_kept_for_the_answer(upstream: FakeUpstream) -> None:
    """The tokens that the answer may have are kept free in the window."""
    async with serving_window(upstream, 1000) as running:
        await running.client().complete(
            a_request(CONTEXT_POLICY_TRUNCATE_OLDEST, sampling=completion_pb2.Sampling(max_output_tokens=450))
        )

    assert len(read_roles(upstream)) == 6


async def test_the_omission_suits_every_fallback_model(upstream: FakeUpstream) -> None:
    """The omission suits the smallest window; a fallback model that is too small even then is reported as left out."""
    entries = [
        model_entry(upstream.api_base, "big", context_window_tokens=9000),
        model_entry(upstream.api_base, "small", context_window_tokens=600),
        model_entry(upstream.api_base, "tiny", context_window_tokens=20),
    ]
    request = a_request(CONTEXT_POLICY_TRUNCATE_OLDEST, fallback_models=["small", "tiny"])
    upstream.fail(503)

    async with serving(config_for(*entries, max_retries=0)) as running:
        events = await collect_last_events(running, request)

    settings = {setting.field: setting.effective for setting in events["started"].started.effective_settings}
    finished = events["model_call_finished"].model_call_finished
    assert settings == {"fallback_models": "small", "messages": "6"}
    bodies = [each.body for each in upstream.requests]
    assert [(body["model"], len(body["messages"])) for body in bodies] == [("big", 6), ("small", 6)]
    assert (finished.model, finished.omitted_messages) == ("small", 2)
