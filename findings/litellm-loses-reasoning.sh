#!/usr/bin/env bash
# litellm sends the reasoning that it returned back in a form that the same provider refuses, or not at all.
#
# Versions: litellm 1.106.2 (first seen 2026-11-29).
#
# Expected: the message of an answer, appended to `messages` as litellm returned it, is what its provider takes in the
#   next request, as it is with anthropic/ and gemini/.
# Seen: without an exception or a line in the log,
#   - groq/, cerebras/: reasoning arrives as `reasoning`, and goes back as `reasoning_content`. Both APIs refuse a
#     message with that member: "property 'reasoning_content' is unsupported". So the second turn fails.
#   - mistral/: the thinking parts are dropped. Mistral's own examples warn that the answers become worse without them.
#   - deepseek/: the blank that DeepSeek requires for tool calls without reasoning, such as those of another model, is
#     added only if the request has the parameter `thinking`. DeepSeek's models think without it too, and refuse tool
#     calls without `reasoning_content` with status 400.
#   - openrouter/: the signature of the reasoning is in the streamed deltas only. The message that litellm makes of
#     them lacks it.
# Why it matters here: these are the providers of most open models that reason. We write the reasoning ourselves, at the
#   place where each provider reads it.
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
CALL = {"id": "c1", "type": "function", "function": {"name": "roll", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "roll", "parameters": {"type": "object", "properties": {}}}}
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
DETAIL = {"type": "reasoning.text", "text": "Hm.", "signature": "sig", "format": "anthropic-claude-v1", "index": 0}


class Provider(BaseHTTPRequestHandler):
    """Keeps the body of the last request, and streams the message that is set."""

    body, message = None, {}

    def do_POST(self):
        Provider.body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        choice = {"index": 0, "delta": {"role": "assistant", **Provider.message}, "finish_reason": "tool_calls"}
        shared = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        answer = f"data: {json.dumps({**shared, 'choices': [choice]})}\n\ndata: [DONE]\n\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()


def send(model, messages, **options):
    """Returns the body that a provider gets of a call, whose answer is read."""
    fixed = {"api_base": f"http://127.0.0.1:{server.server_port}", "api_key": "none", "tools": [TOOL]}
    fixed["_skip_mcp_handler"] = True  # else litellm needs the package mcp for a request with tools
    send.chunks = list(litellm.completion(model=model, messages=messages, stream=True, **fixed, **options))
    return Provider.body


def converse(model, message):
    """Returns the message of the first answer as the provider gets it with the tool's result."""
    Provider.message = message
    messages = [{"role": "user", "content": "Roll a die."}]
    send(model, messages)
    answer = litellm.stream_chunk_builder(send.chunks, messages=messages)
    messages += [answer.choices[0].message, {"role": "tool", "tool_call_id": "c1", "content": "4"}]
    return send(model, messages)["messages"][1]


failed = []


def show(title, sent, expected):
    """Prints what was sent back of the reasoning, and remembers it when it is not as described."""
    print(f"{title}: {json.dumps(sent)}")
    if sent != expected:
        failed.append(title)


def select(message, *names):
    return {name: message[name] for name in names if message.get(name) is not None}


print(f"litellm {version('litellm')}; sent back of the reasoning:")
REASONING = ("reasoning", "reasoning_content", "reasoning_details", "thinking_blocks")
for model in ("groq/openai/gpt-oss-120b", "cerebras/gpt-oss-120b"):
    seen = converse(model, {"reasoning": "Hm.", "content": None, "tool_calls": [CALL]})
    show(model, select(seen, *REASONING), {"reasoning_content": "Hm."})
model = "mistral/mistral-medium-3-5"
seen = converse(model, {"content": [THINKING, {"type": "text", "text": "So."}], "tool_calls": [CALL]})
show(model, select(seen, *REASONING, "content"), {"content": "So."})
model = "deepseek/deepseek-v4-pro"
messages = [{"role": "user", "content": "Roll a die."}, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
messages += [{"role": "tool", "tool_call_id": "c1", "content": "4"}]
Provider.message = {"content": "So."}
for options in ({}, {"thinking": {"type": "enabled"}}):
    seen = send(model, messages, **options)["messages"][1]
    show(f"{model} {options}", select(seen, *REASONING), {"reasoning_content": " "} if options else {})
model = "openrouter/anthropic/claude-sonnet-4.5"
seen = converse(model, {"reasoning": "Hm.", "reasoning_details": [DETAIL], "content": None, "tool_calls": [CALL]})
show(model, "sig" in json.dumps(seen), False)
if failed:
    sys.exit(f"The behaviour has changed: {', '.join(failed)}.")
print("The behaviour is still as described.")
PYTHON
