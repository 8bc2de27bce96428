#!/usr/bin/env bash
# litellm moves the reasoning of earlier answers on its way to Bedrock, drops what is encrypted, and reports success.
#
# Versions: litellm 1.106.2, boto3 1.44.5 (first seen 2026-11-29).
#
# Expected: the blocks of an earlier answer leave in their order. Anthropic's documentation of extended thinking asks to
#   send all of them back unchanged, and Amazon's Converse API has a form for each: `reasoningText` with a signature, and
#   `redactedContent`.
# Seen: without an exception or a line in the log,
#   - reasoning between a text and a tool call leaves before the text.
#   - encrypted reasoning is left out. litellm has read it from the answer of the same API as `redacted_thinking`.
#   anthropic/ keeps both.
# Why it matters here: a model reasons between its tool calls, and the next request must have that reasoning at its
#   place. OpenAI's models on Bedrock have no other reasoning than encrypted one, and would lose it at every tool call. Our
#   code corrects what litellm has written, and signs the request again.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.106.2 boto3==1.44.5

export LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import litellm

ANSWERS = {
    "/converse": {
        "output": {"message": {"role": "assistant", "content": [{"text": "Cold."}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 9, "outputTokens": 2, "totalTokens": 11},
        "metrics": {"latencyMs": 1},
    },
    "/v1/messages": {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Cold."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 9, "output_tokens": 2},
    },
}
BODIES = []


class Upstream(BaseHTTPRequestHandler):
    """A provider that records bodies, and answers in the protocol that the path asks for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        BODIES.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        answer = next(answer for end, answer in ANSWERS.items() if self.path.endswith(end))
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keeps the output to the finding."""


CALL = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
THINKING = {"type": "thinking", "thinking": "Now the weather.", "signature": "c2lnbmVk"}
CASES = {
    "reasoning between a text and a call": {"content": [{"type": "text", "text": "I look it up."}, THINKING]},
    "encrypted reasoning before a call": {"thinking_blocks": [{"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"}]},
}
SEEN = {
    ("bedrock", "reasoning between a text and a call"): ["reasoning", "text", "call"],
    ("bedrock", "encrypted reasoning before a call"): ["call"],
    ("anthropic", "reasoning between a text and a call"): ["text", "reasoning", "call"],
    ("anthropic", "encrypted reasoning before a call"): ["encrypted", "call"],
}
NAMES = {
    "reasoningText": "reasoning",
    "thinking": "reasoning",
    "redactedContent": "encrypted",
    "redacted_thinking": "encrypted",
    "text": "text",
    "toolUse": "call",
    "tool_use": "call",
}


def name_block(block):
    """Names a block of either protocol by its kind."""
    member = block.get("type") or next(iter(block.get("reasoningContent", block)))
    return NAMES[member]


def list_blocks(provider, answer, address):
    """Returns the kinds of the blocks of an earlier answer, as they leave."""
    models = {"bedrock": "bedrock/anthropic.claude-opus-4-8", "anthropic": "anthropic/claude-opus-4-8"}
    regions = {"bedrock": {"aws_region_name": "eu-central-1"}, "anthropic": {}}
    messages = [
        {"role": "user", "content": "How is the weather?"},
        {"role": "assistant", "tool_calls": [CALL], **answer},
        {"role": "tool", "tool_call_id": "t1", "content": "Cold."},
    ]
    litellm.completion(
        model=models[provider],
        messages=messages,
        tools=[TOOL],
        api_key="k",
        api_base=address,
        reasoning_effort="low",
        _skip_mcp_handler=True,  # else litellm needs the package mcp for a request with tools
        **regions[provider],
    )
    turn = next(turn for turn in BODIES[-1]["messages"] if turn["role"] == "assistant")
    return [name_block(block) for block in turn["content"]]


server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"
got = {(provider, case): list_blocks(provider, CASES[case], address) for provider, case in SEEN}
print(f"litellm {version('litellm')}, boto3 {version('boto3')}")
print("expected: text, reasoning, call; and: encrypted, call")
for (provider, case), blocks in got.items():
    print(f"seen: {provider}, {case}: {', '.join(blocks)}")
if got != SEEN:
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
