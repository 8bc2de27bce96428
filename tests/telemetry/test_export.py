"""What the `OTEL_*` variables switch on, and that a collector in trouble is no trouble for anyone else."""

import asyncio
import json
import os
import signal
import sys
import time
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
from reasoning_grpc.config import ConfigError
from reasoning_grpc.telemetry.export import Export, Telemetry, TelemetryPlan, telemetry_plan
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.factories import a_wire_request
from tests.support.otlp import OtlpReceiver
from tests.support.upstream import FakeUpstream, refusing_api_base

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
LOCAL: Final = "http://localhost:4317"
AT_A: Final = Export(("otlp",), "http://a:1")
CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

PATIENCE_SECONDS: Final = 60.0
"""How long a process may take for what it must do; a start imports litellm. Reached only by a test that fails."""
EXIT_SECONDS: Final = 8.0
"""How long an exit may take on a machine that is busy; left to itself, the SDK waits for 10 seconds, or for 30."""
CALLS: Final = 3
NOT_SENT: Final = "not all telemetry could be sent in time"


@pytest.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    """A collector."""
    async with OtlpReceiver() as running:
        yield running


@pytest.mark.parametrize(
    ("variables", "plan"),
    [
        pytest.param({}, TelemetryPlan(), id="nothing"),
        pytest.param({ENDPOINT: "http://a:1"}, TelemetryPlan(AT_A, AT_A), id="endpoint"),
        pytest.param({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:1"}, TelemetryPlan(AT_A), id="traces-endpoint"),
        pytest.param(
            {ENDPOINT: "http://b:2", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://a:1"},
            TelemetryPlan(Export(("otlp",), "http://b:2"), AT_A),
            id="metrics-endpoint",
        ),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "otlp"},
            TelemetryPlan(Export(("otlp",), LOCAL)),
            id="exporter-and-default-endpoint",
        ),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "console, otlp", ENDPOINT: "http://a:1"},
            TelemetryPlan(Export(("console", "otlp"), "http://a:1"), AT_A),
            id="two",
        ),
        pytest.param({"OTEL_METRICS_EXPORTER": "console"}, TelemetryPlan(metrics=Export(("console",))), id="console"),
        pytest.param({ENDPOINT: "http://a:1", "OTEL_METRICS_EXPORTER": "none"}, TelemetryPlan(AT_A), id="none"),
        pytest.param({ENDPOINT: "http://a:1", "OTEL_SDK_DISABLED": "true"}, TelemetryPlan(), id="disabled"),
        pytest.param({ENDPOINT: "", "OTEL_TRACES_EXPORTER": ""}, TelemetryPlan(), id="empty"),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://me:secret@a:1/x"},
            TelemetryPlan(Export(("otlp",), "https://a:1/x")),
            id="credentials-are-not-shown",
        ),
        pytest.param({CAPTURE: "SPAN_ONLY"}, TelemetryPlan(captures_content=True), id="content"),
        pytest.param({CAPTURE: "NO_CONTENT"}, TelemetryPlan(), id="no-content"),
    ],
)
def test_what_is_asked_for(variables: Mapping[str, str], plan: TelemetryPlan) -> None:
    """Nothing is exported unless a standard variable says so."""
    assert telemetry_plan(variables) == plan


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER: 'zipkin' is not served; there are otlp, console, none",
            id="exporter",
        ),
        pytest.param(
            {"OTEL_METRICS_EXPORTER": "otlp,none"},
            "OTEL_METRICS_EXPORTER: 'otlp,none' is not served; there are otlp, console, none",
            id="none-and-more",
        ),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' is not served; there is grpc",
            id="protocol",
        ),
        pytest.param(
            {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'http/json' is not served; there is grpc",
            id="metrics-protocol",
        ),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/such.pem"},
            "OTEL_EXPORTER_OTLP_CERTIFICATE: /no/such.pem: there is no such file",
            id="certificate",
        ),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": "secret"},
            "OTEL_EXPORTER_OTLP_HEADERS: must be NAME=VALUE, several with commas between",
            id="headers",
        ),
        pytest.param(
            {CAPTURE: "EVENT_ONLY"},
            f"{CAPTURE}: must be true, false, NO_CONTENT, SPAN_ONLY or SPAN_AND_EVENT",
            id="content",
        ),
    ],
)
def test_what_is_not_served_is_told(variables: Mapping[str, str], problem: str) -> None:
    """By the name of the variable, in one line."""
    with pytest.raises(ConfigError) as refused:
        telemetry_plan(variables)

    assert refused.value.problems == [problem]


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, id="timeout"),
        pytest.param({"OTEL_EXPORTER_OTLP_COMPRESSION": "brotli"}, id="compression"),
        pytest.param({"OTEL_BSP_MAX_QUEUE_SIZE": "1"}, id="queue"),
    ],
)
def test_what_the_sdk_refuses_is_told(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Values that only the SDK reads are its own to judge; what it says is one problem of the configuration."""
    for name, value in {"OTEL_TRACES_EXPORTER": "otlp", **variables}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError, match="OpenTelemetry refuses a variable") as refused:
        Telemetry(telemetry_plan(os.environ))

    assert len(refused.value.problems) == 1


async def test_a_gauge_is_one_call(monkeypatch: pytest.MonkeyPatch, receiver: OtlpReceiver) -> None:
    """Metrics go to the collector under our name, the last ones at the close."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", receiver.endpoint)
    telemetry = Telemetry(telemetry_plan(os.environ))

    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(7, {"pool": "upstream"})]

    telemetry.meter.create_observable_gauge("reasoning_grpc.test", [observe])
    await telemetry.aclose()

    metric = await receiver.metric("reasoning_grpc.test")
    assert [point.as_int for point in metric.gauge.data_points] == [7]
    assert telemetry.tracer is None


