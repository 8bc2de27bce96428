#!/usr/bin/env bash
# A span of OpenTelemetry for Python that has too many attributes loses those that were set first.
#
# Versions: opentelemetry-sdk 1.45.2 (first seen 2026-11-29).
#
# Expected: OpenTelemetry's specification says that an attribute whose addition would exceed the limit is discarded. The
#   limit is 128 for each span. What a span was started with, such as its kind, is then kept.
# Seen: the attribute that was set first makes room for the new one. A span that gets 200 attributes keeps the last 128
#   of them, and none of those with which it was started.
# Why it matters here: OpenInference writes a conversation as several attributes a message. With some dozen messages, a
#   span would lose its kind, and viewers would show it as UNKNOWN. Our spans hold a conversation in one attribute.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2

timeout 60 "$folder/venv/bin/python" -W ignore - 2> /dev/null <<'PYTHON'
import sys
from importlib.metadata import version

from opentelemetry.sdk.trace import TracerProvider

span = TracerProvider().get_tracer("finding").start_span("chat", attributes={"kind": "LLM"})
for number in range(200):
    span.set_attribute(f"message.{number}", "text")
span.end()
kept = list(span.attributes)

print(f"opentelemetry-sdk {version('opentelemetry-sdk')}")
print("expected: the attributes that were set first are kept: kind, message.0, message.1, ...")
print(f"seen: {len(kept)} are kept, from {kept[0]} to {kept[-1]}")
if (len(kept), kept[0], kept[-1]) != (128, "message.72", "message.199"):
    print("The behaviour has changed.")
    sys.exit(1)
print("The behaviour is still as described.")
PYTHON
