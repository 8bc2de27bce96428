"""Runs the example program of each client against a server on the embedded model."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from clients.conformance.clients import Client
from scripts.served import served

ROOT: Final = Path(__file__).resolve().parent.parent
_LONGEST_SECONDS: Final = 300


def main(clients: Iterable[Client]) -> int:
    """Runs the examples of these clients, which are built; 1 when one fails."""
    with served() as address:
        failed = [client for client in clients if not _worked(client, address)]
    return int(bool(failed))


def _worked(client: Client, address: str) -> bool:
    """Whether the example ends well, having told a step of the agent and an answer."""
    try:
        done = subprocess.run(
            client.example,
            cwd=ROOT,
            env={**os.environ, "REASONING_TARGET": address},
            check=False,
            capture_output=True,
            text=True,
            timeout=_LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        print(f"FAIL  example of {client.name}: it did not end within {_LONGEST_SECONDS} s", flush=True)
        return False
    told = "step 1" in done.stdout + done.stderr and bool(done.stdout.strip())
    well = done.returncode == 0 and told
    print(f"{'ok  ' if well else 'FAIL'}  example of {client.name}", flush=True)
    if not well:
        print(f"it ended with {done.returncode}:\n{done.stdout}{done.stderr}", flush=True)
    return well
