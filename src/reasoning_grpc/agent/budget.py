"""`Budget`: what a run may still spend: steps, tool calls, tokens, money and time."""

import json
from collections.abc import Sequence
from typing import Final, Protocol

from reasoning_grpc.agent.limits import AgentLimits
from reasoning_grpc.agent.thinking_time import ThinkingTime
from reasoning_grpc.domain import Cost, ReasoningEnd, ToolCall, ToolExecution, ToolStatus, Usage

_SAME_CALLS: Final = 3
"""So many steps with the same tool calls are a loop when the last one to run gave nothing new; the last is not run.

Steps without tools may lie between them: what a model only thinks is nothing new. Calls are the same whatever their
order, and however their arguments are written down. A tool that gives something else each time, such as the state of
a job, may be asked again.
"""
_Call = tuple[str, str]


class Account(Protocol):
    """What a request has used so far."""

    def usage(self) -> Usage | None:
        """All its tokens."""
        ...

    def step_usage(self) -> Usage | None:
        """Those of the step under way, or of the last one."""
        ...

    def cost(self) -> Cost | None:
        """Its money; None: not known."""
        ...


class Budget:
    """The limits of one run, and how far it has come."""

    def __init__(self, limits: AgentLimits, account: Account, time: ThinkingTime) -> None:
        self.limits: Final = limits
        self._account = account
        self._time = time
        self.steps = 0
        """Begun so far."""
        self.tool_calls = 0
        """Made so far."""
        self._last_calls: frozenset[_Call] = frozenset()
        self._last_found: frozenset[tuple[_Call, ToolStatus, str]] = frozenset()
        self._times_in_a_row = 0
        """So often were the last calls made, and gave the same."""

    def reached(self, prompt_tokens: int) -> ReasoningEnd | None:
        """The limit that keeps another step, whose prompt has so many tokens, from beginning."""
        if self.steps >= self.limits.max_steps:
            return ReasoningEnd.MAX_STEPS
        if not self._time.left_seconds():
            return ReasoningEnd.DEADLINE
        return self.spent(prompt_tokens)

    def spent(self, prompt_tokens: int) -> ReasoningEnd | None:
        """The budget that has nothing left for another model call, whose prompt has so many tokens."""
        if self.tokens_left(prompt_tokens) == 0:
            return ReasoningEnd.TOKEN_BUDGET
        cost, most = self._account.cost(), self.limits.max_cost_nano_usd
        if most is not None and cost is not None and cost.total_nano_usd >= most:
            return ReasoningEnd.COST_BUDGET
        return None

    def tokens_left(self, prompt_tokens: int) -> int | None:
        """What a model call with so many in its prompt may answer; None: any number."""
        if self.limits.max_tokens is None:
            return None
        usage = self._account.usage()
        used = 0 if usage is None else usage.total_tokens
        return max(0, self.limits.max_tokens - used - prompt_tokens)

    def tool_seconds(self) -> float:
        """How long a tool call may take that begins now."""
        return min(self.limits.tool_timeout_seconds, self._time.left_seconds())

    def granted(self, planned: tuple[ToolCall, ...]) -> tuple[tuple[ToolCall, ...], ReasoningEnd | None]:
        """Those of a step's tool calls that are made, and what keeps the others from it."""
        calls = frozenset(_same(call) for call in planned)
        if calls != self._last_calls:
            self._last_calls, self._last_found, self._times_in_a_row = calls, frozenset(), 0
        if self._times_in_a_row >= _SAME_CALLS - 1:
            return (), ReasoningEnd.LOOP
        made = planned[: self.limits.max_tool_calls - self.tool_calls]
        self.tool_calls += len(made)
        return made, ReasoningEnd.MAX_TOOL_CALLS if len(made) < len(planned) else None

    def note(self, executions: Sequence[ToolExecution]) -> None:
        """Takes what came of the tool calls that were granted last."""
        found = frozenset((_same(each), each.status, each.result) for each in executions)
        self._times_in_a_row = self._times_in_a_row + 1 if found == self._last_found else 1
        self._last_found = found


def _same(call: ToolCall | ToolExecution) -> _Call:
    """What is equal for calls of a tool with equal arguments, whatever the order of their members and the space."""
    try:
        return call.name, json.dumps(json.loads(call.arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return call.name, call.arguments
