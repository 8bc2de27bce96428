"""Callers who cancel the agent: the upstream and the tools stop in every phase, and the log has the usage."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.v1 import events_pb2
from tests.support.agent import (
    agent_config,
    build_usage,
    list_kinds,
    native_entry,
    plan_call,
    reasoning_request,
    write_plan,
)
from tests.support.agent_grammar import check_grammar
from tests.support.agent_tools import ToolLog
from tests.support.call_log import CallLog, recording_calls
from tests.support.serving import RunningServer, serving
from tests.support.upstream import FakeToolCall, FakeUpstream, Gate, Standing

WAIT_FOR_TWO: Final = write_plan(plan_call("wait", name="one"), plan_call("wait", name="two"), concurrent=True)
RPCS: Final = pytest.mark.parametrize("rpc", ["StreamComplete", "Complete"])


@pytest.fixture
def call_log(caplog: pytest.LogCaptureFixture) -> Iterator[CallLog]:
    """Returns the log of calls, from now on."""
    with recording_calls(caplog) as log:
        yield log


@pytest.fixture
async def running(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """Starts a server with tools."""
    async with serving(agent_config(upstream)) as server:
        yield server


def start_call(running: RunningServer, rpc: str, *, heartbeat: bool = False) -> Any:
    """Starts a call for the agent."""
    request = reasoning_request()
    if rpc == "Complete":
        return running.stub.Complete(request)
    stream_request = events_pb2.StreamCompleteRequest(request=request)
    if heartbeat:
        stream_request.stream_options.heartbeat_interval.FromSeconds(60)
    return running.stub.StreamComplete(stream_request)


async def check_cancelled(running: RunningServer, call_log: CallLog, calls: int, source: str) -> dict[str, Any]:
    """Checks that no call is in flight, and that the log has the usage of this number of model calls."""
    line = await call_log.wait_for_line()
    assert (line["code"], line["levelname"], line["attempts"]) == ("CANCELLED", "INFO", calls)
    assert line["usage_source"] == source
    assert running.server.calls_in_flight == 0
    return line


@RPCS
@pytest.mark.parametrize(
    "misbehave",
    [
        pytest.param(lambda fake: fake.hang(), id="before-headers"),
        pytest.param(lambda fake: fake.hang_after(0), id="before-the-first-delta"),
        pytest.param(lambda fake: fake.hang_after(3), id="in-the-middle"),
    ],
)
async def test_cancelling_during_the_first_plan(
    upstream: FakeUpstream,
    running: RunningServer,
    call_log: CallLog,
    rpc: str,
    misbehave: Callable[[FakeUpstream], Gate],
) -> None:
    """Cancelling while the model writes its first plan closes the connection to the upstream."""
    misbehave(upstream)
    call = start_call(running, rpc)
    await upstream.request()

    call.cancel()

    await upstream.disconnect()
    await check_cancelled(running, call_log, 1, "ESTIMATED")
    assert await call.code() == grpc.StatusCode.CANCELLED


@RPCS
async def test_cancelling_during_a_repair(
    upstream: FakeUpstream, running: RunningServer, call_log: CallLog, rpc: str
) -> None:
    """Cancelling while the model repairs its plan closes the connection to the upstream."""
    upstream.reply("no plan", usage=build_usage(100, 10))
    upstream.hang()
    call = start_call(running, rpc)
    await upstream.request(2)

    call.cancel()

    await upstream.disconnect()
    line = await check_cancelled(running, call_log, 2, "ESTIMATED")
    assert line["input_tokens"] > 100


@RPCS
@pytest.mark.parametrize("heartbeat", [pytest.param(False, id="plain"), pytest.param(True, id="heartbeats")])
async def test_cancelling_during_concurrent_tools(
    upstream: FakeUpstream, running: RunningServer, call_log: CallLog, tool_log: ToolLog, rpc: str, heartbeat: bool
) -> None:
    """Cancelling stops the tools that run concurrently, and no further model call is made."""
    upstream.reply(WAIT_FOR_TWO, usage=build_usage(100, 10))
    call = start_call(running, rpc, heartbeat=heartbeat)
    if rpc == "StreamComplete":
        async for event in call:
            if event.WhichOneof("kind") == "tool_started" and event.tool_started.call_id == "call_1_2":
                break
    await tool_log.wait_for_starts("one", "two")

    call.cancel()

    await tool_log.wait_for_cancellations("one", "two")
    line = await check_cancelled(running, call_log, 1, "PROVIDER")
    assert (line["input_tokens"], line["output_tokens"]) == (100, 10)
    assert tool_log.ends == []
    assert len(upstream.requests) == 1


async def test_cancelling_during_one_tool_of_several(
    upstream: FakeUpstream, running: RunningServer, call_log: CallLog, tool_log: ToolLog
) -> None:
    """Cancelling during one of several consecutive tools stops it, and the others are not started."""
    upstream.reply(write_plan(plan_call("wait", name="one"), plan_call("wait", name="two")))
    call = start_call(running, "Complete")
    await tool_log.wait_for_starts("one")

    call.cancel()

    await tool_log.wait_for_cancellations("one")
    await check_cancelled(running, call_log, 1, "PROVIDER")
    assert tool_log.starts == ["one"]


@RPCS
async def test_cancelling_during_the_answer(
    upstream: FakeUpstream, running: RunningServer, call_log: CallLog, rpc: str
) -> None:
    """Cancelling while the answer is written closes the connection to the upstream."""
    upstream.reply(write_plan(), usage=build_usage(100, 10))
    gate = upstream.hang_after(3)
    call = start_call(running, rpc)
    await gate.sent(3)

    call.cancel()

    await upstream.disconnect()
    line = await check_cancelled(running, call_log, 2, "ESTIMATED")
    assert line["input_tokens"] > 100


async def test_closing_the_stream_during_a_step(
    upstream: FakeUpstream, running: RunningServer, call_log: CallLog, tool_log: ToolLog
) -> None:
    """Closing the client's generator cancels the call; the events before that follow the grammar."""
    upstream.reply(WAIT_FOR_TWO)
    events = []

    async with aclosing(running.client().stream(reasoning_request())) as stream:
        async for event in stream:
            events.append(event)
            if event.WhichOneof("kind") == "tool_started":
                break

    check_grammar(events, ended_well=False)
    assert list_kinds(events)[-1] == "tool_started"
    await check_cancelled(running, call_log, 1, "PROVIDER")
    assert tool_log.ends == []


