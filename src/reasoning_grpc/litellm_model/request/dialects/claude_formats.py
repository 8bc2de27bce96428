"""Answers of Anthropic's models in a format."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from reasoning_grpc.domain import EffectiveSetting, EffectiveSettingCause, ResponseFormat, ResponseFormatKind
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.claude_models import describe_claude
from reasoning_grpc.litellm_model.request.dialects.claude_reasoning import is_reasoning
from reasoning_grpc.litellm_model.request.dialects.output_schemas import find_schema_problem, list_described
from reasoning_grpc.llm import ModelCall

_SCHEMA: Final = "response_format.json_schema.schema"


def refuse_schemas(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses schemas that the provider does not take, or of which it would enforce too little."""
    schema = _read_schema(call.response_format)
    if schema is None or not describe_claude(model).writes_schemas:
        return
    if problem := find_schema_problem(schema):
        yield FieldViolation(_SCHEMA, problem)
    assert call.response_format is not None
    if call.response_format.strict and (described := list_described(schema)):
        yield FieldViolation(_SCHEMA, f"With strict, the model does not take {', '.join(described)}.")


def refuse_schemas_beside(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses a schema where litellm can only make it a tool that the model is forced to call.

    This tool would take the place of the caller's tools, and a model that reasons cannot be forced.
    """
    if _read_schema(call.response_format) is None or describe_claude(model).writes_schemas:
        return
    if call.tools:
        yield FieldViolation("response_format", "The model does not take it together with tools.")
    if is_reasoning(call):
        yield FieldViolation("response_format", "The model does not take it while it reasons.")


def report_described(call: ModelCall, model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Reports the keywords of the answer's schema that the provider does not enforce."""
    schema = _read_schema(call.response_format)
    described = [] if schema is None or not describe_claude(model).writes_schemas else list_described(schema)
    if not described:
        return call, None
    setting = EffectiveSetting(
        _SCHEMA,
        ", ".join(described),
        "only described",
        EffectiveSettingCause.PROVIDER_LIMIT,
        "The provider does not enforce these keywords, so they are described to the model.",
    )
    return call, setting


def report_strict(call: ModelCall, model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Reports that a model that gets the schema as a tool does not hold its answer to it strictly."""
    is_strict = call.response_format is not None and call.response_format.strict
    if not is_strict or describe_claude(model).writes_schemas:
        return call, None
    setting = EffectiveSetting(
        "response_format.json_schema.strict",
        "true",
        "false",
        EffectiveSettingCause.PROVIDER_LIMIT,
        "The model gets the schema as a tool, and may answer otherwise.",
    )
    return call, setting


def leave_out_text_format(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Leaves out the format of plain text, which an answer has anyway."""
    if call.response_format is None or call.response_format.kind is not ResponseFormatKind.TEXT:
        return call, None
    return replace(call, response_format=None), None


def _read_schema(response_format: ResponseFormat | None) -> dict[str, Any] | None:
    if response_format is None or response_format.kind is not ResponseFormatKind.JSON_SCHEMA:
        return None
    schema: dict[str, Any] = json.loads(response_format.schema)
    return schema
