#!/usr/bin/env bash
# litellm moves a call of Chat Completions to OpenAI's Responses API, where OpenAI keeps the answer, and loses parts of it.
#
# Versions: litellm 1.106.2, mcp 2.3.0 (first seen 2026-11-29). litellm needs mcp for a request with tools.
#
# Expected: `litellm.completion` calls Chat Completions, which stores nothing unless `store` is true; or a call that goes
#   elsewhere says so, and holds what was asked.
# Seen: from gpt-5.4 on, a call with function tools and an effort goes to /responses, without an exception or a line in
#   the log. On its way there
#   - it has no `store`. That API stores each answer unless it is told `store: false`.
#   - `seed` and `top_k` are dropped, though `drop_params` is not set; `stop` and `presence_penalty` are refused.
#   - a limit of 5 output tokens becomes 16, and a `user` of 70 characters is cut to 64.
#   - the words of an earlier refusal become an empty text, and the description of a response format is dropped.
#   - encrypted reasoning is not requested, so the next turn cannot have it.
# Why it matters here: a caller that requests one answer of no lasting trace gets one that the provider keeps. We decide
#   on the API ourselves, before a call is sent, and write its body.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.106.2 mcp==2.3.0

export LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True
timeout 120 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import litellm

litellm.suppress_debug_info = True
USAGE = {
    "input_tokens": 3,
    "output_tokens": 1,
    "total_tokens": 4,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-5.6",
    "status": "completed",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "temperature": 1.0,
    "top_p": 1.0,
    "usage": USAGE,
}
EVENT = {"type": "response.completed", "sequence_number": 0, "response": RESPONSE}
TOOL = {"type": "function", "function": {"name": "roll", "parameters": {"type": "object", "properties": {}}}}
FORMAT = {"name": "die", "description": "A roll of a die.", "schema": {"type": "object"}}
MESSAGES = [
    {"role": "user", "content": "Roll a die."},
    {"role": "assistant", "content": None, "refusal": "I cannot roll."},
    {"role": "user", "content": "Try it."},
]


class Provider(BaseHTTPRequestHandler):
    """Keeps the path and the body of the last request, and streams an empty answer."""

    last_path, body = "", {}

    def do_POST(self):
        Provider.last_path = self.path
        Provider.body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = f"event: {EVENT['type']}\ndata: {json.dumps(EVENT)}\n\n".encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()


def send(**options):
    """Returns the body that OpenAI would get of a call with a tool and an effort."""
    fixed = {"api_base": f"http://127.0.0.1:{server.server_port}/v1", "api_key": "none", "tools": [TOOL]}
    fixed |= {"reasoning_effort": "low", "stream": True}
    list(litellm.completion(model="openai/gpt-5.6", messages=MESSAGES, **fixed, **options))
    return Provider.body


failed = []


def show(title, seen, expected):
    """Prints what was sent, and remembers it when it is not as described."""
    print(f"{title}: {json.dumps(seen)}")
    if seen != expected:
        failed.append(title)


print(f"litellm {version('litellm')}; sent of a call of Chat Completions:")
body = send(response_format={"type": "json_schema", "json_schema": FORMAT})
show("the path", Provider.last_path, "/v1/responses")
show("store, include", [body.get("store"), body.get("include")], [None, None])
show("the refusal", body["input"][1]["content"], [{"type": "output_text", "text": ""}])
show("the description of the format", body["text"]["format"].get("description"), None)
show("seed and top_k", [send(seed=1, top_k=5).get(name) for name in ("seed", "top_k")], [None, None])
show("a limit of 5 tokens", send(max_tokens=5)["max_output_tokens"], 16)
show("the length of a user of 70 characters", len(send(user="u" * 70)["user"]), 64)
if failed:
    sys.exit(f"The behaviour has changed: {', '.join(failed)}.")
print("The behaviour is still as described.")
PYTHON
