#!/usr/bin/env bash
# litellm drops an image for DeepSeek, joins the texts around it into one word, and reports success.
#
# Versions: litellm 1.106.2 (first seen 2026-11-29).
#
# Expected: a message with a text, an image and a text is sent as it is, or refused.
# Seen: for `deepseek/`, litellm sends the texts as one string without anything between them, and leaves out the image. It
#   raises and logs nothing.
# Why it matters here: the model answers a question about a picture that it never saw, and the texts "one" and "two" reach
#   it as "onetwo". We refuse media that the provider does not take, and join texts ourselves.
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
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
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
body = capture(
    "deepseek/deepseek-chat",
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "one"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "text", "text": "two"},
            ],
        }
    ],
)
print("requested: the texts one and two, with an image between them")
print(f"sent: {json.dumps(body['messages'])}")
if body["messages"] != [{"role": "user", "content": "onetwo"}]:
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
