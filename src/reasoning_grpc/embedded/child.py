"""The process that runs the embedded model: llama.cpp and its OpenAI-protocol HTTP server on a loopback port.

`launch_child` runs this file, writes one line of JSON (`Settings`) to its stdin, and reads one line of JSON from its
stdout: ``{"address": "http://127.0.0.1:40123"}`` when the model answers, or ``{"problem": "..."}`` before the child
exits with 1. This module imports nothing else of our package, so that the child starts fast.
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
    """The settings that the parent writes to stdin; on a command line other users of the machine could read the key."""

    parent_process_id: int
    weights: str
    model: str
    api_key: str
    port: int
    """The port to listen on; with 0 the operating system chooses one."""
    slots: int
    context_tokens: int
    """The context window of each slot."""
    threads: int
    """0: half as many threads as cores that this process may use."""
    verbose: bool


def main() -> None:
    """Serves until the parent kills this process, or until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C may reach this process too, but only the parent answers it
    answer_line = _redirect_stdout()
    settings: Settings = json.loads(sys.stdin.readline())
    try:
        server = _start_server(settings)
        _write_line(answer_line, {"address": server.listening_address})
    except Exception as exc:
        _write_line(answer_line, {"problem": f"{type(exc).__name__}: {exc}"})
        sys.exit(1)
    while os.getppid() == settings["parent_process_id"]:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(0)  # an orderly exit would wait for answers in progress, whose callers no longer exist


def _redirect_stdout() -> TextIO:
    """Sends stdout to stderr from now on, and returns the pipe to the parent, which is for our one line only."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return pipe


def _write_line(pipe: TextIO, answer: dict[str, str]) -> None:
    with pipe:
        pipe.write(json.dumps(answer) + "\n")


def _start_server(settings: Settings) -> Any:
    """Returns xllamacpp's server, which has loaded the model and listens; it stops when it is garbage collected.

    Only this function knows xllamacpp, which has no types. Its constructor holds the GIL, so that no other thread runs.
    """
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = settings["weights"]
    params.model_alias = {settings["model"]}
    params.verbosity = 1 if settings["verbose"] else 0  # 1 logs errors; from 2 on it quotes the requests it refuses

    params.n_parallel = settings["slots"]
    params.n_ctx = settings["context_tokens"] * settings["slots"]  # llama.cpp divides it by the slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"] or _count_default_threads()
    # Only between two batches of a prompt does llama.cpp notice that a caller left, and continue other streams. With
    # its default of 2048 two abandoned prompts of 1500 tokens kept their slots for 21 s, and a stream beside a prompt
    # waited for 9 s; with 128 both times are 2 s, at the same speed.
    params.n_batch = params.n_ubatch = 128
    params.fit_params = False  # the check whether 100 MB fit takes as long as loading them
    params.cache_ram_mib = 0  # the default keeps up to 8 GB of old prompts; a slot reuses its last prompt anyway

    # Without this sampler 15 % of the answers to 48 plain questions fell into loops, with it 2 %. A repeat penalty
    # stops loops too, but ruins structured output: it routed 5 of 10 prompts rightly, and this sampler 9.
    params.sampling.dry_multiplier = 0.8
    params.sampling.dry_penalty_last_n = 512

    params.hostnames = ["127.0.0.1"]
    params.port = settings["port"]
    params.api_keys = [settings["api_key"]]
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    params.cors_origins = params.cors_methods = params.cors_headers = ""  # no web page may call this server
    params.cors_credentials = False
    return xllamacpp.Server(params)


def _count_default_threads() -> int:
    """Returns half the number of cores, because llama.cpp's threads wait for each other by spinning.

    Measured on two cores with 42 tokens: two threads take 0.5 s on an idle machine, and 6 to 45 s beside one other
    busy process; one thread takes 0.7 s and 1 s.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // 2)


if __name__ == "__main__":
    main()
