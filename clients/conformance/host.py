"""Everything that a runner calls, the plan for it, and what the upstreams must have seen."""

import copy
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trustme

from clients.conformance.configuration import DEFAULT_MODEL, HELD_MODEL, OWN_MODELS, PROXY, configuration, scripted
from clients.conformance.matching import differences
from clients.conformance.scenario import Call, Json, Scenario, ScriptedUpstream
from clients.conformance.script import play
from clients.conformance.servers import Servers, serve
from tests.support.upstream import CapturedRequest, FakeUpstream, refusing_api_base


@dataclass(frozen=True, slots=True)
class Host:
    """Servers that wait for runners, one after the other; before each they are prepared."""

    scenarios: Sequence[Scenario]
    servers: Servers
    certificate_authority: str
    upstreams: Mapping[str, FakeUpstream]
    """By the name of the model."""

    async def prepare(self) -> None:
        """Gives the upstreams their answers, for one runner, and has them forget the last one."""
        for upstream in {*self.upstreams.values()} - {self.upstreams[HELD_MODEL]}:
            await upstream.idle()
            upstream.forget()
        for name, told in scripted(self.scenarios).items():
            for each in told:
                play(self.upstreams[name], each.answers)
        self.servers.measured.sent_bytes = 0

    def plan(self) -> dict[str, Any]:
        """What the runner is to read."""
        return {
            "addresses": dict(self.servers.addresses),
            "certificate_authority": self.certificate_authority,
            "scenarios": [{"name": each.name, **_planned(each)} for each in self.scenarios],
        }

    async def complaints(self, scenario: Scenario) -> list[str]:
        """What was sent otherwise than expected, to us and to the scenario's upstreams. Waits for disconnects."""
        found = []
        for name in scenario.upstreams or (DEFAULT_MODEL,):  # which nothing may reach
            found += [line async for line in _seen_otherwise(name, self.upstreams[name], self._told(name))]
        if scenario.call.address == "measured":
            found += self._sent_too_much()
        return found

    def _told(self, name: str) -> list[ScriptedUpstream]:
        """What all scenarios that use a model say of it."""
        return scripted(self.scenarios).get(name, [])

    def _sent_too_much(self) -> Iterator[str]:
        """All calls of the address together, for they may share what a connection itself sends."""
        most = sum(each.expect.most_sent_bytes or 0 for each in self.scenarios)
        if self.servers.measured.sent_bytes > most:
            yield f"the client sent {self.servers.measured.sent_bytes} bytes, expected {most} at the most"


@asynccontextmanager
async def hosting(scenarios: Sequence[Scenario]) -> AsyncIterator[Host]:
    """Serves everything that these scenarios need. Raises BadScenario and ConfigError."""
    models = scripted(scenarios)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        upstreams = {name: await stack.enter_async_context(FakeUpstream()) for name in {*OWN_MODELS, PROXY, *models}}
        upstreams[HELD_MODEL].always.hang()
        proxied = [name for name, told in models.items() if told[0].proxied]
        upstreams[PROXY].model_info.lists(*proxied)
        config = configuration(scenarios, upstreams, stack.enter_context(refusing_api_base()))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(directory / "ca.pem"))
        servers = await serve(stack, config, authority, directory)
        at_the_proxy = dict.fromkeys(proxied, upstreams[PROXY])
        yield Host(scenarios, servers, str(directory / "ca.pem"), upstreams | at_the_proxy)


async def _seen_otherwise(name: str, upstream: FakeUpstream, told: Sequence[ScriptedUpstream]) -> AsyncIterator[str]:
    """What the upstream of a model saw otherwise than all that is told of it."""
    disconnects = sum(each.disconnects for each in told)
    try:
        await upstream.disconnect(disconnects) if disconnects else await upstream.idle()
    except AssertionError as exc:
        yield str(exc)
    came = [request for request in upstream.requests if request.method == "POST"]
    calls = sum(each.expected_calls for each in told)
    if len(came) != calls:
        yield f"the upstream of {name} expected {calls} requests, {len(came)} came"
    if wanted := [request for each in told for request in each.requests]:
        for line in differences(wanted, [_as_told(request) for request in came], f"requests of {name}"):
            yield line


def _as_told(request: CapturedRequest) -> Json:
    """A request in the words of scenarios."""
    return {"headers": {key.lower(): value for key, value in request.headers.items()}, "body": request.body}


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
