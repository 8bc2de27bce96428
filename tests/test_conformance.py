"""The server against the scenarios that every client passes, by the runner of the Python client."""

import asyncio
import base64
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

import reasoning_grpc.client
from clients.conformance.clients import CLIENTS, ROOT, Client, RunnerFailed, run
from clients.conformance.host import hosting
from clients.conformance.judge import complaints
from clients.conformance.matching import differences
from clients.conformance.scenario import BadScenario, Scenario, scenarios
from clients.python.conformance import results
from reasoning_grpc.v1 import completion_pb2, errors_pb2, events_pb2

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

    kinds = {field.name for field in events_pb2.StreamCompleteResponse.DESCRIPTOR.oneofs_by_name["event"].fields}

    assert expected == kinds


def test_every_reason_is_expected_somewhere() -> None:
    """No reason can be added without a scenario that ends with it."""
    expected = {scenario.expect.error["reason"] for scenario in ALL if (scenario.expect.error or {}).get("reason")}

    reasons = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}

    assert reasons - expected == NOT_PRODUCED


def test_there_are_scenarios_of_every_rpc() -> None:
    """All four RPCs, and folds."""
    rpcs = {scenario.call.rpc for scenario in ALL}

    assert rpcs == {"Complete", "StreamComplete", "Classify", "ListModels", "Fold"}


def _named(name: str) -> Scenario:
    return next(each for each in ALL if each.name == name)


FOLD = _named("fold-steps")


def _good_fold() -> dict[str, Any]:
    """What a client writes that folds well."""
    ours: dict[str, Any] = asyncio.run(results({"scenarios": [{"name": "x", "rpc": "Fold", "events": FOLD.call.events}]}))
    return dict(ours["results"][0])
