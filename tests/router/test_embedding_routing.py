"""The embedding chooses routes in a real server: alone, or in a cascade before the classifier's model."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.config import ClassifierEntry, ClassifierStrategy, Config, OrchestrationUse, RouteEntry
from reasoning_grpc.domain import RoutingMode
from reasoning_grpc.router.embedding import MODEL_NAME, SentenceEncoder, load_bundled_examples
from reasoning_grpc.router.embedding.learning import train_router
from reasoning_grpc.server.server import Server
from reasoning_grpc.server.start_error import StartError
from reasoning_grpc.v1 import classification_pb2, errors_pb2, routing_pb2
from tests.support.classification import AUTO, CALLERS, CLASSIFIER, FALLBACK, PASSTHROUGH, REASONING, write_choice
from tests.support.factories import a_wire_request
from tests.support.injections import INJECTIONS
from tests.support.serving import RunningServer, judging_config, serving
from tests.support.upstream import FakeUpstream

EMBEDDING: Final = routing_pb2.ROUTE_SOURCE_EMBEDDING
CASCADE: Final = ClassifierEntry(
    model="judge", strategy=ClassifierStrategy.CASCADE, is_strategy_given=True, timeout_seconds=60.0
)
ALONE: Final = replace(CASCADE, strategy=ClassifierStrategy.EMBEDDING)
SIMPLE: Final = "What is the capital of Hungary?"
HARD: Final = "Plan a week in Vienna for five people within 2,000 euros, and compare three ways to get there."
RECIPES: Final = RouteEntry(
    name="recipes",
    mode=RoutingMode.PASSTHROUGH,
    description="Everything about cooking.",
    examples=(
        "How long do I boil potatoes?",
        "A recipe for apple cake, please.",
        "Which spices go with roast lamb?",
        "How do I make a roux without lumps?",
        "What can I bake with six egg whites?",
        "Can I replace butter by oil in a cake?",
    ),
)


@pytest.fixture(scope="module")
def router_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provides the file of a router that is trained with the bundled examples, which takes seconds in each server."""
    file = tmp_path_factory.mktemp("router") / "router.json"
    router, _ = train_router(SentenceEncoder(), load_bundled_examples(), max_messages=CASCADE.window_messages)
    router.write(file)
    return file


async def decide(running: RunningServer, text: str, *, rules_only: bool = False) -> routing_pb2.RouteDecision:
    """Returns the decision of `Classify` about a request with this text."""
    stub: Any = running.stub
    request = a_wire_request(text, **AUTO)
    response = await stub.Classify(classification_pb2.ClassifyRequest(request=request, rules_only=rules_only))
    decision: routing_pb2.RouteDecision = response.route_decision
    return decision


def configure(
    upstream: FakeUpstream, judge: FakeUpstream, classifier: ClassifierEntry = CASCADE, **changes: Any
) -> Config:
    """Builds a configuration with the classifier."""
    return judging_config(upstream, judge, classifier=classifier, **changes)


