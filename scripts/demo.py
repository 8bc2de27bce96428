"""`make demo`: runs a server with the embedded model, and shows its decisions, steps and tokens while they arrive."""

import subprocess
import sys

from scripts.server_process import COMMAND, run_server

PLAN = "Plan a week in Rome for two with 1,000 euros, and compare three ways to get there."
QUESTION = "In one sentence: what is the capital of France?"
PROBLEM = "What is 23 times 19?"


def main() -> int:
    """Runs the demo, and returns the exit code of the first question that failed."""
    print("Starting the server on the embedded model (SmolLM2 135M: small, often wrong, needs no key) ...", flush=True)
    with run_server("--default-mode", "auto") as address:
        print(f"Serving on {address}. An embedding routes each request. Asking: {QUESTION}\n", flush=True)
        code = _call(address, "ask", "--max-output-tokens", "80", QUESTION)
        if code == 0:
            print(f"\nThe route of a harder one: {PLAN}\n", flush=True)
            code = _call(address, "classify", PLAN)
        if code == 0:
            print(f"\nNow in steps, with a calculator: {PROBLEM}\n", flush=True)
            flags = ("--reason", "--max-steps", "4", "--tool", "calculator", "--max-output-tokens", "60")
            code = _call(address, "ask", *flags, PROBLEM)
    if code == 0:
        print("\nThat was a real model behind a real gRPC stream. `make run` serves until you stop it.")
    return code


def _call(address: str, command: str, *arguments: str) -> int:
    return subprocess.run(
        [COMMAND, command, "--target", address, *arguments], stderr=subprocess.STDOUT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
