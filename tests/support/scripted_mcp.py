"""An MCP server in a process of its own that writes exactly the bytes that a test gives it.

The file runs as `scripted_mcp.py SCRIPT`, where SCRIPT is the JSON of a table from methods to lists of lines in Base64.
In a line, `$id` stands for the id of the request. For a method without lines, the server writes a usual answer.
"""

import base64
import json
import sys
from typing import Any, Final

from reasoning_grpc.config import McpServerEntry

_USUAL: Final[dict[str, dict[str, Any]]] = {
    "initialize": {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "scripted", "version": "1"},
    },
    "tools/list": {"tools": [{"name": "harm", "inputSchema": {"type": "object"}}]},
    "tools/call": {"content": [{"type": "text", "text": "done"}]},
}


def scripted_entry(**lines: list[bytes]) -> McpServerEntry:
    """Builds the entry of a scripted server. Its argument `tools_call` has the lines for the method `tools/call`."""
    script = {
        method.replace("_", "/"): [base64.b64encode(line).decode() for line in each] for method, each in lines.items()
    }
    return McpServerEntry(name="test", command=sys.executable, args=("-P", __file__, json.dumps(script)))


def a_result_line(result: dict[str, Any]) -> bytes:
    """Builds the line of an answer with this result."""
    return b'{"jsonrpc":"2.0","id":$id,"result":' + json.dumps(result).encode() + b"}"


def main() -> None:
    """Answers until the standard input ends."""
    script = json.loads(sys.argv[1])
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" not in message:
            continue
        method, request = message["method"], str(message["id"]).encode()
        if method in script:
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
