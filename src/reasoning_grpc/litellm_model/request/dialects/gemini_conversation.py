"""Conversations with Gemini: what the provider refuses, and what it takes in another form."""

from collections.abc import Iterator
from dataclasses import replace

from reasoning_grpc.domain import (
    EffectiveSetting,
    EffectiveSettingCause,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.gemini_models import takes_system_messages
from reasoning_grpc.litellm_model.request.dialects.shared import report_lost
from reasoning_grpc.llm import ModelCall

_FIRST = "The provider takes system messages only before the conversation."
_NO_SYSTEM = "The model has no place for system messages."
_NOT_OPAQUE = "The provider takes back reasoning in words alone; it signs texts and tool calls."


def refuse_conversation_of_system(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses a conversation in which nobody but the system speaks."""
    spoken = (part for message in call.messages if message.role is not Role.SYSTEM for part in message.content)
    if not any(map(_says_something, spoken)):
        yield FieldViolation("messages", "The model requires a message that is not of the system.")


def refuse_results_without_calls(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses a result that answers no earlier call, because the protocol names the tool of each result."""
    called: set[str] = set()
    for row, message in enumerate(call.messages):
        for column, part in enumerate(message.content):
            match part.content:
                case ToolCall(id=call_id):
                    called.add(call_id)
                case ToolResult(call_id=call_id) if call_id not in called:
                    path = f"messages[{row}].content[{column}].tool_result.call_id"
                    yield FieldViolation(path, "The model requires an earlier tool call with this id.")
                case _:
                    pass


def report_system_messages(call: ModelCall, model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Reports system messages that stand elsewhere in the body than in the request."""
    rows = [row for row, message in enumerate(call.messages) if message.role is Role.SYSTEM]
    if rows and not takes_system_messages(model):
        return call, _report(f"messages[{rows[0]}].role", Role.SYSTEM.value, Role.USER.value, _NO_SYSTEM)
    late = next((row for position, row in enumerate(rows) if row != position), None)
    if late is None:
        return call, None
    return call, _report(f"messages[{late}]", "at its place", "in the system prompt", _FIRST)


def leave_out_opaque_reasoning(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Leaves out what only another provider can read: redacted reasoning, and signatures of reasoning."""
    lost: list[tuple[str, str]] = []
    for row, message in enumerate(call.messages):
        for column, part in enumerate(message.content):
            path = f"messages[{row}].content[{column}]"
            if _is_redacted(part):
                lost.append((f"{path}.reasoning", "redacted reasoning"))
            elif isinstance(part.content, Reasoning) and part.signature:
                lost.append((f"{path}.signature", "signature of reasoning"))
    if not lost:
        return call, None
    messages = tuple(
        replace(message, content=tuple(part for part in message.content if not _is_redacted(part)))
        for message in call.messages
    )
    return replace(call, messages=messages), report_lost(lost, _NOT_OPAQUE)


def _is_redacted(part: Part) -> bool:
    return isinstance(part.content, Reasoning) and bool(part.content.redacted)


def _says_something(part: Part) -> bool:
    return not _is_redacted(part) and (part.content != Text("") or bool(part.signature))


def _report(field: str, requested: str, effective: str, reason: str) -> EffectiveSetting:
    return EffectiveSetting(field, requested, effective, EffectiveSettingCause.PROVIDER_LIMIT, reason)
