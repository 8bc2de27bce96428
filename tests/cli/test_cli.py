"""The command line has help for every command, and creates tokens."""

import asyncio
import json
import re
from importlib.metadata import version

import pytest

from reasoning_grpc.config import hash_token, options
from reasoning_grpc.v1.completion_pb2 import ReasoningEffort
from tests.support.commands import Finished, run

pytestmark = pytest.mark.process


async def test_token_new_prints_a_token_and_its_hash() -> None:
    """`token new` prints a new token each time, with the hash that the configuration needs."""
    as_text, as_json = await asyncio.gather(run("token", "new"), run("token", "new", "--json"))

    printed = re.fullmatch(
        r"token:      (rgt_[A-Za-z0-9_-]{43})\ntoken_hash: (sha256:[0-9a-f]{64})\n"
        r"Give the token to the caller now: it is not shown again\. Put the hash into \[callers\.NAME\]\.\n",
        as_text.out,
    )
    decoded = json.loads(as_json.out)
    assert (as_text.code, as_text.err) == (as_json.code, as_json.err) == (0, "")
    assert printed is not None
    assert printed[2] == hash_token(printed[1])
    assert decoded == {"token": decoded["token"], "token_hash": hash_token(decoded["token"])}
    assert printed[1] != decoded["token"]


async def test_the_help_has_every_command_and_option() -> None:
    """`--help` of the program and of `serve` list every command and option; a wrong call exits with 2."""
    program, serve, wrong = await asyncio.gather(run("--help"), run("serve", "--help"), run("ask"))

    assert (program.code, program.err) == (serve.code, serve.err) == (0, "")
    for command in ("serve", "ask", "models", "classify", "eval", "check-config", "tools", "token"):
        assert re.search(rf"^    {command}\s", program.out, re.MULTILINE)
    for option in options():
        assert f"  {option.flag}" in serve.out
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.endswith("reasoning-grpc ask: error: the following arguments are required: prompt\n")


async def test_ask_has_every_effort() -> None:
    """`ask --help` lists each reasoning effort of the API, the least first."""
    finished = await run("ask", "--help")

    efforts = [name.removeprefix("REASONING_EFFORT_").lower() for name in ReasoningEffort.keys()[1:]]
    assert f"--effort {{{','.join(efforts)}}}" in finished.out


async def test_version_prints_the_version() -> None:
    """`--version` prints the version of the installed package, and exits with 0."""
    finished = await run("--version")

    assert finished == Finished(0, f"reasoning-grpc {version('reasoning-grpc')}\n", "")
