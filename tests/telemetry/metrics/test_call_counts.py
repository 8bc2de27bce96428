"""`CallCounts` bounds what it holds, and hides names that a model has made up."""

import tracemalloc
from dataclasses import replace

from msgspec.structs import replace as replace_fields

from reasoning_grpc.domain import (
    AgentReport,
    CallContext,
    Caller,
    CallReport,
    RouteDecision,
    RouteSource,
    RoutingMode,
    ToolStatus,
    read_clock,
)
from reasoning_grpc.telemetry import Metrics
from tests.support.factories import a_context
from tests.support.metrics import MetricsPage

REPORT = CallReport(
    route_decision=RouteDecision(mode=RoutingMode.REASONING, model="fake", source=RouteSource.REQUEST, reason="why"),
    model="fake",
)


def a_call_of(caller: str, report: CallReport = REPORT) -> CallContext:
    """Builds the context of a call that has ended."""
    return replace_fields(a_context(), caller=Caller(name=caller), report=report)


async def test_the_name_of_a_tool_that_is_not_there_is_no_label() -> None:
    """The model may have made up the name, so it counts as another one."""
    metrics = Metrics()
    calls = [("weather", ToolStatus.OK, 0.1), ("made-up", ToolStatus.NOT_AVAILABLE, 0.0)]
    call = a_call_of("one", replace(REPORT, agent=AgentReport(tool_calls=calls)))
    metrics.calls.record("Complete", "OK", "", call, read_clock())

    page = MetricsPage.scrape(metrics)

    tools = page.list_values("gen_ai_execute_tool_duration_seconds_count", "gen_ai_tool_name")
    assert tools == {"weather": 1, "_OTHER": 1}


async def test_more_callers_than_can_be_counted_apart_are_counted_together() -> None:
    """However many callers and models there are, the memory is bounded, and no call is lost."""
    metrics = Metrics()
    for number in range(10_100):
        metrics.calls.record("Complete", "OK", "", a_call_of(f"caller-{number}"), read_clock())

    page = MetricsPage.scrape(metrics)

    assert page.find("reasoning_grpc_caller_calls_total") == 10_100
    assert page.find("reasoning_grpc_caller_calls_total", reasoning_grpc_caller="_OTHER") == 100


async def test_a_way_to_fail_takes_little_memory() -> None:
    """Calls end in hundreds of combinations of reason, model and route, and most of these have no answer to measure."""
    metrics = Metrics()

    def record_calls(prefix: str) -> None:
        for number in range(640):
            reason = f"{prefix}-{number}"
            metrics.calls.record("Complete", "UNAVAILABLE", reason, a_call_of("one"), read_clock())

    record_calls("first")
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        record_calls("second")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (after - before) / 640 < 900


async def test_calls_count_at_once_for_who_reads_them() -> None:
    """A call is part of the next snapshot, although calls are counted in batches."""
    metrics = Metrics()
    for number in range(1, 131):
        metrics.calls.record("Complete", "OK", "", a_call_of("one"), read_clock())
        if number in {1, 63, 64, 65, 130}:
            assert MetricsPage.scrape(metrics).find("reasoning_grpc_calls_total") == number
