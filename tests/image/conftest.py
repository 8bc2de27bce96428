"""The images that `make image` has built, with their files in folders."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.check_image import STORAGE
from scripts.image_storage import TARGETS, Image, ImageStorage


@pytest.fixture(scope="session")
def images() -> Iterator[dict[str, Image]]:
    """Provides the images by their targets."""
    storage = ImageStorage(STORAGE)
    with ExitStack() as stack:
        yield {target: stack.enter_context(storage.open(f"localhost/reasoning-grpc:{target}")) for target in TARGETS}


@pytest.fixture(params=TARGETS)
def image(images: dict[str, Image], request: pytest.FixtureRequest) -> Image:
    """Provides each of the images in turn."""
    return images[request.param]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Provides a folder that the user of a container may read, too."""
    tmp_path.chmod(0o755)
    return tmp_path
