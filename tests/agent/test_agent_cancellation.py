"""Callers who leave the agent: in each phase the upstream and the tools are let go, and the log knows what was used."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.v1 import events_pb2
from tests.rpc.test_cancellation import CallLog
from tests.support import agent_tools
from tests.support.agent import agent_config, kinds, native_entry, plan, reasoning_request, tokens, using
from tests.support.agent_grammar import check_grammar
from tests.support.agent_tools import Bench
from tests.support.serving import RunningServer, serving
from tests.support.upstream import FakeToolCall, FakeUpstream, Gate, Standing

WAITING: Final = plan(using("wait", name="one"), using("wait", name="two"), concurrent=True)
RPCS: Final = pytest.mark.parametrize("rpc", ["StreamComplete", "Complete"])


@pytest.fixture
def call_log(caplog: pytest.LogCaptureFixture) -> Iterator[CallLog]:
    """The log of calls, from now on."""
    caplog.set_level(logging.INFO, "reasoning_grpc")
    log, handler = logging.getLogger("reasoning_grpc.calls"), CallLog()
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


@pytest.fixture
def bench() -> Bench:
    """What the tools do in this test."""
    agent_tools.benches.append(Bench())
    return agent_tools.benches[-1]


@pytest.fixture
async def running(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with tools."""
    async with serving(agent_config(upstream)) as server:
        yield server


def begun(running: RunningServer, rpc: str, *, heartbeat: bool = False) -> Any:
    """A call for the agent, under way."""
    request = reasoning_request()
    if rpc == "Complete":
        return running.stub.Complete(request)
    asked = events_pb2.StreamCompleteRequest(request=request)
    if heartbeat:
        asked.stream_options.heartbeat_interval.FromSeconds(60)
    return running.stub.StreamComplete(asked)


async def check_cancelled(running: RunningServer, call_log: CallLog, calls: int, source: str) -> dict[str, Any]:
    """The call is over: nothing is in flight, and the log says what so many model calls used."""
    line = await call_log.line()
    assert (line["code"], line["levelname"], line["attempts"]) == ("CANCELLED", "INFO", calls)
    assert line["usage_source"] == source
    assert running.server.calls_in_flight == 0
    return line


@RPCS
@pytest.mark.parametrize(
    "misbehave",
    [
        pytest.param(lambda fake: fake.hang(), id="before-headers"),
        pytest.param(lambda fake: fake.hang_after(0), id="before-the-first-piece"),
        pytest.param(lambda fake: fake.hang_after(3), id="in-the-middle"),
    ],
)
async def test_cancelled_before_the_first_plan(
    upstream: FakeUpstream,
    running: RunningServer,
    call_log: CallLog,
    rpc: str,
    misbehave: Callable[[FakeUpstream], Gate],
) -> None:
    """A call cancelled while the model plans closes the upstream's connection."""
    misbehave(upstream)
    call = begun(running, rpc)
    await upstream.request()

    call.cancel()

    await upstream.disconnect()
    await check_cancelled(running, call_log, 1, "ESTIMATED")
    assert await call.code() == grpc.StatusCode.CANCELLED


@RPCS
async def test_cancelled_while_a_plan_is_mended(
    upstream: FakeUpstream, running: RunningServer, call_log: CallLog, rpc: str
) -> None:
    """So does one that is cancelled during a repair."""
    upstream.reply("no plan", usage=tokens(100, 10))
    upstream.hang()
    call = begun(running, rpc)
    await upstream.request(2)

    call.cancel()

    await upstream.disconnect()
    line = await check_cancelled(running, call_log, 2, "ESTIMATED")
    assert line["input_tokens"] > 100


@RPCS
@pytest.mark.parametrize("heartbeat", [pytest.param(False, id="plain"), pytest.param(True, id="heartbeats")])
async def test_cancelled_during_tools(
    upstream: FakeUpstream, running: RunningServer, call_log: CallLog, bench: Bench, rpc: str, heartbeat: bool
) -> None:
    """Tools that run are cancelled with the call, side by side too; no model is asked any more."""
    upstream.reply(WAITING, usage=tokens(100, 10))
    call = begun(running, rpc, heartbeat=heartbeat)
    if rpc == "StreamComplete":
        async for event in call:
            if event.WhichOneof("kind") == "tool_started" and event.tool_started.call_id == "call_1_2":
                break
    await bench.begin("one", "two")

    call.cancel()

    await bench.cancel("one", "two")
    line = await check_cancelled(running, call_log, 1, "PROVIDER")
    assert (line["input_tokens"], line["output_tokens"]) == (100, 10)
    assert bench.ended == []
    assert len(upstream.requests) == 1


