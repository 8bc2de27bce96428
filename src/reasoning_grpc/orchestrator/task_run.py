"""`TaskRun`: one attempt at a task: an agent's steps, then its result."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from dataclasses import replace as replace_limits
from typing import Final, Protocol

from msgspec.structs import replace

from reasoning_grpc.agent import Account, Agent, AgentSpans, Resumption, TaskShare
from reasoning_grpc.domain import (
    CallContext,
    CompletionRequest,
    FinishReason,
    PlannedTask,
    ReasoningEnd,
    StepOutcome,
    Suspension,
    Task,
    TaskOutcome,
    ToolCall,
    ToolExecution,
    ToolStatus,
    read_clock,
)
from reasoning_grpc.domain.errors import ReasoningError, Retry, UpstreamError, UpstreamStalled, UpstreamTimeout
from reasoning_grpc.domain.events import (
    ContentDelta,
    Event,
    EventOfTask,
    InternalDelta,
    ModelCallFinished,
    ReasoningFinished,
    StepFinished,
    StepStarted,
    TaskFinished,
    TaskStarted,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
)
from reasoning_grpc.llm import CallInProgress, ModelCall, TimeIsUp, estimate_prompt_tokens, limit_time
from reasoning_grpc.orchestrator.results import MOST_RESULT_CHARACTERS
from reasoning_grpc.orchestrator.share import OpenTask, SharedBudget
from reasoning_grpc.tools import cut

_CANCELLED: Final = "The task ended before the tool returned."


class TaskLedger(Protocol):
    """What one attempt at a task uses."""

    number: int
    """Number of the attempt in the whole answer."""

    @property
    def account(self) -> Account:
        """The tokens and the cost of the attempt."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOrder:
    """What is to be done, and with what."""

    planned: PlannedTask
    attempt: int
    request: CompletionRequest
    direct: ModelCall
    """The call that would answer the task without an agent."""
    context: CallContext
    """The context of the request, with the time when the task must end as its deadline."""
    ends: float
    """When the task must end, in seconds of the event loop's clock."""
    call_ids: set[str]
    resumption: Resumption | None = None
    """What the task needs to go on where it waited for the caller."""


class TaskRun:
    """One attempt at a task. Its events can be read once."""

    def __init__(
        self,
        agent: Agent,
        spans: AgentSpans,
        order: TaskOrder,
        ledger: TaskLedger,
        budget: SharedBudget,
        count_waiting: Callable[[], int],
    ) -> None:
        """`count_waiting` returns how many tasks wait for their turn, with which the budget is shared."""
        self._agent = agent
        self._spans = spans
        self._order = order
        self._ledger = ledger
        self._budget = budget
        self._count_waiting = count_waiting
        self._account = ledger.account
        """The tokens and the cost of the attempt, with those before a pause."""
        self._progress = _Progress()
        self.may_pass = False
        """Whether it failed, and another attempt may succeed."""
        self.suspension: Suspension | None = None
        """Set when the events have ended because the task waits for the caller."""
        budget.expect()

    async def events(self) -> AsyncGenerator[EventOfTask, None]:
        """Yields the events of the attempt, from `TaskStarted` to `TaskFinished`."""
        order, number = self._order, self._ledger.number
        began, planned = read_clock(), order.planned
        yield EventOfTask(number, TaskStarted(planned.id, order.attempt, planned.model))
        with self._spans.task(number, planned.id, order.attempt, order.context) as span:
            failure = ""
            try:
                async with aclosing(self._work(span.context)) as events:
                    async for event in events:
                        yield EventOfTask(number, event)
            except ReasoningError as error:
                failure = error.reason
                self.may_pass = _may_pass(error)
                for event in self._progress.list_ends(error, self._account):
                    yield EventOfTask(number, event)
            task = self._build_task(failure, read_clock() - began)
            span.record_task(task)
        yield EventOfTask(number, TaskFinished(task))

    async def _work(self, context: CallContext) -> AsyncGenerator[Event, None]:
        """Yields the events of the agent until the task must end. Raises ReasoningError."""
        order, progress = self._order, self._progress
        limits = replace_limits(self._budget.limits, timeout_seconds=max(0.0, order.ends - read_clock()))
        share = TaskShare(name=str(self._ledger.number), limits=limits, call_ids=order.call_ids)
        try:
            run = self._agent.create_task_run(
                order.request, order.direct, context, self._ledger.account, share, order.resumption
            )
        except ReasoningError:
            self._budget.forget()
            raise
        self._account = run.account
        task = OpenTask(run, run.account)
        self._budget.begin(task, self._count_waiting())
        try:
            async with aclosing(limit_time(self._think_and_answer(task), order.direct.model, order.ends)) as events:
                async for event in events:
                    if isinstance(event, TimeIsUp):
                        progress.stop = ReasoningEnd.DEADLINE
                        for end in progress.list_ends(None, self._account):
                            yield end
                        return
                    yield progress.record(event)
            self.suspension = run.suspension
        finally:
            self._budget.end(task, self._count_waiting())

    async def _think_and_answer(self, task: OpenTask) -> AsyncGenerator[Event, None]:
        async with aclosing(task.run.think()) as thinking:
            async for event in thinking:
                yield event
        if task.run.suspension is not None:
            return
        async with aclosing(task.run.answer(lambda call: self._limit_answer(task, call))) as answer:
            async for event in answer:
                yield event

    def _limit_answer(self, task: OpenTask, call: ModelCall) -> ModelCall | None:
        """Limits the call for the result to what the task has left; None where that is nothing."""
        waiting = self._count_waiting()
        if not self._budget.has_cost_left(task, waiting):
            self._progress.stop = ReasoningEnd.COST_BUDGET
            return None
        left = self._budget.count_tokens_left(task, waiting)
        if left is None:
            return call
        left -= estimate_prompt_tokens(call)
        if left < 1:
            self._progress.stop = ReasoningEnd.TOKEN_BUDGET
            return None
        requested = call.sampling.max_output_tokens
        if requested is not None and requested <= left:
            return call
        self._progress.limit = left
        return replace(call, sampling=replace(call.sampling, max_output_tokens=left))

    def _build_task(self, failure: str, seconds: float) -> Task:
        progress, account = self._progress, self._account
        result, is_cut = cut("".join(progress.texts), MOST_RESULT_CHARACTERS)
        stop = None if failure or self.suspension else progress.find_stop()
        outcome = TaskOutcome.DONE if stop is None else TaskOutcome.STOPPED
        if self.suspension is not None:
            outcome = TaskOutcome.SUSPENDED
        return Task(
            number=self._ledger.number,
            id=self._order.planned.id,
            attempt=self._order.attempt,
            model=self._order.planned.model,
            outcome=TaskOutcome.FAILED if failure else outcome,
            result=result,
            result_truncated=is_cut,
            failure=failure,
            stop_reason=stop,
            usage=account.usage(),
            cost=None if account.usage() is None else account.cost(),
            duration_seconds=seconds,
        )


