"""The metrics reach a collector over OTLP with the names, units and values that Prometheus sees."""

import os
from functools import partial
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Metric,
)

from reasoning_grpc.telemetry import Telemetry, read_telemetry_plan
from tests.support.factories import a_wire_request
from tests.support.otlp import OtlpReceiver
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

CALLS = "reasoning_grpc.calls"
DURATION = "rpc.server.call.duration"


@pytest.fixture
def metrics_on(monkeypatch: pytest.MonkeyPatch, receiver: OtlpReceiver) -> pytest.MonkeyPatch:
    """The environment, with variables that send metrics to the collector."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", receiver.endpoint)
    return monkeypatch


async def call_twice(upstream: FakeUpstream) -> Telemetry:
    """Serves two calls with the telemetry of the environment, and sends what is left."""
    telemetry = Telemetry(read_telemetry_plan(os.environ))
    async with serving(config_for(model_entry(upstream.api_base)), telemetry) as running:
        stub: Any = running.stub
        for _ in range(2):
            await stub.Complete(a_wire_request())
    await telemetry.aclose()
    return telemetry


def read_attributes(point: Any) -> dict[str, str]:
    """Returns the attributes of a point."""
    return {pair.key: pair.value.string_value for pair in point.attributes}


@pytest.mark.usefixtures("metrics_on")
async def test_counters_gauges_and_histograms_are_exported(upstream: FakeUpstream, receiver: OtlpReceiver) -> None:
    """A counter is a monotonic sum, a histogram has its own buckets, and an empty label is no attribute."""
    await call_twice(upstream)

    calls = await receiver.expect_metric(CALLS)
    (point,) = calls.sum.data_points
    assert (calls.unit, point.as_double or point.as_int) == ("{call}", 2)
    assert calls.sum.is_monotonic
    assert calls.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    assert read_attributes(point) == {
        "rpc.method": "reasoning_grpc.v1.ReasoningService/Complete",
        "rpc.response.status_code": "OK",
    }
    duration = await receiver.expect_metric(DURATION)
    (bars,) = duration.histogram.data_points
    assert (duration.unit, bars.count, sum(bars.bucket_counts)) == ("s", 2, 2)
    assert len(bars.bucket_counts) == len(bars.explicit_bounds) + 1
    assert read_attributes(bars)["rpc.system.name"] == "grpc"
    memory = await receiver.expect_metric("process.memory.usage")
    assert memory.gauge.data_points[0].as_int or memory.gauge.data_points[0].as_double > 1_000_000
    assert len([metric for metric in receiver.metrics if metric.name == "process.uptime"]) == 1


async def test_each_process_is_an_instance_of_its_own(
    upstream: FakeUpstream, receiver: OtlpReceiver, metrics_on: pytest.MonkeyPatch
) -> None:
    """Two processes have different ids, so that a backend adds them up; an id of the environment wins."""
    await call_twice(upstream)
    await call_twice(upstream)
    metrics_on.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=mine")
    await call_twice(upstream)

    ids = [resource["service.instance.id"] for resource in receiver.metric_resources]
    assert len(set(ids)) == 3
    assert ids[-1] == "mine"


async def test_a_backend_that_wants_differences_gets_them(
    upstream: FakeUpstream, receiver: OtlpReceiver, metrics_on: pytest.MonkeyPatch
) -> None:
    """With the temporality delta, counters and histograms are those since the last export."""
    metrics_on.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    metrics_on.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    telemetry = Telemetry(read_telemetry_plan(os.environ))
    async with serving(config_for(model_entry(upstream.api_base)), telemetry) as running:
        stub: Any = running.stub
        for number in (1, 2, 3):
            await stub.Complete(a_wire_request())
            await receiver.expect(partial(has_counted, receiver, number), f"expected {number} calls")
    await telemetry.aclose()

    points = [metric.sum for metric in receiver.metrics if metric.name == CALLS]
    assert {each.aggregation_temporality for each in points} == {AGGREGATION_TEMPORALITY_DELTA}


def has_counted(receiver: OtlpReceiver, calls: int) -> bool:
    """Returns whether the differences so far add up to so many calls."""
    return count_all(receiver.metrics) == (calls, calls)


def count_all(metrics: list[Metric]) -> tuple[float, int]:
    """Returns the sum of all differences, of the counter and of the histogram."""
    calls = sum(
        point.as_double or point.as_int
        for metric in metrics
        if metric.name == CALLS
        for point in metric.sum.data_points
    )
    durations = sum(
        point.count for metric in metrics if metric.name == DURATION for point in metric.histogram.data_points
    )
    return calls, durations
