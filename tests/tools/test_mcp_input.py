"""Input that a tool of an MCP server needs and cannot get here: the call ends with a status of its own, at once."""

import asyncio
from typing import Any

import pytest

from reasoning_grpc.config import ToolLimits
from reasoning_grpc.domain import ToolExecution, ToolStatus
from tests.support.asking_mcp import serve_asking
from tests.support.mcp_server import Reports, serve_http
from tests.support.mcp_toolbox import NEW, OLD, PATIENCE_SECONDS, http_entry, open_toolbox, stdio_entry
from tests.support.scripted_mcp import a_result_line, an_error_line, modern_entry, scripted_entry

NEEDS_INPUT = (
    "The tool needs input that it cannot get here. If only the user can give it, ask the user for it in the answer."
)
QUESTION = "It asks the user: What is your name?\nThe answer has the fields: name (string, required, Name)"


def a_question(**params: Any) -> dict[str, Any]:
    """Builds a request for an answer of the user."""
    return {"method": "elicitation/create", "params": {"message": "Who?", **params}}


async def call_scripted(reports: Reports, line: bytes, *, is_modern: bool = True) -> ToolExecution:
    """Calls the tool of a server that answers the call with this line."""
    entry = modern_entry(tools_call=[line]) if is_modern else scripted_entry(tools_call=[line])
    async with open_toolbox(reports, entry) as toolbox:
        return await toolbox.call("harm")


@pytest.mark.process
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_question_ends_the_call(reports: Reports, transport: str) -> None:
    """A tool that ends its call with a question has the status for it, and the model reads the question."""
    async with (
        serve_http(reports) as (_, url),
        open_toolbox(reports, stdio_entry(reports) if transport == "stdio" else http_entry(url)) as toolbox,
    ):
        execution = await toolbox.call("require_name")
        after = await toolbox.call("echo", text="still there")

    assert (execution.status, execution.error) == (ToolStatus.INPUT_REQUIRED, NEEDS_INPUT)
    assert execution.result == QUESTION
    assert execution.text_for_model == f"{NEEDS_INPUT}\n{QUESTION}"
    assert after.result == "still there"


@pytest.mark.process
@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.parametrize(
    ("tool", "text"),
    [
        ("ask_person", QUESTION),
        ("ask_model", "It asks a model: What is your name?"),
        ("ask_roots", "It asks for a list of folders."),
    ],
)
async def test_a_request_of_an_older_server_ends_the_call(
    reports: Reports, transport: str, tool: str, text: str
) -> None:
    """A tool that asks during its call, as older servers do, is refused at once, and the model reads what it asked."""
    async with (
        serve_http(reports, *OLD) as (_, url),
        open_toolbox(reports, stdio_entry(reports, *OLD) if transport == "stdio" else http_entry(url)) as toolbox,
    ):
        refused = await toolbox.call(tool)
        after = await toolbox.call("echo", text="still there")

    assert (refused.status, refused.error, refused.result) == (ToolStatus.INPUT_REQUIRED, NEEDS_INPUT, text)
    assert after.result == "still there"


async def test_a_question_whose_refusal_cannot_arrive_ends_the_call(reports: Reports) -> None:
    """A tool of an older server without sessions waits for ever for an answer, so its call is ended, here and there."""
    entry_limits = ToolLimits(timeout_seconds=600)
    async with (
        serve_asking() as server,
        open_toolbox(reports, http_entry(server.url, limits=entry_limits)) as toolbox,
    ):
        execution = await toolbox.call("ask")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await server.ended.wait()

    assert (execution.status, execution.error) == (ToolStatus.INPUT_REQUIRED, NEEDS_INPUT)
    assert execution.result == "It asks the user: Who?"
    assert [refusal["error"]["message"] for refusal in server.refusals] == ["Elicitation not supported"]


@pytest.mark.process
async def test_an_older_tool_may_go_on_without_an_answer(reports: Reports) -> None:
    """A tool that is refused an answer may do without it; one that reports an error then has its own words kept."""
    async with open_toolbox(reports, stdio_entry(reports, *OLD)) as toolbox:
        without = await toolbox.call("ask_person_or_do_without")
        in_vain = await toolbox.call("ask_person_in_vain")

    assert (without.status, without.result) == (ToolStatus.OK, "Hello, stranger.")
    assert in_vain.status is ToolStatus.INPUT_REQUIRED
    assert in_vain.result.startswith(f"{QUESTION}\n")
    assert in_vain.result.endswith("I greet nobody without a name.")


@pytest.mark.process
@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.parametrize(
    ("tool", "text"),
    [
        ("ask_person", "It asks the user a question."),
        ("ask_model", "It asks a model for an answer."),
        ("ask_roots", "It asks for a list of folders."),
    ],
)
async def test_a_newer_server_cannot_ask_during_a_call(reports: Reports, transport: str, tool: str, text: str) -> None:
    """A tool that asks during a call of the newer protocol is refused by its SDK, which says only what kind it is."""
    async with (
        serve_http(reports, *NEW) as (_, url),
        open_toolbox(reports, stdio_entry(reports, *NEW) if transport == "stdio" else http_entry(url)) as toolbox,
    ):
        refused = await toolbox.call(tool)

    assert (refused.status, refused.error, refused.result) == (ToolStatus.INPUT_REQUIRED, NEEDS_INPUT, text)


