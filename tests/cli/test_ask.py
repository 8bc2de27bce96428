"""`ask` sends a prompt, prints the answer alone to standard output, and reports failures."""

import asyncio
import json
import os
import re
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Final

import pytest

from tests.support.commands import PATIENCE_SECONDS, Finished, run, running_process
from tests.support.deadlines import try_deadlines
from tests.support.server_process import (
    REFUSED_KEY,
    ROUTE_LINE,
    TOKEN,
    ServerFolder,
    ServerProcess,
)
from tests.support.upstream import refusing_api_base

# All tests of the command line share an event loop, with a server process and the upstream behind it.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process]

DONE_LINE: Final = re.compile(
    r"done: stop, 11 \+ 7 tokens, \$0\.000095, first token \d+ ms, total \d+ ms, overhead \d+\.\d ms\n"
)


async def test_ask_prints_only_the_answer_to_standard_output(server_process: ServerProcess) -> None:
    """The answer goes to standard output, and the route and a summary to standard error."""
    finished = await server_process.ask("ask", "hi")

    assert finished.code == 0
    assert finished.out == "Hello world\n"
    assert finished.err.startswith(ROUTE_LINE)
    assert DONE_LINE.fullmatch(finished.err.removeprefix(ROUTE_LINE))


async def test_ask_prints_json(server_process: ServerProcess) -> None:
    """With `--json` each event is a line with an object on standard output, and standard error is empty."""
    finished = await server_process.ask("ask", "hi", "--json")

    events = [json.loads(line) for line in finished.out.splitlines()]
    assert finished.code == 0
    assert finished.err == ""
    assert [int(event.get("sequence", 0)) for event in events] == list(range(len(events)))
    assert events[0]["started"]["route_decision"]["source"] == "ROUTE_SOURCE_DEFAULT"
    assert "".join(event["content_delta"]["text"] for event in events[1:-1]) == "Hello world"
    assert events[-1]["completed"]["finish_reason"] == "FINISH_REASON_STOP"


