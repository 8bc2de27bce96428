"""Three servers that are stopped, killed and started again at the same addresses."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.process import Process
from bench.services import find_free_port

TOKEN: Final = "rgk_bench"
MODELS: Final = ("mock-1", "mock-100-20", "mock-1000-20")
"""A short answer, a stream of two seconds and one of twenty."""
DRAIN_DELAY_SECONDS: Final = 5.0
GRACE_SECONDS: Final = 3.0
"""So short that the long streams are cut."""
_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_OWN: Final = (("grpc.use_local_subchannel_pool", 1),)
"""The load's connections, which may just have broken, are not used."""


@dataclass(frozen=True)
class EndedCall:
    """A call whose end a server has logged."""

    code: str
    arrival_time: float
    """Seconds of `time.time`."""


@dataclass
class Server:
    """One server at a port of its own."""

    number: int
    folder: Path
    config: Path
    port: int = field(default_factory=find_free_port)
    host: str = "127.0.0.1"
    prefix: Sequence[str] = ()
    """The command that runs another command where the server is to be, such as in a namespace of its own."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The environment that is added."""
    process: Process | None = None
    logs: list[Path] = field(default_factory=list)
    """The logs of all its processes, the latest last."""

    @property
    def target(self) -> str:
        """The address."""
        return f"{self.host}:{self.port}"

    async def start(self) -> float:
        """Starts a process, waits until it is ready, and returns the seconds that it took."""
        started = time.monotonic()
        log = self.folder / f"server-{self.number}-{len(self.logs)}.log"
        self.logs.append(log)
        program = Path(sys.executable).with_name("reasoning-grpc")
        command = [*self.prefix, str(program), "serve", "--config", str(self.config), "--listen", self.target]
        self.process = Process(command, log, environment={"BENCH_KEY": "key", **self.variables})
        async with asyncio.timeout(_PATIENCE_SECONDS), grpc.aio.insecure_channel(self.target, options=_OWN) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            async for response in stub.Watch(health_pb2.HealthCheckRequest(service="readiness"), wait_for_ready=True):
                if response.status == health_pb2.HealthCheckResponse.SERVING:
                    break
        return time.monotonic() - started

    async def wait_for_calls(self) -> None:
        """Waits until the latest process has served a call."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not any(parse_calls(self.logs[-1].read_text())):  # noqa: ASYNC110 - another process writes them
                await asyncio.sleep(_POLL_SECONDS)

    async def stop(self) -> dict[str, float]:
        """Stops the process by SIGTERM, and returns its exit code and the seconds that it took."""
        seconds = await self._end(signal.SIGTERM)
        assert self.process is not None
        return {"exit_code": self.process.wait(), "seconds": round(seconds, 2)}

    async def kill(self) -> None:
        """Kills the process."""
        await self._end(signal.SIGKILL)

    def read_calls(self) -> dict[str, EndedCall]:
        """Returns the calls that all its processes have ended, by request id."""
        return {request_id: call for log in self.logs for request_id, call in parse_calls(log.read_text())}

    async def _end(self, number: signal.Signals) -> float:
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(number)
        while self.process.is_running:  # noqa: ASYNC110 - the process is not one of asyncio's
            await asyncio.sleep(_POLL_SECONDS)
        return time.monotonic() - started


def create_servers(folder: Path, mock_port: int) -> list[Server]:
    """Returns three servers of the mock upstream, which are not started yet."""
    config = folder / "server.toml"
    write_config(config, mock_port, MODELS)
    return [Server(number, folder, config) for number in range(3)]


def write_config(file: Path, mock_port: int, models: Sequence[str], *lines: str) -> None:
    """Writes the configuration of a server of these models, the first of which is the default one, with more lines."""
    text = [
        'embedded = "off"',
        'log_format = "json"',
        f'default_model = "{models[0]}"',
        f"drain_delay_seconds = {DRAIN_DELAY_SECONDS}",
        f"grace_seconds = {GRACE_SECONDS}",
        *lines,
        f'callers.bench.token_hash = "sha256:{sha256(TOKEN.encode()).hexdigest()}"',
    ]
    for model in models:
        text += [
            f"[models.{model}]",
            f'litellm_model = "openai/{model}"',
            f'api_base = "http://127.0.0.1:{mock_port}/v1"',
            'api_key_env = "BENCH_KEY"',
        ]
    file.write_text("\n".join(text) + "\n")


def parse_calls(log: str) -> Iterator[tuple[str, EndedCall]]:
    """Yields the request id and the facts of each call whose end is in a log."""
    for line in log.splitlines():
        if not line.endswith("}"):  # the last line of a process that was killed
            continue
        facts = json.loads(line)
        if facts["message"] == "call":
            ended = _read_time(facts["time"])
            yield facts["request_id"], EndedCall(facts["code"], ended - facts["duration_ms"] / 1000)


def _read_time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