@pytest.mark.process
async def test_a_question_over_pipes_belongs_to_no_call_while_several_run(reports: Reports) -> None:
    """While two calls run over pipes, nothing says which of them a question belongs to, so both outcomes stay plain."""
    async with open_toolbox(reports, stdio_entry(reports, *OLD)) as toolbox:
        hanging = asyncio.create_task(toolbox.call("hang"))
        await reports.wait_for("hanging")
        refused = await toolbox.call("ask_person")
        hanging.cancel()

    assert refused.status is ToolStatus.FAILED


@pytest.mark.process
async def test_a_question_over_http_belongs_to_its_call(reports: Reports) -> None:
    """Over HTTP a question comes with the answer to its call, so it is recorded while other calls run as well."""
    async with serve_http(reports, *OLD) as (_, url), open_toolbox(reports, http_entry(url)) as toolbox:
        hanging = asyncio.create_task(toolbox.call("hang"))
        await reports.wait_for("hanging")
        refused = await toolbox.call("ask_person")
        hanging.cancel()

    assert (refused.status, refused.result) == (ToolStatus.INPUT_REQUIRED, QUESTION)


@pytest.mark.process
@pytest.mark.parametrize(
    ("requests", "text"),
    [
        ({"a": a_question()}, "It asks the user: Who?"),
        (
            {"a": a_question(mode="url", url="https://example.com/login", message="Log in.")},
            "It asks the user: Log in.\nThe user has to open https://example.com/login",
        ),
        (
            {"a": a_question(requestedSchema={"properties": {"size": {"enum": ["S", "M"]}, "note": {}}})},
            "It asks the user: Who?\nThe answer has the fields: size (one of S, M); note",
        ),
        ({"a": {"method": "roots/list"}, "b": a_question()}, "It asks for a list of folders.\nIt asks the user: Who?"),
        ({"a": {"method": "sampling/createMessage"}}, "It asks a model for an answer."),
        ({"a": {"method": "tasks/new"}}, "It asks for something else."),
        ({"a": {"method": "elicitation/create"}}, "It asks the user a question."),
        ({"a": 5}, "It asks for something else."),
        ({"a": a_question(message="x" * 5000)}, f"It asks the user: {'x' * 1000}..."),
        (
            {str(number): {"method": "roots/list"} for number in range(50)},
            "\n".join(["It asks for a list of folders."] * 5),
        ),
    ],
)
async def test_requests_are_described_within_bounds(reports: Reports, requests: dict[str, Any], text: str) -> None:
    """Each kind of request is described in a few words of bounded length, also where parts of it are missing."""
    result = {"resultType": "input_required", "inputRequests": requests, "requestState": "state"}
    execution = await call_scripted(reports, a_result_line(result))

    assert (execution.status, execution.result) == (ToolStatus.INPUT_REQUIRED, text)


@pytest.mark.process
@pytest.mark.parametrize(
    ("code", "data", "text"),
    [
        (-32021, {"requiredCapabilities": {"elicitation": {"form": {}}}}, "It asks the user a question."),
        (
            -32021,
            {"requiredCapabilities": {"roots": {}, "sampling": {}}},
            "It asks a model for an answer.\nIt asks for a list of folders.",
        ),
        (-32021, {"requiredCapabilities": {"extensions": {}}}, "It asks for something else."),
        (-32021, None, "It asks for something else."),
        (
            -32042,
            {"elicitations": [{"mode": "url", "url": "https://example.com/login", "message": "Log in."}]},
            "It asks the user: Log in.\nThe user has to open https://example.com/login",
        ),
        (-32042, None, "It asks the user a question."),
    ],
)
@pytest.mark.parametrize("is_modern", [True, False])
async def test_errors_that_ask_for_input(
    reports: Reports, is_modern: bool, code: int, data: dict[str, Any] | None, text: str
) -> None:
    """A server that refuses a call because we cannot give it input has the same outcome as one that asks."""
    execution = await call_scripted(reports, an_error_line(code, data), is_modern=is_modern)

    assert (execution.status, execution.error, execution.result) == (ToolStatus.INPUT_REQUIRED, NEEDS_INPUT, text)


@pytest.mark.process
async def test_a_server_without_requests_or_a_state_is_called_again(reports: Reports) -> None:
    """A result that asks for nothing is the answer of a busy server, so the call is repeated without a state."""
    busy = {"resultType": "input_required", "inputRequests": {}}
    done = {"resultType": "complete", "content": [{"type": "text", "text": "done"}]}
    entry = modern_entry(tools_call=[a_result_line(busy)], tools_call_2=[a_result_line(done)])
    async with open_toolbox(reports, entry) as toolbox:
        execution = await toolbox.call("harm")

    assert (execution.status, execution.result) == (ToolStatus.OK, "done")


@pytest.mark.process
async def test_a_result_that_asks_for_nothing_at_all_is_no_reason_to_call_again(reports: Reports) -> None:
    """The protocol wants requests or a state in such a result. Without both, the tool would only run once more."""
    execution = await call_scripted(reports, a_result_line({"resultType": "input_required"}), is_modern=True)

    assert execution.status is ToolStatus.FAILED
