#!/usr/bin/env bash
# litellm loses the text of a streamed chunk that holds a Unicode line separator, and reports success.
#
# Versions: litellm 1.106.2, openai 2.54.0, httpx 0.28.1, pydantic 2.14.3 (first seen 2026-11-29).
#
# Expected: the whole text. JSON allows U+2028, U+2029 and U+0085 unescaped in a string (RFC 8259, section 7), and
#   pydantic, which writes the answers of many model servers, leaves them unescaped. The standard of server-sent events
#   ends a line at CR, LF or CRLF, and at nothing else.
# Seen: httpx's `aiter_lines` also ends a line at these three characters, and litellm parses each line by itself.
#   hosted_vllm/ and groq/ drop the chunk; anthropic/ drops the rest of the answer as well. All three then report
#   `finish_reason="stop"` and raise nothing. openai/, which reads with the OpenAI SDK, gives the whole text.
# Why it matters here: text that was copied from a document may hold U+2028, and a model that quotes it would lose words
#   without a trace. We read the stream ourselves, and escape these characters in the JSON that litellm gets to read.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    litellm==1.106.2 openai==2.54.0 httpx==0.28.1 pydantic==2.14.3

LITELLM_LOCAL_MODEL_COST_MAP=True timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import litellm
import pydantic_core

QUOTE = ["He wrote: ", "first line\u2028second line", ", and no more."]


def sse(*events):
    """Writes each event as one line of JSON, as a server does that is built on pydantic."""
    return b"".join(b"data: " + pydantic_core.to_json(event) + b"\n\n" for event in events)


def openai_body():
    deltas = [{"index": 0, "delta": {"role": "assistant", "content": text}} for text in QUOTE]
    choices = [*deltas, {"index": 0, "delta": {}, "finish_reason": "stop"}]
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return sse(*({**chunk, "choices": [choice]} for choice in choices)) + b"data: [DONE]\n\n"


def anthropic_body():
    usage = {"input_tokens": 5, "output_tokens": 1}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    delta = {"type": "content_block_delta", "index": 0}
    return sse(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({**delta, "delta": {"type": "text_delta", "text": text}} for text in QUOTE),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    )


class Upstream(BaseHTTPRequestHandler):
    """A provider that streams the quotation, in the protocol that the path asks for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = anthropic_body() if self.path.endswith("/messages") else openai_body()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keeps the output to the finding."""


async def stream(model, api_base):
    """Returns the text that litellm gives for one streamed call, and its finish reason."""
    messages = [{"role": "user", "content": "Quote the note."}]
    chunks = await litellm.acompletion(model=model, messages=messages, api_base=api_base, api_key="k", stream=True)
    choices = [choice async for chunk in chunks for choice in chunk.choices]
    reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
    return "".join(choice.delta.content or "" for choice in choices), reasons[-1]


SEEN = {
    "openai/m": ("".join(QUOTE), "stop"),
    "hosted_vllm/m": (QUOTE[0] + QUOTE[2], "stop"),
    "groq/m": (QUOTE[0] + QUOTE[2], "stop"),
    "anthropic/claude-sonnet-4-5": (QUOTE[0], "stop"),
}

server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()


async def main():
    return {model: await stream(model, f"http://127.0.0.1:{server.server_port}") for model in SEEN}


got = asyncio.run(main())
print(f"litellm {version('litellm')}, httpx {version('httpx')}, openai {version('openai')}")
print(f"expected: {ascii(''.join(QUOTE))} from every provider")
for model, (text, reason) in got.items():
    print(f"seen: {model} gives {ascii(text)}, finish reason {reason!r}")
if got != SEEN:
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
