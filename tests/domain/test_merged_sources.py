"""Merging the events of sources that come and go."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from reasoning_grpc.domain.streams import MergedSources


class Source:
    """A source of numbers, which records how far it has come."""

    def __init__(self, *numbers: int, error: Exception | None = None) -> None:
        self._numbers = numbers
        self._error = error
        self.continued = 0
        """How often it has continued after an event."""
        self.is_closed = False

    async def events(self) -> AsyncGenerator[int, None]:
        """Yields the numbers."""
        try:
            for number in self._numbers:
                yield number
                self.continued += 1
            if self._error is not None:
                raise self._error
        finally:
            self.is_closed = True


async def test_sources_may_be_added_while_events_are_read() -> None:
    """A source that is added when an event is read is read too, and reading ends when none is left."""
    merged = MergedSources[int]()
    merged.add(Source(1, 2).events())

    read = []
    async for number in merged.events():
        read.append(number)
        if number == 2:
            merged.add(Source(3).events())

    assert read == [1, 2, 3]


async def test_a_source_waits_until_its_event_was_consumed() -> None:
    """A source holds one event at most, and goes on only after the reader has asked for the next one."""
    merged, source = MergedSources[int](), Source(1, 2)
    merged.add(source.events())
    events = merged.events()

    assert await anext(events) == 1
    await asyncio.sleep(0)
    assert source.continued == 0
    assert await anext(events) == 2
    assert source.continued == 1
    await events.aclose()


async def test_closing_closes_all_sources() -> None:
    """When the reader leaves, every source is closed, also those whose events were not read."""
    merged, sources = MergedSources[int](), [Source(1, 2), Source(3, 4)]
    for source in sources:
        merged.add(source.events())
    events = merged.events()
    await anext(events)

    await events.aclose()

    assert all(source.is_closed for source in sources)
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_closes_the_others_and_is_raised() -> None:
    """An error of one source ends the reading with this error, and closes the other sources."""
    merged, other = MergedSources[int](), Source(*range(100))
    merged.add(other.events())
    merged.add(Source(error=ValueError("broken")).events())

    with pytest.raises(ValueError, match="broken"):
        async for _ in merged.events():
            pass

    assert other.is_closed
