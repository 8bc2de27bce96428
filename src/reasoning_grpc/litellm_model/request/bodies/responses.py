"""Writes the body of a request to OpenAI's Responses API.

The members are those of OpenAI's reference of `POST /responses`. litellm decides which of them a model takes.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from reasoning_grpc.domain import (
    Deployment,
    ReasoningEffort,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
)
from reasoning_grpc.domain.errors import FieldViolation, UpstreamParameterUnsupported
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.request.bodies.members import join_members
from reasoning_grpc.litellm_model.request.bodies.response_items import write_items
from reasoning_grpc.litellm_model.request.bodies.wire_check import copy_arguments
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN
from reasoning_grpc.litellm_model.request.openai_models import OpenAIModel, describe_model
from reasoning_grpc.litellm_model.request.openai_options import VERBOSITY
from reasoning_grpc.litellm_model.request.tool_schemas import prepare_parameters
from reasoning_grpc.llm import ModelCall

Json = dict[str, Any]

_ENCRYPTED_REASONING: Final = "reasoning.encrypted_content"
_LOGPROBS: Final = "message.output_text.logprobs"
_FIELDS: Final[Mapping[str, str]] = {
    "include": "sampling.logprobs",
    "max_output_tokens": "sampling.max_output_tokens",
    "reasoning": "reasoning.effort",
    "temperature": "sampling.temperature",
    "text": "response_format",
    "top_logprobs": "sampling.top_logprobs",
    "top_p": "sampling.top_p",
    "user": "end_user",
}
"""The request field from which a parameter comes; the others have one of the same name."""


def write_responses_body(call: ModelCall, deployment: Deployment, name: str) -> Json:
    """Returns the body of a request for a model that its provider calls by this name.

    Raises UpstreamParameterUnsupported for what the model does not take, as far as litellm knows it.
    """
    model = describe_model(deployment)
    parameters = _write_parameters(call, deployment, model)
    _check_parameters(parameters, deployment)
    takes_marks = deployment.provider == "openai" and model.takes_cache_marks
    items = write_items(
        call.messages,
        system_prompt=deployment.system_prompt,
        takes_cache_marks=takes_marks,
        takes_output_parts=deployment.provider in {"azure", "openai"},
    )
    return join_members({"model": name, "input": items, **parameters}, _convert_options(call, parameters))


def _write_parameters(call: ModelCall, deployment: Deployment, model: OpenAIModel) -> Json:
    """Returns the members of the body that litellm knows."""
    sampling, reasoning = call.sampling, _convert_reasoning(call, model)
    parameters = {
        "max_output_tokens": sampling.max_output_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_logprobs": sampling.top_logprobs,
        "tools": [_convert_tool(tool, deployment.provider) for tool in call.tools] or None,
        "tool_choice": None if call.tool_choice is None else _convert_tool_choice(call.tool_choice),
        "parallel_tool_calls": call.parallel_tool_calls,
        "text": None if call.response_format is None else {"format": _convert_format(call.response_format)},
        "reasoning": reasoning or None,
        "user": call.end_user or None,
        "include": _list_included(call, model, is_reasoning=bool(reasoning) and not _is_off(call)) or None,
        "store": deployment.store,
        "stream": True,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _convert_options(call: ModelCall, parameters: Json) -> Json:
    """Returns the provider's own parameters; what they include is added to what the parameters include."""
    options = {option: json.loads(value) for option, value in call.provider_options.items()}
    if isinstance(options.get("include"), list):
        options["include"] = list(dict.fromkeys((*parameters.get("include", ()), *options["include"])))
    if VERBOSITY in options:
        text = parameters.get("text", {}) | {VERBOSITY: options.pop(VERBOSITY)}
        options["text"] = join_members({"text": text}, options)["text"]
    return options


def _check_parameters(parameters: Json, deployment: Deployment) -> None:
    """Raises UpstreamParameterUnsupported for the parameters that litellm refuses, leaves out or changes."""
    name = deployment.deciding_model.partition("/")[2]
    convert = partial(library.map_responses_parameters, deployment.provider, name)
    if refused := _find_refused(parameters, convert):
        fields = dict.fromkeys(_FIELDS.get(name, name) for name in refused)
        violations = tuple(FieldViolation(field, NOT_TAKEN) for field in fields)
        raise UpstreamParameterUnsupported(model=deployment.name, is_upstream_reached=False, violations=violations)


def _find_refused(parameters: Json, convert: Callable[[Json], Json]) -> list[str]:
    """Returns the parameters at fault. litellm's exceptions do not name them, so they are found by trial.

    They are those without which the others are taken; where there are none, those that are refused alone.
    """
    try:
        converted = convert(copy_arguments(parameters))
    except Exception:
        others = {name: {each: parameters[each] for each in parameters if each != name} for name in parameters}
        refused = [name for name in parameters if _is_taken(others[name], convert)]
        refused = refused or [name for name in parameters if not _is_taken({name: parameters[name]}, convert)]
        if not refused:
            raise
        return refused
    return [name for name, value in parameters.items() if converted.get(name) != value]


def _is_taken(parameters: Json, convert: Callable[[Json], Json]) -> bool:
    try:
        convert(copy_arguments(parameters))
    except Exception:  # as in `_find_refused`, which raises it again where no parameter is at fault
        return False
    return True


def _is_off(call: ModelCall) -> bool:
    return call.reasoning.effort is ReasoningEffort.NONE


def _list_included(call: ModelCall, model: OpenAIModel, *, is_reasoning: bool) -> list[str]:
    """Returns what the answer is to hold beside its text. Models that do not reason refuse encrypted reasoning."""
    logprobs = [_LOGPROBS] if call.sampling.logprobs or call.sampling.top_logprobs is not None else []
    reasons = is_reasoning if model.reasons is None else model.reasons
    return [_ENCRYPTED_REASONING, *logprobs] if reasons else logprobs


def _convert_reasoning(call: ModelCall, model: OpenAIModel) -> Json:
    members: Json = {}
    if call.reasoning.effort is not None:
        members["effort"] = call.reasoning.effort.value.lower()
    if call.include_reasoning and not _is_off(call) and model.reasons is not False:
        members["summary"] = "auto"
    return members


def _convert_tool(tool: Tool, provider: str) -> Json:
    members: Json = {"type": "function", "name": tool.name}
    if tool.description:
        members["description"] = tool.description
    members["parameters"] = prepare_parameters(json.loads(tool.parameters_schema or "{}"), provider)
    members["strict"] = bool(tool.strict)  # in this API, a tool that does not say it is strict
    return members


def _convert_tool_choice(choice: ToolChoice) -> str | Json:
    return choice.mode.value.lower() if choice.mode is not None else {"type": "function", "name": choice.tool}


def _convert_format(response_format: ResponseFormat) -> Json:
    kind = response_format.kind
    members: Json = {"type": kind.value.lower()}
    if kind is ResponseFormatKind.JSON_SCHEMA:
        members |= {"name": response_format.name, "schema": json.loads(response_format.schema)}
        if response_format.description:
            members["description"] = response_format.description
        if response_format.strict is not None:
            members["strict"] = response_format.strict
    return members
