"""Two callers under load together: neither sees the other's limits, keys or texts."""

import asyncio
import logging
from collections import Counter
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.domain import CallerLimits, Secret
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.limits import PRICES, bearer, read_limits
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import read_to_end

CALLS: Final = 120
LIMITS: Final = {"alice": 25, "bob": 60}
"""The requests a minute of each caller."""


def build_caller(name: str) -> CallerEntry:
    """Builds a caller with limits, and with a key of its own for every model of the provider."""
    return CallerEntry(
        name=name,
        token_hash=hash_token(name),
        upstream_keys={"openai/*": Secret(f"sk-of-{name}")},
        limits=CallerLimits(requests_per_minute=LIMITS[name], tokens_per_minute=1_000_000 + LIMITS[name]),
    )


class Load:
    """The calls of one caller, and what came back."""

    def __init__(self, stub: Any, name: str) -> None:
        self._stub = stub
        self._name = name
        self.outcomes = Counter[str]()
        self.received: list[str] = []
        """All that the caller received, as text."""
        self.limits: set[tuple[str, float]] = set()
        """The limits that the trailers named."""

    async def make_calls(self) -> None:
        """Makes all calls at once, streams and unary ones in turn."""
        await asyncio.gather(*(self._make_call(number) for number in range(CALLS)))

    async def _make_call(self, number: int) -> None:
        canary = f"canary-of-{self._name}-{number}"
        if number % 2:
            call = self._stub.Complete(a_wire_request(canary), metadata=bearer(self._name))
        else:
            call = self._stub.StreamComplete(a_stream_request(canary), metadata=bearer(self._name))
        try:
            answer = await (call if number % 2 else read_to_end(call))
        except grpc.aio.AioRpcError as error:
            self.outcomes[CallFailed(error).reason] += 1
            self.received.append(repr((error.details(), error.trailing_metadata())))
        else:
            self.outcomes["OK"] += 1
            assert canary in str(answer)
            self.received.append(str(answer))
        trailers = await call.trailing_metadata()
        self.received.append(repr(trailers))
        found = read_limits(trailers)
        self.limits |= {(key, found[key]) for key in found if key.startswith("limit-")}


async def test_callers_under_load_see_nothing_of_each_other(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """Each gets as many calls as its own limit allows; its answers, keys and trailers are its own."""
    caplog.set_level(logging.DEBUG, "reasoning_grpc")
    upstream.always.reply_by(lambda body: str(body["messages"][-1]["content"]))
    config = config_for(
        model_entry(upstream.api_base, prices=PRICES), callers={name: build_caller(name) for name in LIMITS}
    )

    async with serving(config) as running:
        loads = {name: Load(running.stub, name) for name in LIMITS}
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.gather(*(load.make_calls() for load in loads.values()))
        minutes = (loop.time() - started) / 60

    for name, other in (("alice", "bob"), ("bob", "alice")):
        load, limit = loads[name], LIMITS[name]
        assert load.outcomes.keys() == {"OK", "CALLER_LIMIT"}
        assert limit <= load.outcomes["OK"] <= limit * (1 + minutes) + 1
        assert load.limits == {("limit-requests", limit), ("limit-tokens", 1_000_000 + limit)}
        for secret in (f"canary-of-{other}", f"sk-of-{other}", other):
            assert secret not in "".join(load.received)
        sent = [request for request in upstream.requests if f"canary-of-{name}" in str(request.body)]
        assert len(sent) == load.outcomes["OK"]
        assert {request.headers["Authorization"] for request in sent} == {f"Bearer sk-of-{name}"}
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "canary-of" not in logged
    assert "sk-of" not in logged
