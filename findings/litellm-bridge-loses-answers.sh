#!/usr/bin/env bash
# litellm loses whole answers of OpenAI's Responses API on their way to Chat Completions, and reports that they stopped.
#
# Versions: litellm 1.106.2, mcp 2.3.0 (first seen 2026-11-29). litellm needs mcp for a bridged call.
#
# Expected: a call of Chat Completions that litellm bridges to the Responses API, as it does by itself for tools and an
#   effort with GPT-5.4 and later, streams what the model answered, or fails.
# Seen: without an exception or a line in the log, the stream ends with the finish reason "stop" and lacks
#   - a refusal: its events are skipped, so a model that declines seems to answer with nothing;
#   - the reasoning of open models, which servers such as vLLM and llama.cpp send as `reasoning_text`;
#   - the break between the parts of a summary: the last word of one part runs into the heading of the next;
#   - all text of a server that sends no deltas but only the event that ends a text.
#   An error in the flat form that OpenAI's reference has for the event `error` becomes an error of the server without
#   its code, so a limited rate is retried at once.
# Why it matters here: these calls must not be bridged. Our own wire sends them, and our own reader reads them.
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


def event(kind, **members):
    return {"type": f"response.{kind}", "output_index": 0, "item_id": "i_0", **members}


def end(*output):
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed"}
    return {"type": "response.completed", "response": {**response, "output": list(output), "usage": None}}


def message(part):
    return {"id": "i_0", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


TEXT = {"type": "output_text", "text": "Hello", "annotations": []}
REFUSAL = {"type": "refusal", "refusal": "I cannot help."}
ADDED = event("output_item.added", item={"id": "i_0", "type": "reasoning", "summary": []})
ANSWERS = {
    "a refusal": [event("refusal.delta", content_index=0, delta="I cannot help."), end(message(REFUSAL))],
    "reasoning of an open model": [ADDED, event("reasoning_text.delta", content_index=0, delta="Let me see."), end()],
    "a summary of two parts": [
        ADDED,
        event("reasoning_summary_text.delta", summary_index=0, delta="First part."),
        event("reasoning_summary_text.delta", summary_index=1, delta="**Second part**"),
        end(),
    ],
    "a text without deltas": [event("output_text.done", content_index=0, text="Hello"), end(message(TEXT))],
    "a limited rate": [{"type": "error", "code": "rate_limit_exceeded", "message": "Slow down.", "param": None}],
}


class Provider(BaseHTTPRequestHandler):
    """Streams the events that are set."""

    events = []

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        answer = "".join(f"data: {json.dumps(each)}\n\n" for each in Provider.events).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()


def read(events):
    """Returns the texts and the finish reason that litellm streams, or the class of its exception."""
    Provider.events = events
    texts, finish = [], None
    try:
        stream = litellm.completion(
            model="openai/responses/gpt-5.6",
            messages=[{"role": "user", "content": "hi"}],
            api_base=f"http://127.0.0.1:{server.server_port}/v1",
            api_key="none",
            stream=True,
            max_retries=0,
        )
        for chunk in stream:
            choice = chunk.model_dump()["choices"][0]
            delta = choice["delta"]
            texts += filter(None, [delta.get("content"), delta.get("refusal"), delta.get("reasoning_content")])
            finish = choice["finish_reason"] or finish
    except litellm.RateLimitError:
        return "".join(texts), "RateLimitError"
    except Exception as exc:
        return "".join(texts), type(getattr(exc, "original_exception", None) or exc).__name__
    return "".join(texts), finish


expected = {
    "a refusal": ("", "stop"),
    "reasoning of an open model": ("", "stop"),
    "a summary of two parts": ("First part.**Second part**", "stop"),
    "a text without deltas": ("", "stop"),
    "a limited rate": ("", "InternalServerError"),
}
seen = {name: read(events) for name, events in ANSWERS.items()}
print(f"litellm {version('litellm')}")
for name, (text, finish) in seen.items():
    print(f"  {name}: {text!r}, {finish}")
if seen != expected:
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
