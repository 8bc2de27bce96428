"""The functions for async generators add heartbeats, set a time limit and merge generators."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from reasoning_grpc.domain.events import ContentDelta, Event, Heartbeat
from reasoning_grpc.domain.streams import add_heartbeats, merge


async def test_heartbeats_fill_silence_and_lose_nothing() -> None:
    """Heartbeats fill the silence of a source, whose events arrive complete and in order."""
    go_on = asyncio.Event()

    async def source() -> AsyncGenerator[Event, None]:
        yield ContentDelta("a")
        await go_on.wait()
        yield ContentDelta("b")

    received: list[Event] = []
    async for event in add_heartbeats(source(), 0.01, Heartbeat):
        received.append(event)
        if received.count(Heartbeat()) == 2:
            go_on.set()

    assert received[0] == ContentDelta("a")
    assert received[-1] == ContentDelta("b")
    assert received.count(Heartbeat()) >= 2


async def test_closing_heartbeats_closes_the_source() -> None:
    """Closing a stream with heartbeats closes its source first, also while the next event of the source is awaited."""
    closed = asyncio.Event()

    async def source() -> AsyncGenerator[Event, None]:
        try:
            yield ContentDelta("a")
            await asyncio.Event().wait()
        finally:
            closed.set()

    events = add_heartbeats(source(), 0.01, Heartbeat)
    assert await anext(events) == ContentDelta("a")
    assert await anext(events) == Heartbeat()

    await events.aclose()

    assert closed.is_set()
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_of_the_source_passes_through_heartbeats() -> None:
    """An error of the source reaches the reader of a stream with heartbeats unchanged."""

    async def source() -> AsyncGenerator[Event, None]:
        yield ContentDelta("a")
        raise LookupError("broken")

    events = add_heartbeats(source(), 10, Heartbeat)
    await anext(events)

    with pytest.raises(LookupError, match="broken"):
        await anext(events)


async def test_a_merge_yields_each_event_as_it_comes() -> None:
    """A merge yields the events of one source while another waits, and keeps the order of each source."""
    go_on = asyncio.Event()

    async def slow() -> AsyncGenerator[str, None]:
        yield "slow 1"
        await go_on.wait()
        yield "slow 2"

    async def quick() -> AsyncGenerator[str, None]:
        yield "quick 1"
        yield "quick 2"
        go_on.set()

    received = [event async for event in merge([slow(), quick()])]

    assert sorted(received[:3]) == ["quick 1", "quick 2", "slow 1"]
    assert received[3:] == ["slow 2"]


async def test_an_error_of_one_source_closes_all_of_a_merge() -> None:
    """A merge raises the error of one source, and closes the sources that are still waiting."""
    closed = asyncio.Event()

    async def waiting() -> AsyncGenerator[str, None]:
        try:
            await asyncio.Event().wait()
            yield "never"
        finally:
            closed.set()

    async def failing() -> AsyncGenerator[str, None]:
        yield "a"
        raise LookupError("broken")

    events = merge([waiting(), failing()])
    assert await anext(events) == "a"

    with pytest.raises(LookupError, match="broken"):
        await anext(events)
    assert closed.is_set()
    assert len(asyncio.all_tasks()) == 1
