"""The operators on streams: heartbeats, a limit of time, and a merge, over plain generators."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from reasoning_grpc.domain.events import ContentDelta, Event, Heartbeat
from reasoning_grpc.domain.streams import add_heartbeats, merge, stop_at


async def test_heartbeats_fill_silence_and_lose_nothing() -> None:
    """Heartbeats fill the silence of a source, whose events arrive complete and in order."""
    go_on = asyncio.Event()

    async def source() -> AsyncGenerator[Event, None]:
        yield ContentDelta("a")
        await go_on.wait()
        yield ContentDelta("b")

    seen: list[Event] = []
    async for event in add_heartbeats(source(), 0.01, Heartbeat):
        seen.append(event)
        if seen.count(Heartbeat()) == 2:
            go_on.set()

    assert seen[0] == ContentDelta("a")
    assert seen[-1] == ContentDelta("b")
    assert seen.count(Heartbeat()) >= 2


async def test_closing_heartbeats_closes_the_source() -> None:
    """When the close returns, the source has cleaned up, also when its next event was awaited."""
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
    """An error of the source reaches the reader unchanged."""

    async def source() -> AsyncGenerator[Event, None]:
        yield ContentDelta("a")
        raise LookupError("broken")

    events = add_heartbeats(source(), 10, Heartbeat)
    await anext(events)

    with pytest.raises(LookupError, match="broken"):
        await anext(events)


async def test_a_stream_ends_at_its_time_and_closes_the_source() -> None:
    """At its time the stream raises TimeoutError; the events before it have arrived, and the source is closed."""
    closed = asyncio.Event()

    async def source() -> AsyncGenerator[str, None]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            closed.set()

    events = stop_at(source(), asyncio.get_running_loop().time() + 0.05)
    first = await anext(events)

    with pytest.raises(TimeoutError):
        await anext(events)
    assert first == "a"
    assert closed.is_set()


async def test_a_merge_yields_each_event_as_it_comes() -> None:
    """A source that waits does not hold the events of another back, and each source keeps its order."""
    go_on = asyncio.Event()

    async def slow() -> AsyncGenerator[str, None]:
        yield "slow 1"
        await go_on.wait()
        yield "slow 2"

    async def quick() -> AsyncGenerator[str, None]:
        yield "quick 1"
        yield "quick 2"
        go_on.set()

    seen = [event async for event in merge([slow(), quick()])]

    assert sorted(seen[:3]) == ["quick 1", "quick 2", "slow 1"]
    assert seen[3:] == ["slow 2"]


async def test_an_error_of_one_source_closes_all_of_a_merge() -> None:
    """The error is raised, and the sources that were still waiting are closed."""
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
