#!/usr/bin/env bash
# litellm turns a string with fixed values into an object of any form, in a tool for Gemini.
#
# Versions: litellm 1.106.2 (first seen 2026-11-29).
#
# Expected: in the schema of a tool's arguments, `{"enum": ["C", "F"]}` and `{"const": "city"}` mean one of these strings.
#   Gemini's dialect has typed enums, so both can be said: `{"type": "string", "enum": [...]}`.
# Seen: for `gemini/`, litellm sends `{"type": "object"}` for both. It raises and logs nothing. A number with
#   `exclusiveMinimum` loses it, and `oneOf` becomes a schema without any condition.
# Why it matters here: MCP servers write such schemas, and the model then calls their tools with arguments that they
#   refuse. We rewrite what Gemini's dialect can say, and refuse the rest by name.
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

ANSWER = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "{}"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
}


class Upstream(BaseHTTPRequestHandler):
    """A provider that keeps the body of the last request."""

    body = None

    def do_POST(self):
        Upstream.body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
threading.Thread(target=server.serve_forever, daemon=True).start()


def capture(model, **request):
    """Returns the body that a provider gets; litellm reports success."""
    litellm.completion(model=model, api_base=f"http://127.0.0.1:{server.server_port}", api_key="none", **request)
    return Upstream.body


print(f"litellm {version('litellm')}")
properties = {
    "unit": {"enum": ["C", "F"]},
    "kind": {"const": "city"},
    "days": {"type": "integer", "exclusiveMinimum": 0},
    "place": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
}
parameters = {"type": "object", "properties": properties}
body = capture(
    "gemini/gemini-2.5-pro",
    messages=[{"role": "user", "content": "How warm is it?"}],
    tools=[{"type": "function", "function": {"name": "weather", "parameters": json.loads(json.dumps(parameters))}}],
)
sent = body["tools"][0]["function_declarations"][0]["parameters"]["properties"]
print(f"requested: {json.dumps(properties)}")
print(f"sent: {json.dumps(sent)}")
if sent != {"unit": {"type": "object"}, "kind": {"type": "object"}, "days": {"type": "integer"}, "place": {}}:
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
