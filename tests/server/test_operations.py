"""Health, reflection, stopping, faults of our own, TLS: what an operator meets."""

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import trustme
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.config import CallerEntry, Config, token_hash
from reasoning_grpc.domain import RouteDecision, RouteSource, RoutingMode
from reasoning_grpc.domain.events import ContentDelta, Started, StreamEvent
from reasoning_grpc.rpc.authentication import Callers
from reasoning_grpc.rpc.calls_in_flight import CallTracker
from reasoning_grpc.rpc.convert import Caps
from reasoning_grpc.rpc.interceptor import CallInterceptor
from reasoning_grpc.rpc.service import ReasoningService
from reasoning_grpc.server.listener import SERVICE
from reasoning_grpc.server.server import LIVENESS, READINESS, Server, StartError
from reasoning_grpc.v1 import classification_pb2, models_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import (
    ReasoningServiceStub,
    add_ReasoningServiceServicer_to_server,
)
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, serving, serving_upstream
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
TOKEN: Final = "rgt_alice"


def health(channel: grpc.aio.Channel) -> Any:
    """A stub of the health service; its types know only the synchronous one."""
    return health_pb2_grpc.HealthStub(channel)


async def checked(channel: grpc.aio.Channel, name: str = "") -> int:
    """What a check of a name says."""
    response = await health(channel).Check(health_pb2.HealthCheckRequest(service=name), wait_for_ready=True)
    return int(response.status)


def watched(channel: grpc.aio.Channel, name: str = "") -> Any:
    """A watch of a name."""
    return health(channel).Watch(health_pb2.HealthCheckRequest(service=name), wait_for_ready=True)


async def next_status(watch: Any) -> int:
    """The next state that a watch tells."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return int((await watch.read()).status)


def every_call(channel: grpc.aio.Channel, **options: Any) -> Iterator[tuple[str, Any]]:
    """One call of each method, begun when it is its turn."""
    stub: Any = ReasoningServiceStub(channel)
    yield "Complete", stub.Complete(a_wire_request(), **options)
    yield "StreamComplete", to_the_end(stub.StreamComplete(a_stream_request(), **options))
    yield "Classify", stub.Classify(classification_pb2.ClassifyRequest(request=a_wire_request()), **options)
    yield "ListModels", stub.ListModels(models_pb2.ListModelsRequest(), **options)


async def to_the_end(stream: Any) -> list[Any]:
    """The messages of a stream that are still to come."""
    messages = []
    while (message := await stream.read()) is not grpc.aio.EOF:
        messages.append(message)
    return messages


async def failure(call: Any) -> CallFailed:
    """How a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return CallFailed(failed.value)


async def has_begun(stream: Any) -> None:
    """Reads a stream up to its first piece of answer."""
    assert [(await stream.read()).WhichOneof("kind") for _ in range(2)] == ["started", "content_delta"]


@pytest.mark.parametrize("name", ["", SERVICE, READINESS, LIVENESS], ids=["server", "service", "readiness", "liveness"])
async def test_a_warm_server_is_healthy(running_server: RunningServer, name: str) -> None:
    """Every name that is known says SERVING, to a check and to a watch."""
    assert await checked(running_server.channel, name) == SERVING
    assert await next_status(watched(running_server.channel, name)) == SERVING


async def test_an_unknown_name_has_no_health(running_server: RunningServer) -> None:
    """A check is NOT_FOUND; a watch says so and waits, as the protocol wants."""
    failed = await failure(checked(running_server.channel, "reasoning_grpc.v1.Nope"))

    assert failed.code == grpc.StatusCode.NOT_FOUND
    assert await next_status(watched(running_server.channel, "reasoning_grpc.v1.Nope")) == SERVICE_UNKNOWN


@contextmanager
def held_threads() -> Any:
    """Holds up the loop's default pool of threads, in which the warm-up imports litellm, until released."""
    released = threading.Event()
    pool = ThreadPoolExecutor(max_workers=1)
    asyncio.get_running_loop().set_default_executor(pool)
    pool.submit(released.wait)
    try:
        yield released.set
    finally:
        released.set()


