"""Callers with keys of their own for tests: their entries, their calls, and the keys that an upstream got."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, ModelEntry, hash_token
from reasoning_grpc.domain import Secret, Wire
from tests.support.factories import a_wire_request
from tests.support.serving import UPSTREAM_KEY, RunningServer, model_entry, provider_entry
from tests.support.upstream import CapturedRequest, FakeUpstream

ALICE: Final = "sk-own-of-alice"
OTHER: Final = "sk-other-of-alice"
BOB: Final = "sk-own-of-bob"
KEYS: Final = (ALICE, OTHER, BOB, UPSTREAM_KEY)
FOREIGN: Final = "cloudflare"
"""A provider of the OpenAI protocol that litellm reaches over its own connections."""
PROVIDERS: Final = (
    "openai",
    "responses",
    "azure",
    "litellm_proxy",
    "hosted_vllm",
    "anthropic",
    "gemini",
    "bedrock",
    FOREIGN,
)
"""Providers of every way and every protocol."""


def build_callers(**keys: Mapping[str, str]) -> dict[str, CallerEntry]:
    """Returns callers with these keys of their own, by the callers' names, and Eve, who has none."""
    return {
        name: CallerEntry(
            name=name,
            token_hash=hash_token(name),
            upstream_keys={model: Secret(key) for model, key in own.items()},
        )
        for name, own in {**keys, "eve": {}}.items()
    }


def build_entry(upstream: FakeUpstream, provider: str, name: str = "fake", **overrides: Any) -> ModelEntry:
    """Builds the entry of a model of this provider behind the fake upstream."""
    if provider == "responses":
        return model_entry(upstream.api_base, name, wire=Wire.RESPONSES, **overrides)
    if provider in {FOREIGN, "litellm_proxy"}:
        return model_entry(upstream.api_base, name, litellm_model=f"{provider}/{name}", untested=True, **overrides)
    return provider_entry(upstream, provider, name, **overrides)


async def make_call(running: RunningServer, caller: str, rpc: str = "Complete", **fields: Any) -> None:
    """Makes a call by this RPC. Raises CallFailed."""
    client = running.client(token=caller)
    request = a_wire_request(**fields)
    if rpc == "Complete":
        await client.complete(request)
    else:
        async for _ in client.stream(request):
            pass


async def expect_failed_call(running: RunningServer, caller: str, rpc: str, **fields: Any) -> CallFailed:
    """Makes a call that must fail, and returns its failure."""
    with pytest.raises(CallFailed) as failed:
        await make_call(running, caller, rpc, **fields)
    return failed.value


def find_keys(requests: Iterable[CapturedRequest]) -> list[list[str]]:
    """Returns for each request the keys that it carries, wherever they stand."""
    whole = [f"{request.path} {list(request.headers.items())} {request.raw!r}" for request in requests]
    return [[key for key in KEYS if key in each] for each in whole]
