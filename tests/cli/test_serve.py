"""`serve` logs calls without secrets, and reports why it does not start."""

import asyncio
import json
import re
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path

import pytest

from reasoning_grpc.config import hash_token
from tests.support.commands import PATIENCE_SECONDS, Finished, run, running_process
from tests.support.factories import a_wire_request
from tests.support.server_process import (
    KEY,
    TOKEN,
    ServerFolder,
    ServerProcess,
    wait_for_end,
)
from tests.support.upstream import UPSTREAM_SECRET

# All tests of the command line share an event loop, with a server process and the upstream behind it.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process]


async def test_the_log_holds_no_secret(server_process: ServerProcess) -> None:
    """The log has one line with facts for each call, and never a prompt, token, key or text of the upstream."""
    finished = await server_process.ask("ask", "a-confidential-prompt", "--json")

    answer = json.loads(finished.out.splitlines()[-1])["completed"]
    (line,) = [line for line in server_process.lines() if line["message"] == "call"][-1:]
    assert answer["finish_reason"] == "FINISH_REASON_STOP"
    assert {name: line[name] for name in ("level", "method", "code", "caller", "model", "finish_reason")} == {
        "level": "info",
        "method": "StreamComplete",
        "code": "OK",
        "caller": "alice",
        "model": "fake",
        "finish_reason": "STOP",
    }
    log = server_process.log.read_text()
    for secret in ("a-confidential-prompt", TOKEN, hash_token(TOKEN), KEY, UPSTREAM_SECRET, "Traceback"):
        assert secret not in log


async def test_a_server_that_cannot_start_reports_why(
    server_folder: ServerFolder, server_process: ServerProcess, tmp_path: Path
) -> None:
    """A port in use, a bad configuration, a missing key and a missing file exit with 1 and a clear line each."""
    (tmp_path / "bad.toml").write_text('max_retries = -1\n[models.m]\nlitellm_model = "gpt"\n')
    (tmp_path / "wiring.toml").write_text('[models.m]\nlitellm_model = "azure/m"\n')
    (tmp_path / "provider.toml").write_text(
        'listen = "127.0.0.1:0"\n[models.m]\nlitellm_model = "nobody/m"\nuntested = true\n'
    )
    key = {"FAKE_KEY": KEY}
    text = ("--log-format", "text")

    in_use, bad, no_key, no_file, wiring, provider = await asyncio.gather(
        run("serve", "--config", server_folder.config, "--listen", server_process.address, *text, variables=key),
        run("serve", "--config", str(tmp_path / "bad.toml"), *text),
        run("serve", "--config", server_folder.config, *text),
        run("serve", "--config", str(tmp_path / "none.toml"), *text),
        run("serve", "--config", str(tmp_path / "wiring.toml"), *text),
        run("serve", "--config", str(tmp_path / "provider.toml"), *text),
    )

    for finished in (in_use, bad, no_key, no_file, wiring, provider):
        assert (finished.code, finished.out) == (1, "")
    assert in_use.err == (
        f"reasoning-grpc: {server_process.address} cannot be listened on: "
        "it is in use, or it is not an address of this machine\n"
    )
    assert bad.err.splitlines() == [
        "reasoning-grpc: max_retries: must be at least 0 and at most 10",
        'reasoning-grpc: models.m.litellm_model: must be "PROVIDER/MODEL", such as "openai/gpt-4o-mini"',
    ]
    assert no_key.err == ("reasoning-grpc: models.fake.api_key_env: the environment variable FAKE_KEY is not set\n")
    assert no_file.err == f"reasoning-grpc: {tmp_path / 'none.toml'}: there is no such file\n"
    assert wiring.err == "reasoning-grpc: models.m.api_base: is missing; azure has no address of its own\n"
    assert provider.err.splitlines()[-1] == "reasoning-grpc: models.m.litellm_model: litellm has no provider 'nobody'"
    assert "Traceback" not in provider.err


