"""Refusals that several dialects share."""

from collections.abc import Iterator

from reasoning_grpc.domain import (
    EffectiveSetting,
    EffectiveSettingCause,
    Media,
    ResponseFormatKind,
    ToolCall,
    ToolResult,
)
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN
from reasoning_grpc.llm import ModelCall

_NO_ADDRESSES = "The model takes no address here; send the data itself."


def refuse_media_addresses(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses the media that litellm would fetch into this process, from any address that a caller names."""
    for row, message in enumerate(call.messages):
        for column, part in enumerate(message.content):
            if isinstance(part.content, Media) and part.content.uri:
                yield FieldViolation(f"messages[{row}].content[{column}].media.uri", _NO_ADDRESSES)


def refuse_json_object(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses JSON mode, which has no schema."""
    if call.response_format is not None and call.response_format.kind is ResponseFormatKind.JSON_OBJECT:
        yield FieldViolation("response_format", NOT_TAKEN)


def refuse_strict_tools(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses tools whose arguments the provider must hold to their schema."""
    for index, tool in enumerate(call.tools):
        if tool.strict:
            yield FieldViolation(f"tools[{index}].strict", NOT_TAKEN)


def refuse_single_tool_calls(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses the wish for at most one tool call in an answer."""
    if call.parallel_tool_calls is False:
        yield FieldViolation("parallel_tool_calls", NOT_TAKEN)


def report_end_user(call: ModelCall, _model: str) -> Iterator[EffectiveSetting]:
    """Reports an end user, where the protocol has no place for one."""
    if call.end_user:
        reason = "The provider takes no names of end users."
        yield EffectiveSetting("end_user", call.end_user, "", EffectiveSettingCause.PROVIDER_LIMIT, reason)


def report_lost(lost: list[tuple[str, str]], reason: str) -> EffectiveSetting | None:
    """Reports values of messages that are not sent, each with its field: several of them as one setting."""
    if not lost:
        return None
    field = lost[0][0] if len(lost) == 1 else "messages"
    values = ", ".join(value for _, value in lost)
    return EffectiveSetting(field, values, "", EffectiveSettingCause.PROVIDER_LIMIT, reason)


def report_each_name(call: ModelCall, _model: str) -> Iterator[EffectiveSetting]:
    """Reports each name of an author, where the protocol has no place for them."""
    for row, message in enumerate(call.messages):
        if message.name:
            yield EffectiveSetting(
                f"messages[{row}].name",
                message.name,
                "",
                EffectiveSettingCause.PROVIDER_LIMIT,
                "The provider takes no names of the authors of messages.",
            )


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
