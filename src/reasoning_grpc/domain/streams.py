"""Functions for async generators of events: they add heartbeats, or merge several generators."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def add_heartbeats(
    events: AsyncGenerator[T, None], interval_seconds: float, heartbeat: Callable[[], T]
) -> AsyncGenerator[T, None]:
    """Yields the events, and after the first one a heartbeat whenever no event came for the interval.

    Closing this generator closes `events`.
    """
    pending: asyncio.Task[T | None] | None = None
    has_begun = False
    try:
        while True:
            pending = pending or asyncio.create_task(_next(events))
            done, _ = await asyncio.wait({pending}, timeout=interval_seconds if has_begun else None)
            if not done:
                yield heartbeat()
                continue
            event, pending = pending.result(), None
            if event is None:
                return
            has_begun = True
            yield event
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
        await events.aclose()


async def _next(events: AsyncGenerator[T, None]) -> T | None:
    return await anext(events, None)


async def merge(sources: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
    """Yields the events of all sources as they come. A source continues when its last event has been consumed.

    Closing this generator closes the sources. An error of one source closes them too, and is raised.
    """
    waiting: dict[asyncio.Task[T | None], AsyncGenerator[T, None]] = {}
    try:
        for source in sources:
            waiting[asyncio.create_task(_next(source))] = source
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in [each for each in waiting if each in done]:
                source, event = waiting.pop(task), task.result()
                if event is not None:
                    yield event
                    waiting[asyncio.create_task(_next(source))] = source
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for source in sources:
            await source.aclose()
