"""`AnswerView`: shows an answer to a person while it arrives; without a terminal it prints plain text."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.text import Text

from reasoning_grpc.cli.activity import Activity
from reasoning_grpc.cli.console import PipedConsole, remove_control_characters
from reasoning_grpc.cli.reasoning_lines import ReasoningLines
from reasoning_grpc.cli.route_view import route_lines
from reasoning_grpc.cli.task_lines import TaskLines
from reasoning_grpc.v1 import completion_pb2, events_pb2, messages_pb2, usage_pb2

_NANO: Final = 1_000_000_000
_STARTS_WORK: Final = frozenset({"step_started", "step_planned", "tool_started", "tool_finished", "reasoning_finished"})
"""The events after which work starts that takes time."""


_OF_TASKS: Final = frozenset({"plan_created", "route_changed"})
"""The events about tasks that belong to none of them."""


class AnswerView:
    """Prints events while they arrive: the answer to standard output, everything else to standard error.

    So only the answer goes into a pipe or a file. It is a context manager, which stops the spinner at its end.
    """

    def __init__(self, answer: Console | None = None, aside: Console | None = None) -> None:
        """`answer` and `aside` are consoles to use instead of standard output and standard error."""
        self._answer = answer or PipedConsole(highlight=False, markup=False, soft_wrap=True)
        self._aside = aside or PipedConsole(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._activity = Activity(self._aside)
        self._reasoning = ReasoningLines()
        self._tasks = TaskLines()
        self._open_line: Console | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._activity.stop()

    def show(self, event: events_pb2.StreamCompleteResponse) -> None:
        """Prints one event."""
        if event.task or event.WhichOneof("kind") in _OF_TASKS:
            self._show_task(event)
            return
        match event.WhichOneof("kind"):
            case "started":
                for line in _start_lines(event.started):
                    self._write_line(line)
            case "content_delta":
                self._write_delta(self._answer, event.content_delta.text, "")
            case "reasoning_delta":
                self._write_delta(self._aside, event.reasoning_delta.text, "italic dim")
            case "tool_call_delta":
                call = event.tool_call_delta
                self._write_delta(self._answer, f"\n{call.name} " if call.name else "", "bold")
                self._write_delta(self._answer, call.arguments, "")
            case "attempt_switched":
                switched = event.attempt_switched
                self._write_line(f"attempt {switched.next_attempt} with {switched.to_model} after a failure", "yellow")
                for line in _setting_lines(switched.effective_settings):
                    self._write_line(line)
            case "run_paused":
                for line in _pause_lines(event.run_paused):
                    self._write_line(line, "yellow")
            case "completed":
                self.finish()
                self._write_line(_summarize(event.completed))
            case _:
                self._show_reasoning(event)

    def finish(self) -> None:
        """Stops the spinner and ends the open line, so that others can print."""
        self._activity.stop()
        self._end_line()

    def _end_line(self) -> None:
        if self._open_line is not None:
            self._open_line.print()
            self._open_line = None

    def _show_reasoning(self, event: events_pb2.StreamCompleteResponse) -> None:
        """Prints what the agent has done, and shows what it does now."""
        kind, line = event.WhichOneof("kind"), self._reasoning.describe(event)
        if line is not None:
            self._write_line(line.text, line.style)
        if kind in _STARTS_WORK:
            self._end_line()
            self._activity.show("answering" if kind == "reasoning_finished" else self._reasoning.describe_work())

    def _show_task(self, event: events_pb2.StreamCompleteResponse) -> None:
        """Prints what a task has done, and shows which tasks work now."""
        for line in self._tasks.describe(event):
            self._write_line(line.text, line.style)
        self._end_line()
        self._activity.show(self._tasks.describe_work())

    def _write_delta(self, console: Console, text: str, style: str) -> None:
        if not text:
            return
        self._activity.stop()
        if self._open_line is not console:
            self._end_line()
            self._open_line = console
        console.print(Text(remove_control_characters(text) if console.is_terminal else text, style), end="")
        console.file.flush()

    def _write_line(self, text: str, style: str = "dim") -> None:
        self._end_line()
        self._aside.print(Text(remove_control_characters(text), style))
        self._aside.file.flush()


def _start_lines(started: events_pb2.Started) -> Iterator[str]:
    """Yields the lines about the route, and about each setting that takes effect otherwise than requested."""
    route, *more = route_lines(started.route_decision)
    yield f"route: {route}"
    yield from more
    yield from _setting_lines(started.effective_settings)


def _setting_lines(settings: Iterable[completion_pb2.EffectiveSetting]) -> Iterator[str]:
    for setting in settings:
        yield f"{setting.field}: {setting.effective} instead of {setting.requested} ({setting.reason})"


def _pause_lines(paused: messages_pb2.PausedRun) -> Iterator[str]:
    """Yields the lines about a run that waits. This command does not go on with it."""
    approvals = len(paused.approval_call_ids)
    what = f", {approvals} of which need approval" if approvals else ""
    until = f"{paused.expire_time.ToDatetime():%Y-%m-%d %H:%M} UTC"
    yield f"the run waits until {until} for results of its tool calls{what}; a client can go on"


def _summarize(completed: events_pb2.Completed) -> str:
    usage, timings = completed.usage, completed.timings
    estimated = "about " if usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED else ""
    facts = [
        completion_pb2.FinishReason.Name(completed.finish_reason).removeprefix("FINISH_REASON_").lower(),
        f"{estimated}{usage.input_tokens} + {usage.output_tokens} tokens",
    ]
    if completed.HasField("cost"):
        facts.append(f"${completed.cost.total_nano_usd / _NANO:.6f}")
    if timings.HasField("first_token_duration"):
        facts.append(f"first token {timings.first_token_duration.ToMilliseconds()} ms")
    facts.append(f"total {timings.total_duration.ToMilliseconds()} ms")
    facts.append(f"overhead {timings.overhead_duration.ToMicroseconds() / 1000:.1f} ms")
    model_calls = len({attempt.call for attempt in completed.attempts})
    if model_calls > 1:
        facts.append(f"{model_calls} model calls")
    if len(completed.attempts) > model_calls:
        facts.append(f"{len(completed.attempts)} attempts")
    return "done: " + ", ".join(facts)
