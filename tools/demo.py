"""`make demo`: serves on the embedded model, asks it over gRPC, shows decision and tokens as they come, stops."""

import subprocess
import sys

from tools.served import COMMAND, served

QUESTION = "In one sentence: what is the capital of France?"


def main() -> int:
    """Runs the demo; the exit code of the question."""
    print("Starting the server on the embedded model (SmolLM2 135M: small, often wrong, needs no key) ...", flush=True)
    with served() as address:
        print(f"Serving on {address}. Asking: {QUESTION}\n", flush=True)
        asked = subprocess.run(
            [COMMAND, "ask", "--target", address, "--max-output-tokens", "80", QUESTION],
            stderr=subprocess.STDOUT,
            check=False,
        )
    if asked.returncode == 0:
        print("\nThat was a real model behind a real gRPC stream. `make run` serves until you stop it.")
    return asked.returncode


if __name__ == "__main__":
    sys.exit(main())
