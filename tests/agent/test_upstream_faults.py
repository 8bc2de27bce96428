"""Every fault of an upstream ends a run of the agent as it ends any other call, in a step as in the answer."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import Config
from tests.support.agent import (
    PRICES,
    Events,
    agent_config,
    collect_until_failure,
    list_kinds,
    native_entry,
    reasoning_request,
    write_plan,
)
from tests.support.checked_server import PROMPT
from tests.support.deadlines import try_deadlines
from tests.support.health import SERVING, check_health
from tests.support.leftovers import leaving_nothing_behind
from tests.support.serving import RunningServer, provider_entry, serving
from tests.support.shown_secrets import check_nothing_is_shown
from tests.support.upstream import FakeUpstream, Standing, refusing_api_base
from tests.support.upstream_faults import EVERY_FAULT, EVERY_FAULT_OF_OTHER_WIRES, UpstreamFault

pytestmark = pytest.mark.thorough

ASKS_FOR_ANSWER: Final = "Now answer me, from what you found."
"""The first words of the instructions for the answer."""
PLACES: Final[dict[str, Callable[[FakeUpstream], Config]]] = {
    "step": agent_config,
    "native-step": lambda upstream: agent_config(upstream, entry=native_entry(upstream)),
    "answer": agent_config,
}
"""The model call that meets the fault, and the configuration of the server whose agent makes it."""


async def complete(running: RunningServer) -> CallFailed:
    """Makes a unary call of the agent that must fail."""
    with pytest.raises(CallFailed) as failed:
        await running.client().complete(reasoning_request(PROMPT))
    return failed.value


@pytest.mark.parametrize("place", PLACES)
@EVERY_FAULT
async def test_a_fault_of_the_upstream_ends_the_run(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, fault: UpstreamFault, place: str
) -> None:
    """Both RPCs fail with code and reason of the fault, after one request, and report the run until then.

    They show no secret, and leave no task and no connection behind.
    """
    await check_end_of_run(upstream, caplog, PLACES[place](upstream), fault, steps_first=place == "answer")


@pytest.mark.parametrize("place", ["step", "answer"])
@EVERY_FAULT_OF_OTHER_WIRES
async def test_a_fault_on_another_wire_ends_the_run(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, fault: UpstreamFault, wire: str, place: str
) -> None:
    """A fault that any protocol can have ends a run as on OpenAI's, whatever reads the answers of the protocol."""
    config = agent_config(upstream, entry=provider_entry(upstream, wire, prices=PRICES))
    await check_end_of_run(upstream, caplog, config, fault, steps_first=place == "answer")


async def check_end_of_run(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, config: Config, fault: UpstreamFault, *, steps_first: bool
) -> None:
    """Checks how runs end whose first model call meets the fault, or whose answer does after one step."""
    caplog.set_level(logging.DEBUG, "reasoning_grpc")
    step, failing = Standing(), Standing()
    step.reply(write_plan())
    fault.misbehave(failing)
    upstream.always.choose(lambda body: step if steps_first and ASKS_FOR_ANSWER not in json.dumps(body) else failing)
    requests = 2 * (1 + steps_first)

    async def end_runs(seconds: float) -> tuple[Events, CallFailed | None, CallFailed, int] | None:
        upstream.forget()
        settings = replace(config.settings, max_retries=0, **fault.limit_time(seconds))
        async with leaving_nothing_behind(), serving(replace(config, settings=settings)) as running:
            streaming = collect_until_failure(running, reasoning_request(PROMPT))
            (events, streamed), unary = await asyncio.gather(streaming, complete(running))
            health = await check_health(running.channel)
        has_come_so_far = len(upstream.requests) == requests or not fault.limit
        return (events, streamed, unary, health) if has_come_so_far else None

    events, streamed, unary, health = await try_deadlines(end_runs, least_seconds=0.1)

    assert health == SERVING
    assert streamed is not None
    for failure in (streamed, unary):
        assert (failure.code, failure.reason) == (fault.code, fault.reason)
        assert failure.interruption is not None
        assert failure.interruption.model_call_count == 1 + steps_first
    assert streamed.interruption is not None
    assert streamed.interruption.last_sequence == len(events) - 1
    assert list_kinds(events).count("step_finished") == steps_first
    assert "completed" not in list_kinds(events)
    assert len(upstream.requests) == requests
    check_nothing_is_shown(caplog, streamed, unary)


@pytest.mark.parametrize(
    "address", [pytest.param("", id="3-refused"), pytest.param("http://nonexistent.invalid/v1", id="3-unknown-host")]
)
async def test_an_unreachable_upstream_ends_the_run(upstream: FakeUpstream, address: str) -> None:
    """Both RPCs fail without an interruption, because nothing was reached."""
    config = agent_config(upstream, max_retries=0)
    with refusing_api_base() as refusing:
        entry = replace(config.models["fake"], api_base=address or refusing)
        async with serving(replace(config, models={"fake": entry})) as running:
            _, streamed = await collect_until_failure(running, reasoning_request(PROMPT))
            unary = await complete(running)

    assert streamed is not None
    for failure in (streamed, unary):
        assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNREACHABLE")
        assert failure.interruption is None
