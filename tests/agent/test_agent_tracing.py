"""The agent's spans, as a collector gets them: one a step and a tool under the call's, with nobody's words on them."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import pytest

from reasoning_grpc.config import Config
from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.telemetry.plan import read_telemetry_plan
from tests.support import agent_tools
from tests.support import tools as shared_tools
from tests.support.agent import agent_config, outcome, plan, reasoning_request, stream, using
from tests.support.agent_tools import Bench
from tests.support.otlp import OtlpReceiver, ReceivedSpan
from tests.support.serving import UPSTREAM_KEY, RunningServer, serving
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream

Tracing = Callable[[Config], AbstractAsyncContextManager[RunningServer]]

CALL: Final = "/reasoning_grpc.v1.ReasoningService/StreamComplete"
CHAT: Final = "chat fake"


@pytest.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    """A collector."""
    async with OtlpReceiver() as running:
        yield running


@pytest.fixture
def tracing(monkeypatch: pytest.MonkeyPatch, receiver: OtlpReceiver) -> Tracing:
    """Runs a server of a configuration that exports its spans to the collector."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.endpoint)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")

    @asynccontextmanager
    async def run(config: Config) -> AsyncIterator[RunningServer]:
        telemetry = Telemetry(read_telemetry_plan(os.environ))
        try:
            async with serving(config, telemetry) as running:
                yield running
        finally:
            await telemetry.aclose()

    return run


async def spans(receiver: OtlpReceiver, *names: str) -> list[ReceivedSpan]:
    """All spans of a call in the order in which they began, once those of these names are there."""
    for name in names:
        await receiver.expect_spans(name)
    await receiver.expect_spans(CALL)
    return receiver.spans


def under(all_spans: list[ReceivedSpan], parent: ReceivedSpan) -> list[str]:
    """The names of a span's children, by name."""
    return sorted(span.name for span in all_spans if span.parent_id == parent.span_id)


def the(all_spans: list[ReceivedSpan], name: str) -> ReceivedSpan:
    """The one span of this name."""
    (span,) = [span for span in all_spans if span.name == name]
    return span


async def test_spans_of_a_run(upstream: FakeUpstream, receiver: OtlpReceiver, tracing: Tracing) -> None:
    """Under the call's span one a step, under a step its model calls and tools, and beside the steps the answer's."""
    upstream.reply("no plan")
    upstream.reply(plan(using("weather", city="Paris"), using("fail"), concurrent=True))
    upstream.reply(plan())
    upstream.reply("It rains.")

    async with tracing(agent_config(upstream)) as running:
        await stream(running, reasoning_request())
    seen = await spans(receiver, "step 1", "step 2")

    call, first, second = (the(seen, name) for name in (CALL, "step 1", "step 2"))
    assert under(seen, call) == [CHAT, "step 1", "step 2"]
    assert under(seen, first) == [CHAT, CHAT, "execute_tool fail", "execute_tool weather"]
    assert under(seen, second) == [CHAT]
    assert {span.trace_id for span in seen} == {call.trace_id}
    assert (first.kind, first.status) == ("INTERNAL", ("UNSET", ""))
    assert dict(first.attributes) == {
        "reasoning_grpc.step": 1,
        "reasoning_grpc.step_outcome": "DONE",
        "reasoning_grpc.tool_calls": 2,
    }
    assert dict(second.attributes) == {
        "reasoning_grpc.step": 2,
        "reasoning_grpc.step_outcome": "DONE",
        "reasoning_grpc.tool_calls": 0,
    }
    good, bad = the(seen, "execute_tool weather"), the(seen, "execute_tool fail")
    assert dict(good.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.call.id": "call_1_1",
        "reasoning_grpc.tool_status": "OK",
    }
    assert (good.status, bad.status[0]) == (("UNSET", ""), "ERROR")
    assert bad.attributes["reasoning_grpc.tool_status"] == bad.attributes["error.type"] == "FAILED"
    for asked, chat in zip(upstream.requests, [span for span in seen if span.name == CHAT], strict=True):
        assert chat.is_continued_by(asked.headers)


async def test_no_words_are_on_them(upstream: FakeUpstream, receiver: OtlpReceiver, tracing: Tracing) -> None:
    """Neither a prompt nor a thought, an argument, a result, an error's text or a key is exported."""
    secrets = [f"a-secret-{number}" for number in range(5)]
    upstream.reply(plan(using("note", text=secrets[0]), using("fail"), thought=secrets[1]), reasoning=(secrets[2],))
    upstream.reply(plan())
    upstream.reply(secrets[3])

    async with tracing(agent_config(upstream)) as running:
        await stream(running, reasoning_request(secrets[4]))
    await spans(receiver, "step 1", "step 2")

    for raw in receiver.raw:
        for secret in (*secrets, shared_tools.SECRET, UPSTREAM_KEY):
            assert secret.encode() not in raw


async def test_spans_of_a_failed_step(upstream: FakeUpstream, receiver: OtlpReceiver, tracing: Tracing) -> None:
    """A step that was no use is no error; one whose upstream failed is, in our words."""
    upstream.reply("no plan")
    upstream.reply("no plan")
    upstream.reply("It rains.")
    upstream.fail(401)

    async with tracing(agent_config(upstream)) as running:
        await stream(running, reasoning_request())
        await outcome(running, reasoning_request())
    seen = await spans(receiver, "step 1")
    await receiver.expect_spans("step 1", 2)

    useless, failed = [span for span in seen if span.name == "step 1"]
    assert (useless.status[0], useless.attributes["reasoning_grpc.step_outcome"]) == ("UNSET", "INVALID_PLAN")
    assert failed.status[0] == "ERROR"
    assert failed.attributes["error.type"] == "UPSTREAM_CREDENTIALS_REJECTED"
    assert UPSTREAM_SECRET.encode() not in b"".join(receiver.raw)


async def test_spans_of_a_cancelled_tool(upstream: FakeUpstream, receiver: OtlpReceiver, tracing: Tracing) -> None:
    """A caller who leaves during a tool ends the spans of the tool, of its step and of the call, which say so."""
    agent_tools.benches.append(Bench())
    upstream.reply(plan(using("wait", name="one")))

    async with tracing(agent_config(upstream)) as running:
        call: Any = running.stub.Complete(reasoning_request())
        await agent_tools.benches[-1].begin("one")
        call.cancel()
        await agent_tools.benches[-1].cancel("one")
    for name in ("execute_tool wait", "step 1", CALL.replace("StreamComplete", "Complete")):
        (span,) = await receiver.expect_spans(name)
        assert span.attributes["error.type"] == "CANCELLED"


async def test_spans_of_a_deadline(upstream: FakeUpstream, receiver: OtlpReceiver, tracing: Tracing) -> None:
    """A model call that was given up for the deadline of the thinking says so; its call went well."""
    upstream.hang_after(2)
    upstream.reply("It rains.")

    async with tracing(agent_config(upstream)) as running:
        await stream(running, reasoning_request(), timeout_seconds=2)
    seen = await spans(receiver, "step 1")

    step = the(seen, "step 1")
    (given_up,) = [span for span in seen if span.parent_id == step.span_id]
    assert step.attributes["reasoning_grpc.step_outcome"] == "STOPPED"
    assert (given_up.name, given_up.attributes["error.type"]) == (CHAT, "DEADLINE_EXCEEDED")
    assert the(seen, CALL).status[0] != "ERROR"
