"""Builds the model calls that request an answer of a schema."""

from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum
from typing import Any, Final

from reasoning_grpc.domain import (
    Capability,
    Message,
    ModelInfo,
    Part,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Text,
)
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.llm.structured.schema import Schema

_IN_PROMPT: Final = "Answer with one JSON object of this JSON schema, and nothing else: {schema}"
_IN_REPAIR: Final = (
    "That answer cannot be used. {problem} Answer again, only with one JSON object of this schema: {schema}"
)
_OUTPUT_TOKENS: Final = 1024
"""The limit of calls that have none; a model that reasons may need more."""


class _Form(IntEnum):
    """The form in which a call gives the schema to a model, the weakest first."""

    PROMPT = 0
    JSON_OBJECT = 1
    JSON_SCHEMA = 2


def build_call(call: ModelCall, schema: Schema[Any], models: Sequence[ModelInfo]) -> ModelCall:
    """Returns the call that requests an answer of the schema, in a form that each of these models takes."""
    form = min(map(_choose_form, models))
    sampling = call.sampling
    if sampling.temperature is None and all(map(_takes_temperature, models)):
        sampling = replace(sampling, temperature=0.0)
    if sampling.max_output_tokens is None:
        limits = (info.max_output_tokens or _OUTPUT_TOKENS for info in models)
        sampling = replace(sampling, max_output_tokens=min(_OUTPUT_TOKENS, *limits))
    call = replace(call, sampling=sampling, response_format=_build_response_format(form, schema))
    if form is _Form.JSON_SCHEMA:
        return call
    return replace(call, messages=_add_instruction(call.messages, _IN_PROMPT.format(schema=schema.text)))


def _choose_form(info: ModelInfo) -> _Form:
    """Returns the strongest form that a model takes, as far as we know.

    A model that takes no JSON objects refuses a call for one. So JSON_OBJECT is requested unless the model is known
    not to take it: most servers of which nothing is known take it, and force the model to write JSON.
    """
    if Capability.JSON_SCHEMA in info.capabilities:
        return _Form.JSON_SCHEMA
    return _Form.PROMPT if Capability.JSON_OBJECT in info.missing_capabilities else _Form.JSON_OBJECT


def _takes_temperature(info: ModelInfo) -> bool:
    """Whether a model is known to take any temperature; many models that reason refuse all but one."""
    return bool(info.capabilities) and Capability.REASONING not in info.capabilities


def _build_response_format(form: _Form, schema: Schema[Any]) -> ResponseFormat | None:
    match form:
        case _Form.JSON_SCHEMA:
            return ResponseFormat(ResponseFormatKind.JSON_SCHEMA, schema.name, schema.text, strict=True)
        case _Form.JSON_OBJECT:
            return ResponseFormat(ResponseFormatKind.JSON_OBJECT)
        case _Form.PROMPT:
            return None


def _add_instruction(messages: tuple[Message, ...], instruction: str) -> tuple[Message, ...]:
    """Returns the messages with the instruction in the system message, since many servers take only one of them.

    It is added to the last text of that message.
    """
    match messages:
        case (Message(role=Role.SYSTEM) as system, *rest):
            return (system.append_text(instruction), *rest)
        case _:
            return (Message(Role.SYSTEM, (Part(Text(instruction)),)), *messages)


def build_repair_call(call: ModelCall, schema: Schema[Any], answer: str, problem: str) -> ModelCall:
    """Repeats the request with the rejected answer and what was wrong with it."""
    instruction = _IN_REPAIR.format(problem=problem, schema=schema.text)
    rejected = Message(Role.ASSISTANT, (Part(Text(answer)),))
    return replace(call, messages=(*call.messages, rejected, Message(Role.USER, (Part(Text(instruction)),))))
