"""Results of tool calls: how values, errors and exceptions of a function reach the model."""

import logging
from typing import Any

import pytest
from msgspec.structs import replace

from reasoning_grpc.domain import ToolStatus
from tests.support.factories import a_context
from tests.support.toolbox import SECRET, a_tool_call, open_toolbox, run_tool, tool_entry


async def test_a_value_that_is_no_text_becomes_json() -> None:
    """A returned value that is no text becomes compact JSON."""
    execution = await run_tool("weather_without_thread", city="Rome")

    assert execution.status is ToolStatus.OK
    assert execution.result == '{"city":"Rome","temperatures":[1.5,2],"sunny":false}'
    assert execution.text_for_model == execution.result
    assert execution.duration_seconds >= 0


async def test_a_long_result_is_cut_visibly() -> None:
    """A result of ten million characters is cut to the limit, and says so at its end."""
    execution = await run_tool("write_letters", settings={"max_result_characters": 1000}, characters=10_000_000)

    assert execution.status is ToolStatus.OK
    assert execution.result_truncated
    assert execution.result == "ä" * 1000 + "... [cut: 10,000,000 characters in all]"


async def test_a_blank_result_is_named_for_the_model() -> None:
    """The caller gets a blank result as it is, and the model a note, because some providers refuse blank results."""
    execution = await run_tool("write_letters", characters=0)
    blank = replace(execution, result=" \n")
    failed = replace(execution, error="It failed.")

    assert (execution.status, execution.result) == (ToolStatus.OK, "")
    assert execution.text_for_model == blank.text_for_model == "[empty result]"
    assert failed.text_for_model == "It failed."


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


async def test_a_function_may_ask_for_input() -> None:
    """A function that needs an answer of the user ends with the status for it, and the model reads what it asks for."""
    execution = await run_tool("ask_for_a_city")

    assert execution.status is ToolStatus.INPUT_REQUIRED
    assert execution.error.startswith("The tool needs input that it cannot get here.")
    assert execution.result == "Which city do you mean?"


async def test_a_tool_error_of_an_argument_check_reaches_the_model() -> None:
    """The text of a ToolError that a check of an argument raises is the result of the rejected call."""
    execution = await run_tool("explain_bad_city", city="Rome")

    assert execution.status is ToolStatus.INVALID_ARGUMENTS
    assert execution.error == "The tool does not take the arguments."
    assert execution.result == "Rome has no station."


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
