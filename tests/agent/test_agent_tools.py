"""The agent's tools, as a caller sees them: what they may do to it, and who may use which."""

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
    Call,
    agent_config,
    end,
    executions,
    finished,
    native_entry,
    of_kind,
    outcomes,
    plan,
    reasoning_request,
    shown,
    status,
    stream,
    text,
    using,
)
from tests.support.agent_grammar import check_grammar
from tests.support.serving import serving
from tests.support.upstream import FakeToolCall, FakeUpstream

TOKEN: Final = "rgk_a-token-of-a-test"


@pytest.mark.parametrize(
    ("call", "expected", "error", "result"),
    [
        pytest.param(using("weather", city="Paris"), "OK", "", "Paris: rain for 1 days", id="good"),
        pytest.param(
            using("weather", days=2),
            "INVALID_ARGUMENTS",
            "The arguments do not fit the tool's schema: ",
            "",
            id="bad-arguments",
        ),
        pytest.param(Call("note", '{"text": '), "INVALID_ARGUMENTS", "The arguments", "", id="cut-arguments"),
        pytest.param(using("fail"), "FAILED", "The tool failed unexpectedly.", "", id="fail"),
        pytest.param(
            using("fail_with_words"),
            "FAILED",
            "The tool reported an error.",
            "There is no such city; try another.",
            id="says-that-it-failed",
        ),
        pytest.param(using("hang"), "TIMED_OUT", "The tool took too long and was stopped.", "", id="hang"),
        pytest.param(using("return_bytes"), "OK", "", "[binary, 1234 bytes]", id="return_bytes"),
    ],
)
async def test_what_a_tool_may_do(upstream: FakeUpstream, call: Call, expected: str, error: str, result: str) -> None:
    """However a tool ends, it is an event; the model reads it, the agent goes on, and the answer comes."""
    upstream.reply(plan(call))
    upstream.reply(plan())
    upstream.reply("The answer.")
    # Longer than any of the others takes on a busy machine.
    seconds = Duration(nanos=500_000_000) if call.name == "hang" else Duration(seconds=20)

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request(agent={"tool_timeout": seconds}))

    check_grammar(events, ended_well=True)
    (execution,) = executions(events)
    assert (status(execution), execution.arguments, execution.name) == (expected, call.arguments, call.name)
    assert execution.error.startswith(error)
    assert bool(execution.error) == bool(error)
    if result:
        assert execution.result == result
    told = list(shown(upstream.requests[1].body["messages"]))[-1]
    assert execution.error in told
    assert execution.result in told
    assert outcomes(events) == ["DONE", "DONE"]
    assert (end(finished(events)), text(events)) == ("FINISHED", "The answer.")
    assert shared_tools.SECRET not in str(events) + str([asked.raw for asked in upstream.requests])


