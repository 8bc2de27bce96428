"""Changes of a call for Bedrock: what the provider does not take, and what litellm loses on the way there."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reasoning_grpc.domain import (
    EffectiveSetting,
    EffectiveSettingCause,
    Media,
    Message,
    Part,
    Reasoning,
    ReasoningEffort,
    ReasoningOptions,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolChoiceMode,
)
from reasoning_grpc.litellm_model.request.dialects.bedrock_models import describe_bedrock
from reasoning_grpc.litellm_model.request.dialects.bedrock_refusals import has_tool_parts, is_forbidding_calls
from reasoning_grpc.litellm_model.request.dialects.claude_reasoning import raise_minimal_effort
from reasoning_grpc.litellm_model.request.dialects.dialect import Change
from reasoning_grpc.llm import ModelCall

_Changed = tuple[ModelCall, EffectiveSetting | None]
_PLACEHOLDER: Final = "."
"""The text that litellm adds to documents, since the provider requires a text beside them."""


def change_for_claude(change: Change) -> Change:
    """Returns the change for the models of Anthropic alone."""

    def change_claude(call: ModelCall, model: str) -> _Changed:
        return change(call, model) if describe_bedrock(model).is_claude else (call, None)

    return change_claude


def leave_out_end_user(call: ModelCall, model: str) -> _Changed:
    """Leaves out the end user, for whom only the protocol of Anthropic has a place."""
    facts = describe_bedrock(model) if call.end_user else None
    if facts is None or (facts.is_claude and not facts.by_converse):
        return call, None
    return replace(call, end_user=""), _report("end_user", call.end_user, "", "The provider takes no end user.")


def leave_out_forbidden_tools(call: ModelCall, model: str) -> _Changed:
    """Leaves out tools that the model must not call, because Converse has no way to forbid it."""
    if not is_forbidding_calls(call) or not describe_bedrock(model).by_converse or has_tool_parts(call):
        return call, None
    setting = _report("tools", str(len(call.tools)), "0", "The provider cannot forbid calls of tools that it gets.")
    return replace(call, tools=(), tool_choice=None, parallel_tool_calls=None), setting


def leave_out_usual_choices(call: ModelCall, _model: str) -> _Changed:
    """Leaves out the rules for tool calls that hold anyway, because some models take no rules."""
    if call.tool_choice is not None and call.tool_choice.mode is ToolChoiceMode.AUTO:
        call = replace(call, tool_choice=None)
    return (replace(call, parallel_tool_calls=None) if call.parallel_tool_calls else call), None


def leave_out_cache_marks(call: ModelCall, model: str) -> _Changed:
    """Leaves out the cache marks for models that take none."""
    count = sum(part.cache for message in call.messages for part in message.content)
    if not count or describe_bedrock(model).takes_cache_marks:
        return call, None
    messages = tuple(
        replace(message, content=tuple(replace(part, cache=False) if part.cache else part for part in message.content))
        for message in call.messages
    )
    setting = _report("messages.content.cache", str(count), "0", "The model takes no cache marks.")
    return replace(call, messages=messages), setting


def leave_out_redacted_reasoning(call: ModelCall, model: str) -> _Changed:
    """Leaves out redacted reasoning, for which litellm has no form in Converse."""
    count = sum(_is_redacted(part) for message in call.messages for part in message.content)
    if not count or not describe_bedrock(model).by_converse:
        return call, None
    messages = tuple(
        replace(message, content=tuple(part for part in message.content if not _is_redacted(part)))
        for message in call.messages
    )
    setting = _report("messages.content.reasoning.redacted", str(count), "0", "litellm does not pass it on.")
    return replace(call, messages=messages), setting


def report_order(call: ModelCall, _model: str) -> _Changed:
    """Reports the first text that stands after a tool call, because litellm puts all texts before the calls."""
    for row, message in enumerate(call.messages):
        if message.role is Role.ASSISTANT and (column := _find_text_after_call(message)) is not None:
            reason = "The provider takes the texts of a message only before its tool calls."
            return call, _report(f"messages[{row}].content[{column}]", "after a tool call", "before it", reason)
    return call, None


def report_documents(call: ModelCall, model: str) -> _Changed:
    """Reports what is lost of documents, or added to them: their names, and a text where there is none."""
    if not describe_bedrock(model).by_converse:
        return call, None
    for row, column, media in _find_documents(call.messages):
        path = f"messages[{row}].content[{column}].media"
        if media.filename:
            return call, _report(f"{path}.filename", media.filename, "", "litellm names documents by their content.")
        if not _has_text_beside(call.messages, row):
            reason = "The provider requires a text beside documents, so this text is added."
            return call, _report(path, "without a text", _PLACEHOLDER, reason)
    return call, None


def report_open_tools(call: ModelCall, model: str) -> _Changed:
    """Reports the first tool whose schema forbids other arguments, where litellm leaves this out."""
    for index, tool in enumerate(call.tools):
        if "additionalProperties" not in tool.parameters_schema:
            continue
        closed = json.loads(tool.parameters_schema).get("additionalProperties")
        if closed is not None and closed is not True and not describe_bedrock(model).takes_closed_tools:
            path = f"tools[{index}].parameters_schema"
            reason = "The model gets only the properties at the top level of a tool's schema."
            return call, _report(path, "additionalProperties", "", reason)
    return call, None


def join_texts(call: ModelCall, model: str) -> _Changed:
    """Joins the texts of each message for a model that gets a single text; litellm would join them without a break."""
    if all(len(message.content) == 1 for message in call.messages) or not describe_bedrock(model).by_prompt:
        return call, None
    return replace(call, messages=tuple(map(_join, call.messages))), None


def leave_out_no_reasoning(call: ModelCall, model: str) -> _Changed:
    """Leaves out the wish for no reasoning where a model reasons only when it is asked to."""
    if call.reasoning.effort is not ReasoningEffort.NONE or "nova-2" not in model:
        return call, None
    return replace(call, reasoning=ReasoningOptions()), None


def raise_effort(call: ModelCall, model: str) -> _Changed:
    """Requests the lowest effort that a model knows in place of a lower one; OpenAI's newer models know more."""
    return (call, None) if "openai.gpt-" in model and "gpt-oss" not in model else raise_minimal_effort(call, model)


