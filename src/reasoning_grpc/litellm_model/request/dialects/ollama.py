"""The dialect of Ollama's own API. Our own code writes it; see `bodies.ollama`."""

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import (
    EffectiveSetting,
    Media,
    ToolChoiceMode,
)
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN, Dialect
from reasoning_grpc.litellm_model.request.dialects.reasoning import leave_out_opaque_reasoning
from reasoning_grpc.litellm_model.request.dialects.shared import (
    refuse_media_addresses,
    refuse_results_without_calls,
    refuse_single_tool_calls,
    refuse_strict_tools,
    report_each_name,
    report_end_user,
)
from reasoning_grpc.llm import ModelCall


def refuse_other_fields(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses fields that have no place in the protocol."""
    sampling = call.sampling
    for name, is_set in (
        ("sampling.logit_bias", bool(sampling.logit_bias)),
        ("sampling.logprobs", bool(sampling.logprobs)),
        ("sampling.top_logprobs", sampling.top_logprobs is not None),
    ):
        if is_set:
            yield FieldViolation(name, NOT_TAKEN)


def refuse_forced_tools(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses to force a tool call: the protocol has no choice of tools."""
    if call.tool_choice is not None and call.tool_choice.mode not in {ToolChoiceMode.AUTO, ToolChoiceMode.NONE}:
        yield FieldViolation("tool_choice", "The model calls tools as it decides.")


def refuse_other_media(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses media that are no images."""
    for row, message in enumerate(call.messages):
        for column, part in enumerate(message.content):
            if isinstance(part.content, Media) and not part.content.mime_type.startswith("image/"):
                yield FieldViolation(f"messages[{row}].content[{column}].media", "The model takes only images.")


def leave_out_forbidden_tools(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Leaves out tools that must not be called, which is the same: the conversation may have calls without them."""
    if call.tool_choice is None or call.tool_choice.mode is not ToolChoiceMode.NONE:
        return call, None
    return replace(call, tools=(), tool_choice=None, parallel_tool_calls=None), None


OLLAMA: Final = Dialect(
    refusals=(
        refuse_media_addresses,
        refuse_other_media,
        refuse_single_tool_calls,
        refuse_strict_tools,
        refuse_forced_tools,
        refuse_other_fields,
        refuse_results_without_calls,
    ),
    reports=(report_each_name, report_end_user),
    changes=(
        leave_out_forbidden_tools,
        leave_out_opaque_reasoning,
    ),
)
