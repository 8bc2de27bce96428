"""Conversations with Gemini: what the provider refuses, and what it takes in another form."""

from collections.abc import Iterator

from reasoning_grpc.domain import (
    EffectiveSetting,
    EffectiveSettingCause,
    Part,
    Reasoning,
    Role,
    Text,
)
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.google.models import takes_system_messages
from reasoning_grpc.llm import ModelCall

_FIRST = "The provider takes system messages only before the conversation."
_NO_SYSTEM = "The model has no place for system messages."


def refuse_conversation_of_system(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses a conversation in which nobody but the system speaks."""
    spoken = (part for message in call.messages if message.role is not Role.SYSTEM for part in message.content)
    if not any(map(_says_something, spoken)):
        yield FieldViolation("messages", "The model requires a message that is not of the system.")


def report_system_messages(call: ModelCall, model: str) -> Iterator[EffectiveSetting]:
    """Reports system messages that stand elsewhere in the body than in the request."""
    has_place, is_before = takes_system_messages(model), True
    for row, message in enumerate(call.messages):
        if message.role is not Role.SYSTEM:
            is_before = False
        elif not has_place:
            yield _report(f"messages[{row}].role", Role.SYSTEM.value, Role.USER.value, _NO_SYSTEM)
        elif not is_before:
            yield _report(f"messages[{row}]", "at its place", "in the system prompt", _FIRST)


def _is_redacted(part: Part) -> bool:
    return isinstance(part.content, Reasoning) and bool(part.content.redacted)


def _says_something(part: Part) -> bool:
    return not _is_redacted(part) and (part.content != Text("") or bool(part.signature))


def _report(field: str, requested: str, effective: str, reason: str) -> EffectiveSetting:
    return EffectiveSetting(field, requested, effective, EffectiveSettingCause.PROVIDER_LIMIT, reason)
