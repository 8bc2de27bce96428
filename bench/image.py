"""`python -m bench.image`: the size of the images, and the time and memory of a start, as `make image` prints them.

The containers run with a read-only disk, as the tests of the images do. The first start of each image reads its files
from disk; others read them from memory.
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from scripts.check_image import STORAGE
from scripts.image_storage import TARGETS, Image, ImageStorage, find_base
from scripts.optional_check import ROOT
from tests.support.container import FOLDER, running_container

_STARTS: Final = 5
_CONFIGURATION: Final = """
[models.fake]
litellm_model = "openai/fake-upstream"
api_base = "http://127.0.0.1:9"
api_key_env = "FAKE_KEY"
"""
"""One model, at an address where nobody listens: nothing is sent at the start."""
_VARIABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "server": {"REASONING_CONFIG": f"{FOLDER}/reasoning.toml", "FAKE_KEY": "none"},
    "server-embedded": {},
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of an image."""

    size: int
    """Bytes of its files, with the base image."""
    starts: list[float]
    """Seconds from the start of process 1 to SERVING, of each start."""
    memory: int
    """Bytes of all processes of an idle server, least of the starts."""


def main() -> int:
    """Measures the images, and prints a table."""
    storage = ImageStorage(STORAGE)
    with storage.open(f"localhost/{find_base(ROOT.joinpath('Dockerfile').read_text('utf-8'))}") as base:
        print(f"the base image: {base.measure() / 1e6:.0f} MB")
        base_size = base.measure()
    print("| image | size | of it above the base | first start | other starts | memory |\n|---|---|---|---|---|---|")
    for target in TARGETS:
        with storage.open(f"localhost/reasoning-grpc:{target}") as image, TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            folder.joinpath("reasoning.toml").write_text(_CONFIGURATION)
            figures = asyncio.run(measure(image, folder, _VARIABLES[target]))
        first, *others = figures.starts
        print(
            f"| {target} | {figures.size / 1e6:.0f} MB | {(figures.size - base_size) / 1e6:.0f} MB | {first:.2f} s "
            f"| {min(others):.2f} to {max(others):.2f} s | {figures.memory / 1e6:.0f} MB |",
            flush=True,
        )
    return 0


async def measure(image: Image, folder: Path, variables: Mapping[str, str]) -> Figures:
    """Starts containers of an image one after another, with a folder that they can read, and returns what they took."""
    starts, memory = [], []
    for _ in range(_STARTS):
        started = time.perf_counter()
        listen = {"REASONING_LISTEN": "127.0.0.1:0"}
        async with running_container(image, folder, variables={**listen, **variables}) as container:
            await container.read_address()
            starts.append(time.perf_counter() - started)
            memory.append(container.measure_memory())
    return Figures(image.measure(), starts, min(memory))


if __name__ == "__main__":
    sys.exit(main())
