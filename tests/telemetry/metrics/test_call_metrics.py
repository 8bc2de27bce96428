"""The metrics say how calls ended, how long they took, and what they used, as a scrape of the running server shows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.config import CallerEntry, Config, hash_token
from reasoning_grpc.domain import Prices
from reasoning_grpc.telemetry import Telemetry
from reasoning_grpc.v1 import models_pb2, routing_pb2
from tests.support.agent import agent_config, collect_events, plan_call, reasoning_request, write_plan
from tests.support.classification import AUTO, write_choice
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.metrics import MetricsPage
from tests.support.orchestration import Team, orchestration_request, plan_task
from tests.support.serving import RunningServer, config_for, judging_config, model_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure, read_to_end

SERVICE: Final = "reasoning_grpc.v1.ReasoningService"
PRICES: Final = Prices(input=1_000_000_000, output=2_000_000_000)


@asynccontextmanager
async def measured(config: Config) -> AsyncIterator[tuple[RunningServer, Telemetry]]:
    """Runs a server, and gives its telemetry as well."""
    telemetry = Telemetry()
    async with serving(config, telemetry) as running:
        yield running, telemetry


async def test_an_answer_is_counted_with_its_tokens_cost_and_times(upstream: FakeUpstream) -> None:
    """Each metric of a call has one value after one call, and the sums are those of the answer."""
    async with measured(config_for(model_entry(upstream.api_base, prices=PRICES))) as (running, telemetry):
        stub: Any = running.stub
        answer = await stub.Complete(a_wire_request())
        page = MetricsPage.scrape(telemetry.metrics)

    ended = {"rpc_method": f"{SERVICE}/Complete", "rpc_response_status_code": "OK"}
    assert page.find("reasoning_grpc_calls_total", **ended, error_type="") == 1
    assert page.find("reasoning_grpc_caller_calls_total", reasoning_grpc_caller="anonymous") == 1
    assert page.find("rpc_server_call_duration_seconds_count", **ended, rpc_system_name="grpc") == 1
    of_model = {"gen_ai_request_model": "fake", "gen_ai_provider_name": "openai", "gen_ai_operation_name": "chat"}
    assert page.find("gen_ai_server_time_to_first_token_seconds_count", **of_model) == 1
    assert page.find("gen_ai_client_operation_duration_seconds_count", **of_model, error_type="") == 1
    usage = answer.usage
    assert page.find("gen_ai_client_token_usage_sum", **of_model, gen_ai_token_type="input") == usage.input_tokens
    assert page.find("gen_ai_client_token_usage_sum", **of_model, gen_ai_token_type="output") == usage.output_tokens
    kinds = page.list_values("reasoning_grpc_tokens_total", "reasoning_grpc_token_kind")
    assert (kinds["INPUT"], kinds["OUTPUT"]) == (usage.input_tokens, usage.output_tokens)
    cost = page.find("reasoning_grpc_cost_usd_total", gen_ai_request_model="fake", reasoning_grpc_caller="anonymous")
    assert cost == pytest.approx(answer.cost.total_nano_usd / 1e9)
    assert page.find("reasoning_grpc_attempts_total", gen_ai_request_model="fake", error_type="") == 1
    assert page.find("reasoning_grpc_overhead_seconds_count", reasoning_grpc_mode="PASSTHROUGH") == 1
    route = {"reasoning_grpc_route_source": "DEFAULT", "reasoning_grpc_route": "passthrough"}
    assert page.find("reasoning_grpc_route_decisions_total", **route) == 1
    assert page.find("reasoning_grpc_calls_in_flight") == 0
    assert page.find("reasoning_grpc_breaker_state", reasoning_grpc_state="CLOSED") == 1
    assert page.find("http_client_open_connections", reasoning_grpc_pool="model_calls") == 1


async def test_a_stream_has_the_times_between_its_deltas(upstream: FakeUpstream) -> None:
    """Every delta behind the first counts as one gap, and the answer has an average time between tokens."""
    upstream.reply("one ", "two ", "three", interval_seconds=0.05)
    async with measured(config_for(model_entry(upstream.api_base))) as (running, telemetry):
        events = await read_to_end(running.stub.StreamComplete(a_stream_request()))
        page = MetricsPage.scrape(telemetry.metrics)

    deltas = sum(event.WhichOneof("kind") == "content_delta" for event in events)
    assert page.find("reasoning_grpc_time_between_deltas_seconds_count", gen_ai_request_model="fake") == deltas - 1
    assert page.find("gen_ai_server_time_per_output_token_seconds_count") == (1 if deltas > 1 else 0)
    assert page.find("reasoning_grpc_calls_total", rpc_method=f"{SERVICE}/StreamComplete") == 1


async def test_failures_retries_and_fallbacks_are_counted(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A failed attempt has its reason, a retry counts as one, and so does the switch to a fallback model."""
    upstream.always.fail(503)
    entries = (
        model_entry(upstream.api_base, "first", fallback_models=("second",)),
        model_entry(judge.api_base, "second"),
        model_entry(upstream.api_base, "alone"),
    )
    async with measured(config_for(*entries, max_retries=1)) as (running, telemetry):
        stub: Any = running.stub
        await stub.Complete(a_wire_request())
        await expect_failure(stub.Complete(a_wire_request(model="alone")))
        page = MetricsPage.scrape(telemetry.metrics)

    reason = "UPSTREAM_OVERLOADED"
    assert page.find("reasoning_grpc_attempts_total", gen_ai_request_model="first", error_type=reason) == 2
    assert page.find("reasoning_grpc_attempts_total", gen_ai_request_model="second", error_type="") == 1
    assert page.find("reasoning_grpc_retries_total", gen_ai_request_model="first", error_type=reason) == 1
    models = {"reasoning_grpc_from_model": "first", "reasoning_grpc_to_model": "second"}
    assert page.find("reasoning_grpc_fallbacks_total", **models, error_type=reason) == 1
    assert page.find("reasoning_grpc_calls_total", rpc_response_status_code="UNAVAILABLE", error_type=reason) == 1


