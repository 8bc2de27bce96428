"""Conversations with Anthropic's models: what the provider refuses, and what is written otherwise for it.

Sources: Anthropic's API answers "text content blocks must contain non-whitespace text", "final assistant content cannot
end with trailing whitespace", "Requests which include `tool_use` or `tool_result` blocks must define tools", and
its documentation of tool results, which "must come first in the content array".
"""

import re
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import (
    EffectiveSetting,
    EffectiveSettingCause,
    Message,
    Part,
    ResponseFormatKind,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.claude.models import describe_claude
from reasoning_grpc.litellm_model.request.dialects.claude.reasoning import is_reasoning
from reasoning_grpc.llm import ModelCall

_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def refuse_empty_conversation(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses a conversation of which nothing remains but the system prompt."""
    if not any(message.role is not Role.SYSTEM and _has_content(message) for message in call.messages):
        yield FieldViolation("messages", "The model requires a message that is not of the system.")


def refuse_undefined_tools(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses tool calls in a conversation without any tools, for which litellm would invent one."""
    if not call.tools and any(
        isinstance(part.content, ToolCall | ToolResult) for message in call.messages for part in message.content
    ):
        description = "The model requires the tools that the conversation calls; with tool_choice NONE it calls none."
        yield FieldViolation("tools", description)


def refuse_answer_first(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses a conversation that does not begin with the user."""
    turns = (row for row, message in enumerate(call.messages) if is_turn(message))
    first = next(turns, None)
    if first is not None and call.messages[first].role is Role.ASSISTANT:
        yield FieldViolation(f"messages[{first}]", "The model requires that a conversation begins with the user.")


def refuse_late_results(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses results of tools that do not follow the calls at once, but a message of the user."""
    before: Message | None = None
    for row, message in enumerate(call.messages):
        if not is_turn(message):
            continue
        if message.role is Role.TOOL and before is not None and before.role is Role.USER:
            yield FieldViolation(f"messages[{row}]", "The model requires the results of tools right after their calls.")
        before = message


def refuse_names_of_calls(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses earlier calls of tools by names that the provider does not take."""
    for row, message in enumerate(call.messages):
        for column, part in enumerate(message.content):
            if isinstance(part.content, ToolCall) and not _TOOL_NAME.fullmatch(part.content.name):
                path = f"messages[{row}].content[{column}].tool_call.name"
                yield FieldViolation(path, "The model takes 1 to 128 letters, digits, underscores and dashes.")


def refuse_prefill(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses a conversation that ends with the beginning of the answer where the model cannot go on from there."""
    last = next((row for row in reversed(range(len(call.messages))) if _has_content(call.messages[row])), None)
    if last is None or call.messages[last].role is not Role.ASSISTANT:
        return
    if not describe_claude(model).takes_prefill:
        yield FieldViolation(f"messages[{last}]", "The model cannot continue a message of the role ASSISTANT.")
    elif is_reasoning(call):
        description = "The model cannot continue a message of the role ASSISTANT while it reasons."
        yield FieldViolation(f"messages[{last}]", description)
    elif call.response_format is not None and call.response_format.kind is ResponseFormatKind.JSON_SCHEMA:
        description = "The model cannot continue a message of the role ASSISTANT by a JSON schema."
        yield FieldViolation(f"messages[{last}]", description)


def report_blanks(call: ModelCall, _model: str) -> Iterator[EffectiveSetting]:
    """Reports the texts that `leave_out_blanks` leaves out or shortens."""
    if not _needs_cleaning(call.messages):
        return
    end = _find_end(call.messages)
    for row, message in enumerate(call.messages):
        for column, part in enumerate(message.content):
            path = f"messages[{row}].content[{column}].text"
            if _is_blank(part) and _read_text(part):
                yield _build_report(path, "blanks")
            elif (row, column) == end and _ends_answer_in_blanks(call.messages, row, column):
                yield _build_report(path, "blanks at the end")


def leave_out_blanks(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Leaves out blank texts, messages without content, and the blanks that end the beginning of an answer."""
    if not _needs_cleaning(call.messages):
        return call, None
    end = _find_end(call.messages)
    messages: list[Message] = []
    for row, message in enumerate(call.messages):
        parts: list[Part] = []
        for column, part in enumerate(message.content):
            if not _is_blank(part):
                is_end = (row, column) == end and _ends_answer_in_blanks(call.messages, row, column)
                parts.append(replace(part, content=Text(_read_text(part).rstrip())) if is_end else part)
            elif part.cache and parts:
                parts[-1] = replace(parts[-1], cache=True)
        if parts:
            messages.append(replace(message, content=tuple(parts)))
    return replace(call, messages=tuple(messages)), None


def is_turn(message: Message) -> bool:
    """Whether a message is a turn of the conversation: not of the system, and not blank."""
    return message.role is not Role.SYSTEM and _has_content(message)


def _needs_cleaning(messages: tuple[Message, ...]) -> bool:
    if any(not message.content or any(map(_is_blank, message.content)) for message in messages):
        return True
    end = _find_end(messages)
    return end is not None and _ends_answer_in_blanks(messages, *end)


def _find_end(messages: tuple[Message, ...]) -> tuple[int, int] | None:
    """Returns the place of the last part that is not blank."""
    for row in reversed(range(len(messages))):
        for column in reversed(range(len(messages[row].content))):
            if not _is_blank(messages[row].content[column]):
                return row, column
    return None


def _ends_answer_in_blanks(messages: tuple[Message, ...], row: int, column: int) -> bool:
    """Whether the last part of a conversation is the beginning of the answer, and ends in blanks."""
    return messages[row].role is Role.ASSISTANT and _read_text(messages[row].content[column])[-1:].isspace()


def _has_content(message: Message) -> bool:
    return any(not _is_blank(part) for part in message.content)


def _is_blank(part: Part) -> bool:
    text = part.content.text if isinstance(part.content, Text) else "-"
    return not text or text.isspace()


def _read_text(part: Part) -> str:
    return part.content.text if isinstance(part.content, Text) else ""


def _build_report(path: str, requested: str) -> EffectiveSetting:
    reason = "The model takes no blank text, and no blanks before its answer."
    return EffectiveSetting(path, requested, "", EffectiveSettingCause.PROVIDER_LIMIT, reason)
