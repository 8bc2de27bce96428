"""The budget of all tasks together, and the share of it that each task gets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from reasoning_grpc.agent import Account, AgentLimits, AgentRun
from reasoning_grpc.domain import ReasoningEnd

_THINKING_PART: Final = 0.75
"""The part of a task's tokens and cost that its thinking may use; its result needs the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestrationLimits:
    """The limits of all tasks of a request together, or those of the server."""

    max_tasks: int = 8
    max_parallel_tasks: int = 4
    agent: AgentLimits
    """Steps, tool calls, tokens, cost and time of all tasks together."""


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task in progress."""

    run: AgentRun
    account: Account

    def count_tokens(self) -> int:
        """Returns the tokens that it has used."""
        usage = self.account.usage()
        return 0 if usage is None else usage.total_tokens

    def count_cost(self) -> int:
        """Returns the cost of these tokens in nano-dollars; 0 when it is not known."""
        cost = self.account.cost()
        return 0 if cost is None else cost.total_nano_usd


def divide(left: int, used: Sequence[int], waiting: int) -> tuple[list[int], int]:
    """Divides an amount among tasks in progress, which have used some of it, and tasks that wait.

    Returns how much each task in progress may use in all, and how much a waiting task gets. All get the same, except
    that one which has used more keeps what it has used, and the others share the rest. What cannot be divided goes to
    the first. `left` includes what the tasks in progress have used.
    """
    granted, equal = [0] * len(used), sorted(range(len(used)), key=lambda index: -used[index])
    while equal and used[equal[0]] * (len(equal) + waiting) > left:
        index = equal.pop(0)
        granted[index] = used[index]
        left -= used[index]
    if not equal and not waiting:
        return granted, 0
    share, remainder = divmod(max(0, left), len(equal) + waiting)
    for place, index in enumerate(sorted(equal)):
        granted[index] = share + (place < remainder)
    return granted, share + (len(equal) < remainder)


class SharedBudget:
    """The limits of a request, shared among its tasks, and shared anew whenever a task begins or ends."""

    def __init__(self, limits: AgentLimits, account: Account) -> None:
        self.limits: Final = limits
        self._account = account
        self._open: list[OpenTask] = []
        self.steps = 0
        """Steps of the tasks that are not in progress: they have ended, or wait for the caller."""
        self.tool_calls = 0
        self._expected = 0
        """Tasks that begin at once, and share the budget already."""

    def expect(self) -> None:
        """Keeps a share for a task that begins at once."""
        self._expected += 1

    def forget(self) -> None:
        """Frees the share of a task that was expected, and cannot begin."""
        self._expected -= 1

    def count_steps(self) -> int:
        """Returns the steps of all tasks so far."""
        return self.steps + sum(task.run.budget.steps for task in self._open)

    def count_tool_calls(self) -> int:
        """Returns the tool calls of all tasks so far."""
        return self.tool_calls + sum(task.run.budget.tool_calls for task in self._open)

    def begin(self, task: OpenTask, waiting: int) -> None:
        """Begins an expected task, beside which so many others wait."""
        self._expected -= 1
        self._open.append(task)
        self.steps -= task.run.budget.steps  # a task that goes on after a pause has had some before
        self.tool_calls -= task.run.budget.tool_calls
        self.share_anew(waiting)

    def end(self, task: OpenTask, waiting: int) -> None:
        """Ends a task, or suspends it; what it leaves goes to the others."""
        self._open.remove(task)
        self.steps += task.run.budget.steps
        self.tool_calls += task.run.budget.tool_calls
        self.share_anew(waiting)

    def share_anew(self, waiting: int) -> None:
        """Gives each task in progress its share, beside so many tasks that wait."""
        waiting += self._expected
        budgets = [task.run.budget for task in self._open]
        steps, _ = divide(self.limits.max_steps - self.steps, [each.steps for each in budgets], waiting)
        calls, _ = divide(self.limits.max_tool_calls - self.tool_calls, [each.tool_calls for each in budgets], waiting)
        tokens, _ = self._divide_tokens(waiting)
        costs, _ = self._divide_cost(waiting)
        for index, budget in enumerate(budgets):
            budget.limits = replace(
                budget.limits,
                max_steps=steps[index],
                max_tool_calls=calls[index],
                max_tokens=None if tokens is None else int(tokens[index] * _THINKING_PART),
                max_cost_nano_usd=None if costs is None else int(costs[index] * _THINKING_PART),
            )

    def find_spent(self, waiting: int) -> ReasoningEnd | None:
        """Returns the limit that leaves nothing for one of so many waiting tasks; None when there is something."""
        waiting += self._expected
        if divide(self.limits.max_steps - self.steps, [each.run.budget.steps for each in self._open], waiting)[1] < 1:
            return ReasoningEnd.MAX_STEPS
        tokens, cost = self._divide_tokens(waiting)[1], self._divide_cost(waiting)[1]
        if tokens is not None and tokens < 1:
            return ReasoningEnd.TOKEN_BUDGET
        return ReasoningEnd.COST_BUDGET if cost is not None and cost < 1 else None

    def count_tokens_left(self, task: OpenTask, waiting: int) -> int | None:
        """Returns the tokens that a task in progress may still use; None means any number."""
        tokens, _ = self._divide_tokens(waiting + self._expected)
        return None if tokens is None else max(0, tokens[self._open.index(task)] - task.count_tokens())

    def has_cost_left(self, task: OpenTask, waiting: int) -> bool:
        """Returns whether the cost of a task in progress is below its share."""
        costs, _ = self._divide_cost(waiting + self._expected)
        return costs is None or task.count_cost() < costs[self._open.index(task)]

    def _divide_tokens(self, waiting: int) -> tuple[list[int] | None, int | None]:
        if self.limits.max_tokens is None:
            return None, None
        usage, used = self._account.usage(), [task.count_tokens() for task in self._open]
        left = self.limits.max_tokens - (0 if usage is None else usage.total_tokens) + sum(used)
        return divide(left, used, waiting)

    def _divide_cost(self, waiting: int) -> tuple[list[int] | None, int | None]:
        if self.limits.max_cost_nano_usd is None:
            return None, None
        cost, used = self._account.cost(), [task.count_cost() for task in self._open]
        left = self.limits.max_cost_nano_usd - (0 if cost is None else cost.total_nano_usd) + sum(used)
        return divide(left, used, waiting)
