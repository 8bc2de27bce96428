#!/usr/bin/env bash
# litellm gives the arguments of one streamed tool call to another, and reports success.
#
# Versions: litellm 1.106.2, anthropic 2.14.0 (first seen 2026-11-29).
#
# Expected: in a stream of Anthropic's Messages API, each delta says with `index` which block it belongs to, so a second
#   tool call may begin before the first one has all its arguments. Anthropic's SDK reads such a stream so.
# Seen: litellm ignores the `index` of deltas, and adds all arguments to the tool call that began last. It raises
#   nothing, and reports `finish_reason="tool_calls"`.
#   - If both calls have arguments, those of the second become a text that is no JSON.
#   - If the second call has none, it gets those of the first: valid JSON, which a tool would be run with.
#   In both cases the first call is left without arguments.
# Why it matters here: servers of several makers speak this protocol, and a tool must not be run with the arguments of
#   another call. We read the streams of anthropic/ ourselves, by `index`. Where litellm reads them, as with azure_ai/,
#   we end such an answer as malformed.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.106.2 anthropic==2.14.0

export LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import anthropic
import litellm

litellm.suppress_debug_info = True
MODEL = "m"
MESSAGES = [{"role": "user", "content": "Roll a die with 6 sides, and flip 2 coins."}]


def write_answer(*deltas):
    """Writes a stream of two tool calls, which both begin before the deltas of their arguments come."""
    usage = {"input_tokens": 5, "output_tokens": 1}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": MODEL, "content": [], "usage": usage}
    message |= {"stop_reason": None, "stop_sequence": None}
    blocks = [{"type": "tool_use", "id": f"call_of_{name}", "name": name, "input": {}} for name in ("roll", "flip")]
    parts = [(index, {"type": "input_json_delta", "partial_json": text}) for index, text in deltas]
    end = {"stop_reason": "tool_use", "stop_sequence": None}
    events = [
        {"type": "message_start", "message": message},
        *({"type": "content_block_start", "index": index, "content_block": blocks[index]} for index in (0, 1)),
        *({"type": "content_block_delta", "index": index, "delta": delta} for index, delta in parts),
        *({"type": "content_block_stop", "index": index} for index in (0, 1)),
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


class Provider(BaseHTTPRequestHandler):
    """Streams the answer that is set."""

    answer = b""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(Provider.answer)))
        self.end_headers()
        self.wfile.write(Provider.answer)

    def log_message(self, *arguments):
        """Keeps the output to the finding."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
ADDRESS = f"http://127.0.0.1:{server.server_port}"


def read_with_anthropic():
    """Returns the arguments of each tool call by its id, and why the answer ended."""
    with anthropic.Anthropic(base_url=ADDRESS, api_key="none", max_retries=0) as client:
        with client.messages.stream(model=MODEL, messages=MESSAGES, max_tokens=99) as stream:
            message = stream.get_final_message()
    return {block.id: block.input for block in message.content}, message.stop_reason


def read_with_litellm():
    """Returns the arguments of each tool call by its id, as text, and the finish reason."""
    stream = litellm.completion(
        model=f"anthropic/{MODEL}", messages=MESSAGES, api_base=ADDRESS, api_key="none", stream=True
    )
    choices = [choice for chunk in stream for choice in chunk.choices]
    ids, texts = {}, {}
    for call in (call for choice in choices for call in choice.delta.tool_calls or []):
        ids.setdefault(call.index, call.id)
        texts[call.index] = texts.get(call.index, "") + (call.function.arguments or "")
    reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
    return {ids[index]: text for index, text in texts.items()}, reasons[-1]


SIX, TWO = {"sides": 6}, {"coins": 2}
CASES = {
    "both calls have arguments": (
        write_answer((0, '{"sides"'), (1, '{"coins"'), (0, ": 6}"), (1, ": 2}")),
        {"call_of_roll": SIX, "call_of_flip": TWO},
        {"call_of_roll": "", "call_of_flip": '{"sides"{"coins": 6}: 2}'},
    ),
    "the second call has no arguments": (
        write_answer((0, '{"sides"'), (0, ": 6}")),
        {"call_of_roll": SIX, "call_of_flip": {}},
        {"call_of_roll": "", "call_of_flip": '{"sides": 6}'},
    ),
}

failed = []
print(f"litellm {version('litellm')}, anthropic {version('anthropic')}")
for title, (Provider.answer, expected, described) in CASES.items():
    by_anthropic, by_litellm = read_with_anthropic(), read_with_litellm()
    print(f"{title}: Anthropic's SDK reads {by_anthropic}")
    print(f"{title}: litellm reads {by_litellm}")
    if by_anthropic != (expected, "tool_use") or by_litellm != (described, "tool_calls"):
        failed.append(title)
if failed:
    sys.exit(f"The behaviour has changed: {', '.join(failed)}.")
print("The behaviour is still as described.")
PYTHON
