"""`make clients`: builds and tests every client whose toolchain is here, and holds them all to the scenarios.

Then their quick starts are followed, and their examples run.

Says plainly which ones it left out; with `--all` that is a failure.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from clients.conformance.__main__ import main as conformance
from clients.conformance.clients import CLIENTS, Client
from scripts.client_examples import main as examples
from scripts.quick_starts import main as quick_starts

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the checks; 1 when one of them fails, or a client is left out that must not be."""
    parser = argparse.ArgumentParser(description="Build and test the clients.")
    parser.add_argument("--all", action="store_true", help="fail when a toolchain is missing")
    options = parser.parse_args(arguments)
    left_out = [client for client in CLIENTS if client.lacks]
    _tell(left_out)
    if left_out and options.all:
        return 1
    code = _checked([client for client in CLIENTS if client not in left_out])
    _tell(left_out)  # again: much was printed since
    return code


def _tell(left_out: Sequence[Client]) -> None:
    for client in left_out:
        print(client.left_out, flush=True)


def _checked(clients: Sequence[Client]) -> int:
    """Builds, tests and compares these; 1 when something fails."""
    broken = [client for client in clients if not _built(client)]
    if broken:
        return 1
    chosen = [argument for client in clients for argument in ("--client", client.name)]
    return conformance(chosen) or quick_starts(chosen) or examples(clients)


def _built(client: Client) -> bool:
    """Runs the make targets of a client; returns whether all of them pass."""
    if not client.targets:
        return True
    print(f"clients/{client.name}: {', '.join(client.targets)} ...", flush=True)
    done = subprocess.run(
        ["make", "-C", f"clients/{client.name}", "--no-print-directory", *client.targets], cwd=ROOT, check=False
    )
    print(f"{'FAIL' if done.returncode else 'ok  '}  clients/{client.name}", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
