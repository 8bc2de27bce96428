"""Runs that may pause: what a request changes when it continues one, and the events with which one pauses."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from msgspec.structs import replace

from reasoning_grpc.domain import CallContext, CompletionRequest, EffectiveSetting, RouteDecision, Suspension
from reasoning_grpc.domain.events import Event, EventOfTask, RunPaused, ToolCallDelta
from reasoning_grpc.pauses import OpenedPause, Pauses


class PausableRun(Protocol):
    """A run that may end because it waits for its caller."""

    suspension: Suspension | None
    """Set when the events have ended because the run waits."""

    def list_effective_settings(self) -> Sequence[EffectiveSetting]:
        """Returns a setting for each requested option that the run does not follow."""
        ...

    def events(self) -> AsyncGenerator[Event | EventOfTask, None]:
        """Yields the events of the run, up to its answer unless it waits."""
        ...


def select_first_request(request: CompletionRequest, opened: OpenedPause | None) -> CompletionRequest:
    """Returns the request that a model would answer directly, without the caller's tools, which agents call.

    For a request that continues a run, it is the one with which the run began.
    """
    messages = request.messages if opened is None else request.messages[: opened.first_messages]
    return replace(request, messages=messages, tools=(), tool_choice=None, parallel_tool_calls=None)


async def stream_pausable_run(
    run: PausableRun,
    pauses: Pauses,
    request: CompletionRequest,
    decision: RouteDecision,
    context: CallContext,
    opened: OpenedPause | None,
) -> AsyncGenerator[Event | EventOfTask, None]:
    """Yields the events of the run; when it waits, the calls for which it waits and its sealed state follow."""
    async with aclosing(run.events()) as events:
        async for event in events:
            yield event
    suspension = run.suspension
    if suspension is None:
        return
    for index, waiting in enumerate(suspension.calls):
        call = waiting.call
        yield ToolCallDelta(call.id, index, call.name, call.arguments, waiting.signature)
    paused_run = pauses.seal(suspension, request, decision, context.caller.name, opened)
    context.report.paused_state = paused_run.state_id
    yield RunPaused(paused_run, decision.model)
