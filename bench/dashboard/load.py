"""The load behind the picture of the dashboard: calls of every kind, of three callers, and an upstream that fails."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import grpc

from reasoning_grpc.config import CallerEntry, ClassifierEntry, Config, ToolEntry, hash_token
from reasoning_grpc.domain import Capability, Prices
from reasoning_grpc.v1 import routing_pb2
from tests.support.agent import TOOLS, plan_call, reasoning_request, write_plan
from tests.support.classification import write_choice
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, proxy_entry
from tests.support.upstream import FakeUpstream, Standing
from tests.support.wire_calls import read_to_end

_CALLERS: Final = ("web", "batch", "mobile")
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
        FakeUpstream() as judge,
    ):
        large.always.reply(*_WORDS, interval_seconds=0.03)
        step, answer = Standing(), Standing()
        step.reply(write_plan(plan_call("weather", city="Paris"), plan_call("fail"), concurrent=True))
        answer.reply("It ", "rains ", "in ", "Paris.", interval_seconds=0.01)
        thinker.always.choose(lambda body: step if "response_format" in body else answer)
        judge.always.reply(write_choice("passthrough"))
        judge.model_info.lists("listed")
        yield Upstreams(fast, spare, large, thinker, judge)


def build_config(upstreams: Upstreams) -> Config:
    """Builds the configuration of the server under load. Its breakers open soon, and try again after two seconds."""
    priced: dict[str, Any] = {"prices": Prices(input=250_000_000_000, output=1_000_000_000_000)}
    json_schema = frozenset({Capability.JSON_SCHEMA})
    entries = (
        model_entry(upstreams.fast.api_base, "fast", fallback_models=("spare",), **priced),
        model_entry(upstreams.spare.api_base, "spare", **priced),
        model_entry(upstreams.fast.api_base, "alone", **priced),
        model_entry(upstreams.large.api_base, "large", **priced),
        model_entry(upstreams.thinker.api_base, "thinker", capabilities=json_schema, **priced),
        model_entry(upstreams.judge.api_base, "judge", capabilities=json_schema),  # without prices
    )
    callers = {name: CallerEntry(name=name, token_hash=hash_token(name)) for name in _CALLERS}
    settings: dict[str, Any] = {"breaker_min_calls": 10, "breaker_open_seconds": 2.0, "max_calls_in_flight": 16}
    settings |= {"max_queued_calls": 8, "admission_queue_seconds": 0.2, "discovery_ttl_seconds": 20.0}
    config = config_for(*entries, callers=callers, agent_max_steps=2, **settings)
    tools = {name: ToolEntry(name=name, function=TOOLS[name]) for name in ("weather", "fail")}
    classifier = ClassifierEntry(model="judge", cache_entries=0)
    return replace(config, tools=tools, classifier=classifier, proxy=proxy_entry(upstreams.judge))


class Load:
    """Makes calls for a time. In the middle third of it the upstream `fast` answers 503 to everything."""

    def __init__(self, running: RunningServer, upstreams: Upstreams) -> None:
        self._stub: Any = running.stub
        self._upstreams = upstreams
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
                (self._classify, 0.7),
                (self._burst, seconds / 5),
            ):
                group.create_task(self._repeat(make_call, interval_seconds, seconds))
            group.create_task(self._fail_for_a_third())

    async def _fail_for_a_third(self) -> None:
        always = self._upstreams.fast.always
        await asyncio.sleep(self.fault[0])
        always.fail(503)
        await asyncio.sleep(self.fault[1] - self.fault[0])
        always.reply("All ", "is ", "well.")

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
        await self._stub.Complete(a_wire_request(), metadata=_authorize(random.choice(_CALLERS)))

    async def _complete_alone(self) -> None:
        """Calls a model that has no fallback model."""
        await self._stub.Complete(a_wire_request(model="alone"), metadata=_authorize("batch"))

    async def _stream(self) -> None:
        request = a_stream_request(model="large")
        await read_to_end(self._stub.StreamComplete(request, metadata=_authorize("web")))

    async def _reason(self) -> None:
        await self._stub.Complete(reasoning_request(model="thinker"), metadata=_authorize("batch"))

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
