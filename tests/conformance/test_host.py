"""The host of the conformance suite finds what a client sent otherwise than its plan says."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from clients.conformance.host import hosting
from clients.conformance.scenario import Scenario, scenarios
from clients.python.conformance import results

BY_NAME = {scenario.name: scenario for scenario in scenarios()}
Change = Callable[[dict[str, Any]], object]


async def sent_otherwise(name: str, change: Change) -> Sequence[str]:
    """What is complained about when a client makes the call of a scenario, changed."""
    scenario: Scenario = BY_NAME[name]
    async with hosting([scenario]) as host:
        plan = host.plan()
        change(plan["scenarios"][0])
        await host.prepare()
        await results(plan)
        return await host.complaints(scenario)


def says(text: str) -> Change:
    """Has the user say something."""
    return lambda call: call["request"]["request"]["messages"][-1]["content"][0].update(text=text)


CHANGES: dict[str, tuple[str, Change, str]] = {
    "not compressed": ("compressed", lambda call: call.pop("compression"), "bytes, expected 4000 at the most"),
    "another text": ("unicode", says("ASCII"), "requests of unicode[0].body.messages[1].content: expected"),
    "no trace": (
        "trace-context",
        lambda call: call.pop("metadata"),
        "requests of trace-context[0].headers.traceparent",
    ),
    "not called": ("stream-text", lambda call: call.update(rpc="Nothing"), "expected 1 requests, 0 came"),
    "not refused": (
        "empty-request",
        lambda call: call.update(request={"messages": [{"role": "ROLE_USER", "content": [{"text": "hi"}]}]}),
        "the upstream of default expected 0 requests, 1 came",
    ),
}


@pytest.mark.parametrize(("name", "change", "complaint"), CHANGES.values(), ids=CHANGES)
def test_what_was_sent_otherwise_is_complained_about(name: str, change: Change, complaint: str) -> None:
    """Each of them; what is sent as planned is not, as `test_conformance.py` tells."""
    (found,) = asyncio.run(sent_otherwise(name, change))

    assert complaint in found
