"""Calls that litellm makes through OpenAI's Responses API: nothing of them is lost in silence."""

from typing import Any, Final

import pytest

from reasoning_grpc.domain import (
    Message,
    Part,
    Reasoning,
    ReasoningEffort,
    ReasoningOptions,
    Refusal,
    Role,
    Sampling,
    Text,
    Tool,
)
from reasoning_grpc.litellm_model.request import prepare_call
from tests.support.unsent import a_deployment, a_model_call

LOST: Final[dict[str, dict[str, Any]]] = {
    "sampling.seed": {"sampling": Sampling(seed=1)},
    "sampling.top_k": {"sampling": Sampling(top_k=3)},
    "sampling.max_output_tokens": {"sampling": Sampling(max_output_tokens=15)},
    "end_user": {"end_user": "u" * 65},
    "provider_options": {"provider_options": {"foo": "1"}},
}
CONVERSATION: Final = (
    Message(Role.USER, (Part(Text("hi")),)),
    Message(Role.ASSISTANT, (Part(Reasoning("hm")), Part(Text("well,")), Part(Refusal("no")))),
    Message(Role.USER, (Part(Text("why?")),)),
)


def _find_refused(model: str, **fields: Any) -> list[str]:
    """Returns the fields for which a call is refused before litellm gets it."""
    violations = prepare_call(a_model_call(**fields), a_deployment(model)).violations
    return [violation.field for violation in violations]


@pytest.mark.parametrize("field", LOST)
def test_what_would_be_lost_is_refused(field: str) -> None:
    """A parameter that litellm leaves out there is refused by name, and is sent through the other interface."""
    assert _find_refused("openai/gpt-5-pro", **LOST[field]) == [field]
    assert _find_refused("openai/gpt-5", **LOST[field]) == []


def test_tools_decide_the_interface() -> None:
    """Azure's models from GPT-5.4 on are called there when they have tools."""
    seed = LOST["sampling.seed"]

    assert _find_refused("azure/gpt-5.4", **seed) == []
    assert _find_refused("azure/gpt-5.4", tools=(Tool("f"),), **seed) == ["sampling.seed"]


def test_an_effort_decides_the_interface() -> None:
    """A server of one's own under such a name is called there when tools meet an effort."""
    fields = {"tools": (Tool("f"),), **LOST["sampling.seed"]}
    effort = ReasoningOptions(effort=ReasoningEffort.LOW)

    assert _find_refused("openai/gpt-5.4", **fields) == []
    assert _find_refused("openai/gpt-5.4", reasoning=effort, **fields) == ["sampling.seed"]


def test_a_base_model_keeps_the_interface() -> None:
    """A deployment with a base model is called through the interface of its own name."""
    deployment = a_deployment("openai/NAME", base_model="openai/gpt-5-pro")

    assert prepare_call(a_model_call(**LOST["sampling.seed"]), deployment).violations == ()


def test_earlier_answers() -> None:
    """A refusal of an earlier answer is sent as a text there, without reasoning, and as it is elsewhere."""
    there = prepare_call(a_model_call(*CONVERSATION), a_deployment("openai/gpt-5-pro")).call
    elsewhere = prepare_call(a_model_call(*CONVERSATION), a_deployment("openai/gpt-5")).call

    assert [part.content for part in there.messages[1].content] == [Text("well,"), Text("no")]
    assert elsewhere.messages == CONVERSATION


def test_the_system_prompt_is_one_message() -> None:
    """Messages of the system at the start become one, with an empty line between them; a later one stays."""
    first, second, later = (Message(Role.SYSTEM, (Part(Text(text)),)) for text in ("one", "two", "three"))
    hi = CONVERSATION[0]

    prepared = prepare_call(a_model_call(first, second, hi, later), a_deployment("openai/gpt-5-pro")).call

    assert prepared.messages == (Message(Role.SYSTEM, (Part(Text("one\n\ntwo")),)), hi, later)
