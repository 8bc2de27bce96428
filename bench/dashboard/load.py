"""The load behind the picture of the dashboard: calls of every kind, of three callers, and an upstream that fails."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from reasoning_grpc.config import hash_token
from reasoning_grpc.v1 import routing_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from scripts.pages import ROOT
from tests.support.agent import TOOLS, plan_call, reasoning_request, write_plan
from tests.support.classification import write_choice
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.orchestration import Team, orchestration_request, plan_task
from tests.support.server_process import ServerFolder
from tests.support.upstream import FakeUpstream, Standing
from tests.support.wire_calls import read_to_end
from tests.support.workers import OWN_CONNECTION, RunningWorkers, serving_workers

_CALLERS: Final = {
    "web": "tokens_per_minute = 40_000\nusd_per_day = 20",
    "batch": "calls_in_flight = 8",
    "mobile": "requests_per_minute = 200",
}
"""The callers, with their limits."""
_CONNECTIONS: Final = 8
_PRICES: Final = "input_usd_per_million = 250\noutput_usd_per_million = 1000"
_OPTIONS: Final = """
default_model = "fast"
breaker_min_calls = 10
breaker_open_seconds = 2
max_calls_in_flight = 8
max_queued_calls = 8
admission_queue_seconds = 0.2
discovery_ttl_seconds = 20
agent_max_steps = 2
[classifier]
strategy = "model"
model = "judge"
cache_entries = 0
"""
_AUTO: Final = routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_AUTO)
_WORDS: Final = [f"word{number} " for number in range(40)]


@dataclass(frozen=True)
class Upstreams:
    """The upstreams of the load, one for each model."""

    fast: FakeUpstream
    """The one that fails for a time."""
    spare: FakeUpstream
    """Takes over what `fast` does not answer."""
    large: FakeUpstream
    """Streams long answers."""
    thinker: FakeUpstream
    """Plans for the agent."""
    team: FakeUpstream
    """Plans tasks and works on them."""
    judge: FakeUpstream
    """Classifies."""


@asynccontextmanager
async def serve_upstreams() -> AsyncIterator[Upstreams]:
    """Runs the upstreams."""
    async with (
        FakeUpstream() as fast,
        FakeUpstream() as spare,
        FakeUpstream() as large,
        FakeUpstream() as thinker,
        FakeUpstream() as team,
        FakeUpstream() as judge,
    ):
        large.always.reply(*_WORDS, interval_seconds=0.03)
        step, answer = Standing(), Standing()
        step.reply(write_plan(plan_call("weather", city="Paris"), plan_call("fail"), concurrent=True))
        answer.reply("It ", "rains ", "in ", "Paris.", interval_seconds=0.01)
        thinker.always.choose(lambda body: step if "response_format" in body else answer)
        Team(team, plan_task("a"), plan_task("b"), plan_task("c", "a", "b"), interval_seconds=0.03)
        judge.always.reply(write_choice("passthrough"))
        judge.model_info.lists("listed")
        yield Upstreams(fast, spare, large, thinker, team, judge)


def write_config(folder: Path, upstreams: Upstreams) -> None:
    """Writes the configuration of the server under load. Its breakers open soon, and try again after two seconds."""
    models = {
        "fast": (upstreams.fast, f'fallback_models = ["spare"]\n{_PRICES}'),
        "spare": (upstreams.spare, _PRICES),
        "alone": (upstreams.fast, _PRICES),
        "large": (upstreams.large, _PRICES),
        "thinker": (upstreams.thinker, f'capabilities = ["json_schema"]\n{_PRICES}'),
        "team": (upstreams.team, f'capabilities = ["json_schema"]\n{_PRICES}'),
        "judge": (upstreams.judge, 'capabilities = ["json_schema"]'),  # without prices
    }
    entries = [
        f'[models.{name}]\nlitellm_model = "openai/{name}"\napi_base = "{upstream.api_base}"\n{more}'
        for name, (upstream, more) in models.items()
    ]
    callers = [f'[callers.{name}]\ntoken_hash = "{hash_token(name)}"\n{limits}' for name, limits in _CALLERS.items()]
    tools = [f'[tools.{name}]\nfunction = "{TOOLS[name]}"' for name in ("weather", "fail")]
    (folder / "reasoning.toml").write_text("\n".join([_OPTIONS, *entries, *callers, *tools]))


@asynccontextmanager
async def serve(folder: Path, upstreams: Upstreams) -> AsyncIterator[RunningWorkers]:
    """Runs a server with two workers and an admin port."""
    write_config(folder, upstreams)
    judge = {"LITELLM_BASE_URL": f"http://127.0.0.1:{upstreams.judge.port}", "LITELLM_API_KEY": "sk-proxy"}
    server = ServerFolder(folder, upstreams.fast, variables={"PYTHONPATH": str(ROOT), **judge})
    async with serving_workers(server) as running:
        yield running


class Load:
    """Makes calls for a time. In the middle third of it the upstream `fast` answers 503 to everything.

    Before that the server is reloaded with a file that has a mistake, and then with one that has none; after it one of
    the two workers is killed.
    """

    def __init__(self, running: RunningWorkers, upstreams: Upstreams) -> None:
        self._running = running
        self._upstreams = upstreams
        channels = [grpc.aio.insecure_channel(running.address, options=OWN_CONNECTION) for _ in range(_CONNECTIONS)]
        self._stubs: list[Any] = [ReasoningServiceStub(channel) for channel in channels]
        self.outcomes: Counter[str] = Counter()
        """The calls by the names of their codes."""
        self.fault = (0.0, 0.0)
        """When the fault begins and ends, in seconds from the start."""

    async def run(self, seconds: float) -> None:
        """Runs the load, and waits for its last calls."""
        self.fault = seconds / 3, seconds * 2 / 3
        async with asyncio.TaskGroup() as group:
            for make_call, interval_seconds in (
                (self._complete, 0.12),
                (self._complete_alone, 0.6),
                (self._stream, 0.4),
                (self._reason, 1.0),
                (self._orchestrate, 2.0),
                (self._classify, 0.7),
                (self._burst, seconds / 5),
            ):
                group.create_task(self._repeat(make_call, interval_seconds, seconds))
            group.create_task(self._fail_for_a_third())
            group.create_task(self._reload_twice(seconds / 10, seconds / 5))
            group.create_task(self._kill_worker(seconds * 5 / 6))

    @property
    def _stub(self) -> Any:
        return random.choice(self._stubs)

    async def _fail_for_a_third(self) -> None:
        always = self._upstreams.fast.always
        await asyncio.sleep(self.fault[0])
        always.fail(503)
        await asyncio.sleep(self.fault[1] - self.fault[0])
        always.reply("All ", "is ", "well.")

    async def _reload_twice(self, broken_at: float, repaired_at: float) -> None:
        file = Path(self._running.server.log.parent, "reasoning.toml")
        good = await asyncio.to_thread(file.read_text)
        await asyncio.sleep(broken_at)
        await asyncio.to_thread(file.write_text, "max_retries = -1\n" + good)
        self._running.server.process.send_signal(signal.SIGHUP)
        await asyncio.sleep(repaired_at - broken_at)
        await asyncio.to_thread(file.write_text, good)
        self._running.server.process.send_signal(signal.SIGHUP)

    async def _kill_worker(self, at: float) -> None:
        await asyncio.sleep(at)
        os.kill((await self._running.describe())[0]["process_id"], signal.SIGKILL)

    async def _repeat(self, make_call: Callable[[], Awaitable[Any]], interval_seconds: float, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        async with asyncio.TaskGroup() as calls:
            while loop.time() < end:
                calls.create_task(self._settle(make_call))
                await asyncio.sleep(random.expovariate(1 / interval_seconds))

    async def _settle(self, make_call: Callable[[], Awaitable[Any]]) -> None:
        try:
            await make_call()
            self.outcomes["OK"] += 1
        except grpc.aio.AioRpcError as error:
            self.outcomes[error.code().name] += 1

    async def _complete(self) -> None:
        await self._stub.Complete(a_wire_request(), metadata=_authorize(random.choice(list(_CALLERS))))

    async def _complete_alone(self) -> None:
        """Calls a model that has no fallback model."""
        await self._stub.Complete(a_wire_request(model="alone"), metadata=_authorize("batch"))

    async def _stream(self) -> None:
        request = a_stream_request(model="large")
        await read_to_end(self._stub.StreamComplete(request, metadata=_authorize("web")))

    async def _reason(self) -> None:
        await self._stub.Complete(reasoning_request(model="thinker"), metadata=_authorize("batch"))

    async def _orchestrate(self) -> None:
        await self._stub.Complete(orchestration_request(model="team"), metadata=_authorize("batch"))

    async def _classify(self) -> None:
        request = a_wire_request(f"question {random.random()}", routing=_AUTO)
        await self._stub.Complete(request, metadata=_authorize("mobile"))

    async def _burst(self) -> None:
        """Makes more calls at once than the server takes, so that some wait and some are refused."""
        async with asyncio.TaskGroup() as calls:
            for _ in range(30):
                calls.create_task(self._settle(self._stream))


def _authorize(caller: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {caller}"),)
