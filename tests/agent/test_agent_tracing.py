"""The agent's spans as a collector receives them: one for each step and tool, without any content."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import pytest

from reasoning_grpc.config import Config
from tests.support import agent_tools
from tests.support import tools as shared_tools
from tests.support.agent import (
    agent_config,
    collect_events,
    collect_until_failure,
    plan_call,
    reasoning_request,
    write_plan,
)
from tests.support.agent_tools import ToolLog
from tests.support.deadlines import try_deadlines
from tests.support.orchestration import Team, orchestration_request, plan_task
from tests.support.otlp import OtlpReceiver, ReceivedSpan
from tests.support.serving import UPSTREAM_KEY, RunningServer
from tests.support.spans import serving_traced
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream

Tracing = Callable[[Config], AbstractAsyncContextManager[RunningServer]]

CALL: Final = "/reasoning_grpc.v1.ReasoningService/StreamComplete"
CHAT: Final = "chat fake"


@pytest.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    """Starts a collector."""
    async with OtlpReceiver() as running:
        yield running


@pytest.fixture
def tracing(monkeypatch: pytest.MonkeyPatch, receiver: OtlpReceiver) -> Tracing:
    """Returns a function that starts a server which exports its spans to the collector."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.endpoint)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    return serving_traced


async def wait_for_spans(receiver: OtlpReceiver, *names: str) -> list[ReceivedSpan]:
    """Waits for the spans of these names and of the call, and returns all spans in the order of their start."""
    for name in names:
        await receiver.expect_spans(name)
    await receiver.expect_spans(CALL)
    return receiver.spans


def list_children(spans: list[ReceivedSpan], parent: ReceivedSpan) -> list[str]:
    """Returns the names of the child spans, sorted."""
    return sorted(span.name for span in spans if span.parent_id == parent.span_id)


def find_span(spans: list[ReceivedSpan], name: str) -> ReceivedSpan:
    """Returns the one span of this name."""
    (span,) = [span for span in spans if span.name == name]
    return span


async def test_each_attempt_at_a_task_has_a_span(
    upstream: FakeUpstream, receiver: OtlpReceiver, tracing: Tracing
) -> None:
    """The span of the call has the plan, the tasks and the answer below it; an attempt has its steps and its result."""
    team = Team(upstream, plan_task("a"), plan_task("b", "a"))
    failures = [team.fail(503)]
    team.choices["step", "a"] = lambda _: failures.pop() if failures else team.step

    async with tracing(agent_config(upstream, max_retries=0)) as running:
        await collect_events(running, orchestration_request())
    received = await wait_for_spans(receiver, "task t1", "task t2")

    call = find_span(received, CALL)
    assert list_children(received, call) == [CHAT, CHAT, "task t1", "task t1", "task t2"]
    failed, again = (span for span in received if span.name == "task t1")
    assert list_children(received, failed) == ["step 1"]
    assert list_children(received, again) == [CHAT, "step 1"]
    assert dict(again.attributes) == {
        "openinference.span.kind": "AGENT",
        "reasoning_grpc.task": 2,
        "reasoning_grpc.task_id": "t1",
        "reasoning_grpc.task_attempt": 2,
        "reasoning_grpc.task_outcome": "DONE",
    }
    assert (failed.status[0], again.status[0]) == ("ERROR", "UNSET")
    assert dict(failed.attributes)["error.type"] == "UPSTREAM_OVERLOADED"


async def test_a_run_has_spans_of_steps_and_tools(
    upstream: FakeUpstream, receiver: OtlpReceiver, tracing: Tracing
) -> None:
    """The span of the call has the steps and the answer below it; a step has its model calls and tools."""
    upstream.reply("no plan")
    upstream.reply(write_plan(plan_call("weather", city="Paris"), plan_call("fail"), concurrent=True))
    upstream.reply(write_plan())
    upstream.reply("It rains.")

    async with tracing(agent_config(upstream)) as running:
        await collect_events(running, reasoning_request())
    received = await wait_for_spans(receiver, "step 1", "step 2")

    call, first, second = (find_span(received, name) for name in (CALL, "step 1", "step 2"))
    assert list_children(received, call) == [CHAT, "step 1", "step 2"]
    assert list_children(received, first) == [CHAT, CHAT, "execute_tool fail", "execute_tool weather"]
    assert list_children(received, second) == [CHAT]
    assert {span.trace_id for span in received} == {call.trace_id}
    assert (first.kind, first.status) == ("INTERNAL", ("UNSET", ""))
    assert dict(first.attributes) == {
        "openinference.span.kind": "CHAIN",
        "reasoning_grpc.step": 1,
        "reasoning_grpc.step_outcome": "DONE",
        "reasoning_grpc.tool_calls": 2,
    }
    assert dict(second.attributes) == {
        "openinference.span.kind": "CHAIN",
        "reasoning_grpc.step": 2,
        "reasoning_grpc.step_outcome": "DONE",
        "reasoning_grpc.tool_calls": 0,
    }
    good, bad = find_span(received, "execute_tool weather"), find_span(received, "execute_tool fail")
    assert dict(good.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.call.id": "call_1_1",
        "openinference.span.kind": "TOOL",
        "tool.name": "weather",
        "tool.id": "call_1_1",
        "reasoning_grpc.tool_status": "OK",
    }
    assert (good.status, bad.status[0]) == (("UNSET", ""), "ERROR")
    assert bad.attributes["reasoning_grpc.tool_status"] == bad.attributes["error.type"] == "FAILED"
    for upstream_request, chat in zip(upstream.requests, [span for span in received if span.name == CHAT], strict=True):
        assert chat.is_continued_by(upstream_request.headers)


