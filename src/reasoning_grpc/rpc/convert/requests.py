"""Converts requests, and reports everything that is wrong with one at once.

Field paths are those of `CompleteRequest`, even when it is part of another request.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.domain import (
    AgentOptions,
    CompletionRequest,
    ContextPolicy,
    IncludeOptions,
    ModelFilter,
    ReasoningEffort,
    ReasoningOptions,
    ResponseFormat,
    ResponseFormatKind,
    RoutingOptions,
    Sampling,
    Tool,
    ToolChoice,
)
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.checks import Checks
from reasoning_grpc.rpc.convert.conversation import conversation
from reasoning_grpc.v1 import (
    agent_pb2,
    classification_pb2,
    completion_pb2,
    events_pb2,
    models_pb2,
    routing_pb2,
)

E = TypeVar("E")

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME_TEXT: Final = "It must be 1 to 64 of letters, digits, underscore and dash."
REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")
_MAX_MODEL_NAME_CHARACTERS: Final = 128
_MAX_STOP_SEQUENCES: Final = 16
_MAX_LABELS: Final = 32
_MAX_ROUTE_CHARACTERS: Final = 64
_MAX_FALLBACKS: Final = 8
_MAX_BIASES: Final = 1024
_MAX_AGENT_TOOLS: Final = 1024
_DEFAULT_PAGE: Final = 100
_MAX_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Our own limits on a request."""

    messages: int = 1000
    tools: int = 128


def completion_request(message: completion_pb2.CompleteRequest, caps: Caps) -> CompletionRequest:
    """Returns the request. Raises InvalidRequest, RequestTooLarge and UnsupportedParameter."""
    checks = Checks()
    request = _completion_request(message, caps, checks)
    checks.finish()
    return request


def stream_request(message: events_pb2.StreamCompleteRequest, caps: Caps) -> tuple[CompletionRequest, float | None]:
    """Returns the request and the interval of heartbeats in seconds. Raises as `completion_request` does."""
    checks = Checks()
    if not message.HasField("request"):
        checks.report_invalid("request", "It is required.")
    request = _completion_request(message.request, caps, checks) if message.HasField("request") else None
    heartbeat = None
    if message.stream_options.HasField("heartbeat_interval"):
        heartbeat = _seconds(message.stream_options.heartbeat_interval)
        checks.check_number("stream_options.heartbeat_interval", heartbeat, 0.1, 3600)
    checks.finish()
    assert request is not None
    return request, heartbeat


def classify_request(message: classification_pb2.ClassifyRequest, caps: Caps) -> tuple[CompletionRequest, bool]:
    """Returns the request to classify, and whether rules alone may decide. Raises as `completion_request` does."""
    checks = Checks()
    if not message.HasField("request"):
        checks.report_invalid("request", "It is required.")
        checks.finish()
    return completion_request(message.request, caps), message.rules_only


def list_models_request(message: models_pb2.ListModelsRequest) -> tuple[ModelFilter, int, str]:
    """Returns the filter, the page size and the page token. Raises InvalidRequest."""
    checks = Checks()
    checks.check_number("page_size", message.page_size, 0)
    checks.check_text("page_token", message.page_token, 1024)
    checks.check_text("filter.name_contains", message.filter.name_contains, _MAX_MODEL_NAME_CHARACTERS)
    for index, number in enumerate(message.filter.capabilities):
        _read_enum(f"filter.capabilities[{index}]", number, enums.MODEL_CAPABILITY.from_proto, checks)
    for index, state in enumerate(message.filter.states):
        _read_enum(f"filter.states[{index}]", state, enums.MODEL_STATE.from_proto, checks)
    checks.finish()
    model_filter = ModelFilter(
        message.filter.name_contains,
        frozenset(enums.MODEL_CAPABILITY.from_proto[number] for number in message.filter.capabilities),
        frozenset(enums.MODEL_STATE.from_proto[number] for number in message.filter.states),
    )
    return model_filter, min(message.page_size or _DEFAULT_PAGE, _MAX_PAGE), message.page_token


def _completion_request(message: completion_pb2.CompleteRequest, caps: Caps, checks: Checks) -> CompletionRequest:
    checks.check_text("model", message.model, _MAX_MODEL_NAME_CHARACTERS)
    if not message.model.isprintable():
        checks.report_invalid("model", "It must be printable.")
    if message.request_id:
        checks.check_pattern(
            "request_id", message.request_id, REQUEST_ID, "It must be 1 to 128 visible ASCII characters."
        )
    checks.check_text("end_user", message.end_user, 256)
    return CompletionRequest(
        model=message.model,
        messages=conversation(message.messages, caps.messages, checks),
        sampling=_sampling(message.sampling, checks),
        tools=_tools(message, caps, checks),
        tool_choice=_tool_choice(message, checks),
        parallel_tool_calls=_parallel_tool_calls(message, checks),
        response_format=_response_format(message, checks),
        reasoning=_reasoning(message.reasoning, checks),
        routing=_routing(message.routing, checks),
        context_policy=_context_policy(message, checks),
        fallback_models=_fallback_models(message, checks),
        agent=_agent(message.agent, checks),
        include=IncludeOptions(
            reasoning=message.include.reasoning,
            thoughts=message.include.thoughts,
            tool_results=message.include.tool_results,
            model_calls=message.include.model_calls,
        ),
        labels=_labels(message, checks),
        end_user=message.end_user,
        provider_options=_provider_options(message, checks),
    )


