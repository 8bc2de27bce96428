"""`route_cases`: lets a server route labelled prompts, by `Classify`, and returns the outcomes."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.evaluation.case_reader import Case
from reasoning_grpc.v1 import completion_pb2, routing_pb2

ONE_ATTEMPT: Final = (("grpc.enable_retries", 0),)
"""The options of a client whose calls are measured: gRPC must not repeat a call."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one case: a decision, or the failure of the call."""

    case: Case
    seconds: float | None
    """The duration of the whole call, as its caller saw it; None when no call was made."""
    decision: routing_pb2.RouteDecision | None = None
    failure: CallFailed | None = None

    @property
    def actual_route(self) -> str | None:
        """The route that the server chose; None when the call failed."""
        return None if self.decision is None else self.decision.route

    @property
    def is_right(self) -> bool:
        """Whether the server chose the expected route."""
        return self.actual_route == self.case.route


async def route_cases(
    client: ReasoningClient,
    cases: Sequence[Case],
    *,
    mode: routing_pb2.RoutingMode.ValueType = routing_pb2.ROUTING_MODE_AUTO,
    model: str = "",
    concurrency: int = 1,
    timeout_seconds: float | None = None,
    on_outcome: Callable[[], object] = lambda: None,
) -> list[Outcome]:
    """Returns the outcomes of the cases, in the order of the cases; `on_outcome` is called after each one.

    The first case is sent alone. Raises CallFailed when there is no server, when it refuses this caller, and when
    every call failed; any other failure is an outcome.
    """
    slots = asyncio.Semaphore(concurrency)

    async def route(case: Case) -> Outcome:
        request = completion_pb2.CompleteRequest(model=model, messages=case.messages)
        request.routing.mode = mode
        async with slots:
            outcome = await _classify(client, case, request, timeout_seconds)
        on_outcome()
        return outcome

    first = await route(cases[0])
    if first.failure is not None and _is_hopeless(first.failure):
        raise first.failure
    async with asyncio.TaskGroup() as tasks:
        others = [tasks.create_task(route(case)) for case in cases[1:]]
    outcomes = [first, *(task.result() for task in others)]
    if first.failure is not None and all(outcome.failure for outcome in outcomes):
        raise first.failure
    return outcomes


async def _classify(
    client: ReasoningClient, case: Case, request: completion_pb2.CompleteRequest, timeout_seconds: float | None
) -> Outcome:
    started = time.perf_counter()
    try:
        decision = await client.classify(request, timeout_seconds=timeout_seconds)
    except CallFailed as error:
        return Outcome(case, time.perf_counter() - started, failure=error)
    return Outcome(case, time.perf_counter() - started, decision=decision)


def _is_hopeless(failure: CallFailed) -> bool:
    """Whether every other call would fail, too: no server answered, it is not our service, or the caller is unknown."""
    if failure.code is grpc.StatusCode.UNAUTHENTICATED:
        return True
    return not failure.reason and failure.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED)
