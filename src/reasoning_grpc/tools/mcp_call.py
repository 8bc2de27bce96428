"""`McpCalls`: calls the tools of an MCP server."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from mcp import Client, MCPError
from mcp_types import (
    HEADER_MISMATCH,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
)
from opentelemetry.context import Context, attach, detach
from pydantic import ValidationError

from reasoning_grpc.domain import CallContext
from reasoning_grpc.tools.errors import InputRequired, NoResult
from reasoning_grpc.tools.mcp_asked import AskedInput
from reasoning_grpc.tools.mcp_call_results import INPUT_REQUIRED, STRUCTURED
from reasoning_grpc.tools.mcp_input import describe_input_requests, list_members
from reasoning_grpc.tools.mcp_listing import refresh_headers
from reasoning_grpc.tools.mcp_problems import FIRST_FAILED_STATUS
from reasoning_grpc.tools.mcp_refusals import convert_refusal
from reasoning_grpc.tools.mcp_transport import HttpStatus, record_http_status
from reasoning_grpc.tools.results import NOTHING, ToolOutput, convert_content
from reasoning_grpc.tools.tool import ProgressCallback

_RETRY_SECONDS: Final = 0.25
"""The pause before a call is repeated that the server could not finish yet."""

_logger = logging.getLogger("reasoning_grpc.tools")


class McpCalls:
    """The calls of one server's tools, over whatever connection it has."""

    def __init__(self, mcp_server: str, asked: AskedInput, *, on_refusal: Callable[[], None]) -> None:
        """`asked` records what the server asks for during calls. `on_refusal` is called when it refuses one."""
        self._mcp_server: Final = mcp_server
        self._asked: Final = asked
        self._on_refusal: Final = on_refusal

    async def call(
        self,
        client: Client,
        name: str,
        arguments: Mapping[str, Any],
        context: CallContext,
        on_progress: ProgressCallback,
    ) -> ToolOutput:
        """Calls a tool by its name on the server. Raises ToolError, InputRequired and NoResult."""
        try:
            async with asyncio.timeout(None) as limit:
                with record_http_status() as http_status, self._asked.record(limit) as asked:
                    output = await _call_with_headers(client, name, arguments, context, on_progress)
        except TimeoutError:
            if not limit.expired():
                raise
            raise InputRequired(describe_input_requests(asked.requests)) from None
        except MCPError as exc:
            self._report_refusal(exc, http_status, context)
            refusal = convert_refusal(exc)
            raise (InputRequired(describe_input_requests(asked.requests)) if asked.requests else refusal) from None
        if output.is_error and asked.requests:
            raise InputRequired(f"{describe_input_requests(asked.requests)}\n{output.text}")
        return output

    def _report_refusal(self, refusal: MCPError, http_status: HttpStatus, context: CallContext) -> None:
        self._on_refusal()
        facts = {"mcp_server": self._mcp_server, "code": refusal.code, "request_id": context.request_id}
        if http_status.code >= FIRST_FAILED_STATUS:
            facts["http_status"] = http_status.code
        _logger.warning("mcp server refused a call", extra=facts)


async def _call_with_headers(
    client: Client, name: str, arguments: Mapping[str, Any], context: CallContext, on_progress: ProgressCallback
) -> ToolOutput:
    """Calls a tool, and calls it again after a look at the list where the server misses a header. Raises MCPError.

    A server may want arguments in headers as well, and the list says which. It has not run the tool then.
    """
    try:
        return await _call_tool(client, name, arguments, context, on_progress)
    except MCPError as exc:
        if exc.code != HEADER_MISMATCH:
            raise
    with suppress(ValidationError):  # then the server misses the header again
        await refresh_headers(client, name)
    return await _call_tool(client, name, arguments, context, on_progress)


async def _call_tool(
    client: Client, name: str, arguments: Mapping[str, Any], context: CallContext, on_progress: ProgressCallback
) -> ToolOutput:
    """Calls a tool. Raises MCPError where the server refuses, InputRequired, and NoResult.

    It does not use the SDK's `call_tool`, because that checks results against a schema of the server's, which is not
    trusted and may make the check endless.
    """
    params = CallToolRequestParams(name=name, arguments=dict(arguments))
    # The SDK sends from a task of its own, which inherits the context that is current here.
    token = attach(context.trace or Context())
    try:
        result = await _request_result(client, params, on_progress)
    except (ValidationError, RuntimeError) as exc:
        raise NoResult("The tool's server gave an answer that cannot be read.") from exc
    finally:
        detach(token)
    blocks = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]
    structured = (result.meta or {}).get(STRUCTURED, NOTHING)
    return ToolOutput(convert_content(blocks, structured), is_error=result.is_error, structured=structured)


async def _request_result(
    client: Client, params: CallToolRequestParams, on_progress: ProgressCallback
) -> CallToolResult:
    """Sends the call, and repeats it with the server's state for as long as the server needs only more time.

    Raises InputRequired where the server needs an answer of a person or of a model, which we do not offer it, and
    NoResult where it asks for nothing and has no state either: to repeat such a call would only run the tool again.
    """

    async def report_progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001
        on_progress()

    while True:
        request = CallToolRequest(params=params)
        result = await client.session.send_request(request, CallToolResult, progress_callback=report_progress)
        needed = (result.meta or {}).get(INPUT_REQUIRED)
        if needed is None:
            return result
        if asked := list_members(needed["inputRequests"]):
            raise InputRequired(describe_input_requests(asked))
        state = needed["requestState"]
        if needed["inputRequests"] is None and state is None:
            raise NoResult("The tool's server asked for input without saying for which.")
        await asyncio.sleep(_RETRY_SECONDS)
        params = params.model_copy(update={"request_state": state if isinstance(state, str) else None})