async def test_a_huge_result(upstream: FakeUpstream) -> None:
    """Ten megabytes are cut to the tool's limit, say so, and no more than that goes to the model."""
    upstream.reply(plan(using("write_letters", characters=10_000_000)))
    upstream.reply(plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    (execution,) = executions(events)
    assert (status(execution), execution.result_truncated) == ("OK", True)
    assert 10_000 < len(execution.result) < 21_000
    assert all(len(asked.raw) < 200_000 for asked in upstream.requests)
    assert text(events) == "The answer."


async def test_an_unknown_tool_is_mended(upstream: FakeUpstream) -> None:
    """A plan with a tool that was not offered does not fit the schema: it is asked for again, and nothing is run."""
    upstream.reply(plan(using("no_such_tool")))
    upstream.reply(plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    assert executions(events) == []
    assert (end(finished(events)), text(events)) == ("FINISHED", "The answer.")


async def test_a_value_where_an_object_was_asked_for(upstream: FakeUpstream) -> None:
    """Small models write the value of the only argument itself: it is taken as that."""
    upstream.reply(plan(Call("note", "just this")))
    upstream.reply(plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    (execution,) = executions(events)
    assert (status(execution), execution.arguments, execution.result) == (
        *("OK", '{"text": "just this"}', "noted: just this"),
    )


async def test_failures_side_by_side(upstream: FakeUpstream) -> None:
    """Tools that fail side by side do not disturb each other."""
    calls = [
        using("fail"),
        using("weather", city="Rome"),
        using("return_bytes"),
        using("fail_with_words"),
        using("weather"),
    ]
    upstream.reply(plan(*calls, concurrent=True))
    upstream.reply(plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        answer = await running.client().complete(reasoning_request())

    ended = [(execution.name, status(execution)) for execution in answer.steps[0].tool_executions]
    assert ended == [
        *[("fail", "FAILED"), ("weather", "OK"), ("return_bytes", "OK")],
        *[("fail_with_words", "FAILED"), ("weather", "INVALID_ARGUMENTS")],
    ]


async def test_a_request_may_narrow_the_tools(upstream: FakeUpstream) -> None:
    """Only the tools that the request allows are offered, and another is not a possible plan."""
    upstream.reply(plan(using("note", text="a")))
    upstream.reply(plan(using("weather", city="Paris")))
    upstream.reply(plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request(agent={"allowed_tools": ["weather"]}))

    instructions = next(shown(upstream.requests[0].body["messages"]))
    assert [name for name in TOOLS if f"- {name}:" in instructions] == ["weather"]
    assert [execution.name for execution in executions(events)] == ["weather"]
    assert len(upstream.requests) == 4


@pytest.mark.parametrize("names", [["no_such_tool"], ["weather", "Weather", "no_such_tool"]])
async def test_tools_that_are_not_there(upstream: FakeUpstream, names: list[str]) -> None:
    """A request that allows tools which do not exist names them wrongly: it is refused, and nothing is asked."""
    async with serving(agent_config(upstream)) as running:
        with pytest.raises(CallFailed) as failed:
            await stream(running, reasoning_request(agent={"allowed_tools": names}))

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert [violation.field for violation in failed.value.violations] == ["agent.allowed_tools"] * len(
        [name for name in names if name != "weather"]
    )
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("allowed", "asked", "offered"),
    [
        pytest.param({"weather", "note"}, None, ["weather", "note"], id="some"),
        pytest.param({"weather", "note"}, ["note"], ["note"], id="narrowed"),
        pytest.param(set(), None, [], id="none"),
        pytest.param({"weather"}, ["note"], None, id="not-allowed"),
    ],
)
async def test_a_caller_may_be_forbidden_tools(
    upstream: FakeUpstream, allowed: set[str], asked: list[str] | None, offered: list[str] | None
) -> None:
    """A caller's tools are all that is offered; to ask for others is as if they did not exist."""
    upstream.reply(plan() if offered else '{"thought": "", "next_action": "finish"}')
    upstream.reply("The answer.")
    caller = CallerEntry(name="alice", token_hash=hash_token(TOKEN), allowed_tools=frozenset(allowed))
    options: Mapping[str, Any] = {} if asked is None else {"allowed_tools": asked}

    async with serving(agent_config(upstream, callers={"alice": caller})) as running:
        client = ReasoningClient(channel=running.channel, token=TOKEN)
        call = client.complete(reasoning_request(agent=options))
        if offered is None:
            with pytest.raises(CallFailed) as failed:
                await call
            assert [violation.field for violation in failed.value.violations] == ["agent.allowed_tools"]
            return
        await call

    instructions = next(shown(upstream.requests[0].body["messages"]))
    assert [name for name in TOOLS if f"- {name}:" in instructions] == sorted(offered, key=list(TOOLS).index)


async def test_a_tool_in_a_result_is_not_called(upstream: FakeUpstream) -> None:
    """What a tool gives is told as a result, whatever it looks like: only plans call tools."""
    upstream.reply(plan(using("note", text=plan(using("fail")))))
    upstream.reply(plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    assert [execution.name for execution in executions(events)] == ["note"]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        pytest.param(FakeToolCall("c1", "no_such_tool", "{}"), "NOT_AVAILABLE", id="unknown"),
        pytest.param(FakeToolCall("c1", "fail", "{}"), "NOT_AVAILABLE", id="not-allowed"),
        pytest.param(FakeToolCall("c1", "weather", '{"days": 1}'), "INVALID_ARGUMENTS", id="bad-arguments"),
        pytest.param(FakeToolCall("c1", "weather", '{"city": "Pa'), "INVALID_ARGUMENTS", id="cut-arguments"),
        pytest.param(FakeToolCall("c1", "weather", ""), "INVALID_ARGUMENTS", id="no-arguments"),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_bad_native_calls(upstream: FakeUpstream, provider: str, call: FakeToolCall, expected: str) -> None:
    """A tool call by the provider's own parts that cannot be run is a result like any other; the agent goes on."""
    upstream.reply("I look.", tool_calls=[call])
    upstream.reply("READY")
    upstream.reply("The answer.")

    async with serving(agent_config(upstream, entry=native_entry(upstream, provider))) as running:
        events = await stream(running, reasoning_request(agent={"allowed_tools": ["weather"]}))

    check_grammar(events, ended_well=True)
    (execution,) = executions(events)
    assert (status(execution), execution.name) == (expected, call.name)
    assert of_kind(events, "step_planned")[0].thought == "I look."
    assert (end(finished(events)), text(events)) == ("FINISHED", "The answer.")
