#!/usr/bin/env bash
# One tool that returns a list, in a server made with the MCP SDK for Go, costs a client of the Python SDK all its tools.
#
# Versions: github.com/modelcontextprotocol/go-sdk v1.8.0 and mcp 2.3.0 for Python (first seen 2026-11-29).
#
# Expected: before 2026-07-28, the Model Context Protocol wants an `outputSchema` of the type "object" (schema.ts of
#   2025-11-25). A server that speaks an older version with a client gives it such schemas, as the SDK for TypeScript
#   does: it puts the list into an object. And one tool that a client cannot read does not hide the others.
# Seen: mcp.AddTool takes a handler that returns []string, and lists its schema {"type": ["null", "array"]} in every
#   version. Over HTTP this server speaks only the older versions, because it keeps sessions by default. The client of the
#   Python SDK checks the list as a whole, and raises a ValidationError: `greet`, which has no output schema, is lost too.
#   With `Stateless: true` both speak 2026-07-28, and the same two tools are listed.
# Why it matters here: an operator cannot see why a server whose tools work elsewhere has none. We take each tool alone, and
#   keep schemas and structured results away from the SDK's check.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed. Needs Go 1.25.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '{ [ -z "$server" ] || kill -9 "$server" && wait "$server" || true; } 2>/dev/null; rm -rf "$folder"' EXIT
export GOPATH=$folder/go GOFLAGS=-modcacherw
mkdir "$folder/server"
cat >"$folder/server/main.go" <<'EOF'
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type nothing struct{}

func greet(context.Context, *mcp.CallToolRequest, nothing) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "Hello."}}}, nil, nil
}

func listCities(context.Context, *mcp.CallToolRequest, nothing) (*mcp.CallToolResult, []string, error) {
	return nil, []string{"Bergen", "Oslo"}, nil
}

func main() {
	server := mcp.NewServer(&mcp.Implementation{Name: "finding", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "greet"}, greet)
	mcp.AddTool(server, &mcp.Tool{Name: "list_cities"}, listCities)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	options := &mcp.StreamableHTTPOptions{Stateless: os.Args[1] == "stateless"}
	fmt.Printf("http://%s/mcp\n", listener.Addr())
	log.Fatal(http.Serve(listener, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, options)))
}
EOF
(cd "$folder/server" && go mod init finding && go get github.com/modelcontextprotocol/go-sdk/mcp@v1.8.0 && go build -o ../program .) \
    >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 2; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mcp==2.3.0
cat >"$folder/client.py" <<'EOF'
import asyncio
import sys

from mcp import Client
from pydantic import ValidationError


async def list_tools():
    async with Client(sys.argv[1]) as client:
        try:
            tools = sorted(tool.name for tool in (await client.list_tools()).tools)
        except ValidationError as exc:
            tools = [f"ValidationError at {'.'.join(map(str, exc.errors()[0]['loc']))}"]
        return f"{client.protocol_version}: {', '.join(tools)}"


print(asyncio.run(list_tools()))
EOF

list_tools() {
    "$folder/program" "$1" >"$folder/address" 2>/dev/null &
    server=$!
    until [ -s "$folder/address" ]; do sleep 0.05; done
    "$folder/venv/bin/python" "$folder/client.py" "$(cat "$folder/address")"
    { kill -9 "$server"; wait "$server" || true; } 2>/dev/null
    : >"$folder/address"
}

stateful=$(list_tools stateful)
stateless=$(list_tools stateless)
echo "github.com/modelcontextprotocol/go-sdk v1.8.0, mcp 2.3.0"
echo "with sessions, expected: 2025-11-25: greet, list_cities, or greet alone"
echo "with sessions, seen:     $stateful"
echo "without them, seen:      $stateless"
if [ "$stateful" != "2025-11-25: ValidationError at tools.1.outputSchema.type" ] ||
    [ "$stateless" != "2026-07-28: greet, list_cities" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
echo "The behaviour is still as described."
