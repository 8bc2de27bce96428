#!/usr/bin/env bash
# litellm blocks the event loop in each call of a model of Ollama, while it requests facts about the model elsewhere.
#
# Versions: litellm 1.106.2 (first seen 2026-11-29).
#
# Expected: `acompletion` with an `api_base` sends its requests there, and other tasks run while it waits.
# Seen: before the request itself, litellm sends `POST /api/show` three times, with a client that is not asynchronous:
#   no task of the process runs until the answer has arrived. Two of the three do not go to `api_base` but to the address
#   in OLLAMA_API_BASE, or to localhost:11434, where another server may be. With these two, litellm finds out whether the
#   model has OpenAI's Responses API, which no model has that is called by Ollama's protocol. The prefixes lemonade/ and
#   huggingface/ do so, too, and the requests of the latter go to huggingface.co.
# Why it matters here: a server of many calls stands still as long as whatever listens at that port is slow.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.106.2

export LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

DELAY_SECONDS = 0.5
ANSWER = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}


class Ollama(BaseHTTPRequestHandler):
    """Answers calls at once, and requests for facts after a delay."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.paths.append(self.path)
        if self.path == "/api/show":
            time.sleep(DELAY_SECONDS)
        body = json.dumps(ANSWER if self.path == "/api/chat" else {}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keeps the output to the finding."""


def start_server():
    """Starts a server on a port of its own, and returns it with its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ollama)
    server.daemon_threads = True
    server.paths = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


async def measure_pauses(pauses):
    """Records the longest time for which this task could not run."""
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.01)
        now = time.monotonic()
        pauses.append(now - last)
        last = now


async def main():
    import litellm

    async def call():
        await litellm.acompletion(
            model="ollama_chat/m", messages=[{"role": "user", "content": "Hello"}], api_base=address
        )

    await call()  # the first call imports more of litellm, which takes time, too
    for each in (called, usual):
        each.paths.clear()
    pauses = []
    ticker = asyncio.create_task(measure_pauses(pauses))
    await asyncio.sleep(0.05)
    await call()
    await asyncio.sleep(0.05)
    ticker.cancel()
    return max(pauses)


called, address = start_server()
usual, os.environ["OLLAMA_API_BASE"] = start_server()
longest = asyncio.run(main())
print(f"litellm {version('litellm')}")
print("expected: one request, to the address of the call, and no pause of other tasks")
print(f"seen: {called.paths} at the address of the call, {usual.paths} at the usual address")
print(f"seen: no other task ran for {longest:.1f} s")
shows, chat = ["/api/show"], ["/api/chat"]
if called.paths != shows + chat or usual.paths != shows * 2 or longest < DELAY_SECONDS:
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
