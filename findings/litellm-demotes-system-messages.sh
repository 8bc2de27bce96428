#!/usr/bin/env bash
# litellm sends system messages as words of the user, for o3-mini and within a conversation for Claude.
#
# Versions: litellm 1.106.2 (first seen 2026-11-29).
#
# Expected: a system message keeps its authority: as `developer` or `system` at OpenAI, in `system` at Anthropic; or it is
#   refused.
# Seen: for `openai/o3-mini` the only system message leaves with the role `user`. For `anthropic/`, a system message after
#   the first turn becomes a text of the user, after a sentence about an operator that nobody wrote. Neither is logged.
# Why it matters here: instructions of the operator lose against those of the user, which is what prompt injection wants,
#   and the caller does not learn of it. We send the role that the model takes, or report the change.
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

OPENAI = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
ANTHROPIC = {
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
        answer = json.dumps(ANTHROPIC if self.path.endswith("/messages") else OPENAI).encode()
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
RULE, LATER = "Never quote prices.", "The customer is a minor."
for_openai = capture("openai/o3-mini", messages=[{"role": "system", "content": RULE}, {"role": "user", "content": "Hi"}])
for_claude = capture(
    "anthropic/claude-sonnet-4-5",
    messages=[
        {"role": "system", "content": RULE},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "system", "content": LATER},
        {"role": "user", "content": "What does it cost?"},
    ],
)
roles = [message["role"] for message in for_openai["messages"]]
last = for_claude["messages"][-1]
texts = [part["text"] for part in last["content"]]
print(f"openai/o3-mini, requested: system, user; sent: {', '.join(roles)}")
print(f"anthropic/, requested: a later system message; sent with the role {last['role']}: {json.dumps(texts)}")
if roles != ["user", "user"] or last["role"] != "user" or texts[1:] != [LATER, "What does it cost?"] or len(texts) != 3:
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