@RPCS
async def test_cancelling_during_a_native_step(
    upstream: FakeUpstream, call_log: CallLog, tool_log: ToolLog, rpc: str
) -> None:
    """Cancelling stops the tools of a step that was planned by native tool calls."""
    calls = [FakeToolCall(name, "wait", f'{{"name": "{name}"}}') for name in ("one", "two")]
    upstream.reply("I wait.", tool_calls=calls)

    async with serving(agent_config(upstream, entry=native_entry(upstream, "anthropic"))) as running:
        call = start_call(running, rpc)
        if rpc == "StreamComplete":
            async for event in call:
                if event.WhichOneof("kind") == "tool_started" and event.tool_started.call_id == "two":
                    break
        await tool_log.wait_for_starts("one", "two")
        call.cancel()
        await tool_log.wait_for_cancellations("one", "two")
        await check_cancelled(running, call_log, 1, "PROVIDER")


async def test_cancelling_many_calls_disturbs_no_other(
    upstream: FakeUpstream, running: RunningServer, tool_log: ToolLog
) -> None:
    """Cancelled calls do not disturb a call that runs at the same time."""
    upstream.always.reply(write_plan(plan_call("wait", name="one")))
    calls = [start_call(running, "Complete") for _ in range(10)]
    await upstream.request(10)
    await tool_log.wait_for_starts("one")

    for call in calls[1:]:
        call.cancel()
    upstream.always.choose(lambda body: finish_script if "response_format" in body else answer_script)
    finish_script, answer_script = script_reply(write_plan()), script_reply("The answer.")
    tool_log.release("one")

    assert (await calls[0]).message.content[0].text == "The answer."
    ended = await asyncio.gather(*(call.code() for call in calls))
    assert ended == [grpc.StatusCode.OK] + [grpc.StatusCode.CANCELLED] * 9


def script_reply(reply: str) -> Standing:
    """Builds a script that gives this reply."""
    script = Standing()
    script.reply(reply)
    return script
