"""The server needs only the loopback network, to start as well as to answer."""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.embedded.naming import BUNDLED_NAME
from reasoning_grpc.v1 import completion_pb2
from tests.support.agent import plan_call, reasoning_request, write_plan
from tests.support.classification import AUTO, CLASSIFIER, write_choice
from tests.support.commands import read_announced_address
from tests.support.factories import a_wire_request
from tests.support.upstream import FakeUpstream

pytestmark = pytest.mark.process

FORMAT: Final = completion_pb2.ResponseFormat(
    json_schema=completion_pb2.JsonSchemaFormat(
        name="n", schema='{"type":"object","properties":{"a":{"type":"string"}}}'
    )
)
"""For this format litellm looks up a list of Anthropic's, which it would fetch from the network."""
GUARDED_SERVER: Final = """
import sys

def guard(event, arguments):
    # Only names and addresses of this machine are looked up and connected to.
    if event == "socket.getaddrinfo":
        local = arguments[0] in {"127.0.0.1", "::1", "localhost", None, b"127.0.0.1"}
    elif event == "socket.connect":
        address = arguments[1]
        local = not isinstance(address, tuple) or address[0] in {"127.0.0.1", "::1"}
    else:
        return
    if not local:
        print(f"outbound: {event} {arguments[1:] or arguments}", flush=True)
        raise OSError("the network is blocked")

sys.addaudithook(guard)

from reasoning_grpc.cli import main
sys.exit(main())
"""


async def test_the_server_connects_only_to_loopback(upstream: FakeUpstream, tmp_path: Path) -> None:
    """With the network blocked a server starts, serves calls of each kind, and does not try to connect anywhere else.

    Its models are those of three providers, of a proxy on this machine, and the embedded one.
    """
    file = tmp_path / "reasoning.toml"
    models = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-pro"}
    file.write_text(
        'default_model = "openai"\nembedded = "on"\n[classifier]\nstrategy = "model"\ntimeout_seconds = 60\n'
        + "".join(
            f'[models.{provider}]\nlitellm_model = "{provider}/{model}"\n'
            f'api_base = "{upstream.api_base_for(provider)}"\n'
            for provider, model in models.items()
        )
    )
    upstream.model_info.lists("team")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", GUARDED_SERVER, "serve", "--listen", "127.0.0.1:0", "--config", str(file)),
        env={**os.environ, "LITELLM_BASE_URL": f"http://127.0.0.1:{upstream.port}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        address = read_announced_address(await process.stdout.readline())
        async with ReasoningClient(address) as client:
            listed = {model.name for model in await client.list_models()}
            answers = [
                *[await client.complete(a_wire_request(model=name, response_format=FORMAT)) for name in models],
                await client.complete(a_wire_request(model="team")),
            ]
            short = completion_pb2.Sampling(max_output_tokens=4)
            embedded = await client.complete(a_wire_request(model=BUNDLED_NAME, sampling=short))
            upstream.reply(write_choice("passthrough"))
            decision = await client.classify(a_wire_request(**AUTO))
            upstream.reply(write_plan(plan_call("calculator", expression="6 * 7")))
            upstream.reply(write_plan())
            run = await client.complete(reasoning_request())
    finally:
        process.send_signal(signal.SIGINT)
        rest = await process.stdout.read()
        exit_code = await process.wait()

    assert listed == {*models, "team", BUNDLED_NAME}
    assert ["".join(part.text for part in answer.message.content) for answer in (*answers, run)] == ["Hello world"] * 5
    assert embedded.usage.output_tokens > 0
    assert (decision.route, decision.source) == ("passthrough", CLASSIFIER)
    executions = [execution for step in run.steps for execution in step.tool_executions]
    assert [(execution.name, json.loads(execution.result)["result"]) for execution in executions] == [
        ("calculator", "42")
    ]
    assert rest == b""
    assert exit_code == 0


@pytest.mark.parametrize("provider", ["huggingface", "lemonade", "ollama", "ollama_chat"])
async def test_litellm_requests_nothing_about_a_model(upstream: FakeUpstream, tmp_path: Path, provider: str) -> None:
    """A call makes no other request than its own, also where litellm would request facts about the model first."""
    file = tmp_path / "reasoning.toml"
    file.write_text(
        f'[models.m]\nlitellm_model = "{provider}/org/m"\nuntested = true\napi_base = "{upstream.api_base}"\n'
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", GUARDED_SERVER, "serve", "--listen", "127.0.0.1:0", "--config", str(file)),
        "--max-retries=0",
        env={**os.environ, **dict.fromkeys(("OLLAMA_API_BASE", "LEMONADE_API_BASE"), "http://facts.invalid")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        address = read_announced_address(await process.stdout.readline())
        async with ReasoningClient(address) as client:
            with suppress(CallFailed):  # the fake upstream does not speak every protocol
                await client.complete(a_wire_request())
    finally:
        process.send_signal(signal.SIGINT)
        rest = await process.stdout.read()
        await process.wait()

    assert rest == b""
    assert len(upstream.requests) == 1
