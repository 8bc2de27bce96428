"""The process that runs the embedded model: llama.cpp and its OpenAI-protocol HTTP server on a loopback port.

`embedded.EmbeddedModel` runs this file, writes one line of JSON (`Settings`) to its stdin, and reads one line of JSON
from its stdout: ``{"address": "http://127.0.0.1:40123"}`` once the model answers, or ``{"problem": "..."}`` before it
exits with 1. Nothing else of our package is imported here, so that it starts fast.
"""

import importlib
import json
import os
import signal
import sys
import time
from typing import Any, Final, TextIO, TypedDict

_PARENT_CHECK_SECONDS: Final = 0.5


class Settings(TypedDict):
    """What the parent writes to stdin, for other users of the machine can read a command line, and the key with it."""

    parent_process_id: int
    weights: str
    model: str
    api_key: str
    port: int
    """Where to listen; 0 lets the operating system choose."""
    slots: int
    context_tokens: int
    """For each slot."""
    threads: int
    """0: half as many as the cores this process may use."""
    verbose: bool


def main() -> None:
    """Serves until the parent kills this process, or until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C may reach us too, but it is the parent's to answer
    answer_line = _take_stdout()
    settings: Settings = json.loads(sys.stdin.readline())
    try:
        server = _start_server(settings)
        _write_line(answer_line, {"address": server.listening_address})
    except Exception as exc:
        _write_line(answer_line, {"problem": f"{type(exc).__name__}: {exc}"})
        sys.exit(1)
    while os.getppid() == settings["parent_process_id"]:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(0)  # an orderly exit would wait for what is being generated, for a caller that no longer exists


def _take_stdout() -> TextIO:
    """The pipe to the parent, for our one line alone: what others print to stdout goes to stderr from here on."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return pipe


def _write_line(pipe: TextIO, answer: dict[str, str]) -> None:
    with pipe:
        pipe.write(json.dumps(answer) + "\n")


def _start_server(settings: Settings) -> Any:
    """xllamacpp's server: loaded and listening when its constructor returns, stopped when it is collected.

    The one place that knows xllamacpp, which has no types. Its constructor holds the GIL: no thread of ours would run.
    """
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = settings["weights"]
    params.model_alias = {settings["model"]}
    params.verbosity = 1 if settings["verbose"] else 0  # errors; from 2 on it quotes from the requests it refuses

    params.n_parallel = settings["slots"]
    params.n_ctx = settings["context_tokens"] * settings["slots"]  # llama.cpp divides it by the slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"] or _default_threads()
    # Between two batches of a prompt it notices callers who left, and lets other streams go on. With its own 2048, two
    # dropped prompts of 1500 tokens kept their slots for 21 s, and a stream beside a prompt stood still for 9 s; with
    # 128 it is 2 s and 2 s, at equal speed.
    params.n_batch = params.n_ubatch = 128
    params.fit_params = False  # measuring whether 100 MB fit costs as long as loading them
    params.cache_ram_mib = 0  # else it keeps up to 8 GB of old prompts; a slot still reuses its last one

    # Its answers fell into loops in 15 % of 48 plain questions, with this in 2 %. A repeat penalty stops them too, but
    # ruins structured output: 5 of 10 routed rightly, against 9.
    params.sampling.dry_multiplier = 0.8
    params.sampling.dry_penalty_last_n = 512

    params.hostnames = ["127.0.0.1"]
    params.port = settings["port"]
    params.api_keys = [settings["api_key"]]
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    params.cors_origins = params.cors_methods = params.cors_headers = ""  # no web page has business here
    params.cors_credentials = False
    return xllamacpp.Server(params)


def _default_threads() -> int:
    """Half of the cores: llama.cpp's threads wait for each other by spinning.

    Measured on two cores, 42 tokens: with two threads 0.5 s on an idle machine, and 6 to 45 s beside one other busy
    process; with one thread 0.7 s and 1 s.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // 2)


if __name__ == "__main__":
    main()
