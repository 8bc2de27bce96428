"""`limit_time`: ends a source of events at a time, whatever it waits for then."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from reasoning_grpc.domain.errors import UpstreamTimeout
from reasoning_grpc.domain.events import ModelCallFailed
from reasoning_grpc.llm.call_in_progress import CallInProgress
from reasoning_grpc.llm.wait_timer import WaitTimer

T = TypeVar("T")


class TimeIsUp:
    """The source was ended, because its time was up."""


async def limit_time(
    source: AsyncGenerator[T, None], model: str, ends: float
) -> AsyncGenerator[T | ModelCallFailed | TimeIsUp, None]:
    """Yields the events of the source until `ends`, a time of the event loop's clock.

    When the source takes longer, the failure of its model call in progress follows, if it has one, and last `TimeIsUp`.
    `model` is the model that the source calls. Closing this generator closes the source.
    """
    attempt, timer = CallInProgress(), WaitTimer(asyncio.get_running_loop())
    try:
        async with aclosing(source) as events:
            while True:
                timer.start(ends)
                try:
                    event = await anext(events, None)
                except asyncio.CancelledError:
                    if not timer.has_expired():
                        raise
                    failed = attempt.build_failure(UpstreamTimeout(model=model))
                    break
                finally:
                    timer.stop()
                if event is None:
                    return
                attempt.record(event)
                yield event
    finally:
        timer.close()
    if failed is not None:
        yield failed
    yield TimeIsUp()
