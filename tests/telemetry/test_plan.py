"""The `OTEL_*` variables decide what is exported, and are refused with a clear sentence."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from reasoning_grpc.config import ConfigError
from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.telemetry.plan import Export, TelemetryPlan, read_telemetry_plan

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
LOCAL: Final = "http://localhost:4317"
AT_A: Final = Export(("otlp",), "http://a:1")
CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


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
            id="credentials-are-removed",
        ),
        pytest.param({CAPTURE: "SPAN_ONLY"}, TelemetryPlan(captures_content=True), id="content"),
        pytest.param({CAPTURE: "NO_CONTENT"}, TelemetryPlan(), id="no-content"),
    ],
)
def test_the_plan_follows_the_variables(variables: Mapping[str, str], plan: TelemetryPlan) -> None:
    """A signal is exported only when a standard variable requests it."""
    assert read_telemetry_plan(variables) == plan


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
def test_a_value_that_is_not_served_is_refused(variables: Mapping[str, str], problem: str) -> None:
    """A value that this build does not serve is reported in one line that names the variable."""
    with pytest.raises(ConfigError) as refused:
        read_telemetry_plan(variables)

    assert refused.value.problems == [problem]


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, id="timeout"),
        pytest.param({"OTEL_EXPORTER_OTLP_COMPRESSION": "brotli"}, id="compression"),
        pytest.param({"OTEL_BSP_MAX_QUEUE_SIZE": "1"}, id="queue"),
    ],
)
def test_a_value_that_the_sdk_refuses_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]
) -> None:
    """A value that only the SDK reads, and refuses, is one problem of the configuration."""
    for name, value in {"OTEL_TRACES_EXPORTER": "otlp", **variables}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError, match="OpenTelemetry refuses a variable") as refused:
        Telemetry(read_telemetry_plan(os.environ))

    assert len(refused.value.problems) == 1


async def run(*arguments: str, folder: Path, **variables: str) -> tuple[int, str, str]:
    """Runs a command to its end, and returns its exit code, output and error output."""
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


@pytest.mark.process
@pytest.mark.parametrize("command", ["serve", "check-config"])
async def test_problems_are_reported_with_those_of_the_configuration(tmp_path: Path, command: str) -> None:
    """Problems of the plan and of the configuration are reported together, one line each."""
    variables = {"OTEL_TRACES_EXPORTER": "jaeger", "OTEL_PROPAGATORS": "pigeon", "REASONING_GRACE_SECONDS": "long"}
    code, out, err = await run(command, folder=tmp_path, REASONING_LOG_FORMAT="text", **variables)

    assert (code, out) == (1, "")
    assert [line.split(":")[1].strip() for line in err.splitlines()] == [
        "REASONING_GRACE_SECONDS",
        "OTEL_TRACES_EXPORTER",
        "OTEL_PROPAGATORS",
    ]


@pytest.mark.process
async def test_a_variable_that_the_sdk_refuses_ends_the_start(tmp_path: Path) -> None:
    """A variable that the SDK refuses ends the start with one line."""
    variables = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}
    code, out, err = await run("serve", folder=tmp_path, REASONING_LOG_FORMAT="text", **variables)

    assert (code, out) == (1, "")
    assert err.startswith("reasoning-grpc: OTEL_*: OpenTelemetry refuses a variable: ")
    assert err.count("\n") == 1


@pytest.mark.process
async def test_check_config_prints_what_is_exported(tmp_path: Path) -> None:
    """`check-config` prints where traces and metrics are sent, and whether they hold content."""
    code, out, _ = await run(
        "check-config", folder=tmp_path, **{ENDPOINT: "http://a:1", "OTEL_METRICS_EXPORTER": "none", CAPTURE: "true"}
    )

    assert code == 0
    assert out.splitlines()[-2:] == [
        "traces   otlp http://a:1",
        "content  traces hold the words of messages, answers, plans and tools",
    ]
