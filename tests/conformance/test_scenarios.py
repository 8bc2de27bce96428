"""The server passes the scenarios that every client must pass, called by the runner of the Python client."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor

from clients.conformance.host import host_scenarios
from clients.conformance.judge import find_problems
from clients.conformance.scenario import Scenario, read_scenarios
from clients.python.conformance import run_plan
from reasoning_grpc.v1 import (
    classification_pb2,
    completion_pb2,
    errors_pb2,
    events_pb2,
    interruption_pb2,
    models_pb2,
    routing_pb2,
)

ALL = read_scenarios()
RESPONSES: Mapping[str, Descriptor] = {
    "Complete": completion_pb2.CompleteResponse.DESCRIPTOR,
    "Classify": classification_pb2.ClassifyResponse.DESCRIPTOR,
    "ListModels": models_pb2.ListModelsResponse.DESCRIPTOR,
}
DETAILS: Mapping[str, Descriptor] = {
    "interruption": interruption_pb2.Interruption.DESCRIPTOR,
    "route_decision": routing_pb2.RouteDecision.DESCRIPTOR,
}

Problems = Mapping[str, list[str]]


@pytest.fixture(scope="module")
def problems() -> Problems:
    """Runs all scenarios once; returns the problems of the server and the Python client by scenario."""
    return asyncio.run(_find_all_problems())


async def _find_all_problems() -> Problems:
    async with host_scenarios(ALL) as host:
        await host.prepare()
        plan = json.loads(json.dumps(host.build_plan()))
        results = {result["name"]: result for result in (await run_plan(plan))["results"]}
        return {each.name: find_problems(each, results.get(each.name)) + await host.find_problems(each) for each in ALL}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_a_scenario(scenario: Scenario, problems: Problems) -> None:
    """The client and the upstream receive what the scenario expects."""
    assert problems[scenario.name] == []


def test_every_kind_of_event_is_in_a_scenario() -> None:
    """Every kind of event has a scenario that expects it."""
    expected = {kind for scenario in ALL for event in scenario.expect.events or () for kind in event}
    if any(scenario.expect.heartbeats for scenario in ALL):
        expected.add("heartbeat")

    kinds = {field.name for field in events_pb2.StreamCompleteResponse.DESCRIPTOR.oneofs_by_name["kind"].fields}

    assert expected == kinds


def test_every_reason_is_in_a_scenario() -> None:
    """Every error reason has a scenario that ends with it."""
    expected = {(scenario.expect.error or {}).get("reason") for scenario in ALL}

    reasons = {value.name.removeprefix("ERROR_REASON_") for value in errors_pb2.ErrorReason.DESCRIPTOR.values}

    assert reasons - expected == {"UNSPECIFIED"}


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_expectations_name_fields_of_the_protos(scenario: Scenario) -> None:
    """Each scenario expects something, and only of fields that exist: a misspelt field would always be absent."""
    expect = scenario.expect
    events = [
        {kind: {name: value for name, value in (fields or {}).items() if name not in ("step", "call", "task")}}
        for event in expect.events or ()
        for kind, fields in event.items()
    ]
    assert expect.events is not None or expect.response or expect.folded or expect.error
    assert (expect.max_sent_bytes is not None) is (scenario.call.address == "measured")
    assert list(find_unknown_fields(expect.folded or {}, completion_pb2.CompleteResponse.DESCRIPTOR)) == []
    assert list(find_unknown_fields(expect.response or {}, RESPONSES.get(scenario.call.rpc))) == []
    assert list(find_unknown_fields(events, events_pb2.StreamCompleteResponse.DESCRIPTOR)) == []
    for detail, descriptor in DETAILS.items():
        assert list(find_unknown_fields((expect.error or {}).get(detail), descriptor)) == []


def find_unknown_fields(expected: Any, descriptor: Descriptor | None) -> Iterator[str]:
    """Yields the names in an expectation that are not fields of its message."""
    if isinstance(expected, list | tuple):
        for each in expected:
            yield from find_unknown_fields(each, descriptor)
    elif isinstance(expected, Mapping):
        known = descriptor.fields_by_name if descriptor else {}
        for name, value in expected.items():
            if name not in known:
                yield name
            else:
                yield from find_unknown_fields(value, known[name].message_type)


def test_every_rpc_has_scenarios() -> None:
    """The scenarios call all four RPCs, and fold."""
    rpcs = {scenario.call.rpc for scenario in ALL}

    assert rpcs == {"Complete", "StreamComplete", "Classify", "ListModels", "Fold"}
