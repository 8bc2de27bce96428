"""Servers made with the SDKs for TypeScript and Go, with the protocol of 2026-07-28 and with the older ones."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from tests.support.agent import plan_call
from tests.support.commands import run
from tests.support.modern_servers import ModernServers, serve_modern

pytestmark = [pytest.mark.mcp_servers, pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]

MODERN: Final = ("ts-stdio", "ts-http", "go-stdio", "go-http")
OLDER: Final = ("ts-older", "go-stateful")
BALANCED: Final = ("ts-http", "go-http")
NEEDS_INPUT: Final = (
    "The tool needs input that it cannot get here. If only the user can give it, ask the user for it in the answer."
)
QUESTION: Final = "It asks the user: What is your name?\nThe answer has the fields: name (string, required)"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ModernServers]:
    """Provides a server process that is connected to these MCP servers."""
    async with serve_modern(tmp_path_factory.mktemp("modern")) as modern:
        yield modern


async def test_each_server_speaks_the_newest_version_that_it_can(servers: ModernServers) -> None:
    """One kind of entry reaches servers of both ages, over pipes and over HTTP; no tool of theirs is left out."""
    done = await run("tools", "--config", servers.config, variables={"FAKE_KEY": "k"})

    assert (done.code, done.err) == (0, "")
    assert sorted(line for line in done.out.splitlines() if line.startswith("mcp server")) == [
        "mcp server go-http is connected: 7 tools, protocol 2026-07-28",
        "mcp server go-stateful is connected: 7 tools, protocol 2025-11-25",
        "mcp server go-stdio is connected: 7 tools, protocol 2026-07-28",
        "mcp server ts-http is connected: 6 tools, protocol 2026-07-28",
        "mcp server ts-older is connected: 6 tools, protocol 2025-11-25",
        "mcp server ts-stdio is connected: 6 tools, protocol 2026-07-28",
    ]


async def test_structured_results(servers: ModernServers) -> None:
    """Structured results of objects and of lists reach the model once, whatever the server's age."""
    names = [*MODERN, *OLDER]
    sums = await servers.run(*(plan_call(f"{name}__add", a=1, b=2) for name in names))
    lists = await servers.run(*(plan_call(f"{name}__list_cities") for name in names))

    wrapped = {"ts-older": '{"result":["Bergen","Oslo"]}'}  # the SDK puts the list into an object for older clients
    assert sums.outcomes == [("OK", '{"sum":3}')] * len(names)
    assert lists.outcomes == [("OK", wrapped.get(name, '["Bergen","Oslo"]')) for name in names]


async def test_a_result_that_does_not_fit_its_schema(servers: ModernServers) -> None:
    """A structured result that breaks the server's own schema is a failure with the place in it."""
    done = await servers.run(*(plan_call(f"{name}__break_promise") for name in ("go-stdio", "go-http", "go-stateful")))

    assert done.outcomes == [("FAILED", 'sum: it does not fit type "integer"')] * 3


async def test_input_that_nobody_can_give(servers: ModernServers) -> None:
    """A tool that needs the user's answer ends with its own status, and the model is told what it asks for."""
    done = await servers.run(*(plan_call(f"{name}__greet") for name in MODERN))

    plain = "It asks the user a question."  # the SDK for TypeScript does not tell the question to such a client
    texts = [QUESTION if name.startswith("go") else plain for name in MODERN]
    assert done.outcomes == [("INPUT_REQUIRED", text) for text in texts]
    assert done.shown == [f"{NEEDS_INPUT}\n{text}" for text in texts]


async def test_input_that_an_older_server_does_not_get(servers: ModernServers) -> None:
    """An older server's tool that asks a question fails at once, because we declare that we cannot answer."""
    done = await servers.run(*(plan_call(f"{name}__greet") for name in OLDER))

    assert [status for status, _ in done.outcomes] == ["FAILED", "FAILED"]


async def test_a_call_of_two_rounds(servers: ModernServers) -> None:
    """A call that the server ends with a state goes on with this state, also in another process."""
    done = await servers.run(*(plan_call(f"{name}__wait") for name in MODERN))

    assert done.outcomes == [("OK", "after half")] * len(MODERN)


async def test_no_session_behind_a_load_balancer(servers: ModernServers) -> None:
    """Calls reach both processes behind a balancer; no request has a session, and each one says its version."""
    for name in BALANCED:
        balancer = servers.balancers[name]
        balancer.requests.clear()
        done = await servers.run(*(plan_call(f"{name}__read_pid") for _ in range(6)))

        assert {status for status, _ in done.outcomes} == {"OK"}
        assert len({pid for _, pid in done.outcomes}) == 2
        assert {request.verb for request in balancer.requests} == {"POST"}
        for request in balancer.requests:
            assert request.message["method"] == request.headers["mcp-method"] == "tools/call"
            assert request.headers["mcp-protocol-version"] == "2026-07-28"
            assert "mcp-session-id" not in request.headers


async def test_an_argument_in_a_header(servers: ModernServers) -> None:
    """An argument that a tool wants in a header is sent there, and the servers find it equal to the argument."""
    for name in BALANCED:
        balancer = servers.balancers[name]
        balancer.requests.clear()
        done = await servers.run(plan_call(f"{name}__find_region", region="Østfold"))

        assert done.outcomes == [("OK", "Østfold")]
        assert "mcp-param-region" in balancer.requests[-1].headers
