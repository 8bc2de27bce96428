"""Callers with limits for tests, and what a call's trailers say of them."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import grpc

from reasoning_grpc.config import CallerEntry, Config, hash_token
from reasoning_grpc.domain import CallerLimits, Prices
from tests.support.serving import config_for, model_entry
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import read_to_end

PRICES = Prices(input=1_000_000_000, output=2_000_000_000)
"""1000 nano-dollars for each input token, 2000 for each output token."""


def limited_caller(name: str = "alice", **limits: Any) -> CallerEntry:
    """Builds a caller with these limits, whose token is its name."""
    return CallerEntry(name=name, token_hash=hash_token(name), limits=CallerLimits(**limits) if limits else None)


def limited_config(upstream: FakeUpstream, *callers: CallerEntry, **settings: Any) -> Config:
    """Builds a configuration with these callers, whose one model has prices."""
    entry = model_entry(upstream.api_base, prices=PRICES)
    return config_for(entry, callers={caller.name: caller for caller in callers}, **settings)


def bearer(caller: str) -> tuple[tuple[str, str]]:
    """Returns the metadata with a caller's token, which is its name."""
    return (("authorization", f"Bearer {caller}"),)


def read_limits(trailers: Any) -> dict[str, float]:
    """Returns the trailers `x-ratelimit-*` by their names without this prefix."""
    pairs: Mapping[str, Any] = dict(trailers or ())
    return {key.removeprefix("x-ratelimit-"): float(pairs[key]) for key in pairs if key.startswith("x-ratelimit-")}


async def read_limits_of(call: Any) -> dict[str, float]:
    """Waits for the end of a call, good or bad, and returns what its trailers say of the caller's limits."""
    with suppress(grpc.aio.AioRpcError):
        await (call if isinstance(call, grpc.aio.UnaryUnaryCall) else read_to_end(call))
    return read_limits(await call.trailing_metadata())
