"""The server needs no network but loopback: not to start, not to answer."""

import asyncio
import sys
from pathlib import Path
from typing import Final

from reasoning_grpc.client import ReasoningClient
from tests.support.factories import a_wire_request
from tests.support.upstream import FakeUpstream

GUARDED_SERVER: Final = """
import sys

def guard(event, arguments):
    # No name is looked up, and no address connected to, but those of this machine.
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


async def test_nothing_but_loopback_is_ever_asked(upstream: FakeUpstream, tmp_path: Path) -> None:
    """With the network blocked a server starts and answers; it has not even tried to reach out."""
    upstream.reply("Hello")
    file = tmp_path / "reasoning.toml"
    file.write_text(f'[models.fake]\nlitellm_model = "openai/gpt-4o"\napi_base = "{upstream.api_base}"\n')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", GUARDED_SERVER, "serve", "--listen", "127.0.0.1:0", "--config", str(file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        first_line = (await process.stdout.readline()).decode()
        async with ReasoningClient(first_line.removeprefix("serving on ").strip()) as client:
            answer = await client.complete(a_wire_request())
    finally:
        process.terminate()
        rest = await process.stdout.read()
        exit_code = await process.wait()

    assert first_line.startswith("serving on ")
    assert answer.message.content[0].text == "Hello"
    assert rest == b""
    assert exit_code == 0
