"""The command line as a whole: its help, and the commands that are small."""

import asyncio
import json
import re

import pytest

from reasoning_grpc.config import hash_token, options
from tests.support.commands import run

pytestmark = pytest.mark.process


async def test_token_new_makes_a_token_and_its_hash() -> None:
    """The hash is the one that the configuration wants, and no two tokens are alike."""
    as_text, as_json = await asyncio.gather(run("token", "new"), run("token", "new", "--json"))

    printed = re.fullmatch(
        r"token:      (rgt_[A-Za-z0-9_-]{43})\ntoken_hash: (sha256:[0-9a-f]{64})\n"
        r"Give the token to the caller, now: it is not shown again\. The hash goes into \[callers\.NAME\]\.\n",
        as_text.out,
    )
    made = json.loads(as_json.out)
    assert (as_text.code, as_text.err) == (as_json.code, as_json.err) == (0, "")
    assert printed is not None
    assert printed[2] == hash_token(printed[1])
    assert made == {"token": made["token"], "token_hash": hash_token(made["token"])}
    assert printed[1] != made["token"]


async def test_the_help_has_every_command_and_option() -> None:
    """--help of the program and of `serve` name all there is; a call that is wrong exits with 2."""
    program, serve, wrong = await asyncio.gather(run("--help"), run("serve", "--help"), run("ask"))

    assert (program.code, program.err) == (serve.code, serve.err) == (0, "")
    for command in ("serve", "ask", "models", "classify", "eval", "check-config", "tools", "token"):
        assert re.search(rf"^    {command}\s", program.out, re.MULTILINE)
    for option in options():
        assert f"  {option.flag}" in serve.out
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.endswith("reasoning-grpc ask: error: the following arguments are required: prompt\n")
