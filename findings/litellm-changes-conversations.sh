#!/usr/bin/env bash
# litellm changes conversations on their way to a provider, and reports success.
#
# Versions: litellm 1.106.2 (first seen 2026-11-29).
#
# Expected: what the provider's protocol can say is sent as it is, and litellm refuses the rest with its
#   UnsupportedParamsError, as it does for most parameters.
# Seen: without an exception or a line in the log,
#   - openai/o3-mini: the message of the system leaves with the role `user`.
#   - anthropic/: a message of the system after the first turn becomes words of the user, after a sentence that nobody
#     wrote. A conversation with tool calls and without `tools` gets a tool "dummy_tool", which the model may call.
#   - deepseek/: an image between two texts is left out, and the texts become one word.
#   - gemini/: two calls of one tool with equal arguments become one call, with two results.
#   - openai/: the fifth stop sequence is left out.
# Why it matters here: the model answers another question than the caller asked, and instructions of the operator get
#   the rank of the user's. We write these conversations ourselves, compare what leaves with what was requested, and
#   refuse or report the rest.
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
HI = {"role": "user", "content": "Hi"}
RULE, LATER = {"role": "system", "content": "Quote no prices."}, {"role": "system", "content": "The customer is a minor."}


def call(*ids):
    calls = [{"id": each, "type": "function", "function": {"name": "roll", "arguments": "{}"}} for each in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(call_id, text):
    return {"role": "tool", "tool_call_id": call_id, "content": text}


body = capture("openai/o3-mini", messages=[RULE, HI])
show("the system at o3-mini", "system", body["messages"][0]["role"], "user")

body = capture("anthropic/claude-sonnet-4-5", messages=[RULE, HI, {"role": "assistant", "content": "Hello"}, LATER, HI])
last = body["messages"][-1]
seen = [last["role"], len(last["content"]), last["content"][1]["text"]]
show("a later message of the system", LATER, seen, ["user", 3, LATER["content"]])

body = capture("anthropic/claude-sonnet-4-5", messages=[HI, call("c1"), result("c1", "4"), HI])
show("a conversation without tools", None, [tool["name"] for tool in body.get("tools", ())], ["dummy_tool"])

image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
parts = [{"type": "text", "text": "one"}, image, {"type": "text", "text": "two"}]
body = capture("deepseek/deepseek-chat", messages=[{"role": "user", "content": parts}])
show("an image between texts", ["one", "(image)", "two"], body["messages"][0]["content"], "onetwo")

tool = {"type": "function", "function": {"name": "roll", "parameters": {"type": "object", "properties": {}}}}
messages = [HI, call("c1", "c2"), result("c1", "3"), result("c2", "5")]
turns = capture("gemini/gemini-2.5-pro", messages=messages, tools=[tool])["contents"]
show("two equal calls", "2 calls, 2 results", [len(turn["parts"]) for turn in turns[1:]], [1, 2])

body = capture("openai/gpt-4o", messages=[HI], stop=["a", "b", "c", "d", "e"])
show("five stop sequences", ["a", "b", "c", "d", "e"], body["stop"], ["a", "b", "c", "d"])
if failed:
    sys.exit(f"The behaviour has changed: {', '.join(failed)}.")
print("The behaviour is still as described.")
PYTHON
