"""A run of the agent pauses for the results of the caller's own tools, and goes on with the next request."""

from typing import Any

import pytest

from reasoning_grpc.client import CallFailed, fold
from reasoning_grpc.v1 import completion_pb2, events_pb2, messages_pb2
from tests.support.agent import (
    agent_config,
    build_usage,
    collect_events,
    drop_times_and_ids,
    find_finish,
    join_text,
    list_executions,
    list_kinds,
    list_outcomes,
    list_purposes,
    name_end,
    native_entry,
    plan_call,
    read_texts,
    select_payloads,
    write_plan,
)
from tests.support.agent_grammar import check_grammar
from tests.support.pausing import (
    OWN_TOOL,
    continue_request,
    find_pause,
    list_calls,
    request_with_own_tools,
    with_pause_keys,
)
from tests.support.serving import RunningServer, serving
from tests.support.upstream import FakeToolCall, FakeUpstream

LOOKUP = plan_call("lookup", id="7")
WEATHER = plan_call("weather", city="Paris")


async def pause_and_go_on(
    running: RunningServer, request: completion_pb2.CompleteRequest, *results: str
) -> list[list[events_pb2.StreamCompleteResponse]]:
    """Makes the request, and goes on with each of the results; returns the events of all requests."""
    all_events = [await collect_events(running, request)]
    check_grammar(all_events[0], ended_well=True)
    for result in results:
        request = continue_request(request, (await fold(all_events[-1])).message, result)
        all_events.append(await collect_events(running, request))
        check_grammar(all_events[-1], ended_well=True, before=all_events[-2])
    return all_events


def read_prompt(upstream: FakeUpstream, number: int) -> str:
    """Returns the texts of a request that the upstream received."""
    return "".join(read_texts((upstream.requests[number].body or {})["messages"]))


async def test_a_run_pauses_for_the_callers_own_tool_and_goes_on(upstream: FakeUpstream) -> None:
    """The first answer has the call and the state of the run; the second request brings both back with the result."""
    upstream.reply(write_plan(WEATHER, LOOKUP, concurrent=True))
    upstream.reply(write_plan())
    upstream.reply("It is ", "Ada.")

    async with serving(agent_config(upstream)) as running:
        first, second = await pause_and_go_on(running, request_with_own_tools(), "Ada Lovelace")

    answer = await fold(first)
    assert list_kinds(first, "model_call_started", "model_call_finished") == [
        *("started", "step_started", "step_planned", "tool_started", "tool_finished", "step_finished"),
        *("reasoning_finished", "tool_call_delta", "run_paused", "completed"),
    ]
    assert answer.finish_reason == completion_pb2.FINISH_REASON_TOOL_CALLS
    assert list_calls(answer.message) == [("lookup", '{"id": "7"}')]
    assert (list_outcomes(first), name_end(find_finish(first))) == (["PAUSED"], "PAUSED")
    assert list(find_pause(answer.message).approval_call_ids) == []
    assert list_outcomes(second) == ["DONE", "DONE"]
    assert [event.step for event in second if event.HasField("step_started")] == [1, 2]
    assert select_payloads(second, "step_planned")[0].thought == "I think."
    assert list_executions(second) == []
    assert (name_end(find_finish(second)), join_text(second)) == ("FINISHED", "It is Ada.")
    assert (find_finish(second).step_count, find_finish(second).tool_call_count) == (2, 2)
    assert "Paris: rain for 1 days" in read_prompt(upstream, 1)
    assert "Ada Lovelace" in read_prompt(upstream, 1)


async def test_a_stream_and_a_whole_answer_agree(upstream: FakeUpstream) -> None:
    """`Complete` returns the fold of what `StreamComplete` sends, for a pause and for the request that goes on."""
    for _ in range(2):
        upstream.reply(write_plan(LOOKUP))
    for _ in range(2):
        upstream.reply(write_plan())
        upstream.reply("Ada.")
    request = request_with_own_tools()

    async with serving(agent_config(upstream)) as running:
        streamed = await fold(await collect_events(running, request))
        whole = await running.client().complete(request)
        more = continue_request(request, streamed.message, "Ada")
        streamed_more = await fold(await collect_events(running, more))
        whole_more = await running.client().complete(continue_request(request, whole.message, "Ada"))

    pauses = [find_pause(answer.message) for answer in (streamed, whole)]
    assert pauses[0].state != pauses[1].state
    for pause in pauses:
        pause.Clear()
    assert drop_times_and_ids(streamed) == drop_times_and_ids(whole)
    assert drop_times_and_ids(streamed_more) == drop_times_and_ids(whole_more)


