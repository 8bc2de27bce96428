"""Operators on async generators of events: heartbeats, a time limit, and the merge of several into one."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def with_heartbeats(
    events: AsyncGenerator[T, None], interval_seconds: float, heartbeat: Callable[[], T]
) -> AsyncGenerator[T, None]:
    """The same events, and a heartbeat whenever none came for the interval, from the first event on.

    Owns `events`: closing this generator closes it.
    """
    pending: asyncio.Task[T | None] | None = None
    begun = False
    try:
        while True:
            pending = pending or asyncio.create_task(_next(events))
            done, _ = await asyncio.wait({pending}, timeout=interval_seconds if begun else None)
            if not done:
                yield heartbeat()
                continue
            event, pending = pending.result(), None
            if event is None:
                return
            begun = True
            yield event
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
        await events.aclose()


async def _next(events: AsyncGenerator[T, None]) -> T | None:
    return await anext(events, None)


async def until(events: AsyncGenerator[T, None], ends: float) -> AsyncGenerator[T, None]:
    """The same events, up to this time of the event loop's clock; then it raises TimeoutError.

    Owns `events`: closing this generator closes it.
    """
    async with aclosing(events):
        while True:
            async with asyncio.timeout_at(ends):
                event = await anext(events, None)
            if event is None:
                return
            yield event


async def merge(sources: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
    """The events of all sources, each as it comes; a source goes on when its last event was taken.

    Owns the sources: closing this generator closes them, and so does an error of one, which is raised.
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
