"""Callers prove who they are by a token, may use only their models, and no token appears anywhere else."""

import logging
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.domain import ANONYMOUS, Caller
from reasoning_grpc.domain.errors import CredentialsInvalid
from reasoning_grpc.rpc.authentication import Callers
from reasoning_grpc.v1 import classification_pb2, models_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure, read_to_end

ALL_TOKEN: Final = "rgt_the-token-of-alice"
SOME_TOKEN: Final = "rgt_the-token-of-bob"
MISSING: Final = (
    grpc.StatusCode.UNAUTHENTICATED,
    "CREDENTIALS_MISSING",
    'A token is required: send the metadata "authorization: Bearer TOKEN".',
)
WRONG: Final = (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID", "The token is not valid.")

Metadata = tuple[tuple[str, str], ...]


def bearer(token: str) -> Metadata:
    """Creates the metadata with a token."""
    return (("authorization", f"Bearer {token}"),)


@pytest.fixture
async def guarded(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """Runs a server with two callers: alice may use both models, and bob may use only "small"."""
    callers = {
        "alice": CallerEntry(name="alice", token_hash=hash_token(ALL_TOKEN)),
        "bob": CallerEntry(name="bob", token_hash=hash_token(SOME_TOKEN), allowed_models=frozenset({"small"})),
    }
    models = (model_entry(upstream.api_base, "large"), model_entry(upstream.api_base, "small"))
    async with serving(config_for(*models, callers=callers)) as running:
        yield running


def start_request_calls(running: RunningServer, metadata: Metadata = (), **fields: Any) -> list[Any]:
    """Starts one call of each method that takes a request to complete."""
    classify = classification_pb2.ClassifyRequest(request=a_wire_request(**fields))
    return [
        running.stub.Complete(a_wire_request(**fields), metadata=metadata),
        read_to_end(running.stub.StreamComplete(a_stream_request(**fields), metadata=metadata)),
        running.stub.Classify(classify, metadata=metadata),
    ]


def list_models(running: RunningServer, metadata: Metadata = ()) -> Any:
    """Starts a call of `ListModels`."""
    return running.stub.ListModels(models_pb2.ListModelsRequest(), metadata=metadata)


REFUSED = [
    pytest.param((), MISSING, id="no token"),
    pytest.param((("x-authorization", f"Bearer {ALL_TOKEN}"),), MISSING, id="a token in another header"),
    pytest.param(bearer("rgt_wrong"), WRONG, id="wrong"),
    pytest.param(bearer(""), WRONG, id="empty"),
    pytest.param((("authorization", ""),), WRONG, id="empty header"),
    pytest.param(bearer(ALL_TOKEN[:-1]), WRONG, id="all but one character"),
    pytest.param(bearer(ALL_TOKEN.upper()), WRONG, id="other case"),
    pytest.param(bearer(hash_token(ALL_TOKEN)), WRONG, id="the hash itself"),
    pytest.param(bearer("x" * 7000), WRONG, id="7 KB"),
    pytest.param((("authorization", ALL_TOKEN),), WRONG, id="no scheme"),
    pytest.param((("authorization", f"Basic {ALL_TOKEN}"),), WRONG, id="another scheme"),
    pytest.param((*bearer(ALL_TOKEN), *bearer(ALL_TOKEN)), WRONG, id="the same header twice"),
    pytest.param((*bearer(ALL_TOKEN), *bearer("rgt_wrong")), WRONG, id="two headers, the right one first"),
    pytest.param((*bearer("rgt_wrong"), *bearer(ALL_TOKEN)), WRONG, id="two headers, the right one last"),
]


@pytest.mark.parametrize(("metadata", "expected"), REFUSED)
async def test_without_a_valid_token_nothing_is_served(
    upstream: FakeUpstream,
    guarded: RunningServer,
    metadata: Metadata,
    expected: tuple[grpc.StatusCode, str, str],
) -> None:
    """Without a valid token every method fails with a fixed text, which repeats nothing that the caller sent."""
    for call in (*start_request_calls(guarded, metadata), list_models(guarded, metadata)):
        failed = await expect_failure(call)

        assert (failed.code, failed.reason, failed.message) == expected
        assert failed.metadata == {}
    assert upstream.connections == 0


async def test_a_token_of_a_megabyte_is_refused_by_grpc(guarded: RunningServer) -> None:
    """grpc refuses a token of a megabyte as too much metadata, and the next call is served."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await list_models(guarded, bearer("x" * 2**20))

    assert failed.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert CallFailed(failed.value).reason == ""
    assert guarded.server.calls_in_flight == 0
    assert len((await list_models(guarded, bearer(ALL_TOKEN))).models) == 2


async def test_credentials_are_checked_before_the_request(guarded: RunningServer) -> None:
    """A caller without a token does not learn what is wrong with its request."""
    complete: Any = guarded.channel.unary_unary("/reasoning_grpc.v1.ReasoningService/Complete")

    failed = await expect_failure(complete(b"\xff"))

    assert (failed.code, failed.reason, failed.message) == MISSING


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(f"Bearer {ALL_TOKEN}", id="as documented"),
        pytest.param(f"bearer {ALL_TOKEN}", id="lower case"),
        pytest.param(f"BEARER   {ALL_TOKEN}  ", id="upper case and spaces"),
    ],
)
async def test_a_valid_token_is_accepted(guarded: RunningServer, value: str) -> None:
    """Every method accepts a valid token, with the scheme in upper or lower case."""
    for call in start_request_calls(guarded, (("authorization", value),)):
        await call

    listed = await list_models(guarded, (("authorization", value),))
    assert [model.name for model in listed.models] == ["large", "small"]


async def test_a_caller_may_have_several_tokens(upstream: FakeUpstream) -> None:
    """While a token is rotated both are the caller's, and one that was removed is nobody's."""
    hashes = tuple(hash_token(token) for token in ("rgt_old", "rgt_new"))
    callers = {"alice": CallerEntry(name="alice", token_hashes=hashes)}

    async with serving(config_for(model_entry(upstream.api_base), callers=callers)) as running:
        for token in ("rgt_old", "rgt_new"):
            await list_models(running, bearer(token))
        failed = await expect_failure(list_models(running, bearer("rgt_older")))

    assert failed.reason == "CREDENTIALS_INVALID"


async def test_a_caller_may_use_only_its_models(upstream: FakeUpstream, guarded: RunningServer) -> None:
    """Every method refuses a model outside `allowed_models` with PERMISSION_DENIED, also the default model."""
    for fields in ({"model": "large"}, {}):
        for call in start_request_calls(guarded, bearer(SOME_TOKEN), **fields):
            failed = await expect_failure(call)

            assert failed.code == grpc.StatusCode.PERMISSION_DENIED
            assert failed.reason == "MODEL_NOT_ALLOWED"
            assert failed.message == 'The caller may not use the model "large".'
            assert failed.metadata == {"model": "large"}
    assert upstream.connections == 0

    for call in start_request_calls(guarded, bearer(SOME_TOKEN), model="small"):
        await call
    assert {request.body["model"] for request in upstream.requests} == {"small"}


async def test_a_caller_may_name_only_its_models_as_fallbacks(upstream: FakeUpstream, guarded: RunningServer) -> None:
    """Every method refuses a request that names a fallback model outside `allowed_models`."""
    for call in start_request_calls(guarded, bearer(SOME_TOKEN), model="small", fallback_models=["small", "large"]):
        failed = await expect_failure(call)

        assert failed.code == grpc.StatusCode.PERMISSION_DENIED
        assert failed.reason == "MODEL_NOT_ALLOWED"
        assert failed.metadata == {"model": "large"}
    assert upstream.connections == 0


async def test_configured_fallbacks_respect_allowed_models(upstream: FakeUpstream) -> None:
    """A configured fallback model outside `allowed_models` is not tried, and the caller receives the failure."""
    callers = {
        "bob": CallerEntry(name="bob", token_hash=hash_token(SOME_TOKEN), allowed_models=frozenset({"small"})),
    }
    models = (
        model_entry(upstream.api_base, "small", fallback_models=("large",)),
        model_entry(upstream.api_base, "large"),
    )
    upstream.always.fail(404)

    async with serving(config_for(*models, callers=callers)) as running:
        failed = await expect_failure(running.stub.Complete(a_wire_request(), metadata=bearer(SOME_TOKEN)))

    assert failed.code == grpc.StatusCode.FAILED_PRECONDITION
    assert failed.reason == "UPSTREAM_MODEL_MISSING"
    assert failed.metadata == {"model": "small", "http_status": "404"}
    assert [request.body["model"] for request in upstream.requests] == ["small"]


async def test_a_caller_sees_only_its_models(guarded: RunningServer) -> None:
    """A model that the caller may not use is not listed, and not suggested for an unknown name."""
    listed = await list_models(guarded, bearer(SOME_TOKEN))
    failed = await expect_failure(guarded.stub.Complete(a_wire_request(model="larg"), metadata=bearer(SOME_TOKEN)))

    assert [model.name for model in listed.models] == ["small"]
    assert failed.code == grpc.StatusCode.NOT_FOUND
    assert failed.metadata == {"model": "larg"}


async def test_an_empty_list_of_models_allows_none(upstream: FakeUpstream) -> None:
    """A caller with an empty `allowed_models` may use no model."""
    callers = {"eve": CallerEntry(name="eve", token_hash=hash_token(SOME_TOKEN), allowed_models=frozenset())}

    async with serving(config_for(model_entry(upstream.api_base), callers=callers)) as running:
        listed = await list_models(running, bearer(SOME_TOKEN))
        failed = await expect_failure(running.stub.Complete(a_wire_request(), metadata=bearer(SOME_TOKEN)))

    assert list(listed.models) == []
    assert failed.reason == "MODEL_NOT_ALLOWED"


@pytest.mark.parametrize("metadata", [(), bearer("rgt_anything")], ids=["no token", "some token"])
async def test_without_callers_every_call_is_anonymous(
    running_server: RunningServer, caplog: pytest.LogCaptureFixture, metadata: Metadata
) -> None:
    """A server without callers accepts calls with and without a token, and logs them as anonymous."""
    caplog.set_level(logging.INFO, "reasoning_grpc.calls")

    for call in start_request_calls(running_server, metadata):
        await call

    assert [record.__dict__["caller"] for record in caplog.records if record.name == "reasoning_grpc.calls"] == [
        "anonymous"
    ] * 3


async def test_the_log_names_the_caller(guarded: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the name of the caller, and `anonymous` for a call without a valid token."""
    caplog.set_level(logging.INFO, "reasoning_grpc.calls")

    await list_models(guarded, bearer(SOME_TOKEN))
    await expect_failure(list_models(guarded, bearer("rgt_wrong")))

    lines = [record.__dict__ for record in caplog.records if record.name == "reasoning_grpc.calls"]
    assert [(line["caller"], line["code"], line.get("reason")) for line in lines] == [
        ("bob", "OK", None),
        ("anonymous", "UNAUTHENTICATED", "CREDENTIALS_INVALID"),
    ]


async def test_no_token_is_in_a_log_a_status_or_on_the_wire(
    upstream: FakeUpstream, guarded: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """No valid or invalid token appears in a status, an upstream request or a log, even at the level DEBUG."""
    caplog.set_level(logging.DEBUG)
    statuses = []

    for token in (ALL_TOKEN, "rgt_wrong"):
        for call in start_request_calls(guarded, bearer(token), model="no-such-model"):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call
            statuses.append(repr((failed.value.details(), failed.value.trailing_metadata())))
    for call in start_request_calls(guarded, bearer(ALL_TOKEN)):
        await call

    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    sent = "\n".join(f"{request.headers} {request.raw!r}" for request in upstream.requests)
    for token in (ALL_TOKEN, "rgt_wrong"):
        for secret in (token, hash_token(token)):
            assert secret not in logged
            assert secret not in "\n".join(statuses)
            assert secret not in sent


def test_a_token_is_found_among_many() -> None:
    """Each of many callers is found by its own token, and an unknown token by none."""
    entries = [CallerEntry(name=f"c{number}", token_hash=hash_token(f"t{number}")) for number in range(50)]
    callers = Callers(entries)

    assert [callers.authenticate(bearer(f"t{number}")).name for number in range(50)] == [f"c{n}" for n in range(50)]
    with pytest.raises(CredentialsInvalid):
        callers.authenticate(bearer("t50"))


def test_a_header_of_bytes_is_refused() -> None:
    """An authorization header that grpc could not decode is refused, and not compared with any token."""
    callers = Callers([CallerEntry(name="alice", token_hash=hash_token(ALL_TOKEN))])

    with pytest.raises(CredentialsInvalid):
        callers.authenticate((("authorization", f"Bearer {ALL_TOKEN}".encode()),))


def test_allowed_models_limit_a_caller() -> None:
    """A caller without `allowed_models` may use every model, and another caller only the models in it."""
    assert ANONYMOUS.may_use_model("anything")
    assert Caller(name="bob", allowed_models=frozenset({"small"})).may_use_model("small")
    assert not Caller(name="bob", allowed_models=frozenset({"small"})).may_use_model("large")


def test_a_token_hash_is_sha256_in_hex() -> None:
    """The hash of a token is its SHA-256 in hex after the name of the algorithm."""
    assert hash_token("abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
