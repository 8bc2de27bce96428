"""Changes of a call for Bedrock: what the provider does not take, and what litellm loses on the way there."""

from msgspec.structs import replace

from reasoning_grpc.domain import (
    EffectiveSetting,
    EffectiveSettingCause,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolChoiceMode,
)
from reasoning_grpc.litellm_model.request.dialects.converse.models import describe_bedrock
from reasoning_grpc.litellm_model.request.dialects.converse.refusals import has_tool_parts, is_forbidding_calls
from reasoning_grpc.litellm_model.request.dialects.dialect import Change
from reasoning_grpc.llm import ModelCall

_Changed = tuple[ModelCall, EffectiveSetting | None]


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
    return replace(call, end_user=""), report("end_user", call.end_user, "", "The provider takes no end user.")


def leave_out_forbidden_tools(call: ModelCall, model: str) -> _Changed:
    """Leaves out tools that the model must not call, because Converse has no way to forbid it."""
    if not is_forbidding_calls(call) or not describe_bedrock(model).by_converse or has_tool_parts(call):
        return call, None
    setting = report("tools", str(len(call.tools)), "0", "The provider cannot forbid calls of tools that it gets.")
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
    setting = report("messages.content.cache", str(count), "0", "The model takes no cache marks.")
    return replace(call, messages=messages), setting


def leave_out_lone_reasoning(call: ModelCall, model: str) -> _Changed:
    """Leaves out answers of redacted reasoning alone, for which litellm writes no turn of the conversation."""
    lone = [
        row for row, message in enumerate(call.messages) if message.content and all(map(_is_redacted, message.content))
    ]
    if not lone or not describe_bedrock(model).by_converse:
        return call, None
    count = sum(_is_redacted(part) for message in call.messages for part in message.content)
    left_out = sum(len(call.messages[row].content) for row in lone)
    messages = tuple(message for row, message in enumerate(call.messages) if row not in lone)
    reason = "The provider takes it back only beside a text or a tool call."
    setting = report("messages.content.reasoning.redacted", str(count), str(count - left_out), reason)
    return replace(call, messages=messages), setting


def join_texts(call: ModelCall, model: str) -> _Changed:
    """Joins the texts of each message for a model that gets a single text; litellm would join them without a break."""
    if all(len(message.content) == 1 for message in call.messages) or not describe_bedrock(model).by_prompt:
        return call, None
    return replace(call, messages=tuple(map(_join, call.messages))), None


def _join(message: Message) -> Message:
    texts = [part.content.text for part in message.content if isinstance(part.content, Text | Refusal)]
    return replace(message, content=(Part(Text("\n\n".join(texts))),))


def _is_redacted(part: Part) -> bool:
    return isinstance(part.content, Reasoning) and bool(part.content.redacted)


def report(field: str, requested: str, effective: str, reason: str) -> EffectiveSetting:
    """Builds the report of a setting that the provider takes otherwise."""
    return EffectiveSetting(field, requested, effective, EffectiveSettingCause.PROVIDER_LIMIT, reason)
