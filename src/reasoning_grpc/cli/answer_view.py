"""`AnswerView`: an answer as a person likes to watch it; sober when it is not shown on a terminal."""

import sys

from rich.console import Console
from rich.text import Text

from reasoning_grpc.cli.console import PipedConsole, harmless
from reasoning_grpc.cli.route_view import route_lines
from reasoning_grpc.v1 import events_pb2, usage_pb2

_NANO = 1_000_000_000


class AnswerView:
    """Prints events as they come: the answer to standard output, all else to standard error.

    So the answer alone goes into a pipe or a file.
    """

    def __init__(self, answer: Console | None = None) -> None:
        """`answer` is where the answer goes, when it is not standard output."""
        self._answer = answer or PipedConsole(highlight=False, markup=False, soft_wrap=True)
        self._aside = PipedConsole(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._open_line: Console | None = None

    def show(self, event: events_pb2.StreamCompleteResponse) -> None:
        """Prints one event."""
        match event.WhichOneof("event"):
            case "started":
                for number, line in enumerate(route_lines(event.started.route)):
                    self._line(f"route: {line}" if number == 0 else line)
            case "content_delta":
                self._piece(self._answer, event.content_delta.text, "")
            case "reasoning_delta":
                self._piece(self._aside, event.reasoning_delta.text, "italic dim")
            case "tool_call_delta":
                call = event.tool_call_delta
                self._piece(self._answer, f"\n{call.name} " if call.name else "", "bold")
                self._piece(self._answer, call.arguments, "")
            case "attempt_switched":
                switched = event.attempt_switched
                self._line(f"attempt {switched.attempt} with {switched.to_model} after a failure", "yellow")
            case "completed":
                self._line(_summary_line(event.completed))
            case _:
                pass

    def finish(self) -> None:
        """Ends a line that is still open."""
        if self._open_line is not None:
            self._open_line.print()
            self._open_line = None

    def _piece(self, console: Console, text: str, style: str) -> None:
        if not text:
            return
        if self._open_line is not console:
            self.finish()
            self._open_line = console
        console.print(Text(harmless(text) if console.is_terminal else text, style), end="")
        console.file.flush()

    def _line(self, text: str, style: str = "dim") -> None:
        self.finish()
        self._aside.print(Text(text, style))
        sys.stderr.flush()


def _summary_line(completed: events_pb2.Completed) -> str:
    usage, timings = completed.usage, completed.timings
    estimated = "about " if usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED else ""
    facts = [
        usage_pb2.FinishReason.Name(completed.finish_reason).removeprefix("FINISH_REASON_").lower(),
        f"{estimated}{usage.input_tokens} + {usage.output_tokens} tokens",
    ]
    if completed.HasField("cost"):
        facts.append(f"${completed.cost.total_nano_usd / _NANO:.6f}")
    if timings.HasField("first_token"):
        facts.append(f"first token {timings.first_token.ToMilliseconds()} ms")
    facts.append(f"total {timings.total.ToMilliseconds()} ms")
    facts.append(f"overhead {timings.overhead.ToMicroseconds() / 1000:.1f} ms")
    if len(completed.attempts) > 1:
        facts.append(f"{len(completed.attempts)} attempts")
    return "done: " + ", ".join(facts)
