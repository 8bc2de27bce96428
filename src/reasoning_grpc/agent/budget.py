"""`Budget`: the limits of a run: steps, tool calls, tokens, cost and time."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from reasoning_grpc.agent.limits import AgentLimits
from reasoning_grpc.agent.thinking_time import ThinkingTime
from reasoning_grpc.domain import Cost, ReasoningEnd, ToolCall, ToolExecution, ToolStatus, Usage

_LOOP_STEPS: Final = 3
"""This many steps with equal tool calls and unchanged results are a loop; the calls of the last one are not run.

Steps without tools may lie between them. Calls are equal whatever their order and the spelling of their arguments. A
tool that gives another result each time, such as the state of a job, may be called again and again.
"""
_Call = tuple[str, str]


class Account(Protocol):
    """The tokens and the cost of a request so far."""

    def usage(self) -> Usage | None:
        """Returns the tokens of all its model calls; None when none was counted."""
        ...

    def step_usage(self) -> Usage | None:
        """Returns the tokens of the step in progress, or else of the last step."""
        ...

    def cost(self) -> Cost | None:
        """Returns the cost of all its model calls; None when a price is not known."""
        ...


class BudgetState(Struct, frozen=True, array_like=True):
    """What a run has used of its limits, as its state has it while it pauses."""

    steps: int
    tool_calls: int
    last_calls: frozenset[_Call]
    last_results: bytes
    repetitions: int


class Budget:
    """The limits of one run, and what it has used of them."""

    def __init__(self, limits: AgentLimits, account: Account, time: ThinkingTime) -> None:
        self.limits = limits
        """They change while a run works on a task, when other tasks leave it more."""
        self._account = account
        self._time = time
        self.steps = 0
        """Steps begun so far."""
        self.tool_calls = 0
        """Tool calls made so far."""
        self._last_calls: frozenset[_Call] = frozenset()
        self._last_results = b""
        """The digest of the results of the last calls. Empty when there are none."""
        self._repetitions = 0
        """The number of times in a row that the last calls were made and gave the same results."""

    def save(self) -> BudgetState:
        """Returns what the run has used, for its state."""
        return BudgetState(self.steps, self.tool_calls, self._last_calls, self._last_results, self._repetitions)

    def restore(self, state: BudgetState) -> None:
        """Takes up what the run had used when it paused."""
        self.steps, self.tool_calls = state.steps, state.tool_calls
        self._last_calls, self._last_results = state.last_calls, state.last_results
        self._repetitions = state.repetitions

    def find_reached_limit(self, prompt_tokens: int) -> ReasoningEnd | None:
        """Returns the limit that forbids another step with a prompt of this many tokens; None when none does."""
        if self.steps >= self.limits.max_steps:
            return ReasoningEnd.MAX_STEPS
        if not self._time.remaining_seconds():
            return ReasoningEnd.DEADLINE
        return self.find_spent_budget(prompt_tokens)

    def find_spent_budget(self, prompt_tokens: int) -> ReasoningEnd | None:
        """Returns the budget that has too little left for a model call with a prompt of this many tokens, or None."""
        if self.tokens_left(prompt_tokens) == 0:
            return ReasoningEnd.TOKEN_BUDGET
        limit = self.limits.max_cost_nano_usd
        if limit is None:
            return None
        cost = self._account.cost()
        return ReasoningEnd.COST_BUDGET if cost is not None and cost.total_nano_usd >= limit else None

    def tokens_left(self, prompt_tokens: int) -> int | None:
        """Returns how many tokens a model call with this prompt may answer; None means any number."""
        if self.limits.max_tokens is None:
            return None
        usage = self._account.usage()
        used = 0 if usage is None else usage.total_tokens
        return max(0, self.limits.max_tokens - used - prompt_tokens)

    def tool_seconds(self) -> float:
        """Returns how long a tool call that begins now may take."""
        return min(self.limits.tool_timeout_seconds, self._time.remaining_seconds())

    def grant(self, planned: tuple[ToolCall, ...]) -> tuple[tuple[ToolCall, ...], ReasoningEnd | None]:
        """Returns the tool calls within budget, and the limit that rejected the rest."""
        calls = frozenset(_normalize(call) for call in planned)
        if calls != self._last_calls:
            self._last_calls, self._last_results, self._repetitions = calls, b"", 0
        if self._repetitions >= _LOOP_STEPS - 1:
            return (), ReasoningEnd.LOOP
        granted = planned[: self.limits.max_tool_calls - self.tool_calls]
        self.tool_calls += len(granted)
        return granted, ReasoningEnd.MAX_TOOL_CALLS if len(granted) < len(planned) else None

    def record_results(self, executions: Sequence[ToolExecution]) -> None:
        """Records the results of the tool calls that were granted last."""
        results = _compute_digest({(_normalize(each), each.status, each.result) for each in executions})
        self._repetitions = self._repetitions + 1 if results == self._last_results else 1
        self._last_results = results


def _compute_digest(results: Iterable[tuple[_Call, ToolStatus, str]]) -> bytes:
    """Returns bytes that are equal for equal results, in every process."""
    return hashlib.sha256(repr(sorted(results)).encode("utf-8", "surrogatepass")).digest()


def _normalize(call: ToolCall | ToolExecution) -> _Call:
    """Returns the call in a form that is equal for equal arguments, whatever their order of members and white space."""
    try:
        return call.name, json.dumps(json.loads(call.arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return call.name, call.arguments