async def test_where_the_embedding_is_sure_no_model_is_asked(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """In a cascade the embedding decides clear requests, and its decision has source, confidence and latency."""
    async with serving(configure(upstream, judge)) as running:
        simple, hard = await decide(running, SIMPLE), await decide(running, HARD)

    assert [(each.route, each.mode, each.source) for each in (simple, hard)] == [
        ("passthrough", PASSTHROUGH, EMBEDDING),
        ("reasoning", REASONING, EMBEDDING),
    ]
    assert all(0.75 <= each.confidence <= 1 for each in (simple, hard))
    assert simple.reason == "The embedding chose it."
    assert (simple.classification.model, list(simple.classification.routes)) == (
        MODEL_NAME,
        ["passthrough", "reasoning"],
    )
    assert simple.classification.HasField("latency")
    assert not simple.classification.HasField("usage")
    assert [(each.route, each.reason) for each in simple.rejected_routes] == [
        ("reasoning", "The classifier chose another.")
    ]
    assert judge.requests == []


async def test_in_the_doubtful_band_the_model_is_asked(
    upstream: FakeUpstream, judge: FakeUpstream, router_file: Path
) -> None:
    """Below the threshold the model decides, and the decision has no confidence; `rules_only` asks neither."""
    judge.reply(write_choice("reasoning"))
    entry = replace(CASCADE, threshold=1.0, router_file=router_file)
    async with serving(configure(upstream, judge, entry)) as running:
        skipped = await decide(running, SIMPLE, rules_only=True)
        decision = await decide(running, SIMPLE)

    assert (skipped.mode, skipped.classification.skipped, skipped.classification.model) == (
        routing_pb2.ROUTING_MODE_AUTO,
        True,
        "judge",
    )
    assert (decision.route, decision.source) == ("reasoning", CLASSIFIER)
    assert not decision.HasField("confidence")
    assert decision.classification.model == "judge"
    assert len(judge.requests) == 1


@pytest.mark.parametrize("use", OrchestrationUse)
async def test_only_the_model_may_choose_orchestration_where_it_is_offered(
    upstream: FakeUpstream, judge: FakeUpstream, router_file: Path, use: OrchestrationUse
) -> None:
    """The embedding has no examples of orchestration, so the model alone may choose it, where it is offered."""
    is_offered = use is OrchestrationUse.OFFERED
    judge.reply(write_choice("orchestration" if is_offered else "reasoning"))
    decisions = []
    for threshold in (CASCADE.threshold, 1.0):
        entry = replace(CASCADE, threshold=threshold, router_file=router_file)
        config = configure(upstream, judge, entry)
        config = replace(config, settings=replace(config.settings, orchestration=use))
        async with serving(config) as running:
            decisions.append(await decide(running, HARD))

    sure, asked = decisions
    assert (sure.route, sure.source) == ("reasoning", EMBEDDING)
    assert list(sure.classification.routes) == ["passthrough", "reasoning"]
    assert ("orchestration" in {each.route for each in sure.rejected_routes}) == is_offered
    assert (asked.route, asked.source) == ("orchestration" if is_offered else "reasoning", CLASSIFIER)
    assert ("orchestration" in asked.classification.routes) == is_offered


async def test_a_model_that_fails_leaves_the_decision_to_the_embedding(
    upstream: FakeUpstream, judge: FakeUpstream, router_file: Path
) -> None:
    """When the model of a cascade fails, the embedding's choice is taken, and the decision says why."""
    judge.always.fail(401)
    entry = replace(CASCADE, threshold=1.0, router_file=router_file)
    async with serving(configure(upstream, judge, entry)) as running:
        decision = await decide(running, HARD)

    assert (decision.route, decision.source) == ("reasoning", EMBEDDING)
    assert 0.5 < decision.confidence < 1
    assert "The classifier's model failed" in decision.reason
    assert decision.classification.failure == errors_pb2.ERROR_REASON_UPSTREAM_CREDENTIALS_REJECTED


async def test_the_embedding_decides_alone(upstream: FakeUpstream, judge: FakeUpstream, router_file: Path) -> None:
    """The strategy "embedding" asks no model, however doubtful a request is, and `rules_only` uses nothing at all."""
    entry = replace(ALONE, threshold=1.0, router_file=router_file)
    async with serving(configure(upstream, judge, entry)) as running:
        decision, skipped = await decide(running, HARD), await decide(running, HARD, rules_only=True)

    assert (decision.route, decision.source) == ("reasoning", EMBEDDING)
    assert (skipped.mode, skipped.classification.model) == (routing_pb2.ROUTING_MODE_AUTO, MODEL_NAME)
    assert judge.requests == []


async def test_examples_add_a_route_of_ones_own(upstream: FakeUpstream, judge: FakeUpstream, tmp_path: Path) -> None:
    """A handful of examples, in the entry or in a file, lets the embedding choose a configured route."""
    file = tmp_path / "gardens.jsonl"
    lines = [
        {"route": route, "messages": [{"role": "user", "content": text}]}
        for route, text in (
            ("gardens", "When do I sow carrots?"),
            ("gardens", "Why do my tomatoes have yellow leaves?"),
            ("gardens", "How far apart do I plant lettuce?"),
            ("gardens", "Which flowers grow in the shade of a tree?"),
            ("recipes", "What is a good soup for winter?"),
        )
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    gardens = replace(RECIPES, name="gardens", description="Plants.", examples=(), examples_file=file)
    routes = {"recipes": RECIPES, "gardens": gardens}

    async with serving(configure(upstream, judge, ALONE, routes=routes)) as running:
        chosen = [
            (await decide(running, text)).route
            for text in ("How do I bake a cake with lemons?", "When do I plant beans in my garden?", HARD)
        ]

    assert chosen == ["recipes", "gardens", "reasoning"]


async def test_a_route_without_examples_is_left_to_the_model(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The embedding chooses only among routes that have examples; the model may still choose the others."""
    judge.reply(write_choice("recipes"))
    routes = {"recipes": replace(RECIPES, examples=())}
    async with serving(configure(upstream, judge, routes=routes)) as running:
        sure = await decide(running, SIMPLE)
    async with serving(configure(upstream, judge, replace(CASCADE, threshold=1.0), routes=routes)) as running:
        asked = await decide(running, SIMPLE)

    assert (sure.source, list(sure.classification.routes)) == (EMBEDDING, ["passthrough", "reasoning"])
    assert (asked.route, asked.source) == ("recipes", CLASSIFIER)


async def test_no_conversation_leads_outside_the_allowed_routes(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The conversations that try to choose their own route get one that the caller may use, whatever they say."""
    routes = {"careful": replace(RECIPES, name="careful"), "research": replace(RECIPES, name="research")}
    config = configure(upstream, judge, ALONE, routes=routes, callers=CALLERS)
    offered: dict[str, Any] = {"default_mode": RoutingMode.AUTO, "orchestration": OrchestrationUse.OFFERED}
    config = replace(config, settings=replace(config.settings, **offered))
    async with serving(config) as running:
        client = running.client(token="thinking")
        decisions = [await client.classify(injection.request()) for injection in INJECTIONS]

    assert {decision.route for decision in decisions} <= {"reasoning", "careful"}
    assert {decision.source for decision in decisions} == {EMBEDDING}


async def test_too_few_routes_with_examples_fall_back(
    upstream: FakeUpstream, judge: FakeUpstream, router_file: Path
) -> None:
    """Where only one of the routes has examples, the embedding cannot choose, and the decision says so."""
    routes = {"careful": replace(RECIPES, name="careful", examples=())}
    routes["research"] = replace(routes["careful"], name="research")
    entry = replace(ALONE, router_file=router_file)
    config = configure(upstream, judge, entry, routes=routes, callers=CALLERS)
    async with serving(config) as running:
        decision = await running.client(token="thinking").classify(a_wire_request(**AUTO))

    assert (decision.source, decision.classification.failure) == (FALLBACK, errors_pb2.ERROR_REASON_MODEL_NOT_FOUND)
    assert decision.classification.failure_detail == ("The embedding has no examples of at least two of these routes.")


async def test_a_router_file_of_another_embedding_keeps_the_server_from_starting(
    upstream: FakeUpstream, judge: FakeUpstream, tmp_path: Path
) -> None:
    """A trained router's file that does not fit is refused at start, with the reason."""
    file = tmp_path / "router.json"
    file.write_text("{}")
    server = Server(configure(upstream, judge, replace(CASCADE, router_file=file)))

    with pytest.raises(StartError, match="is not the file of a trained router"):
        await server.start()


BROKEN: Final[Mapping[str, tuple[bytes | None, str]]] = {
    "missing": (None, "routes.r.examples_file: '{file}' is not a readable file"),
    "not JSON": (b"{", "routes.r.examples_file: line 1: Input data was truncated"),
    "of other routes": (
        b'{"route": "x", "messages": [{"role": "user", "content": "hi"}]}',
        "routes.r.examples_file: '{file}' has no example of the route 'r'",
    ),
}
"""Files with examples that cannot be used, and the sentence for each."""


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_of_examples_that_cannot_be_used_is_refused(
    upstream: FakeUpstream, judge: FakeUpstream, tmp_path: Path, name: str
) -> None:
    """A file of examples that is missing, broken or about other routes is a problem of the configuration."""
    content, problem = BROKEN[name]
    file = tmp_path / "examples.jsonl"
    if content is not None:
        file.write_bytes(content)
    route = replace(RECIPES, name="r", examples_file=file)

    with pytest.raises(Exception, match="examples_file") as refused:
        Server(configure(upstream, judge, routes={"r": route}))

    assert problem.format(file=file) in str(refused.value)
