"""Builds the model calls that request an answer of a schema."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from msgspec.structs import replace

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


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """How calls of certain models request an answer of a schema. It holds for all their calls."""

    response_format: ResponseFormat | None
    instruction: str
    """The instruction for the system message. Empty where the response format has the schema."""
    temperature: float | None
    """The temperature of calls that have none."""
    max_output_tokens: int
    """The limit of calls that have none."""

    def add_parameters(self, call: ModelCall) -> ModelCall:
        """Returns the call with everything but the instruction."""
        sampling = call.sampling
        if sampling.temperature is None:
            sampling = replace(sampling, temperature=self.temperature)
        if sampling.max_output_tokens is None:
            sampling = replace(sampling, max_output_tokens=self.max_output_tokens)
        return replace(call, sampling=sampling, response_format=self.response_format)


def build_answer_request(schema: Schema[Any], models: Sequence[ModelInfo]) -> AnswerRequest:
    """Builds the request for an answer of the schema in a form that each of these models takes."""
    form = min(map(_choose_form, models))
    return AnswerRequest(
        response_format=_build_response_format(form, schema),
        instruction="" if form is _Form.JSON_SCHEMA else _IN_PROMPT.format(schema=schema.text),
        temperature=0.0 if all(map(_takes_temperature, models)) else None,
        max_output_tokens=min(_OUTPUT_TOKENS, *(info.max_output_tokens or _OUTPUT_TOKENS for info in models)),
    )


def build_call(call: ModelCall, schema: Schema[Any], models: Sequence[ModelInfo]) -> ModelCall:
    """Returns the call that requests an answer of the schema from these models."""
    request = build_answer_request(schema, models)
    call = request.add_parameters(call)
    if not request.instruction:
        return call
    return replace(call, messages=_add_instruction(call.messages, request.instruction))


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
