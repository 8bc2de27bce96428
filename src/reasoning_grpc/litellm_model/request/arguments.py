"""`build_arguments`: the arguments of `litellm.acompletion` for one call."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from reasoning_grpc.domain import (
    Deployment,
    ReasoningEffort,
    ReasoningOptions,
    ResponseFormat,
    ResponseFormatKind,
    Sampling,
    Tool,
    ToolChoice,
)
from reasoning_grpc.litellm_model.providers import HTTP_SHAPE, SIGNS_REQUESTS, SPEAKS_OPENAI
from reasoning_grpc.litellm_model.request.bodies.amounts import has_own_words, write_amount
from reasoning_grpc.litellm_model.request.bodies.anthropic import write_members
from reasoning_grpc.litellm_model.request.bodies.gemini import write_gemini_body
from reasoning_grpc.litellm_model.request.bodies.members import join_members
from reasoning_grpc.litellm_model.request.bodies.ollama import write_ollama_body
from reasoning_grpc.litellm_model.request.dialects.amounts import is_claude
from reasoning_grpc.litellm_model.request.dialects.claude.features import (
    SUMMARIZED,
    asks_for_summary,
    list_beta_features,
)
from reasoning_grpc.litellm_model.request.dialects.claude.models import describe_claude
from reasoning_grpc.litellm_model.request.dialects.claude.reasoning import is_forcing_calls
from reasoning_grpc.litellm_model.request.dialects.schemas.output import write_output_schema
from reasoning_grpc.litellm_model.request.messages import convert_messages
from reasoning_grpc.litellm_model.request.model_names import name_deciding_model
from reasoning_grpc.litellm_model.request.openai_messages import adapt_messages
from reasoning_grpc.litellm_model.request.tool_schemas import prepare_parameters
from reasoning_grpc.llm import ModelCall

STREAMED: Final[Mapping[str, Any]] = {"stream": True, "stream_options": {"include_usage": True}}
"""The arguments that every call adds to its own."""
_PLACEHOLDER: Final = ({"role": "user", "content": "-"},)
"""The conversation that litellm gets where our own code writes it."""
_WRITERS: Final[Mapping[str, Callable[[ModelCall, Deployment], dict[str, Any]]]] = {
    "anthropic": write_members,
    "gemini": write_gemini_body,
    "ollama_chat": write_ollama_body,
}
"""Functions that write members of the body which litellm would not write as they are meant, by provider."""
_WRITES_TOOLS: Final = frozenset({"gemini"})
"""Providers whose tools, and schemas of answers, are among these members."""
_HAVE_CLAUDE: Final = frozenset({"anthropic", "bedrock"})
"""Providers with models of Anthropic, which hold their answers to schemas of a form of their own."""
_WRITES_ALL: Final = frozenset({"ollama_chat"})
"""Providers of which these members are the whole body."""
_MERGES_OPTIONS: Final = HTTP_SHAPE - SIGNS_REQUESTS
_FORCED_PARAMETERS: Final = frozenset({"user", "reasoning_effort"})
"""Parameters that litellm would drop or refuse where it does not know a model of the OpenAI protocol."""
_UNSET: Final = Sampling()


def build_arguments(call: ModelCall, deployment: Deployment) -> dict[str, Any]:
    """Returns the arguments that say what is requested: messages and parameters. `choose_model` names the model."""
    provider = deployment.provider
    if provider in _WRITES_ALL:
        return {"messages": convert_conversation(call, deployment)}
    arguments: dict[str, Any] = {
        "messages": convert_conversation(call, deployment),
        **_convert_sampling(call.sampling),
        **_convert_tools(call, provider),
        **_convert_reasoning(call.reasoning, deployment),
    }
    if call.response_format is not None:
        arguments |= _convert_response_format(call.response_format, deployment)
    if provider == "anthropic" and (features := list_beta_features(call, deployment.deciding_model)):
        arguments["extra_headers"] = {"anthropic-beta": ",".join(features)}
    if provider == "bedrock" and asks_for_summary(call, name_deciding_model(deployment)) and not _forces_a_tool(call):
        arguments["thinking"] = dict(SUMMARIZED)
    if call.end_user:
        arguments["user"] = call.end_user
    if provider in SPEAKS_OPENAI and (forced := _FORCED_PARAMETERS & arguments.keys()):
        arguments["allowed_openai_params"] = sorted(forced)
    if provider in SIGNS_REQUESTS:
        arguments |= _decode_options(call)
    elif call.provider_options and not select_merged_options(call, deployment):
        arguments["extra_body"] = _decode_options(call)
    return arguments


def _forces_a_tool(call: ModelCall) -> bool:
    """Whether litellm would make a tool call a free one beside the model's reasoning, also that of a schema."""
    return call.response_format is not None or is_forcing_calls(call)


