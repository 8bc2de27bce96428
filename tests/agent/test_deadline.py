"""The agent and time: with a deadline it stops thinking early enough to answer, and says so."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import pytest

from reasoning_grpc.v1 import completion_pb2, events_pb2
from tests.support.agent import (
    agent_config,
    end,
    executions,
    finished,
    kinds,
    outcome,
    outcomes,
    plan,
    reasoning_request,
    status,
    stream,
    text,
    tokens,
    using,
)
from tests.support.agent_grammar import check_grammar
from tests.support.serving import RunningServer, serving
from tests.support.upstream import FakeUpstream, Standing

# Cut off while it maps a request in its thread, litellm leaves a coroutine behind that nobody awaits.
pytestmark = pytest.mark.filterwarnings(
    "ignore:coroutine 'OpenAIChatCompletion.async_streaming' was never:RuntimeWarning"
)

THINKS_ON: Final = plan(action="continue")
PIECES: Final = 10
ANSWER: Final = "word " * PIECES
MANY: Final = 1000


class SlowModel:
    """A model that takes its time for each step and for its answer, and thinks for so many steps."""

    def __init__(
        self, upstream: FakeUpstream, *, step_seconds: float, answer_seconds: float = 0.0, steps: int = MANY
    ) -> None:
        self._steps = steps
        self._more, self._done = self._said(THINKS_ON, step_seconds), self._said(plan(), step_seconds)
        self._answer = self._said(ANSWER, answer_seconds)
        upstream.always.choose(self._choice)

    def _said(self, text: str, seconds: float) -> Standing:
        script, size = Standing(), -(-len(text) // PIECES)
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        script.reply(*pieces, usage=tokens(10, PIECES), interval_seconds=seconds / len(pieces))
        return script

    def _choice(self, body: Any) -> Standing:
        if "response_format" not in body:
            return self._answer
        # Each step adds two messages to the instructions and the question.
        return self._more if len(body["messages"]) < 2 * self._steps else self._done


def asking(**fields: Any) -> completion_pb2.CompleteRequest:
    """A request whose steps nothing but the time limits."""
    return reasoning_request(agent={"max_steps": MANY}, **fields)


def brief(**fields: Any) -> completion_pb2.CompleteRequest:
    """The same for an answer that is known to be short."""
    return asking(sampling=completion_pb2.Sampling(max_output_tokens=PIECES), **fields)


@pytest.fixture
async def running(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server whose agent may take many steps."""
    async with serving(agent_config(upstream, agent_max_steps=MANY)) as server:
        yield server


def check_in_time(events: Sequence[events_pb2.StreamCompleteResponse], deadline_seconds: float) -> None:
    """The answer is whole, and was there before the deadline."""
    check_grammar(events, ended_well=True)
    assert text(events) == ANSWER
    assert events[-1].completed.timings.total_duration.ToNanoseconds() < deadline_seconds * 1e9


async def test_the_answer_comes_within_any_deadline(upstream: FakeUpstream, running: RunningServer) -> None:
    """Over many deadlines the answer is there in time, with the reason, and most of the time was used for thinking.

    A loop that does not look at the deadline dies: the same request without one takes longer than each of them.
    """
    SlowModel(upstream, step_seconds=0.2, answer_seconds=0.3, steps=40)
    dice = random.Random(11)
    deadlines = [dice.uniform(2.5, 6.0) for _ in range(10)]

    (naive, _), *runs = await asyncio.gather(
        *(outcome(running, brief(), timeout_seconds=seconds) for seconds in (None, *deadlines))
    )

    assert end(finished(naive)) == "FINISHED"
    assert naive[-1].completed.timings.total_duration.ToNanoseconds() > max(deadlines) * 1e9
    for (events, failure), deadline in zip(runs, deadlines, strict=True):
        assert failure is None
        check_in_time(events, deadline)
        assert end(finished(events)) == "DEADLINE"
        assert finished(events).duration.ToNanoseconds() > deadline * 1e9 / 2


async def test_the_whole_answer_comes_in_time_too(upstream: FakeUpstream, running: RunningServer) -> None:
    """`Complete` keeps to its deadline the same way."""
    SlowModel(upstream, step_seconds=0.2)

    answer = await running.client().complete(brief(), timeout_seconds=3)

    assert end(answer.reasoning_finished) == "DEADLINE"
    assert answer.message.content[0].text == ANSWER
    assert 1 <= len(answer.steps) == answer.reasoning_finished.step_count


async def test_the_reserve_follows_the_speed_of_the_model(upstream: FakeUpstream) -> None:
    """The slower a model was, the earlier the thinking ends."""
    shares = []
    for step_seconds in (0.1, 0.7):
        SlowModel(upstream, step_seconds=step_seconds)
        async with serving(agent_config(upstream, agent_max_steps=MANY)) as running:
            events = await stream(running, brief(), timeout_seconds=3)
            check_in_time(events, 3)
            assert end(finished(events)) == "DEADLINE"
            shares.append(finished(events).duration.ToNanoseconds() / 3e9)

    quick, slow = shares
    assert slow < quick - 0.1


