"""A tool whose configuration asks for approval runs only when the caller of the request says yes."""

import json

import pytest

from reasoning_grpc.client import CallFailed, fold
from tests.support.agent import (
    agent_config,
    collect_events,
    find_finish,
    join_text,
    list_executions,
    list_kinds,
    list_outcomes,
    name_end,
    name_status,
    plan_call,
    read_texts,
    reasoning_request,
    write_plan,
)
from tests.support.agent_grammar import check_grammar
from tests.support.agent_tools import ToolLog
from tests.support.pausing import (
    NO,
    YES,
    continue_request,
    find_pause,
    list_calls,
    request_with_own_tools,
    with_approval,
)
from tests.support.serving import serving
from tests.support.upstream import FakeUpstream

NOTE = plan_call("note", text="buy milk")


async def test_an_approved_call_runs(upstream: FakeUpstream, tool_log: ToolLog) -> None:
    """The run pauses before the tool runs; with the caller's yes it runs, and its result reaches the model."""
    upstream.reply(write_plan(NOTE))
    upstream.reply(write_plan())
    upstream.reply("Noted.")
    request = reasoning_request("Note it.")

    async with serving(with_approval(agent_config(upstream), "note")) as running:
        first = await collect_events(running, request)
        answer = await fold(first)
        ran_before = list(tool_log.ends)
        second = await collect_events(running, continue_request(request, answer.message, YES))

    check_grammar(first, ended_well=True)
    check_grammar(second, ended_well=True, before=first)
    assert "tool_started" not in list_kinds(first)
    assert ran_before == []
    assert list_calls(answer.message) == [("note", '{"text": "buy milk"}')]
    assert list(find_pause(answer.message).approval_call_ids) == [answer.message.content[0].tool_call.id]
    assert [(name_status(each), each.result) for each in list_executions(second)] == [("OK", "noted: buy milk")]
    assert tool_log.ends == ["buy milk"]
    assert join_text(second) == "Noted."
    texts = "".join(read_texts((upstream.requests[1].body or {})["messages"]))
    assert "noted: buy milk" in texts
    assert "approved" not in texts


async def test_a_denied_call_does_not_run(upstream: FakeUpstream, tool_log: ToolLog) -> None:
    """With the caller's no the tool does not run; the model learns that, and the caller's reason."""
    upstream.reply(write_plan(NOTE))
    upstream.reply(write_plan())
    upstream.reply("I did not note it.")
    request = reasoning_request("Note it.")

    async with serving(with_approval(agent_config(upstream), "note")) as running:
        first = await collect_events(running, request)
        second = await collect_events(running, continue_request(request, (await fold(first)).message, NO))

    check_grammar(second, ended_well=True, before=first)
    (execution,) = list_executions(second)
    assert (name_status(execution), execution.error) == ("NOT_APPROVED", "The caller did not approve this call.")
    assert execution.result == "Not today."
    assert tool_log.ends == []
    assert "Not today." in "".join(read_texts((upstream.requests[1].body or {})["messages"]))
    assert (name_end(find_finish(second)), list_outcomes(second)) == ("FINISHED", ["DONE", "DONE"])


async def test_approvals_and_own_tools_wait_together(upstream: FakeUpstream, tool_log: ToolLog) -> None:
    """One pause waits for own tools and for approvals; what is approved runs in the order of the plan."""
    calls = [NOTE, plan_call("lookup", id="7"), plan_call("note", text="call Ada"), plan_call("weather", city="Rome")]
    upstream.reply(write_plan(*calls, concurrent=True))
    upstream.reply(write_plan())
    upstream.reply("Done.")
    request = request_with_own_tools()

    async with serving(with_approval(agent_config(upstream), "note")) as running:
        first = await collect_events(running, request)
        message = (await fold(first)).message
        ids = [part.tool_call.id for part in message.content if part.HasField("tool_call")]
        results = {ids[2]: YES, ids[1]: "Ada", ids[0]: NO}
        second = await collect_events(running, continue_request(request, message, results))

    check_grammar(first, ended_well=True)
    check_grammar(second, ended_well=True, before=first)
    assert list(find_pause(message).approval_call_ids) == [ids[0], ids[2]]
    assert [(each.name, name_status(each)) for each in list_executions(first)] == [("weather", "OK")]
    executions = {each.call_id: name_status(each) for each in list_executions(second)}
    assert executions == {ids[0]: "NOT_APPROVED", ids[2]: "OK"}
    assert tool_log.ends == ["call Ada"]
    assert find_finish(second).tool_call_count == 4
    answer = await fold(second)
    assert [each.call_id for each in answer.steps[0].tool_executions] == [ids[0], ids[2]]


@pytest.mark.parametrize(
    "content",
    ["yes", "", "{}", '{"approved": "yes"}', '{"approved": 1}', '{"approved": true, "why": "?"}', "[true]", "null"],
)
async def test_an_answer_in_another_form_is_no_approval(
    upstream: FakeUpstream, tool_log: ToolLog, content: str
) -> None:
    """The result of a call that waits for approval has one form; anything else is refused, and uses nothing up."""
    upstream.reply(write_plan(NOTE))
    upstream.reply(write_plan())
    upstream.reply("Noted.")
    request = reasoning_request("Note it.")

    async with serving(with_approval(agent_config(upstream), "note")) as running:
        message = (await running.client().complete(request)).message
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(continue_request(request, message, content))
        ran_before = list(tool_log.ends)
        answer = await running.client().complete(continue_request(request, message, YES))

    assert failed.value.reason == "INVALID_FIELD"
    (violation,) = failed.value.violations
    assert violation.field == "messages[2].content[0].tool_result.content"
    assert violation.description.startswith('It must be {"approved": true} or {"approved": false}')
    assert ran_before == []
    assert answer.message.content[0].text == "Noted."


async def test_an_error_or_an_endless_reason_is_no_approval(upstream: FakeUpstream, tool_log: ToolLog) -> None:
    """A result that is marked as an error, and one with a long reason, are refused."""
    upstream.reply(write_plan(NOTE))
    request = reasoning_request("Note it.")

    async with serving(with_approval(agent_config(upstream), "note")) as running:
        message = (await running.client().complete(request)).message
        error = continue_request(request, message, YES)
        error.messages[-1].content[0].tool_result.is_error = True
        long = continue_request(request, message, json.dumps({"approved": True, "reason": "x" * 2001}))
        fields = []
        for more in (error, long):
            with pytest.raises(CallFailed) as failed:
                await running.client().complete(more)
            fields += [violation.field for violation in failed.value.violations]

    assert fields == ["messages[2].content[0].tool_result.is_error", "messages[2].content[0].tool_result.content"]
    assert tool_log.ends == []
