"""The toolbox with Python functions: what is offered, and that every failure is an outcome."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.config import Config, ConfigError, ToolEntry
from reasoning_grpc.domain import (
    ANONYMOUS,
    ToolCall,
    ToolExecution,
    ToolSource,
    ToolState,
    ToolStatus,
)
from reasoning_grpc.tools import Toolbox, find_tool_problems
from tests.support import tools
from tests.support.factories import a_context

SECRET: Final = tools.SECRET


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Nothing of an earlier test; threads of this one end."""
    tools.started.clear()
    tools.released.clear()
    tools.stopped.clear()
    tools.at_once.clear()
    yield
    tools.released.set()


def entry(function: str, **settings: Any) -> ToolEntry:
    """The entry of one of the tests' functions."""
    return ToolEntry(name=function, function=f"tests.support.tools:{function}", **settings)


@asynccontextmanager
async def toolbox(*entries: ToolEntry) -> AsyncIterator[Toolbox]:
    """A toolbox of these functions."""
    box = Toolbox({each.name: each for each in entries}, {})
    await box.start()
    try:
        yield box
    finally:
        await box.aclose()


def a_tool_call(name: str, **arguments: Any) -> ToolCall:
    """A call as a model writes it."""
    return ToolCall("call_1", name, json.dumps(arguments))


async def ran(function: str, *, settings: dict[str, Any] | None = None, **arguments: Any) -> ToolExecution:
    """How a call of one of the tests' functions ends."""
    async with toolbox(entry(function, **(settings or {}))) as box:
        return await box.run(a_tool_call(function, **arguments), a_context())


async def test_a_sync_function_runs_off_the_loop() -> None:
    """A function that waits keeps nobody else waiting, and its text is the result as it is."""
    async with toolbox(entry("wait_in_thread"), entry("weather")) as box:
        waiting = asyncio.create_task(box.run(a_tool_call("wait_in_thread"), a_context()))
        await asyncio.to_thread(tools.started.wait)
        other = await box.run(a_tool_call("weather", city="Rome", days=2), a_context())
        tools.released.set()
        waited = await waiting

    assert other.status is ToolStatus.OK
    assert (other.call_id, other.name, other.result) == ("call_1", "weather", "Rome: rain for 2 days")
    assert waited.result == "tool wait_in_thread"


async def test_an_async_function_gives_json() -> None:
    """A value that is no text is compact JSON."""
    execution = await ran("weather_later", city="Rome")

    assert execution.status is ToolStatus.OK
    assert execution.result == '{"city":"Rome","temperatures":[1.5,2],"sunny":false}'
    assert execution.text_for_model == execution.result
    assert execution.duration_seconds >= 0


async def test_what_is_offered_is_described() -> None:
    """Description and schema come from signature and docstring."""
    async with toolbox(entry("weather"), entry("weather_later", description="Ask this one.")) as box:
        offered = {info.name: info for info in box.list_usable(ANONYMOUS)}

    assert list(offered) == ["calculator", "current_time", "weather", "weather_later"]
    assert offered["weather"].description == "Tell the weather."
    assert offered["weather"].source is ToolSource.FUNCTION
    assert json.loads(offered["weather"].parameters_schema) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where."},
            "days": {"type": "integer", "description": "For how long.", "default": 1},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert offered["weather_later"].description == "Ask this one."
    assert offered["calculator"].source is ToolSource.BUILT_IN


async def test_the_built_in_tools_work() -> None:
    """The two that are on by default can be called."""
    async with toolbox() as box:
        sum_ = await box.run(a_tool_call("calculator", expression="2 * (3 + 4)"), a_context())
        time = await box.run(a_tool_call("current_time", time_zone="Europe/Berlin"), a_context())
        nowhere = await box.run(a_tool_call("current_time", time_zone="../../etc/passwd"), a_context())
        wrong = await box.run(a_tool_call("calculator", expression="1 / 0"), a_context())

    assert sum_.result == '{"result":"14","exact":true}'
    assert json.loads(time.result)["time"][-6:] in ("+01:00", "+02:00")
    assert nowhere.status is ToolStatus.FAILED
    assert "There is no time zone" in nowhere.result
    assert wrong.text_for_model == "The tool reported an error.\nIt divides by zero."


