#!/usr/bin/env bash
# litellm offers Anthropic's model a tool that the caller never gave.
#
# Versions: litellm 1.106.2 (first seen 2026-11-29).
#
# Expected: a conversation with a past tool call and its result, sent without `tools`, is sent so, or refused: Anthropic
#   refuses tool blocks without a definition of tools.
# Seen: for `anthropic/`, litellm adds a tool "dummy_tool" to the request, and raises and logs nothing. The model may call
#   it, and then the caller gets a call of a tool that it does not know.
# Why it matters here: callers leave out `tools` in the last turn so that the model must answer in words. We refuse such a
#   request, and name the field: with the tools and the choice NONE it says the same.
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
call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
body = capture(
    "anthropic/claude-sonnet-4-5",
    messages=[
        {"role": "user", "content": "Do I need a coat?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "4 degrees"},
        {"role": "user", "content": "Answer in one word."},
    ],
)
print("requested: no tools")
print(f"sent: {json.dumps(body.get('tools'))}")
if [tool["name"] for tool in body.get("tools", [])] != ["dummy_tool"]:
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
