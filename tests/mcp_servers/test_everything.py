"""The official server `server-everything`, which shows each part of the protocol, over pipes and over HTTP."""

import json
import re
from contextlib import aclosing

import pytest

from tests.support.agent import list_executions, plan_call, reasoning_request, write_plan
from tests.support.official_servers import LIMIT_SECONDS, OfficialServers

pytestmark = [
    pytest.mark.mcp_servers,
    pytest.mark.process,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("server", ["everything", "remote"]),
]

IMAGE = "[image/png, 4033 bytes]"


async def test_content(servers: OfficialServers, server: str) -> None:
    """Texts, numbers, pictures and structured content are shown to the model, each once."""
    run = await servers.run(
        plan_call(f"{server}__echo", message="hællo\n"),
        plan_call(f"{server}__get-sum", a=1, b=2.5),
        plan_call(f"{server}__get-annotated-message", messageType="error", includeImage=True),
        plan_call(f"{server}__get-tiny-image"),
        plan_call(f"{server}__get-structured-content", location="New York"),
        plan_call(f"{server}__get-structured-content", location="Oslo"),
    )

    weather = {"temperature": 33, "conditions": "Cloudy", "humidity": 82}
    unfit = (
        "The arguments do not fit the tool's schema: location: it does not fit enum "
        '["New York", "Chicago", "Los Angeles"].'
    )
    assert run.shown == [
        "Echo: hællo\n",
        "The sum of 1 and 2.5 is 3.5.",
        f"Error: Operation failed\n{IMAGE}",
        f"Here's the image you requested:\n{IMAGE}\nThe image above is the MCP logo.",
        weather,
        unfit,
    ]
    *good, bad = run.outcomes
    assert [status for status, _ in good] == ["OK"] * 5
    assert json.loads(good[-1][1]) == weather
    assert bad == ("INVALID_ARGUMENTS", unfit)


async def test_resources(servers: OfficialServers, server: str) -> None:
    """Resources and links to resources are shown with all that the server says about them."""
    page, dynamic = "data:text/plain,hello", "demo://resource/dynamic"
    run = await servers.run(
        plan_call(f"{server}__get-resource-links", count=2),
        plan_call(f"{server}__get-resource-reference", resourceType="Text", resourceId=1),
        plan_call(f"{server}__get-resource-reference", resourceType="Blob", resourceId=2),
        plan_call(f"{server}__get-resource-reference", resourceType="Blob", resourceId=-1),
        plan_call(f"{server}__gzip-file-as-resource", name="a.gz", data=page, outputType="resource"),
        plan_call(f"{server}__gzip-file-as-resource", name="b.gz", data=page, outputType="resourceLink"),
    )

    links, text, blob, refused, file, link = run.shown
    assert links.split("\n") == [
        "Here are 2 resource links to resources available in this server:",
        f"[text/plain, {dynamic}/blob/1, name: Blob Resource 1, description: Resource 1: plaintext resource]",
        f"[text/plain, {dynamic}/text/2, name: Text Resource 2, description: Resource 2: plaintext resource]",
    ]
    assert text.startswith(
        f"Returning resource reference for Resource 1:\n[text/plain, {dynamic}/text/1]\n"
        "Resource 1: This is a plaintext resource created at "
    )
    assert re.search(rf"\n\[text/plain, {dynamic}/blob/2, \d\d bytes\]\n", blob)
    assert refused == "The tool reported an error.\nInvalid resourceId: -1. Must be a finite positive integer."
    assert re.fullmatch(r"\[application/gzip, demo://resource/session/a\.gz, \d\d bytes\]", file)
    assert link == "[application/gzip, demo://resource/session/b.gz, name: b.gz]"
    assert [status for status, _ in run.outcomes] == ["OK", "OK", "OK", "FAILED", "OK", "OK"]


async def test_progress_renews_the_limit(servers: OfficialServers, server: str) -> None:
    """A long call that reports progress outlives the tool's limit, which ends one that reports nothing."""
    name = f"{server}__trigger-long-running-operation"
    run = await servers.run(
        plan_call(name, duration=LIMIT_SECONDS * 1.5, steps=15), plan_call(name, duration=600, steps=1), concurrent=True
    )

    results = {json.loads(each.arguments)["steps"]: each for each in list_executions(run.events)}
    assert results[15].result == "Long running operation completed. Duration: 3 seconds, Steps: 15."
    assert results[15].duration.ToTimedelta().total_seconds() > LIMIT_SECONDS
    assert LIMIT_SECONDS <= results[1].duration.ToTimedelta().total_seconds() < LIMIT_SECONDS * 5
    assert sorted(run.outcomes) == [
        ("OK", results[15].result),
        ("TIMED_OUT", "The tool took too long and was stopped."),
    ]


async def test_a_caller_leaves_during_a_call(servers: OfficialServers, server: str) -> None:
    """The call ends with its caller, and the connection to the server serves the next one."""
    name = f"{server}__trigger-long-running-operation"
    servers.upstream.reply(write_plan(plan_call(name, duration=600, steps=6000)))
    async with servers.process.client() as client, aclosing(client.stream(reasoning_request())) as events:
        async for event in events:
            if event.WhichOneof("kind") == "tool_started":
                break

    run = await servers.run(plan_call(f"{server}__echo", message="still there"))

    assert run.shown == ["Echo: still there"]


async def test_messages_of_the_server_during_calls(servers: OfficialServers, server: str) -> None:
    """Logs and notices of resources that the server sends by itself disturb no call."""
    toggles = ("toggle-simulated-logging", "toggle-subscriber-updates")
    started = await servers.run(*(plan_call(f"{server}__{name}") for name in toggles))
    between = await servers.run(plan_call(f"{server}__echo", message="hi"))
    stopped = await servers.run(*(plan_call(f"{server}__{name}") for name in toggles))

    assert [text.split()[0] for text in started.shown] == ["Started", "Started"]
    assert between.shown == ["Echo: hi"]
    assert [text.split()[0] for text in stopped.shown] == ["Stopped", "Stopped"]


async def test_a_process_knows_only_its_variables(servers: OfficialServers, server: str) -> None:
    """The process of a server has no key of ours and no variable of another server; neither has a remote one."""
    run = await servers.run(plan_call(f"{server}__get-env"))

    (variables,) = run.shown
    assert "PATH" in variables
    assert not {"FAKE_KEY", "MEMORY_FILE_PATH"} & variables.keys()
