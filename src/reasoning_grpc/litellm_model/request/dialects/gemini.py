"""The dialect of Google's Gemini API. litellm writes its parameters; see `bodies.gemini` for all else."""

import re
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import EffectiveSetting, ResponseFormatKind, Tool, ToolChoiceMode
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN, Dialect
from reasoning_grpc.litellm_model.request.dialects.google.conversation import (
    refuse_conversation_of_system,
    report_system_messages,
)
from reasoning_grpc.litellm_model.request.dialects.google.models import is_gemini_3, takes_json_schema
from reasoning_grpc.litellm_model.request.dialects.google.schemas import declare_parameters, write_answer_schema
from reasoning_grpc.litellm_model.request.dialects.reasoning import leave_out_opaque_reasoning
from reasoning_grpc.litellm_model.request.dialects.schemas.rules import Unsayable
from reasoning_grpc.litellm_model.request.dialects.shared import (
    refuse_media_addresses,
    refuse_results_without_calls,
    refuse_single_tool_calls,
    refuse_strict_tools,
    report_each_name,
    report_end_user,
)
from reasoning_grpc.llm import ModelCall

MAX_STOP_SEQUENCES: Final = 5
"""Source: Google's reference of the API, `GenerationConfig.stopSequences`."""
_INT32: Final = range(-(2**31), 2**31)
_MAX_PENALTY: Final = 2.0
_FIRST_CHARACTER: Final = re.compile(r"[A-Za-z_]")
_RULE: Final = "The arguments must also be valid by this JSON Schema:"
_MAX_RULE_CHARACTERS: Final = 1000


def refuse_sampling(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses values of sampling that the provider does not take."""
    sampling = call.sampling
    if len(sampling.stop_sequences) > MAX_STOP_SEQUENCES:
        yield FieldViolation("sampling.stop_sequences", f"The model takes at most {MAX_STOP_SEQUENCES}.")
    for name in ("seed", "top_k", "max_output_tokens"):
        value = getattr(sampling, name)
        if value is not None and value not in _INT32:
            yield FieldViolation(f"sampling.{name}", "The model takes no number of more than 32 bits.")
    for name in ("presence_penalty", "frequency_penalty"):
        value = getattr(sampling, name)
        if value is not None and is_gemini_3(model):
            yield FieldViolation(f"sampling.{name}", NOT_TAKEN)
        elif value is not None and value >= _MAX_PENALTY:
            yield FieldViolation(f"sampling.{name}", "The model takes only values below 2.")


def refuse_response_formats(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses schemas without words, and JSON answers beside tools before the third generation."""
    if call.response_format is None or call.response_format.kind is ResponseFormatKind.TEXT:
        return
    if call.response_format.kind is ResponseFormatKind.JSON_SCHEMA:
        try:
            write_answer_schema(call.response_format, as_json_schema=takes_json_schema(model))
        except Unsayable as exc:
            yield FieldViolation("response_format.json_schema.schema", _describe(exc))
    if call.tools and not _may_drop_tools(call) and not is_gemini_3(model):
        for field in ("response_format", "tools"):
            yield FieldViolation(field, "The model takes no JSON format together with tools.")


def refuse_unsayable_tools(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses tools whose name has another beginning than the provider takes, or whose schema has rules without words.

    Tools whose calls the server checks are sent without these rules; see `describe_unsaid_rules`.
    """
    for index, tool in enumerate(call.tools):
        if not _FIRST_CHARACTER.match(tool.name):
            yield FieldViolation(
                f"tools[{index}].name", "The model requires a letter or an underscore at its beginning."
            )
        try:
            declare_parameters(tool)
        except Unsayable as exc:
            yield FieldViolation(f"tools[{index}].parameters_schema", _describe(exc))


def describe_unsaid_rules(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Adds the rules that a schema cannot say to the description of a tool whose calls the server checks."""
    if not any(tool.is_checked for tool in call.tools):
        return call, None
    tools = tuple(map(_describe_unsaid_rules, call.tools))
    return (call if tools == call.tools else replace(call, tools=tools)), None


def leave_out_forbidden_tools(call: ModelCall, model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Leaves out tools that must not be called where they would keep the model from answering in JSON."""
    has_format = call.response_format is not None and call.response_format.kind is not ResponseFormatKind.TEXT
    if not (has_format and call.tools and _may_drop_tools(call)) or is_gemini_3(model):
        return call, None
    return replace(call, tools=(), tool_choice=None, parallel_tool_calls=None), None


def _describe(problem: Unsayable) -> str:
    return f"The model takes no {problem.keyword} here: {problem.pointer or 'the top level'}."


def _describe_unsaid_rules(tool: Tool) -> Tool:
    if not tool.is_checked or not declare_parameters(tool).unsaid or len(tool.parameters_schema) > _MAX_RULE_CHARACTERS:
        return tool
    return replace(tool, description=f"{tool.description}\n{_RULE} {tool.parameters_schema}".strip())


def _may_drop_tools(call: ModelCall) -> bool:
    return call.tool_choice is not None and call.tool_choice.mode is ToolChoiceMode.NONE


GEMINI: Final = Dialect(
    refusals=(
        refuse_media_addresses,
        refuse_single_tool_calls,
        refuse_strict_tools,
        refuse_sampling,
        refuse_response_formats,
        refuse_unsayable_tools,
        refuse_conversation_of_system,
        refuse_results_without_calls,
    ),
    reports=(report_each_name, report_end_user, report_system_messages),
    changes=(
        leave_out_forbidden_tools,
        describe_unsaid_rules,
        leave_out_opaque_reasoning,
    ),
)
