"""`python -m tests.fuzz.process TARGET ...`: fuzzes one target with atheris; further arguments go to libFuzzer."""

import logging
import sys
from random import Random
from typing import Final

import atheris

_SHARE_OF_BYTES: Final = 0.3
"""The share of changes that libFuzzer makes, which know nothing of the protocol."""


def main() -> None:
    """Fuzzes until libFuzzer ends the process."""
    program, name, *arguments = sys.argv
    with atheris.instrument_imports(include=["reasoning_grpc"]):
        from tests.fuzz.targets import TARGETS
    for logger in ("reasoning_grpc", "LiteLLM", "asyncio"):
        logging.getLogger(logger).propagate = False
        logging.getLogger(logger).addHandler(logging.NullHandler())
    target = TARGETS[name]

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < _SHARE_OF_BYTES:
            changed: bytes = atheris.Mutate(data, max_size)
            return changed
        for _ in range(random.choice((1, 1, 2, 4))):
            data = target.mutate(data, random)
        return data[:max_size]

    for seed in list(target.list_seeds())[:1]:
        target.run(seed)  # imports litellm where the target needs it, which takes longer than an input may
    atheris.Setup([program, *arguments], target.run, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
