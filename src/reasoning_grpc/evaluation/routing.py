"""The routes that a server takes for labelled prompts, by `Classify`."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.evaluation.cases import Case
from reasoning_grpc.v1 import completion_pb2, routing_pb2

ONE_ATTEMPT: Final = (("grpc.enable_retries", 0),)
"""Options of a client whose calls are measured: gRPC sends none of them again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case: a decision, or the failure of the call."""

    case: Case
    seconds: float
    """The whole call, as its caller saw it."""
    decision: routing_pb2.RouteDecision | None = None
    failure: CallFailed | None = None

    @property
    def taken(self) -> str | None:
        """The route taken; None when there was no answer."""
        return None if self.decision is None else self.decision.route

    @property
    def is_right(self) -> bool:
        """Whether the route taken is the one expected."""
        return self.taken == self.case.route


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
    """What the server does with each case, in their order; `on_outcome` is called after each one.

    The first case is asked alone. Raises CallFailed when there is no server, or it refuses this caller, and when no
    case at all was answered; any other failure is an outcome.
    """
    gate = asyncio.Semaphore(concurrency)

    async def ask(case: Case) -> Outcome:
        request = completion_pb2.CompleteRequest(model=model, messages=case.messages)
        request.routing.mode = mode
        async with gate:
            outcome = await _outcome(client, case, request, timeout_seconds)
        on_outcome()
        return outcome

    first = await ask(cases[0])
    if first.failure is not None and _is_hopeless(first.failure):
        raise first.failure
    async with asyncio.TaskGroup() as tasks:
        others = [tasks.create_task(ask(case)) for case in cases[1:]]
    outcomes = [first, *(task.result() for task in others)]
    if first.failure is not None and all(outcome.failure for outcome in outcomes):
        raise first.failure
    return outcomes


async def _outcome(
    client: ReasoningClient, case: Case, request: completion_pb2.CompleteRequest, timeout_seconds: float | None
) -> Outcome:
    started = time.perf_counter()
    try:
        decision = await client.classify(request, timeout_seconds=timeout_seconds)
    except CallFailed as error:
        return Outcome(case, time.perf_counter() - started, failure=error)
    return Outcome(case, time.perf_counter() - started, decision=decision)


def _is_hopeless(failure: CallFailed) -> bool:
    """Whether no other prompt would fare better: nobody answered, it is not our service, or not our caller."""
    if failure.code is grpc.StatusCode.UNAUTHENTICATED:
        return True
    return not failure.reason and failure.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED)
