"""A real LiteLLM proxy in its own process, offline and without a database, in front of a fake upstream."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from pathlib import Path
from typing import Any, Final

from tests.support.ports import find_port

SERVER_KEY: Final = "sk-key-of-the-server"
VIRTUAL_KEY: Final = "sk-virtual-key-of-alice"
FORBIDDEN_KEY: Final = "sk-key-that-may-nothing"
"""The proxy knows this key and answers 403; it answers 401 to an unknown key."""
UPSTREAM_KEY: Final = "sk-key-behind-the-proxy"
"""The key that the proxy sends to the upstream."""

_START_SECONDS: Final = 240.0
_PROGRAM: Final = "import litellm; litellm.run_server()"
# Without a database the proxy has no keys of its own, and refuses a wrong one with 400.
_AUTH: Final = f"""
from fastapi import HTTPException, Request
from litellm.proxy._types import UserAPIKeyAuth

async def check(request: Request, api_key: str) -> UserAPIKeyAuth:
    if api_key == {FORBIDDEN_KEY!r}:
        raise HTTPException(status_code=403, detail="this key may nothing")
    if api_key not in {{{SERVER_KEY!r}, {VIRTUAL_KEY!r}}}:
        raise HTTPException(status_code=401, detail="no such key")
    return UserAPIKeyAuth(api_key=api_key)
"""
# Without its own tracing it passes no trace context on, whatever else it is told.
_TRACED: Final = {"callbacks": ["otel"], "forward_traceparent_to_llm_provider": True}


class LiteLLMProxy:
    """The process of a proxy. After a restart it has the same address."""

    def __init__(self, folder: Path, upstream_api_base: str, *, otlp_endpoint: str = "") -> None:
        """`folder` is for its files; one upstream serves all models of the proxy.

        With an endpoint it exports spans to it, and forwards trace contexts.
        """
        self._otlp_endpoint = otlp_endpoint
        self._folder = folder
        self._process: Process | None = None
        self._output: asyncio.Task[None] | None = None
        self._serves = asyncio.Event()
        self._lines: list[str] = []
        self.port: Final = find_port()
        (folder / "auth.py").write_text(_AUTH)
        (folder / "config.json").write_text(
            json.dumps(_config(upstream_api_base, traced=bool(otlp_endpoint)))
        )  # which is YAML as well

    @property
    def base_url(self) -> str:
        """The address of the proxy, as a value of `LITELLM_BASE_URL`."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Starts the process, and returns when it serves, which takes five seconds or more."""
        self._serves.clear()
        self._lines.clear()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _PROGRAM, "--config", "config.json", "--host", "127.0.0.1"),
            *("--port", str(self.port)),
            cwd=self._folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._folder),
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks the network for one
                "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # our own module looks at keys
                **_tracing_variables(self._otlp_endpoint),
            },
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
        )
        self._output = asyncio.create_task(self._read_output(self._process), name="litellm-proxy-output")
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._serves.wait()
        except TimeoutError:
            await self.kill()
            raise AssertionError("the LiteLLM proxy did not start:\n" + "".join(self._lines[-40:])) from None

    async def kill(self) -> None:
        """Kills the process, so that its clients get no answer."""
        if self._process is not None and self._output is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._output
            await self._process.wait()

    async def _read_output(self, process: Process) -> None:
        """Reads everything that the process prints; a full pipe would stop it."""
        assert process.stdout is not None
        async for line in process.stdout:
            self._lines.append(line.decode(errors="replace"))
            if b"Uvicorn running on" in line:
                self._serves.set()


def _tracing_variables(endpoint: str) -> dict[str, str]:
    if not endpoint:
        return {}
    return {
        "OTEL_EXPORTER": "otlp_grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }


def _config(upstream_api_base: str, *, traced: bool) -> dict[str, Any]:
    def served_by(model: str, **options: Any) -> dict[str, Any]:
        return {"model": model, "api_base": upstream_api_base, "api_key": UPSTREAM_KEY, **options}

    return {
        "model_list": [
            {"model_name": "fake", "litellm_params": served_by("openai/fake")},
            {"model_name": "impatient", "litellm_params": served_by("openai/fake", timeout=2)},
            {"model_name": "team/known", "litellm_params": served_by("openai/gpt-4o-mini")},
            {"model_name": "embedding", "litellm_params": served_by("openai/text-embedding-3-small")},
        ],
        "litellm_settings": {"num_retries": 0, "telemetry": False, **(_TRACED if traced else {})},
        # Without the last, a failure of the upstream makes the next calls fail as well.
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"custom_auth": "auth.check"},
    }
