"""`reasoning-grpc train-router` fits a router to a file of examples, reports how good it is, and writes its file."""

import json
from pathlib import Path

import pytest

from reasoning_grpc.router.embedding.learning import read_trained_router
from tests.support.commands import run

pytestmark = pytest.mark.process

RECIPES = ["How long do I boil eggs?", "A recipe for leek soup?", "Which flour for pizza?", "How do I fry an onion?"]
GARDENS = [
    "When do I sow peas?",
    "How often do I water roses?",
    "Which soil for carrots?",
    "How do I prune an apple tree?",
]


def write_examples(folder: Path, **texts: list[str]) -> Path:
    """Writes a file of examples: the texts of each route."""
    file = folder / "examples.jsonl"
    lines = [
        {"route": route, "messages": [{"role": "user", "content": text}]}
        for route, listed in texts.items()
        for text in listed
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


async def test_a_router_is_trained_and_written(tmp_path: Path) -> None:
    """The report has the cross-validated accuracy, both controls and the calibration; the file knows the routes."""
    examples, output = write_examples(tmp_path, recipes=RECIPES, gardens=GARDENS), tmp_path / "router.json"

    done = await run(
        "train-router", str(examples), "--no-bundled", "--default-route", "gardens", "--output", str(output)
    )

    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("of 8 prompts")
    assert lines[2].startswith("always gardens")
    assert lines[3].startswith("the router's answers, shuffled")
    assert any(line.startswith("confidence, calibration error") for line in lines)
    router = read_trained_router(output)
    assert (router.routes, router.examples) == (("recipes", "gardens"), 8)


async def test_the_bundled_examples_are_trained_with(tmp_path: Path) -> None:
    """Without --no-bundled the router knows the built-in routes too, and tells them apart far better than chance."""
    examples = write_examples(tmp_path, recipes=RECIPES)

    done = await run("train-router", str(examples), "--json")

    report = json.loads(done.out)
    assert done.code == 0
    assert set(report["routes"]) == {"passthrough", "reasoning", "recipes"}
    assert report["accuracy"]["share"] > 0.8
    assert report["controls"]["shuffled"]["p_value"] < 0.001
    assert report["calibration"]["error"] < 0.1


async def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    """A broken file is reported by its lines, and examples of a single route train no router."""
    one = write_examples(tmp_path, recipes=RECIPES)
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{")

    alone = await run("train-router", str(one), "--no-bundled")
    wrong = await run("train-router", str(broken))
    missing = await run("train-router", str(tmp_path / "none.jsonl"))

    assert (alone.code, alone.err) == (
        1,
        "reasoning-grpc: the examples are all of one route; a router chooses between two at least\n",
    )
    assert (wrong.code, wrong.err) == (1, f"reasoning-grpc: {broken}: line 1: Input data was truncated\n")
    assert (missing.code, missing.err) == (1, f"reasoning-grpc: {tmp_path / 'none.jsonl'}: No such file or directory\n")
