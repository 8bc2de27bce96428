#!/usr/bin/env bash
# litellm sends another amount of reasoning than was requested, and reports success.
#
# Versions: litellm 1.106.2, boto3 1.44.5 (first seen 2026-11-29).
#
# Expected: a model gets the `reasoning_effort` or the budget of `thinking` that was requested, or litellm refuses it
#   with its UnsupportedParamsError, as it does for most parameters. Where it must choose another, it chooses the nearest.
# Seen: without an exception or a line in the log,
#   - bedrock/ Claude Opus 4.6: "xhigh" becomes "max", a greater effort, although the same call is refused for
#     anthropic/. litellm takes "xhigh" for greater than "max" where it looks for the greatest effort that Bedrock takes.
#   - deepseek/: every effort becomes the switch alone, though DeepSeek takes "low", "high" and "max".
#   - gemini/ from version 3 on: a budget is left out, so that the model reasons as much as it does by default.
#   - mistral/mistral-small-latest: "low" becomes "high"; litellm rounds up.
#   - mistral/magistral-medium-latest: the effort is left out, and a page of instructions is put before the
#     conversation.
#   - openrouter/: "max" becomes "xhigh".
#   - together_ai/GLM-5.3: "max" becomes "high", though Together documents "max" for it.
# Why it matters here: reasoning is most of the cost of such a call, and nobody learns that another amount took effect.
#   One rule of ours decides on the amount before litellm gets the call, and reports each change to the caller.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.106.2 boto3==1.44.5

export LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True
export AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_REGION_NAME=eu-central-1
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import litellm

MESSAGE = {"role": "assistant", "content": "Hello"}
ANSWERS = {
    "/chat/completions": {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]},
    "/converse": {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
    },
    ":generateContent": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}],
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
    """Returns the body that a provider gets of a call that succeeds."""
    address = f"http://127.0.0.1:{server.server_port}"
    messages = [{"role": "user", "content": "Hi"}]
    litellm.completion(model=model, api_base=address, api_key="none", messages=messages, **request)
    return Provider.body


failed = []


def show(title, requested, sent, expected):
    """Prints a difference, and remembers it when it is no longer there."""
    print(f"{title}\n  requested: {json.dumps(requested)}\n  sent:      {json.dumps(sent)}")
    if sent != expected:
        failed.append(title)


print(f"litellm {version('litellm')}")

body = capture("bedrock/us.anthropic.claude-opus-4-6-v1", reasoning_effort="xhigh")
sent = body["additionalModelRequestFields"]["output_config"]["effort"]
show("Claude Opus 4.6 on Bedrock", "xhigh", sent, "max")

body = capture("deepseek/deepseek-v4-pro", reasoning_effort="max")
sent = {name: body.get(name) for name in ("thinking", "reasoning_effort")}
show("DeepSeek", "max", sent, {"thinking": {"type": "enabled"}, "reasoning_effort": None})

body = capture("gemini/gemini-3.1-pro-preview", thinking={"type": "enabled", "budget_tokens": 2000})
sent = body["generationConfig"]["thinkingConfig"]
show("a budget for Gemini 3", 2000, sent, {"includeThoughts": True})

body = capture("mistral/mistral-small-latest", reasoning_effort="low")
show("Mistral Small", "low", body.get("reasoning_effort"), "high")

body = capture("mistral/magistral-medium-latest", reasoning_effort="low")
sent = [body.get("reasoning_effort"), [message["role"] for message in body["messages"]]]
show("Magistral", "low", sent, [None, ["system", "user"]])

body = capture("openrouter/anthropic/claude-opus-5", reasoning_effort="max")
show("OpenRouter", "max", body.get("reasoning_effort"), "xhigh")

body = capture("together_ai/zai-org/GLM-5.3", reasoning_effort="max")
show("GLM-5.3 at Together", "max", body.get("reasoning_effort"), "high")
if failed:
    sys.exit(f"The behaviour has changed: {', '.join(failed)}.")
print("The behaviour is still as described.")
PYTHON
