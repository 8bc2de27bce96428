"""`Timeline`: draws from the events of an answer when its tasks, model calls and tools ran, as an SVG picture."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Final

from reasoning_grpc.v1 import events_pb2, orchestration_pb2, usage_pb2

_WIDTH: Final = 960
_LABELS: Final = 220
"""The width of the column with the names of the rows."""
_ROW: Final = 30
_TOP: Final = 46
_TICKS: Final = 8
_COLORS: Final = {
    "model call": "#4c78a8",
    "tool": "#f58518",
    "done": "#d5e8d4",
    "failed": "#f8cecc",
    "stopped": "#fff2cc",
    "skipped": "#e6e6e6",
    "suspended": "#dae8fc",
    "other": "#eeeeee",
}
_CALLS: Final = {
    usage_pb2.MODEL_CALL_PURPOSE_ROUTING: "routing",
    usage_pb2.MODEL_CALL_PURPOSE_PLAN: "plan",
    usage_pb2.MODEL_CALL_PURPOSE_REPAIR: "repair",
    usage_pb2.MODEL_CALL_PURPOSE_ANSWER: "answer",
    usage_pb2.MODEL_CALL_PURPOSE_SYNTHESIS: "answer",
}
_MAX_LABEL: Final = 34


@dataclass(slots=True)
class _Bar:
    """A part of a row: what ran, and from when to when, in milliseconds."""

    kind: str
    text: str
    begins: int
    ends: int = -1
    """-1 while it runs."""


@dataclass(slots=True)
class _Row:
    """A row: a task, or what happens outside of tasks."""

    label: str
    bars: list[_Bar] = field(default_factory=list)
    frame: _Bar | None = None
    """The time of the whole task."""
    open: dict[str, _Bar] = field(default_factory=dict)
    """What runs now."""

    def begin(self, key: str, bar: _Bar) -> None:
        self.open[key] = bar
        self.bars.append(bar)

    def end(self, key: str, ends: int) -> None:
        if (bar := self.open.pop(key, None)) is not None:
            bar.ends = ends


class Timeline:
    """Records the events of one answer, which must include its model calls, and draws them."""

    def __init__(self) -> None:
        self._rows: dict[int, _Row] = {0: _Row("plan and answer")}
        self._goals: dict[str, str] = {}
        self._last = 1

    def record(self, event: events_pb2.StreamCompleteResponse) -> None:
        """Records the next event."""
        now = self._last = max(self._last, event.elapsed_ms)
        kind = event.WhichOneof("kind")
        if kind == "task_finished" and event.task not in self._rows:
            self._rows[event.task] = self._build_row(event.task_finished.task.id, 0)
        row = self._rows.get(event.task)
        match kind:
            case "plan_created":
                self._goals |= {task.id: task.goal for task in event.plan_created.tasks}
            case "task_started":
                row = self._build_row(event.task_started.id, event.task_started.attempt)
                row.frame = _Bar("other", "", now)
                self._rows[event.task] = row
            case "task_finished" if row is not None:
                outcome = orchestration_pb2.TaskOutcome.Name(event.task_finished.task.outcome)[13:].lower()
                row.frame = row.frame or _Bar(outcome, "", now)
                row.frame.kind, row.frame.text, row.frame.ends = outcome, outcome, now
            case "model_call_started" if row is not None:
                purpose = event.model_call_started.purpose
                name = f"step {event.step}" if event.step else _CALLS.get(purpose, "call")
                row.begin("call", _Bar("model call", "result" if event.task and name == "answer" else name, now))
            case "model_call_finished" | "model_call_failed" | "attempt_switched" if row is not None:
                row.end("call", now)
            case "tool_started" if row is not None:
                row.begin(event.tool_started.call_id, _Bar("tool", event.tool_started.name, now))
            case "tool_finished" if row is not None:
                row.end(event.tool_finished.execution.call_id, now)

    def draw(self) -> str:
        """Returns the picture, as the text of an SVG file."""
        height = _TOP + _ROW * len(self._rows) + 40
        rows = [self._rows[number] for number in sorted(self._rows)]
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            'font-family="sans-serif" font-size="12">',
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            *self._draw_axis(height - 40),
            *(part for index, row in enumerate(rows) for part in self._draw_row(row, _TOP + index * _ROW)),
            *_draw_legend(height - 22),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _build_row(self, task_id: str, attempt: int) -> _Row:
        again = f" (attempt {attempt})" if attempt > 1 else ""
        label = f"{task_id}{again}: {self._goals.get(task_id, '')}"
        return _Row(label if len(label) <= _MAX_LABEL else f"{label[: _MAX_LABEL - 1]}\u2026")

    def _place(self, milliseconds: int) -> float:
        return _LABELS + (_WIDTH - _LABELS - 20) * milliseconds / self._last

    def _draw_axis(self, bottom: int) -> Iterator[str]:
        for tick in range(_TICKS + 1):
            time = self._last * tick // _TICKS
            x = self._place(time)
            yield f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{bottom}" stroke="#dddddd"/>'
            yield f'<text x="{x:.1f}" y="{_TOP - 16}" text-anchor="middle" fill="#666666">{time / 1000:.2f} s</text>'

    def _draw_row(self, row: _Row, y: int) -> Iterator[str]:
        yield f'<text x="8" y="{y + 19}" fill="#222222">{escape(row.label)}</text>'
        if row.frame is not None:
            yield self._draw_bar(row.frame, y + 2, _ROW - 4, "#999999")
        for bar in row.bars:
            yield self._draw_bar(bar, y + 7, _ROW - 14, "none")

    def _draw_bar(self, bar: _Bar, y: int, height: int, stroke: str) -> str:
        ends = self._last if bar.ends < 0 else bar.ends
        x, width = self._place(bar.begins), max(2.0, self._place(ends) - self._place(bar.begins))
        color = _COLORS.get(bar.kind, _COLORS["other"])
        return (
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" rx="3" fill="{color}" '
            f'stroke="{stroke}"><title>{escape(bar.text)}: {bar.begins} to {ends} ms</title></rect>'
        )


def _draw_legend(y: int) -> Iterator[str]:
    for index, (kind, color) in enumerate(list(_COLORS.items())[:-2]):
        x = _LABELS + index * 115
        yield f'<rect x="{x}" y="{y}" width="14" height="12" fill="{color}" stroke="#999999"/>'
        yield f'<text x="{x + 20}" y="{y + 10}" fill="#222222">{kind}</text>'
