"""A bug of the server reaches the caller as INTERNAL, without any text of the exception."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import RouteDecision, RouteSource, RoutingMode
from reasoning_grpc.domain.events import ContentDelta, Started, StreamEvent
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.served_engine import serving_engine
from tests.support.upstream import PATIENCE_SECONDS
from tests.support.wire_calls import expect_failure, read_first_delta, start_every_call

Fault = Callable[[], BaseException]


class BrokenEngine:
    """An engine that raises the given exception. With `sends_delta`, a stream yields a delta before it fails."""

    def __init__(self, fault: Fault, *, sends_delta: bool = False) -> None:
        self._fault = fault
        self._sends_delta = sends_delta

    async def run(self, *_: object) -> AsyncGenerator[StreamEvent, None]:
        """See `Engine.run`."""
        if self._sends_delta:
            decision = RouteDecision(
                mode=RoutingMode.PASSTHROUGH, model="m", source=RouteSource.DEFAULT, reason="the default"
            )
            yield StreamEvent(0, 0.0, 0, Started("rsp_1", decision, "m", ""))
            yield StreamEvent(1, 0.0, 1, ContentDelta("Hel"))
        raise self._fault()

    async def classify(self, *_: object, **__: object) -> RouteDecision:
        """See `Engine.classify`."""
        raise self._fault()

    def list_models(self, *_: object) -> None:
        """See `Engine.list_models`."""
        raise self._fault()


FAULTS = [
    pytest.param(lambda: ValueError("secret"), ValueError, id="ValueError"),
    pytest.param(lambda: KeyError("secret"), KeyError, id="KeyError"),
    pytest.param(lambda: ExceptionGroup("secret", [ValueError("secret")]), ExceptionGroup, id="ExceptionGroup"),
    pytest.param(lambda: grpc.aio.UsageError("secret"), grpc.aio.UsageError, id="an error of grpc"),
    pytest.param(
        lambda: asyncio.CancelledError("secret"), asyncio.CancelledError, id="a cancellation from inside the server"
    ),
]


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
async def test_a_bug_of_the_server_is_internal(
    fault: Fault, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """A bug makes every method fail at once with a fixed text, and the log has the traceback and the request id."""
    async with serving_engine(BrokenEngine(fault)) as broken:
        for method, call in start_every_call(broken.channel, metadata=(("x-request-id", "r-1"),), timeout=100):
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
async def test_a_bug_during_a_stream_is_internal(
    fault: Fault, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """A bug during a stream ends it with INTERNAL, after the deltas that were sent before."""
    async with serving_engine(BrokenEngine(fault, sends_delta=True)) as broken:
        stub: Any = ReasoningServiceStub(broken.channel)
        stream = stub.StreamComplete(a_stream_request(), timeout=100)
        await read_first_delta(stream)
        async with asyncio.timeout(PATIENCE_SECONDS):
            failed = await expect_failure(stream.read())

        assert (failed.code, failed.message, failed.reason) == (grpc.StatusCode.INTERNAL, "internal error", "INTERNAL")
        assert broken.tracker.in_flight == 0
    (record,) = [record for record in caplog.records if record.name == "reasoning_grpc.calls"]
    assert record.exc_info is not None
    assert record.exc_info[0] is kind


async def test_a_bug_does_not_stop_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """Each of many calls that hit a bug at the same time fails, and no call stays in flight."""
    caplog.set_level(logging.CRITICAL)
    async with serving_engine(BrokenEngine(lambda: ValueError("secret"))) as broken:
        stub: Any = ReasoningServiceStub(broken.channel)
        failures = await asyncio.gather(*(expect_failure(stub.Complete(a_wire_request())) for _ in range(50)))

        assert {failed.reason for failed in failures} == {"INTERNAL"}
        assert len({failed.request_id for failed in failures}) == 50
        assert broken.tracker.in_flight == 0
