"""Starts each service in production configuration, and its client: `start_service`."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from bench.process import Process, pin

ROOT: Final = Path(__file__).parent.parent
_PYTHON_PATH: Final = {"PYTHONPATH": str(ROOT)}
"""The environment in which another build's Python finds this package."""
MODELS: Final = [
    "mock-1",
    "mock-5-5",
    "mock-10",
    "mock-100-20",
    "mock-200",
    "mock-1000",
    "mock-5000",
    "mock-1000-500",
    "mock-plan",
]  # the chunks, and the milliseconds between them
PREFIXES: Final = ("groq", "deepseek", "mistral", "xai", "openrouter", "anthropic", "gemini")
"""Prefixes beside openai/ whose streams are measured."""
TOKEN: Final = "rgk_bench"
PROXY_KEY: Final = "sk-bench"
"""The master key of LiteLLM proxy."""
_START_SECONDS: Final = 180.0


@dataclass(frozen=True)
class Environment:
    """Where the programs of a run are."""

    folder: Path
    """The folder of this run: configurations and logs."""
    mock_port: int
    ours: Path
    """The Python of this build."""
    baseline: Path
    """The Python of the older build."""
    peers: Path
    """The Python with LiteLLM proxy and TensorZero."""


class Client:
    """The client of a service: a process that gets orders and writes reports."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("wb"),
            env={**os.environ, **_PYTHON_PATH},
            text=True,
        )
        self._read()  # it is ready

    def run(self, **order: Any) -> dict[str, Any]:
        """Returns the report of an order; see `load/driver.py`."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps(order) + "\n")
        self._popen.stdin.flush()
        return self._read()

    def pin(self, cores: Sequence[int]) -> None:
        """Lets the process run on these cores only."""
        pin(self._popen.pid, cores)

    def stop(self) -> None:
        """Ends the process."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        self._popen.wait(30)

    def _read(self) -> dict[str, Any]:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            raise RuntimeError("a client has ended; see its log")
        report: dict[str, Any] = json.loads(line)
        return report


@dataclass
class Service:
    """A started service with its client."""

    name: str
    process: Process
    client: Client
    environment: Environment
    port: int
    start_seconds: float
    """The time from the start of the process to the first answered call."""
    collector: Process | None = None
    """What takes the service's traces, and does not count as the service."""

    def stop(self) -> None:
        """Ends the client and the service, and the collector of its traces."""
        self.client.stop()
        self.process.stop()
        if self.collector:
            self.collector.stop()