@pytest.mark.parametrize(
    "arguments",
    [
        '{"city": "Rome", "days": "2"}',
        '{"city": "Rome", "days": 2.5}',
        "{}",
        '{"city": "Rome", "country": "Italy"}',
        "[]",
        "null",
        "Rome",
        '{"city": ',
        '{"city": "\\ud83d"}',
        '{"city": ' + "[" * 5000,
    ],
)
async def test_bad_arguments_do_not_run(arguments: str) -> None:
    """Arguments that do not fit the schema are an outcome, and the function is not called."""
    async with toolbox(entry("weather")) as box:
        execution = await box.run(ToolCall("call_1", "weather", arguments), a_context())

    assert execution.status is ToolStatus.INVALID_ARGUMENTS
    assert execution.arguments == arguments
    assert execution.error.startswith("The arguments do not fit the tool's schema: ")
    assert execution.result == ""


async def test_no_arguments_are_none() -> None:
    """Models write nothing for a tool that takes nothing."""
    async with toolbox(entry("binary")) as box:
        execution = await box.run(ToolCall("call_1", "binary", ""), a_context())

    assert execution.status is ToolStatus.OK


async def test_unknown_and_forbidden_look_alike() -> None:
    """A tool that is not there, that the caller may not run, that the request left out, or that is off."""
    forbidden = replace(ANONYMOUS, allowed_tools=frozenset({"calculator"}))
    async with toolbox(entry("weather"), ToolEntry(name="current_time", enabled=False)) as box:
        call = a_tool_call("weather", city="Rome")
        executions = [
            await box.run(a_tool_call("nothing"), a_context()),
            await box.run(call, replace(a_context(), caller=forbidden)),
            await box.run(call, a_context(), allowed=["calculator"]),
            await box.run(a_tool_call("current_time"), a_context()),
        ]
        offered = [info.name for info in box.list_usable(forbidden)]
        narrowed = [info.name for info in box.list_usable(ANONYMOUS, ["weather", "nothing"])]
        states = {info.name: info.state for info in box.list_all()}

    assert {execution.status for execution in executions} == {ToolStatus.NOT_AVAILABLE}
    assert len({execution.error for execution in executions}) == 1
    assert offered == ["calculator"]
    assert narrowed == ["weather"]
    assert states["current_time"] is ToolState.OFF