async def test_a_breaker_that_opens_shows(upstream: FakeUpstream) -> None:
    """The breaker of the upstream is open, and has opened once."""
    upstream.always.fail(500)
    settings: dict[str, Any] = {"breaker_min_calls": 3, "breaker_open_seconds": 60.0, "max_retries": 0}
    async with measured(config_for(model_entry(upstream.api_base), **settings)) as (running, telemetry):
        stub: Any = running.stub
        for _ in range(4):
            await expect_failure(stub.Complete(a_wire_request()))
        page = MetricsPage.scrape(telemetry.metrics)

    states = page.list_values("reasoning_grpc_breaker_state", "reasoning_grpc_state")
    assert states == {"CLOSED": 0, "OPEN": 1, "HALF_OPEN": 0}
    assert page.find("reasoning_grpc_breaker_openings_total", gen_ai_request_model="fake") == 1


async def test_the_agent_counts_steps_ends_and_tool_calls(upstream: FakeUpstream) -> None:
    """Steps count by outcome, runs by their end, and tool calls by tool and status."""
    upstream.reply(write_plan(plan_call("weather", city="Paris"), plan_call("fail"), concurrent=True))
    upstream.reply(write_plan())
    upstream.reply("It rains.")
    async with measured(agent_config(upstream)) as (running, telemetry):
        await collect_events(running, reasoning_request())
        page = MetricsPage.scrape(telemetry.metrics)

    assert page.list_values("reasoning_grpc_agent_steps_total", "reasoning_grpc_step_outcome") == {"DONE": 2}
    assert page.list_values("reasoning_grpc_agent_runs_total", "reasoning_grpc_reasoning_end") == {"FINISHED": 1}
    tools = page.list_samples("gen_ai_execute_tool_duration_seconds_count")
    assert {(tool.labels["gen_ai_tool_name"], tool.labels["reasoning_grpc_tool_status"]) for tool in tools} == {
        ("weather", "OK"),
        ("fail", "FAILED"),
    }


async def test_attempts_at_tasks_count_by_their_outcome(upstream: FakeUpstream) -> None:
    """Each attempt at a task counts with its outcome, and the request is one run of the agent."""
    team = Team(upstream, plan_task("a"), plan_task("b", "a"))
    team.choices["step", "a"] = lambda _: team.fail(400)
    team.plans += [team.script("no plan")]
    async with measured(agent_config(upstream)) as (running, telemetry):
        await collect_events(running, orchestration_request())
        page = MetricsPage.scrape(telemetry.metrics)

    counts = page.list_values("reasoning_grpc_task_duration_seconds_count", "reasoning_grpc_task_outcome")
    assert counts == {"FAILED": 1, "SKIPPED": 1}
    assert page.list_values("reasoning_grpc_agent_runs_total", "reasoning_grpc_reasoning_end") == {"FINISHED": 1}


