"""States that are wrong, old, foreign, altered, repeated or too large: each is a typed error, and none goes on.

That holds for runs of the agent and for runs whose tasks wait.
"""

import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import grpc
import msgspec
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, Config, hash_token
from reasoning_grpc.pauses import SealingKeys
from reasoning_grpc.v1 import agent_pb2, completion_pb2, messages_pb2, routing_pb2
from tests.support.agent import PRICES, agent_config, plan_call, write_plan
from tests.support.orchestration import plan_task, write_tasks
from tests.support.pausing import OWN_TOOL, continue_request, find_pause, request_with_own_tools, with_pause_keys
from tests.support.serving import RunningServer, model_entry, serving
from tests.support.upstream import FakeUpstream

KEY: Final = "k"
TOKENS: Final = {"alice": "rgt_alice", "bob": "rgt_bob"}
STATE: Final = "messages[1].content[1].paused_run.state"
NOT_GIVEN: Final = "This server did not give this state to this caller, or can no longer read it."


def build_config(upstream: FakeUpstream) -> Config:
    """Builds a server with two callers, two models and a known key."""
    callers = {name: CallerEntry(name=name, token_hash=hash_token(token)) for name, token in TOKENS.items()}
    config = with_pause_keys(agent_config(upstream, callers=callers), KEY)
    other = model_entry(upstream.api_base, "other", prices=PRICES)
    return replace(config, models={**config.models, "other": other})


@dataclass(frozen=True)
class Path:
    """A path whose runs pause, and the replies of the model before and after the pause."""

    mode: routing_pb2.RoutingMode.ValueType
    before: tuple[str, ...]
    after: tuple[str, ...]


ASK: Final = write_plan(plan_call("lookup", id="7"))
AGENT: Final = Path(routing_pb2.ROUTING_MODE_REASONING, (ASK,), (write_plan(), "Ada."))
TASKS: Final = Path(
    routing_pb2.ROUTING_MODE_ORCHESTRATION,
    (write_tasks(plan_task("a", tools=["lookup"])), ASK),
    (write_plan(), "It is Ada.", "Ada."),
)
PATHS: Final = {"agent": AGENT, "tasks": TASKS}


async def pause(running: RunningServer, upstream: FakeUpstream, path: Path = AGENT) -> completion_pb2.CompleteRequest:
    """Lets a run of Alice's pause, and returns the request that goes on with it."""
    for reply in path.before:
        upstream.reply(reply)
    request = request_with_own_tools()
    request.routing.mode = path.mode
    paused = await running.client(token=TOKENS["alice"]).complete(request)
    return continue_request(request, paused.message, "Ada")


def change_state(change: Callable[[bytes], bytes]) -> Callable[[completion_pb2.CompleteRequest], None]:
    """Returns what changes the state of a request."""

    def apply(request: completion_pb2.CompleteRequest) -> None:
        paused_run = find_pause(request.messages[1])
        paused_run.state = change(paused_run.state)

    return apply


def flip(position: float) -> Callable[[bytes], bytes]:
    """Returns what flips one bit at this part of the state."""

    def change(state: bytes) -> bytes:
        place = round(position * (len(state) - 1))
        return state[:place] + bytes([state[place] ^ 1]) + state[place + 1 :]

    return change


def let_expire(state: bytes) -> bytes:
    """Returns the state as it was sealed two hours ago."""
    keys = SealingKeys([KEY.encode() * 32])
    values = msgspec.msgpack.decode(keys.open(state))
    values[1] = time.time() - 1
    return keys.seal(msgspec.msgpack.encode(values))


def seal_with_another_key(state: bytes) -> bytes:
    """Returns the content of the state, sealed by a server with another key."""
    return SealingKeys([b"x" * 32]).seal(SealingKeys([KEY.encode() * 32]).open(state))


def drop_call_parts(request: completion_pb2.CompleteRequest) -> None:
    """Removes the tool call from the answer."""
    del request.messages[1].content[0]


def change_arguments(request: completion_pb2.CompleteRequest) -> None:
    request.messages[1].content[0].tool_call.arguments = '{"id": "8"}'


def change_question(request: completion_pb2.CompleteRequest) -> None:
    request.messages[0].content[0].text = "Who is 8?"


def add_message_before(request: completion_pb2.CompleteRequest) -> None:
    copied = [messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[messages_pb2.Part(text="More")])]
    messages = [*copied, *request.messages]
    del request.messages[:]
    request.messages.extend(messages)


