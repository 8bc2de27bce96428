"""An MCP server in a process of its own that writes exactly the bytes that a test gives it.

The file runs as `scripted_mcp.py SCRIPT`, where SCRIPT is the JSON of a table from methods to lists of lines in Base64.
In a line, `$id` stands for the id of the request. For a method without lines, the server writes a usual answer. The
lines of `tools/call/2` are for the second request of `tools/call`.
"""

import base64
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from reasoning_grpc.config import McpServerEntry

A_TOOL: Final[dict[str, Any]] = {"name": "harm", "inputSchema": {"type": "object"}}
_USUAL: Final[dict[str, dict[str, Any]]] = {
    "initialize": {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "scripted", "version": "1"},
    },
    "tools/list": {"tools": [A_TOOL]},
    "tools/call": {"content": [{"type": "text", "text": "done"}]},
}


def scripted_entry(**lines: list[bytes]) -> McpServerEntry:
    """Builds the entry of a scripted server. Its argument `tools_call` has the lines for the method `tools/call`.

    The argument `tools_call_2` has the lines for the second request of that method.
    """
    script = {
        method.replace("_", "/"): [base64.b64encode(line).decode() for line in each] for method, each in lines.items()
    }
    return McpServerEntry(name="test", command=sys.executable, args=("-P", __file__, json.dumps(script)))


def modern_entry(*, tools: Sequence[dict[str, Any]] = (A_TOOL,), **lines: list[bytes]) -> McpServerEntry:
    """Builds the entry of a scripted server that speaks the protocol of 2026-07-28 and has these tools."""
    cached = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    discovery = cached | {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
    usual = {
        "server_discover": [a_result_line(discovery)],
        "tools_list": [a_result_line(cached | {"tools": list(tools)})],
    }
    return scripted_entry(**(usual | lines))


def a_result_line(result: dict[str, Any]) -> bytes:
    """Builds the line of an answer with this result."""
    return b'{"jsonrpc":"2.0","id":$id,"result":' + json.dumps(result).encode() + b"}"


def an_error_line(code: int, data: Any = None) -> bytes:
    """Builds the line of an error."""
    error = {"code": code, "message": "A text of the server.", "data": data}
    return b'{"jsonrpc":"2.0","id":$id,"error":' + json.dumps(error).encode() + b"}"


def main() -> None:
    """Answers until the standard input ends."""
    script, counts = json.loads(sys.argv[1]), Counter[str]()
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" not in message:
            continue
        method, request = message["method"], json.dumps(message["id"]).encode()
        counts[method] += 1
        numbered = f"{method}/{counts[method]}"
        if numbered in script:
            lines = [base64.b64decode(each) for each in script[numbered]]
        elif method in script:
            lines = [base64.b64decode(each) for each in script[method]]
        elif method in _USUAL:
            lines = [b'{"jsonrpc":"2.0","id":$id,"result":' + json.dumps(_USUAL[method]).encode() + b"}"]
        else:
            lines = [b'{"jsonrpc":"2.0","id":$id,"error":{"code":-32601,"message":"Method not found"}}']
        for each in lines:
            sys.stdout.buffer.write(each.replace(b"$id", request) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
