"""The tasks into which a request is split, and how they end."""

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from reasoning_grpc.domain.agent import ReasoningEnd, Step
from reasoning_grpc.domain.prices import Cost
from reasoning_grpc.domain.usage import Usage

if TYPE_CHECKING:
    from reasoning_grpc.domain.events import ReasoningFinished


class TaskOutcome(StrEnum):
    """The outcome of an attempt at a task."""

    DONE = "DONE"
    FAILED = "FAILED"
    """A model call of the task failed."""
    SKIPPED = "SKIPPED"
    """The task never began, because a task that it needs has no result."""
    STOPPED = "STOPPED"
    """A limit or the deadline stopped the task. Its result is what it had found until then, and may be empty."""
    SUSPENDED = "SUSPENDED"
    """The task waits for the caller."""


class RouteChangeCause(StrEnum):
    """The cause for which the reasoning agent answers instead of tasks."""

    PLAN_UNUSABLE = "PLAN_UNUSABLE"
    """The plan could not be read or followed, even after one repair."""
    PLAN_LATE = "PLAN_LATE"
    """The deadline left no time to plan."""
    BUDGET = "BUDGET"
    """A limit of tokens or cost left nothing for the tasks."""


class PlannedTask(Struct, frozen=True):
    """A task as the planner planned it."""

    id: str
    goal: str
    """What the task is to find out or to do, in the model's words."""
    depends_on: tuple[str, ...] = ()
    """Ids of the tasks whose results it needs."""
    tools: tuple[str, ...] = ()
    """Names of the server's tools that it may use."""
    model: str = ""
    """Name of the model that works on it."""


class Task(Struct, frozen=True, kw_only=True):
    """One attempt at a task, and how it ended."""

    number: int
    """Number of the attempt in the whole answer, which its events have too."""
    id: str
    attempt: int
    """Number of the attempt at the task: 1 or 2. 0 when the task never began."""
    model: str
    outcome: TaskOutcome
    result: str = ""
    result_truncated: bool = False
    failure: str = ""
    """The reason of the error that failed the task. Empty for other outcomes."""
    stop_reason: ReasoningEnd | None = None
    """What stopped the task. None for other outcomes."""
    usage: Usage | None = None
    cost: Cost | None = None
    duration_seconds: float = 0.0
    steps: tuple[Step, ...] = ()
    """The steps of the task, as they stand in a whole answer."""
    reasoning_finished: "ReasoningFinished | None" = None