async def test_cancelled_during_one_tool_of_several(
    upstream: FakeUpstream, running: RunningServer, call_log: CallLog, bench: Bench
) -> None:
    """Of tools that run one after the other the next ones are never begun."""
    upstream.reply(plan(using("wait", name="one"), using("wait", name="two")))
    call = begun(running, "Complete")
    await bench.begin("one")

    call.cancel()

    await bench.cancel("one")
    await check_cancelled(running, call_log, 1, "PROVIDER")
    assert bench.began == ["one"]


@RPCS
async def test_cancelled_during_the_answer(
    upstream: FakeUpstream, running: RunningServer, call_log: CallLog, rpc: str
) -> None:
    """A call cancelled while the answer is written closes the upstream's connection."""
    upstream.reply(plan(), usage=tokens(100, 10))
    gate = upstream.hang_after(3)
    call = begun(running, rpc)
    await gate.sent(3)

    call.cancel()

    await upstream.disconnect()
    line = await check_cancelled(running, call_log, 2, "ESTIMATED")
    assert line["input_tokens"] > 100


async def test_left_during_a_step(
    upstream: FakeUpstream, running: RunningServer, call_log: CallLog, bench: Bench
) -> None:
    """Closing the client's generator does the same; what it saw is a beginning by the grammar."""
    upstream.reply(WAITING)
    events = []

    async with aclosing(running.client().stream(reasoning_request())) as stream:
        async for event in stream:
            events.append(event)
            if event.WhichOneof("kind") == "tool_started":
                break

    check_grammar(events, ended_well=False)
    assert kinds(events)[-1] == "tool_started"
    await check_cancelled(running, call_log, 1, "PROVIDER")
    assert bench.ended == []


@RPCS
async def test_cancelled_during_a_native_step(
    upstream: FakeUpstream, call_log: CallLog, bench: Bench, rpc: str
) -> None:
    """Steps by native tool calls are let go the same way."""
    calls = [FakeToolCall(name, "wait", f'{{"name": "{name}"}}') for name in ("one", "two")]
    upstream.reply("I wait.", tool_calls=calls)

    async with serving(agent_config(upstream, entry=native_entry(upstream, "anthropic"))) as running:
        call = begun(running, rpc)
        if rpc == "StreamComplete":
            async for event in call:
                if event.WhichOneof("kind") == "tool_started" and event.tool_started.call_id == "two":
                    break
        await bench.begin("one", "two")
        call.cancel()
        await bench.cancel("one", "two")
        await check_cancelled(running, call_log, 1, "PROVIDER")


# Cancelled while it maps a request in its thread, litellm leaves a coroutine behind that nobody awaits.
@pytest.mark.filterwarnings("ignore:coroutine 'OpenAIChatCompletion.async_streaming' was never:RuntimeWarning")
async def test_many_calls_at_once_are_left(upstream: FakeUpstream, running: RunningServer, bench: Bench) -> None:
    """Calls that are left do not disturb those that go on."""
    upstream.always.reply(plan(using("wait", name="one")))
    calls = [begun(running, "Complete") for _ in range(10)]
    await upstream.request(10)
    await bench.begin("one")

    for call in calls[1:]:
        call.cancel()
    upstream.always.choose(lambda body: finishing if "response_format" in body else answering)
    finishing, answering = scripted(plan()), scripted("The answer.")
    bench.release("one")

    assert (await calls[0]).message.content[0].text == "The answer."
    ended = await asyncio.gather(*(call.code() for call in calls))
    assert ended == [grpc.StatusCode.OK] + [grpc.StatusCode.CANCELLED] * 9


def scripted(said: str) -> Standing:
    """A script that says this."""
    script = Standing()
    script.reply(said)
    return script
