"""Options of a request that tell the server what to do: routing, agent, context policy and fallback models.

Each function converts a field that the request has, and reports in `checks` what is wrong with it.
"""

import math
from typing import Any, Final

from reasoning_grpc.domain import AgentOptions, ContextPolicy, RoutingOptions
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.checks import MAX_MODEL_NAME_CHARACTERS, NAME, NAME_RULE, Checks
from reasoning_grpc.rpc.convert.scalars import seconds_of
from reasoning_grpc.v1 import completion_pb2

_MAX_ROUTE_CHARACTERS: Final = 64
_MAX_FALLBACKS: Final = 8
_MAX_AGENT_TOOLS: Final = 1024


def agent_options(message: completion_pb2.CompleteRequest, checks: Checks) -> AgentOptions:
    """Returns the limits and tools of the reasoning agent."""
    given = message.agent
    by_name: Any = given  # the type stubs accept only literal names

    def optional_integer(name: str, minimum: int) -> int | None:
        if not by_name.HasField(name):
            return None
        value: int = getattr(given, name)
        checks.check_number(f"agent.{name}", value, minimum, math.inf)
        return value

    def seconds(name: str) -> float | None:
        if not by_name.HasField(name):
            return None
        value = seconds_of(getattr(given, name))
        checks.check_number(f"agent.{name}", value, 0, math.inf, above_minimum=True)
        return value

    if checks.check_count("agent.allowed_tools.names", len(given.allowed_tools.names), _MAX_AGENT_TOOLS):
        for index, name in enumerate(given.allowed_tools.names):
            checks.check_pattern(f"agent.allowed_tools.names[{index}]", name, NAME, NAME_RULE)
    return AgentOptions(
        max_steps=optional_integer("max_steps", 1),
        max_tool_calls=optional_integer("max_tool_calls", 0),
        max_tokens=optional_integer("max_tokens", 1),
        max_cost_nano_usd=optional_integer("max_cost_nano_usd", 1),
        allowed_tools=frozenset(given.allowed_tools.names) if given.HasField("allowed_tools") else None,
        step_timeout_seconds=seconds("step_timeout"),
        tool_timeout_seconds=seconds("tool_timeout"),
        max_tasks=optional_integer("max_tasks", 1),
    )


def routing_options(message: completion_pb2.CompleteRequest, checks: Checks) -> RoutingOptions:
    """Returns which path the caller requests."""
    given = message.routing
    if given.route and given.mode:
        checks.report_invalid("routing", "It must hold a mode or a route, not both.")
    checks.check_text("routing.route", given.route, _MAX_ROUTE_CHARACTERS)
    preferences = enums.ROUTING_PREFERENCE.from_proto
    return RoutingOptions(
        mode=checks.check_enum("routing.mode", given.mode, enums.ROUTING_MODE.from_proto) if given.mode else None,
        route=given.route,
        preference=checks.check_enum("routing.preference", given.preference, preferences) if given.preference else None,
    )


def context_policy(message: completion_pb2.CompleteRequest, checks: Checks) -> ContextPolicy | None:
    """Returns what to do with a conversation that does not fit the context window."""
    return checks.check_enum("context_policy", message.context_policy, enums.CONTEXT_POLICY.from_proto)


def fallback_models(message: completion_pb2.CompleteRequest, checks: Checks) -> tuple[str, ...]:
    """Returns the models to try when the first one fails."""
    models = tuple(message.fallback_models)
    if checks.check_count("fallback_models", len(models), _MAX_FALLBACKS):
        for index, name in enumerate(models):
            checks.check_text(f"fallback_models[{index}]", name, MAX_MODEL_NAME_CHARACTERS, required=True)
    return models
