"""The server against the scenarios that every client passes, by the runner of the Python client."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor

import reasoning_grpc
from clients.conformance.host import hosting
from clients.conformance.judge import complaints
from clients.conformance.scenario import Scenario, scenarios
from clients.python.conformance import results
from reasoning_grpc.domain import errors
from reasoning_grpc.v1 import (
    classification_pb2,
    completion_pb2,
    errors_pb2,
    events_pb2,
    interruption_pb2,
    models_pb2,
    routing_pb2,
)

ALL = scenarios()
NOT_PRODUCED = (errors.CallerLimitReached, errors.ServerOverloaded)
"""Errors that nothing in this build raises yet."""
RESPONSES: Mapping[str, Descriptor] = {
    "Complete": completion_pb2.CompleteResponse.DESCRIPTOR,
    "Classify": classification_pb2.ClassifyResponse.DESCRIPTOR,
    "ListModels": models_pb2.ListModelsResponse.DESCRIPTOR,
}
DETAILS: Mapping[str, Descriptor] = {
    "interruption": interruption_pb2.Interruption.DESCRIPTOR,
    "route_decision": routing_pb2.RouteDecision.DESCRIPTOR,
}

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

    assert reasons - expected == {"UNSPECIFIED", *(error.reason for error in NOT_PRODUCED)}


@pytest.mark.parametrize("error", NOT_PRODUCED)
def test_what_has_no_scenario_is_not_raised(error: type[errors.ReasoningError]) -> None:
    """Its name stands where it is declared and where its status is, and nowhere else."""
    source = Path(reasoning_grpc.__file__).parent

    naming = {str(path.relative_to(source)) for path in source.rglob("*.py") if error.__name__ in path.read_text()}

    assert naming == {"domain/errors.py", "rpc/status.py"}


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_what_is_expected_is_in_the_protos(scenario: Scenario) -> None:
    """Something is expected, and of fields that there are: one that is misspelt would be absent for ever."""
    expect = scenario.expect
    events = [
        {kind: {name: value for name, value in (fields or {}).items() if name not in ("step", "call")}}
        for event in expect.events or ()
        for kind, fields in event.items()
    ]
    assert expect.events is not None or expect.response or expect.folded or expect.error
    assert (expect.most_sent_bytes is not None) is (scenario.call.address == "measured")
    assert list(strangers(expect.folded or {}, completion_pb2.CompleteResponse.DESCRIPTOR)) == []
    assert list(strangers(expect.response or {}, RESPONSES.get(scenario.call.rpc))) == []
    assert list(strangers(events, events_pb2.StreamCompleteResponse.DESCRIPTOR)) == []
    for detail, descriptor in DETAILS.items():
        assert list(strangers((expect.error or {}).get(detail), descriptor)) == []


def strangers(expected: Any, descriptor: Descriptor | None) -> Iterator[str]:
    """The names that stand in an expectation, and not in its message."""
    if isinstance(expected, list | tuple):
        for each in expected:
            yield from strangers(each, descriptor)
    elif isinstance(expected, Mapping):
        known = descriptor.fields_by_name if descriptor else {}
        for name, value in expected.items():
            if name not in known:
                yield name
            else:
                yield from strangers(value, known[name].message_type)


def test_there_are_scenarios_of_every_rpc() -> None:
    """All four RPCs, and folds."""
    rpcs = {scenario.call.rpc for scenario in ALL}

    assert rpcs == {"Complete", "StreamComplete", "Classify", "ListModels", "Fold"}