async def test_ask_sends_what_its_flags_say(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """The prompt from standard input and the value of each flag reach the upstream."""
    flags = ("--system", "Be brief.", "--temperature", "0", "--max-output-tokens", "5", "--effort", "low")

    finished = await server_process.ask("ask", "-", *flags, "--model", "other", typed="Hi there")

    body = server_folder.upstream.requests[-1].body
    assert finished.code == 0
    assert {name: body[name] for name in ("model", "messages", "temperature", "reasoning_effort")} == {
        "model": "other-upstream",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi there"}],
        "temperature": 0,
        "reasoning_effort": "low",
    }
    assert 5 in (body.get("max_tokens"), body.get("max_completion_tokens"))


async def test_ask_prints_reasoning_to_standard_error(
    server_folder: ServerFolder, server_process: ServerProcess
) -> None:
    """The model's own reasoning is shown on request, and only on standard error."""
    server_folder.upstream.reply("Forty-two.", reasoning=("Hm", "m."))

    finished = await server_process.ask("ask", "hi", "--show-reasoning")

    assert finished.code == 0
    assert finished.out == "Forty-two.\n"
    assert finished.err.startswith(f"{ROUTE_LINE}Hmm.\ndone: stop, ")


async def test_a_failure_is_reported(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """A failure exits with 1 and prints reason and request id to standard error only."""
    server_folder.upstream.fail(401)

    finished = await server_process.ask("ask", "hi")

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.startswith(f"{ROUTE_LINE}reasoning-grpc: UPSTREAM_CREDENTIALS_REJECTED: {REFUSED_KEY}\n")
    assert re.fullmatch(r"  request id req_[0-9a-f]{32}\n", "".join(finished.err.splitlines(keepends=True)[2:]))


async def test_the_sentence_of_a_provider_is_shown(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """What the provider says of a refused request is a line of its own, where the server passes it on."""
    server_folder.upstream.fail(400, message="Unsupported value: 'top_p' must be at most 1 in req_91fa.")

    finished = await server_process.ask("ask", "hi")

    assert finished.code == 1
    assert "\n  the provider says: Unsupported value: 'top_p' must be at most 1 in [...].\n" in finished.err


async def test_a_failure_is_reported_as_json(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """With `--json` the last object is the error, with all facts that a program needs."""
    server_folder.upstream.fail(401)

    finished = await server_process.ask("ask", "hi", "--json")

    started, failed = (json.loads(line) for line in finished.out.splitlines())
    error = failed["error"]
    assert (finished.code, finished.err) == (1, "")
    assert "started" in started
    assert error["interruption"]["model_call_count"] == 1
    assert re.fullmatch("req_[0-9a-f]{32}", error["request_id"])
    assert {name: value for name, value in error.items() if name not in ("interruption", "request_id")} == {
        "code": "INTERNAL",
        "reason": "UPSTREAM_CREDENTIALS_REJECTED",
        "message": REFUSED_KEY,
        "metadata": {"model": "fake", "http_status": "401"},
        "violations": [],
        "retry_after_seconds": None,
    }


async def test_an_answer_that_is_cut_is_reported(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """The deltas of an answer that is cut are on standard output with a newline, the failure on standard error."""
    server_folder.upstream.cut_after(2, "end")

    finished = await server_process.ask("ask", "hi")

    assert (finished.code, finished.out) == (1, "word0 word1 \n")
    assert "\nreasoning-grpc: UPSTREAM_STREAM_TRUNCATED: " in finished.err


async def test_each_wrong_field_is_reported(server_process: ServerProcess) -> None:
    """Each field violation is printed on a separate line."""
    finished = await server_process.ask("ask", "", "--temperature", "9")

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.splitlines()[:-1] == [
        "reasoning-grpc: INVALID_FIELD: The request has invalid fields; see the field violations. "
        "messages[0].content[0].text: It must not be empty.",
        "  sampling.temperature: It must be from 0 to 2.",
    ]


async def test_a_token_comes_from_a_file_or_the_environment(server_process: ServerProcess, tmp_path: Path) -> None:
    """The token comes from a file or the environment; without one the server says that it is required."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    target = ("--target", server_process.address)

    from_file, without, no_file = await asyncio.gather(
        run("models", *target, "--token-file", str(tmp_path / "token")),
        run("models", variables={"REASONING_TARGET": server_process.address}),
        run("models", *target, "--token-file", str(tmp_path / "none")),
    )

    assert (from_file.code, from_file.err) == (0, "")
    assert (without.code, without.out) == (1, "")
    assert without.err.startswith(
        "reasoning-grpc: CREDENTIALS_MISSING: A token is required: send the metadata"
        ' "authorization: Bearer TOKEN".\n  request id req_'
    )
    assert (no_file.code, no_file.out) == (1, "")
    assert no_file.err == f"reasoning-grpc: {tmp_path / 'none'}: No such file or directory\n"


async def test_a_missing_server_is_reported() -> None:
    """A server that does not exist is reported in one line, without a traceback."""
    with refusing_api_base() as base:
        finished = await run("ask", "hi", "--target", base.removeprefix("http://").removesuffix("/v1"))

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.startswith("reasoning-grpc: UNAVAILABLE: ")
    assert len(finished.err.splitlines()) == 1


async def test_a_timeout_ends_the_call(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """`--timeout-seconds` is the deadline of the call, at whose end the upstream is disconnected, too."""
    upstream = server_folder.upstream

    async def ask(seconds: float) -> Finished | None:
        upstream.forget()
        upstream.hang()
        finished = await server_process.ask("ask", "hi", "--timeout-seconds", f"{seconds:g}")
        return finished if upstream.requests else None

    finished = await try_deadlines(ask)

    *_, last = finished.err.splitlines()
    assert finished.code == 1
    assert last.startswith("reasoning-grpc: DEADLINE_EXCEEDED: ")  # the rest is text of grpc
    await upstream.disconnect()


@pytest.mark.parametrize(
    ("arguments", "errors"),
    [
        pytest.param(("ask", "hi"), ROUTE_LINE, id="ask"),
        pytest.param(("ask", "hi", "--json"), "", id="ask --json"),
        pytest.param(("models",), "", id="models"),
    ],
)
async def test_a_closed_pipe_is_not_reported(
    server_process: ServerProcess, arguments: tuple[str, ...], errors: str
) -> None:
    """A closed pipe, as after `ask ... | head -1`, ends a command without a message."""
    reader, writer = os.pipe()
    os.close(reader)
    async with running_process(
        *(*arguments, "--target", server_process.address),
        variables={"REASONING_TOKEN": TOKEN},
        stdin=DEVNULL,
        stdout=writer,
        stderr=PIPE,
    ) as process:
        os.close(writer)
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, err = await process.communicate()

        assert process.returncode == 141
        assert err.decode() == errors


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "message"),
    [
        pytest.param(
            ["--tls-key", "key.pem"],
            {},
            2,
            "--tls-certificate and --tls-key go together",
            id="a key without certificate",
        ),
        pytest.param(
            ["--tls-certificate", "c.pem"],
            {},
            2,
            "--tls-certificate and --tls-key go together",
            id="a certificate without key",
        ),
        pytest.param(
            [], {"REASONING_TOKEN": "a\nb"}, 2, "a token must consist of visible ASCII characters", id="two lines"
        ),
        pytest.param(
            [], {"REASONING_TOKEN": "töken"}, 2, "a token must consist of visible ASCII characters", id="not ASCII"
        ),
    ],
)
async def test_unusable_flags_are_refused(
    arguments: list[str], variables: dict[str, str], code: int, message: str
) -> None:
    """Flags that cannot be used are refused in one line before a call; a key alone does not mean plain text."""
    done = await run("ask", "--target", "127.0.0.1:1", *arguments, "hi", variables=variables)

    assert (done.code, done.out, done.err) == (code, "", f"reasoning-grpc: {message}\n")


async def test_a_number_that_does_not_fit_is_refused() -> None:
    """A number that does not fit into its field is reported in one line, without a traceback."""
    done = await run("ask", "--target", "127.0.0.1:1", "--max-output-tokens", "99999999999", "hi")

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("reasoning-grpc: the request cannot be sent: ")
    assert done.err.count("\n") == 1
