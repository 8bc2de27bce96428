"""`ImageStorage`: images that buildah builds and keeps in a folder of the checkout, away from those of the machine."""

import ast
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts.optional_check import ROOT

TARGETS: Final = ("server", "server-embedded")
_CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"
"""Where the Dockerfile mounts the certificates."""
_LONGEST_SECONDS: Final = 1800
"""What buildah may take for one thing on a busy machine; once it hung when all was done."""
_PATH: Final = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_LEFT_OUT: Final = frozenset({"cert", "client-cert", "find-links", "log", "cache-dir"})
"""Settings of pip that name files of this machine."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image whose files can be read, and how a container of it starts."""

    name: str
    root: Path
    """The folder with its files; changes to them are lost later."""
    config: Mapping[str, Any]
    """The configuration of the OCI image: Entrypoint, Cmd, Env, User and so on."""

    @property
    def command(self) -> list[str]:
        """What a container runs where nothing else is said."""
        return [*self.config["Entrypoint"], *self.config["Cmd"]]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a container has."""
        return dict(entry.split("=", 1) for entry in self.config["Env"])

    def measure(self) -> int:
        """Returns the size of its files in bytes, each counted once."""
        sizes: dict[tuple[int, int], int] = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                facts = os.lstat(os.path.join(folder, name))
                sizes[facts.st_dev, facts.st_ino] = facts.st_size
        return sum(sizes.values())


class ImageStorage:
    """The images of one folder."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when the first image is built."""
        self._folder: Final = folder

    def has(self, name: str) -> bool:
        """Whether there is an image of this name."""
        return self._call("inspect", "--type", "image", name, check=False).returncode == 0

    def build(self, target: str, base: str) -> None:
        """Builds a target of the Dockerfile, as the image `localhost/reasoning-grpc:TARGET`, from what is here."""
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = self._folder / "pip.conf"
        settings.write_text(describe_pip(read_pip_settings()), "utf-8")
        secrets = [f"id=pip.conf,src={settings}"]
        if (certificates := find_certificates()) is not None:
            secrets.append(f"id=certificates,src={certificates}")
        self._call(
            *("build", "--pull-never", "--isolation", "chroot", "--file", "Dockerfile", "--target", target),
            *("--build-arg", f"PYTHON_IMAGE={base}"),
            *(part for secret in secrets for part in ("--secret", secret)),
            *("--tag", f"localhost/reasoning-grpc:{target}", "."),
            shows=True,
        )

    def build_from_archive(self, archive: Path, name: str) -> None:
        """Makes an image of this name from the files of an archive."""
        container = self._read("from", "scratch")
        try:
            self._call("add", container, str(archive), "/")
            self._call("config", "--env", _PATH, "--cmd", "python3", container)
            self._call("commit", container, name)
        finally:
            self._call("rm", container)

    @contextmanager
    def open(self, name: str) -> Iterator[Image]:
        """Yields an image whose files are in a folder of its own until the block ends."""
        config = json.loads(self._read("inspect", "--type", "image", name))["OCIv1"]["config"]
        container = self._read("from", "--pull-never", name)
        try:
            yield Image(name, Path(self._read("mount", container)), config)
        finally:
            self._call("rm", container)

    def _read(self, *arguments: str) -> str:
        return self._call(*arguments).stdout.strip()

    def _call(self, *arguments: str, check: bool = True, shows: bool = False) -> subprocess.CompletedProcess[str]:
        """Runs buildah; its output is printed where it `shows`. Raises CalledProcessError, TimeoutExpired."""
        places = ("--root", str(self._folder / "storage"), "--runroot", str(self._folder / "run"))
        return subprocess.run(
            ("buildah", *places, "--storage-driver", "vfs", *arguments),
            cwd=ROOT,
            check=check,
            env=os.environ | {"BUILDAH_ISOLATION": "chroot"},
            timeout=_LONGEST_SECONDS,
            stdout=None if shows else subprocess.PIPE,
            stderr=None if check else subprocess.DEVNULL,
            text=True,
        )


def find_base(dockerfile: str) -> str:
    """Returns the name of the base image in the text of a Dockerfile. Raises ValueError where it names none."""
    found = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    if found is None:
        raise ValueError("the Dockerfile names no PYTHON_IMAGE")
    return found[1]


def read_pip_settings() -> dict[str, str]:
    """Returns how pip reaches its index on this machine, so that it does so in a build as well."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return parse_pip_settings(listed)


def parse_pip_settings(listed: str) -> dict[str, str]:
    """Returns the settings that `pip config list` prints, but for those that name files of the machine."""
    settings = {}
    for line in listed.splitlines():
        section_and_key, _, value = line.partition("=")
        key = section_and_key.rpartition(".")[2]
        if value and key not in _LEFT_OUT:
            settings[key] = str(ast.literal_eval(value))
    return settings


def describe_pip(settings: Mapping[str, str]) -> str:
    """Returns a configuration file of pip with these settings, and the certificates where the Dockerfile has them."""
    lines = [f"{key} = {value}".replace("\n", "\n    ") for key, value in settings.items()]
    return "\n".join(["[global]", f"cert = {_CERTIFICATES}", *lines, ""])


def find_certificates() -> Path | None:
    """Returns the file of the authorities that this machine trusts; None where there is none."""
    named = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return Path(named) if named and Path(named).is_file() else None