@pytest.mark.parametrize(
    "function", ["raises", "exits", "exits_later", "closes_itself", "cancels_itself", "broken_check"]
)
async def test_what_a_tool_raises_stays_in_the_log(function: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a tool raises, the model gets a fixed sentence; the log has the rest, with the request."""
    arguments: dict[str, Any] = {"city": "Rome"} if function == "broken_check" else {}

    execution = await ran(function, **arguments)

    assert execution.status is ToolStatus.FAILED
    assert execution.error == "The tool failed unexpectedly."
    assert execution.result == ""
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert vars(record)["request_id"] == "req_test"
    assert vars(record)["tool"] == function


async def test_a_tool_can_speak_to_the_model() -> None:
    """The text of a ToolError is the result of the failed call."""
    execution = await ran("raises_words")

    assert execution.status is ToolStatus.FAILED
    assert execution.error == "The tool reported an error."
    assert execution.result == "There is no such city; try another."


async def test_a_check_of_arguments_can_speak_to_the_model() -> None:
    """So is that of a ToolError which a check in one of the function's types raises."""
    execution = await ran("spoken_check", city="Rome")

    assert execution.status is ToolStatus.INVALID_ARGUMENTS
    assert execution.error == "The tool does not take the arguments."
    assert execution.result == "Rome has no station."


async def test_a_tool_that_hangs_is_stopped() -> None:
    """At its time limit the tool is cancelled, and sees that."""
    execution = await ran("hangs", settings={"timeout_seconds": 0.05})

    assert execution.status is ToolStatus.TIMED_OUT
    assert tools.stopped == ["hangs"]


async def test_a_call_can_shorten_the_limit() -> None:
    """The request's limit holds where it is the shorter one."""
    async with toolbox(entry("hangs", timeout_seconds=3600)) as box:
        execution = await box.run(a_tool_call("hangs"), a_context(), timeout_seconds=0.05)

    assert execution.status is ToolStatus.TIMED_OUT


async def test_a_call_without_time_left_does_not_run() -> None:
    """When nothing is left of the time, the tool does not begin."""
    async with toolbox(entry("hangs")) as box:
        execution = await box.run(a_tool_call("hangs"), a_context(), timeout_seconds=0)

    assert execution.status is ToolStatus.TIMED_OUT
    assert not tools.started.is_set()


async def test_cancellation_reaches_the_tool() -> None:
    """A call that is cancelled ends when the tool has stopped."""
    async with toolbox(entry("hangs")) as box:
        call = asyncio.create_task(box.run(a_tool_call("hangs"), a_context()))
        await asyncio.to_thread(tools.started.wait)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        assert tools.stopped == ["hangs"]


async def test_a_tool_that_does_not_stop_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """After its time a tool that takes no notice of its cancellation is not waited for; its end comes when it comes."""
    caplog.set_level(logging.INFO, "reasoning_grpc.tools")
    async with toolbox(entry("stubborn")) as box:
        execution = await box.run(a_tool_call("stubborn"), a_context(), timeout_seconds=0.05)
        so_far = caplog.messages[:]
        tools.released.set()

    assert execution.status is ToolStatus.TIMED_OUT
    assert execution.duration_seconds < 3
    assert so_far == ["tool does not stop"]
    assert caplog.messages == [*so_far, "tool has stopped"]
    assert tools.stopped[-1] == "stubborn"


async def test_a_cancelled_call_waits_for_its_tool() -> None:
    """A call that is cancelled gives its tool time to clean up."""
    async with toolbox(entry("stubborn")) as box:
        call = asyncio.create_task(box.run(a_tool_call("stubborn"), a_context()))
        await asyncio.to_thread(tools.started.wait)
        call.cancel()
        await asyncio.wait({call}, timeout=0.5)
        waited = not call.done()
        tools.released.set()
        await asyncio.wait({call})

    assert waited
    assert call.cancelled()
    assert tools.stopped == ["not stubborn", "stubborn"]


async def test_what_does_not_stop_is_told_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """A toolbox that is closed waits for a tool no longer than it may take to stop."""
    box = Toolbox({"stubborn": entry("stubborn")}, {}, stop_seconds=0.05)
    call = asyncio.create_task(box.run(a_tool_call("stubborn"), a_context()))
    await asyncio.to_thread(tools.started.wait)
    await box.aclose()
    still_running = not call.done()
    tools.released.set()
    await call

    assert still_running
    assert [vars(record)["tool"] for record in caplog.records if record.message == "tool does not stop"] == ["stubborn"]


async def test_closing_begins_nothing() -> None:
    """A call that waits for its turn does not get it from one that was stopped because the toolbox is closed."""
    async with toolbox(entry("hangs", concurrency=1)) as box:
        first, second = (
            asyncio.create_task(box.run(a_tool_call("hangs"), a_context(), timeout_seconds=60)) for _ in range(2)
        )
        await asyncio.to_thread(tools.started.wait)
        tools.started.clear()
        await box.aclose()
        executions = await asyncio.gather(first, second)

    assert [execution.status for execution in executions] == [ToolStatus.CANCELLED, ToolStatus.CANCELLED]
    assert not tools.started.is_set()


async def test_closing_stops_what_runs() -> None:
    """A toolbox that is closed cancels its tools; whoever waits gets an outcome, and later calls do too."""
    async with toolbox(entry("hangs")) as box:
        call = asyncio.create_task(box.run(a_tool_call("hangs"), a_context()))
        await asyncio.to_thread(tools.started.wait)
        await box.aclose()
        execution = await call
        later = await box.run(a_tool_call("calculator", expression="1"), a_context())

    assert execution.status is ToolStatus.CANCELLED
    assert later.status is ToolStatus.NOT_AVAILABLE


async def test_threads_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """A thread that was given up keeps its place: further calls wait for it, and no thread is added."""
    async with toolbox(entry("wait_in_thread", concurrency=1, timeout_seconds=0.2)) as box:
        first = await box.run(a_tool_call("wait_in_thread"), a_context())
        second = await box.run(a_tool_call("wait_in_thread"), a_context())
        threads = [thread.name for thread in threading.enumerate()].count("tool wait_in_thread")
        await box.aclose()
        told = [vars(record)["threads"] for record in caplog.records if "threads" in record.message]
        tools.released.set()

    assert (first.status, second.status) == (ToolStatus.TIMED_OUT, ToolStatus.TIMED_OUT)
    assert threads == 1
    assert told == [1]


async def test_a_thread_that_ends_late_gives_its_place_back() -> None:
    """When the thread of a call that was given up ends, the next call gets its place."""
    async with toolbox(entry("wait_in_thread", concurrency=1, timeout_seconds=60)) as box:
        first = await box.run(a_tool_call("wait_in_thread"), a_context(), timeout_seconds=0.05)
        next_call = asyncio.create_task(box.run(a_tool_call("wait_in_thread"), a_context()))
        tools.released.set()
        second = await next_call

    assert (first.status, second.status) == (ToolStatus.TIMED_OUT, ToolStatus.OK)


async def test_concurrency_is_bounded() -> None:
    """No more calls of a tool run at once than it allows, and all of them run."""
    async with toolbox(entry("count_at_once", concurrency=3)) as box:
        context = a_context()
        executions = await asyncio.gather(*(box.run(a_tool_call("count_at_once"), context) for _ in range(20)))

    assert {execution.status for execution in executions} == {ToolStatus.OK}
    assert max(tools.at_once) == 3


async def test_waiting_counts() -> None:
    """A call that waits for its turn longer than its limit has timed out, and was not run."""
    async with toolbox(entry("hangs", concurrency=1)) as box:
        first = asyncio.create_task(box.run(a_tool_call("hangs"), a_context()))
        await asyncio.to_thread(tools.started.wait)
        tools.started.clear()
        second = await box.run(a_tool_call("hangs"), a_context(), timeout_seconds=0.05)
        ran_too = tools.started.is_set()
        first.cancel()
        await asyncio.wait({first})

    assert second.status is ToolStatus.TIMED_OUT
    assert not ran_too


async def test_a_long_result_is_cut_visibly() -> None:
    """Ten million characters become as many as are allowed, and say so."""
    execution = await ran("big", settings={"max_result_characters": 1000}, characters=10_000_000)

    assert execution.status is ToolStatus.OK
    assert execution.result_truncated
    assert execution.result == "ä" * 1000 + "... [cut: 10,000,000 characters in all]"


async def test_a_result_that_fits_is_whole() -> None:
    """A result of just the allowed length is not cut."""
    execution = await ran("big", settings={"max_result_characters": 1000}, characters=1000)

    assert execution.result == "ä" * 1000
    assert not execution.result_truncated


async def test_bytes_are_named() -> None:
    """Binary results are told by their size."""
    execution = await ran("binary")

    assert (execution.status, execution.result) == (ToolStatus.OK, "[binary, 1234 bytes]")


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("nothing", "null"),
        ("number", "1.5"),
        ("set", "[1]"),
        ("half a character", "a?"),
        ("nested bytes", '{"a":"_w=="}'),
        ("not a number", '"NaN"'),
    ],
)
async def test_each_kind_of_result(kind: str, result: str) -> None:
    """What is no text becomes JSON that can be sent."""
    execution = await ran("gives", kind=kind)

    assert (execution.status, execution.result) == (ToolStatus.OK, result)


