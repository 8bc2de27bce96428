"""Pauses and continuations in spans and in the log: the ids of states say which calls belong together."""

import base64
import logging
from typing import Final

import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.telemetry import FactsRecord
from tests.support.agent import agent_config, plan_call, write_plan
from tests.support.otlp import OtlpReceiver, ReceivedSpan
from tests.support.pausing import continue_request, find_pause, request_with_own_tools, with_approval
from tests.support.spans import COMPLETE, Tracing
from tests.support.upstream import FakeUpstream

SECRET: Final = "a secret of the caller"
DENIED: Final = f'{{"approved": false, "reason": "{SECRET}"}}'


def read_ids(call: ReceivedSpan) -> tuple[str, str]:
    """Returns the ids of the states that a call brought and got; each is empty where there is none."""
    names = ("reasoning_grpc.continued_state", "reasoning_grpc.paused_state")
    return str(call.attributes.get(names[0], "")), str(call.attributes.get(names[1], ""))


async def test_the_calls_of_a_run_are_linked_by_the_ids_of_its_states(
    upstream: FakeUpstream, receiver: OtlpReceiver, tracing: Tracing, caplog: pytest.LogCaptureFixture
) -> None:
    """A call has the id of the state that it brought, refused or not, and of the one that it got, and no content."""
    caplog.set_level(logging.DEBUG, "reasoning_grpc")
    upstream.reply(write_plan(plan_call("lookup", id=SECRET), plan_call("weather", city=SECRET), thought=SECRET))
    upstream.reply(write_plan())
    upstream.reply(SECRET)
    request = request_with_own_tools(SECRET)

    async with tracing(with_approval(agent_config(upstream), "weather")) as running:
        client = running.client()
        first = await client.complete(request)
        with_result = continue_request(request, first.message, SECRET)
        second = await client.complete(with_result)
        with_decision = continue_request(with_result, second.message, DENIED)
        last = await client.complete(with_decision)
        with pytest.raises(CallFailed):
            await client.complete(with_decision)
        calls = await receiver.expect_spans(COMPLETE, 4)
        steps = await receiver.expect_spans("step 1", 3)

    (_, to_second), (from_first, to_last), (from_second, _), (from_used, _) = ids = [read_ids(call) for call in calls]
    assert (to_second, to_last) == (from_first, from_second)
    assert from_used == from_second
    assert [[bool(each) for each in pair] for pair in ids] == [
        [False, True],
        [True, True],
        [True, False],
        [True, False],
    ]
    assert to_second != to_last
    assert [call.attributes.get("reasoning_grpc.finish_reason") for call in calls] == [
        *("TOOL_CALLS", "TOOL_CALLS", "STOP"),
        None,
    ]
    assert [call.status for call in calls] == [("UNSET", "")] * 4
    assert [step.attributes["reasoning_grpc.step_outcome"] for step in steps] == ["PAUSED", "PAUSED", "DONE"]
    lines = [record.facts for record in caplog.records if isinstance(record, FactsRecord)]
    assert [(line.get("continued_state", ""), line.get("paused_state", "")) for line in lines] == ids
    assert last.message.content[0].text == SECRET
    shown = f"{receiver.spans}{caplog.text}{lines}"
    assert SECRET not in shown
    for answer in (first, second):
        state = find_pause(answer.message).state
        assert not any(text in shown for text in (str(state), state.hex(), base64.b64encode(state).decode()))