async def test_without_metrics_a_gauge_is_never_asked() -> None:
    """The same call does nothing."""
    telemetry = Telemetry()

    def observe(_: CallbackOptions) -> list[Observation]:
        raise AssertionError("nobody may ask")

    telemetry.meter.create_observable_gauge("reasoning_grpc.test", [observe])
    await telemetry.aclose()


@dataclass(frozen=True)
class Served:
    """A server process in front of the fake upstream."""

    process: Process
    address: str
    log: Path

    async def call(self) -> None:
        """One call that goes well."""
        async with ReasoningClient(self.address) as client:
            answer = await client.complete(a_wire_request())
        assert answer.message.content[0].text == "Hello world"

    async def stop(self) -> tuple[float, bytes]:
        """Seconds that the exit took, and what it had printed."""
        assert self.process.stdout is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            printed = await self.process.stdout.read()
            assert await self.process.wait() == 0
        return time.monotonic() - began, printed

    def lines(self) -> list[dict[str, Any]]:
        """Those of its log, all JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


PROGRAM: Final = (sys.executable, "-m", "reasoning_grpc.cli", "serve", "--listen", "127.0.0.1:0")


@asynccontextmanager
async def served(
    folder: Path, upstream: FakeUpstream, variables: Mapping[str, str], program: Sequence[str] = PROGRAM
) -> AsyncIterator[Served]:
    """Runs it; killed at the end if it still runs."""
    (folder / "reasoning.toml").write_text(
        f'[models.fake]\nlitellm_model = "openai/fake"\napi_base = "{upstream.api_base}"\n'
    )
    log = folder / "log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *program,
            env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **variables},
            cwd=folder,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("serving on "), log.read_text()
        yield Served(process, line.removeprefix("serving on ").strip(), log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_server_sends_what_is_left_when_it_stops(
    tmp_path: Path, upstream: FakeUpstream, receiver: OtlpReceiver
) -> None:
    """Spans that wait for their turn leave with the exit; the SDK reads the variables that are its own."""
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
        seconds, _ = await server.stop()

    assert sorted(span.name for span in receiver.spans) == ["/reasoning_grpc.v1.ReasoningService/Complete", "chat fake"]
    resource = receiver.spans[0].resource
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("mine", "test")
    assert receiver.metadata[0]["x-tenant"] == "one"
    assert (await upstream.request()).headers["baggage"] == "tenant=blue"
    assert seconds < EXIT_SECONDS


async def test_a_collector_that_hangs(tmp_path: Path, upstream: FakeUpstream, receiver: OtlpReceiver) -> None:
    """Calls are served as ever, and the exit does not wait for it."""
    receiver.hang()
    variables = {ENDPOINT: receiver.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "20"}
    async with served(tmp_path, upstream, variables) as server:
        await server.call()
        await receiver.requested()
        for _ in range(CALLS):
            await server.call()
        seconds, _ = await server.stop()

        assert [line["code"] for line in server.lines() if line["logger"] == "reasoning_grpc.calls"] == ["OK"] * 4
        assert not any("traceback" in line for line in server.lines())
        assert NOT_SENT in {line["message"] for line in server.lines()}
    assert seconds < EXIT_SECONDS


async def test_a_collector_that_refuses(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Calls are served as ever, and the exit does not wait for it."""
    with refusing_api_base() as nowhere:
        variables = {ENDPOINT: nowhere.removesuffix("/v1"), "OTEL_BSP_SCHEDULE_DELAY": "20"}
        async with served(tmp_path, upstream, variables) as server:
            for _ in range(CALLS):
                await server.call()
            seconds, _ = await server.stop()

            assert [line["code"] for line in server.lines() if line["logger"] == "reasoning_grpc.calls"] == ["OK"] * 3
            assert not any("traceback" in line for line in server.lines())
            assert NOT_SENT in {line["message"] for line in server.lines()}
        assert NOT_SENT in {line["message"] for line in server.lines()}
    assert seconds < EXIT_SECONDS


