"""The toolbox with Python functions as tools: which tools are usable, and which calls are run."""

import asyncio
import json

import pytest
from msgspec.structs import replace

from reasoning_grpc.config import ToolEntry
from reasoning_grpc.domain import ANONYMOUS, ToolCall, ToolSource, ToolState, ToolStatus
from tests.support import tools
from tests.support.factories import a_context
from tests.support.toolbox import a_tool_call, open_toolbox, tool_entry


async def test_a_plain_function_runs_in_a_thread() -> None:
    """A plain function that waits does not delay other calls, and the text that it returns is the result."""
    async with open_toolbox(tool_entry("wait_in_thread"), tool_entry("weather")) as box:
        waiting = asyncio.create_task(box.run(a_tool_call("wait_in_thread"), a_context()))
        await asyncio.to_thread(tools.started.wait)
        other = await box.run(a_tool_call("weather", city="Rome", days=2), a_context())
        tools.released.set()
        from_thread = await waiting

    assert other.status is ToolStatus.OK
    assert (other.call_id, other.name, other.result) == ("call_1", "weather", "Rome: rain for 2 days")
    assert from_thread.result == "tool wait_in_thread"


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
