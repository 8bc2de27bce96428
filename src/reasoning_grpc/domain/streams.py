"""Async generators of events: heartbeats are added to them, or several are merged."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar

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


class MergedSources(Generic[T]):
    """Joins the events of sources as they come.

    Each source runs in a task of its own, and continues when its last event has been consumed. So it holds at most one
    event, and whoever consumes the events has recorded an event before its source goes on.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready: deque[tuple[T, asyncio.Future[None]]] = deque()
        """The events that were not consumed, each with what its source waits for."""
        self._news = asyncio.Event()
        """Set when there is an event, or a source has ended."""

    def add(self, source: AsyncGenerator[T, None]) -> None:
        """Adds a source. It is closed at its end, or when `events` is closed."""
        task = asyncio.create_task(self._read(source))
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._news.set())

    async def events(self) -> AsyncGenerator[T, None]:
        """Yields the events until no source is left. An error of one source closes the others, and is raised."""
        try:
            while True:
                self._news.clear()
                while self._ready:
                    event, consumed = self._ready.popleft()
                    yield event
                    if not consumed.done():
                        consumed.set_result(None)
                for task in [each for each in self._tasks if each.done()]:
                    self._tasks.remove(task)
                    task.result()
                if not self._tasks:
                    return
                await self._news.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, source: AsyncGenerator[T, None]) -> None:
        loop = asyncio.get_running_loop()
        async with aclosing(source) as events:
            async for event in events:
                consumed = loop.create_future()
                self._ready.append((event, consumed))
                self._news.set()
                await consumed