async def test_spans_on_the_console(tmp_path: Path, upstream: FakeUpstream) -> None:
    """For a look without a collector they are printed."""
    async with served(tmp_path, upstream, {"OTEL_TRACES_EXPORTER": "console"}) as server:
        await server.call()
        _, printed = await server.stop()

    assert b'"name": "chat fake"' in printed


_WATCHED: Final = """
import sys
from reasoning_grpc.cli import main
code = main(sys.argv[1:])
print(sorted(name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))))
sys.exit(code)
"""


async def test_off_means_that_nothing_is_there(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Without a variable a server that has served calls has not even loaded what would export."""
    program = (sys.executable, "-c", _WATCHED, "serve", "--listen", "127.0.0.1:0")
    async with served(tmp_path, upstream, {}, program) as server:
        await server.call()
        _, printed = await server.stop()

    assert printed == b"[]\n"


async def run(*arguments: str, folder: Path, **variables: str) -> tuple[int, str, str]:
    """Runs a command to its end: its exit code, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reasoning_grpc.cli", *arguments),
        env={"PATH": os.environ["PATH"], **variables},
        cwd=folder,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("command", ["serve", "check-config"])
async def test_problems_are_told_with_those_of_the_configuration(tmp_path: Path, command: str) -> None:
    """All at once, one line each, before anything is begun."""
    variables = {"OTEL_TRACES_EXPORTER": "jaeger", "OTEL_PROPAGATORS": "pigeon", "REASONING_GRACE_SECONDS": "long"}
    code, out, err = await run(command, folder=tmp_path, **variables)

    assert (code, out) == (1, "")
    assert [line.split(":")[1].strip() for line in err.splitlines()] == [
        "REASONING_GRACE_SECONDS",
        "OTEL_TRACES_EXPORTER",
        "OTEL_PROPAGATORS",
    ]


async def test_a_variable_that_the_sdk_refuses_ends_the_start(tmp_path: Path) -> None:
    """With one clear line."""
    code, out, err = await run("serve", folder=tmp_path, OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_TIMEOUT="soon")

    assert (code, out) == (1, "")
    assert err.startswith("reasoning-grpc: OTEL_*: OpenTelemetry refuses a variable: ")
    assert err.count("\n") == 1


async def test_check_config_says_what_is_exported(tmp_path: Path) -> None:
    """Where traces and metrics go, and whether there is content in them."""
    code, out, _ = await run(
        "check-config", folder=tmp_path, **{ENDPOINT: "http://a:1", "OTEL_METRICS_EXPORTER": "none", CAPTURE: "true"}
    )

    assert code == 0
    assert out.splitlines()[-2:] == [
        "traces   otlp http://a:1",
        "content  what is said stands in the traces",
    ]
