#!/usr/bin/env bash
# litellm loads a tokenizer of 40 MB in the first call of many providers, and the calls do not use it.
#
# Versions: litellm 1.106.2, tiktoken 0.14.0 (first seen 2026-11-29).
#
# Expected: a call loads what it uses. The providers here count the tokens themselves, and report them in their answers.
# Seen: before the first request to anthropic/, gemini/ or groq/, litellm loads the encoding cl100k_base of tiktoken,
#   because it hands a tokenizer to the code of each such provider. That code does not encode a single text with it.
#   The process keeps about 40 MB more from then on, and the first caller waits for the load. Calls of openai/ do not
#   load it.
# Why it matters here: a server runs several processes, and each pays. We give litellm an object in its place that loads
#   the tokenizer when it is first used.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.106.2 tiktoken==0.14.0

export LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True
for model in openai/m anthropic/m gemini/m groq/m; do
    timeout 120 "$folder/venv/bin/python" - "$model" <<'PYTHON'
import asyncio
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import litellm
import tiktoken
from tiktoken.registry import ENCODINGS

litellm.suppress_debug_info = True
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14}
CHAT = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE], "usage": USAGE}
CHAT["service_tier"] = "on_demand"  # litellm's code for groq/ requires it
MESSAGE = {"id": "1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
MESSAGE |= {"content": [{"type": "text", "text": "Hi"}], "usage": {"input_tokens": 5, "output_tokens": 9}}
CANDIDATE = {"index": 0, "content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}
COUNTS = {"promptTokenCount": 5, "candidatesTokenCount": 9, "totalTokenCount": 14}
ANSWERS = {"anthropic": MESSAGE, "gemini": {"candidates": [CANDIDATE], "usageMetadata": COUNTS}}
MODEL = sys.argv[1]


class Provider(BaseHTTPRequestHandler):
    """Answers in the protocol of the model's provider."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWERS.get(MODEL.partition("/")[0], CHAT)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keeps the output to the finding."""


loads, uses = [], []
get_encoding = tiktoken.get_encoding


def read_memory():
    """Returns the resident memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_load(name):
    """Loads an encoding, and records its name, the memory in MB and the CPU time in seconds that it takes."""
    memory, started = read_memory(), time.thread_time()
    encoding = get_encoding(name)
    loads.append((name, read_memory() - memory, time.thread_time() - started))
    return encoding


def record_uses(method):
    """Returns the method of an encoding, which now records each use."""

    def record(*arguments, **options):
        uses.append(method.__name__)
        return method(*arguments, **options)

    return record


tiktoken.get_encoding = measure_load
for name in ("encode", "encode_ordinary", "encode_batch", "encode_ordinary_batch", "encode_to_numpy", "decode"):
    setattr(tiktoken.Encoding, name, record_uses(getattr(tiktoken.Encoding, name)))

server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()


async def main():
    """Returns the text and the number of tokens of an answer."""
    messages = [{"role": "user", "content": "Hello"}]
    address = f"http://127.0.0.1:{server.server_port}"
    answer = await litellm.acompletion(model=MODEL, messages=messages, api_base=address, api_key="none")
    return answer.choices[0].message.content, answer.usage.total_tokens


before = list(ENCODINGS)
got = asyncio.run(main())
names = [name for name, _, _ in loads]
print(f"litellm {version('litellm')}, tiktoken {version('tiktoken')}, {MODEL}: the answer is {got}")
print(f"encodings loaded before the call: {before}, by the call: {names}, uses of them: {len(uses)}")
for name, memory, seconds in loads:
    print(f"{name} takes {memory:.0f} MB, and {seconds:.2f} s of CPU time")
expected = [] if MODEL.startswith("openai/") else ["cl100k_base"]
is_large = all(memory > 20 for _, memory, _ in loads)
if got != ("Hi", 14) or before or uses or names != expected or list(ENCODINGS) != expected or not is_large:
    sys.exit(f"The behaviour of {MODEL} has changed.")
PYTHON
done
echo "The behaviour is still as described."
