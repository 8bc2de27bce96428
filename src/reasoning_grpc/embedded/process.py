"""`EmbeddedModel`: a small model on llama.cpp, in a child process that it watches and restarts."""

import asyncio
import logging
import os
import secrets
import time
from asyncio.subprocess import Process
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reasoning_grpc.embedded.child import Settings
from reasoning_grpc.embedded.installation import find_bundled_weights, find_installation_problem
from reasoning_grpc.embedded.launch import EmbeddedStartError, launch_child, stop_process
from reasoning_grpc.embedded.naming import BUNDLED_NAME

# Measured with the bundled weights on 16 short questions, three times each, with at most 160 tokens: share of right
# answers, and of answers that never ended. Without a system message (the template then writes "You are a helpful AI
# assistant named SmolLM"): 84 % and 25 %. "You are a helpful assistant.": 78 % and 22 %. The prompt below: 92 % and
# 6 %. With temperature 0.4 85 % of the answers were right, with 0.7 and above 60 %.
DEFAULT_SYSTEM_PROMPT: Final = "You answer questions correctly and concisely."
"""The system prompt of requests that have no system message."""
DEFAULT_TEMPERATURE: Final = 0.2
"""The temperature of requests that have none; llama.cpp's own default of 0.8 is too random for this model."""

_FIRST_DELAY_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 30.0
_GOOD_RUN_SECONDS: Final = 30.0
"""After a run of this length the first restart is not delayed further, because the cause must be a new one."""

_logger = logging.getLogger("reasoning_grpc.embedded")


class EmbeddedClosedError(Exception):
    """The embedded model was closed, and will not answer again."""


@dataclass(frozen=True, slots=True)
class EmbeddedEndpoint:
    """The address at which the embedded model answers in the OpenAI protocol, and its key."""

    api_base: str
    """The address with its path, such as http://127.0.0.1:40123/v1."""
    api_key: str = field(repr=False)


class EmbeddedModel:
    """Owns the child process: starts it, watches it, and restarts it when it dies.

    A restarted child keeps the key, and the port if that is still free, so that a restart seldom changes the endpoint.
    """

    def __init__(
        self,
        name: str = BUNDLED_NAME,
        *,
        slots: int = 2,
        context_tokens: int = 4096,
        threads: int = 0,
        start_timeout_seconds: float = 60.0,
        weights: Path | None = None,
        on_change: Callable[[EmbeddedEndpoint | None], None] = lambda _: None,
    ) -> None:
        """`name` is that of its weights, and `weights` is a GGUF file instead of the bundled one.

        `on_change` is called with each new `endpoint`.

        `context_tokens` is the context window of each slot, 8192 at most; 0 `threads` are half as many as cores.
        """
        self.name: Final = name
        """The name by which requests, answers, logs and the child know the model."""
        self._slots = slots
        self._context_tokens = context_tokens
        self._threads = threads
        self._start_timeout_seconds = start_timeout_seconds
        self._weights = weights
        self._on_change = on_change
        self._api_key = secrets.token_urlsafe(32)
        self._port = 0
        self._endpoint: EmbeddedEndpoint | None = None
        self._restarts = 0
        self._closed = False
        self._delay_seconds = _FIRST_DELAY_SECONDS
        self._process: Process | None = None
        self._answers_or_closed = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def endpoint(self) -> EmbeddedEndpoint | None:
        """The address at which it answers now; None before the start, during a restart, and after the close."""
        return self._endpoint

    @property
    def process_id(self) -> int | None:
        """The id of the child that answers now; None whenever `endpoint` is None."""
        return self._process.pid if self._process is not None and self._endpoint is not None else None

    @property
    def restarts(self) -> int:
        """The number of restarts after a child had died."""
        return self._restarts

    async def start(self) -> None:
        """Starts the child, and returns when it answers; called once. Raises EmbeddedStartError."""
        if problem := find_installation_problem(self._weights):
            raise EmbeddedStartError(problem)
        await self._launch()
        self._supervisor = asyncio.create_task(self._supervise(), name="embedded-model")

    async def wait_ready(self) -> None:
        """Returns when the model answers, at once if it does now. Raises EmbeddedClosedError when it was closed."""
        while self._endpoint is None:
            if self._closed:
                raise EmbeddedClosedError("The embedded model was closed.")
            await self._answers_or_closed.wait()

    async def aclose(self) -> None:
        """Stops the child within about two seconds, and cuts calls in progress; may be called again."""
        self._closed = True
        self._endpoint = None
        self._answers_or_closed.set()
        try:
            if self._supervisor is not None:
                self._supervisor.cancel()
                await asyncio.wait([self._supervisor])
        finally:
            if self._process is not None:
                await stop_process(self._process)

    async def _supervise(self) -> None:
        """Launches the next child whenever one has ended, until this task is cancelled."""
        while self._process is not None:
            started = time.monotonic()
            exit_code = await self._process.wait()
            self._answers_or_closed.clear()
            self._set_endpoint(None)
            lived_seconds = round(time.monotonic() - started, 1)
            _logger.warning("embedded model died", extra={"exit_code": exit_code, "lived_seconds": lived_seconds})
            if lived_seconds >= _GOOD_RUN_SECONDS:
                self._delay_seconds = _FIRST_DELAY_SECONDS
            await self._relaunch()

    async def _relaunch(self) -> None:
        while True:
            await asyncio.sleep(self._delay_seconds)
            self._delay_seconds = min(2 * self._delay_seconds, _LONGEST_DELAY_SECONDS)
            try:
                await self._launch()
            except EmbeddedStartError as exc:
                _logger.warning(
                    "embedded model did not start again",
                    extra={"problem": str(exc), "next_try_seconds": self._delay_seconds},
                )
            else:
                self._restarts += 1
                return

    async def _launch(self) -> None:
        """Starts a child, and makes it the one that answers. Raises EmbeddedStartError and EmbeddedClosedError."""
        started = time.monotonic()
        settings = self._build_settings()
        self._port = 0  # when another program has taken the old port, the next launch uses any free one
        process, address = await launch_child(settings, self._start_timeout_seconds)
        if self._closed:
            await stop_process(process)
            raise EmbeddedClosedError("The embedded model was closed while it started.")
        self._process = process
        self._port = int(address.rpartition(":")[2])
        self._set_endpoint(EmbeddedEndpoint(f"{address}/v1", self._api_key))
        self._answers_or_closed.set()
        _logger.info(
            "embedded model answers",
            extra={
                "model": self.name,
                "weights": settings["weights"],
                "address": address,
                "child_process_id": process.pid,
                "seconds": round(time.monotonic() - started, 2),
            },
        )

    def _set_endpoint(self, endpoint: EmbeddedEndpoint | None) -> None:
        self._endpoint = endpoint
        self._on_change(endpoint)

    def _build_settings(self) -> Settings:
        return Settings(
            parent_process_id=os.getpid(),
            weights=str(self._weights or find_bundled_weights()),
            model=self.name,
            api_key=self._api_key,
            port=self._port,
            slots=self._slots,
            context_tokens=self._context_tokens,
            threads=self._threads,
            verbose=_logger.isEnabledFor(logging.DEBUG),
        )
