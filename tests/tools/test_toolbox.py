"""The toolbox with Python functions as tools: which tools are usable, and how each kind of failure is reported."""

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
def _reset_tools() -> Iterator[None]:
    """Forgets what tools of an earlier test recorded, and lets threads of this test end."""
    tools.started.clear()
    tools.released.clear()
    tools.stopped.clear()
    tools.running_counts.clear()
    yield
    tools.released.set()


def tool_entry(function: str, **settings: Any) -> ToolEntry:
    """Builds the entry of one of the functions in `tests.support.tools`."""
    return ToolEntry(name=function, function=f"tests.support.tools:{function}", **settings)


@asynccontextmanager
async def open_toolbox(*entries: ToolEntry) -> AsyncIterator[Toolbox]:
    """Opens a toolbox with these functions."""
    box = Toolbox({each.name: each for each in entries}, {})
    await box.start()
    try:
        yield box
    finally:
        await box.aclose()


def a_tool_call(name: str, **arguments: Any) -> ToolCall:
    """Builds a tool call as a model writes it."""
    return ToolCall("call_1", name, json.dumps(arguments))


async def run_tool(function: str, *, settings: dict[str, Any] | None = None, **arguments: Any) -> ToolExecution:
    """Calls one of the functions in `tests.support.tools`, and returns the outcome."""
    async with open_toolbox(tool_entry(function, **(settings or {}))) as box:
        return await box.run(a_tool_call(function, **arguments), a_context())


async def test_a_plain_function_runs_in_a_thread() -> None:
    """A plain function that waits does not delay other calls, and text that it returns is the result as it is."""
    async with open_toolbox(tool_entry("wait_in_thread"), tool_entry("weather")) as box:
        waiting = asyncio.create_task(box.run(a_tool_call("wait_in_thread"), a_context()))
        await asyncio.to_thread(tools.started.wait)
        other = await box.run(a_tool_call("weather", city="Rome", days=2), a_context())
        tools.released.set()
        from_thread = await waiting

    assert other.status is ToolStatus.OK
    assert (other.call_id, other.name, other.result) == ("call_1", "weather", "Rome: rain for 2 days")
    assert from_thread.result == "tool wait_in_thread"


async def test_a_value_that_is_no_text_becomes_json() -> None:
    """A value that a tool returns, and that is no text, becomes compact JSON."""
    execution = await run_tool("weather_without_thread", city="Rome")

    assert execution.status is ToolStatus.OK
    assert execution.result == '{"city":"Rome","temperatures":[1.5,2],"sunny":false}'
    assert execution.text_for_model == execution.result
    assert execution.duration_seconds >= 0


async def test_a_function_describes_its_tool() -> None:
    """The description and the schema of a tool come from the docstring and the signature of its function."""
    async with open_toolbox(
        tool_entry("weather"), tool_entry("weather_without_thread", description="Ask this one.")
    ) as box:
        usable = {info.name: info for info in box.list_usable(ANONYMOUS)}

    assert list(usable) == ["calculator", "current_time", "weather", "weather_without_thread"]
    assert usable["weather"].description == "Tell the weather."
    assert usable["weather"].source is ToolSource.FUNCTION
    assert json.loads(usable["weather"].parameters_schema) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where."},
            "days": {"type": "integer", "description": "For how long.", "default": 1},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert usable["weather_without_thread"].description == "Ask this one."
    assert usable["calculator"].source is ToolSource.BUILT_IN


async def test_the_built_in_tools_work() -> None:
    """The calculator and the clock can be called without any configuration."""
    async with open_toolbox() as box:
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
async def test_a_call_with_bad_arguments_is_not_run(arguments: str) -> None:
    """A call whose arguments do not fit the schema has the status INVALID_ARGUMENTS, and the function is not called."""
    async with open_toolbox(tool_entry("weather")) as box:
        execution = await box.run(ToolCall("call_1", "weather", arguments), a_context())

    assert execution.status is ToolStatus.INVALID_ARGUMENTS
    assert execution.arguments == arguments
    assert execution.error.startswith("The arguments do not fit the tool's schema: ")
    assert execution.result == ""


async def test_empty_arguments_are_an_empty_object() -> None:
    """An empty string is accepted as the arguments of a tool without parameters, because models write that."""
    async with open_toolbox(tool_entry("return_bytes")) as box:
        execution = await box.run(ToolCall("call_1", "return_bytes", ""), a_context())

    assert execution.status is ToolStatus.OK


async def test_unavailable_tools_look_like_unknown_ones() -> None:
    """An unknown tool, one that the caller or the request does not allow, and one that is off get the same error."""
    forbidden = replace(ANONYMOUS, allowed_tools=frozenset({"calculator"}))
    async with open_toolbox(tool_entry("weather"), ToolEntry(name="current_time", enabled=False)) as box:
        call = a_tool_call("weather", city="Rome")
        executions = [
            await box.run(a_tool_call("nothing"), a_context()),
            await box.run(call, replace(a_context(), caller=forbidden)),
            await box.run(call, a_context(), allowed=["calculator"]),
            await box.run(a_tool_call("current_time"), a_context()),
        ]
        usable = [info.name for info in box.list_usable(forbidden)]
        usable_by_request = [info.name for info in box.list_usable(ANONYMOUS, ["weather", "nothing"])]
        states = {info.name: info.state for info in box.list_all()}

    assert {execution.status for execution in executions} == {ToolStatus.NOT_AVAILABLE}
    assert len({execution.error for execution in executions}) == 1
    assert usable == ["calculator"]
    assert usable_by_request == ["weather"]
    assert states["current_time"] is ToolState.OFF


