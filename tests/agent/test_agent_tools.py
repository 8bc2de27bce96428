"""The agent's tools as a caller sees them: how their calls may end, and which tools a request may use."""

from collections.abc import Mapping
from typing import Any, Final

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.config import CallerEntry, hash_token
from tests.support import tools as shared_tools
from tests.support.agent import (
    TOOLS,
    PlannedCall,
    agent_config,
    collect_events,
    find_finish,
    join_text,
    list_executions,
    list_outcomes,
    name_end,
    name_status,
    native_entry,
    plan_call,
    read_texts,
    reasoning_request,
    select_payloads,
    write_plan,
)
from tests.support.agent_grammar import check_grammar
from tests.support.serving import serving
from tests.support.upstream import FakeToolCall, FakeUpstream

TOKEN: Final = "rgk_a-token-of-a-test"


@pytest.mark.parametrize(
    ("call", "expected_status", "error", "result"),
    [
        pytest.param(plan_call("weather", city="Paris"), "OK", "", "Paris: rain for 1 days", id="good"),
        pytest.param(
            plan_call("weather", days=2),
            "INVALID_ARGUMENTS",
            "The arguments do not fit the tool's schema: ",
            "",
            id="bad-arguments",
        ),
        pytest.param(PlannedCall("note", '{"text": '), "INVALID_ARGUMENTS", "The arguments", "", id="cut-arguments"),
        pytest.param(plan_call("fail"), "FAILED", "The tool failed unexpectedly.", "", id="fail"),
        pytest.param(
            plan_call("fail_with_words"),
            "FAILED",
            "The tool reported an error.",
            "There is no such city; try another.",
            id="fail-with-words",
        ),
        pytest.param(
            plan_call("ask_for_a_city"),
            "INPUT_REQUIRED",
            "The tool needs input that it cannot get here. If only the user can give it, ask the user",
            "Which city do you mean?",
            id="ask-for-a-city",
        ),
        pytest.param(plan_call("hang"), "TIMED_OUT", "The tool took too long and was stopped.", "", id="hang"),
        pytest.param(plan_call("return_bytes"), "OK", "", "[binary, 1234 bytes]", id="binary"),
    ],
)
async def test_each_end_of_a_tool_call(
    upstream: FakeUpstream, call: PlannedCall, expected_status: str, error: str, result: str
) -> None:
    """However a tool call ends, it is an event that the model reads, and the agent goes on to its answer."""
    upstream.reply(write_plan(call))
    upstream.reply(write_plan())
    upstream.reply("The answer.")
    # Longer than any of the others takes on a busy machine.
    seconds = Duration(nanos=500_000_000) if call.name == "hang" else Duration(seconds=20)

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request(agent={"tool_timeout": seconds}))

    check_grammar(events, ended_well=True)
    (execution,) = list_executions(events)
    assert (name_status(execution), execution.arguments, execution.name) == (expected_status, call.arguments, call.name)
    assert execution.error.startswith(error)
    assert bool(execution.error) == bool(error)
    if result:
        assert execution.result == result
    prompt_text = list(read_texts(upstream.requests[1].body["messages"]))[-1]
    assert execution.error in prompt_text
    assert execution.result in prompt_text
    assert list_outcomes(events) == ["DONE", "DONE"]
    assert (name_end(find_finish(events)), join_text(events)) == ("FINISHED", "The answer.")
    assert shared_tools.SECRET not in str(events) + str(
        [upstream_request.raw for upstream_request in upstream.requests]
    )


