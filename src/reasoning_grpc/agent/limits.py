"""`AgentLimits`: the limits of a run: of each, the smaller of the server's and the request's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from reasoning_grpc.domain import AgentOptions, EffectiveSetting, EffectiveSettingCause

N = TypeVar("N", int, float)
_REASON: Final = "The server allows no more."
_NO_OPTIONS: Final = AgentOptions()
_NOT_USED: Final = "The request is answered directly, without the reasoning agent."
_NO_TASKS: Final = "The reasoning agent answers the request itself, without tasks."


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLimits:
    """The limits of one run, or those of the server."""

    max_steps: int = 8
    max_tool_calls: int = 16
    max_tokens: int | None = None
    """Tokens of all model calls before the synthesis. None means any number."""
    max_cost_nano_usd: int | None = None
    """Cost of all model calls before the synthesis. None means any cost."""
    timeout_seconds: float = 120.0
    """Time for thinking, whatever the caller's deadline is."""
    step_timeout_seconds: float = 60.0
    tool_timeout_seconds: float = 30.0
    tool_list_timeout_seconds: float = 10.0
    """The longest wait for MCP servers that connect for the first time. Requests cannot change it."""
    max_state_bytes: int = 1024 * 1024
    """The largest state of a run that pauses. Requests cannot change it."""

    def restrict(self, requested: AgentOptions) -> "AgentLimits":
        """Returns the limits of a run whose request has these options."""
        return AgentLimits(
            max_steps=_smaller(self.max_steps, requested.max_steps),
            max_tool_calls=_smaller(self.max_tool_calls, requested.max_tool_calls),
            max_tokens=_smaller_known(self.max_tokens, requested.max_tokens),
            max_cost_nano_usd=_smaller_known(self.max_cost_nano_usd, requested.max_cost_nano_usd),
            timeout_seconds=self.timeout_seconds,
            step_timeout_seconds=_smaller(self.step_timeout_seconds, requested.step_timeout_seconds),
            tool_timeout_seconds=_smaller(self.tool_timeout_seconds, requested.tool_timeout_seconds),
            tool_list_timeout_seconds=self.tool_list_timeout_seconds,
            max_state_bytes=self.max_state_bytes,
        )

    def list_changes(self, requested: AgentOptions) -> Iterator[EffectiveSetting]:
        """Yields a setting for each requested option that is above these limits, which are already restricted to it."""
        for field, wish, granted in (
            ("max_steps", requested.max_steps, self.max_steps),
            ("max_tool_calls", requested.max_tool_calls, self.max_tool_calls),
            ("max_tokens", requested.max_tokens, self.max_tokens),
            ("max_cost_nano_usd", requested.max_cost_nano_usd, self.max_cost_nano_usd),
            ("step_timeout", requested.step_timeout_seconds, self.step_timeout_seconds),
            ("tool_timeout", requested.tool_timeout_seconds, self.tool_timeout_seconds),
        ):
            if wish is not None and wish != granted:
                yield EffectiveSetting(
                    f"agent.{field}", _format(wish), _format(granted), EffectiveSettingCause.SERVER_LIMIT, _REASON
                )


def list_unused_options(requested: AgentOptions) -> list[EffectiveSetting]:
    """Returns a setting for each option of a request that the agent does not answer."""
    if requested == _NO_OPTIONS:
        return []
    tools = requested.allowed_tools
    wishes = (
        ("max_steps", requested.max_steps),
        ("max_tool_calls", requested.max_tool_calls),
        ("max_tokens", requested.max_tokens),
        ("max_cost_nano_usd", requested.max_cost_nano_usd),
        ("allowed_tools", None if tools is None else ", ".join(sorted(tools)) or "none"),
        ("step_timeout", requested.step_timeout_seconds),
        ("tool_timeout", requested.tool_timeout_seconds),
        ("max_tasks", requested.max_tasks),
    )
    return [
        EffectiveSetting(
            f"agent.{field}",
            wish if isinstance(wish, str) else _format(wish),
            "",
            EffectiveSettingCause.NOT_USED,
            _NOT_USED,
        )
        for field, wish in wishes
        if wish is not None
    ]


def list_unused_tasks(requested: AgentOptions) -> tuple[EffectiveSetting, ...]:
    """Returns a setting for the number of tasks that a request allows, where one agent answers it without tasks."""
    if requested.max_tasks is None:
        return ()
    wish = str(requested.max_tasks)
    return (EffectiveSetting("agent.max_tasks", wish, "", EffectiveSettingCause.NOT_USED, _NO_TASKS),)


def _format(limit: float | None) -> str:
    """Writes a count as an integer, and a time in seconds."""
    return f"{limit:g}s" if isinstance(limit, float) else str(limit)


def _smaller(own: N, requested: N | None) -> N:
    return own if requested is None else min(own, requested)


def _smaller_known(own: int | None, requested: int | None) -> int | None:
    known = [limit for limit in (own, requested) if limit is not None]
    return min(known) if known else None
