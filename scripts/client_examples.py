"""Runs the example program of each client against a server on the embedded model."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from clients.conformance.clients import Client
from scripts.server_process import run_server

ROOT: Final = Path(__file__).resolve().parent.parent
_TIMEOUT_SECONDS: Final = 300


def main(clients: Iterable[Client]) -> int:
    """Runs the examples of these clients, which must be built; returns 1 when one fails."""
    with run_server() as address:
        failed = [client for client in clients if not _run_example(client, address)]
    return int(bool(failed))


def _run_example(client: Client, address: str) -> bool:
    """Runs the example; returns whether it succeeds and prints a step of the agent and an answer."""
    try:
        done = subprocess.run(
            client.example,
            cwd=ROOT,
            env={**os.environ, "REASONING_TARGET": address},
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        print(f"FAIL  example of {client.name}: it did not end within {_TIMEOUT_SECONDS} s", flush=True)
        return False
    is_complete = "step 1" in done.stdout + done.stderr and bool(done.stdout.strip())
    has_passed = done.returncode == 0 and is_complete
    print(f"{'ok  ' if has_passed else 'FAIL'}  example of {client.name}", flush=True)
    if not has_passed:
        print(f"it ended with {done.returncode}:\n{done.stdout}{done.stderr}", flush=True)
    return has_passed
