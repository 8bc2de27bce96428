"""`CompletionBuilder`: folds the events of a stream into the whole answer."""

from msgspec import Struct, field
from msgspec.structs import replace

from reasoning_grpc.domain import (
    EffectiveSetting,
    Message,
    Part,
    PausedRun,
    Reasoning,
    Refusal,
    Role,
    Step,
    Task,
    Text,
    ToolCall,
    ToolExecution,
)
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    Completed,
    ContentDelta,
    Event,
    PlanCreated,
    ReasoningDelta,
    ReasoningFinished,
    RouteChanged,
    RunPaused,
    Started,
    StepFinished,
    StepPlanned,
    StepStarted,
    StreamEvent,
    TaskFinished,
    ToolCallDelta,
    ToolFinished,
)


class Completion(Struct, frozen=True):
    """A whole answer, folded from its events."""

    started: Started
    completed: Completed
    message: Message
    steps: tuple[Step, ...] = ()
    reasoning_finished: ReasoningFinished | None = None
    """None when the agent did not serve the request."""
    paused_run: PausedRun | None = None
    """The last part of the message when the run waits for its caller; None when it does not."""
    effective_settings: tuple[EffectiveSetting, ...] = ()
    """The settings of `started`, followed by the settings of each switch to another model."""
    plans: tuple[PlanCreated, ...] = ()
    tasks: tuple[Task, ...] = ()
    """Every attempt at a task, in the order in which they ended."""


class CompletionBuilder:
    """Builds the whole answer from the events of its stream."""

    __slots__ = ("_answer", "_completed", "_finished", "_settings", "_started", "_steps", "_tasks")

    def __init__(self) -> None:
        self._answer = MessageBuilder()
        self._steps: StepBuilder | None = None
        """None until the first step begins."""
        self._started: Started | None = None
        self._completed: Completed | None = None
        self._finished: ReasoningFinished | None = None
        self._settings: list[EffectiveSetting] = []
        """The settings of the switches to another model."""
        self._tasks: TaskBuilder | None = None
        """None until there is a plan."""

    def record(self, placed: StreamEvent) -> None:
        """Records the next event of the stream."""
        event = placed.event
        if isinstance(event, AttemptSwitched):
            self._settings += event.effective_settings
        elif placed.task or isinstance(event, PlanCreated):
            if self._tasks is None:
                self._tasks = TaskBuilder()
            self._tasks.record(placed.task, event)
        elif isinstance(event, Started):
            self._started = event
        elif isinstance(event, Completed):
            self._completed = event
        elif isinstance(event, ReasoningFinished):
            self._finished = event
        elif isinstance(event, RouteChanged) and self._started is not None:
            self._started = replace(self._started, route_decision=event.route_decision)
        elif placed.step:
            if self._steps is None:
                self._steps = StepBuilder()
            self._steps.record(event)
        else:
            self._answer.record(event)

    def build(self) -> Completion:
        """Returns the whole answer. Raises ValueError when the events lacked `Started` or `Completed`."""
        if self._started is None or self._completed is None:
            raise ValueError("a stream without `started` or `completed` cannot be folded")
        return Completion(
            self._started,
            self._completed,
            self._answer.build_message(),
            () if self._steps is None else tuple(self._steps.steps),
            self._finished,
            self._answer.paused_run,
            (*self._started.effective_settings, *self._settings),
            () if self._tasks is None else tuple(self._tasks.plans),
            () if self._tasks is None else tuple(self._tasks.tasks),
        )


class TaskBuilder(Struct):
    """Builds tasks from their events, which interleave."""

    plans: list[PlanCreated] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    """The attempts at tasks that have ended."""
    _steps: dict[int, "StepBuilder"] = field(default_factory=dict)
    """The steps of each attempt that has not ended, by its number."""
    _ends: dict[int, ReasoningFinished] = field(default_factory=dict)

    def record(self, number: int, event: Event) -> None:
        """Records a plan, or one event of the attempt with this number."""
        match event:
            case PlanCreated():
                self.plans.append(event)
            case ReasoningFinished():
                self._ends[number] = event
            case TaskFinished(task=task):
                steps = self._steps.pop(number, None)
                end = self._ends.pop(number, None)
                self.tasks.append(replace(task, steps=tuple(steps.steps) if steps else (), reasoning_finished=end))
            case _:
                if number not in self._steps:
                    self._steps[number] = StepBuilder()
                self._steps[number].record(event)


