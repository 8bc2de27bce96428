"""One call of a tool of an MCP server: how it is sent, and what its end means."""

from collections.abc import Mapping
from typing import Any

from mcp import Client, MCPError
from mcp_types import CONNECTION_CLOSED, INVALID_PARAMS, CallToolRequest, CallToolRequestParams, CallToolResult
from opentelemetry.context import Context, attach, detach
from pydantic import ValidationError

from reasoning_grpc.domain import CallContext
from reasoning_grpc.tools.errors import NoResult, ToolError
from reasoning_grpc.tools.results import ToolOutput, text_of_content


async def output_of_call(client: Client, name: str, arguments: Mapping[str, Any], context: CallContext) -> ToolOutput:
    """Calls a tool. Raises MCPError where the server refuses, and NoResult.

    Not by the SDK's `call_tool`, which checks results against the server's own schema: that checks the server by its
    own word, and could take for ever.
    """
    request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=dict(arguments)))
    # The SDK sends from a task of its own, in the context that is current here.
    token = attach(context.trace or Context())
    try:
        result = await client.session.send_request(request, CallToolResult)
    except (ValidationError, RuntimeError) as exc:
        raise NoResult("The tool's server gave an answer that cannot be read.") from exc
    finally:
        detach(token)
    blocks = [block.model_dump(mode="json", by_alias=True) for block in result.content]
    return ToolOutput(text_of_content(blocks, result.structured_content), is_error=result.is_error)


def failure_of_call(error: MCPError) -> Exception:
    """What a refusal means; its text is the model's to read only where it is about the arguments."""
    if error.code == INVALID_PARAMS:
        return ToolError(error.message)
    if error.code == CONNECTION_CLOSED:
        return NoResult("The connection to the tool's server was lost.")
    return NoResult("The tool's server refused the call.")
