"""`RunTime`: how long the plan and each task may take, so that the answer still comes in time."""

from reasoning_grpc.agent import AgentLimits, Speeds, ThinkingTime, reserve_answer_seconds
from reasoning_grpc.domain import CallContext, Sampling
from reasoning_grpc.domain.events import Event

_PLAN_SHARE = 0.4
"""The part of the time before the answer that a plan may take."""


class RunTime:
    """The time of one run of orchestration."""

    def __init__(
        self,
        speeds: Speeds,
        model: str,
        context: CallContext,
        limits: AgentLimits,
        sampling: Sampling,
        seconds_before: float = 0.0,
    ) -> None:
        """`model` writes the plan and the answer. `sampling` is that of the answer.

        `seconds_before` is how long the run took until it paused.
        """
        self._speeds = speeds
        self._model = model
        self._deadline = context.deadline
        self._limits = limits
        self._max_answer_tokens = sampling.max_output_tokens
        self._thinking = ThinkingTime(
            speeds,
            model,
            context,
            limit_seconds=max(0.0, limits.timeout_seconds - seconds_before),
            max_answer_tokens=sampling.max_output_tokens,
        )
        self._began = self._thinking.now()
        self._seconds_before = seconds_before

    def record(self, event: Event) -> None:
        """Records an event of the plan or of the answer at the time when it happens."""
        self._thinking.record(event)

    def elapsed_seconds(self) -> float:
        """Returns the time that the run has taken, without its pauses."""
        return self._seconds_before + self._thinking.elapsed_seconds()

    def end_time(self) -> float:
        """Returns when all tasks must have ended, in seconds of the event loop's clock."""
        end = self._thinking.end_time()
        if self._deadline is None:
            return end
        total = self._deadline - self._began
        reserve = reserve_answer_seconds(self._speeds.get(self._model), total, self._max_answer_tokens)
        return min(end, self._deadline - reserve)  # the tasks have measured the model too

    def remaining_seconds(self) -> float:
        """Returns the time that is left for tasks, not below zero."""
        return max(0.0, self.end_time() - self._thinking.now())

    def plan_end(self) -> float:
        """Returns when a plan that is asked for now must be there."""
        return self._thinking.now() + min(self._limits.step_timeout_seconds, self.remaining_seconds() * _PLAN_SHARE)

    def task_end(self, rounds: int) -> float:
        """Returns when a task must end that begins now, and is the first of so many that run one after the other."""
        return self._thinking.now() + self.remaining_seconds() / rounds
