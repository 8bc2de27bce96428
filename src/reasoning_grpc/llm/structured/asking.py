"""The model calls that ask for an answer of a schema."""

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
"""For calls that bring no limit; a model that reasons may need more."""


class _Form(IntEnum):
    """How a model is told the schema, the weakest way first."""

    PROMPT = 0
    JSON_OBJECT = 1
    JSON_SCHEMA = 2


def asking(call: ModelCall, schema: Schema[Any], models: Sequence[ModelInfo]) -> ModelCall:
    """The call that asks for an answer of the schema, in a way that each of these models takes."""
    form = min(map(_form, models))
    sampling = call.sampling
    if sampling.temperature is None and all(map(_takes_temperature, models)):
        sampling = replace(sampling, temperature=0.0)
    if sampling.max_output_tokens is None:
        limits = (info.max_output_tokens or _OUTPUT_TOKENS for info in models)
        sampling = replace(sampling, max_output_tokens=min(_OUTPUT_TOKENS, *limits))
    call = replace(call, sampling=sampling, response_format=_response_format(form, schema))
    if form is _Form.JSON_SCHEMA:
        return call
    return replace(call, messages=_instructed(call.messages, _IN_PROMPT.format(schema=schema.text)))


def _form(info: ModelInfo) -> _Form:
    """How a model is told the schema.

    What takes neither JSON schema nor JSON object refuses the call, so the second is sent unless it is known to: most
    servers of which nothing is known take it, and hold the model to JSON.
    """
    if Capability.JSON_SCHEMA in info.capabilities:
        return _Form.JSON_SCHEMA
    return _Form.PROMPT if Capability.JSON_OBJECT in info.lacks else _Form.JSON_OBJECT


def _takes_temperature(info: ModelInfo) -> bool:
    """Whether a model is known to take any; many that reason refuse all but their own, and with it the call."""
    return bool(info.capabilities) and Capability.REASONING not in info.capabilities


def _response_format(form: _Form, schema: Schema[Any]) -> ResponseFormat | None:
    match form:
        case _Form.JSON_SCHEMA:
            return ResponseFormat(ResponseFormatKind.JSON_SCHEMA, schema.name, schema.text, strict=True)
        case _Form.JSON_OBJECT:
            return ResponseFormat(ResponseFormatKind.JSON_OBJECT)
        case _Form.PROMPT:
            return None


def _instructed(messages: tuple[Message, ...], words: str) -> tuple[Message, ...]:
    """The messages with these words in the system's: in its last text, as many servers take no second one."""
    match messages:
        case (Message(role=Role.SYSTEM) as system, *rest):
            return (system.with_words(words), *rest)
        case _:
            return (Message(Role.SYSTEM, (Part(Text(words)),)), *messages)


def asking_again(call: ModelCall, schema: Schema[Any], answer: str, problem: str) -> ModelCall:
    """The same call after this answer to it, which has this problem."""
    words = _IN_REPAIR.format(problem=problem, schema=schema.text)
    shown = Message(Role.ASSISTANT, (Part(Text(answer)),))
    return replace(call, messages=(*call.messages, shown, Message(Role.USER, (Part(Text(words)),))))
