#!/usr/bin/env bash
# The MCP project's own reference server answers an unknown session with 400, and the protocol asks for 404.
#
# Versions: @modelcontextprotocol/server-everything 2026.8.31, on Node.js 20 (first seen 2026-11-29).
#
# Expected: the transport "Streamable HTTP" of the Model Context Protocol (2025-06-18, section Session Management) says
#   that a server answers requests with the id of a session that has ended with 404, and that a client which gets a 404
#   begins a new session.
# Seen: with the id of a session that its predecessor on the same address gave out, the restarted server answers 400 and
#   the JSON-RPC error -32000 "Bad Request: No valid session ID provided". A client that waits for 404 keeps its session.
# Why it matters here: an MCP server is deployed anew while ours runs. We connect again after such a refusal, too, but the
#   one call that meets it fails.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed. Needs Node.js 20.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '{ [ -z "$server" ] || kill -9 "$server" && wait "$server" || true; } 2>/dev/null; rm -rf "$folder"' EXIT
(cd "$folder" && timeout 400 npm install --silent --no-fund --no-audit --ignore-scripts \
    @modelcontextprotocol/server-everything@2026.8.31)
program=$folder/node_modules/@modelcontextprotocol/server-everything/dist/index.js

start_server() {
    PORT=$port node "$program" streamableHttp >"$folder/log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        ! curl --silent --output /dev/null "http://127.0.0.1:$port/mcp" || return 0
        sleep 0.1
    done
    cat "$folder/log" >&2
    return 1
}

send() {
    curl --silent --max-time 20 "http://127.0.0.1:$port/mcp" -H "content-type: application/json" \
        -H "accept: application/json, text/event-stream" "$@"
}

port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
start_server
session=$(send --dump-header - --output /dev/null --data '{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
    {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "finding", "version": "1"}}}' |
    tr -d '\r' | sed -n 's/^mcp-session-id: //Ip')
{ kill -9 "$server"; wait "$server" || true; } 2>/dev/null
start_server
status=$(send --output "$folder/answer" --write-out '%{http_code}' -H "mcp-session-id: $session" \
    --data '{"jsonrpc": "2.0", "id": 2, "method": "tools/list"}')

echo "@modelcontextprotocol/server-everything 2026.8.31, Node.js $(node --version)"
echo "session of the first process: ${session:+given}"
echo "expected of the second process: 404"
echo "seen: $status $(cat "$folder/answer")"
if [ -z "$session" ] || [ "$status" != 400 ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
echo "The behaviour is still as described."