def change_tool(request: completion_pb2.CompleteRequest) -> None:
    request.tools[0].description = "Another."


def add_tool(request: completion_pb2.CompleteRequest) -> None:
    request.tools.append(completion_pb2.Tool(name="more"))


def forbid_tools(request: completion_pb2.CompleteRequest) -> None:
    request.tool_choice.mode = completion_pb2.TOOL_CHOICE_MODE_NONE


def raise_budget(request: completion_pb2.CompleteRequest) -> None:
    request.agent.CopyFrom(agent_pb2.AgentOptions(max_steps=8))


def choose_model(request: completion_pb2.CompleteRequest) -> None:
    request.model = "other"


def choose_mode(request: completion_pb2.CompleteRequest) -> None:
    request.routing.mode = routing_pb2.ROUTING_MODE_PASSTHROUGH


def choose_route(request: completion_pb2.CompleteRequest) -> None:
    request.routing.CopyFrom(routing_pb2.RoutingOptions(route="passthrough"))


def drop_results(request: completion_pb2.CompleteRequest) -> None:
    del request.messages[2]


def rename_result(request: completion_pb2.CompleteRequest) -> None:
    request.messages[2].content[0].tool_result.call_id = "call_9"


def repeat_result(request: completion_pb2.CompleteRequest) -> None:
    request.messages[2].content.append(request.messages[2].content[0])


def repeat_state(request: completion_pb2.CompleteRequest) -> None:
    request.messages[1].content.append(request.messages[1].content[1])


async def expect_failure(call: Awaitable[object]) -> CallFailed:
    """Returns the failure of a call, or of a stream before its first event."""
    with pytest.raises(CallFailed) as failed:
        await call
    return failed.value


@dataclass(frozen=True)
class Refusal:
    """A change of the request that goes on, and how it is refused."""

    change: Callable[[completion_pb2.CompleteRequest], None]
    field: str
    description: str
    reason: str = "INVALID_FIELD"
    caller: str = "alice"


def _change_nothing(_request: completion_pb2.CompleteRequest) -> None:
    pass