async def test_spans_have_no_content(upstream: FakeUpstream, receiver: OtlpReceiver, tracing: Tracing) -> None:
    """No span has a prompt, a thought, an argument, a result, the text of an error, or a key."""
    secrets = [f"a-secret-{number}" for number in range(5)]
    upstream.reply(
        write_plan(plan_call("note", text=secrets[0]), plan_call("fail"), thought=secrets[1]), reasoning=(secrets[2],)
    )
    upstream.reply(write_plan())
    upstream.reply(secrets[3])

    async with tracing(agent_config(upstream)) as running:
        await collect_events(running, reasoning_request(secrets[4]))
    await wait_for_spans(receiver, "step 1", "step 2")

    for raw in receiver.raw:
        for secret in (*secrets, shared_tools.SECRET, UPSTREAM_KEY):
            assert secret.encode() not in raw


async def test_only_a_failed_upstream_marks_a_step_as_failed(
    upstream: FakeUpstream, receiver: OtlpReceiver, tracing: Tracing
) -> None:
    """The span of a step has an error if its upstream failed, and none if its plan was invalid."""
    upstream.reply("no plan")
    upstream.reply("no plan")
    upstream.reply("It rains.")
    upstream.fail(401)

    async with tracing(agent_config(upstream)) as running:
        await collect_events(running, reasoning_request())
        await collect_until_failure(running, reasoning_request())
    received = await wait_for_spans(receiver, "step 1")
    await receiver.expect_spans("step 1", 2)

    invalid, failed = [span for span in received if span.name == "step 1"]
    assert (invalid.status[0], invalid.attributes["reasoning_grpc.step_outcome"]) == ("UNSET", "INVALID_PLAN")
    assert failed.status[0] == "ERROR"
    assert failed.attributes["error.type"] == "UPSTREAM_CREDENTIALS_REJECTED"
    assert UPSTREAM_SECRET.encode() not in b"".join(receiver.raw)


async def test_cancelling_ends_all_spans(upstream: FakeUpstream, receiver: OtlpReceiver, tracing: Tracing) -> None:
    """Cancelling during a tool ends the spans of the tool, the step and the call, and marks them as cancelled."""
    agent_tools.tool_logs.append(ToolLog())
    upstream.reply(write_plan(plan_call("wait", name="one")))

    async with tracing(agent_config(upstream)) as running:
        call: Any = running.stub.Complete(reasoning_request())
        await agent_tools.tool_logs[-1].wait_for_starts("one")
        call.cancel()
        await agent_tools.tool_logs[-1].wait_for_cancellations("one")
    for name in ("execute_tool wait", "step 1", CALL.replace("StreamComplete", "Complete")):
        (span,) = await receiver.expect_spans(name)
        assert span.attributes["error.type"] == "CANCELLED"


@pytest.mark.slow
async def test_a_model_call_at_the_deadline_has_a_failed_span(
    upstream: FakeUpstream, receiver: OtlpReceiver, tracing: Tracing
) -> None:
    """A model call that was stopped at the deadline of the thinking has a failed span; the call itself succeeds."""

    async def cut(seconds: float) -> list[ReceivedSpan] | None:
        upstream.forget()
        receiver.spans.clear()
        gate = upstream.hang_after(2)
        upstream.reply("It rains.")
        async with tracing(agent_config(upstream)) as running:
            _, failure = await collect_until_failure(running, reasoning_request(), timeout_seconds=seconds)
        has_come_so_far = failure is None and len(upstream.requests) == 2 and gate.steps_sent == 2
        return await wait_for_spans(receiver, "step 1") if has_come_so_far else None

    received = await try_deadlines(cut, least_seconds=2.0)

    step = find_span(received, "step 1")
    (stopped,) = [span for span in received if span.parent_id == step.span_id]
    assert step.attributes["reasoning_grpc.step_outcome"] == "STOPPED"
    assert (stopped.name, stopped.attributes["error.type"]) == (CHAT, "DEADLINE_EXCEEDED")
    assert find_span(received, CALL).status[0] != "ERROR"
