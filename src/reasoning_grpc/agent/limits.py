"""`AgentLimits`: how far the agent may go, by the server's word and the request's, the smaller of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from reasoning_grpc.domain import AgentOptions, EffectiveSetting

N = TypeVar("N", int, float)
_REASON: Final = "The server allows no more."


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLimits:
    """The limits of one run, or the server's own."""

    max_steps: int = 8
    max_tool_calls: int = 16
    max_tokens: int | None = None
    """In all model calls before the synthesis; None: any."""
    max_cost_nano_usd: int | None = None
    """The same in money; None: any."""
    timeout_seconds: float = 120.0
    """Of thinking, whatever the caller's deadline."""
    step_timeout_seconds: float = 60.0
    tool_timeout_seconds: float = 30.0

    def within(self, asked: AgentOptions) -> "AgentLimits":
        """The limits of a request that asks for these."""
        return AgentLimits(
            max_steps=_least(self.max_steps, asked.max_steps),
            max_tool_calls=_least(self.max_tool_calls, asked.max_tool_calls),
            max_tokens=_least_known(self.max_tokens, asked.max_tokens),
            max_cost_nano_usd=_least_known(self.max_cost_nano_usd, asked.max_cost_nano_usd),
            timeout_seconds=self.timeout_seconds,
            step_timeout_seconds=_least(self.step_timeout_seconds, asked.step_timeout_seconds),
            tool_timeout_seconds=_least(self.tool_timeout_seconds, asked.tool_timeout_seconds),
        )

    def changed(self, asked: AgentOptions) -> Iterator[EffectiveSetting]:
        """What of the request's options these limits, which are `within` them, did not grant."""
        for field, wish, granted in (
            ("max_steps", asked.max_steps, self.max_steps),
            ("max_tool_calls", asked.max_tool_calls, self.max_tool_calls),
            ("max_tokens", asked.max_tokens, self.max_tokens),
            ("max_cost_nano_usd", asked.max_cost_nano_usd, self.max_cost_nano_usd),
            ("step_timeout", asked.step_timeout_seconds, self.step_timeout_seconds),
            ("tool_timeout", asked.tool_timeout_seconds, self.tool_timeout_seconds),
        ):
            if wish is not None and wish != granted:
                yield EffectiveSetting(f"agent.{field}", _shown(wish), _shown(granted), _REASON)


def _shown(limit: float | None) -> str:
    """A count in full, or seconds."""
    return f"{limit:g}s" if isinstance(limit, float) else str(limit)


def _least(own: N, asked: N | None) -> N:
    return own if asked is None else min(own, asked)


def _least_known(own: int | None, asked: int | None) -> int | None:
    known = [limit for limit in (own, asked) if limit is not None]
    return min(known) if known else None
