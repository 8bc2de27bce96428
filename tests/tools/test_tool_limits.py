"""Limits of tool calls: time, threads and concurrency, cancellation, and the closing of the toolbox."""

import asyncio
import logging
import threading

import pytest

from reasoning_grpc.config import ToolEntry
from reasoning_grpc.domain import ToolStatus
from reasoning_grpc.tools import ThreadsNotStarted, Toolbox
from reasoning_grpc.tools.functions import BUILT_IN
from tests.support import tools
from tests.support.factories import a_context
from tests.support.toolbox import a_tool_call, open_toolbox, run_tool, tool_entry


async def test_a_tool_that_hangs_is_stopped() -> None:
    """A tool that reaches its time limit is cancelled, and has seen its cancellation when the call returns."""
    execution = await run_tool("hang", settings={"timeout_seconds": 0.05})

    assert execution.status is ToolStatus.TIMED_OUT
    assert tools.stopped == ["hang"]


async def test_a_request_can_shorten_the_time_limit() -> None:
    """The time limit of the request applies where it is shorter than the limit of the tool."""
    async with open_toolbox(tool_entry("hang", timeout_seconds=3600)) as box:
        execution = await box.run(a_tool_call("hang"), a_context(), timeout_seconds=0.05)

    assert execution.status is ToolStatus.TIMED_OUT


async def test_a_call_without_time_left_is_not_run() -> None:
    """A tool is not started when no time is left for its call."""
    async with open_toolbox(tool_entry("hang")) as box:
        execution = await box.run(a_tool_call("hang"), a_context(), timeout_seconds=0)

    assert execution.status is ToolStatus.TIMED_OUT
    assert execution.error == "The tool was not started, because no time was left."
    assert not tools.started.is_set()


async def test_cancellation_reaches_the_tool() -> None:
    """A cancelled call ends only after its tool has stopped."""
    async with open_toolbox(tool_entry("hang")) as box:
        call = asyncio.create_task(box.run(a_tool_call("hang"), a_context()))
        await asyncio.to_thread(tools.started.wait)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        assert tools.stopped == ["hang"]


async def test_a_tool_that_does_not_stop_is_abandoned(caplog: pytest.LogCaptureFixture) -> None:
    """A call does not wait for a tool that ignores its cancellation; the log says when the tool stops after all."""
    caplog.set_level(logging.INFO, "reasoning_grpc.tools")
    async with open_toolbox(tool_entry("ignore_cancellation")) as box:
        execution = await box.run(a_tool_call("ignore_cancellation"), a_context(), timeout_seconds=0.05)
        messages_before, stopped_before = caplog.messages[:], tools.stopped[:]
        tools.released.set()

    assert execution.status is ToolStatus.TIMED_OUT
    assert messages_before == ["tool does not stop"]
    assert "returned" not in stopped_before
    assert caplog.messages == [*messages_before, "tool has stopped"]
    assert tools.stopped[-1] == "returned"


async def test_a_cancelled_call_waits_for_its_tool() -> None:
    """A cancelled call gives its tool time to clean up."""
    async with open_toolbox(tool_entry("ignore_cancellation")) as box:
        call = asyncio.create_task(box.run(a_tool_call("ignore_cancellation"), a_context()))
        await asyncio.to_thread(tools.started.wait)
        call.cancel()
        await asyncio.wait({call}, timeout=0.5)
        is_waiting = not call.done()
        tools.released.set()
        await asyncio.wait({call})

    assert is_waiting
    assert call.cancelled()
    assert tools.stopped == ["cancellation ignored", "returned"]


async def test_closing_does_not_wait_for_a_tool_that_does_not_stop(caplog: pytest.LogCaptureFixture) -> None:
    """A toolbox that is closed waits a limited time for a tool to stop, and then logs a warning."""
    box = Toolbox({"ignore_cancellation": tool_entry("ignore_cancellation")}, {}, stop_seconds=0.05)
    call = asyncio.create_task(box.run(a_tool_call("ignore_cancellation"), a_context()))
    await asyncio.to_thread(tools.started.wait)
    await box.aclose()
    still_running = not call.done()
    tools.released.set()
    await call

    assert still_running
    assert [vars(record)["tool"] for record in caplog.records if record.message == "tool does not stop"] == [
        "ignore_cancellation"
    ]


async def test_closing_starts_no_waiting_call() -> None:
    """Closing the toolbox stops a running call without starting the call that waits for its place."""
    async with open_toolbox(tool_entry("hang", concurrency=1)) as box:
        first, second = (
            asyncio.create_task(box.run(a_tool_call("hang"), a_context(), timeout_seconds=60)) for _ in range(2)
        )
        await asyncio.to_thread(tools.started.wait)
        tools.started.clear()
        await box.aclose()
        executions = await asyncio.gather(first, second)

    assert [execution.status for execution in executions] == [ToolStatus.CANCELLED, ToolStatus.CANCELLED]
    assert not tools.started.is_set()


