"""The tables `[routes.NAME]`, `[[rules]]` and `[classifier]` become entries, or are refused with a clear sentence."""

from pathlib import Path
from typing import Final

import pytest

from reasoning_grpc.config import (
    ClassifierEntry,
    ClassifierStrategy,
    PartKind,
    RouteEntry,
    RuleCondition,
    RuleEntry,
)
from reasoning_grpc.domain import RoutingMode, RoutingPreference
from reasoning_grpc.server.config_check import find_config_problems
from tests.support.configuration import expect_problems, read_toml

CALLER: Final = f'[callers.billing]\ntoken_hash = "sha256:{"0" * 64}"\n'


def test_every_key_of_every_entry_is_read() -> None:
    """Every key of routes, rules and classifier is read into its entry, and rules keep their order."""
    text = """
    [routes.research]
    mode = "reasoning"
    description = "Questions that want several steps."
    model = "big"
    models = { quality = "huge", cost = "small" }
    examples = ["Who discovered it first?", "Compare the sources."]
    examples_file = "research.jsonl"
    [routes.reasoning]
    model = "big"
    [[rules]]
    id = "research-team"
    when = { labels = { team = "research" }, callers = ["billing"], models = ["gpt-*"], min_messages = 2 }
    then = { route = "research", model = "big", preference = "quality" }
    [[rules]]
    id = "long"
    [rules.when]
    metadata = { X-Tier = "gold" }
    parts = ["image", "tool_result"]
    has_tools = false
    has_response_format = true
    min_characters = 10
    max_characters = 100
    max_messages = 5
    [rules.then]
    route = "auto"
    [classifier]
    strategy = "embedding"
    threshold = 0.9
    router_file = "router.json"
    model = "small"
    prompt_file = "prompt.txt"
    timeout_seconds = 1.5
    window_messages = 4
    window_characters = 2000
    cache_entries = 0
    cache_ttl_seconds = 0
    """

    config = read_toml(text + CALLER + 'allowed_routes = ["research", "passthrough"]\n')

    assert config.routes == {
        "research": RouteEntry(
            name="research",
            mode=RoutingMode.REASONING,
            description="Questions that want several steps.",
            model="big",
            preferred_models={RoutingPreference.QUALITY: "huge", RoutingPreference.COST: "small"},
            examples=("Who discovered it first?", "Compare the sources."),
            examples_file=Path("research.jsonl"),
        ),
        "reasoning": RouteEntry(name="reasoning", mode=RoutingMode.REASONING, description="", model="big"),
    }
    assert config.rules == (
        RuleEntry(
            id="research-team",
            when=RuleCondition(
                labels={"team": "research"}, callers=frozenset({"billing"}), models=("gpt-*",), min_messages=2
            ),
            route="research",
            model="big",
            preference=RoutingPreference.QUALITY,
        ),
        RuleEntry(
            id="long",
            when=RuleCondition(
                metadata={"x-tier": "gold"},
                parts=frozenset({PartKind.IMAGE, PartKind.TOOL_RESULT}),
                has_tools=False,
                has_response_format=True,
                min_characters=10,
                max_characters=100,
                max_messages=5,
            ),
            route="auto",
        ),
    )
    assert config.classifier == ClassifierEntry(
        strategy=ClassifierStrategy.EMBEDDING,
        is_strategy_given=True,
        threshold=0.9,
        router_file=Path("router.json"),
        model="small",
        prompt_file=Path("prompt.txt"),
        timeout_seconds=1.5,
        window_messages=4,
        window_characters=2000,
        cache_entries=0,
        cache_ttl_seconds=0.0,
    )
    assert config.callers["billing"].allowed_routes == frozenset({"research", "passthrough"})


def test_without_entries_the_defaults_hold() -> None:
    """Without entries there are only the built-in routes and no rules, and a caller may use every route."""
    config = read_toml(CALLER)

    cascade = ClassifierEntry(strategy=ClassifierStrategy.CASCADE)  # the embedding is installed where tests run
    assert (config.routes, config.rules, config.classifier) == ({}, (), cascade)
    assert config.callers["billing"].allowed_routes is None