@pytest.mark.parametrize("log_format", [(), ("--log-format", "json")], ids=["auto", "json"])
async def test_start_errors_are_json_where_the_log_is(
    server_folder: ServerFolder, server_process: ServerProcess, tmp_path: Path, log_format: tuple[str, ...]
) -> None:
    """Each start error is a JSON line of the level ERROR when the log is JSON, as `auto` means without a terminal."""
    (tmp_path / "bad.toml").write_text('max_retries = -1\n[models.m]\nlitellm_model = "gpt"\n')

    in_use, bad, no_file = await asyncio.gather(
        run(
            *("serve", "--config", server_folder.config, "--listen", server_process.address, *log_format),
            variables={"FAKE_KEY": KEY},
        ),
        run("serve", "--config", str(tmp_path / "bad.toml"), *log_format),
        run("serve", "--config", str(tmp_path / "none.toml"), *log_format),
    )

    in_use_reason = "it is in use, or it is not an address of this machine"
    assert read_errors(in_use) == [f"{server_process.address} cannot be listened on: {in_use_reason}"]
    assert read_errors(bad) == [
        "max_retries: must be at least 0 and at most 10",
        'models.m.litellm_model: must be "PROVIDER/MODEL", such as "openai/gpt-4o-mini"',
    ]
    assert read_errors(no_file) == [f"{tmp_path / 'none.toml'}: there is no such file"]


def read_errors(finished: Finished) -> list[str]:
    """Returns the errors in the log of a server that did not start, whose every line must be JSON."""
    assert (finished.code, finished.out) == (1, "")
    lines = [json.loads(line) for line in finished.err.splitlines()]
    return [line["message"] for line in lines if line["level"] == "error"]


async def test_the_file_chooses_the_format_of_start_errors(tmp_path: Path) -> None:
    """A wrong file that has `log_format` chooses the format of its own errors."""
    for log_format in ("json", "text"):
        (tmp_path / f"{log_format}.toml").write_text(f'log_format = "{log_format}"\nmax_retries = -1\n')

    as_json, as_text = [await run("serve", "--config", str(tmp_path / f"{name}.toml")) for name in ("json", "text")]

    assert read_errors(as_json) == ["max_retries: must be at least 0 and at most 10"]
    assert as_text.err == "reasoning-grpc: max_retries: must be at least 0 and at most 10\n"


async def test_the_announcement_has_the_format_of_the_log(server_folder: ServerFolder) -> None:
    """A server whose log is text prints its address as text."""
    arguments = ("serve", "--config", server_folder.config, "--listen", "127.0.0.1:0", "--log-format", "text")
    async with running_process(
        *arguments, variables={"FAKE_KEY": KEY}, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    ) as process:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await process.stdout.readline()

    assert re.fullmatch(rb"serving on 127\.0\.0\.1:\d+\n", line)


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_a_log_on_standard_output_says_the_address_once(server_folder: ServerFolder, log_format: str) -> None:
    """In a terminal, and wherever else both outputs go to one place, only the log says that the server serves."""
    arguments = ("serve", "--config", server_folder.config, "--listen", "127.0.0.1:0", "--log-format", log_format)
    async with running_process(
        *arguments, variables={"FAKE_KEY": KEY}, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    ) as process:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            lines = [await process.stdout.readline()]
            while b"serving" not in lines[-1]:
                lines.append(await process.stdout.readline())
            process.send_signal(signal.SIGTERM)
            lines += (await process.stdout.read()).splitlines()

    assert len([line for line in lines if b"serving" in line]) == 1


async def test_json_lines_are_written_in_one_way(server_folder: ServerFolder) -> None:
    """Whatever writes a line, its values have no spaces between them, so that a search for one finds all."""
    async with server_folder.serving() as server:
        async with server.client() as client:
            await client.complete(a_wire_request())
        server.process.send_signal(signal.SIGTERM)
        assert await wait_for_end(server.process) == 0

    lines = server.log.read_text().splitlines()
    assert {"starting", "serving", "call", "signal", "stopped", "exit"} <= {
        json.loads(line)["message"] for line in lines
    }
    assert lines == [json.dumps(json.loads(line), separators=(",", ":")) for line in lines]