def _sampling(message: completion_pb2.Sampling, checks: Checks) -> Sampling:
    by_name: Any = message  # the type stubs accept only literal names

    def optional(name: str, minimum: float, maximum: float = math.inf, *, above_minimum: bool = False) -> float | None:
        if not by_name.HasField(name):
            return None
        value: float = getattr(message, name)
        checks.check_number(f"sampling.{name}", value, minimum, maximum, above_minimum=above_minimum)
        return value

    def optional_integer(name: str, minimum: int, maximum: float = math.inf) -> int | None:
        value = optional(name, minimum, maximum)
        return None if value is None else int(value)

    if checks.check_count("sampling.stop_sequences", len(message.stop_sequences), _MAX_STOP_SEQUENCES):
        for index, stop_sequence in enumerate(message.stop_sequences):
            checks.check_text(f"sampling.stop_sequences[{index}]", stop_sequence, 256, required=True)
    if checks.check_count("sampling.logit_bias", len(message.logit_bias), _MAX_BIASES):
        for token, bias in message.logit_bias.items():
            checks.check_number(f"sampling.logit_bias[{token}]", bias, -100, 100)
    logprobs = message.logprobs if message.HasField("logprobs") else None
    top_logprobs = optional_integer("top_logprobs", 0, 20)
    if top_logprobs is not None and not logprobs:
        checks.report_invalid("sampling.top_logprobs", "It requires `logprobs` to be true.")
    return Sampling(
        temperature=optional("temperature", 0, 2),
        top_p=optional("top_p", 0, 1, above_minimum=True),
        top_k=optional_integer("top_k", 1),
        max_output_tokens=optional_integer("max_output_tokens", 1),
        stop_sequences=tuple(message.stop_sequences),
        seed=message.seed if message.HasField("seed") else None,
        presence_penalty=optional("presence_penalty", -2, 2),
        frequency_penalty=optional("frequency_penalty", -2, 2),
        logit_bias=dict(message.logit_bias),
        logprobs=logprobs,
        top_logprobs=top_logprobs,
    )


def _agent(message: agent_pb2.AgentOptions, checks: Checks) -> AgentOptions:
    by_name: Any = message  # the type stubs accept only literal names

    def optional_integer(name: str, minimum: int) -> int | None:
        if not by_name.HasField(name):
            return None
        value: int = getattr(message, name)
        checks.check_number(f"agent.{name}", value, minimum, math.inf)
        return value

    def seconds(name: str) -> float | None:
        if not by_name.HasField(name):
            return None
        value = _seconds(getattr(message, name))
        checks.check_number(f"agent.{name}", value, 0, math.inf, above_minimum=True)
        return value

    if checks.check_count("agent.allowed_tools.names", len(message.allowed_tools.names), _MAX_AGENT_TOOLS):
        for index, name in enumerate(message.allowed_tools.names):
            checks.check_pattern(f"agent.allowed_tools.names[{index}]", name, _NAME, _NAME_TEXT)
    return AgentOptions(
        max_steps=optional_integer("max_steps", 1),
        max_tool_calls=optional_integer("max_tool_calls", 0),
        max_tokens=optional_integer("max_tokens", 1),
        max_cost_nano_usd=optional_integer("max_cost_nano_usd", 1),
        allowed_tools=frozenset(message.allowed_tools.names) if message.HasField("allowed_tools") else None,
        step_timeout_seconds=seconds("step_timeout"),
        tool_timeout_seconds=seconds("tool_timeout"),
    )


def _tools(message: completion_pb2.CompleteRequest, caps: Caps, checks: Checks) -> tuple[Tool, ...]:
    if not checks.check_count("tools", len(message.tools), caps.tools):
        return ()
    seen: set[str] = set()
    for index, tool in enumerate(message.tools):
        path = f"tools[{index}]"
        checks.check_pattern(f"{path}.name", tool.name, _NAME, _NAME_TEXT)
        if tool.name in seen:
            checks.report_invalid(f"{path}.name", "Another tool has this name.")
        seen.add(tool.name)
        if tool.parameters_schema:
            checks.check_json(f"{path}.parameters_schema", tool.parameters_schema, want_object=True)
    return tuple(
        Tool(tool.name, tool.description, tool.parameters_schema, tool.strict if tool.HasField("strict") else None)
        for tool in message.tools
    )


