"""Refuses fields that Bedrock does not take, and those that litellm would leave out or change in silence.

Sources: Amazon's API reference of Converse, and litellm's conversion for it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from reasoning_grpc.domain import Media, ResponseFormatKind, ToolCall, ToolChoiceMode, ToolResult
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.claude.media import IMAGE_TYPES
from reasoning_grpc.litellm_model.request.dialects.claude.models import describe_claude
from reasoning_grpc.litellm_model.request.dialects.claude.reasoning import is_forcing_calls
from reasoning_grpc.litellm_model.request.dialects.converse.models import BedrockModel, describe_bedrock
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN, Refusal
from reasoning_grpc.litellm_model.request.dialects.schemas.output import find_recursion
from reasoning_grpc.llm import ModelCall

_TOOL_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,63}")
_NAME_RULE: Final = "The model takes 1 to 64 letters, digits, underscores and dashes, beginning with a letter."
_DOCUMENT_TYPES: Final = frozenset(
    {"application/pdf", "text/plain", "text/csv", "text/html", "text/markdown"}
    | {"application/msword", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"}
    | {"application/vnd.ms-excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
)
_MIN_OUTPUT_TOKENS: Final = 16


def of_claude(refuse: Refusal) -> Refusal:
    """Returns the refusal for the models of Anthropic alone."""

    def refuse_of_claude(call: ModelCall, model: str) -> Iterator[FieldViolation]:
        if describe_bedrock(model).is_claude:
            yield from refuse(call, model)

    return refuse_of_claude


def refuse_tools(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses tools that would not arrive as they are, and rules for their calls that would be lost."""
    if not call.tools:
        return
    facts = describe_bedrock(model)
    if facts.by_prompt:
        yield FieldViolation("tools", NOT_TAKEN)
    for index, tool in enumerate(call.tools):
        if not _TOOL_NAME.fullmatch(tool.name):
            yield FieldViolation(f"tools[{index}].name", _NAME_RULE)
        if tool.strict and not facts.takes_strict_tools:
            yield FieldViolation(f"tools[{index}].strict", NOT_TAKEN)
        if "additionalProperties" in tool.parameters_schema and not facts.takes_closed_tools:
            yield from _refuse_root_map(json.loads(tool.parameters_schema), f"tools[{index}].parameters_schema")
        if "$ref" in tool.parameters_schema and (problem := find_recursion(json.loads(tool.parameters_schema))):
            yield FieldViolation(f"tools[{index}].parameters_schema", problem)
    if call.parallel_tool_calls is False and not facts.takes_parallel_setting:
        yield FieldViolation("parallel_tool_calls", NOT_TAKEN)
    if is_forcing_calls(call) and call.reasoning.effort is not None and facts.is_free_with_effort:
        yield FieldViolation("tool_choice", "The model takes only AUTO beside an effort.")
    if is_forbidding_calls(call) and facts.by_converse and has_tool_parts(call):
        description = "The model cannot be kept from calling tools that the conversation has called."
        yield FieldViolation("tool_choice", description)


def refuse_messages(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses earlier calls by names that the provider does not take, and media of other types."""
    accepted = _list_media_types(describe_bedrock(model))
    ids: set[str] = set()
    for row, message in enumerate(call.messages):
        for column, part in enumerate(message.content):
            path = f"messages[{row}].content[{column}]"
            match part.content:
                case ToolCall(name=name) if not _TOOL_NAME.fullmatch(name):
                    yield FieldViolation(f"{path}.tool_call.name", _NAME_RULE)
                case ToolCall(id=call_id) if call_id in ids:  # litellm would leave this call out
                    yield FieldViolation(f"{path}.tool_call.id", "Another call of the conversation has this id.")
                case ToolCall(id=call_id):
                    ids.add(call_id)
                case Media() if not accepted:
                    yield FieldViolation(f"{path}.media", "The model takes only texts.")
                case Media(mime_type=mime_type) if mime_type not in accepted:
                    yield FieldViolation(f"{path}.media.mime_type", f"The model takes {', '.join(sorted(accepted))}.")


def refuse_format_maps(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses a map as the answer of a model that gets the schema as a tool."""
    answer = call.response_format
    if answer is None or answer.kind is not ResponseFormatKind.JSON_SCHEMA or describe_claude(model).writes_schemas:
        return
    if not describe_bedrock(model).takes_closed_tools:
        yield from _refuse_root_map(json.loads(answer.schema), "response_format.json_schema.schema")


def refuse_lost_options(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses options with null in a list, which litellm leaves out."""
    for name, value in call.provider_options.items():
        if "null" in value and _has_null_in_list(json.loads(value)):
            yield FieldViolation(f"provider_options[{name}]", "A list in it must not hold null.")


def refuse_parameters(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses parameters that litellm would leave out or change for a model."""
    sampling, limit = call.sampling, call.sampling.max_output_tokens
    if sampling.temperature is None and sampling.top_k is None and limit is None:
        return
    facts = describe_bedrock(model)
    if sampling.temperature is not None and sampling.temperature > 1 and not facts.is_claude:
        yield FieldViolation("sampling.temperature", "The model takes 0 to 1.")
    if sampling.top_k is not None and not facts.takes_top_k:
        yield FieldViolation("sampling.top_k", NOT_TAKEN)
    if limit is not None and limit < _MIN_OUTPUT_TOKENS and not facts.takes_few_tokens:
        yield FieldViolation("sampling.max_output_tokens", f"The model takes {_MIN_OUTPUT_TOKENS} or more.")


def _refuse_root_map(schema: Any, path: str) -> Iterator[FieldViolation]:
    """Refuses a schema whose other properties have a schema, because the model gets only the listed properties."""
    if isinstance(schema.get("additionalProperties"), dict):
        yield FieldViolation(path, "The model takes no additionalProperties at the top level of a schema.")


def _has_null_in_list(value: Any) -> bool:
    match value:
        case list():
            return None in value or any(map(_has_null_in_list, value))
        case dict():
            return any(map(_has_null_in_list, value.values()))
        case _:
            return False


def _list_media_types(facts: BedrockModel) -> frozenset[str]:
    if facts.by_converse:
        return IMAGE_TYPES | _DOCUMENT_TYPES
    return frozenset() if facts.by_prompt else IMAGE_TYPES | {"application/pdf"}


def is_forbidding_calls(call: ModelCall) -> bool:
    """Whether a call has tools that the model must not call."""
    return call.tool_choice is not None and call.tool_choice.mode is ToolChoiceMode.NONE


def has_tool_parts(call: ModelCall) -> bool:
    """Whether the conversation has tool calls or results."""
    return any(isinstance(part.content, ToolCall | ToolResult) for message in call.messages for part in message.content)
