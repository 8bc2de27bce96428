#!/usr/bin/env bash
# litellm changes JSON schemas on their way to a provider, so that they mean something else, and reports success.
#
# Versions: litellm 1.106.2 (first seen 2026-11-29).
#
# Expected: a schema that the provider's dialect can say is sent with its meaning, and litellm refuses any other.
# Seen: without an exception or a line in the log,
#   - anthropic/: the values of a map lose their schema: with `additionalProperties: false` the map can only be empty.
#   - gemini/: a value of `{"enum": ["C", "F"]}` or `{"const": "city"}` becomes an object of any form, although the dialect
#     has typed enums; `exclusiveMinimum` and `oneOf` vanish.
#   - gemini/: a property of the name "strict" is deleted from the arguments of a tool, and stays required.
# Why it matters here: the answer is valid, and what the caller asked for cannot stand in it; tools of MCP servers are
#   called with arguments that they refuse. We write schemas ourselves as far as the dialect goes, and refuse the rest by
#   keyword and place.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.106.2

export LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import litellm

MESSAGE = {"role": "assistant", "content": "{}"}
ANSWERS = {
    "/chat/completions": {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]},
    "/v1/messages": {
        "id": "m1",
        "type": "message",
        "model": "m",
        "role": "assistant",
        "content": [{"type": "text", "text": "{}"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    ":generateContent": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "{}"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    },
}
"""An answer of each protocol, by the end of the path."""


class Provider(BaseHTTPRequestHandler):
    """Keeps the body of the last request, and answers it."""

    body = None

    def do_POST(self):
        Provider.body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.partition("?")[0]
        answer = json.dumps(next(each for end, each in ANSWERS.items() if path.endswith(end))).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()


def capture(model, **request):
    """Returns the body that a provider gets of a call that succeeds. litellm edits what it gets, so it gets a copy."""
    fixed = {"api_base": f"http://127.0.0.1:{server.server_port}", "api_key": "none"}
    fixed["_skip_mcp_handler"] = True  # else litellm needs the package mcp for a request with tools
    litellm.completion(model=model, **fixed, **json.loads(json.dumps(request)))
    return Provider.body


failed = []


def show(title, requested, sent, expected):
    """Prints a difference, and remembers it when it is no longer there."""
    print(f"{title}\n  requested: {json.dumps(requested)}\n  sent:      {json.dumps(sent)}")
    if sent != expected:
        failed.append(title)


print(f"litellm {version('litellm')}")
HI = [{"role": "user", "content": "Hi"}]


def object_of(required=(), **properties):
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


def declare(parameters):
    """Returns the arguments of a tool as Gemini gets them."""
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    return capture("gemini/gemini-2.5-pro", messages=HI, tools=[tool])["tools"][0]["function_declarations"][0]["parameters"]


scores = {"type": "object", "additionalProperties": {"type": "integer"}}
answer_format = {"type": "json_schema", "json_schema": {"name": "n", "schema": object_of(scores=scores)}}
body = capture("anthropic/claude-sonnet-4-5", messages=HI, response_format=answer_format)
sent = body["output_format"]["schema"]["properties"]["scores"]
show("a map", scores, sent, {"type": "object", "additionalProperties": False})

values = {
    "unit": {"enum": ["C", "F"]},
    "kind": {"const": "city"},
    "days": {"type": "integer", "exclusiveMinimum": 0},
    "place": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
}
lost = {"unit": {"type": "object"}, "kind": {"type": "object"}, "days": {"type": "integer"}, "place": {}}
show("limited values", values, declare(object_of(**values))["properties"], lost)

named = object_of(("strict",), strict={"type": "boolean"}, city={"type": "string"})
show('a property "strict"', named, declare(named), object_of(("strict",), city={"type": "string"}))
if failed:
    sys.exit(f"The behaviour has changed: {', '.join(failed)}.")
print("The behaviour is still as described.")
PYTHON