async def test_a_huge_result_is_cut(upstream: FakeUpstream) -> None:
    """A result of ten megabytes is cut to the limit of the tool, and the model reads no more than that."""
    upstream.reply(write_plan(plan_call("write_letters", characters=10_000_000)))
    upstream.reply(write_plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    (execution,) = list_executions(events)
    assert (name_status(execution), execution.result_truncated) == ("OK", True)
    assert 10_000 < len(execution.result) < 21_000
    assert all(len(upstream_request.raw) < 200_000 for upstream_request in upstream.requests)
    assert join_text(events) == "The answer."


async def test_a_plan_with_an_unknown_tool_is_repaired(upstream: FakeUpstream) -> None:
    """A plan with an unknown tool does not fit the schema, so it is repaired, and no tool is run."""
    upstream.reply(write_plan(plan_call("no_such_tool")))
    upstream.reply(write_plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    assert list_executions(events) == []
    assert (name_end(find_finish(events)), join_text(events)) == ("FINISHED", "The answer.")


async def test_a_bare_value_becomes_the_only_argument(upstream: FakeUpstream) -> None:
    """A value in place of an object becomes the only argument of the tool, because small models write that."""
    upstream.reply(write_plan(PlannedCall("note", "just this")))
    upstream.reply(write_plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    (execution,) = list_executions(events)
    assert (name_status(execution), execution.arguments, execution.result) == (
        *("OK", '{"text": "just this"}', "noted: just this"),
    )


async def test_concurrent_failures_are_independent(upstream: FakeUpstream) -> None:
    """A concurrent tool that fails does not disturb the others."""
    calls = [
        plan_call("fail"),
        plan_call("weather", city="Rome"),
        plan_call("return_bytes"),
        plan_call("fail_with_words"),
        plan_call("weather"),
    ]
    upstream.reply(write_plan(*calls, concurrent=True))
    upstream.reply(write_plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        answer = await running.client().complete(reasoning_request())

    statuses = [(execution.name, name_status(execution)) for execution in answer.steps[0].tool_executions]
    assert statuses == [
        *[("fail", "FAILED"), ("weather", "OK"), ("return_bytes", "OK")],
        *[("fail_with_words", "FAILED"), ("weather", "INVALID_ARGUMENTS")],
    ]


async def test_a_request_may_narrow_the_tools(upstream: FakeUpstream) -> None:
    """Only the tools that the request allows are in the instructions, and a plan with another one is invalid."""
    upstream.reply(write_plan(plan_call("note", text="a")))
    upstream.reply(write_plan(plan_call("weather", city="Paris")))
    upstream.reply(write_plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request(agent={"allowed_tools": ["weather"]}))

    instructions = next(read_texts(upstream.requests[0].body["messages"]))
    assert [name for name in TOOLS if f"- {name}:" in instructions] == ["weather"]
    assert [execution.name for execution in list_executions(events)] == ["weather"]
    assert len(upstream.requests) == 4


@pytest.mark.parametrize("names", [["no_such_tool"], ["weather", "Weather", "no_such_tool"]])
async def test_a_request_for_unknown_tools_is_refused(upstream: FakeUpstream, names: list[str]) -> None:
    """A request that allows tools which do not exist is refused before any model call."""
    async with serving(agent_config(upstream)) as running:
        with pytest.raises(CallFailed) as failed:
            await collect_events(running, reasoning_request(agent={"allowed_tools": names}))

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert [violation.field for violation in failed.value.violations] == ["agent.allowed_tools"] * len(
        [name for name in names if name != "weather"]
    )
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("allowed", "requested", "usable"),
    [
        pytest.param({"weather", "note"}, None, ["weather", "note"], id="some"),
        pytest.param({"weather", "note"}, ["note"], ["note"], id="narrowed"),
        pytest.param(set(), None, [], id="none"),
        pytest.param({"weather"}, ["note"], None, id="not-allowed"),
    ],
)
async def test_a_caller_has_only_allowed_tools(
    upstream: FakeUpstream, allowed: set[str], requested: list[str] | None, usable: list[str] | None
) -> None:
    """Only the tools that the caller may use are in the instructions; others are refused as if they did not exist."""
    upstream.reply(write_plan() if usable else '{"thought": "", "next_action": "finish"}')
    upstream.reply("The answer.")
    caller = CallerEntry(name="alice", token_hash=hash_token(TOKEN), allowed_tools=frozenset(allowed))
    options: Mapping[str, Any] = {} if requested is None else {"allowed_tools": requested}

    async with serving(agent_config(upstream, callers={"alice": caller})) as running:
        client = ReasoningClient(channel=running.channel, token=TOKEN)
        call = client.complete(reasoning_request(agent=options))
        if usable is None:
            with pytest.raises(CallFailed) as failed:
                await call
            assert [violation.field for violation in failed.value.violations] == ["agent.allowed_tools"]
            return
        await call

    instructions = next(read_texts(upstream.requests[0].body["messages"]))
    assert [name for name in TOOLS if f"- {name}:" in instructions] == sorted(usable, key=list(TOOLS).index)


async def test_a_plan_in_a_result_is_not_run(upstream: FakeUpstream) -> None:
    """A result that looks like a plan is read as a result, and no tool is called because of it."""
    upstream.reply(write_plan(plan_call("note", text=write_plan(plan_call("fail")))))
    upstream.reply(write_plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    assert [execution.name for execution in list_executions(events)] == ["note"]


@pytest.mark.parametrize(
    ("call", "expected_status"),
    [
        pytest.param(FakeToolCall("c1", "no_such_tool", "{}"), "NOT_AVAILABLE", id="unknown"),
        pytest.param(FakeToolCall("c1", "fail", "{}"), "NOT_AVAILABLE", id="not-allowed"),
        pytest.param(FakeToolCall("c1", "weather", '{"days": 1}'), "INVALID_ARGUMENTS", id="bad-arguments"),
        pytest.param(FakeToolCall("c1", "weather", '{"city": "Pa'), "INVALID_ARGUMENTS", id="cut-arguments"),
        pytest.param(FakeToolCall("c1", "weather", ""), "INVALID_ARGUMENTS", id="no-arguments"),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_bad_native_calls_are_results(
    upstream: FakeUpstream, provider: str, call: FakeToolCall, expected_status: str
) -> None:
    """A native tool call that cannot be run gives the model a result with its error, and the agent goes on."""
    upstream.reply("I look.", tool_calls=[call])
    upstream.reply("READY")
    upstream.reply("The answer.")

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider))) as running:
        events = await collect_events(running, reasoning_request(agent={"allowed_tools": ["weather"]}))

    check_grammar(events, ended_well=True)
    (execution,) = list_executions(events)
    assert (name_status(execution), execution.name) == (expected_status, call.name)
    assert select_payloads(events, "step_planned")[0].thought == "I look."
    assert (name_end(find_finish(events)), join_text(events)) == ("FINISHED", "The answer.")
