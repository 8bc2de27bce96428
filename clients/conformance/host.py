"""Everything that a runner calls: the server in plaintext, under TLS and draining, its upstreams, other servers."""

import asyncio
import copy
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import grpc
import trustme

from clients.conformance.newer import CrowdedServer, FaultyEngine, NewerServer, add_faulty_service
from clients.conformance.scenario import DEFAULT_TOKEN, Call, Json, Scenario, ScriptedUpstream
from clients.conformance.script import play
from reasoning_grpc.client import ReasoningClient, text_request
from reasoning_grpc.config import (
    CallerEntry,
    ClassifierEntry,
    Config,
    ConfigError,
    ModelEntry,
    ProxyEntry,
    Settings,
    ToolEntry,
    token_hash,
)
from reasoning_grpc.config.entries import model_entry
from reasoning_grpc.server import Server
from reasoning_grpc.types import Secret
from reasoning_grpc.v1.reasoning_service_pb2_grpc import (
    ReasoningServiceStub,
    add_ReasoningServiceServicer_to_server,
)
from tests.support.upstream import FakeUpstream, refusing_api_base

RESTRICTED_TOKEN: Final = "restricted-token"
"""May use the models and routes that are named in `_callers` alone."""
OWN_KEY_TOKEN: Final = "own-key-token"
"""Its calls use a key of the caller's own upstream."""
DEFAULT_MODEL: Final = "default"
CLASSIFIER_MODEL: Final = "classifier"
HELD_MODEL: Final = "held"
"""The model whose call keeps the draining server from stopping."""
_PROXY: Final = "proxy"
_UPSTREAM_KEYS: Final = {"UPSTREAM_KEY": "sk-conformance"}
_DRAIN_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Host:
    """Servers that wait for runners, one after the other; before each they are prepared."""

    scenarios: Sequence[Scenario]
    addresses: Mapping[str, str]
    certificate_authority: str
    upstreams: Mapping[str, FakeUpstream]
    """By the name of the model."""

    async def prepare(self) -> None:
        """Gives the upstreams their answers, for one runner, and has them forget the last one."""
        for upstream in {*self.upstreams.values()} - {self.upstreams[HELD_MODEL]}:
            await upstream.idle()
            upstream.forget()
        for name, told in _scripted(self.scenarios).items():
            for each in told:
                play(self.upstreams[name], each.answers)

    def plan(self) -> dict[str, Any]:
        """What the runner is to read."""
        return {
            "addresses": dict(self.addresses),
            "certificate_authority": self.certificate_authority,
            "scenarios": [{"name": each.name, **_planned(each)} for each in self.scenarios],
        }

    async def complaints(self, scenario: Scenario) -> list[str]:
        """What the upstreams of a scenario saw otherwise than expected. Waits for disconnects."""
        found = []
        for name in scenario.upstreams:
            upstream = self.upstreams.get(name)
            if upstream is None:
                continue
            calls, disconnects = self._expected(name)
            try:
                await upstream.disconnect(disconnects) if disconnects else await upstream.idle()
            except AssertionError as exc:
                found.append(str(exc))
            came = sum(request.method == "POST" for request in upstream.requests)
            if came != calls:
                found.append(f"the upstream of {name} expected {calls} requests, {came} came")
        return found

    def _expected(self, name: str) -> tuple[int, int]:
        """Requests and disconnects of a model, in all scenarios that use it."""
        told = [each.upstreams[name] for each in self.scenarios if name in each.upstreams]
        return sum(each.expected_calls for each in told), sum(each.disconnects for each in told)


@asynccontextmanager
async def hosting(scenarios: Sequence[Scenario]) -> AsyncIterator[Host]:
    """Serves everything that these scenarios need. Raises BadScenario and ConfigError."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        upstreams: dict[str, FakeUpstream] = {}
        for model in {DEFAULT_MODEL, HELD_MODEL, CLASSIFIER_MODEL, _PROXY, *_scripted(scenarios)}:
            upstreams[model] = await stack.enter_async_context(FakeUpstream())
        upstreams[HELD_MODEL].always.hang()
        refusing = stack.enter_context(refusing_api_base())
        config = _config(scenarios, upstreams, refusing)
        authority = trustme.CA()
        addresses = await _serve(stack, config, authority, directory)
        ca = directory / "ca.pem"
        authority.cert_pem.write_to_path(str(ca))
        for name, told in _scripted(scenarios).items():
            if any(each.proxied for each in told):
                upstreams[name] = upstreams[_PROXY]
        yield Host(scenarios, addresses, str(ca), upstreams)


def _scripted(scenarios: Iterable[Scenario]) -> dict[str, list[ScriptedUpstream]]:
    """What is told of each model, in the order of the scenarios."""
    found: dict[str, list[ScriptedUpstream]] = {}
    for scenario in scenarios:
        for name, upstream in scenario.upstreams.items():
            found.setdefault(name, []).append(upstream)
    return found


def _planned(scenario: Scenario) -> dict[str, Any]:
    call = scenario.call
    planned = {key: value for key, value in asdict(call).items() if value is not None}
    if scenario.upstreams and "request" in planned and call.rpc != "ListModels":
        planned["request"] = _with_model(call, copy.deepcopy(planned["request"]), next(iter(scenario.upstreams)))
    return planned


def _with_model(call: Call, request: dict[str, Any], model: str) -> Json:
    """The request, for the first of the scenario's models unless it names one."""
    inner = request if call.rpc == "Complete" else request.setdefault("request", {})
    inner.setdefault("model", model)
    return request


