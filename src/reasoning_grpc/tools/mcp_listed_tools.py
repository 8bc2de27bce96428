"""Checks the tools in an answer to `tools/list` one by one, before the SDK checks the answer as a whole.

The SDK refuses a list for one bad tool in it, and for fields that we do not use. So each tool is reduced to the fields
that we use, and a tool that cannot be called is left out of the list.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp.shared.inbound import find_invalid_x_mcp_header
from mcp_types.methods import validate_server_result
from pydantic import ValidationError

from reasoning_grpc.tools.foreign_schema import UnusableSchema

OUTPUT_SCHEMA: Final = "reasoning-grpc/outputSchema"
"""The place of the output schema in the `_meta` of a tool: before 2026-07-28 the SDK refuses many schemas."""
_TEXTS: Final = ("title", "description")
_STRICTEST_VERSION: Final = "2025-11-25"
"""The version of the protocol that says most about schemas: the SDK takes a tool of this version in all others."""
_MAX_NAME_CHARACTERS: Final = 100

ReportLeftOut = Callable[[str, str], None]
"""Receives the name of a tool that is left out, as the server calls it, and the reason."""


def has_tool_list(result: Mapping[str, Any]) -> bool:
    """Returns whether a result is a list of tools. The result of a call has `content` and may have any other member."""
    return isinstance(result.get("tools"), list) and "content" not in result


def select_callable_tools(
    listed: list[Any], report: ReportLeftOut, *, has_header_arguments: bool
) -> list[dict[str, Any]]:
    """Returns the tools that can be called, with the fields that we use, and reports the others.

    `has_header_arguments` says whether a schema may ask for arguments in headers, as it may from 2026-07-28 on.
    """
    usable = []
    for number, tool in enumerate(listed, 1):
        try:
            reduced = _reduce(tool)
            if has_header_arguments and find_invalid_x_mcp_header(reduced["inputSchema"]):
                raise UnusableSchema("its schema asks for a header that cannot be sent")
            usable.append(reduced)
        except UnusableSchema as exc:
            report(_find_name(tool) or f"#{number}", str(exc))
    return usable


def _find_name(tool: Any) -> str:
    """Returns the beginning of a tool's name; empty where it has none."""
    name = tool.get("name") if isinstance(tool, dict) else None
    return name[:_MAX_NAME_CHARACTERS] if isinstance(name, str) else ""


def _reduce(tool: Any) -> dict[str, Any]:
    """Returns the tool with the fields that we use. Raises UnusableSchema for a tool that cannot be called."""
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str) or not tool["name"]:
        raise UnusableSchema("it has no name")
    schema = tool.get("inputSchema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise UnusableSchema("its schema does not say that the arguments are an object")
    execution = tool.get("execution")
    if isinstance(execution, dict) and execution.get("taskSupport") == "required":
        raise UnusableSchema("it can only be called as a task")
    texts = {key: tool[key] for key in _TEXTS if isinstance(tool.get(key), str)}
    reduced = {"name": tool["name"], "inputSchema": schema, **texts}
    if tool.get("outputSchema") is not None:
        reduced["_meta"] = {OUTPUT_SCHEMA: tool["outputSchema"]}
    try:
        validate_server_result("tools/list", _STRICTEST_VERSION, {"tools": [reduced]})
    except ValidationError as exc:
        raise UnusableSchema("it is no JSON Schema") from exc
    return reduced
