"""`make image`: builds both images with buildah, runs them with a read-only root, calls them, and measures them.

It needs buildah and mmdebstrap, which Debian has, and root. The base image is a stand-in with the name that stands in
`FROM`: the same release of Debian, with Debian's own Python of the same version, made by mmdebstrap. `--base NAME`
takes another image, which must be in the storage. What is missing is reported; with `--all` that is a failure. It is
no part of `make check`. Further arguments go to pytest.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scripts.image_storage import TARGETS, ImageStorage, find_base
from scripts.optional_check import ROOT, build_test_step, leave_out, run_steps

STORAGE: Final = ROOT / "build" / "image"
_PROGRAMS: Final = ("buildah", "mmdebstrap", "unshare", "chroot")
_STAND_IN: Final = ("python3", "python3-venv", "ca-certificates")
"""What the stand-in has of an image of Python: an interpreter that can make environments, with pip in them."""
_LINKS: Final = 'ln -s /usr/bin/python3 "$1/usr/local/bin/python3"; ln -s /usr/bin/python3 "$1/usr/local/bin/python"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds, tries and measures; returns the exit code of what failed, or 1 with `--all` when it is left out."""
    parser = argparse.ArgumentParser(description="Build the images, and try them.", allow_abbrev=False)
    parser.add_argument("--all", action="store_true", help="fail where a program or the rights are missing")
    parser.add_argument("--base", metavar="NAME", help="a base image in the storage, instead of the stand-in")
    options, others = parser.parse_known_args(arguments)
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return leave_out("the images", f"there is no {' and no '.join(missing)}", options)
    if os.geteuid() != 0:
        return leave_out("the images", "only root may mount their files and start process 1 of a container", options)
    storage = ImageStorage(STORAGE)
    base = options.base or find_base(ROOT.joinpath("Dockerfile").read_text("utf-8"))
    try:
        if not storage.has(f"localhost/{base}"):
            build_stand_in(storage, base)
        for target in TARGETS:
            storage.build(target, f"localhost/{base}")
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
        print(f"image: {exc}", file=sys.stderr)
        return 1
    return run_steps(build_test_step("image", "tests/image", others), [sys.executable, "-m", "bench.image"])


def build_stand_in(storage: ImageStorage, base: str) -> None:
    """Makes the base image from Debian's packages, of the release that its name ends with."""
    release = base.rpartition("-")[2]
    archive = STORAGE / "base.tar"
    STORAGE.mkdir(parents=True, exist_ok=True)
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(_STAND_IN)}", f"--customize-hook={_LINKS}"]
    for folder in ("doc", "man", "locale"):  # as in Debian's slim images
        command += [f"--dpkgopt=path-exclude=/usr/share/{folder}/*"]
    subprocess.run([*command, release, str(archive)], check=True, cwd=Path("/"))
    storage.build_from_archive(archive, f"localhost/{base}")
    archive.unlink()


if __name__ == "__main__":
    sys.exit(main())
