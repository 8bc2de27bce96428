"""`ToolRun`: runs the tools of a step and yields a pair of events for each call."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from reasoning_grpc.agent.spans import AgentSpans
from reasoning_grpc.domain import CallContext, ToolCall, ToolExecution
from reasoning_grpc.domain.events import ToolFinished, ToolStarted
from reasoning_grpc.domain.streams import merge
from reasoning_grpc.tools import Toolbox

ToolEvent = ToolStarted | ToolFinished
_NONE: Final[Mapping[str, ToolExecution]] = {}


class ToolRun:
    """Runs calls of the tools that a request may use."""

    def __init__(
        self, toolbox: Toolbox, allowed: frozenset[str], spans: AgentSpans, timeout_seconds: Callable[[], float]
    ) -> None:
        """`timeout_seconds` is called when a tool call begins."""
        self._toolbox = toolbox
        self._allowed = allowed
        self._spans = spans
        self._timeout_seconds = timeout_seconds

    async def events(
        self,
        calls: Sequence[ToolCall],
        context: CallContext,
        *,
        concurrent: bool,
        denied: Mapping[str, ToolExecution] = _NONE,
    ) -> AsyncGenerator[ToolEvent, None]:
        """Runs the calls, one after the other or concurrently, and yields their events. Closing it stops the tools.

        Calls that are `denied` are not run, and end as it says.
        """
        sources = [self._events_of_call(call, context, denied.get(call.id)) for call in calls]
        if concurrent:
            async with aclosing(merge(sources)) as events:
                async for event in events:
                    yield event
            return
        for source in sources:
            async with aclosing(source) as events:
                async for event in events:
                    yield event

    async def _events_of_call(
        self, call: ToolCall, context: CallContext, denied: ToolExecution | None
    ) -> AsyncGenerator[ToolEvent, None]:
        yield ToolStarted(call)
        yield ToolFinished(await self._run(call, context) if denied is None else denied)

    async def _run(self, call: ToolCall, context: CallContext) -> ToolExecution:
        with self._spans.tool(call, context) as span:
            execution = await self._toolbox.run(
                call, span.context, allowed=self._allowed, timeout_seconds=self._timeout_seconds()
            )
            span.record_execution(execution)
            return execution
