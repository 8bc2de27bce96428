"""Answers of Anthropic's models in a format."""

import json
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from reasoning_grpc.domain import EffectiveSetting, EffectiveSettingCause, ResponseFormat, ResponseFormatKind
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.claude.models import describe_claude
from reasoning_grpc.litellm_model.request.dialects.claude.reasoning import is_reasoning
from reasoning_grpc.litellm_model.request.dialects.schemas.output import find_schema_problem, list_described
from reasoning_grpc.litellm_model.request.dialects.schemas.tool_roots import BEYOND_PLAIN_OBJECTS
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
        refused = f"With strict, the model does not take {', '.join(described)}."
        yield FieldViolation(_SCHEMA, f"{refused} Without strict, they are described to the model.")


def refuse_schemas_as_tools(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses a schema where it can only be a tool that takes the place of the caller's tools, or is no object."""
    schema = _read_schema(call.response_format)
    if schema is None or describe_claude(model).writes_schemas:
        return
    if call.tools:
        yield FieldViolation("response_format", "The model does not take it together with tools.")
    if schema.get("type", "object") != "object":
        yield FieldViolation(_SCHEMA, "The model writes only objects.")
    if beyond := sorted(schema.keys() & BEYOND_PLAIN_OBJECTS):
        yield FieldViolation(_SCHEMA, f"The model takes no {', '.join(beyond)} at the top level of a schema.")


def report_schemas(call: ModelCall, model: str) -> Iterator[EffectiveSetting]:
    """Reports the keywords of the answer's schema that are not enforced, or that none of them is."""
    schema = _read_schema(call.response_format)
    if schema is None:
        return
    assert call.response_format is not None
    facts = describe_claude(model)
    if facts.writes_schemas:
        if described := list_described(schema):
            reason = "The provider does not enforce these keywords, so they are described to the model."
            yield _report(_SCHEMA, ", ".join(described), "only described", reason)
    elif is_reasoning(call) or not facts.takes_forced_tools:
        reason = "The model gets the schema as a tool, and cannot be forced to call it."
        yield _report("response_format", call.response_format.kind, "offered as a tool", reason)
    elif call.response_format.strict:
        reason = "The model gets the schema as a tool, and may answer otherwise."
        yield _report("response_format.json_schema.strict", "true", "false", reason)


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


def _report(field: str, requested: str, effective: str, reason: str) -> EffectiveSetting:
    return EffectiveSetting(field, requested, effective, EffectiveSettingCause.PROVIDER_LIMIT, reason)
