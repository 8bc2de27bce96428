"""The metrics say what each caller of the configuration has left of its limits."""

from typing import Any

import grpc

from reasoning_grpc.telemetry import Telemetry
from tests.support.factories import a_wire_request
from tests.support.limits import bearer, limited_caller, limited_config
from tests.support.metrics import MetricsPage
from tests.support.serving import serving
from tests.support.upstream import FakeUpstream

LIMIT = "reasoning_grpc_caller_limit"
REMAINING = "reasoning_grpc_caller_remaining"


def read_remaining(page: MetricsPage, caller: str) -> dict[str, float]:
    """Returns what a caller has left, by the names of its limits."""
    samples = page.list_samples(REMAINING, reasoning_grpc_caller=caller)
    return {sample.labels["reasoning_grpc_limit"]: sample.value for sample in samples}


async def test_what_callers_have_left_is_a_metric(upstream: FakeUpstream) -> None:
    """A call takes from the limits of its caller alone, and one in progress also counts as in flight."""
    telemetry = Telemetry()
    alice = limited_caller(
        requests_per_minute=10, tokens_per_minute=10_000, calls_in_flight=3, nano_usd_per_day=5_000_000_000
    )
    config = limited_config(upstream, alice, limited_caller("bob", requests_per_minute=7), limited_caller("eve"))
    async with serving(config, telemetry) as running:
        stub: Any = running.stub
        before = MetricsPage.scrape(telemetry.metrics)
        upstream.reply("done")
        await stub.Complete(a_wire_request(), metadata=bearer("alice"))
        upstream.hang()
        held = stub.Complete(a_wire_request(), metadata=bearer("alice"))
        await upstream.request(2)
        during = read_remaining(MetricsPage.scrape(telemetry.metrics), "alice")
        held.cancel()
        assert await held.code() is grpc.StatusCode.CANCELLED

    assert before.list_values(LIMIT, "reasoning_grpc_limit") == {
        "requests_per_minute": 17,
        "tokens_per_minute": 10_000,
        "calls_in_flight": 3,
        "usd_per_day": 5,
    }
    assert read_remaining(before, "alice") == {
        "requests_per_minute": 10,
        "tokens_per_minute": 10_000,
        "calls_in_flight": 3,
        "usd_per_day": 5,
    }
    assert (read_remaining(before, "bob"), read_remaining(before, "eve")) == ({"requests_per_minute": 7}, {})
    assert 8 <= during["requests_per_minute"] < 10
    assert during["calls_in_flight"] == 2
    assert 0 < during["tokens_per_minute"] < 10_000
    assert 4.9 < during["usd_per_day"] < 5