def _tool_choice(message: completion_pb2.CompleteRequest, checks: Checks) -> ToolChoice | None:
    if not message.HasField("tool_choice"):
        return None
    if not message.tools:
        checks.report_invalid("tool_choice", "It requires `tools`.")
    choice = message.tool_choice
    match choice.WhichOneof("choice"):
        case "mode":
            mode = _read_enum("tool_choice.mode", choice.mode, enums.TOOL_CHOICE_MODE.from_proto, checks)
            return ToolChoice(mode=mode)
        case "tool":
            if message.tools and choice.tool not in {tool.name for tool in message.tools}:
                checks.report_invalid("tool_choice.tool", "It is not the name of one of `tools`.")
            return ToolChoice(tool=choice.tool)
        case _:
            checks.report_invalid("tool_choice", "It must hold a mode or a tool.")
            return None


def _parallel_tool_calls(message: completion_pb2.CompleteRequest, checks: Checks) -> bool | None:
    if not message.HasField("parallel_tool_calls"):
        return None
    if not message.tools:
        checks.report_invalid("parallel_tool_calls", "It requires `tools`.")
    return message.parallel_tool_calls


def _response_format(message: completion_pb2.CompleteRequest, checks: Checks) -> ResponseFormat | None:
    if not message.HasField("response_format"):
        return None
    match message.response_format.WhichOneof("format"):
        case "text":
            return ResponseFormat(ResponseFormatKind.TEXT)
        case "json_object":
            return ResponseFormat(ResponseFormatKind.JSON_OBJECT)
        case "json_schema":
            schema = message.response_format.json_schema
            path = "response_format.json_schema"
            checks.check_pattern(f"{path}.name", schema.name, _NAME, _NAME_TEXT)
            checks.check_json(f"{path}.schema", schema.schema, want_object=True)
            strict = schema.strict if schema.HasField("strict") else None
            return ResponseFormat(
                ResponseFormatKind.JSON_SCHEMA, schema.name, schema.schema, schema.description, strict
            )
        case _:
            checks.report_invalid("response_format", "It must hold a format.")
            return None


def _reasoning(message: completion_pb2.ReasoningOptions, checks: Checks) -> ReasoningOptions:
    match message.WhichOneof("amount"):
        case "effort":
            effort = _read_enum("reasoning.effort", message.effort, enums.REASONING_EFFORT.from_proto, checks)
            if effort is ReasoningEffort.XHIGH:
                checks.report_unsupported("reasoning.effort", "No model accepts XHIGH yet.")
            return ReasoningOptions(effort=effort)
        case "budget_tokens":
            checks.check_number("reasoning.budget_tokens", message.budget_tokens, 1)
            return ReasoningOptions(budget_tokens=message.budget_tokens)
        case _:
            return ReasoningOptions()


def _routing(message: routing_pb2.RoutingOptions, checks: Checks) -> RoutingOptions:
    if message.route and message.mode:
        checks.report_invalid("routing", "It must hold a mode or a route, not both.")
    checks.check_text("routing.route", message.route, _MAX_ROUTE_CHARACTERS)
    preferences = enums.ROUTING_PREFERENCE.from_proto
    return RoutingOptions(
        mode=_read_enum("routing.mode", message.mode, enums.ROUTING_MODE.from_proto, checks) if message.mode else None,
        route=message.route,
        preference=_read_enum("routing.preference", message.preference, preferences, checks)
        if message.preference
        else None,
    )


def _context_policy(message: completion_pb2.CompleteRequest, checks: Checks) -> ContextPolicy | None:
    if not message.context_policy:
        return None
    return _read_enum("context_policy", message.context_policy, enums.CONTEXT_POLICY.from_proto, checks)


def _fallback_models(message: completion_pb2.CompleteRequest, checks: Checks) -> tuple[str, ...]:
    if checks.check_count("fallback_models", len(message.fallback_models), _MAX_FALLBACKS):
        for index, name in enumerate(message.fallback_models):
            checks.check_text(f"fallback_models[{index}]", name, _MAX_MODEL_NAME_CHARACTERS, required=True)
    return tuple(message.fallback_models)


def _labels(message: completion_pb2.CompleteRequest, checks: Checks) -> dict[str, str]:
    if checks.check_count("labels", len(message.labels), _MAX_LABELS):
        for key, value in message.labels.items():
            checks.check_text(f"labels[{key}]", key, 64, required=True)
            checks.check_text(f"labels[{key}]", value, 256)
    return dict(message.labels)


def _provider_options(message: completion_pb2.CompleteRequest, checks: Checks) -> dict[str, str]:
    if checks.check_count("provider_options", len(message.provider_options), _MAX_LABELS):
        for name, value in message.provider_options.items():
            checks.check_text(f"provider_options[{name}]", name, 64, required=True)
            checks.check_json(f"provider_options[{name}]", value, want_object=False)
    return dict(message.provider_options)


def _read_enum(path: str, number: int, known: Mapping[int, E], checks: Checks) -> E | None:
    """Returns the value of this number; reports it and returns None when it is unspecified or unknown."""
    value = known.get(number)
    if value is None:
        checks.report_invalid(path, "It is not a known value." if number else "It must be specified.")
    return value


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9
