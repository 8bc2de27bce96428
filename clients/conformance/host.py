"""Serves everything that a runner calls, builds the plan for it, and checks what the upstreams received."""

import copy
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trustme

from clients.conformance.configuration import DEFAULT_MODEL, HELD_MODEL, OWN_MODELS, PROXY, build_config, group_by_model
from clients.conformance.matching import find_differences
from clients.conformance.scenario import Call, Json, Scenario, ScriptedUpstream
from clients.conformance.script import play
from clients.conformance.servers import Servers, start_servers
from tests.support.upstream import CapturedRequest, FakeUpstream, refusing_api_base


@dataclass(frozen=True, slots=True)
class Host:
    """The servers for runners, which run one after the other. Call `prepare` before each of them."""

    scenarios: Sequence[Scenario]
    servers: Servers
    certificate_authority: str
    upstreams: Mapping[str, FakeUpstream]
    """The upstreams by the names of their models."""

    async def prepare(self) -> None:
        """Clears what the upstreams recorded for the last runner, and gives them the answers for the next one."""
        for upstream in {*self.upstreams.values()} - {self.upstreams[HELD_MODEL]}:
            await upstream.idle()
            upstream.forget()
        for name, scripts in group_by_model(self.scenarios).items():
            for script in scripts:
                play(self.upstreams[name], script.answers)
        self.servers.measured.sent_bytes = 0

    def build_plan(self) -> dict[str, Any]:
        """Builds the plan that a runner reads."""
        return {
            "addresses": dict(self.servers.addresses),
            "certificate_authority": self.certificate_authority,
            "scenarios": [{"name": each.name, **_plan_call(each)} for each in self.scenarios],
        }

    async def find_problems(self, scenario: Scenario) -> list[str]:
        """Returns what the servers and the scenario's upstreams received otherwise than expected.

        Waits until the expected disconnects have happened. Without upstreams of the scenario's own, no call may
        reach the default model.
        """
        found = []
        for name in scenario.upstreams or (DEFAULT_MODEL,):
            scripts = group_by_model(self.scenarios).get(name, [])
            found += [line async for line in _check_upstream(name, self.upstreams[name], scripts)]
        if scenario.call.address == "measured":
            found += self._check_sent_bytes()
        return found

    def _check_sent_bytes(self) -> Iterator[str]:
        """Checks all calls to the address together, because they may share the frames of one connection."""
        limit = sum(each.expect.max_sent_bytes or 0 for each in self.scenarios)
        if self.servers.measured.sent_bytes > limit:
            yield f"the client sent {self.servers.measured.sent_bytes} bytes, expected {limit} at most"


@asynccontextmanager
async def host_scenarios(scenarios: Sequence[Scenario]) -> AsyncIterator[Host]:
    """Serves everything that these scenarios need. Raises BadScenario and ConfigError."""
    models = group_by_model(scenarios)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        upstreams = {name: await stack.enter_async_context(FakeUpstream()) for name in {*OWN_MODELS, PROXY, *models}}
        upstreams[HELD_MODEL].always.hang()
        proxied = [name for name, scripts in models.items() if scripts[0].is_proxied]
        upstreams[PROXY].model_info.lists(*proxied)
        config = build_config(scenarios, upstreams, stack.enter_context(refusing_api_base()))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(directory / "ca.pem"))
        servers = await start_servers(stack, config, authority, directory)
        at_the_proxy = dict.fromkeys(proxied, upstreams[PROXY])
        yield Host(scenarios, servers, str(directory / "ca.pem"), upstreams | at_the_proxy)


async def _check_upstream(name: str, upstream: FakeUpstream, scripts: Sequence[ScriptedUpstream]) -> AsyncIterator[str]:
    """Compares what the upstream of a model received with the scripts of all scenarios that use the model."""
    disconnects = sum(script.disconnects for script in scripts)
    try:
        await upstream.disconnect(disconnects) if disconnects else await upstream.idle()
    except AssertionError as exc:
        yield str(exc)
    received = [request for request in upstream.requests if request.method == "POST"]
    calls = sum(script.expected_calls for script in scripts)
    if len(received) != calls:
        yield f"the upstream of {name} expected {calls} requests, {len(received)} came"
    if expected := [request for script in scripts for request in script.requests]:
        for line in find_differences(expected, [_describe(request) for request in received], f"requests of {name}"):
            yield line


def _describe(request: CapturedRequest) -> Json:
    """Describes a request in the way in which scenarios do."""
    return {"headers": {key.lower(): value for key, value in request.headers.items()}, "body": request.body}


def _plan_call(scenario: Scenario) -> dict[str, Any]:
    call = scenario.call
    planned = {key: value for key, value in asdict(call).items() if value is not None}
    if scenario.upstreams and "request" in planned and call.rpc != "ListModels":
        planned["request"] = _set_model(call, copy.deepcopy(planned["request"]), next(iter(scenario.upstreams)))
    return planned


def _set_model(call: Call, request: dict[str, Any], model: str) -> Json:
    """Sets the model of the request to the first one of the scenario, unless the request names a model."""
    inner = request if call.rpc == "Complete" else request.setdefault("request", {})
    inner.setdefault("model", model)
    return request
