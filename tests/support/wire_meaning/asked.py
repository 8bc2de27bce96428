"""Reads the meaning of a request as a caller asks it."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from reasoning_grpc.v1 import completion_pb2, messages_pb2
from tests.support.wire_meaning.meaning import (
    EMPTY,
    FormatMeaning,
    Json,
    Meaning,
    MeaningPart,
    ToolMeaning,
    Turn,
    call,
    media,
    reasoning,
    redacted,
    refusal,
    result,
    text,
)

_ROLES: Final = {
    messages_pb2.ROLE_SYSTEM: "system",
    messages_pb2.ROLE_USER: "user",
    messages_pb2.ROLE_ASSISTANT: "assistant",
    messages_pb2.ROLE_TOOL: "tool",
}
_SCALARS: Final = (
    "temperature",
    "top_p",
    "top_k",
    "max_output_tokens",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
)
NO_ARGUMENTS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
"""The schema of a tool that has none, in the words of `Tool.parameters_schema`."""


@dataclass(frozen=True, kw_only=True)
class EntryDefaults:
    """What an operator has configured for a model, which holds for a request that does not say it."""

    system_prompt: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)


def read_request(request: completion_pb2.CompleteRequest, model: str, defaults: EntryDefaults | None = None) -> Meaning:
    """Returns the meaning of a request to this model; `model` is the provider's own name of it."""
    defaults = defaults or EntryDefaults()
    return Meaning(
        model=model,
        turns=_read_turns(request, defaults),
        parameters=_read_parameters(request, defaults),
        defaulted=frozenset(
            f"sampling.{name}" for name in defaults.sampling if not _has_sampling(request.sampling, name)
        ),
        tools=tuple(map(_read_tool, request.tools)),
        response_format=_read_format(request.response_format),
        extras={name: json.loads(value) for name, value in request.provider_options.items()},
    )


def _read_turns(request: completion_pb2.CompleteRequest, defaults: EntryDefaults) -> tuple[Turn, ...]:
    turns = [
        Turn(role=_ROLES[message.role], parts=tuple(map(_read_part, message.content)) or (EMPTY,), name=message.name)
        for message in request.messages
    ]
    if defaults.system_prompt and all(turn.role != "system" for turn in turns):
        turns.insert(0, Turn(role="system", parts=(text(defaults.system_prompt),), is_default=True))
    return tuple(turns)


def _read_part(part: messages_pb2.Part) -> MeaningPart:
    marks: Any = {"cache": part.cache, "signature": part.signature}
    match part.WhichOneof("kind"):
        case "text":
            return text(part.text, cache=part.cache, signature=part.signature)
        case "media":
            given, data = part.media, base64.b64encode(part.media.data).decode()
            return media(given.mime_type, data=data, uri=given.uri, filename=given.filename, cache=part.cache)
        case "reasoning" if part.reasoning.redacted:
            return replace(redacted(part.reasoning.redacted.decode()), **marks)
        case "reasoning":
            return replace(reasoning(part.reasoning.text), **marks)
        case "tool_call":
            asked = part.tool_call
            return call(asked.id, asked.name, asked.arguments, cache=part.cache, signature=part.signature)
        case "tool_result":
            answered = part.tool_result
            return result(answered.call_id, answered.content, is_error=answered.is_error, cache=part.cache)
        case _:
            return replace(refusal(part.refusal), **marks)


def _read_parameters(request: completion_pb2.CompleteRequest, defaults: EntryDefaults) -> Json:
    sampling: Any = request.sampling
    parameters: Json = {f"sampling.{name}": value for name, value in defaults.sampling.items()}
    for name in _SCALARS:
        if sampling.HasField(name):
            parameters[f"sampling.{name}"] = getattr(sampling, name)
    if sampling.stop_sequences:
        parameters["sampling.stop_sequences"] = list(sampling.stop_sequences)
    if sampling.logit_bias:
        parameters["sampling.logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias.items()}
    if request.HasField("tool_choice"):
        parameters["tool_choice"] = _read_choice(request.tool_choice)
    if request.HasField("parallel_tool_calls"):
        parameters["parallel_tool_calls"] = request.parallel_tool_calls
    match request.reasoning.WhichOneof("amount"):
        case "effort":
            name = completion_pb2.ReasoningEffort.Name(request.reasoning.effort)
            parameters["reasoning.effort"] = name.removeprefix("REASONING_EFFORT_").lower()
        case "budget_tokens":
            parameters["reasoning.budget_tokens"] = request.reasoning.budget_tokens
    if request.end_user:
        parameters["end_user"] = request.end_user
    return parameters


def _has_sampling(sampling: Any, name: str) -> bool:
    return bool(sampling.HasField(name))


def _read_choice(choice: completion_pb2.ToolChoice) -> Any:
    if choice.WhichOneof("choice") == "tool":
        return {"tool": choice.tool}
    return completion_pb2.ToolChoiceMode.Name(choice.mode).removeprefix("TOOL_CHOICE_MODE_").lower()


def _read_tool(tool: completion_pb2.Tool) -> ToolMeaning:
    return ToolMeaning(
        name=tool.name,
        description=tool.description,
        schema=json.loads(tool.parameters_schema) if tool.parameters_schema else dict(NO_ARGUMENTS),
        strict=tool.strict if tool.HasField("strict") else None,
    )


def _read_format(response_format: completion_pb2.ResponseFormat) -> FormatMeaning | None:
    match response_format.WhichOneof("format"):
        case "json_object":
            return FormatMeaning(kind="json_object")
        case "json_schema":
            asked = response_format.json_schema
            return FormatMeaning(
                kind="json_schema",
                name=asked.name,
                description=asked.description,
                schema=json.loads(asked.schema),
                strict=asked.strict if asked.HasField("strict") else None,
            )
        case _:
            return None