async def test_it_is_not_serving_until_it_is_warm(upstream: FakeUpstream) -> None:
    """While it warms up it listens, is alive and says NOT_SERVING; a watch sees each change until it has stopped."""
    server = Server(config_for(model_entry(upstream.api_base)))
    with held_threads() as release:
        starting = asyncio.create_task(server.start())
        while not server.address:  # noqa: ASYNC110 - it tells nobody that it listens
            await asyncio.sleep(0)
        async with grpc.aio.insecure_channel(server.address) as channel:
            watches = [watched(channel, name) for name in ("", SERVICE, READINESS)]
            alive = watched(channel, LIVENESS)

            assert [await next_status(watch) for watch in watches] == [NOT_SERVING] * 3
            assert await next_status(alive) == SERVING
            assert await checked(channel, READINESS) == NOT_SERVING
            assert not starting.done()

            release()
            await starting
            assert [await next_status(watch) for watch in watches] == [SERVING] * 3

            assert await server.stop(grace_seconds=60) == 0
            assert [await next_status(watch) for watch in watches] == [NOT_SERVING] * 3
            assert (await failure(alive.read())).code == grpc.StatusCode.UNAVAILABLE


async def test_an_upstream_that_fails_is_no_illness(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """Health is the server's own: it stays SERVING while calls fail."""
    upstream.always.fail(401)

    failed = await failure(running_server.stub.Complete(a_wire_request()))

    assert failed.reason == "UPSTREAM_CREDENTIALS_REJECTED"
    assert await checked(running_server.channel) == SERVING


async def reflected(channel: Any, **question: Any) -> Any:
    """What reflection answers to one question."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    return await stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**question)])).read()


async def listed_services(channel: grpc.aio.Channel) -> list[str]:
    """The services that reflection tells."""
    response = await reflected(channel, list_services="")
    return [service.name for service in response.list_services_response.service]


async def test_a_client_that_pings_too_often_loses_its_connection(
    running_server: RunningServer, upstream: FakeUpstream
) -> None:
    """A silent call may be pinged every ten seconds; every second is too much."""
    upstream.hang()

    async with ReasoningClient(running_server.address, options=[("grpc.keepalive_time_ms", 1000)]) as client:
        with pytest.raises(CallFailed) as failed:
            await client.complete(a_wire_request(), timeout_seconds=60)

    assert (failed.value.code, failed.value.message) == (grpc.StatusCode.UNAVAILABLE, "Too many pings")


async def test_reflection_tells_the_services(running_server: RunningServer) -> None:
    """grpcurl finds our service, health, and reflection itself."""
    assert await listed_services(running_server.channel) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "reasoning_grpc.v1.ReasoningService",
    ]


@pytest.mark.parametrize("symbol", [SERVICE, f"{SERVICE}.Complete"])
async def test_reflection_describes_our_service(running_server: RunningServer, symbol: str) -> None:
    """The file of a symbol comes with the symbol in it; of a method too, which ghz asks for."""
    response = await reflected(running_server.channel, file_containing_symbol=symbol)

    files = response.file_descriptor_response.file_descriptor_proto
    assert "reasoning_grpc/v1/reasoning_service.proto" in [FileDescriptorProto.FromString(file).name for file in files]


async def test_reflection_knows_no_stranger(running_server: RunningServer) -> None:
    """A symbol that is none is not found, and nothing breaks."""
    response = await reflected(running_server.channel, file_containing_symbol=f"{SERVICE}.Nowhere")

    assert response.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_reflection_can_be_turned_off(upstream: FakeUpstream) -> None:
    """Without it the service is unknown to grpc, and health goes on."""
    async with serving_upstream(upstream, reflection=False) as running:
        failed = await failure(listed_services(running.channel))

        assert failed.code == grpc.StatusCode.UNIMPLEMENTED
        assert await checked(running.channel) == SERVING


async def test_health_and_reflection_need_no_token(upstream: FakeUpstream) -> None:
    """Probes and grpcurl have no token; our own methods want one all the same."""
    callers = {"alice": CallerEntry(name="alice", token_hash=token_hash(TOKEN))}

    async with serving(config_for(model_entry(upstream.api_base), callers=callers)) as running:
        assert await checked(running.channel, SERVICE) == SERVING
        assert SERVICE in await listed_services(running.channel)
        for _, call in every_call(running.channel):
            assert (await failure(call)).reason == "CREDENTIALS_MISSING"


async def test_stopping_lets_a_stream_end_and_refuses_new_calls(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """What runs may finish; what comes is told to try elsewhere, with a delay; health is truthful meanwhile."""
    server, channel = running_server.server, running_server.channel
    gate = upstream.gated("Hel", "lo")
    gate.open()
    stub: Any = running_server.stub
    stream = stub.StreamComplete(a_stream_request())
    await has_begun(stream)
    watch = watched(channel, READINESS)
    assert await next_status(watch) == SERVING

    stopping = asyncio.create_task(server.stop(grace_seconds=60))
    assert await next_status(watch) == NOT_SERVING
    refusals = [await failure(call) for _, call in every_call(channel)]
    assert await checked(channel, LIVENESS) == SERVING
    assert not stopping.done()
    gate.open_all()
    rest = await to_the_end(stream)

    assert [event.WhichOneof("kind") for event in rest] == ["content_delta", "completed"]
    assert await stopping == 0
    assert len(refusals) == 4
    for refusal in refusals:
        assert refusal.code == grpc.StatusCode.UNAVAILABLE
        assert refusal.reason == "SERVER_SHUTTING_DOWN"
        assert refusal.message == "The server is shutting down."
        assert refusal.metadata == {}
        assert refusal.retry_after_seconds == 1.0
    assert len(upstream.requests) == 1


async def test_a_refusal_pushes_back(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """The trailer for grpc's own retries says the same delay as RetryInfo."""
    gate = upstream.gated("a")
    gate.open()
    stub: Any = running_server.stub
    stream = stub.StreamComplete(a_stream_request())
    await has_begun(stream)
    watch = watched(running_server.channel, READINESS)
    assert await next_status(watch) == SERVING
    stopping = asyncio.create_task(running_server.server.stop(grace_seconds=60))
    assert await next_status(watch) == NOT_SERVING

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.Complete(a_wire_request())

    assert dict(failed.value.trailing_metadata() or ())["grpc-retry-pushback-ms"] == "1000"
    gate.open_all()
    await to_the_end(stream)
    await stopping


async def test_calls_beyond_the_grace_are_cut_and_counted(
    upstream: FakeUpstream, running_server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """When the grace ends, what still runs is cut: the client gets UNAVAILABLE, the upstream sees the disconnect."""
    caplog.set_level(logging.INFO, "reasoning_grpc.server")
    stub: Any = running_server.stub
    upstream.hang_after(1)
    upstream.hang()
    stream = stub.StreamComplete(a_stream_request())
    await has_begun(stream)
    unary = stub.Complete(a_wire_request())
    await upstream.request(2)

    cut = await running_server.server.stop(grace_seconds=0)

    assert cut == 2
    assert [record.__dict__["calls_cut"] for record in caplog.records if record.getMessage() == "stopped"] == [2]
    for call in (to_the_end(stream), unary):
        assert (await failure(call)).code == grpc.StatusCode.UNAVAILABLE
    await upstream.disconnect(2)
    assert running_server.server.calls_in_flight == 0


async def test_an_open_watch_does_not_delay_the_stop(running_server: RunningServer) -> None:
    """A client that watches health for ever does not use up the grace."""
    watch = watched(running_server.channel)
    assert await next_status(watch) == SERVING

    async with asyncio.timeout(PATIENCE_SECONDS):
        cut = await running_server.server.stop(grace_seconds=100)

    assert cut == 0
    assert await next_status(watch) == NOT_SERVING


async def test_a_server_may_be_stopped_twice(running_server: RunningServer) -> None:
    """The second time finds nothing to do."""
    assert await running_server.server.stop(grace_seconds=1) == 0
    assert await running_server.server.stop(grace_seconds=1) == 0


Fault = Callable[[], BaseException]


class BrokenEngine:
    """An engine that fails in its own way, for a stream after a piece of answer if it is told so."""

    def __init__(self, fault: Fault, *, begins: bool = False) -> None:
        self._fault = fault
        self._begins = begins

    async def run(self, *_: object) -> AsyncGenerator[StreamEvent, None]:
        """See `Engine.run`."""
        if self._begins:
            decision = RouteDecision(
                mode=RoutingMode.PASSTHROUGH, model="m", source=RouteSource.DEFAULT, reason="the default"
            )
            yield StreamEvent("rsp_1", 0, 0.0, 0, Started(decision, "m", ""))
            yield StreamEvent("rsp_1", 1, 0.0, 1, ContentDelta("Hel"))
        raise self._fault()

    async def classify(self, *_: object, **__: object) -> RouteDecision:
        """See `Engine.classify`."""
        raise self._fault()

    def models(self, *_: object) -> None:
        """See `Engine.models`."""
        raise self._fault()


@dataclass(frozen=True)
class Broken:
    """A server around a broken engine."""

    channel: grpc.aio.Channel
    tracker: CallTracker


@asynccontextmanager
async def serving_broken(engine: Any) -> AsyncIterator[Broken]:
    """Serves an engine behind the real service and interceptor."""
    tracker = CallTracker()
    interceptor = CallInterceptor(service=SERVICE, callers=Callers(()), tracker=tracker, max_request_bytes=65_536)
    server = grpc.aio.server(interceptors=[interceptor])
    add_ReasoningServiceServicer_to_server(ReasoningService(engine, Caps()), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Broken(channel, tracker)
    finally:
        await server.stop(None)


FAULTS = [
    pytest.param(lambda: ValueError("secret"), ValueError, id="ValueError"),
    pytest.param(lambda: KeyError("secret"), KeyError, id="KeyError"),
    pytest.param(lambda: ExceptionGroup("secret", [ValueError("secret")]), ExceptionGroup, id="ExceptionGroup"),
    pytest.param(lambda: grpc.aio.UsageError("secret"), grpc.aio.UsageError, id="an error of grpc's"),
    pytest.param(lambda: asyncio.CancelledError("secret"), asyncio.CancelledError, id="a cancellation of another's"),
]


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
async def test_a_fault_of_ours_is_internal(
    fault: Fault, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """Every method answers at once with a fixed text; the log has the traceback under the request id."""
    async with serving_broken(BrokenEngine(fault)) as broken:
        for method, call in every_call(broken.channel, metadata=(("x-request-id", "r-1"),), timeout=100):
            caplog.clear()
            async with asyncio.timeout(PATIENCE_SECONDS):
                with pytest.raises(grpc.aio.AioRpcError) as failed:
                    await call

            status = CallFailed(failed.value)
            assert status.code == grpc.StatusCode.INTERNAL
            assert status.message == "internal error"
            assert status.reason == "INTERNAL"
            assert status.metadata == {}
            assert status.request_id == "r-1"
            assert "secret" not in repr(failed.value.trailing_metadata())
            assert "grpc-retry-pushback-ms" not in dict(failed.value.trailing_metadata() or ())

            (record,) = [record for record in caplog.records if record.name == "reasoning_grpc.calls"]
            assert record.levelno == logging.ERROR
            assert record.exc_info is not None
            assert record.exc_info[0] is kind
            facts = {name: record.__dict__[name] for name in ("method", "code", "reason", "request_id")}
            assert facts == {"method": method, "code": "INTERNAL", "reason": "INTERNAL", "request_id": "r-1"}
        assert broken.tracker.in_flight == 0


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
async def test_a_fault_in_the_middle_of_a_stream_is_internal(
    fault: Fault, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """The pieces sent before it arrive, then the same status."""
    async with serving_broken(BrokenEngine(fault, begins=True)) as broken:
        stub: Any = ReasoningServiceStub(broken.channel)
        stream = stub.StreamComplete(a_stream_request(), timeout=100)
        await has_begun(stream)
        async with asyncio.timeout(PATIENCE_SECONDS):
            failed = await failure(stream.read())

        assert (failed.code, failed.message, failed.reason) == (grpc.StatusCode.INTERNAL, "internal error", "INTERNAL")
        assert broken.tracker.in_flight == 0
    (record,) = [record for record in caplog.records if record.name == "reasoning_grpc.calls"]
    assert record.exc_info is not None
    assert record.exc_info[0] is kind


async def test_a_fault_does_not_end_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """Many faults at once are all answered, and leave nothing in flight."""
    caplog.set_level(logging.CRITICAL)
    async with serving_broken(BrokenEngine(lambda: ValueError("secret"))) as broken:
        stub: Any = ReasoningServiceStub(broken.channel)
        failures = await asyncio.gather(*(failure(stub.Complete(a_wire_request())) for _ in range(50)))

        assert {failed.reason for failed in failures} == {"INTERNAL"}
        assert len({failed.request_id for failed in failures}) == 50
        assert broken.tracker.in_flight == 0


@dataclass(frozen=True)
class Authority:
    """A certificate authority, its files, and what it issued."""

    ca: trustme.CA
    certificate: Path
    """Of the authority."""
    server_certificate: Path
    server_key: Path

    @property
    def root(self) -> bytes:
        """Its own certificate."""
        return self.ca.cert_pem.bytes()

    def credentials(self, *, client_of: "Authority | None" = None) -> grpc.ChannelCredentials:
        """Credentials of a client that trusts it, and shows a certificate of another authority if one is given."""
        if client_of is None:
            return grpc.ssl_channel_credentials(self.root)
        issued = client_of.ca.issue_cert("client@example.com")
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        return grpc.ssl_channel_credentials(self.root, issued.private_key_pem.bytes(), chain)


def an_authority(folder: Path) -> Authority:
    """A new authority, with a certificate for a server on loopback."""
    folder.mkdir()
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1")
    authority = Authority(ca, folder / "ca.pem", folder / "server.pem", folder / "server.key")
    ca.cert_pem.write_to_path(authority.certificate)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(authority.server_certificate, append=True)
    issued.private_key_pem.write_to_path(authority.server_key)
    return authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the server's certificate is from."""
    return an_authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority."""
    return an_authority(tmp_path_factory.mktemp("tls") / "another")


async def completed(address: str, credentials: grpc.ChannelCredentials | None) -> str:
    """The answer of a server, by a client with these credentials."""
    async with ReasoningClient(address, credentials=credentials) as client:
        answer = await client.complete(a_wire_request())
        return "".join(part.text for part in answer.message.content)


async def is_kept_out(address: str, credentials: grpc.ChannelCredentials | None) -> None:
    """A client with these credentials gets no connection."""
    with pytest.raises(CallFailed) as failed:
        await completed(address, credentials)
    assert failed.value.code == grpc.StatusCode.UNAVAILABLE
    assert failed.value.reason == ""


def tls_settings(authority: Authority) -> dict[str, Any]:
    """The settings that turn TLS on."""
    return {"tls_certificate": authority.server_certificate, "tls_key": authority.server_key}


async def test_tls(upstream: FakeUpstream, authority: Authority, stranger: Authority) -> None:
    """Who trusts the right authority is served; who trusts another, or speaks no TLS, gets no connection."""
    async with serving_upstream(upstream, **tls_settings(authority)) as running:
        assert await completed(running.address, authority.credentials()) == "Hello world"
        await is_kept_out(running.address, stranger.credentials())
        await is_kept_out(running.address, None)

    assert len(upstream.requests) == 1


async def test_mutual_tls(upstream: FakeUpstream, authority: Authority, stranger: Authority) -> None:
    """With `tls_client_ca` a client needs a certificate of that authority."""
    settings = {**tls_settings(authority), "tls_client_ca": authority.certificate}

    async with serving_upstream(upstream, **settings) as running:
        assert await completed(running.address, authority.credentials(client_of=authority)) == "Hello world"
        await is_kept_out(running.address, authority.credentials())
        await is_kept_out(running.address, authority.credentials(client_of=stranger))

    assert len(upstream.requests) == 1


async def start_problem(config: Config) -> str:
    """Why a server does not start; it leaves nothing behind."""
    server = Server(config)
    with pytest.raises(StartError) as failed:
        await server.start()
    assert server.calls_in_flight == 0
    return str(failed.value)


async def test_a_port_in_use_is_a_start_error(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A second server on the port does not share it, and the first one goes on."""
    config = config_for(model_entry(upstream.api_base), listen=running_server.address)

    assert await start_problem(config) == f"{running_server.address} cannot be listened on: it is in use or not ours"
    assert await checked(running_server.channel) == SERVING


async def test_a_port_taken_by_another_program_is_a_start_error(upstream: FakeUpstream) -> None:
    """So is a port that some other socket has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        problem = await start_problem(config_for(model_entry(upstream.api_base), listen=address))

    assert problem == f"{address} cannot be listened on: it is in use or not ours"


async def test_a_tls_file_that_cannot_be_read_is_a_start_error(
    upstream: FakeUpstream, authority: Authority, tmp_path: Path
) -> None:
    """The message names the file."""
    settings = {**tls_settings(authority), "tls_key": tmp_path / "no.key"}

    problem = await start_problem(config_for(model_entry(upstream.api_base), **settings))

    assert problem == f"{tmp_path / 'no.key'}: cannot be read: No such file or directory"


async def test_a_tls_file_that_is_none_is_a_start_error(
    upstream: FakeUpstream, authority: Authority, tmp_path: Path
) -> None:
    """A certificate that is no PEM is told from a port in use as far as grpc lets us."""
    (tmp_path / "junk.pem").write_text("junk")
    settings = {**tls_settings(authority), "tls_certificate": tmp_path / "junk.pem"}

    problem = await start_problem(config_for(model_entry(upstream.api_base), **settings))

    assert problem == ("127.0.0.1:0 cannot be listened on: it is in use or not ours, or the TLS files are not valid")