def start_ours(
    environment: Environment,
    name: str = "ours",
    *,
    python: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Service:
    """Starts this build, or the one of another Python, as it runs in production.

    Requests are validated, callers show tokens, the ledger counts tokens and their prices, and each call writes a line
    of JSON to the log. The hooks of telemetry are in place and pass on trace contexts; without an exporter they record
    no spans.
    """
    python = python or environment.ours
    port = find_free_port()
    config = environment.folder / f"{name}.toml"
    config.write_text(_write_own_config(environment, port))
    log = environment.folder / f"{name}.log"
    command = [str(python.with_name("reasoning-grpc")), "serve", "--config", str(config)]
    own = {"REASONING_DRAIN_DELAY_SECONDS": "0"} if python == environment.ours else {}  # an older build has no delay
    process = Process(command, log, environment={"BENCH_KEY": "key", **own, **(variables or {})})
    client = [str(python), "-m", "bench.load.grpc_client", f"127.0.0.1:{port}", TOKEN]
    return _connect(name, process, client, environment, port)


def start_ours_traced(environment: Environment) -> Service:
    """Starts this build with its spans exported to a collector, and waits for the first of them."""
    port = find_free_port()
    log = environment.folder / "collector.log"
    collector = Process([str(environment.ours), "-m", "bench.load.collector", str(port)], log, environment=_PYTHON_PATH)
    _wait_for(collector, lambda: _is_listening(port))
    service = start_ours(
        environment, "ours_traced", variables={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{port}"}
    )
    service.collector = collector
    _wait_for(collector, log.read_text)
    return service


def start_litellm_proxy(environment: Environment) -> Service:
    """Starts LiteLLM proxy, and its client."""
    port = find_free_port()
    process = launch_litellm_proxy(environment, port)
    client = _http_client(port, "/v1/chat/completions", PROXY_KEY, "%s")
    return _connect("litellm_proxy", process, client, environment, port)


def launch_litellm_proxy(environment: Environment, port: int) -> Process:
    """Starts the process of LiteLLM proxy with one worker, a master key and no database."""
    config = environment.folder / "litellm_proxy.yaml"
    models = [
        {
            "model_name": model,
            "litellm_params": {"model": f"openai/{model}", "api_base": _api_base(environment), "api_key": "key"},
        }
        for model in MODELS
    ]
    settings = {"num_retries": 0}
    config.write_text(
        json.dumps(  # JSON is YAML
            {
                "model_list": models,
                "litellm_settings": settings,
                "router_settings": settings,
                "general_settings": {"master_key": PROXY_KEY},
            }
        )
    )
    command = [str(environment.peers.with_name("litellm")), "--config", str(config), "--port", str(port)]
    variables = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    return Process(command, environment.folder / "litellm_proxy.log", environment=variables)


def start_tensorzero(environment: Environment) -> Service:
    """Starts TensorZero's gateway without observability, so that it needs no database."""
    config = environment.folder / "tensorzero.toml"
    lines = ["[gateway]", 'bind_address = "127.0.0.1:0"', "observability.enabled = false", "auth.enabled = false"]
    for model in MODELS:
        lines += [
            f'[models."{model}"]',
            'routing = ["mock"]',
            f'[models."{model}".providers.mock]',
            'type = "openai"',
            f'model_name = "{model}"',
            f'api_base = "{_api_base(environment)}"',
            'api_key_location = "env::BENCH_KEY"',
        ]
    config.write_text("\n".join(lines) + "\n")
    log = environment.folder / "tensorzero.log"
    command = [str(environment.peers), "-m", "bench.load.tensorzero_server", str(config)]
    process = Process(command, log, environment={"BENCH_KEY": "key", **_PYTHON_PATH})
    port = int(_wait_for(process, lambda: re.search(r"http://[^:]+:(\d+)", log.read_text()))[1])
    client = _http_client(port, "/openai/v1/chat/completions", "key", "tensorzero::model_name::%s")
    return _connect("tensorzero", process, client, environment, port)


def start_echo(environment: Environment) -> Service:
    """Starts the grpc.aio echo."""
    port = find_free_port()
    process = Process(
        [str(environment.ours), "-m", "bench.load.echo_server", str(port)],
        environment.folder / "echo.log",
        environment=_PYTHON_PATH,
    )
    client = [str(environment.ours), "-m", "bench.load.echo_client", f"127.0.0.1:{port}"]
    return _connect("echo", process, client, environment, port)


def start_direct(environment: Environment, mock: Process) -> Service:
    """Returns the mock upstream itself as a service: what a call takes without any server between."""
    client = _http_client(environment.mock_port, "/v1/chat/completions", "key", "%s")
    return _connect("direct", mock, client, environment, environment.mock_port)


STARTERS: Final[Mapping[str, Callable[[Environment], Service]]] = {
    "ours": start_ours,
    "ours_traced": start_ours_traced,
    "baseline": lambda environment: start_ours(environment, "baseline", python=environment.baseline),
    "litellm_proxy": start_litellm_proxy,
    "tensorzero": start_tensorzero,
    "echo": start_echo,
}
"""The services by name."""


def find_free_port() -> int:
    """Returns a port that is free now."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def _api_base(environment: Environment) -> str:
    return f"http://127.0.0.1:{environment.mock_port}/v1"


def _write_own_config(environment: Environment, port: int) -> str:
    lines = [
        f'listen = "127.0.0.1:{port}"',
        'default_model = "mock-1"',
        'embedded = "off"',
        'log_format = "json"',
        "agent_max_steps = 64",
        "max_upstream_connections = 4096",
        "",
    ]
    entries = {model: f"openai/{model}" for model in MODELS}
    entries |= {f"{prefix}:mock-200": f"{prefix}/mock-200" for prefix in PREFIXES}
    for name, litellm_model in entries.items():
        base = _api_base(environment)
        lines += [
            f'[models."{name}"]',
            f'litellm_model = "{litellm_model}"',
            f'api_base = "{base.removesuffix("/v1") if litellm_model.startswith("anthropic/") else base}"',
            'api_key_env = "BENCH_KEY"',
            "input_usd_per_million = 1.0",
            "output_usd_per_million = 2.0",
        ]
    lines += ["[callers.bench]", f'token_hash = "sha256:{sha256(TOKEN.encode()).hexdigest()}"']
    return "\n".join(lines) + "\n"


def _http_client(port: int, path: str, key: str, name: str) -> list[str]:
    return [sys.executable, "-m", "bench.load.http_client", str(port), path, key, name]


def _connect(
    name: str, process: Process, client_command: Sequence[str], environment: Environment, port: int
) -> Service:
    """Waits for the first answered call, and returns the service."""
    _wait_for(process, lambda: _is_listening(port))
    client = Client(client_command, environment.folder / f"{name}-client.log")
    started = process.start_time
    give_up = time.monotonic() + _START_SECONDS
    while not client.run(kind="unary", model="mock-1", concurrency=1, calls=1)["calls"]:
        if time.monotonic() > give_up or not process.is_running:
            raise RuntimeError(f"{name} does not answer; see {process.log}")
        time.sleep(0.02)
    return Service(name, process, client, environment, port, time.monotonic() - started)


def _is_listening(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(process: Process, find: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + _START_SECONDS
    while not (found := find()):
        if time.monotonic() > give_up or not process.is_running:
            raise RuntimeError(f"a service does not start; see {process.log}")
        time.sleep(0.01)
    return found