@pytest.mark.parametrize(
    "function",
    ["fail", "exit_process", "exit_process_in_loop", "raise_generator_exit", "raise_cancelled", "fail_at_check"],
)
async def test_an_exception_of_a_tool_stays_in_the_log(function: str, caplog: pytest.LogCaptureFixture) -> None:
    """The model reads a fixed sentence whatever a tool raises; the log has the exception and the request id."""
    arguments: dict[str, Any] = {"city": "Rome"} if function == "fail_at_check" else {}

    execution = await run_tool(function, **arguments)

    assert execution.status is ToolStatus.FAILED
    assert execution.error == "The tool failed unexpectedly."
    assert execution.result == ""
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert vars(record)["request_id"] == "req_test"
    assert vars(record)["tool"] == function


async def test_a_tool_error_reaches_the_model() -> None:
    """The text of a ToolError is the result of the failed call."""
    execution = await run_tool("fail_with_words")

    assert execution.status is ToolStatus.FAILED
    assert execution.error == "The tool reported an error."
    assert execution.result == "There is no such city; try another."


async def test_a_tool_error_of_an_argument_check_reaches_the_model() -> None:
    """The text of a ToolError that a check of an argument raises is the result of the rejected call."""
    execution = await run_tool("explain_bad_city", city="Rome")

    assert execution.status is ToolStatus.INVALID_ARGUMENTS
    assert execution.error == "The tool does not take the arguments."
    assert execution.result == "Rome has no station."


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
    assert not has_started


async def test_a_long_result_is_cut_visibly() -> None:
    """A result of ten million characters is cut to the limit, and says so at its end."""
    execution = await run_tool("write_letters", settings={"max_result_characters": 1000}, characters=10_000_000)

    assert execution.status is ToolStatus.OK
    assert execution.result_truncated
    assert execution.result == "ä" * 1000 + "... [cut: 10,000,000 characters in all]"


async def test_a_result_at_the_limit_is_not_cut() -> None:
    """A result of exactly the allowed length is not cut."""
    execution = await run_tool("write_letters", settings={"max_result_characters": 1000}, characters=1000)

    assert execution.result == "ä" * 1000
    assert not execution.result_truncated


async def test_bytes_are_described_by_their_size() -> None:
    """A binary result is replaced by a note of its size."""
    execution = await run_tool("return_bytes")

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
    """Each kind of value that is no text becomes JSON that can be sent."""
    execution = await run_tool("return_value", kind=kind)

    assert (execution.status, execution.result) == (ToolStatus.OK, result)


@pytest.mark.parametrize("kind", ["endless", "object"])
async def test_a_result_without_json_fails(kind: str) -> None:
    """A result that has no JSON form, or that never ends, is a failure of the tool."""
    execution = await run_tool("return_value", kind=kind)

    assert execution.status is ToolStatus.FAILED
    assert execution.error == "The tool gave a result that is neither text nor JSON."


async def test_content_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither arguments nor results are written to the log, whether a call succeeds or fails."""
    caplog.set_level(logging.DEBUG)
    async with open_toolbox(tool_entry("weather"), tool_entry("fail_with_words")) as box:
        await box.run(a_tool_call("weather", city=SECRET), a_context())
        await box.run(a_tool_call("weather", city=[SECRET]), a_context())
        await box.run(a_tool_call("fail_with_words"), a_context())
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
async def test_an_unusable_function_is_a_problem_at_start(settings: dict[str, Any], problem: str) -> None:
    """A configured function that cannot be a tool is reported as a configuration problem at start."""
    entries = {"wrong": ToolEntry(name="wrong", **settings)}

    with pytest.raises(ConfigError, match=r"tools\.wrong: ") as failed:
        Toolbox(entries, {})

    assert problem in str(failed.value)
    assert find_tool_problems(Config(tools=entries)) == failed.value.problems


class InstalledPackage:
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
def _install_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    InstalledPackage(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_install_package")
async def test_entry_points_are_off_until_configured() -> None:
    """A tool of an installed package is listed but not imported until an entry of the configuration has its name."""
    async with open_toolbox() as box:
        off = {info.name: info for info in box.list_all()}
        before = await box.run(a_tool_call("shout", text="hi"), a_context())
    async with open_toolbox(ToolEntry(name="shout")) as box:
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


@pytest.mark.usefixtures("_install_package")
async def test_an_entry_point_that_fails_to_import_is_a_problem_at_start() -> None:
    """An enabled entry point that fails to import is a problem at start, which does not repeat the exception's text."""
    with pytest.raises(ConfigError) as failed:
        Toolbox({"exploding": ToolEntry(name="exploding")}, {})

    assert failed.value.problems == ["tools.exploding: the function cannot be loaded: RuntimeError"]
