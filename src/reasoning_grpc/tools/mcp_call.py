"""One call of an MCP server's tool: how it is sent, and what its failures mean."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from mcp import Client, MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
)
from opentelemetry.context import Context, attach, detach
from pydantic import TypeAdapter, ValidationError

from reasoning_grpc.domain import CallContext
from reasoning_grpc.tools.errors import NoResult, ToolError
from reasoning_grpc.tools.mcp_incoming import SDK_CLOSED
from reasoning_grpc.tools.results import ToolOutput, convert_content
from reasoning_grpc.tools.tool import ProgressCallback

_LOST: Final = (SDK_CLOSED, "SSE stream ")
"""How the texts of the SDK's own errors for a lost connection begin. Servers use the code of these errors as well."""
_RESULT: Final = TypeAdapter[CallToolResult | InputRequiredResult](CallToolResult | InputRequiredResult)
_RETRY_SECONDS: Final = 0.25
"""The pause before a call is repeated that the server could not finish yet."""


async def call_tool(
    client: Client, name: str, arguments: Mapping[str, Any], context: CallContext, on_progress: ProgressCallback
) -> ToolOutput:
    """Calls a tool. Raises MCPError where the server refuses, and NoResult.

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
    return ToolOutput(convert_content(blocks, result.structured_content), is_error=result.is_error)


async def _request_result(
    client: Client, params: CallToolRequestParams, on_progress: ProgressCallback
) -> CallToolResult:
    """Sends the call, and repeats it with the server's state for as long as the server needs only more time.

    Raises NoResult where the server needs an answer of a person or of a model, which we do not offer it.
    """

    async def report_progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001
        on_progress()

    while True:
        request = CallToolRequest(params=params)
        result = await client.session.send_request(request, _RESULT, progress_callback=report_progress)
        if isinstance(result, CallToolResult):
            return result
        if result.input_requests:
            raise NoResult("The tool asks for input that it cannot get here.")
        await asyncio.sleep(_RETRY_SECONDS)
        params = params.model_copy(update={"request_state": result.request_state})


def convert_refusal(error: MCPError) -> Exception:
    """Converts a refusal to one of our errors. The model reads its text only where it is about the arguments."""
    if error.code == INVALID_PARAMS:
        return ToolError(error.message)
    if error.code == CONNECTION_CLOSED and error.message.startswith(_LOST):
        return NoResult("The connection to the tool's server was lost.")
    return NoResult("The tool's server refused the call.")