async def test_closing_stops_running_tools() -> None:
    """Closing the toolbox cancels running tools; their calls end with CANCELLED, and later calls with NOT_AVAILABLE."""
    async with open_toolbox(tool_entry("hang")) as box:
        call = asyncio.create_task(box.run(a_tool_call("hang"), a_context()))
        await asyncio.to_thread(tools.started.wait)
        await box.aclose()
        execution = await call
        later = await box.run(a_tool_call("calculator", expression="1"), a_context())

    assert execution.status is ToolStatus.CANCELLED
    assert later.status is ToolStatus.NOT_AVAILABLE


async def test_the_number_of_threads_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    """A thread whose call timed out keeps its place: further calls wait for it, and no thread is added."""
    async with open_toolbox(tool_entry("wait_in_thread", concurrency=1, timeout_seconds=0.2)) as box:
        first = await box.run(a_tool_call("wait_in_thread"), a_context())
        second = await box.run(a_tool_call("wait_in_thread"), a_context())
        threads = [thread.name for thread in threading.enumerate()].count("tool wait_in_thread")
        await box.aclose()
        thread_counts = [vars(record)["threads"] for record in caplog.records if "threads" in record.message]
        tools.released.set()

    assert (first.status, second.status) == (ToolStatus.TIMED_OUT, ToolStatus.TIMED_OUT)
    assert threads == 1
    assert thread_counts == [1]


async def test_a_thread_that_ends_late_frees_its_place() -> None:
    """When the thread of a timed-out call ends, the next call runs."""
    async with open_toolbox(tool_entry("wait_in_thread", concurrency=1, timeout_seconds=60)) as box:
        first = await box.run(a_tool_call("wait_in_thread"), a_context(), timeout_seconds=0.05)
        next_call = asyncio.create_task(box.run(a_tool_call("wait_in_thread"), a_context()))
        tools.released.set()
        second = await next_call

    assert (first.status, second.status) == (ToolStatus.TIMED_OUT, ToolStatus.OK)


async def test_a_tool_that_hangs_takes_no_thread_from_another() -> None:
    """Each tool has as many threads as places: while one tool hangs in all of its own, another runs."""
    hanging = tool_entry("wait_in_thread", concurrency=2, timeout_seconds=0.2)
    async with open_toolbox(hanging, tool_entry("weather", concurrency=1)) as box:
        hung = await asyncio.gather(*(box.run(a_tool_call("wait_in_thread"), a_context()) for _ in range(3)))
        other = await box.run(a_tool_call("weather", city="Rome"), a_context())
        tools.released.set()

    assert {execution.status for execution in hung} == {ToolStatus.TIMED_OUT}
    assert other.status is ToolStatus.OK


async def test_threads_end_with_the_toolbox() -> None:
    """A toolbox starts a thread for each place of its synchronous tools, and all of them end when it is closed."""
    before = set(threading.enumerate())
    entries = [ToolEntry(name=name, enabled=False) for name in BUILT_IN]

    async with open_toolbox(tool_entry("weather", concurrency=3), tool_entry("hang", concurrency=5), *entries) as box:
        started = set(threading.enumerate()) - before
        await box.run(a_tool_call("weather", city="Rome"), a_context())
        started_later = set(threading.enumerate()) - before - started

    for thread in started:
        await asyncio.to_thread(thread.join, 60)
    assert len(started) == 3
    assert not started_later
    assert not any(thread.is_alive() for thread in started)


async def test_threads_that_cannot_start_are_reported() -> None:
    """A toolbox does not start when the system starts too few threads, and says how many it needs."""
    box = Toolbox({"weather": tool_entry("weather", concurrency=3)}, {})
    usual = threading.stack_size(2**46)  # more memory than a process can have
    try:
        with pytest.raises(ThreadsNotStarted, match="the tools need 19 threads, and the system starts only 0"):
            await box.start()
    finally:
        threading.stack_size(usual)
        await box.aclose()


async def test_concurrent_calls_are_limited() -> None:
    """At most `concurrency` calls of a tool run at the same time, and all of them run in the end."""
    async with open_toolbox(tool_entry("count_running", concurrency=3)) as box:
        context = a_context()
        executions = await asyncio.gather(*(box.run(a_tool_call("count_running"), context) for _ in range(20)))

    assert {execution.status for execution in executions} == {ToolStatus.OK}
    assert max(tools.running_counts) == 3


async def test_waiting_for_a_place_uses_the_time_limit() -> None:
    """A call that waits for a place longer than its time limit has timed out, and its tool is not started."""
    async with open_toolbox(tool_entry("hang", concurrency=1)) as box:
        first = asyncio.create_task(box.run(a_tool_call("hang"), a_context()))
        await asyncio.to_thread(tools.started.wait)
        tools.started.clear()
        second = await box.run(a_tool_call("hang"), a_context(), timeout_seconds=0.05)
        has_started = tools.started.is_set()
        first.cancel()
        await asyncio.wait({first})

    assert second.status is ToolStatus.TIMED_OUT
    assert second.error == "The tool was not started, because other calls of it ran all the time."
    assert not has_started