async def test_usage_and_cost_of_both_requests_are_those_of_the_upstream(upstream: FakeUpstream) -> None:
    """Each request reports what it used itself; the end of the thinking reports the whole run."""
    upstream.reply(write_plan(LOOKUP), usage=build_usage(100, 10))
    upstream.reply(write_plan(), usage=build_usage(200, 20))
    upstream.reply("Ada.", usage=build_usage(300, 30))

    async with serving(agent_config(upstream)) as running:
        first, second = await pause_and_go_on(running, request_with_own_tools(), "Ada")

    ends = [events[-1].completed for events in (first, second)]
    assert [end.usage.total_tokens for end in ends] == [110, 550]
    assert [end.cost.total_nano_usd for end in ends] == [120_000, 600_000]
    assert [list_purposes(end.model_calls) for end in ends] == [["STEP"], ["STEP", "SYNTHESIS"]]
    finish = find_finish(second)
    assert (finish.usage.total_tokens, finish.cost.total_nano_usd) == (330, 360_000)
    assert [(item.tokens, item.nano_usd) for item in finish.cost.items] == [(300, 300_000), (30, 60_000)]


@pytest.mark.parametrize(
    ("limits", "end"),
    [
        pytest.param({"max_steps": 2}, "MAX_STEPS", id="steps"),
        pytest.param({"max_tool_calls": 2}, "MAX_TOOL_CALLS", id="tool calls"),
        pytest.param({"max_tokens": 2000}, "TOKEN_BUDGET", id="tokens"),
        pytest.param({"max_cost_nano_usd": 1_700_000}, "COST_BUDGET", id="cost"),
    ],
)
async def test_the_budgets_hold_for_both_requests(upstream: FakeUpstream, limits: dict[str, int], end: str) -> None:
    """A run that goes on has only what the requests before have left of its budgets."""
    plans = [write_plan(LOOKUP), write_plan(WEATHER), write_plan(WEATHER, thought="Again.")]
    for plan in plans:
        upstream.reply(plan, usage=build_usage(700, 100))
    upstream.always.reply("Ada.")

    async with serving(agent_config(upstream)) as running:
        _, second = await pause_and_go_on(running, request_with_own_tools(agent=limits), "Ada")

    assert name_end(find_finish(second)) == end
    assert find_finish(second).step_count == (3 if end == "MAX_TOOL_CALLS" else 2)
    assert len(list_executions(second)) == 1


async def test_calls_that_depend_on_each_other_wait_one_by_one(upstream: FakeUpstream) -> None:
    """In a plan that is not concurrent, what stands behind a waiting call waits for its result."""
    upstream.reply(write_plan(WEATHER, LOOKUP, WEATHER, plan_call("lookup", id="8")))
    upstream.reply(write_plan())
    upstream.reply("Both.")

    async with serving(agent_config(upstream)) as running:
        first, second, third = await pause_and_go_on(running, request_with_own_tools(), "Ada", "Bob")

    answers = [await fold(events) for events in (first, second)]
    assert [list_calls(answer.message) for answer in answers] == [
        [("lookup", '{"id": "7"}')],
        [("lookup", '{"id": "8"}')],
    ]
    assert [len(list_executions(events)) for events in (first, second, third)] == [1, 1, 0]
    assert second[-1].completed.usage.total_tokens == 0
    assert second[-1].completed.cost.total_nano_usd == 0
    assert not second[-1].completed.model_calls
    assert (list_outcomes(third), join_text(third)) == (["DONE", "DONE"], "Both.")
    prompt = read_prompt(upstream, 1)
    assert prompt.index("Ada") < prompt.index("Bob")
    assert len(upstream.requests) == 3


