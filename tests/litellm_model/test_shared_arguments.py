"""Nothing that goes into litellm is shared: it edits what it is given, and the next request must not notice."""

import json
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest

from reasoning_grpc.domain import Deployment
from reasoning_grpc.domain.errors import ReasoningError
from reasoning_grpc.engine.passthrough import build_direct_call
from reasoning_grpc.litellm_model.request import build_arguments, choose_model, prepare_call
from reasoning_grpc.llm import ModelCall
from reasoning_grpc.rpc.convert import Caps, completion_request
from tests.support.differential.capturing import CapturingUpstream
from tests.support.differential.case import Case
from tests.support.differential.outcomes import send
from tests.support.differential.requests import ALL_CASES
from tests.support.differential.targets import TARGETS, build_config
from tests.support.serving import RunningServer, serving
from tests.support.unsent import a_deployment

EACH_PREFIX: Final = tuple({target.prefix: target for target in reversed(TARGETS)}.values())
"""A model of each promised prefix."""
NAMES: Final = (
    "tool without a schema",
    "arguments: no-properties",
    "arguments: all-of-with-a-reference",
    "arguments: map-of-integers",
    "arguments: array-without-items",
    "format: reference",
    "choice by name",
    "signed reasoning and call + tool",
    "cache on everything + tool",
    "texts around an image",
)
"""Requests that litellm rewrites for some provider."""


@pytest.mark.thorough
async def test_requests_in_turn_leave_alike() -> None:
    """A request leaves in the same bytes, whichever requests to other providers came before it."""
    cases = [case for case in ALL_CASES if case.name in NAMES]

    async with CapturingUpstream() as upstream, serving(build_config(EACH_PREFIX, upstream)) as running:
        first = await send_to_each(running, upstream, cases)
        constants = describe_constants()
        second = await send_to_each(running, upstream, cases)

    assert len(cases) == len(NAMES)
    assert second == first
    assert describe_constants() == constants


@pytest.mark.thorough
def test_arguments_belong_to_one_call() -> None:
    """Whatever litellm does to the arguments of a call, those of other calls and of the same call again stay whole."""
    calls = [(call, a_deployment(target.litellm_model)) for target in EACH_PREFIX for call in list_calls()]
    before = [describe(build(call, deployment)) for call, deployment in calls]

    for call, deployment in calls:
        destroy(build(call, deployment))
    after = [describe(build(call, deployment)) for call, deployment in calls]

    assert after == before


async def send_to_each(running: RunningServer, upstream: CapturingUpstream, cases: list[Case]) -> dict[str, str]:
    """Sends every request to every provider in turn, and returns what left, as text."""
    left: dict[str, str] = {}
    for case in cases:
        for target in EACH_PREFIX:
            _, _, captured = await send(running, upstream, target, case, "in-turn")
            left[f"{target.name}: {case.name}"] = json.dumps([each.body for each in captured])
    return left


def list_calls() -> list[ModelCall]:
    """Returns a model call for each request that is valid."""
    calls: list[ModelCall] = []
    for case in ALL_CASES:
        try:
            calls.append(build_direct_call(completion_request(case.request, Caps()), "fake", ()))
        except ReasoningError:
            continue  # the face of the server refuses it, so it never becomes a call
    return calls


def build(call: ModelCall, deployment: Deployment) -> list[dict[str, Any]]:
    """Returns all that litellm is given for a call; nothing for a refused call."""
    prepared = prepare_call(call, deployment)
    if prepared.violations:
        return []
    arguments = build_arguments(prepared.choose_call(call), deployment)
    return [arguments, choose_model(deployment)]


def describe(value: Any) -> str:
    """Returns a text that shows every value within."""
    return json.dumps(value, default=repr)


def destroy(value: Any) -> None:
    """Empties all collections in a value, the innermost first."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            destroy(each)
        value.clear()


def describe_constants() -> dict[str, str]:
    """Returns a text for each collection that stands at the top of a module of the adapter."""
    return dict(_list_constants())


def _list_constants() -> Iterator[tuple[str, str]]:
    for name, module in sorted(sys.modules.items()):
        if name.startswith("reasoning_grpc."):
            for constant, value in vars(module).items():
                if isinstance(value, dict | list | set) and not constant.startswith("__"):
                    yield f"{name}.{constant}", repr(value)