@pytest.mark.parametrize("kind", ["endless", "object"])
async def test_a_result_that_cannot_be_told(kind: str) -> None:
    """What has no JSON, or no end, is a failure of the tool."""
    execution = await ran("gives", kind=kind)

    assert execution.status is ToolStatus.FAILED
    assert execution.error == "The tool gave a result that is neither text nor JSON."


async def test_content_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither arguments nor results stand in the log, whatever happens."""
    caplog.set_level(logging.DEBUG)
    async with toolbox(entry("weather"), entry("raises_words")) as box:
        await box.run(a_tool_call("weather", city=SECRET), a_context())
        await box.run(a_tool_call("weather", city=[SECRET]), a_context())
        await box.run(a_tool_call("raises_words"), a_context())
        await box.run(a_tool_call(SECRET), a_context())

    assert SECRET not in caplog.text
    assert "such city" not in caplog.text


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"function": "no.such.module:f"}, "the function cannot be loaded: No module named 'no'"),
        ({"function": "tests.support.tools:nothing"}, "has no attribute 'nothing'"),
        ({"function": "tests.support.tools:NOT_CALLABLE"}, "it cannot be called"),
        ({"function": "tests.support.tools:unannotated"}, "its parameter city has no annotation"),
        ({}, "is neither built in nor an entry point; it needs a function"),
    ],
)
async def test_a_function_that_is_no_tool(settings: dict[str, Any], problem: str) -> None:
    """What the configuration names and cannot be a tool is a problem at start."""
    entries = {"wrong": ToolEntry(name="wrong", **settings)}

    with pytest.raises(ConfigError, match=r"tools\.wrong: ") as failed:
        Toolbox(entries, {})

    assert problem in str(failed.value)
    assert find_tool_problems(Config(tools=entries)) == failed.value.problems


class Installed:
    """A package that offers tools by entry points."""

    def __init__(self, folder: Path) -> None:
        (folder / "offering.py").write_text(
            'def shout(text: str) -> str:\n    """Say it loudly."""\n    return text.upper()\n'
        )
        (folder / "exploding.py").write_text("raise RuntimeError('imported')\n")
        facts = folder / "offering-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(
            "[reasoning_grpc.tools]\nshout = offering:shout\nexploding = exploding:run\ncalculator = offering:shout\n"
        )


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Installed(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_installed")
async def test_entry_points_are_off_until_named() -> None:
    """What packages offer is listed, not imported; an entry of its name switches one on."""
    async with toolbox() as box:
        off = {info.name: info for info in box.list_all()}
        before = await box.run(a_tool_call("shout", text="hi"), a_context())
    async with toolbox(ToolEntry(name="shout")) as box:
        after = await box.run(a_tool_call("shout", text="hi"), a_context())
        sources = {info.name: info.source for info in box.list_usable(ANONYMOUS)}

    assert (off["shout"].state, off["shout"].source) == (ToolState.OFF, ToolSource.ENTRY_POINT)
    assert off["exploding"].state is ToolState.OFF
    assert before.status is ToolStatus.NOT_AVAILABLE
    assert (after.status, after.result) == (ToolStatus.OK, "HI")
    assert sources == {
        "calculator": ToolSource.BUILT_IN,
        "current_time": ToolSource.BUILT_IN,
        "shout": ToolSource.ENTRY_POINT,
    }


@pytest.mark.usefixtures("_installed")
async def test_an_entry_point_that_cannot_be_imported() -> None:
    """Once it is switched on, its failure is a problem at start; the text of the exception is not told."""
    with pytest.raises(ConfigError) as failed:
        Toolbox({"exploding": ToolEntry(name="exploding")}, {})

    assert failed.value.problems == ["tools.exploding: the function cannot be loaded: RuntimeError"]
