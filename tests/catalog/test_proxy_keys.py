"""The calls of a caller with its own key send that key, and no other, to the LiteLLM proxy."""

import logging
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.domain import Secret
from tests.support.factories import a_wire_request
from tests.support.proxy import describe, serving_behind
from tests.support.serving import UPSTREAM_KEY, model_entry
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure

ALICE: Final = "sk-virtual-alice"
BOB: Final = "sk-virtual-bob"


def build_callers() -> dict[str, CallerEntry]:
    """Returns Alice and Bob, whose calls use their own keys, and Eve, whose calls use the server's key."""
    keys = {"alice": {"litellm_proxy/*": Secret(ALICE)}, "bob": {"litellm_proxy/*": Secret(BOB)}, "eve": {}}
    return {name: CallerEntry(name=name, token_hash=hash_token(name), upstream_keys=own) for name, own in keys.items()}


def build_metadata(name: str) -> tuple[tuple[str, str], ...]:
    """Returns the metadata of a caller."""
    return (("authorization", f"Bearer {name}"),)


async def test_a_callers_own_key_is_sent_to_the_proxy(upstream: FakeUpstream) -> None:
    """A caller's own key is sent only with its calls through the proxy, over the connection that all share."""
    upstream.model_info.lists("m")
    entries = (
        model_entry(upstream.api_base, "configured", litellm_model="litellm_proxy/m"),
        model_entry(upstream.api_base, "direct"),
    )

    async with serving_behind(upstream, *entries, callers=build_callers()) as running:
        stub: Any = running.stub
        for model in ("m", "configured", "direct"):
            for caller in ("alice", "bob", "eve", "alice"):
                await stub.Complete(a_wire_request(model=model), metadata=build_metadata(caller))

    info, *calls = upstream.requests
    assert info.headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"
    through_the_proxy = [f"Bearer {key}" for key in (ALICE, BOB, UPSTREAM_KEY, ALICE)]
    assert [call.headers["Authorization"] for call in calls] == [
        *through_the_proxy,
        *through_the_proxy,
        *[f"Bearer {UPSTREAM_KEY}"] * 4,
    ]
    assert upstream.connections == 2


@pytest.mark.parametrize(
    ("status", "options"),
    [(401, {}), (403, {}), (400, {"code": "no_db_connection"})],
    ids=["401", "403", "no database"],
)
async def test_a_refused_key_of_a_caller_is_the_callers_mistake(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, status: int, options: dict[str, Any]
) -> None:
    """A refused key of a caller is its own mistake, is tried once and never logged; the server's is the operator's."""
    caplog.set_level(logging.DEBUG)
    upstream.model_info.lists("m", "spare")
    upstream.always.fail(status, **options)

    async with serving_behind(upstream, callers=build_callers()) as running:
        stub: Any = running.stub
        request = a_wire_request(model="m", fallback_models=["spare"])
        refused = await expect_failure(stub.Complete(request, metadata=build_metadata("alice")))
        calls = len(upstream.requests)
        servers = await expect_failure(stub.Complete(a_wire_request(model="m"), metadata=build_metadata("eve")))

    assert describe(refused) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "UPSTREAM_KEY_REJECTED",
        'The upstream of the model "m" refused the caller\'s key.',
    )
    assert calls == 2
    assert (servers.code, servers.reason) == (grpc.StatusCode.INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED")
    logged = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    for secret in (ALICE, BOB, UPSTREAM_KEY):
        assert secret not in logged
        assert secret not in str((refused, refused.metadata, refused.__cause__))