async def test_waiting_for_a_retry_is_no_slowness(upstream: FakeUpstream, running: RunningServer) -> None:
    """How long a retry waits says nothing of how long the answer will take: the reserve stays small."""
    upstream.fail(503, headers={"Retry-After": "1"})
    SlowModel(upstream, step_seconds=0.1)

    events = await stream(running, brief(), timeout_seconds=4)

    check_in_time(events, 4)
    assert end(finished(events)) == "DEADLINE"
    assert finished(events).duration.ToNanoseconds() > 2.8e9


async def test_the_reserve_follows_the_length_of_the_answers(upstream: FakeUpstream, running: RunningServer) -> None:
    """Before any answer a long one is expected; when answers turn out to be short, more of the time is for thinking."""
    SlowModel(upstream, step_seconds=0.1, answer_seconds=0.1)
    steps = []

    for _ in range(8):
        events = await stream(running, asking(), timeout_seconds=2)
        check_in_time(events, 2)
        assert end(finished(events)) == "DEADLINE"
        steps.append(finished(events).step_count)

    assert steps[0] <= 2
    assert steps[-1] > 2 * steps[0]


async def test_no_time_for_any_step(upstream: FakeUpstream, running: RunningServer) -> None:
    """Where a deadline leaves time for nothing but the answer, that is what comes."""
    SlowModel(upstream, step_seconds=1.5, steps=1)
    await stream(running, brief())

    events = await stream(running, brief(), timeout_seconds=1.5)

    check_in_time(events, 1.5)
    assert (end(finished(events)), finished(events).step_count) == ("DEADLINE", 0)
    assert not finished(events).HasField("usage")


@pytest.mark.parametrize("pieces", [0, 3])
async def test_a_step_that_hangs(upstream: FakeUpstream, running: RunningServer, pieces: int) -> None:
    """A plan that does not come is given up while there is time to answer; its model call has failed, and counts."""
    upstream.hang_after(pieces)
    upstream.reply(ANSWER)

    events = await stream(running, asking(), timeout_seconds=2)

    check_in_time(events, 2)
    assert (end(finished(events)), outcomes(events)) == ("DEADLINE", ["STOPPED"])
    assert kinds(events)[2:5] == ["model_call_started", "model_call_failed", "step_finished"]
    assert len(events[-1].completed.model_calls) == 2
    await upstream.disconnect()


async def test_a_repair_that_hangs(upstream: FakeUpstream, running: RunningServer) -> None:
    """So is a repair, however fast the plan before it was; it is the deadline that ended it."""
    upstream.reply("no plan")
    upstream.hang()
    upstream.reply(ANSWER)

    events = await stream(running, asking(), timeout_seconds=2)

    check_in_time(events, 2)
    assert (end(finished(events)), outcomes(events)) == ("DEADLINE", ["STOPPED"])


async def test_a_retry_that_would_take_too_long(upstream: FakeUpstream, running: RunningServer) -> None:
    """An upstream that wants to be asked later than there is time for has failed: that is a status."""
    upstream.fail(503, headers={"Retry-After": "4"})

    events, failure = await outcome(running, asking(), timeout_seconds=3)

    assert failure is not None
    assert failure.reason == "UPSTREAM_OVERLOADED"
    assert "reasoning_finished" not in kinds(events)


async def test_tools_that_take_too_long(upstream: FakeUpstream, running: RunningServer) -> None:
    """A tool is stopped while there is time to answer, and those after it are not begun."""
    upstream.reply(plan(using("sleep", seconds=60), using("note", text="too late")))
    upstream.reply(ANSWER)

    events = await stream(running, asking(), timeout_seconds=2)

    check_in_time(events, 2)
    assert [status(execution) for execution in executions(events)] == ["TIMED_OUT", "TIMED_OUT"]
    assert (end(finished(events)), outcomes(events)) == ("DEADLINE", ["DONE"])
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("deadline_seconds", [None, 60.0])
async def test_the_servers_own_limit(upstream: FakeUpstream, deadline_seconds: float | None) -> None:
    """Without a deadline, and with one that is far, the server's own limit of thinking holds."""
    SlowModel(upstream, step_seconds=0.1)

    async with serving(agent_config(upstream, agent_max_steps=MANY, agent_timeout_seconds=1.0)) as running:
        events = await stream(running, brief(), timeout_seconds=deadline_seconds)

    assert (end(finished(events)), text(events)) == ("DEADLINE", ANSWER)
    assert finished(events).duration.ToNanoseconds() >= 1e9


async def test_the_servers_limit_of_a_tool(upstream: FakeUpstream) -> None:
    """A tool call ends at the shortest of the server's limit, the request's and its own; the agent goes on."""
    upstream.reply(plan(using("sleep", seconds=60)))
    upstream.reply(plan())
    upstream.reply(ANSWER)

    async with serving(agent_config(upstream, agent_tool_timeout_seconds=0.2)) as running:
        events = await stream(running, asking())

    assert [status(execution) for execution in executions(events)] == ["TIMED_OUT"]
    assert (end(finished(events)), outcomes(events)) == ("FINISHED", ["DONE", "DONE"])
