#!/usr/bin/env bash
# litellm fails on an answer of `groq/` that does not name its service tier, and replaces the name that Groq sends.
#
# Versions: litellm 1.106.2 (first seen 2026-11-30).
#
# Expected: the text of the answer, and `service_tier` as it came or not at all. The member is optional in OpenAI's
#   protocol, and whatever else speaks it behind `groq/` and an `api_base`, such as a gateway, may leave it out.
# Seen: without the member an AttributeError leaves as an error of the connection or the server, though the answer was
#   complete. With "on_demand", the tier that Groq itself names, litellm reports "auto". Streamed answers are read.
# Why it matters here: the answer is valid and paid for, and a failed connection is a reason to try again, which costs as
#   much and fails in the same way. We add the member before litellm reads the answer.
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

litellm.suppress_debug_info = True


class Groq(BaseHTTPRequestHandler):
    """Answers with a text and the members that are set, as a stream if the request asks for one."""

    members = {}

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        is_stream = body.get("stream", False)
        kind = "chat.completion.chunk" if is_stream else "chat.completion"
        message = {"role": "assistant", "content": "Hello"}
        choice = {"index": 0, "finish_reason": "stop", "delta" if is_stream else "message": message}
        usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
        answer = {"id": "c", "object": kind, "created": 1, "model": "m", "choices": [choice], "usage": usage}
        text = json.dumps({**answer, **Groq.members})
        data = (f"data: {text}\n\ndata: [DONE]\n\n" if is_stream else text).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if is_stream else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        """Keeps the output to the finding."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Groq)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()


def read(members, **options):
    """Returns the text and the tier of an answer, or whether the error that was raised instead names the member."""
    Groq.members = members
    fixed = {"api_base": f"http://127.0.0.1:{server.server_port}", "api_key": "none", "max_retries": 0}
    messages = [{"role": "user", "content": "Hi"}]
    try:
        answer = litellm.completion(model="groq/m", messages=messages, **fixed, **options)
        if options:
            return litellm.stream_chunk_builder(list(answer), messages=messages).choices[0].message.content
    except litellm.exceptions.APIConnectionError as error:
        return type(error).__name__, "no attribute 'service_tier'" in str(error)
    return answer.choices[0].message.content, answer.service_tier


CASES = [
    ("tier default", {"service_tier": "default"}, {}, ("Hello", "default")),
    ("tier on_demand", {"service_tier": "on_demand"}, {}, ("Hello", "auto")),
    ("no tier", {}, {}, ("APIConnectionError", True)),
    ("no tier, streamed", {}, {"stream": True}, "Hello"),
]
print(f"litellm {version('litellm')}")
is_as_described = True
for name, members, options, described in CASES:
    seen = read(members, **options)
    print(f"{name}: {seen}")
    is_as_described = is_as_described and seen == described
if not is_as_described:
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
