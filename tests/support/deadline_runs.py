"""Runs of orchestration with random plans, paces and deadlines, in the process of the test."""

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any, Final

from reasoning_grpc.domain import (
    ReasoningEnd,
    RoutingMode,
    RoutingOptions,
    Sampling,
    Task,
    TaskOutcome,
    read_clock,
)
from reasoning_grpc.domain.events import Completed, ContentDelta, ReasoningFinished, StreamEvent, TaskFinished
from reasoning_grpc.domain.fold import CompletionBuilder
from reasoning_grpc.engine import Engine
from tests.fuzz.instant_model import build_instant_engine
from tests.support.factories import a_context, a_message, a_request
from tests.support.paced_model import DELTAS, PacedModel

RUNS: Final = 200
AT_ONCE: Final = 20


async def run_all() -> list[float]:
    """Runs everything, and returns the seconds that each run had left when its answer was complete.

    Half of the runs could take much longer than their deadlines, because their tasks never say that they are ready.
    """
    generator = random.Random(18)
    runs = [(draw_pace(generator), generator.uniform(0.8, 8.0)) for _ in range(RUNS)]
    engine, left = build_instant_engine(PacedModel), list[float]()
    for start in range(0, RUNS, AT_ONCE):
        left += await asyncio.gather(*(_run(engine, *each) for each in runs[start : start + AT_ONCE]))
    return left


def draw_pace(generator: random.Random) -> dict[str, Any]:
    """Draws how long each call takes, and a plan of up to eight tasks with dependencies."""
    names = "abcdefgh"[: generator.randint(1, 8)]
    tasks = [
        {
            "name": name,
            "goal": f"Find {name}.",
            "needs": generator.sample(names[:index], min(index, generator.choice([0, 0, 1, 2]))),
        }
        for index, name in enumerate(names)
    ]
    action = generator.choice(["finish", "continue"])
    return {"seconds": generator.uniform(0.02, 0.25), "action": action, "tasks": tasks}


async def _run(engine: Engine, pace: dict[str, Any], seconds: float) -> float:
    """Makes one run, checks its events, and returns the seconds that it had left."""
    request = a_request(
        messages=(a_message(json.dumps(pace)),),
        routing=RoutingOptions(mode=RoutingMode.ORCHESTRATION),
        sampling=Sampling(max_output_tokens=2 * DELTAS),
    )
    began, builder = read_clock(), CompletionBuilder()
    context = a_context(arrival_time=began, deadline=began + seconds)
    events = [event async for event in engine.run(request, context)]
    left = seconds - (read_clock() - began)
    assert isinstance(events[-1].event, Completed)
    assert any(isinstance(event.event, ContentDelta) for event in events)
    for event in events:
        builder.record(event)
    _check_ends(builder.build().tasks, events)
    return left


def _check_ends(tasks: Sequence[Task], events: Sequence[StreamEvent]) -> None:
    """Checks that each task ended for a reason that is possible without failures."""
    outcomes = {task.outcome for task in tasks}
    assert outcomes <= {TaskOutcome.DONE, TaskOutcome.STOPPED, TaskOutcome.SKIPPED}
    (end,) = [event.event for event in events if isinstance(event.event, ReasoningFinished) and not event.task]
    if TaskOutcome.STOPPED not in outcomes and tasks:
        assert end.reason is ReasoningEnd.FINISHED
    assert sum(isinstance(event.event, TaskFinished) for event in events) == len(tasks)