def build_own_members(call: ModelCall, deployment: Deployment) -> dict[str, Any]:
    """Returns the members that we put into the body after litellm has built it."""
    write = _WRITERS.get(deployment.provider)
    if write is None and (amount := write_amount(call.reasoning, deployment)):
        return join_members(amount, _decode_options(call))
    return join_members(write(call, deployment) if write else {}, select_merged_options(call, deployment))


def convert_conversation(call: ModelCall, deployment: Deployment) -> list[dict[str, Any]]:
    """Returns the messages that litellm gets, which are those of this call alone."""
    if writes_conversation(deployment.provider):
        return [dict(message) for message in _PLACEHOLDER]
    messages = convert_messages(call.messages, deployment.provider, system_prompt=deployment.system_prompt)
    return adapt_messages(messages, deployment)


def writes_conversation(provider: str) -> bool:
    """Whether our own code writes the conversations of a provider, so that litellm sees only the parameters."""
    return provider in _WRITERS


def select_merged_options(call: ModelCall, deployment: Deployment) -> dict[str, Any]:
    """Returns the options that we merge into the body after litellm has built it; empty where litellm takes them.

    Some of litellm's conversions send `extra_body` as a member of that name.
    """
    return _decode_options(call) if deployment.provider in _MERGES_OPTIONS else {}


def _decode_options(call: ModelCall) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in call.provider_options.items()}


def _convert_sampling(sampling: Sampling) -> dict[str, Any]:
    if sampling == _UNSET:
        return {}
    values = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_output_tokens,
        "stop": list(sampling.stop_sequences) or None,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "logit_bias": {str(token): bias for token, bias in sampling.logit_bias.items()} or None,
        "logprobs": sampling.logprobs,
        "top_logprobs": sampling.top_logprobs,
    }
    return {name: value for name, value in values.items() if value is not None}


def _convert_tools(call: ModelCall, provider: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if call.tools and provider not in _WRITES_TOOLS:
        arguments["tools"] = [_convert_tool(tool, provider) for tool in call.tools]
    if call.tool_choice is not None:
        arguments["tool_choice"] = _convert_tool_choice(call.tool_choice)
    if call.parallel_tool_calls is not None:
        arguments["parallel_tool_calls"] = call.parallel_tool_calls
    return arguments


def _convert_reasoning(reasoning: ReasoningOptions, deployment: Deployment) -> dict[str, Any]:
    if has_own_words(deployment):
        return {}
    if reasoning.budget_tokens is not None:
        return {"thinking": {"type": "enabled", "budget_tokens": reasoning.budget_tokens}}
    if reasoning.effort is None:
        return {}
    if reasoning.effort is ReasoningEffort.NONE and is_claude(deployment.deciding_model):
        # litellm says nothing then, and a model that decides itself may reason.
        return {"thinking": {"type": "disabled"}}
    return {"reasoning_effort": reasoning.effort.value.lower()}


def _convert_tool(tool: Tool, provider: str) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = prepare_parameters(json.loads(tool.parameters_schema or "{}"), provider)
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _convert_tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode is not None:
        return choice.mode.value.lower()
    return {"type": "function", "function": {"name": choice.tool}}


def _convert_response_format(response_format: ResponseFormat, deployment: Deployment) -> dict[str, Any]:
    if response_format.kind is not ResponseFormatKind.JSON_SCHEMA:
        return {"response_format": {"type": response_format.kind.value.lower()}}
    schema: dict[str, Any] = json.loads(response_format.schema)
    if deployment.provider in _WRITES_TOOLS:
        return {"response_format": {"type": "json_object"}}
    writes_schemas = deployment.provider in _HAVE_CLAUDE and describe_claude(deployment.deciding_model).writes_schemas
    if writes_schemas and deployment.provider == "anthropic":
        return {}  # it is among our own members
    if writes_schemas:
        schema = write_output_schema(schema)
    elif deployment.provider == "bedrock":
        schema = prepare_parameters(schema, deployment.provider)  # it becomes a tool
    members: dict[str, Any] = {"name": response_format.name, "schema": schema}
    if response_format.description:
        members["description"] = response_format.description
    if response_format.strict is not None:
        members["strict"] = response_format.strict
    return {"response_format": {"type": "json_schema", "json_schema": members}}
