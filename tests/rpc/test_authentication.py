"""Who may call, and what: tokens, models allowed, and nothing of a token anywhere."""

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
    """The metadata that carries a token."""
    return (("authorization", f"Bearer {token}"),)


@pytest.fixture
async def guarded(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server that knows alice, who may use both models, and bob, who may use "small" alone."""
    callers = {
        "alice": CallerEntry(name="alice", token_hash=hash_token(ALL_TOKEN)),
        "bob": CallerEntry(name="bob", token_hash=hash_token(SOME_TOKEN), allowed_models=frozenset({"small"})),
    }
    models = (model_entry(upstream.api_base, "large"), model_entry(upstream.api_base, "small"))
    async with serving(config_for(*models, callers=callers)) as running:
        yield running


def every_call(running: RunningServer, metadata: Metadata = (), **fields: Any) -> list[Any]:
    """One call of each method that takes a request."""
    classify = classification_pb2.ClassifyRequest(request=a_wire_request(**fields))
    return [
        running.stub.Complete(a_wire_request(**fields), metadata=metadata),
        to_the_end(running.stub.StreamComplete(a_stream_request(**fields), metadata=metadata)),
        running.stub.Classify(classify, metadata=metadata),
    ]


async def to_the_end(stream: Any) -> None:
    """Reads a stream."""
    async for _ in stream:
        pass


def list_models(running: RunningServer, metadata: Metadata = ()) -> Any:
    """A call of the method that lists."""
    return running.stub.ListModels(models_pb2.ListModelsRequest(), metadata=metadata)


async def failure(call: Any) -> CallFailed:
    """How a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return CallFailed(failed.value)


REFUSED = [
    pytest.param((), MISSING, id="no token"),
    pytest.param((("x-authorization", f"Bearer {ALL_TOKEN}"),), MISSING, id="a token elsewhere"),
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
    """Every method answers the same constant text, and nothing of what was presented."""
    for call in (*every_call(guarded, metadata), list_models(guarded, metadata)):
        failed = await failure(call)

        assert (failed.code, failed.reason, failed.message) == expected
        assert failed.metadata == {}
    assert upstream.connections == 0


async def test_a_token_of_a_megabyte_is_refused_by_grpc(guarded: RunningServer) -> None:
    """It is more metadata than grpc takes; the next call is served."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await list_models(guarded, bearer("x" * 2**20))

    assert failed.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert CallFailed(failed.value).reason == ""
    assert guarded.server.calls_in_flight == 0
    assert len((await list_models(guarded, bearer(ALL_TOKEN))).models) == 2


async def test_credentials_are_looked_at_before_the_request(guarded: RunningServer) -> None:
    """Who has no token learns nothing of what is wrong with a request."""
    complete: Any = guarded.channel.unary_unary("/reasoning_grpc.v1.ReasoningService/Complete")

    failed = await failure(complete(b"\xff"))

    assert (failed.code, failed.reason, failed.message) == MISSING


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(f"Bearer {ALL_TOKEN}", id="as documented"),
        pytest.param(f"bearer {ALL_TOKEN}", id="lower case"),
        pytest.param(f"BEARER   {ALL_TOKEN}  ", id="upper case and spaces"),
    ],
)
async def test_a_right_token_is_served(guarded: RunningServer, value: str) -> None:
    """The scheme may be written in any case, as HTTP says."""
    for call in every_call(guarded, (("authorization", value),)):
        await call

    listed = await list_models(guarded, (("authorization", value),))
    assert [model.name for model in listed.models] == ["large", "small"]


async def test_a_caller_may_use_its_models_alone(upstream: FakeUpstream, guarded: RunningServer) -> None:
    """A model outside `allowed_models` is PERMISSION_DENIED for every method, the default one too."""
    for fields in ({"model": "large"}, {}):
        for call in every_call(guarded, bearer(SOME_TOKEN), **fields):
            failed = await failure(call)

            assert failed.code == grpc.StatusCode.PERMISSION_DENIED
            assert failed.reason == "MODEL_NOT_ALLOWED"
            assert failed.message == 'The caller may not use the model "large".'
            assert failed.metadata == {"model": "large"}
    assert upstream.connections == 0

    for call in every_call(guarded, bearer(SOME_TOKEN), model="small"):
        await call
    assert {request.body["model"] for request in upstream.requests} == {"small"}


async def test_a_caller_may_fall_back_on_its_models_alone(upstream: FakeUpstream, guarded: RunningServer) -> None:
    """A fallback model that a request names must be allowed as well."""
    for call in every_call(guarded, bearer(SOME_TOKEN), model="small", fallback_models=["small", "large"]):
        failed = await failure(call)

        assert failed.code == grpc.StatusCode.PERMISSION_DENIED
        assert failed.reason == "MODEL_NOT_ALLOWED"
        assert failed.metadata == {"model": "large"}
    assert upstream.connections == 0


async def test_configured_fallbacks_are_left_out_for_who_may_not_use_them(upstream: FakeUpstream) -> None:
    """The entry's own fallbacks are no way around `allowed_models`; the failure is the caller's answer."""
    callers = {
        "bob": CallerEntry(name="bob", token_hash=hash_token(SOME_TOKEN), allowed_models=frozenset({"small"})),
    }
    models = (
        model_entry(upstream.api_base, "small", fallback_models=("large",)),
        model_entry(upstream.api_base, "large"),
    )
    upstream.always.fail(404)

    async with serving(config_for(*models, callers=callers)) as running:
        failed = await failure(running.stub.Complete(a_wire_request(), metadata=bearer(SOME_TOKEN)))

    assert failed.code == grpc.StatusCode.FAILED_PRECONDITION
    assert failed.reason == "UPSTREAM_MODEL_MISSING"
    assert failed.metadata == {"model": "small", "http_status": "404"}
    assert [request.body["model"] for request in upstream.requests] == ["small"]


async def test_a_caller_sees_its_models_alone(guarded: RunningServer) -> None:
    """What a caller may not use is not listed, and not named as nearest to a slip."""
    listed = await list_models(guarded, bearer(SOME_TOKEN))
    failed = await failure(guarded.stub.Complete(a_wire_request(model="larg"), metadata=bearer(SOME_TOKEN)))

    assert [model.name for model in listed.models] == ["small"]
    assert failed.code == grpc.StatusCode.NOT_FOUND
    assert failed.metadata == {"model": "larg"}


async def test_an_empty_list_of_models_allows_none(upstream: FakeUpstream) -> None:
    """An empty `allowed_models` is not the same as none given."""
    callers = {"eve": CallerEntry(name="eve", token_hash=hash_token(SOME_TOKEN), allowed_models=frozenset())}

    async with serving(config_for(model_entry(upstream.api_base), callers=callers)) as running:
        listed = await list_models(running, bearer(SOME_TOKEN))
        failed = await failure(running.stub.Complete(a_wire_request(), metadata=bearer(SOME_TOKEN)))

    assert list(listed.models) == []
    assert failed.reason == "MODEL_NOT_ALLOWED"


@pytest.mark.parametrize("metadata", [(), bearer("rgt_anything")], ids=["no token", "some token"])
async def test_without_callers_everybody_is_anonymous(
    running_server: RunningServer, caplog: pytest.LogCaptureFixture, metadata: Metadata
) -> None:
    """A server without callers takes calls with a token and without one, and logs them as anonymous."""
    caplog.set_level(logging.INFO, "reasoning_grpc.calls")

    for call in every_call(running_server, metadata):
        await call

    assert [record.__dict__["caller"] for record in caplog.records if record.name == "reasoning_grpc.calls"] == [
        "anonymous"
    ] * 3


async def test_the_log_names_the_caller(guarded: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    """A call is logged with the name of its caller; one that is refused with nobody's."""
    caplog.set_level(logging.INFO, "reasoning_grpc.calls")

    await list_models(guarded, bearer(SOME_TOKEN))
    await failure(list_models(guarded, bearer("rgt_wrong")))

    lines = [record.__dict__ for record in caplog.records if record.name == "reasoning_grpc.calls"]
    assert [(line["caller"], line["code"], line.get("reason")) for line in lines] == [
        ("bob", "OK", None),
        ("anonymous", "UNAUTHENTICATED", "CREDENTIALS_INVALID"),
    ]


async def test_no_token_is_in_a_log_a_status_or_on_the_wire(
    upstream: FakeUpstream, guarded: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a right token nor a wrong one is repeated anywhere, with every logger at its loudest."""
    caplog.set_level(logging.DEBUG)
    statuses = []

    for token in (ALL_TOKEN, "rgt_wrong"):
        for call in every_call(guarded, bearer(token), model="no-such-model"):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call
            statuses.append(repr((failed.value.details(), failed.value.trailing_metadata())))
    for call in every_call(guarded, bearer(ALL_TOKEN)):
        await call

    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    sent = "\n".join(f"{request.headers} {request.raw!r}" for request in upstream.requests)
    for token in (ALL_TOKEN, "rgt_wrong"):
        for secret in (token, hash_token(token)):
            assert secret not in logged
            assert secret not in "\n".join(statuses)
            assert secret not in sent


def test_a_token_is_found_among_many() -> None:
    """Each of many callers is known by its own token, without an entry being in the way of another."""
    entries = [CallerEntry(name=f"c{number}", token_hash=hash_token(f"t{number}")) for number in range(50)]
    callers = Callers(entries)

    assert [callers.authenticate(bearer(f"t{number}")).name for number in range(50)] == [f"c{n}" for n in range(50)]
    with pytest.raises(CredentialsInvalid):
        callers.authenticate(bearer("t50"))


def test_a_header_of_bytes_is_no_token() -> None:
    """What grpc could not decode is refused, not compared."""
    callers = Callers([CallerEntry(name="alice", token_hash=hash_token(ALL_TOKEN))])

    with pytest.raises(CredentialsInvalid):
        callers.authenticate((("authorization", f"Bearer {ALL_TOKEN}".encode()),))


def test_who_may_use_what() -> None:
    """None allows every model, a set only its own."""
    assert ANONYMOUS.may_use_model("anything")
    assert Caller(name="bob", allowed_models=frozenset({"small"})).may_use_model("small")
    assert not Caller(name="bob", allowed_models=frozenset({"small"})).may_use_model("large")


def test_a_hash_is_what_the_configuration_takes() -> None:
    """The hash of a token is SHA-256 in hex, under its name."""
    assert hash_token("abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
