"""The content of events that a request includes: reasoning, thoughts, results and model calls."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import IncludeOptions
from reasoning_grpc.domain.events import (
    Event,
    InternalDelta,
    ModelCallFailed,
    ModelCallFinished,
    ModelCallStarted,
    ReasoningDelta,
    StepPlanned,
    TaskFinished,
    ToolFinished,
)
from reasoning_grpc.engine.ledger import Entry


def select_included(entry: Entry, include: IncludeOptions) -> Entry | None:
    """Returns the event without the content that the request does not include; None where it includes none of it."""
    select = SELECTIONS.get(type(entry.event))
    return entry if select is None else select(entry, include)


def _select_reasoning(entry: Entry, include: IncludeOptions) -> Entry | None:
    return entry if include.reasoning else None


def _select_model_call(entry: Entry, include: IncludeOptions) -> Entry | None:
    return entry if include.model_calls else None


def _select_nothing(_entry: Entry, _include: IncludeOptions) -> None:
    return None


def _select_plan(entry: Entry, include: IncludeOptions) -> Entry:
    return entry if include.thoughts else replace(entry, event=replace(entry.event, thought=""))


def _select_execution(entry: Entry, include: IncludeOptions) -> Entry:
    if include.tool_results or not isinstance(entry.event, ToolFinished):
        return entry
    return replace(entry, event=ToolFinished(replace(entry.event.execution, result="")))


def _select_result(entry: Entry, include: IncludeOptions) -> Entry:
    if include.task_results or not isinstance(entry.event, TaskFinished):
        return entry
    return replace(entry, event=TaskFinished(replace(entry.event.task, result="")))


SELECTIONS: Final[Mapping[type[Event], Callable[[Entry, IncludeOptions], Entry | None]]] = {
    ReasoningDelta: _select_reasoning,
    ModelCallStarted: _select_model_call,
    ModelCallFinished: _select_model_call,
    ModelCallFailed: _select_model_call,
    InternalDelta: _select_nothing,
    StepPlanned: _select_plan,
    ToolFinished: _select_execution,
    TaskFinished: _select_result,
}
"""The events whose content a request may include or not; all others are always included."""