class _Progress:
    """How far an attempt at a task has come."""

    def __init__(self) -> None:
        self._call = CallInProgress()
        self._step_is_open = False
        self._tools: dict[str, ToolCall] = {}
        """The tool calls in progress, by their ids."""
        self._end: ReasoningEnd | None = None
        """Why thinking ended; None while it has not."""
        self.stop: ReasoningEnd | None = None
        """What stopped the task after its thinking, or in it."""
        self.limit: int | None = None
        """The most tokens of the result, where the budget limits them."""
        self.texts: list[str] = []

    def record(self, event: Event) -> Event:
        """Records an event of the agent, and returns it as others may see it: the result is no answer to the caller."""
        self._call.record(event)
        match event:
            case ContentDelta(text=text):
                self.texts.append(text)
                return InternalDelta(text)
            case ToolCallDelta(arguments=text):
                return InternalDelta(text)
            case StepStarted():
                self._step_is_open = True
            case StepFinished():
                self._step_is_open = False
            case ToolStarted(call=call):
                self._tools[call.id] = call
            case ToolFinished(execution=execution):
                self._tools.pop(execution.call_id, None)
            case ReasoningFinished(reason=reason):
                self._end = reason
            case ModelCallFinished(finish_reason=FinishReason.LENGTH) if self.limit is not None:
                self.stop = ReasoningEnd.TOKEN_BUDGET
            case _:
                pass
        return event

    def list_ends(self, error: ReasoningError | None, account: Account) -> Iterator[Event]:
        """Yields the events that end what is in progress, because this error or the time ended the task.

        Each is recorded before the next one is built, so the tokens of a step have those of its failed call.
        """
        if error is not None and (failed := self._call.build_failure(error)) is not None:
            yield failed
        for call in self._tools.values():
            yield ToolFinished(
                ToolExecution(
                    call_id=call.id,
                    name=call.name,
                    arguments=call.arguments,
                    status=ToolStatus.CANCELLED,
                    error=_CANCELLED,
                )
            )
        if self._step_is_open:
            outcome = StepOutcome.STOPPED if error is None else StepOutcome.FAILED
            yield StepFinished(outcome, account.step_usage())

    def find_stop(self) -> ReasoningEnd | None:
        """Returns what stopped the task; None when its agent came to its end."""
        return self.stop or (None if self._end is ReasoningEnd.FINISHED else self._end)


def _may_pass(error: ReasoningError) -> bool:
    """Returns whether another attempt at the task may succeed where this error ended one."""
    if not isinstance(error, UpstreamError):
        return False
    return error.retry is not Retry.NEVER or isinstance(error, UpstreamTimeout | UpstreamStalled)