async def test_the_classifier_counts_its_decisions_and_failures(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A decision counts by its source and route; an answer that cannot be used counts as a failure."""
    judge.reply(write_choice("passthrough"))
    async with measured(judging_config(upstream, judge)) as (running, telemetry):
        stub: Any = running.stub
        await stub.Complete(a_wire_request(**AUTO))
        judge.reply("nonsense")
        judge.reply("nonsense")
        await stub.Complete(a_wire_request("another", **AUTO))
        page = MetricsPage.scrape(telemetry.metrics)

    assert page.list_values("reasoning_grpc_route_decisions_total", "reasoning_grpc_route_source") == {
        "CLASSIFIER": 1,
        "CLASSIFIER_FALLBACK": 1,
    }
    assert page.find("reasoning_grpc_classifier_duration_seconds_count", gen_ai_request_model="judge") == 2
    assert page.find("reasoning_grpc_classifier_failures_total", gen_ai_request_model="judge") == 1


async def test_calls_that_never_began_are_counted_as_refused(upstream: FakeUpstream) -> None:
    """A call that admission refuses counts with its reason, and the one in flight shows meanwhile."""
    upstream.hang()
    config = config_for(model_entry(upstream.api_base), max_calls_in_flight=1, max_queued_calls=0)
    async with measured(config) as (running, telemetry):
        stub: Any = running.stub
        first = stub.Complete(a_wire_request())
        await upstream.request()
        failure = await expect_failure(stub.Complete(a_wire_request()))
        page = MetricsPage.scrape(telemetry.metrics)
        first.cancel()

    assert failure.reason == "SERVER_OVERLOADED"
    assert page.find("reasoning_grpc_calls_in_flight") == 1
    assert page.find("reasoning_grpc_calls_limit") == 1
    assert page.find("reasoning_grpc_calls_refused_total", error_type="SERVER_OVERLOADED") == 1


async def test_a_refused_call_counts_for_its_caller(upstream: FakeUpstream) -> None:
    """The caller of a call that admission refuses is known, in the metrics as in the log."""
    upstream.hang()
    callers = {name: CallerEntry(name=name, token_hash=hash_token(name)) for name in ("one", "two")}
    limits: dict[str, Any] = {"max_calls_in_flight": 1, "max_queued_calls": 0}
    async with measured(config_for(model_entry(upstream.api_base), callers=callers, **limits)) as (running, telemetry):
        stub: Any = running.stub
        first = stub.Complete(a_wire_request(), metadata=(("authorization", "Bearer one"),))
        await upstream.request()
        await expect_failure(stub.Complete(a_wire_request(), metadata=(("authorization", "Bearer two"),)))
        page = MetricsPage.scrape(telemetry.metrics)
        first.cancel()

    assert page.list_values("reasoning_grpc_caller_calls_total", "reasoning_grpc_caller") == {"two": 1}


async def test_an_unknown_price_is_no_cost_of_zero(upstream: FakeUpstream) -> None:
    """Without a price the call counts as one whose cost is not known."""
    async with measured(config_for(model_entry(upstream.api_base))) as (running, telemetry):
        stub: Any = running.stub
        await stub.Complete(a_wire_request())
        page = MetricsPage.scrape(telemetry.metrics)

    assert page.list_samples("reasoning_grpc_cost_usd_total") == []
    assert page.find("reasoning_grpc_cost_unknown_total", gen_ai_request_model="fake") == 1


async def settle(call: Any) -> str:
    """Awaits a call, and returns the name of its status."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def test_no_label_comes_from_a_request(upstream: FakeUpstream) -> None:
    """Whatever a caller writes into any place of a request or its metadata, no label of any metric has it."""
    canary = "canary"
    callers = {"known": CallerEntry(name="known", token_hash=hash_token("good"))}
    config = replace(config_for(model_entry(upstream.api_base)), callers=callers)
    good = (("authorization", "Bearer good"), ("x-request-id", canary), ("x-routing-mode", canary), ("x-a", canary))
    async with measured(config) as (running, telemetry):
        stub: Any = running.stub
        fields: dict[str, Any] = {
            "request_id": f"req-{canary}",
            "end_user": canary,
            "labels": {canary: canary},
        }
        unknown: Any = running.channel.unary_unary(f"/{SERVICE}/{canary}")
        calls = [
            stub.Complete(a_wire_request(canary, **fields), metadata=good),
            stub.Complete(a_wire_request(canary, **fields), metadata=good[:2]),
            stub.Complete(a_wire_request(), metadata=(("authorization", f"Bearer {canary}"),)),
            stub.ListModels(models_pb2.ListModelsRequest(page_token=canary), metadata=good[:1]),
            unknown(b"", metadata=good[:1]),
        ]
        for name in (canary, f"openai/{canary}", f"fake/{canary}"):
            calls.append(stub.Complete(a_wire_request(model=name), metadata=good[:1]))
            calls.append(stub.Complete(a_wire_request(fallback_models=[name]), metadata=good[:1]))
            routing = routing_pb2.RoutingOptions(route=name)
            calls.append(stub.Complete(a_wire_request(routing=routing), metadata=good[:1]))
        outcomes = [await settle(call) for call in calls]
        page = MetricsPage.scrape(telemetry.metrics)

    assert {"OK", "NOT_FOUND", "INVALID_ARGUMENT", "UNAUTHENTICATED", "UNIMPLEMENTED"} <= set(outcomes)
    assert page.find("reasoning_grpc_calls_total") == len(calls) - 1, "gRPC itself refuses an unknown method"
    shown = [sample for sample in page.samples if any(canary in value for value in sample.labels.values())]
    assert shown == []
