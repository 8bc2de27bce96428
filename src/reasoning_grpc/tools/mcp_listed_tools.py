"""Checks the tools in an answer to `tools/list` one by one, before the SDK checks the answer as a whole.

The SDK refuses a list for one bad tool in it, and for fields that we do not use. So each tool is reduced to the fields
that we use, and a tool that cannot be called is left out of the list.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp_types.methods import validate_server_result
from pydantic import ValidationError

from reasoning_grpc.tools.foreign_schema import UnusableSchema

_TEXTS: Final = ("title", "description")
_STRICTEST_VERSION: Final = "2025-11-25"
"""The version of the protocol that says most about schemas: the SDK takes a tool of this version in all others."""
_MAX_NAME_CHARACTERS: Final = 100

ReportLeftOut = Callable[[str, str], None]
"""Receives the name of a tool that is left out, as the server calls it, and the reason."""


def has_tool_list(result: Mapping[str, Any]) -> bool:
    """Returns whether a result is a list of tools. The result of a call has `content` and may have any other member."""
    return isinstance(result.get("tools"), list) and "content" not in result


def select_callable_tools(listed: list[Any], report: ReportLeftOut) -> list[dict[str, Any]]:
    """Returns the tools that can be called, with the fields that we use, and reports the others."""
    usable = []
    for number, tool in enumerate(listed, 1):
        try:
            usable.append(_reduce(tool))
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
    try:
        validate_server_result("tools/list", _STRICTEST_VERSION, {"tools": [reduced]})
    except ValidationError as exc:
        raise UnusableSchema("it is no JSON Schema") from exc
    return reduced
