"""The agent with a deadline: it stops thinking early enough to answer, and reports that."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import completion_pb2, events_pb2
from tests.support.agent import (
    agent_config,
    build_usage,
    collect_events,
    collect_until_failure,
    find_finish,
    join_text,
    list_executions,
    list_kinds,
    list_outcomes,
    name_end,
    name_status,
    plan_call,
    reasoning_request,
    write_plan,
)
from tests.support.agent_grammar import check_grammar
from tests.support.deadlines import try_deadlines
from tests.support.serving import RunningServer, serving
from tests.support.upstream import FakeUpstream, Standing

pytestmark = pytest.mark.slow

PLAN_TO_CONTINUE: Final = write_plan(action="continue")
DELTAS: Final = 10
ANSWER: Final = "word " * DELTAS
MANY: Final = 1000


class SlowModel:
    """A model that takes this time for each step and for its answer, and finishes after this number of steps."""

    def __init__(
        self, upstream: FakeUpstream, *, step_seconds: float, answer_seconds: float = 0.0, steps: int = MANY
    ) -> None:
        self._steps = steps
        self._more, self._done = self._script(PLAN_TO_CONTINUE, step_seconds), self._script(write_plan(), step_seconds)
        self._answer = self._script(ANSWER, answer_seconds)
        upstream.always.choose(self._choose_script)

    def _script(self, reply: str, seconds: float) -> Standing:
        script, size = Standing(), -(-len(reply) // DELTAS)
        deltas = [reply[start : start + size] for start in range(0, len(reply), size)]
        script.reply(*deltas, usage=build_usage(10, DELTAS), interval_seconds=seconds / len(deltas))
        return script

    def _choose_script(self, body: Any) -> Standing:
        if "response_format" not in body:
            return self._answer
        # Each step adds two messages to the instructions and the question.
        return self._more if len(body["messages"]) < 2 * self._steps else self._done


def long_request(**fields: Any) -> completion_pb2.CompleteRequest:
    """Builds a request whose steps only the time limits."""
    return reasoning_request(agent={"max_steps": MANY}, **fields)


def short_request(**fields: Any) -> completion_pb2.CompleteRequest:
    """Builds a request whose steps only the time limits, and whose answer is limited to a few tokens."""
    return long_request(sampling=completion_pb2.Sampling(max_output_tokens=DELTAS), **fields)


@pytest.fixture
async def running(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """Starts a server whose agent may take many steps, and as much time as the deadline leaves."""
    async with serving(agent_config(upstream, agent_max_steps=MANY, agent_timeout_seconds=3600.0)) as server:
        yield server


async def collect_in_time(
    upstream: FakeUpstream,
    running: RunningServer,
    request: completion_pb2.CompleteRequest,
    *,
    least_seconds: float,
    prepare: Callable[[], object] = lambda: None,
    requests: int = 0,
) -> tuple[list[events_pb2.StreamCompleteResponse], float]:
    """Returns the events of a stream that ended well, with its deadline, in which the upstream got so many requests.

    `prepare` scripts the upstream before each attempt.
    """

    async def collect(seconds: float) -> tuple[list[events_pb2.StreamCompleteResponse], float] | None:
        upstream.forget()
        prepare()
        events, failure = await collect_until_failure(running, request, timeout_seconds=seconds)
        return (events, seconds) if failure is None and len(upstream.requests) >= requests else None

    return await try_deadlines(collect, least_seconds=least_seconds)


def check_in_time(events: Sequence[events_pb2.StreamCompleteResponse], deadline_seconds: float) -> None:
    """Checks that the answer is complete, and came before the deadline."""
    check_grammar(events, ended_well=True)
    assert join_text(events) == ANSWER
    assert events[-1].completed.timings.total_duration.ToNanoseconds() < deadline_seconds * 1e9


async def test_the_answer_comes_within_any_deadline(upstream: FakeUpstream, running: RunningServer) -> None:
    """Whatever the deadline, the answer comes in time, and most of the time was used for thinking.

    Without a deadline, the request takes longer than each of them, so a loop that ignores deadlines would fail.
    """
    generator = random.Random(11)
    shares = [generator.uniform(2.5, 6.0) for _ in range(10)]

    async def run(scale: float) -> tuple[list[float], list[list[events_pb2.StreamCompleteResponse]]] | None:
        SlowModel(upstream, step_seconds=0.2 * scale, answer_seconds=0.3 * scale, steps=40)
        deadlines = [share * scale for share in shares]
        ran = await asyncio.gather(
            *(
                collect_until_failure(running, short_request(), timeout_seconds=seconds)
                for seconds in (None, *deadlines)
            )
        )
        if any(failure for _, failure in ran):
            return None
        runs = [events for events, _ in ran]
        thought = [find_finish(events).duration.ToNanoseconds() / 1e9 for events in runs[1:]]
        used_most = all(seconds > deadline / 2 for seconds, deadline in zip(thought, deadlines, strict=True))
        return (deadlines, runs) if used_most else None

    deadlines, (without_deadline, *runs) = await try_deadlines(run)

    assert name_end(find_finish(without_deadline)) == "FINISHED"
    assert without_deadline[-1].completed.timings.total_duration.ToNanoseconds() > max(deadlines) * 1e9
    for events, deadline in zip(runs, deadlines, strict=True):
        check_in_time(events, deadline)
        assert name_end(find_finish(events)) == "DEADLINE"


async def test_complete_keeps_its_deadline(upstream: FakeUpstream, running: RunningServer) -> None:
    """`Complete` returns its answer before the deadline as well."""
    SlowModel(upstream, step_seconds=0.2)

    async def complete(seconds: float) -> completion_pb2.CompleteResponse | None:
        try:
            answer = await running.client().complete(short_request(), timeout_seconds=seconds)
        except CallFailed:
            return None
        return answer if answer.steps else None

    answer = await try_deadlines(complete, least_seconds=2.0)

    assert name_end(answer.reasoning_finished) == "DEADLINE"
    assert answer.message.content[0].text == ANSWER
    assert 1 <= len(answer.steps) == answer.reasoning_finished.step_count


async def test_a_short_deadline_leaves_time_for_the_answer_only(upstream: FakeUpstream, running: RunningServer) -> None:
    """Where the deadline leaves time for the answer only, no step is made."""

    async def answer_only(seconds: float) -> tuple[list[events_pb2.StreamCompleteResponse], float] | None:
        SlowModel(upstream, step_seconds=seconds, steps=1)
        await collect_events(running, short_request())
        events, failure = await collect_until_failure(running, short_request(), timeout_seconds=seconds)
        return (events, seconds) if failure is None else None

    events, seconds = await try_deadlines(answer_only)

    check_in_time(events, seconds)
    assert (name_end(find_finish(events)), find_finish(events).step_count) == ("DEADLINE", 0)
    assert not find_finish(events).HasField("usage")


@pytest.mark.parametrize("deltas", [0, 3])
async def test_a_step_that_hangs_is_stopped(upstream: FakeUpstream, running: RunningServer, deltas: int) -> None:
    """A plan that does not come is stopped in time for the answer; its model call has failed, and is counted."""

    async def cut(seconds: float) -> tuple[list[events_pb2.StreamCompleteResponse], float] | None:
        upstream.forget()
        gate = upstream.hang_after(deltas)
        upstream.reply(ANSWER)
        events, failure = await collect_until_failure(running, long_request(), timeout_seconds=seconds)
        has_come_so_far = failure is None and len(upstream.requests) == 2 and gate.steps_sent >= deltas
        return (events, seconds) if has_come_so_far else None

    events, seconds = await try_deadlines(cut, least_seconds=2.0)

    check_in_time(events, seconds)
    assert (name_end(find_finish(events)), list_outcomes(events)) == ("DEADLINE", ["STOPPED"])
    assert list_kinds(events)[2:5] == ["model_call_started", "model_call_failed", "step_finished"]
    assert len(events[-1].completed.model_calls) == 2
    await upstream.disconnect()


async def test_a_repair_that_hangs_is_stopped(upstream: FakeUpstream, running: RunningServer) -> None:
    """A repair that does not come is stopped in time for the answer, with the deadline as the reason."""

    def prepare() -> None:
        upstream.reply("no plan")
        upstream.hang()
        upstream.reply(ANSWER)

    events, seconds = await collect_in_time(
        upstream, running, long_request(), prepare=prepare, requests=3, least_seconds=2.0
    )

    check_in_time(events, seconds)
    assert (name_end(find_finish(events)), list_outcomes(events)) == ("DEADLINE", ["STOPPED"])


async def test_a_retry_after_the_deadline_is_not_waited_for(upstream: FakeUpstream, running: RunningServer) -> None:
    """A step whose upstream wants a retry after the deadline ends the call with a status."""

    async def fail(seconds: float) -> tuple[list[events_pb2.StreamCompleteResponse], CallFailed] | None:
        upstream.forget()
        upstream.fail(503, headers={"Retry-After": f"{seconds + 1:.0f}"})
        events, failure = await collect_until_failure(running, long_request(), timeout_seconds=seconds)
        assert failure is not None
        return (events, failure) if failure.reason else None

    events, failure = await try_deadlines(fail, least_seconds=2.0)

    assert failure.reason == "UPSTREAM_OVERLOADED"
    assert "reasoning_finished" not in list_kinds(events)


async def test_tools_that_take_too_long_are_stopped(upstream: FakeUpstream, running: RunningServer) -> None:
    """A tool is stopped in time for the answer, and the tools after it are not started."""

    def prepare() -> None:
        upstream.reply(write_plan(plan_call("sleep", seconds=60), plan_call("note", text="too late")))
        upstream.reply(ANSWER)

    events, seconds = await collect_in_time(
        upstream, running, long_request(), prepare=prepare, requests=2, least_seconds=2.0
    )

    check_in_time(events, seconds)
    assert [name_status(execution) for execution in list_executions(events)] == ["TIMED_OUT", "TIMED_OUT"]
    assert (name_end(find_finish(events)), list_outcomes(events)) == ("DEADLINE", ["DONE"])
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("deadline_seconds", [None, 60.0])
async def test_the_server_limits_the_time_of_thinking(upstream: FakeUpstream, deadline_seconds: float | None) -> None:
    """The server's limit of the thinking applies without a deadline, and with a later one."""
    SlowModel(upstream, step_seconds=0.1)

    async with serving(agent_config(upstream, agent_max_steps=MANY, agent_timeout_seconds=1.0)) as running:
        events = await collect_events(running, short_request(), timeout_seconds=deadline_seconds)

    assert (name_end(find_finish(events)), join_text(events)) == ("DEADLINE", ANSWER)
    assert find_finish(events).duration.ToNanoseconds() >= 1e9


async def test_the_shortest_tool_limit_applies(upstream: FakeUpstream) -> None:
    """A tool call ends at the shortest of the limits of the server, the request and the tool, and the agent goes on."""
    upstream.reply(write_plan(plan_call("sleep", seconds=60)))
    upstream.reply(write_plan())
    upstream.reply(ANSWER)

    async with serving(agent_config(upstream, agent_tool_timeout_seconds=0.2)) as running:
        events = await collect_events(running, long_request())

    assert [name_status(execution) for execution in list_executions(events)] == ["TIMED_OUT"]
    assert (name_end(find_finish(events)), list_outcomes(events)) == ("FINISHED", ["DONE", "DONE"])