MESSAGES = "The messages before the paused run must be those of the request that it answered."
TOOLS = "The tools, their choice and whether they run in parallel must be those of the paused run."
CALLS = "It must hold the tool calls of the paused run, unchanged."
ROUTE = "The paused run goes on only by the route that it began with."
NO_CALL = "The paused run waits for no call of this id."
RESULT = "messages[2].content[{}].tool_result.call_id"
REFUSALS: Final = {
    **{
        f"altered at {part:.0%}": Refusal(change_state(flip(part)), STATE, NOT_GIVEN)
        for part in (0, 0.001, 0.02, 0.25, 0.5, 0.75, 1)
    },
    "cut short": Refusal(change_state(lambda state: state[:-1]), STATE, NOT_GIVEN),
    "longer": Refusal(change_state(lambda state: state + b"\0"), STATE, NOT_GIVEN),
    "a few bytes": Refusal(change_state(lambda state: state[:9]), STATE, NOT_GIVEN),
    "words": Refusal(change_state(lambda _state: b"please go on"), STATE, NOT_GIVEN),
    "another key": Refusal(change_state(seal_with_another_key), STATE, NOT_GIVEN),
    "another caller": Refusal(_change_nothing, STATE, NOT_GIVEN, caller="bob"),
    "old": Refusal(change_state(let_expire), STATE, "It has expired; send the conversation again without it."),
    "empty": Refusal(change_state(lambda _state: b""), STATE, "It is required."),
    "too large": Refusal(
        change_state(lambda state: state + bytes(1024 * 1024)),
        STATE,
        "It has more than 1048576 bytes.",
        "REQUEST_TOO_LARGE",
    ),
    "twice in a message": Refusal(
        repeat_state, "messages[1].content[2].paused_run", "A message has at most one paused run."
    ),
    "another question": Refusal(change_question, "messages", MESSAGES),
    "a message more": Refusal(add_message_before, "messages", MESSAGES),
    "another tool": Refusal(change_tool, "tools", TOOLS),
    "a tool more": Refusal(add_tool, "tools", TOOLS),
    "another choice": Refusal(forbid_tools, "tools", TOOLS),
    "another budget": Refusal(raise_budget, "agent", "The options of the agent must be those of the paused run."),
    "another model": Refusal(choose_model, "model", "The paused run goes on only with the model that it began with."),
    "another mode": Refusal(choose_mode, "routing", ROUTE),
    "another route": Refusal(choose_route, "routing", ROUTE),
    "other arguments": Refusal(change_arguments, "messages[1].content", CALLS),
    "no call": Refusal(drop_call_parts, "messages[1].content", CALLS),
    "no result": Refusal(drop_results, "messages", "The result of a call is missing."),
    "a result of another call": Refusal(rename_result, RESULT.format(0), NO_CALL),
    "a result twice": Refusal(repeat_result, RESULT.format(1), "Another result has this id."),
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("name", REFUSALS)
async def test_a_changed_request_does_not_go_on(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, name: str, path: Path
) -> None:
    """Every method refuses it with the field, reaches no model, and says nothing of the state; the true one goes on."""
    refusal = REFUSALS[name]
    caplog.set_level(logging.DEBUG, "reasoning_grpc")

    async with serving(build_config(upstream)) as running:
        true = await pause(running, upstream, path)
        false = completion_pb2.CompleteRequest()
        false.CopyFrom(true)
        refusal.change(false)
        client = running.client(token=TOKENS[refusal.caller])
        failures = [await expect_failure(call(false)) for call in (client.complete, client.classify)]
        failures.append(await expect_failure(anext(client.stream(false))))
        requests = len(upstream.requests)
        for reply in path.after:
            upstream.reply(reply)
        answer = await running.client(token=TOKENS["alice"]).complete(true)

    assert requests == len(path.before)
    for failure in failures:
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, refusal.reason)
        violations = [(each.field, each.description) for each in failure.violations]
        assert (refusal.field, refusal.description) in violations
        assert failure.interruption is None
    assert answer.message.content[0].text == "Ada."
    state = find_pause(true.messages[1]).state
    shown = caplog.text + "".join(map(str, failures))
    assert state.hex() not in shown
    assert str(state) not in shown


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
async def test_a_state_goes_on_once(upstream: FakeUpstream, path: Path) -> None:
    """The second use of a state is refused by each method, even while the first one is in progress."""
    async with serving(build_config(upstream)) as running:
        request = await pause(running, upstream, path)
        gate = upstream.gated(path.after[0])
        for reply in path.after[1:]:
            upstream.reply(reply)
        client = running.client(token=TOKENS["alice"])
        stream = client.stream(request)
        started = await anext(stream)
        with pytest.raises(CallFailed) as during:
            await client.complete(request)
        gate.open_all()
        rest = [event async for event in stream]
        with pytest.raises(CallFailed) as after:
            await client.complete(request)
        in_stream = await expect_failure(anext(client.stream(request)))

    assert started.HasField("started")
    assert rest[-1].HasField("completed")
    for failure in (during.value, after.value, in_stream):
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        (violation,) = failure.violations
        assert violation.field == STATE
        assert violation.description == "It has gone on already; send the conversation again without it."
    assert len(upstream.requests) == len(path.before) + len(path.after)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
async def test_a_state_goes_on_again_when_nothing_was_done(upstream: FakeUpstream, path: Path) -> None:
    """A request that reached no model and ran no tool did not use the state up."""
    async with serving(replace(build_config(upstream), settings=_without_retries(build_config(upstream)))) as running:
        request = await pause(running, upstream, path)
        client = running.client(token=TOKENS["alice"])
        await upstream.aclose()
        with pytest.raises(CallFailed) as failed:
            await client.complete(request)
        async with FakeUpstream(upstream.port) as again:
            for reply in path.after:
                again.reply(reply)
            answer = await client.complete(request)

    assert failed.value.reason == "UPSTREAM_UNREACHABLE"
    assert answer.message.content[0].text == "Ada."


def _without_retries(config: Config) -> Any:
    return replace(config.settings, max_retries=0)


async def test_the_state_says_nothing(upstream: FakeUpstream) -> None:
    """Neither the words of the conversation nor the names in it can be read in the state."""
    async with serving(build_config(upstream)) as running:
        request = await pause(running, upstream)

    state = find_pause(request.messages[1]).state
    for word in (b"lookup", b"Who is", b"alice", b"fake", b"reasoning", OWN_TOOL.description.encode()):
        assert word not in state
    assert json.loads(request.messages[1].content[0].tool_call.arguments) == {"id": "7"}
