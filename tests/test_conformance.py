"""The server against the scenarios that every client passes, by the runner of the Python client."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from clients.conformance.host import hosting
from clients.conformance.judge import complaints
from clients.conformance.scenario import Scenario, scenarios
from clients.python.conformance import results
from reasoning_grpc.v1 import errors_pb2, events_pb2

ALL = scenarios()
NOT_PRODUCED = {"UNSPECIFIED", "CALLER_LIMIT", "SERVER_OVERLOADED"}
"""Reasons that nothing in this build gives yet."""

Complaints = Mapping[str, list[str]]


@pytest.fixture(scope="module")
def judged() -> Complaints:
    """What is wrong with the server and the Python client, by scenario; all are run once."""
    return asyncio.run(_judged())


async def _judged() -> Complaints:
    async with hosting(ALL) as host:
        await host.prepare()
        plan = json.loads(json.dumps(host.plan()))
        seen = {result["name"]: result for result in (await results(plan))["results"]}
        return {each.name: complaints(each, seen.get(each.name)) + await host.complaints(each) for each in ALL}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_a_scenario(scenario: Scenario, judged: Complaints) -> None:
    """The call goes as the scenario says, here and at the upstream."""
    assert judged[scenario.name] == []


def test_every_kind_of_event_is_expected_somewhere() -> None:
    """No event can be added without a scenario that has it."""
    expected = {kind for scenario in ALL for event in scenario.expect.events or () for kind in event}
    if any(scenario.expect.heartbeats for scenario in ALL):
        expected.add("heartbeat")

    kinds = {field.name for field in events_pb2.StreamCompleteResponse.DESCRIPTOR.oneofs_by_name["kind"].fields}

    assert expected == kinds


def test_every_reason_is_expected_somewhere() -> None:
    """No reason can be added without a scenario that ends with it."""
    expected = {(scenario.expect.error or {}).get("reason") for scenario in ALL}

    reasons = {value.name.removeprefix("ERROR_REASON_") for value in errors_pb2.ErrorReason.DESCRIPTOR.values}

    assert reasons - expected == NOT_PRODUCED


def test_there_are_scenarios_of_every_rpc() -> None:
    """All four RPCs, and folds."""
    rpcs = {scenario.call.rpc for scenario in ALL}

    assert rpcs == {"Complete", "StreamComplete", "Classify", "ListModels", "Fold"}