async def test_own_calls_of_a_concurrent_plan_wait_together(upstream: FakeUpstream) -> None:
    """All own calls of a concurrent plan are in one answer, unless the caller wants one at a time."""
    plan = write_plan(LOOKUP, WEATHER, plan_call("lookup", id="8"), concurrent=True)
    upstream.reply(plan)
    upstream.reply(plan)

    async with serving(agent_config(upstream)) as running:
        together = await fold(await collect_events(running, request_with_own_tools()))
        alone = await fold(await collect_events(running, request_with_own_tools(parallel_tool_calls=False)))

    assert [arguments for _, arguments in list_calls(together.message)] == ['{"id": "7"}', '{"id": "8"}']
    assert [arguments for _, arguments in list_calls(alone.message)] == ['{"id": "7"}']


async def test_a_run_can_pause_in_several_steps(upstream: FakeUpstream) -> None:
    """Each request that goes on brings the whole conversation so far, and the model sees every result once."""
    upstream.reply(write_plan(LOOKUP))
    upstream.reply(write_plan(plan_call("lookup", id="8")))
    upstream.reply(write_plan())
    upstream.reply("Both.")

    async with serving(agent_config(upstream)) as running:
        *_, last = await pause_and_go_on(running, request_with_own_tools(), "Ada", "Bob")

    assert (find_finish(last).step_count, find_finish(last).tool_call_count) == (3, 2)
    prompt = read_prompt(upstream, 2)
    assert (prompt.count("Ada"), prompt.count("Bob"), prompt.count("Who is 7?")) == (1, 1, 1)


async def test_a_loop_over_several_requests_is_found(upstream: FakeUpstream) -> None:
    """Equal calls with equal results in three steps are a loop, although each came from another request."""
    for _ in range(3):
        upstream.reply(write_plan(LOOKUP))
    upstream.reply("I give up.")

    async with serving(agent_config(upstream)) as running:
        *_, last = await pause_and_go_on(running, request_with_own_tools(), "Ada", "Ada")

    assert (name_end(find_finish(last)), list_outcomes(last)) == ("LOOP", ["DONE", "STOPPED"])


async def test_native_tool_calls_go_back_as_the_provider_wrote_them(upstream: FakeUpstream) -> None:
    """With the provider's own tool calls, the call of the caller's tool and its result are parts of the next step."""
    calls = [FakeToolCall("c1", "weather", '{"city": "Paris"}'), FakeToolCall("c2", "lookup", '{"id": "7"}')]
    upstream.reply("I look.", tool_calls=calls)
    upstream.reply("READY")
    upstream.reply("Ada.")

    async with serving(agent_config(upstream, entry=native_entry(upstream))) as running:
        first, second = await pause_and_go_on(running, request_with_own_tools(), "Ada Lovelace")

    assert list_calls((await fold(first)).message) == [("lookup", '{"id": "7"}')]
    assert join_text(second) == "Ada."
    bodies = [captured.body or {} for captured in upstream.requests]
    assert all(body["tools"] == bodies[0]["tools"] for body in bodies)
    (own,) = [tool["function"] for tool in bodies[0]["tools"] if tool["function"]["name"] == "lookup"]
    assert own["parameters"]["required"] == ["id"]
    results = [message for message in bodies[1]["messages"] if message["role"] == "tool"]
    assert [(each["tool_call_id"], each["content"]) for each in results] == [
        ("c1", "Paris: rain for 1 days"),
        ("c2", "Ada Lovelace"),
    ]


async def test_an_own_tool_that_failed_is_a_result(upstream: FakeUpstream) -> None:
    """A result that the caller marks as an error reaches the model as a failure, and the run goes on."""
    upstream.reply(write_plan(LOOKUP))
    upstream.reply(write_plan())
    upstream.reply("Nobody.")
    request = request_with_own_tools()

    async with serving(agent_config(upstream)) as running:
        answer = await running.client().complete(request)
        more = continue_request(request, answer.message, "no such customer")
        more.messages[-1].content[0].tool_result.is_error = True
        last = await running.client().complete(more)

    assert last.message.content[0].text == "Nobody."
    assert '"error": "The tool failed.\\nno such customer"' in read_prompt(upstream, 1)


