"""Calls through OpenAI's Responses API: what litellm would leave out there is refused, or written otherwise.

litellm does so for models that have no other interface, and for tools of the models from GPT-5.4 on. Its own client
sends such a request, so that nothing compares it with what was requested. Measured on litellm 1.106.2.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from typing import Any, Final

from reasoning_grpc.domain import Deployment, Message, Part, Reasoning, Refusal, Role, Text
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN
from reasoning_grpc.llm import ModelCall

_TOOL: Final = {"type": "function", "function": {}}
_MIN_OUTPUT_TOKENS: Final = 16
_MAX_END_USER: Final = 64
"""The longest end user; litellm cuts longer ones."""
_BREAK: Final = "\n\n"


def refuse_lost_parameters(call: ModelCall, deployment: Deployment) -> Iterator[FieldViolation]:
    """Refuses the parameters that litellm would leave out or change in silence."""
    limit = call.sampling.max_output_tokens
    lost = {
        "sampling.seed": (call.sampling.seed is not None, NOT_TAKEN),
        "sampling.top_k": (call.sampling.top_k is not None, NOT_TAKEN),
        "sampling.max_output_tokens": (
            limit is not None and limit < _MIN_OUTPUT_TOKENS,
            f"The model takes {_MIN_OUTPUT_TOKENS} or more.",
        ),
        "provider_options": (bool(call.provider_options), NOT_TAKEN),
        "end_user": (len(call.end_user) > _MAX_END_USER, f"The model takes up to {_MAX_END_USER} characters."),
    }
    if any(is_lost for is_lost, _ in lost.values()) and _is_made_there(call, deployment):
        yield from (FieldViolation(field, problem) for field, (is_lost, problem) in lost.items() if is_lost)


def write_for_responses_api(call: ModelCall, deployment: Deployment) -> ModelCall:
    """Writes refusals of earlier answers as texts, the system prompt as one message, and no reasoning.

    litellm would leave the refusals out, join the messages of the system by a blank, and send reasoning that the
    provider cannot recognize as its own.
    """
    system = list(takewhile(_is_plain_system, call.messages))
    if (len(system) < 2 and not _has_earlier_answers(call)) or not _is_made_there(call, deployment):
        return call
    messages = call.messages
    if len(system) > 1:
        joined = Part(Text(_BREAK.join(map(_read_text, system))))
        messages = (replace(system[0], content=(joined,)), *messages[len(system) :])
    return replace(call, messages=tuple(map(_rewrite_answer, messages)))


def _has_earlier_answers(call: ModelCall) -> bool:
    """Whether the conversation has answers with parts that are written otherwise."""
    parts = (part for message in call.messages if message.role is Role.ASSISTANT for part in message.content)
    return any(isinstance(part.content, Refusal | Reasoning) for part in parts)


def _is_plain_system(message: Message) -> bool:
    return message.role is Role.SYSTEM and len(message.content) == 1


def _read_text(message: Message) -> str:
    (part,) = message.content
    return part.content.text if isinstance(part.content, Text) else ""


def _rewrite_answer(message: Message) -> Message:
    if message.role is not Role.ASSISTANT:
        return message
    parts = (_convert_refusal(part) for part in message.content if not isinstance(part.content, Reasoning))
    return replace(message, content=tuple(parts))


def _convert_refusal(part: Part) -> Part:
    return replace(part, content=Text(part.content.text)) if isinstance(part.content, Refusal) else part


def _is_made_there(call: ModelCall, deployment: Deployment) -> bool:
    """Whether litellm makes the call through the Responses API; a base model keeps it out of there."""
    arguments: dict[str, Any] = {"tools": [_TOOL] if call.tools else None}
    if call.reasoning.effort is not None:
        arguments["reasoning_effort"] = call.reasoning.effort.value.lower()
    return library.uses_responses_api(deployment, arguments)
