"""The fold: a stream of events becomes the whole answer that it tells."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from reasoning_grpc.domain import (
    EffectiveSetting,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Step,
    Text,
    ToolCall,
    ToolExecution,
)
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    Completed,
    ContentDelta,
    Event,
    ReasoningDelta,
    ReasoningFinished,
    Started,
    StepFinished,
    StepPlanned,
    StepStarted,
    StreamEvent,
    ToolCallDelta,
    ToolFinished,
)


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer: the fold of its events."""

    started: Started
    completed: Completed
    message: Message
    steps: tuple[Step, ...] = ()
    reasoning_finished: ReasoningFinished | None = None
    """None: the answer did not take the path of the agent."""
    effective_settings: tuple[EffectiveSetting, ...] = ()
    """The settings of `started`, then those of each switch to another model."""


async def fold(events: AsyncIterator[StreamEvent]) -> Completion:
    """The whole answer that these events tell. They must end with `Completed`."""
    answer, steps = AnswerParts(), StepParts()
    started: Started | None = None
    completed: Completed | None = None
    finished: ReasoningFinished | None = None
    settings: list[EffectiveSetting] = []
    async for stamped in events:
        match stamped.event:
            case Started() as event:
                started = event
                settings += event.effective_settings
            case AttemptSwitched() as event:
                settings += event.effective_settings
            case Completed() as event:
                completed = event
            case ReasoningFinished() as event:
                finished = event
            case event if stamped.step:
                steps.add(event)
            case event:
                answer.add(event)
    if started is None or completed is None:
        raise ValueError("a stream without `started` or `completed` cannot be folded")
    return Completion(
        started=started,
        completed=completed,
        message=answer.message(),
        steps=tuple(steps.steps),
        reasoning_finished=finished,
        effective_settings=tuple(settings),
    )


@dataclass(slots=True)
class StepParts:
    """Joins the events of steps to steps."""

    steps: list[Step] = field(default_factory=list)
    """Those that have ended."""
    _number: int = 0
    _plan: StepPlanned | None = None
    _executions: dict[str, ToolExecution] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Takes one event of a step."""
        match event:
            case StepStarted(number=number):
                self._number, self._plan, self._executions = number, None, {}
            case StepPlanned():
                self._plan = event
            case ToolFinished(execution=execution):
                self._executions[execution.call_id] = execution
            case StepFinished():
                self.steps.append(self._step(event))
            case _:
                pass

    def _step(self, end: StepFinished) -> Step:
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


@dataclass(slots=True)
class AnswerParts:
    """Joins the pieces of an answer to the parts of a message, in the order in which they began."""

    _parts: list["_OpenPart"] = field(default_factory=list)
    _calls: dict[str, "_OpenPart"] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Takes one event; those that are no piece of the answer change nothing."""
        match event:
            case ContentDelta(text=text, refusal=refusal, signature=signature) if text:
                self._open("refusal" if refusal else "text").add(text, signature)
            case ContentDelta(signature=signature) if signature:
                self._last_text().add("", signature)
            case ReasoningDelta(redacted=redacted, signature=signature) if redacted:
                self._parts.append(_OpenPart("redacted", redacted=redacted, signature=signature, closed=True))
            case ReasoningDelta(text=text, signature=signature):
                self._open("reasoning").add(text, signature)
            case ToolCallDelta(call_id=call_id, name=name, arguments=arguments, signature=signature):
                call = self._calls.get(call_id)
                if call is None:
                    call = self._calls[call_id] = _OpenPart("tool_call", call_id=call_id, name=name, closed=True)
                    self._parts.append(call)
                call.name = call.name or name
                call.texts.append(arguments)
                call.signature = signature or call.signature
            case _:
                pass

    def message(self) -> Message:
        """The answer so far, as a message of the assistant."""
        return Message(Role.ASSISTANT, tuple(part.part() for part in self._parts))

    def _last_text(self) -> "_OpenPart":
        """The last part of text, wherever it stands; an empty one if there is none."""
        last = next((part for part in reversed(self._parts) if part.kind == "text"), None)
        return self._open("text") if last is None else last

    def _open(self, kind: str) -> "_OpenPart":
        if not self._parts or self._parts[-1].closed or self._parts[-1].kind != kind:
            self._parts.append(_OpenPart(kind))
        return self._parts[-1]


@dataclass(slots=True)
class _OpenPart:
    kind: str
    texts: list[str] = field(default_factory=list)
    redacted: bytes = b""
    signature: str = ""
    call_id: str = ""
    name: str = ""
    closed: bool = False
    """Whether the next piece of the same kind begins another part."""

    def add(self, text: str, signature: str) -> None:
        self.texts.append(text)
        if signature:
            self.signature, self.closed = signature, True

    def part(self) -> Part:
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
