"""The host of the conformance suite finds out when a client sends something else than its plan says."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from clients.conformance.host import host_scenarios
from clients.conformance.scenario import Scenario, read_scenarios
from clients.python.conformance import run_plan

BY_NAME = {scenario.name: scenario for scenario in read_scenarios()}
Change = Callable[[dict[str, Any]], object]


async def run_changed(name: str, change: Change) -> Sequence[str]:
    """Makes the call of a scenario with a change; returns the problems that the host finds."""
    scenario: Scenario = BY_NAME[name]
    async with host_scenarios([scenario]) as host:
        plan = host.build_plan()
        change(plan["scenarios"][0])
        await host.prepare()
        await run_plan(plan)
        return await host.find_problems(scenario)


def set_text(text: str) -> Change:
    """Returns a change that replaces the text of the user."""
    return lambda call: call["request"]["request"]["messages"][-1]["content"][0].update(text=text)


CHANGES: dict[str, tuple[str, Change, str]] = {
    "not compressed": ("compressed", lambda call: call.pop("compression"), "bytes, expected 4000 at most"),
    "another text": ("unicode", set_text("ASCII"), "requests of unicode[0].body.messages[1].content: expected"),
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


@pytest.mark.parametrize(("name", "change", "problem"), CHANGES.values(), ids=CHANGES)
def test_the_host_reports_a_changed_call(name: str, change: Change, problem: str) -> None:
    """A call that differs from the plan is one problem; `test_scenarios.py` shows that planned calls are none."""
    (found,) = asyncio.run(run_changed(name, change))

    assert problem in found