async def test_own_tools_that_may_not_be_called_are_not_offered(upstream: FakeUpstream) -> None:
    """With the choice NONE the agent does not know the caller's tools."""
    upstream.reply(write_plan())
    upstream.reply("Hello.")
    choice = completion_pb2.ToolChoice(mode=completion_pb2.TOOL_CHOICE_MODE_NONE)

    async with serving(agent_config(upstream)) as running:
        answer = await running.client().complete(request_with_own_tools(tool_choice=choice))

    assert answer.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert "lookup" not in read_prompt(upstream, 0)


FORCED = completion_pb2.ToolChoice(mode=completion_pb2.TOOL_CHOICE_MODE_REQUIRED)
NAMED = completion_pb2.ToolChoice(tool="lookup")
TAKEN = [OWN_TOOL, completion_pb2.Tool(name="weather")]


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        pytest.param({"tool_choice": FORCED}, "UNSUPPORTED_PARAMETER", "tool_choice", id="a call is required"),
        pytest.param({"tool_choice": NAMED}, "UNSUPPORTED_PARAMETER", "tool_choice", id="a call of one tool"),
        pytest.param({"tools": TAKEN}, "INVALID_FIELD", "tools[1].name", id="the name of a server's tool"),
    ],
)
async def test_own_tools_can_be_refused(
    upstream: FakeUpstream, fields: dict[str, Any], reason: str, field: str
) -> None:
    """A choice that the agent cannot follow, and a name that two tools have, are refused before any model is called."""
    async with serving(agent_config(upstream)) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(request_with_own_tools(**fields))

    assert failed.value.reason == reason
    assert [violation.field for violation in failed.value.violations] == [field]
    assert upstream.requests == []


async def test_a_name_is_free_when_the_servers_tool_is_left_out(upstream: FakeUpstream) -> None:
    """A caller may give its tool the name of a server's tool that its request does not allow."""
    upstream.reply(write_plan(WEATHER))
    request = request_with_own_tools(tools=TAKEN, agent={"allowed_tools": ["note"]})

    async with serving(agent_config(upstream)) as running:
        answer = await running.client().complete(request)

    assert list_calls(answer.message) == [("weather", '{"city": "Paris"}')]


async def test_a_state_that_is_too_large_is_no_pause(upstream: FakeUpstream) -> None:
    """The waiting calls are not made, the answer comes without them, and the end of the thinking says why."""
    upstream.reply(write_plan(plan_call("write_letters", characters=20_000), LOOKUP))
    upstream.reply("I cannot look that up.")

    async with serving(agent_config(upstream, max_pause_state_bytes=16 * 1024)) as running:
        events = await collect_events(running, request_with_own_tools())

    assert (name_end(find_finish(events)), list_outcomes(events)) == ("STATE_TOO_LARGE", ["STOPPED"])
    assert join_text(events) == "I cannot look that up."
    assert "It was not run." in read_prompt(upstream, 1)


async def test_the_history_of_a_pause_is_an_ordinary_history(upstream: FakeUpstream) -> None:
    """After the answer, the conversation goes on without the state: the part of the pause is ignored there."""
    upstream.reply(write_plan(LOOKUP))
    upstream.reply(write_plan())
    upstream.reply("Ada.")
    upstream.reply("You are welcome.")
    request = request_with_own_tools()

    async with serving(agent_config(upstream)) as running:
        paused = await running.client().complete(request)
        more = continue_request(request, paused.message, "Ada")
        more.messages.append((await running.client().complete(more)).message)
        more.messages.add(role=messages_pb2.ROLE_USER, content=[messages_pb2.Part(text="Thanks!")])
        more.ClearField("routing")
        answer = await running.client().complete(more)

    assert answer.message.content[0].text == "You are welcome."
    roles = [message["role"] for message in (upstream.requests[-1].body or {})["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


async def test_another_process_goes_on_with_a_shared_key(upstream: FakeUpstream) -> None:
    """Servers with the same key go on with each other's runs, also after one was stopped."""
    upstream.reply(write_plan(LOOKUP))
    upstream.reply(write_plan())
    upstream.reply("Ada.")
    request = request_with_own_tools()
    config = with_pause_keys(agent_config(upstream), "a")

    async with serving(config) as running:
        paused = await running.client().complete(request)
    async with serving(config) as running:
        answer = await running.client().complete(continue_request(request, paused.message, "Ada"))

    assert answer.message.content[0].text == "Ada."