RULE: Final = '[[rules]]\nid = "r"\nwhen = { has_tools = true }\nthen = { route = "passthrough" }\n'
WRONG: Final[dict[str, tuple[str, list[str]]]] = {
    "a route's name": (
        '[routes.Big]\nmode = "reasoning"\ndescription = "d"',
        ["routes.Big: a name is 1 to 64 of a-z, 0-9, _ and -, a letter first"],
    ),
    "a route without anything": ("[routes.r]", ["routes.r.mode: is missing", "routes.r.description: is missing"]),
    "a route's mode": (
        '[routes.r]\nmode = "auto"\ndescription = "d"',
        ["routes.r.mode: must be one of passthrough, reasoning, orchestration"],
    ),
    "a built-in route of another mode": (
        '[routes.reasoning]\nmode = "passthrough"',
        ["routes.reasoning.mode: must be reasoning, which the route is named after"],
    ),
    "a route named auto": ("[routes.auto]", ["routes.auto: is the name of a mode that no route can have"]),
    "a preference that is none": (
        '[routes.r]\nmode = "reasoning"\ndescription = "d"\nmodels = { fast = "m" }',
        ["routes.r.models.fast: is not a known key"],
    ),
    "a route's examples": (
        '[routes.reasoning]\nexamples = "many"\nexamples_file = 1',
        ["routes.reasoning.examples: must be a list of strings", "routes.reasoning.examples_file: must be a string"],
    ),
    "a table of rules": ("[rules]\na = 1", ["rules: must be a list of tables, [[rules]]"]),
    "a rule without anything": (
        "[[rules]]\ncolor = 1",
        [
            "rules.0.id: is missing",
            "rules.0.when: is missing; a rule for all requests is the default mode",
            "rules.0.then.route: is missing",
            "rules.0.color: is not a known key",
        ],
    ),
    "two rules of one id": (RULE + RULE, ["rules: two rules have the id 'r'"]),
    "a rule's conditions": (
        '[[rules]]\nid = "r"\nthen = { route = "passthrough", preference = "best" }\n'
        'when = { has_tools = 1, parts = ["video"], labels = { a = 1 }, min_messages = 3, max_messages = 2, age = 1 }',
        [
            "rules.r.when.labels: must be a table of strings",
            "rules.r.when.parts: 'video' is none of image, audio, document, tool_result",
            "rules.r.when.has_tools: must be true or false",
            "rules.r.when.max_messages: is less than min_messages",
            "rules.r.then.preference: must be one of quality, balanced, cost",
            "rules.r.when.age: is not a known key",
        ],
    ),
    "a rule's names": (
        RULE.replace('"passthrough"', '"nowhere"').replace("has_tools = true", 'callers = ["nobody"]'),
        ["rules.r.then.route: 'nowhere' is not a route", "rules.r.when.callers: 'nobody' is not a caller"],
    ),
    "a caller's routes": (
        CALLER + 'allowed_routes = ["nowhere", "auto"]',
        [
            "callers.billing.allowed_routes: 'auto' is not a route",
            "callers.billing.allowed_routes: 'nowhere' is not a route",
        ],
    ),
    "a caller without routes": (
        CALLER + "allowed_routes = []",
        ["callers.billing.allowed_routes: is empty; leave it out to allow all routes"],
    ),
    "the classifier": (
        '[classifier]\nstrategy = "both"\nthreshold = 1.5\ntimeout_seconds = 0\nwindow_messages = 0\n'
        'cache_entries = -1\nmodels = "m"',
        [
            "classifier.strategy: must be one of model, embedding, cascade",
            "classifier.threshold: must be a number from 0 to 1",
            "classifier.cache_entries: must be a number from 0 to 1e+06",
            "classifier.timeout_seconds: must be a number from 0.001 to 600",
            "classifier.window_messages: must be a whole number from 1 to 1000",
            "classifier.models: is not a known key; did you mean model?",
        ],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_table_is_refused(name: str) -> None:
    """Each mistake in a table is reported with its entry and its key, all at the same time."""
    text, expected = WRONG[name]

    assert sorted(expect_problems(text)) == sorted(expected)


PROMPTS: Final = {
    "missing": (None, "is not a readable file of UTF-8 text"),
    "not text": (b"\xff{routes}", "is not a readable file of UTF-8 text"),
    "without the routes": (b"Which route?", "has no {routes}, where the routes are put in"),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_file_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    """A prompt file that is missing, not text, or without the place for the routes is refused."""
    content, problem = PROMPTS[name]
    file = tmp_path / "prompt.txt"
    if content is not None:
        file.write_bytes(content)

    config = read_toml(f"[classifier]\nprompt_file = '{file}'")

    assert find_config_problems(config) == [f"classifier.prompt_file: '{file}' {problem}"]


def test_models_of_routes_and_rules_must_exist() -> None:
    """Each name that is not a model is reported with the key that names it."""
    text = (
        'embedded = "off"\n[models.m]\nlitellm_model = "openai/m"\n[classifier]\nmodel = "w"\n'
        '[routes.r]\nmode = "reasoning"\ndescription = "d"\nmodel = "x"\nmodels = { cost = "y", quality = "m" }\n'
    )
    rule = RULE.replace('route = "passthrough"', 'route = "passthrough", model = "z"')

    assert find_config_problems(read_toml(text + rule)) == [
        "classifier.model: 'w' is not a model",
        "routes.r.model: 'x' is not a model",
        "routes.r.models.cost: 'y' is not a model",
        "rules.r.then.model: 'z' is not a model",
    ]