class StepBuilder(Struct):
    """Builds steps from their events."""

    steps: list[Step] = field(default_factory=list)
    """The steps that have ended."""
    _number: int = 0
    _plan: StepPlanned | None = None
    _executions: dict[str, ToolExecution] = field(default_factory=dict)

    def record(self, event: Event) -> None:
        """Records one event of a step."""
        match event:
            case StepStarted(number=number):
                self._number, self._plan, self._executions = number, None, {}
            case StepPlanned():
                self._plan = event
            case ToolFinished(execution=execution):
                self._executions[execution.call_id] = execution
            case StepFinished():
                self.steps.append(self._build_step(event))
            case _:
                pass

    def _build_step(self, end: StepFinished) -> Step:
        plan = self._plan
        if plan is None:
            return Step(number=self._number, outcome=end.outcome, usage=end.usage)
        planned = (self._executions.get(call.id) for call in plan.tool_calls)
        return Step(
            number=self._number,
            thought=plan.thought,
            next_action=plan.next_action,
            tool_executions=tuple(execution for execution in planned if execution is not None),
            outcome=end.outcome,
            usage=end.usage,
        )


class MessageBuilder(Struct):
    """Builds a message from the deltas of an answer. Its parts are in the order in which they began."""

    _parts: list["_OpenPart"] = field(default_factory=list)
    _calls: dict[str, "_OpenPart"] = field(default_factory=dict)
    paused_run: PausedRun | None = None
    """The run that waits for its caller, which `build_message` leaves out; None when none waits."""

    def record(self, event: Event) -> None:
        """Records one event. An event that is not of the answer changes nothing."""
        if isinstance(event, ContentDelta):
            if event.text:
                self._continue_or_begin("refusal" if event.refusal else "text").append(event.text, event.signature)
            elif event.signature:
                self._find_last_text().append("", event.signature)
        elif isinstance(event, ReasoningDelta):
            if event.redacted:
                part = _OpenPart("redacted", redacted=event.redacted, signature=event.signature, is_closed=True)
                self._parts.append(part)
            else:
                self._continue_or_begin("reasoning").append(event.text, event.signature)
        elif isinstance(event, ToolCallDelta):
            self._record_tool_call(event)
        elif isinstance(event, RunPaused):
            self.paused_run = event.paused_run

    def build_message(self) -> Message:
        """Returns the answer so far, as a message of the assistant."""
        return Message(Role.ASSISTANT, tuple([part.build() for part in self._parts]))

    def _record_tool_call(self, event: ToolCallDelta) -> None:
        call = self._calls.get(event.call_id)
        if call is None:
            call = _OpenPart("tool_call", call_id=event.call_id, name=event.name, is_closed=True)
            self._calls[event.call_id] = call
            self._parts.append(call)
        call.name = call.name or event.name
        call.texts.append(event.arguments)
        call.signature = event.signature or call.signature

    def _find_last_text(self) -> "_OpenPart":
        """Returns the last part of text, even if other parts follow it. Begins an empty one if there is none."""
        last = next((part for part in reversed(self._parts) if part.kind == "text"), None)
        return self._continue_or_begin("text") if last is None else last

    def _continue_or_begin(self, kind: str) -> "_OpenPart":
        """Returns the last part if it has this kind and is not closed; otherwise begins a new part."""
        if self._parts:
            last = self._parts[-1]
            if last.kind == kind and not last.is_closed:
                return last
        part = _OpenPart(kind)
        self._parts.append(part)
        return part


class _OpenPart(Struct):
    """A part of the message, as far as it is known."""

    kind: str
    texts: list[str] = field(default_factory=list)
    redacted: bytes = b""
    signature: str = ""
    call_id: str = ""
    name: str = ""
    is_closed: bool = False
    """Whether the next delta of the same kind begins another part."""

    def append(self, text: str, signature: str) -> None:
        self.texts.append(text)
        if signature:
            self.signature, self.is_closed = signature, True

    def build(self) -> Part:
        text = "".join(self.texts)
        match self.kind:
            case "text":
                return Part(Text(text), self.signature)
            case "refusal":
                return Part(Refusal(text), self.signature)
            case "tool_call":
                return Part(ToolCall(self.call_id, self.name, text), self.signature)
            case _:
                return Part(Reasoning(text, self.redacted), self.signature)