def _config(scenarios: Iterable[Scenario], upstreams: Mapping[str, FakeUpstream], refusing: str) -> Config:
    problems: list[str] = []
    scripted = _scripted(scenarios)
    entries = [_entry(name, {}, upstreams[name].api_base, problems) for name in (DEFAULT_MODEL, HELD_MODEL)]
    if CLASSIFIER_MODEL not in scripted:
        entries.append(_entry(CLASSIFIER_MODEL, {}, upstreams[CLASSIFIER_MODEL].api_base, problems))
    for name, (first, *_) in scripted.items():
        api_base = refusing if first.refuses else upstreams[name].api_base_for(first.protocol)
        if not first.proxied:
            table = {"litellm_model": f"{first.protocol}/{name}", **_as_in_toml(first.entry)}
            entries.append(_entry(name, table, api_base, problems))
    if problems:
        raise ConfigError(problems)
    proxied = [name for name, (first, *_) in scripted.items() if first.proxied]
    upstreams[_PROXY].model_info.lists(*proxied)
    return Config(
        settings=Settings(
            listen="127.0.0.1:0",
            default_model=DEFAULT_MODEL,
            max_retries=1,
            stall_timeout_seconds=3,
            max_messages=100,
        ),
        models={entry.name: entry for entry in entries},
        callers=_callers(),
        proxy=ProxyEntry(base_url=f"http://127.0.0.1:{upstreams[_PROXY].port}", api_key=Secret("sk-proxy")),
        classifier=ClassifierEntry(model=CLASSIFIER_MODEL, cache_entries=0),
        tools={"fail": ToolEntry(name="fail", function="clients.conformance.tools:fail")},
    )


def _entry(name: str, table: Json, api_base: str, problems: list[str]) -> ModelEntry:
    whole = {"litellm_model": f"openai/{name}", "api_base": api_base, "api_key_env": "UPSTREAM_KEY", **table}
    return model_entry(name, whole, _UPSTREAM_KEYS, problems)


def _as_in_toml(table: Json) -> dict[str, Any]:
    """The table as the configuration's reader has it: with decimals."""
    return {key: Decimal(str(value)) if isinstance(value, float) else value for key, value in table.items()}


def _callers() -> dict[str, CallerEntry]:
    callers = (
        CallerEntry(name="conformance", token_hash=token_hash(DEFAULT_TOKEN)),
        CallerEntry(
            name="restricted",
            token_hash=token_hash(RESTRICTED_TOKEN),
            allowed_models=frozenset({DEFAULT_MODEL}),
            allowed_routes=frozenset({"passthrough"}),
        ),
        CallerEntry(name="own-key", token_hash=token_hash(OWN_KEY_TOKEN), upstream_key=Secret("sk-own")),
    )
    return {caller.name: caller for caller in callers}


async def _serve(stack: AsyncExitStack, config: Config, authority: trustme.CA, directory: Path) -> dict[str, str]:
    """Starts every server; their addresses by the names that scenarios use."""
    addresses = {"server": await _started(stack, config)}
    addresses["tls"] = (
        "localhost:" + (await _started(stack, _under_tls(config, authority, directory))).rpartition(":")[2]
    )
    addresses["draining"] = await _draining(stack, config)
    addresses["newer"] = await _before(stack, addresses["server"], NewerServer)
    addresses["crowded"] = await _before(stack, addresses["server"], CrowdedServer)
    addresses["faulty"] = await _listening(stack, add_faulty_service(FaultyEngine()))
    return addresses


async def _started(stack: AsyncExitStack, config: Config) -> str:
    server = Server(config)
    await server.start()
    stack.push_async_callback(server.stop, grace_seconds=1)
    return server.address


def _under_tls(config: Config, authority: trustme.CA, directory: Path) -> Config:
    certificate, key = directory / "server.pem", directory / "server.key"
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    return replace(config, settings=replace(config.settings, tls_certificate=certificate, tls_key=key))


async def _draining(stack: AsyncExitStack, config: Config) -> str:
    """A server that would like to stop, and still has a call under way."""
    server = Server(config)
    await server.start()
    client = await stack.enter_async_context(ReasoningClient(server.address, token=DEFAULT_TOKEN))
    held = client.stream(text_request("hold", model=HELD_MODEL))
    await anext(held)
    stopping = asyncio.create_task(server.stop(_DRAIN_SECONDS))

    async def end() -> None:
        await held.aclose()
        with suppress(asyncio.CancelledError):
            await stopping

    stack.push_async_callback(end)
    return server.address


async def _before(stack: AsyncExitStack, address: str, kind: type[NewerServer]) -> str:
    """A server of this kind, which hands calls on to the address."""
    options = [("grpc.max_receive_message_length", -1)]
    channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=options))
    server = grpc.aio.server(options=options)
    add_ReasoningServiceServicer_to_server(kind(ReasoningServiceStub(channel)), server)
    return await _listening(stack, server)


async def _listening(stack: AsyncExitStack, server: grpc.aio.Server) -> str:
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stack.push_async_callback(server.stop, None)
    return f"127.0.0.1:{port}"
