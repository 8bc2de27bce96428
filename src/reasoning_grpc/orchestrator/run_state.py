"""The state of a run of orchestration that waits for its caller."""

from typing import Final

import msgspec
from msgspec import Struct

from reasoning_grpc.agent import Spent
from reasoning_grpc.domain import PlannedTask, ReasoningEnd, RouteChangeCause, Task, TaskOutcome, WaitingCall


class SuspendedTask(Struct, frozen=True, array_like=True):
    """A task that waits for the caller."""

    number: int
    """Number of the attempt in the whole answer. The task goes on under it."""
    calls: tuple[WaitingCall, ...]
    run: bytes
    """The state of the task's agent."""


class EndedTask(Struct, frozen=True, array_like=True):
    """How a task ended, as far as other tasks and the answer need it."""

    number: int
    attempt: int
    outcome: TaskOutcome
    result: str
    stop_reason: ReasoningEnd | None


class TaskState(Struct, frozen=True, array_like=True):
    """A task of a plan, and how far it is. It has neither ended nor begun where both are None."""

    planned: PlannedTask
    attempts: int
    ended: EndedTask | None = None
    suspended: SuspendedTask | None = None

    def build_end(self) -> Task | None:
        """Returns how the task ended; None when it has not."""
        if (end := self.ended) is None:
            return None
        return Task(
            number=end.number,
            id=self.planned.id,
            attempt=end.attempt,
            model=self.planned.model,
            outcome=end.outcome,
            result=end.result,
            stop_reason=end.stop_reason,
        )


class TasksState(Struct, frozen=True, array_like=True, tag="tasks"):
    """The state of a run whose tasks wait for the caller."""

    revision: int
    """The number of plans so far."""
    plan: tuple[str, ...]
    """The ids of the tasks of the last plan."""
    planned_tasks: int
    """The number of tasks of all plans."""
    has_tiers: bool
    """Whether tasks choose among several models."""
    tasks: tuple[TaskState, ...]
    last_number: int
    """The last number that an attempt at a task has got."""
    steps: int
    """Steps of all tasks so far."""
    tool_calls: int
    call_ids: tuple[str, ...]
    spent: Spent
    elapsed_seconds: float
    """How long the run has taken until it paused."""


class FallbackState(Struct, frozen=True, array_like=True, tag="agent"):
    """The state of a run without a plan, whose reasoning agent waits for the caller."""

    cause: RouteChangeCause
    problem: str
    run: bytes
    """The state of the agent."""


OrchestrationState = TasksState | FallbackState

_DECODER: Final[msgspec.msgpack.Decoder[OrchestrationState]] = msgspec.msgpack.Decoder(OrchestrationState)


def encode_state(state: OrchestrationState) -> bytes:
    """Returns the state as bytes."""
    return msgspec.msgpack.encode(state)


def decode_state(encoded: bytes) -> OrchestrationState | None:
    """Returns the state of these bytes; None when a version of the server wrote it that had another form of it."""
    try:
        return _DECODER.decode(encoded)
    except msgspec.DecodeError:
        return None
