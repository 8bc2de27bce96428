"""`make demo`: runs a server with the embedded model, and shows its decisions, steps and tokens while they arrive."""

import subprocess
import sys

from scripts.server_process import COMMAND, run_server

QUESTION = "In one sentence: what is the capital of France?"
PROBLEM = "What is 23 times 19?"


def main() -> int:
    """Runs the demo, and returns the exit code of the first question that failed."""
    print("Starting the server on the embedded model (SmolLM2 135M: small, often wrong, needs no key) ...", flush=True)
    with run_server() as address:
        print(f"Serving on {address}. Asking: {QUESTION}\n", flush=True)
        code = _ask(address, "--max-output-tokens", "80", QUESTION)
        if code == 0:
            print(f"\nNow in steps, with a calculator: {PROBLEM}\n", flush=True)
            code = _ask(
                address, "--reason", "--max-steps", "4", "--tool", "calculator", "--max-output-tokens", "60", PROBLEM
            )
    if code == 0:
        print("\nThat was a real model behind a real gRPC stream. `make run` serves until you stop it.")
    return code


def _ask(address: str, *arguments: str) -> int:
    return subprocess.run(
        [COMMAND, "ask", "--target", address, *arguments], stderr=subprocess.STDOUT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
