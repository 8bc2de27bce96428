"""The embedded model as the classifier."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from reasoning_grpc.config import ClassifierEntry
from reasoning_grpc.v1 import usage_pb2
from tests.support.classification import AUTO, CLASSIFIER, classify
from tests.support.serving import RunningServer, config_for, serving


@pytest.fixture
async def embedded_server() -> AsyncIterator[RunningServer]:
    """Starts a server with only the embedded model, which may take its time to classify."""
    async with serving(replace(config_for(), classifier=ClassifierEntry(timeout_seconds=600))) as running:
        yield running


@pytest.mark.process
async def test_the_embedded_model_classifies(embedded_server: RunningServer) -> None:
    """The embedded model chooses one of the routes, costs nothing, and its time is reported."""
    decision = await classify(embedded_server, text="What is the capital of France?", **AUTO)

    assert decision.source == CLASSIFIER
    assert decision.route in {"passthrough", "reasoning"}
    assert decision.classification.model == "smollm2-135m-instruct"
    assert decision.classification.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert decision.classification.cost.total_nano_usd == 0
    assert decision.classification.latency.ToTimedelta().total_seconds() > 0


@pytest.mark.process
@pytest.mark.parametrize("text", ["\u6f22\U0001f389", "x9Q"], ids=["dense", "random"])
async def test_any_conversation_fits_the_embedded_model(embedded_server: RunningServer, text: str) -> None:
    """No conversation is too long or too dense for the small context of the embedded model."""
    decision = await classify(embedded_server, text=text * 50_000, **AUTO)

    assert decision.source == CLASSIFIER
    assert decision.classification.usage.input_tokens < 4096
