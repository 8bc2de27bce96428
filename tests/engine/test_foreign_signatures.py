"""Signatures and redacted reasoning go back to the model that made them, and to no other."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from reasoning_grpc.config import RuleCondition, RuleEntry
from reasoning_grpc.v1.completion_pb2 import CompleteRequest, EffectiveSettingCause
from reasoning_grpc.v1.messages_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Message,
    Part,
    Reasoning,
    ToolResult,
)
from tests.support.anthropic_blocks import text_block, thinking_block, tool_use
from tests.support.opaque_values import remove_marks
from tests.support.serving import RunningServer, config_for, model_entry, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream

SIGNATURE: Final = "EqQBCkgIARABGAIiQ+/x9w=="
WITHHELD: Final = "EmwKAhgBEgy3va3pzix/LafP"
QUESTION: Final = Message(role=ROLE_USER, content=[Part(text="q")])
GO_ON: Final = Message(role=ROLE_USER, content=[Part(text="go on")])
Setting = tuple[str, str, str, str]
"""Field, requested value, effective value and cause."""

LEFT_OUT: Final[list[Setting]] = [
    ("messages.content.signature", "2", "0", "FOREIGN_SIGNATURE"),
    ("messages.content.reasoning", "1", "0", "PROVIDER_LIMIT"),
]
"""The settings of a model of Anthropic that gets an answer of another model."""


def list_settings(settings: Any) -> list[Setting]:
    """Returns effective settings as tuples."""
    names = EffectiveSettingCause.Name
    return [
        (each.field, each.requested, each.effective, names(each.cause).removeprefix("EFFECTIVE_SETTING_CAUSE_"))
        for each in settings
    ]


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """Runs a server with models of three protocols; two names stand for one model of Anthropic."""
    entries = [
        model_entry(upstream.api_base, "openai"),
        provider_entry(upstream, "anthropic", "sonnet", litellm_model="anthropic/claude-sonnet-4-5"),
        provider_entry(upstream, "anthropic", "sonnet-again", litellm_model="anthropic/claude-sonnet-4-5"),
        provider_entry(upstream, "anthropic", "opus", litellm_model="anthropic/claude-opus-4-5"),
        provider_entry(upstream, "gemini", "gemini", litellm_model="gemini/gemini-3-pro-preview"),
    ]
    config = replace(
        config_for(*entries, max_retries=0),
        rules=(RuleEntry(id="opus", when=RuleCondition(labels={"to": "opus"}), route="passthrough", model="opus"),),
    )
    async with serving(config) as running:
        yield running


async def receive_signed_message(upstream: FakeUpstream, server: RunningServer, model: str) -> Message:
    """Returns an answer of a model with signed reasoning, and with withheld reasoning where the provider has it."""
    upstream.reply("42", reasoning=("hm",), reasoning_signature=SIGNATURE, redacted_reasoning=(WITHHELD,))
    request = CompleteRequest(model=model, messages=[QUESTION])
    request.include.reasoning = True
    answer = await server.client().complete(request)
    upstream.requests.clear()
    return answer.message


def continue_with(message: Message, model: str, **fields: Any) -> CompleteRequest:
    """Creates the request that goes on with a message of an earlier answer."""
    request = CompleteRequest(model=model, messages=[QUESTION, message, GO_ON], **fields)
    request.include.reasoning = True
    return request


SIGNED_BLOCKS: Final = [
    thinking_block("hm", SIGNATURE),
    {"type": "redacted_thinking", "data": WITHHELD},
    text_block("42"),
]


@dataclass(frozen=True)
class Case:
    """Two models, and what the second one gets of an answer of the first one."""

    first: str
    second: str
    expected: list[dict[str, Any]]
    settings: list[Setting]


CASES: Final = {
    "the model itself": Case("sonnet", "sonnet", SIGNED_BLOCKS, []),
    "the model under another name": Case("sonnet", "sonnet-again", SIGNED_BLOCKS, []),
    "another model of the provider": Case(
        "sonnet",
        "opus",
        [text_block("42")],
        LEFT_OUT,
    ),
    "another provider": Case(
        "openai",
        "sonnet",
        [text_block("42")],
        LEFT_OUT,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_only_the_model_that_made_opaque_values_gets_them_back(
    upstream: FakeUpstream, server: RunningServer, case: Case
) -> None:
    """Another model gets the conversation without the values, and `started` and the answer report it."""
    message = await receive_signed_message(upstream, server, case.first)
    request = continue_with(message, case.second)

    answer = await server.client().complete(request)
    events = [event async for event in server.client().stream(request)]

    assert [sent.body["messages"][1]["content"] for sent in upstream.requests] == [case.expected] * 2
    assert list_settings(answer.effective_settings) == case.settings
    assert list_settings(events[0].started.effective_settings) == case.settings


async def test_reasoning_in_words_stays_where_it_needs_no_signature(
    upstream: FakeUpstream, server: RunningServer
) -> None:
    """A provider that takes reasoning in words gets the words, without the signature of the other model."""
    message = await receive_signed_message(upstream, server, "sonnet")

    answer = await server.client().complete(continue_with(message, "openai"))

    assert upstream.requests[0].body["messages"][1] == {
        "role": "assistant",
        "content": "42",
        "reasoning_content": "hm",
        "reasoning": "hm",
    }
    assert list_settings(answer.effective_settings) == [("messages.content.signature", "2", "0", "FOREIGN_SIGNATURE")]


async def test_the_signature_of_a_call_is_foreign_to_another_model(
    upstream: FakeUpstream, server: RunningServer
) -> None:
    """A call that Gemini signed goes to Anthropic as a call, without the signature."""
    upstream.reply(tool_calls=[FakeToolCall("id1", "f", '{"a": 1}')], tool_signature=SIGNATURE)
    request = CompleteRequest(model="gemini", messages=[QUESTION])
    request.tools.add(name="f")
    first = await server.client().complete(request)
    upstream.requests.clear()
    (part,) = first.message.content
    result = Part(tool_result=ToolResult(call_id=part.tool_call.id, content="7"))
    request = CompleteRequest(
        model="sonnet", messages=[QUESTION, first.message, Message(role=ROLE_TOOL, content=[result])]
    )
    request.tools.add(name="f")

    answer = await server.client().complete(request)

    assert upstream.requests[0].body["messages"][1]["content"] == [tool_use(part.tool_call.id, 1)]
    assert SIGNATURE not in upstream.requests[0].raw.decode()
    assert list_settings(answer.effective_settings) == [("messages.content.signature", "1", "0", "FOREIGN_SIGNATURE")]


async def test_a_switch_reports_the_values_that_it_leaves_out(upstream: FakeUpstream, server: RunningServer) -> None:
    """`attempt_switched` reports what a fallback model does not get, and what the next one gets again."""
    message = await receive_signed_message(upstream, server, "sonnet")
    request = continue_with(message, "sonnet", fallback_models=["opus", "sonnet-again"])
    upstream.fail(529)
    upstream.fail(529)

    events = [event async for event in server.client().stream(request)]

    switches = [event.attempt_switched for event in events if event.WhichOneof("kind") == "attempt_switched"]
    assert list_settings(events[0].started.effective_settings) == []
    assert [list_settings(switch.effective_settings) for switch in switches] == [
        [
            ("model", "sonnet", "opus", "FALLBACK"),
            *LEFT_OUT,
        ],
        [
            ("model", "sonnet", "sonnet-again", "FALLBACK"),
            ("messages.content.signature", "2", "2", "FALLBACK"),
            ("messages.content.reasoning", "1", "1", "FALLBACK"),
        ],
    ]
    sent = [request.body["messages"][1]["content"] for request in upstream.requests]
    assert sent == [SIGNED_BLOCKS, [text_block("42")], SIGNED_BLOCKS]


async def test_routing_to_another_model_reports_the_values_that_it_leaves_out(
    upstream: FakeUpstream, server: RunningServer
) -> None:
    """A rule that names another model than the request leaves out the values of the first one."""
    message = await receive_signed_message(upstream, server, "sonnet")

    answer = await server.client().complete(continue_with(message, "sonnet", labels={"to": "opus"}))

    assert upstream.requests[0].body["messages"][1]["content"] == [text_block("42")]
    assert list_settings(answer.effective_settings) == [("model", "sonnet", "opus", "ROUTING"), *LEFT_OUT]


async def test_a_value_without_a_mark_is_passed_on(upstream: FakeUpstream, server: RunningServer) -> None:
    """A signature that this server did not hand out goes to the model as it is."""
    message = Message(
        role=ROLE_ASSISTANT,
        content=[Part(reasoning=Reasoning(text="hm"), signature=SIGNATURE), Part(text="42")],
    )

    answer = await server.client().complete(continue_with(message, "sonnet"))

    assert upstream.requests[0].body["messages"][1]["content"] == [thinking_block("hm", SIGNATURE), text_block("42")]
    assert list_settings(answer.effective_settings) == []


async def test_a_mark_does_not_name_the_model(upstream: FakeUpstream, server: RunningServer) -> None:
    """What callers receive says nothing of the model's name, and holds the provider's value unchanged."""
    message = await receive_signed_message(upstream, server, "sonnet")

    assert "claude" not in str(message)
    assert remove_marks(message).content[0] == Part(reasoning=Reasoning(text="hm"), signature=SIGNATURE)
    assert remove_marks(message).content[1] == Part(reasoning=Reasoning(redacted=WITHHELD.encode()))
