"""The API of OpenAI's through which a call goes, by facts about the model and the call."""

from typing import Any, Final

import pytest

from reasoning_grpc.domain import (
    Message,
    Part,
    Reasoning,
    ReasoningEffort,
    ReasoningOptions,
    Role,
    Sampling,
    Text,
    Tool,
    Wire,
)
from reasoning_grpc.litellm_model.request import choose_wire
from tests.support.unsent import a_deployment, a_model_call

TOOLS: Final[dict[str, Any]] = {"tools": (Tool("f"),)}
INCLUDED: Final[dict[str, Any]] = {"include_reasoning": True}


def _with_effort(effort: ReasoningEffort) -> dict[str, Any]:
    return {"reasoning": ReasoningOptions(effort=effort), **TOOLS}


@pytest.mark.parametrize(
    ("model", "fields", "wire"),
    [
        ("openai/gpt-5.6", TOOLS, Wire.RESPONSES),
        ("openai/gpt-5.5", TOOLS, Wire.RESPONSES),
        ("openai/gpt-5.4", TOOLS, Wire.CHAT),
        ("openai/gpt-5.4", _with_effort(ReasoningEffort.LOW), Wire.RESPONSES),
        ("openai/gpt-5.4", _with_effort(ReasoningEffort.NONE), Wire.CHAT),
        ("openai/gpt-5.6", _with_effort(ReasoningEffort.NONE), Wire.CHAT),
        ("openai/gpt-5.6", {}, Wire.CHAT),
        ("openai/gpt-5.6", INCLUDED, Wire.RESPONSES),
        ("openai/gpt-5.6", {**INCLUDED, "sampling": Sampling(seed=1)}, Wire.CHAT),
        ("openai/gpt-5", _with_effort(ReasoningEffort.LOW), Wire.CHAT),
        ("openai/gpt-5-pro", {}, Wire.RESPONSES),
        ("openai/gpt-4.1", INCLUDED, Wire.CHAT),
        ("openai/our-own", INCLUDED, Wire.CHAT),
        ("azure/gpt-5.4", _with_effort(ReasoningEffort.LOW), Wire.RESPONSES),
        ("groq/openai/gpt-oss-20b", INCLUDED, Wire.CHAT),
        ("anthropic/claude-sonnet-4-5", TOOLS, Wire.CHAT),
    ],
)
def test_the_model_and_the_call_decide(model: str, fields: dict[str, Any], wire: Wire) -> None:
    """The Responses API gets what Chat Completions refuses, and what it does not return."""
    assert choose_wire(a_model_call(**fields), a_deployment(model)).wire is wire


def test_signed_reasoning_goes_back_to_where_it_comes_from() -> None:
    """A conversation with reasoning that the Responses API has signed goes on there."""
    answer = Message(Role.ASSISTANT, (Part(Reasoning("hm"), signature='{"id":"rs_1"}'), Part(Text("Yes."))))
    messages = (Message(Role.USER, (Part(Text("hi")),)), answer, Message(Role.USER, (Part(Text("why?")),)))

    assert choose_wire(a_model_call(*messages), a_deployment("openai/gpt-5")).wire is Wire.RESPONSES


@pytest.mark.parametrize("wire", Wire)
def test_the_entry_decides(wire: Wire) -> None:
    """The API that an entry names holds for all calls."""
    deployment = a_deployment("openai/gpt-5.6", wire=wire)

    assert {choose_wire(a_model_call(**fields), deployment).wire for fields in ({}, TOOLS, INCLUDED)} == {wire}
