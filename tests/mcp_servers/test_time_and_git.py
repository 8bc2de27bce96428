"""The official servers in Python: `mcp-server-time` and `mcp-server-git`."""

import json
import re

import pytest

from tests.support.agent import list_kinds, plan_call
from tests.support.official_servers import OfficialServers

pytestmark = [pytest.mark.mcp_servers, pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]


async def test_times(servers: OfficialServers) -> None:
    """The model is shown the times as JSON, and the caller gets the text of the server."""
    run = await servers.run(
        plan_call("time__convert_time", source_timezone="UTC", time="12:30", target_timezone="Asia/Kolkata"),
        plan_call("time__get_current_time", timezone="Europe/Oslo"),
    )

    converted, current = run.shown
    (status, text), (current_status, current_text) = run.outcomes
    assert status == current_status == "OK"
    assert (json.loads(text), json.loads(current_text)) == (converted, current)
    assert converted["time_difference"] == "+5.5h"
    assert [converted[end]["datetime"][10:] for end in ("source", "target")] == ["T12:30:00+00:00", "T18:00:00+05:30"]
    assert current["timezone"] == "Europe/Oslo"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0[12]:00", current["datetime"])
    assert list_kinds(run.events, "model_call_started", "model_call_finished", "content_delta") == [
        *("started", "step_started", "step_planned"),
        *("tool_started", "tool_finished") * 2,
        *("step_finished", "step_started", "step_planned", "step_finished", "reasoning_finished", "completed"),
    ]


async def test_a_time_zone_that_does_not_exist(servers: OfficialServers) -> None:
    """What the server refuses, and arguments that never reach it, are shown to the model with the reason."""
    run = await servers.run(
        plan_call("time__get_current_time", timezone="Mars/Base"),
        plan_call("time__convert_time", time="12:30"),
    )

    refusal = "Error executing tool get_current_time: Invalid timezone: 'No time zone found with key Mars/Base'"
    missing = "The arguments do not fit the tool's schema: the whole: it has no source_timezone, target_timezone."
    assert run.outcomes == [("FAILED", refusal), ("INVALID_ARGUMENTS", missing)]
    assert run.shown == [f"The tool reported an error.\n{refusal}", missing]


async def test_a_repository(servers: OfficialServers) -> None:
    """The status, the log and the changes of a repository reach the model as the server writes them."""
    repository = str(servers.folders.repository)
    run = await servers.run(
        plan_call("git__git_status", repo_path=repository),
        plan_call("git__git_log", repo_path=repository),
        plan_call("git__git_diff_unstaged", repo_path=repository),
        plan_call("git__git_branch", repo_path=repository, branch_type="local"),
    )

    status, log, changes, branches = run.shown
    assert status.startswith("Repository status:\nOn branch main\nChanges not staged for commit:\n")
    assert "\tmodified:   plan.txt\n" in status
    assert log == (
        "Commit history:\nCommit: c7f2b9aee3f41a800b1d4c47b929511a6f8135c5\nAuthor: Ann\n"
        "Date: 2026-01-02 03:04:05+00:00\nMessage: Write the plan\n\n"
    )
    assert changes.startswith("Unstaged changes:\ndiff --git a/plan.txt b/plan.txt\n")
    assert changes.endswith("@@ -1 +1,2 @@\n one\n+two")
    assert branches == "* main"
    assert run.outcomes == [("OK", text) for text in run.shown]


async def test_what_a_repository_refuses(servers: OfficialServers) -> None:
    """The words of the server say which folder and which revision it does not take."""
    repository = str(servers.folders.repository)
    run = await servers.run(
        plan_call("git__git_status", repo_path="/"),
        plan_call("git__git_show", repo_path=repository, revision="nothing"),
    )

    outside = f"Repository path '/' is outside the allowed repository '{repository}'"
    refusals = [
        f"Error executing tool git_status: {outside}",
        "Error executing tool git_show: Ref 'nothing' did not resolve to an object",
    ]
    assert run.outcomes == [("FAILED", refusal) for refusal in refusals]
    assert run.shown == [f"The tool reported an error.\n{refusal}" for refusal in refusals]
