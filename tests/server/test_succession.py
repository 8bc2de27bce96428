"""Another configuration takes the place of the one that serves; calls in flight keep theirs."""

import asyncio
import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, Config, ConfigError, McpServerEntry, hash_token
from reasoning_grpc.domain import Secret
from reasoning_grpc.telemetry import Telemetry
from reasoning_grpc.v1 import models_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.mcp_server import Reports, build_command, open_reports
from tests.support.mcp_toolbox import wait_until
from tests.support.metrics import MetricsPage
from tests.support.model_lists import list_page
from tests.support.proxy import list_requests, serving_behind
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import read_first_delta, read_to_end

OLD_TOKEN: Final = "rgt_old"
NEW_TOKEN: Final = "rgt_new"
BREAKER: Final[dict[str, Any]] = {
    "breaker_min_calls": 10,
    "breaker_open_seconds": 60.0,
    "breaker_max_open_seconds": 60.0,
}


async def switch(running: RunningServer, config: Config) -> None:
    """Lets another configuration take effect."""
    (await running.server.prepare(config)).switch()


async def complete(running: RunningServer, token: str = "", **fields: Any) -> str:
    """Makes a call, and returns its answer, or else the reason of its failure."""
    stub: Any = running.stub
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    try:
        answer = await stub.Complete(a_wire_request(**fields), metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return CallFailed(error).reason
    return "".join(part.text for part in answer.message.content)


def caller_with(token: str) -> dict[str, CallerEntry]:
    """Returns the table of callers with one, who has this token."""
    return {"alice": CallerEntry(name="alice", token_hash=hash_token(token))}


async def test_a_stream_ends_with_the_configuration_that_it_began_with(
    upstream: FakeUpstream, judge: FakeUpstream
) -> None:
    """A stream goes on at its upstream, although its model and its caller's token are gone; new calls take the new."""
    gate = upstream.gated("Hel", "lo")
    gate.open()
    judge.always.reply("from the other")
    first = config_for(model_entry(upstream.api_base), callers=caller_with(OLD_TOKEN))
    async with serving(first) as running:
        stub: Any = running.stub
        stream = stub.StreamComplete(a_stream_request(), metadata=(("authorization", f"Bearer {OLD_TOKEN}"),))
        await read_first_delta(stream)

        await switch(running, config_for(model_entry(judge.api_base, "other"), callers=caller_with(NEW_TOKEN)))
        answers = [
            await complete(running, NEW_TOKEN),
            await complete(running, NEW_TOKEN, model="fake"),
            await complete(running, OLD_TOKEN),
        ]
        gate.open_all()
        rest = await read_to_end(stream)

    assert [event.WhichOneof("kind") for event in rest] == ["content_delta", "completed"]
    assert answers == ["from the other", "MODEL_NOT_FOUND", "CREDENTIALS_INVALID"]


async def test_the_next_call_over_a_connection_is_under_the_new_limits(upstream: FakeUpstream) -> None:
    """A limit of requests holds for the next call, also over a connection that was open before."""
    entry = model_entry(upstream.api_base)
    async with serving(config_for(entry, max_messages=1)) as running:
        two = [*a_wire_request().messages, *a_wire_request().messages]
        before = await complete(running, messages=two)
        await switch(running, config_for(entry, max_messages=2))
        after = await complete(running, messages=two)

    assert (before, after) == ("REQUEST_TOO_LARGE", "Hello world")


async def test_breakers_and_connections_outlive_a_configuration(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The breaker of an upstream stays open, and the connection to another one is used again."""
    upstream.always.fail(500)
    broken, sound = model_entry(upstream.api_base), model_entry(judge.api_base, "sound")
    async with serving(config_for(broken, sound, max_retries=0, **BREAKER)) as running:
        assert await complete(running, model="sound") == "Hello world"
        for _ in range(10):
            await complete(running)
        requests, connections = len(upstream.requests), judge.connections

        await switch(running, config_for(broken, sound, max_retries=0, max_messages=7, **BREAKER))
        outcomes = [await complete(running), await complete(running, model="sound")]

    assert outcomes == ["UPSTREAM_UNREACHABLE", "Hello world"]
    assert len(upstream.requests) == requests
    assert judge.connections == connections == 1


async def test_the_models_of_the_proxy_outlive_a_configuration(upstream: FakeUpstream) -> None:
    """Models that were discovered are known at once; their list is not read again for it."""
    upstream.model_info.lists("other")
    async with serving_behind(upstream) as running:
        await list_page(running)
        readings = len(list_requests(upstream))
        settings = replace(running.server.config.settings, max_messages=7)

        await switch(running, replace(running.server.config, settings=settings))
        page = await list_page(running)

    assert [model.name for model in page.models] == ["other"]
    assert len(list_requests(upstream)) == readings


def server_entry(reports: Reports, name: str, **settings: Any) -> McpServerEntry:
    """Builds the entry of an MCP server that is a process."""
    program, *arguments = build_command("stdio", reports)
    return McpServerEntry(name=name, command=program, args=tuple(arguments), **settings)


def with_servers(config: Config, *entries: McpServerEntry) -> Config:
    """Returns the configuration with these MCP servers."""
    return replace(config, mcp_servers={entry.name: entry for entry in entries})


@pytest.mark.process
async def test_mcp_servers_that_did_not_change_stay_connected(upstream: FakeUpstream) -> None:
    """One that is new is connected before the switch, and one that is gone ends."""
    entry = model_entry(upstream.api_base)
    async with open_reports() as kept, open_reports() as gone, open_reports() as new:
        first = with_servers(
            config_for(entry), server_entry(kept, "kept", env={"A": Secret("1")}), server_entry(gone, "gone")
        )
        async with serving(first) as running:
            before = running.server.list_mcp_servers()
            await asyncio.gather(kept.wait_for("pid"), gone.wait_for("pid"))

            second = with_servers(
                config_for(entry, callers=caller_with(NEW_TOKEN)),
                server_entry(kept, "kept", env={"A": Secret("1")}),
                server_entry(new, "new"),
            )
            await switch(running, second)
            after = {server.name: server.state for server in running.server.list_mcp_servers()}
            await asyncio.gather(gone.wait_for("ended"), new.wait_for("pid"))

    assert {server.name for server in before} == {"kept", "gone"}
    assert after == {"kept": "CONNECTED", "new": "CONNECTED"}
    assert "pid" not in kept.take_rest()  # no second process


@pytest.mark.process
async def test_a_required_mcp_server_that_is_down_changes_nothing(upstream: FakeUpstream) -> None:
    """The configuration is refused with the server's name, and the one that serves goes on with its servers."""
    entry = model_entry(upstream.api_base)
    async with open_reports() as kept:
        first = with_servers(config_for(entry), server_entry(kept, "kept"))
        async with serving(first) as running:
            await wait_until(lambda: running.server.list_mcp_servers()[0].state == "CONNECTED")
            down = McpServerEntry(name="down", command="/no/such/program", required=True)

            with pytest.raises(ConfigError) as refused:
                await running.server.prepare(with_servers(config_for(entry, max_messages=1), down))

            states = [(server.name, server.state) for server in running.server.list_mcp_servers()]
            answer = await complete(running)

    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["mcp_servers.down"]
    assert states == [("kept", "CONNECTED")]
    assert answer == "Hello world"


async def test_a_configuration_that_was_given_up_has_changed_nothing(upstream: FakeUpstream) -> None:
    """What was prepared can be closed in place of the switch."""
    async with serving(config_for(model_entry(upstream.api_base))) as running:
        await (await running.server.prepare(config_for(model_entry(upstream.api_base, "other")))).aclose()

        assert await complete(running, model="fake") == "Hello world"
        assert await complete(running, model="other") == "MODEL_NOT_FOUND"


async def test_tls_files_that_cannot_be_used_are_refused(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A configuration with a TLS file that is missing is refused with the name of the file."""
    async with serving(config_for(model_entry(upstream.api_base))) as running:
        files: dict[str, Any] = {"tls_certificate": tmp_path / "no.pem", "tls_key": tmp_path / "no.key"}
        with pytest.raises(ConfigError) as refused:
            await running.server.prepare(config_for(model_entry(upstream.api_base), **files))

    assert refused.value.problems == [f"{tmp_path / 'no.pem'}: cannot be read: No such file or directory"]


async def test_metrics_know_the_models_of_the_new_configuration(upstream: FakeUpstream) -> None:
    """The provider of a model that is new is a label, and calls of before and after are counted in one place."""
    telemetry = Telemetry()
    async with serving(config_for(model_entry(upstream.api_base)), telemetry) as running:
        await complete(running)
        entry = model_entry(upstream.api_base, "other", litellm_model="groq/other")
        await switch(running, config_for(entry))
        await complete(running)
        page = MetricsPage.scrape(telemetry.metrics)

    answers = "gen_ai_server_time_to_first_token_seconds_count"
    assert page.find(answers, gen_ai_provider_name="openai", gen_ai_request_model="fake") == 1
    assert page.find(answers, gen_ai_provider_name="groq", gen_ai_request_model="other") == 1


async def test_a_former_configuration_is_forgotten_when_its_calls_have_ended(upstream: FakeUpstream) -> None:
    """After many switches the parts of the former configurations are garbage, so that memory does not grow."""
    entry = model_entry(upstream.api_base)
    async with serving(config_for(entry)) as running:
        await switch(running, config_for(entry, max_messages=5))
        former = weakref.ref(running.server.engine)
        await switch(running, config_for(entry, max_messages=6))
        assert await complete(running) == "Hello world"
        await wait_until(lambda: gc.collect() >= 0 and former() is None)

    assert former() is None


async def test_listing_and_classifying_take_the_new_configuration(upstream: FakeUpstream) -> None:
    """Every method serves what took effect, also one that was never called before."""
    async with serving(config_for(model_entry(upstream.api_base))) as running:
        await switch(running, config_for(model_entry(upstream.api_base, "other")))
        stub: Any = running.stub
        listed = await stub.ListModels(models_pb2.ListModelsRequest())
        events = await read_to_end(stub.StreamComplete(a_stream_request()))

    assert [model.name for model in listed.models] == ["other"]
    assert events[0].started.model == "other"
