"""A classifier whose model has only OpenAI's Responses API, and one whose model has both APIs."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

import pytest

from reasoning_grpc.config import ClassifierEntry
from reasoning_grpc.domain import Capability
from reasoning_grpc.v1 import routing_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

AUTO: Final = routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_AUTO)
ROUTES: Final = {"route": {"type": "string", "enum": ["passthrough", "reasoning"]}}


@pytest.fixture
async def judge() -> AsyncIterator[FakeUpstream]:
    """The upstream of the classifier's model."""
    async with FakeUpstream() as fake:
        yield fake


@pytest.mark.parametrize(
    ("model", "path"),
    [("openai/gpt-5-pro", "/v1/responses"), ("openai/gpt-5.6", "/v1/chat/completions")],
)
async def test_the_schema_of_the_decision(upstream: FakeUpstream, judge: FakeUpstream, model: str, path: str) -> None:
    """The model gets the schema of the decision in the form of its API, and its answer decides."""
    judge.reply(json.dumps({"route": "reasoning"}))
    capabilities = frozenset({Capability.JSON_SCHEMA, Capability.REASONING})
    judges = model_entry(judge.api_base, "judge", litellm_model=model, capabilities=capabilities)
    config = replace(
        config_for(model_entry(upstream.api_base), judges),
        classifier=ClassifierEntry(model="judge", timeout_seconds=60.0),
    )

    async with serving(config) as running:
        decision = await running.client().classify(a_wire_request(routing=AUTO))

    assert (decision.route, decision.source) == ("reasoning", routing_pb2.ROUTE_SOURCE_CLASSIFIER)
    (captured,) = judge.requests
    assert captured.path == path
    form = captured.body["text"]["format"] if "text" in captured.body else captured.body["response_format"]
    schema = form if "schema" in form else form["json_schema"]
    assert (form["type"], schema["strict"], schema["schema"]["properties"]) == ("json_schema", True, ROUTES)
