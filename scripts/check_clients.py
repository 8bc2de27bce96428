"""`make clients`: builds and tests every client whose toolchain is installed, and runs the conformance suite.

Then it follows their quick starts and runs their examples. It reports the clients that it leaves out; with `--all` a
client that is left out is a failure.
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
    """Runs the checks; returns 1 when one of them fails, or when `--all` is given and a client is left out."""
    parser = argparse.ArgumentParser(description="Build and test the clients.")
    parser.add_argument("--all", action="store_true", help="fail when a toolchain is missing")
    options = parser.parse_args(arguments)
    omitted = [client for client in CLIENTS if client.missing_commands]
    _report(omitted)
    if omitted and options.all:
        return 1
    code = _check([client for client in CLIENTS if client not in omitted])
    _report(omitted)  # again, because much has been printed since
    return code


def _report(omitted: Sequence[Client]) -> None:
    for client in omitted:
        print(client.omission_notice, flush=True)


def _check(clients: Sequence[Client]) -> int:
    """Builds, tests and compares these clients; returns 1 when something fails."""
    broken = [client for client in clients if not _build(client)]
    if broken:
        return 1
    selection = [argument for client in clients for argument in ("--client", client.name)]
    return conformance(selection) or quick_starts(selection) or examples(clients)


def _build(client: Client) -> bool:
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