def _join(message: Message) -> Message:
    texts = [part.content.text for part in message.content if isinstance(part.content, Text | Refusal)]
    return replace(message, content=(Part(Text("\n\n".join(texts))),))


def _is_redacted(part: Part) -> bool:
    return isinstance(part.content, Reasoning) and bool(part.content.redacted)


def _find_text_after_call(message: Message) -> int | None:
    has_call = False
    for column, part in enumerate(message.content):
        if has_call and isinstance(part.content, Text) and part.content.text.strip():
            return column
        has_call = has_call or isinstance(part.content, ToolCall)
    return None


def _find_documents(messages: tuple[Message, ...]) -> Iterator[tuple[int, int, Media]]:
    for row, message in enumerate(messages):
        for column, part in enumerate(message.content):
            if isinstance(part.content, Media) and not part.content.mime_type.startswith("image/"):
                yield row, column, part.content


def _has_text_beside(messages: tuple[Message, ...], row: int) -> bool:
    """Whether the turn of the user in which a message stands has any text; litellm joins successive messages."""
    start = end = row
    while start > 0 and messages[start - 1].role is Role.USER:
        start -= 1
    while end + 1 < len(messages) and messages[end + 1].role is Role.USER:
        end += 1
    parts = (part for message in messages[start : end + 1] for part in message.content)
    return any(isinstance(part.content, Text) and part.content.text.strip() for part in parts)


def _report(field: str, requested: str, effective: str, reason: str) -> EffectiveSetting:
    return EffectiveSetting(field, requested, effective, EffectiveSettingCause.PROVIDER_LIMIT, reason)
