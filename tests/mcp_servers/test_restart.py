"""The official server `server-everything` is started again behind our tools, and does not know their session."""

import pytest

from reasoning_grpc.config import McpServerEntry
from reasoning_grpc.domain import McpServerState, ToolCall, ToolExecution, ToolStatus
from reasoning_grpc.tools import Toolbox
from tests.support.factories import a_context
from tests.support.mcp_toolbox import wait_until
from tests.support.official_servers import serve_remote

pytestmark = [pytest.mark.mcp_servers, pytest.mark.process]


async def test_a_new_session_follows_a_refused_one(caplog: pytest.LogCaptureFixture) -> None:
    """A server that answers HTTP 400 for a session it does not know, and not 404, is connected again."""

    async def echo() -> ToolExecution:
        return await box.run(ToolCall("c1", "remote__echo", '{"message": "hi"}'), a_context())

    async with serve_remote() as port:
        box = Toolbox({}, {"remote": McpServerEntry(name="remote", url=f"http://127.0.0.1:{port}/mcp")})
        await box.start()
        await box.wait_for_first_attempts()
        before = await echo()
    try:
        async with serve_remote(port):
            refused = await echo()
            await wait_until(lambda: "mcp server is down" in caplog.messages)
            await wait_until(lambda: box.list_servers()[0].state is McpServerState.CONNECTED)
            after = await echo()
    finally:
        await box.aclose()

    (down,) = (vars(record) for record in caplog.records if record.message == "mcp server is down")
    assert down["problem"] == "it answers HTTP 400"
    assert refused.status is ToolStatus.FAILED
    assert before.result == after.result == "Echo: hi"
