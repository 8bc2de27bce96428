"""Fixtures of the tests of telemetry: a collector, and servers that export to it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.otlp import OtlpReceiver
from tests.support.serving import (
    RunningServer,
    config_for,
    model_entry,
)
from tests.support.spans import Tracing, serving_traced
from tests.support.upstream import (
    FakeUpstream,
)


@pytest.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    """A running collector."""
    async with OtlpReceiver() as running:
        yield running


@pytest.fixture
def otel(monkeypatch: pytest.MonkeyPatch, receiver: OtlpReceiver) -> pytest.MonkeyPatch:
    """The environment, with variables that send spans to the collector soon; a test may set more."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.endpoint)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    return monkeypatch


@pytest.fixture
def tracing(otel: pytest.MonkeyPatch) -> Tracing:  # noqa: ARG001 - it sets the variables that are read here
    """Runs a server with the telemetry that the variables request."""
    return serving_traced


@pytest.fixture
async def traced(tracing: Tracing, upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server that exports its spans to the collector; its only model is the fake upstream."""
    async with tracing(config_for(model_entry(upstream.api_base))) as running:
        yield running
