"""Spans and metrics reach a collector; a collector in trouble affects neither calls nor the exit."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from opentelemetry.metrics import CallbackOptions, Observation

from reasoning_grpc.client import ReasoningClient
from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.telemetry.plan import read_telemetry_plan
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.commands import read_announced_address
from tests.support.factories import a_wire_request
from tests.support.otlp import OtlpReceiver
from tests.support.upstream import FakeUpstream, refusing_api_base

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"


PROCESS_SECONDS: Final = 120.0
"""How long a process may take to start, which imports litellm, and to stop; only a failing test reaches it."""
SDK_WAITS: Final = {"OTEL_EXPORTER_OTLP_TIMEOUT": "600", "OTEL_BSP_EXPORT_TIMEOUT": "600000"}
"""Makes the SDK wait far longer than PROCESS_SECONDS: a process that exits in that time has not waited for it."""
CALLS: Final = 3
NOT_SENT: Final = "not all telemetry could be sent in time"


async def test_a_gauge_is_exported(monkeypatch: pytest.MonkeyPatch, receiver: OtlpReceiver) -> None:
    """A gauge that the meter creates is exported to the collector, at the latest when the telemetry closes."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", receiver.endpoint)
    telemetry = Telemetry(read_telemetry_plan(os.environ))

    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(7, {"pool": "upstream"})]

    telemetry.meter.create_observable_gauge("reasoning_grpc.test", [observe])
    await telemetry.aclose()

    metric = await receiver.expect_metric("reasoning_grpc.test")
    assert [point.as_int for point in metric.gauge.data_points] == [7]
    assert telemetry.tracer is None


async def test_without_metrics_a_gauge_is_never_observed() -> None:
    """Without metrics the meter creates gauges that nobody observes."""
    telemetry = Telemetry()

    def observe(_: CallbackOptions) -> list[Observation]:
        raise AssertionError("the gauge was observed")

    telemetry.meter.create_observable_gauge("reasoning_grpc.test", [observe])
    await telemetry.aclose()


@dataclass(frozen=True)
class Served:
    """A server process in front of the fake upstream."""

    process: Process
    address: str
    log: Path

    async def call(self) -> None:
        """Makes one call, which must succeed."""
        async with ReasoningClient(self.address) as client:
            answer = await client.complete(a_wire_request())
        assert answer.message.content[0].text == "Hello world"

    async def stop(self) -> bytes:
        """Stops the process, and returns everything that it printed. Fails when the exit takes too long."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PROCESS_SECONDS):
            printed = await self.process.stdout.read()
            assert await self.process.wait() == 0
        return printed

    def lines(self) -> list[dict[str, Any]]:
        """Returns the lines of its log, which are all JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


PROGRAM: Final = (sys.executable, "-m", "reasoning_grpc.cli", "serve", "--listen", "127.0.0.1:0")


@asynccontextmanager
async def served(
    folder: Path, upstream: FakeUpstream, variables: Mapping[str, str], program: Sequence[str] = PROGRAM
) -> AsyncIterator[Served]:
    """Runs a server process, and kills it at the end if it still runs."""
    (folder / "reasoning.toml").write_text(
        f'[models.fake]\nlitellm_model = "openai/fake"\napi_base = "{upstream.api_base}"\n'
    )
    log = folder / "log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *program,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONUNBUFFERED": "1",
                "REASONING_DRAIN_DELAY_SECONDS": "0",
                **variables,
            },
            cwd=folder,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PROCESS_SECONDS):
            line = await process.stdout.readline()
        assert line, log.read_text()
        yield Served(process, read_announced_address(line), log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.process
async def test_a_server_exports_the_rest_when_it_stops(
    tmp_path: Path, upstream: FakeUpstream, receiver: OtlpReceiver
) -> None:
    """Spans that still wait are exported at the exit, and the SDK follows its own variables."""
    variables = {
        ENDPOINT: receiver.endpoint,
        "OTEL_SERVICE_NAME": "mine",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=one",
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        "OTEL_PROPAGATORS": "tracecontext,baggage",
    }
    async with served(tmp_path, upstream, variables) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub: Any = ReasoningServiceStub(channel)
            await stub.Complete(a_wire_request(), metadata=(("baggage", "tenant=blue"),))
        assert receiver.spans == []
        await server.stop()

    assert sorted(span.name for span in receiver.spans) == ["/reasoning_grpc.v1.ReasoningService/Complete", "chat fake"]
    resource = receiver.spans[0].resource
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("mine", "test")
    assert receiver.metadata[0]["x-tenant"] == "one"
    assert (await upstream.request()).headers["baggage"] == "tenant=blue"


@pytest.mark.process
async def test_a_collector_that_hangs_affects_nothing(
    tmp_path: Path, upstream: FakeUpstream, receiver: OtlpReceiver
) -> None:
    """With a collector that hangs calls are served, and the exit does not wait."""
    receiver.hang()
    variables = {ENDPOINT: receiver.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "20", **SDK_WAITS}
    async with served(tmp_path, upstream, variables) as server:
        await server.call()
        await receiver.expect_requests()
        for _ in range(CALLS):
            await server.call()
        await server.stop()

        assert [line["code"] for line in server.lines() if line["logger"] == "reasoning_grpc.calls"] == ["OK"] * 4
        assert not any("traceback" in line for line in server.lines())
        assert NOT_SENT in {line["message"] for line in server.lines()}


@pytest.mark.process
async def test_a_collector_that_refuses_affects_nothing(tmp_path: Path, upstream: FakeUpstream) -> None:
    """With a collector that refuses connections calls are served, and the exit does not wait."""
    with refusing_api_base() as nowhere:
        variables = {ENDPOINT: nowhere.removesuffix("/v1"), "OTEL_BSP_SCHEDULE_DELAY": "20", **SDK_WAITS}
        async with served(tmp_path, upstream, variables) as server:
            for _ in range(CALLS):
                await server.call()
            await server.stop()

            assert [line["code"] for line in server.lines() if line["logger"] == "reasoning_grpc.calls"] == ["OK"] * 3
            assert not any("traceback" in line for line in server.lines())
            assert NOT_SENT in {line["message"] for line in server.lines()}
        assert NOT_SENT in {line["message"] for line in server.lines()}


@pytest.mark.process
async def test_spans_are_printed_to_the_console(tmp_path: Path, upstream: FakeUpstream) -> None:
    """The console exporter prints spans to standard output."""
    async with served(tmp_path, upstream, {"OTEL_TRACES_EXPORTER": "console"}) as server:
        await server.call()
        printed = await server.stop()

    assert b'"name": "chat fake"' in printed


_LISTS_MODULES: Final = """
import os
import sys
from reasoning_grpc.cli import main
end_process = os._exit  # the server ends by it, so that it need not wait for threads
def list_modules(code):
    print(sorted(name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))))
    end_process(code)
os._exit = list_modules
main(sys.argv[1:])
"""


@pytest.mark.process
async def test_without_telemetry_the_sdk_is_not_loaded(tmp_path: Path, upstream: FakeUpstream) -> None:
    """A server without telemetry has not loaded the SDK or an exporter after a call."""
    program = (sys.executable, "-c", _LISTS_MODULES, "serve", "--listen", "127.0.0.1:0")
    async with served(tmp_path, upstream, {}, program) as server:
        await server.call()
        printed = await server.stop()

    assert printed == b"[]\n"
