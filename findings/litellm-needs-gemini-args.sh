#!/usr/bin/env bash
# litellm fails on Gemini's answer when it calls a function without arguments.
#
# Versions: litellm 1.106.2 (first seen 2026-11-29).
#
# Expected: a tool call with the arguments `{}`. Google's reference of the Gemini API marks the `args` of a call as
#   optional, so the call of a function without parameters may come without it.
# Seen: litellm requires `args`, and its KeyError leaves under other names: as a BadRequestError with status 422, as if
#   the request were wrong, and with `stream=True` as a MidStreamFallbackError made of an APIConnectionError, as if the
#   connection had failed.
# Why it matters here: the answer is valid and paid for. A failed connection is a reason to try again, which costs as
#   much and fails in the same way. We read the answers of gemini/ ourselves.
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
NOW = {"name": "now", "description": "Returns the time.", "parameters": {"type": "object", "properties": {}}}


class Gemini(BaseHTTPRequestHandler):
    """Answers with a text and the function call that is set, as a stream if the path requests one."""

    call = {}

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        content = {"role": "model", "parts": [{"text": "One moment."}, {"functionCall": Gemini.call}]}
        usage = {"promptTokenCount": 5, "candidatesTokenCount": 9, "totalTokenCount": 14}
        candidate = {"index": 0, "content": content, "finishReason": "STOP"}
        body = json.dumps({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"})
        is_stream = "streamGenerateContent" in self.path
        body = (f"data: {body}\n\n" if is_stream else body).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if is_stream else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keeps the output to the finding."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Gemini)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()


def describe(error):
    """Returns the class and the status of an error, and whether its message names the missing member."""
    return f"{type(error).__name__} {error.status_code}", "'args'" in str(error)


def read(**options):
    """Returns the text and the tool calls of an answer, or the error that was raised instead."""
    fixed = {"api_base": f"http://127.0.0.1:{server.server_port}", "api_key": "none", "max_retries": 0}
    fixed["tools"] = [{"type": "function", "function": NOW}]
    fixed["_skip_mcp_handler"] = True  # else litellm needs the package mcp for a request with tools
    messages = [{"role": "user", "content": "What time is it?"}]
    try:
        answer = litellm.completion(model="gemini/gemini-2.5-flash", messages=messages, **fixed, **options)
        if options:
            answer = litellm.stream_chunk_builder(list(answer), messages=messages)
    except litellm.BadRequestError as error:
        return describe(error)
    except litellm.exceptions.MidStreamFallbackError as error:
        return describe(error.original_exception)
    message = answer.choices[0].message
    return message.content, [(call.function.name, call.function.arguments) for call in message.tool_calls]


READ = ("One moment.", [("now", "{}")])
CASES = [
    ('{"name": "now", "args": {}}', {}, READ),
    ('{"name": "now", "args": {}}', {"stream": True}, READ),
    ('{"name": "now"}', {}, ("BadRequestError 422", True)),
    ('{"name": "now"}', {"stream": True}, ("APIConnectionError 500", True)),
]

failed = []
print(f"litellm {version('litellm')}")
for call, options, described in CASES:
    Gemini.call = json.loads(call)
    got = read(**options)
    print(f"functionCall {call} {options}: {got}")
    if got != described:
        failed.append(f"{call} {options}")
if failed:
    sys.exit(f"The behaviour has changed: {', '.join(failed)}.")
print("The behaviour is still as described.")
PYTHON
