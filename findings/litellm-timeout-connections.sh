#!/usr/bin/env bash
# litellm opens a new connection to the provider for each value of `timeout` that it has not seen before.
#
# Versions: litellm 1.106.2, openai 2.54.0, httpx 0.28.1 (first seen 2026-11-29).
#
# Expected: thirty calls, one after the other, to one provider share one connection, as they do with the OpenAI SDK,
#   whose `timeout` is an argument of each request and leaves the client alone.
# Seen: litellm keeps its HTTP clients in a cache, and the key of the cache contains the timeout. A caller that passes
#   what is left of its own deadline has a different value in each call, so each call opens a connection (through TLS,
#   with a real provider), and the old ones stay open. openai/ and gemini/ do so; hosted_vllm/ and anthropic/ do not.
# Why it matters here: a gRPC server knows the caller's deadline, and the obvious thing is to pass it on as `timeout`.
#   We keep every deadline with timers of our own, and litellm gets none.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    litellm==1.106.2 openai==2.54.0 httpx==0.28.1

export LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import litellm
import openai

CALLS = 30
MESSAGES = [{"role": "user", "content": "Hello"}]
OPENAI = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
}
ANTHROPIC = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


class Answer(BaseHTTPRequestHandler):
    """Answers every request of a connection, in the protocol that the path asks for, and keeps the connection open."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.opened += 1
        self.server.still_open += 1

    def finish(self):
        super().finish()
        self.server.still_open -= 1

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        answer = GEMINI if "generateContent" in self.path else ANTHROPIC if "messages" in self.path else OPENAI
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keeps the output to the finding."""


class Upstream(ThreadingHTTPServer):
    """A provider that counts the connections it gets."""

    daemon_threads = True
    opened = 0
    still_open = 0

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()


def litellm_caller(model):
    async def call(url, timeout):
        await litellm.acompletion(model=model, messages=MESSAGES, api_base=url, api_key="k", timeout=timeout)

    return call


def sdk_caller():
    clients = {}

    async def call(url, timeout):
        client = clients.setdefault(url, openai.AsyncOpenAI(base_url=url, api_key="k"))
        await client.chat.completions.create(model="m", messages=MESSAGES, timeout=timeout)

    return call


async def count_connections(call, timeouts):
    """Returns how many connections the calls opened, and how many of them are open after the last call."""
    with Upstream(("127.0.0.1", 0), Answer) as upstream:
        for timeout in timeouts:
            await call(f"http://127.0.0.1:{upstream.server_port}", timeout)
        return upstream.opened, upstream.still_open


CALLERS = {
    "the OpenAI SDK alone": sdk_caller(),
    "litellm openai/": litellm_caller("openai/m"),
    "litellm gemini/": litellm_caller("gemini/gemini-2.5-flash"),
    "litellm hosted_vllm/": litellm_caller("hosted_vllm/m"),
    "litellm anthropic/": litellm_caller("anthropic/claude-sonnet-4-5"),
}
A_CONNECTION_A_CALL = {"litellm openai/", "litellm gemini/"}
REMAINING = [30 - 0.013 * call for call in range(CALLS)]


async def main():
    return {
        name: (await count_connections(call, [30.0] * CALLS), await count_connections(call, REMAINING))
        for name, call in CALLERS.items()
    }


got = asyncio.run(main())
print(f"litellm {version('litellm')}, openai {version('openai')}, httpx {version('httpx')}")
print(f"expected: {CALLS} calls share 1 connection, whether `timeout` is constant or not")
for name, (constant, remaining) in got.items():
    print(
        f"seen: {name}: {constant[0]} with one timeout, {remaining[0]} with a timeout that shrinks from call to call;"
        f" {remaining[1]} still open"
    )
shared, separate = (1, 1), (CALLS, CALLS)
if got != {name: (shared, separate if name in A_CONNECTION_A_CALL else shared) for name in CALLERS}:
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
