"""Messages of an MCP server that are hard to read: none of them makes a call wait in vain or ends the connection."""

from typing import Any

import pytest

from reasoning_grpc.domain import McpServerState, ToolStatus
from tests.support.mcp_server import Reports
from tests.support.mcp_toolbox import open_toolbox
from tests.support.scripted_mcp import a_result_line, scripted_entry

DONE = a_result_line({"content": [{"type": "text", "text": "done"}]})


@pytest.mark.process
@pytest.mark.parametrize(
    "noise",
    [b"\xff\xfe\x00 no text", b"a line of a log", b"[1, 2]", b"{", b"null", b""],
    ids=["no text", "log", "list", "broken", "null", "empty"],
)
async def test_an_unreadable_line_is_skipped(reports: Reports, noise: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A line that is no message is skipped and logged once, and the call gets the answer that follows."""
    async with open_toolbox(reports, scripted_entry(tools_call=[noise, noise, DONE])) as toolbox:
        executions = [await toolbox.call("harm") for _ in range(2)]
        is_connected = toolbox.is_in_state(McpServerState.CONNECTED)

    assert [execution.result for execution in executions] == ["done", "done"]
    assert is_connected
    assert caplog.messages.count("unreadable message of an mcp server is skipped") == 1


@pytest.mark.process
@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rb"a\ud800b", "a\N{REPLACEMENT CHARACTER}b"),
        (rb"a\udc00b", "a\N{REPLACEMENT CHARACTER}b"),
        (rb"\ud83d\ude00", "\N{GRINNING FACE}"),
        (b"a\xffb", "a\N{REPLACEMENT CHARACTER}b"),
        (b"a\tb", "a\tb"),
    ],
    ids=["high surrogate", "low surrogate", "pair", "no UTF-8", "control character"],
)
async def test_an_answer_with_bad_characters_is_read(reports: Reports, text: bytes, read: str) -> None:
    """Characters that no text may contain are replaced, and the rest of the answer reaches the model."""
    line = DONE.replace(b"done", text)
    async with open_toolbox(reports, scripted_entry(tools_call=[line])) as toolbox:
        execution = await toolbox.call("harm")

    assert (execution.status, execution.result) == (ToolStatus.OK, read)


@pytest.mark.process
@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":$id}',
        b'{"jsonrpc":"2.0","id":$id,"result":"text"}',
        b'{"jsonrpc":"2.0","id":$id,"error":"text"}',
        b'{"jsonrpc":"2.0","id":$id,"result":{"content":[',
        b'{"jsonrpc":"2.0","id":$id,"result":' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'{"result":' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b',"id":$id}',
        DONE.replace(b"2.0", b"1.0"),
        DONE.replace(b'"text": "done"', b'"text": 5'),
    ],
    ids=["neither", "text", "error text", "cut", "deep list", "deep, id last", "version", "wrong type"],
)
async def test_an_answer_that_cannot_be_read_fails_at_once(reports: Reports, line: bytes) -> None:
    """A call whose answer cannot be read fails when the answer comes, and the next call is made."""
    async with open_toolbox(reports, scripted_entry(tools_call=[line])) as toolbox:
        executions = [await toolbox.call("harm") for _ in range(2)]

    assert {execution.status for execution in executions} == {ToolStatus.FAILED}


@pytest.mark.process
@pytest.mark.parametrize("message", ["No.", "Connection closed", ""])
@pytest.mark.parametrize("code", [-32000, -32001, -32603, 7])
async def test_the_error_of_a_live_server_is_a_refusal(
    reports: Reports, code: int, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that a server answers is a refusal, also with the code that the SDK has for a lost connection."""
    line = b'{"jsonrpc":"2.0","id":$id,"error":{"code":%d,"message":"%s"}}' % (code, message.encode())
    async with open_toolbox(reports, scripted_entry(tools_call=[line])) as toolbox:
        execution = await toolbox.call("harm")

    refusals = [vars(record) for record in caplog.records if record.message == "mcp server refused a call"]
    assert (execution.status, execution.error) == (ToolStatus.FAILED, "The tool's server refused the call.")
    assert [record["code"] for record in refusals] == [code]


GOOD: dict[str, Any] = {"name": "good", "inputSchema": {"type": "object"}}


@pytest.mark.process
@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({"name": "bad", "inputSchema": {}}, "its schema does not say that the arguments are an object"),
        ({"name": "bad", "inputSchema": {"type": "array"}}, "its schema does not say that the arguments are an object"),
        ({"name": "bad", "inputSchema": None}, "its schema does not say that the arguments are an object"),
        ({"name": "bad"}, "its schema does not say that the arguments are an object"),
        (GOOD | {"name": "bad", "execution": {"taskSupport": "required"}}, "it can only be called as a task"),
        (GOOD | {"name": "bad", "inputSchema": {"type": "object", "properties": 5}}, "it is no JSON Schema"),
        (GOOD | {"name": "bad", "inputSchema": {"type": "object", "required": "a"}}, "it is no JSON Schema"),
        (
            GOOD | {"name": "bad", "inputSchema": {"type": "object", "properties": {"a": {"type": "text"}}}},
            "it is no JSON Schema",
        ),
        (GOOD | {"name": 5}, "it has no name"),
        ("bad", "it has no name"),
        (None, "it has no name"),
    ],
)
async def test_a_bad_tool_is_left_out_alone(
    reports: Reports, bad: object, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A tool that cannot be called is left out and named in the log, and the other tools of its list are usable."""
    entry = scripted_entry(tools_list=[a_result_line({"tools": [bad, GOOD]})])
    async with open_toolbox(reports, entry) as toolbox:
        names = [info.name for info in toolbox.box.list_all() if info.mcp_server]
        execution = await toolbox.call("good")

    records = [vars(record) for record in caplog.records if record.message == "tool of an mcp server is left out"]
    assert names == ["test__good"]
    assert execution.result == "done"
    assert [record["problem"] for record in records] == [problem]
    assert records[0]["tool"] == "test__bad" or problem == "it has no name"


@pytest.mark.process
@pytest.mark.parametrize(
    "field",
    [
        {"outputSchema": 5},
        {"annotations": "none"},
        {"icons": 5},
        {"execution": {"taskSupport": "sometimes"}},
        {"description": 5},
        {"title": ["a"]},
        {"_meta": "x"},
    ],
    ids=str,
)
async def test_fields_that_are_not_used_may_be_wrong(reports: Reports, field: dict[str, Any]) -> None:
    """A tool is usable whatever stands in the fields of its listing that calls do not need."""
    entry = scripted_entry(tools_list=[a_result_line({"tools": [GOOD | field]})])
    async with open_toolbox(reports, entry) as toolbox:
        execution = await toolbox.call("good")

    assert execution.result == "done"
