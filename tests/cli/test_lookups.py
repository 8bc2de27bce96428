"""`models` lists a server's models, and `classify` prints how it would route a prompt."""

import asyncio
import json
import re

import pytest

from tests.support.server_process import (
    ServerFolder,
    ServerProcess,
)

# All tests of the command line share an event loop, with a server process and the upstream behind it.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process]


async def test_models_prints_one_line_per_model(server_process: ServerProcess) -> None:
    """`models` prints each model with its facts in one line, as text or as JSON."""
    as_text, as_json = await asyncio.gather(server_process.ask("models"), server_process.ask("models", "--json"))

    assert (as_text.code, as_text.err) == (as_json.code, as_json.err) == (0, "")
    assert as_text.out == (
        "fake  (openai, available, default, 8192 tokens, $1 in and $12 out per million tokens, tools, json schema)"
        "  Not a model at all.\n"
        "other  (openai, available, 1048576 tokens, $1.25 in and $10 out or more per million tokens, tools,"
        " json object, json schema, image input, audio input, document input, reasoning)\n"
    )
    assert [json.loads(line)["name"] for line in as_json.out.splitlines()] == ["fake", "other"]


async def test_classify_prints_the_decision(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """`classify` prints the decision as `ask` does; with `--rules-only` it names the classifier without a call."""
    before = len(server_folder.upstream.requests)

    as_text, as_json, by_rules, refused = await asyncio.gather(
        server_process.ask("classify", "hi", "--mode", "passthrough", "--rules-only"),
        server_process.ask("classify", "hi", "--json"),
        server_process.ask("classify", "hi", "--mode", "auto", "--rules-only"),
        server_process.ask("classify", "hi", "--model", "nowhere"),
    )

    assert (as_text.code, as_text.err) == (0, "")
    assert as_text.out == "passthrough with fake (request: The request asks for this mode.)\n"
    assert (as_json.code, as_json.err) == (0, "")
    assert json.loads(as_json.out) == {
        "route": "passthrough",
        "mode": "ROUTING_MODE_PASSTHROUGH",
        "model": "fake",
        "source": "ROUTE_SOURCE_DEFAULT",
        "reason": "The request chooses none; this is the server's default.",
    }
    assert (by_rules.code, by_rules.err) == (0, "")
    assert by_rules.out == (
        "auto (request: The request asks for this mode.)\n"
        "classifier: would ask fake for one of passthrough reasoning orchestration\n"
    )
    assert (refused.code, refused.out) == (1, "")
    assert re.fullmatch(
        r'reasoning-grpc: MODEL_NOT_FOUND: There is no model "nowhere"\. .*\n'
        r"  request id req_[0-9a-f]{32}\n",
        refused.err,
    )
    assert len(server_folder.upstream.requests) == before


async def test_classify_prints_the_classifiers_work(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """`classify` prints the classifier's model, time, tokens and cost, and why its answer could not be used."""
    server_folder.upstream.reply('{"route": "reasoning"}')
    decided = await server_process.ask("classify", "Plan my week.", "--mode", "auto")
    server_folder.upstream.reply("", finish_reason="stop")
    failed = await server_process.ask("classify", "Plan my day.", "--mode", "auto")

    work = r"classifier: fake for one of passthrough reasoning orchestration, \d+ ms, 11 \+ 7 tokens, \$0\.\d{6}"
    assert re.fullmatch(rf"reasoning with fake \(classifier: The classifier chose it\.\)\n{work}\n", decided.out)
    fallback = r"passthrough with fake \(classifier fallback: The classifier failed; this is the default\.\)"
    assert re.fullmatch(rf"{fallback}\n{work}, its answer is EMPTY: It is empty\.\n", failed.out)
