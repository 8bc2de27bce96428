"""`find_refused_fields`: the fields without which a call passes, found by trying."""

from collections.abc import Callable
from typing import Any

import pytest

from reasoning_grpc.domain import (
    Message,
    Part,
    ReasoningEffort,
    ReasoningOptions,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Sampling,
    Text,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from reasoning_grpc.litellm_model.refused_fields import find_refused_fields
from reasoning_grpc.llm import ModelCall
from tests.support.unsent import a_model_call

WHOLE: dict[str, Any] = {
    "sampling": Sampling(temperature=0.5, stop_sequences=("x",), logit_bias={5: 1}, seed=0),
    "tools": (Tool("f"),),
    "tool_choice": ToolChoice(ToolChoiceMode.AUTO),
    "parallel_tool_calls": False,
    "response_format": ResponseFormat(ResponseFormatKind.JSON_OBJECT),
    "reasoning": ReasoningOptions(effort=ReasoningEffort.LOW),
    "end_user": "u",
    "provider_options": {"foo": "1"},
}


async def _find(call: ModelCall, is_taken: Callable[[ModelCall], bool]) -> tuple[list[str], list[ModelCall]]:
    """Returns the fields at fault, and the calls that were tried."""
    tried: list[ModelCall] = []

    async def try_call(reduced: ModelCall) -> bool:
        tried.append(reduced)
        return is_taken(reduced)

    violations = await find_refused_fields(call, try_call)
    return [violation.field for violation in violations], tried


@pytest.mark.parametrize(
    ("field", "is_taken"),
    [
        ("sampling.temperature", lambda call: call.sampling.temperature is None),
        ("sampling.stop_sequences", lambda call: not call.sampling.stop_sequences),
        ("sampling.logit_bias", lambda call: not call.sampling.logit_bias),
        ("sampling.seed", lambda call: call.sampling.seed is None),
        ("tools", lambda call: not call.tools),
        ("tool_choice", lambda call: call.tool_choice is None),
        ("parallel_tool_calls", lambda call: call.parallel_tool_calls is None),
        ("response_format", lambda call: call.response_format is None),
        ("reasoning.effort", lambda call: call.reasoning.effort is None),
        ("end_user", lambda call: not call.end_user),
        ("provider_options", lambda call: not call.provider_options),
    ],
)
async def test_one_field_is_at_fault(field: str, is_taken: Callable[[ModelCall], bool]) -> None:
    """The field without which the call passes is found among all others."""
    assert (await _find(a_model_call(**WHOLE), is_taken))[0] == [field]


async def test_two_fields_that_do_not_go_together() -> None:
    """Both fields are named where the call passes without either."""
    found, _ = await _find(a_model_call(**WHOLE), lambda call: not call.tools or call.response_format is None)

    assert found == ["tools", "response_format"]


async def test_nothing_helps() -> None:
    """No field is named where the call passes without none of them."""
    assert (await _find(a_model_call(**WHOLE), lambda _: False))[0] == []


@pytest.mark.parametrize("fault", [0, 1, 500, 999])
async def test_a_message_is_at_fault(fault: int) -> None:
    """The first message at fault is found in a few trials, and parameters are tried with a short conversation."""
    texts = ["bad" if row == fault else "good" for row in range(1000)]
    messages = [Message(Role.USER, (Part(Text(text)),)) for text in texts]

    found, tried = await _find(a_model_call(*messages, **WHOLE), lambda call: messages[fault] not in call.messages)

    assert found == [f"messages[{fault}]"]
    assert len(tried) < 15


async def test_parameters_are_tried_with_a_short_conversation() -> None:
    """A long conversation is not converted again for each parameter."""
    messages = [Message(Role.USER, (Part(Text("long")),))] * 100

    _, tried = await _find(a_model_call(*messages, **WHOLE), lambda call: not call.tools)

    assert {len(call.messages) for call in tried} == {1}
