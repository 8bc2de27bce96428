#!/usr/bin/env bash
# litellm rewrites a schema for Anthropic so that a map in the answer can only be empty.
#
# Versions: litellm 1.106.2 (first seen 2026-11-29).
#
# Expected: a JSON schema with a map, an object whose `additionalProperties` have a schema, is sent as it is, or refused:
#   Anthropic's structured outputs take only objects without additional properties.
# Seen: for `anthropic/`, litellm writes `additionalProperties: false` over the schema of the map's values, although the
#   request is not strict. It raises nothing and logs nothing, and every answer holds an empty map.
# Why it matters here: the answer is valid JSON of the right shape, and what the caller asked for cannot stand in it. We
#   refuse such a schema, and name it.
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
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "{}"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
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
scores = {"type": "object", "additionalProperties": {"type": "integer"}}
schema = {"type": "object", "properties": {"scores": scores}, "required": ["scores"]}
body = capture(
    "anthropic/claude-sonnet-4-5",
    messages=[{"role": "user", "content": "Count the words by their first letter."}],
    response_format={"type": "json_schema", "json_schema": {"name": "counts", "schema": schema}},
)
sent = body["output_format"]["schema"]["properties"]["scores"]
print(f"requested: {json.dumps(scores)}")
print(f"sent: {json.dumps(sent)}")
if sent != {"type": "object", "additionalProperties": False}:
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
