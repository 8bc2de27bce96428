"""Runs the commands of the server's side: serve, check-config."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NoReturn

from reasoning_grpc.cli.config_report import build_summary, format_summary
from reasoning_grpc.cli.logs import is_json, set_up_logging
from reasoning_grpc.cli.pid_file import PidFile, PidFileError
from reasoning_grpc.cli.signals import has_terminal, is_from_terminal, is_ignored, list_server_signals
from reasoning_grpc.config import (
    Config,
    ConfigError,
    LogFormat,
    inspect_config,
    is_unset_variable,
)
from reasoning_grpc.embedded import find_installation_problem
from reasoning_grpc.server import (
    Reloader,
    ReloadStatus,
    Server,
    StartError,
    Trials,
    find_config_problems,
    find_unknown_providers,
)
from reasoning_grpc.telemetry import Telemetry, TelemetryPlan, read_telemetry_plan

logger = logging.getLogger("reasoning_grpc.server")


async def serve(flags: Mapping[str, Any], file: Path | None) -> int:
    """Runs the server until a signal, and ends the process with its exit code; a second signal ends it at once.

    Each signal of `list_server_signals` lets calls in progress end, and SIGHUP reloads the configuration. A server that
    was not even built returns its code.
    """
    config, plan, problems = _inspect_configuration(flags, file, find_config_problems)
    log_format = config.settings.log_format
    set_up_logging(config.settings.log_level, log_format)
    if problems:
        return _report_start_problems(problems, log_format)
    try:
        telemetry = Telemetry(plan)
        server = Server(config, telemetry)
    except ConfigError as exc:
        return _report_start_problems(exc.problems, log_format)

    pid_file = None if (path := config.settings.pid_file) is None else PidFile(path)
    reloader = _build_reloader(server, flags, file, pid_file)
    try:
        with nullcontext() if pid_file is None else pid_file.locked():
            code = await _serve(server, reloader)
    except PidFileError as exc:
        code = _report_start_problems([str(exc)], log_format)
    finally:
        await telemetry.aclose()
    if not code:
        logger.info("exit", extra={"code": code})
    return _end_process(code)


async def _serve(server: Server, reloader: Reloader) -> int:
    settings = server.config.settings
    signals = _Signals()
    starting = asyncio.create_task(server.start())
    first: set[asyncio.Future[Any]] = {starting, signals.stop}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
    try:
        await starting
    except StartError as exc:
        return _report_start_problems([str(exc)], settings.log_format)
    except asyncio.CancelledError:
        return 0  # a signal came during the start
    _announce(server.address, settings.log_format)
    reloading = asyncio.create_task(_reload_when_due(signals.reload_due, reloader))
    number = await signals.stop
    reloading.cancel()
    await asyncio.wait({reloading})
    settings = server.config.settings
    delay_seconds = 0.0 if is_from_terminal(number) else settings.drain_delay_seconds
    await server.stop(settings.grace_seconds, delay_seconds, closes_connections=False)
    return 0


def _build_reloader(server: Server, flags: Mapping[str, Any], file: Path | None, pid_file: PidFile | None) -> Reloader:
    """Builds what reads the configuration of the server anew, from where it was read at the start."""

    def read(kept: Mapping[str, Any]) -> tuple[Config, list[str]]:
        return inspect_config(
            flags=flags, environment=os.environ, file=file, find_problems=_find_reload_problems, kept=kept
        )

    def report(status: ReloadStatus) -> None:
        server.reload_status = status
        settings = server.config.settings
        set_up_logging(settings.log_level, settings.log_format)
        if pid_file is not None and status.last_time is not None:
            pid_file.write_status(status.describe())

    return Reloader(server.config, read, server.prepare, report)


async def _reload_when_due(due: asyncio.Event, reloader: Reloader) -> None:
    """Reloads whenever it is due; however often it was due meanwhile, one more reload follows."""
    while True:
        await due.wait()
        due.clear()
        await reloader.reload()


class _Signals:
    """The signals that the server has received."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.stop: asyncio.Future[signal.Signals] = loop.create_future()
        """The first signal that ends the server."""
        self.reload_due = asyncio.Event()
        self._has_terminal = has_terminal()
        for number in list_server_signals():
            loop.add_signal_handler(number, self._end, number)
        if not is_ignored(signal.SIGHUP):
            loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def _end(self, number: signal.Signals) -> None:
        logger.info("signal", extra={"signal": number.name})
        if self.stop.done():
            code = 128 + number
            logger.info("exit", extra={"code": code})
            os._exit(code)  # a second signal; the embedded model's process notices the end by itself
        self.stop.set_result(number)

    def _hang_up(self) -> None:
        if self._has_terminal and not has_terminal():  # it has closed, and nobody sees this process any more
            self._end(signal.SIGHUP)
            return
        logger.info("signal", extra={"signal": signal.SIGHUP.name})
        self.reload_due.set()


def _end_process(code: int) -> NoReturn:
    """Ends the process without waiting for its threads: one may import litellm, or look up a name, for seconds.

    Everything but the connections of clients is closed by then, and telemetry is exported.
    """
    logging.shutdown()
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    os._exit(code)


def _announce(address: str, log_format: LogFormat) -> None:
    """Prints the address to standard output, in the format of the log, which may go to the same place."""
    as_json = json.dumps({"message": "serving", "address": address})
    print(as_json if is_json(log_format) else f"serving on {address}", flush=True)


async def check_config(
    flags: Mapping[str, Any], file: Path | None, *, as_json: bool, online: bool, accepts_unset_keys: bool
) -> int:
    """Prints the effect of the configuration, or every problem; online, also which models answer.

    `accepts_unset_keys` is for a machine that has no keys: an environment variable that is not set is then no problem.
    Returns the exit code.
    """
    config, plan, problems = _inspect_configuration(flags, file, _find_all_problems)
    unset = [problem for problem in problems if is_unset_variable(problem)] if accepts_unset_keys else []
    problems = [problem for problem in problems if problem not in unset]
    trials: Trials | None = None
    if online and not problems:
        try:
            trials = await Server(config).try_models()
        except StartError as exc:
            problems = [str(exc)]
    if problems:
        if as_json:
            print(json.dumps({"problems": problems}))
        return _report_problems(problems)
    summary = build_summary(config, plan, trials, unset)
    print(json.dumps(summary) if as_json else format_summary(summary))
    return 0 if trials is None or trials.has_succeeded else 1


def _find_all_problems(config: Config) -> list[str]:
    """Returns what is wrong with a configuration beyond its values, also what takes seconds to find."""
    problems = find_config_problems(config) + find_unknown_providers(config)
    if config.runs_embedded and (problem := find_installation_problem(config.settings.embedded_weights)):
        problems.append(f"embedded: {problem}")
    return problems


def _find_reload_problems(config: Config) -> list[str]:
    """Returns what is wrong with a configuration beyond its values, for a server that has loaded litellm."""
    return find_config_problems(config) + find_unknown_providers(config)


def _inspect_configuration(
    flags: Mapping[str, Any], file: Path | None, find_problems: Callable[[Config], Iterable[str]]
) -> tuple[Config, TelemetryPlan, list[str]]:
    """Returns what could be read of the configuration and of OpenTelemetry's variables, and the problems of both."""
    config, problems = inspect_config(flags=flags, environment=os.environ, file=file, find_problems=find_problems)
    try:
        return config, read_telemetry_plan(os.environ), problems
    except ConfigError as exc:
        return config, TelemetryPlan(), problems + exc.problems


def _report_start_problems(problems: list[str], log_format: LogFormat) -> int:
    """Reports why the server does not start, as JSON log lines where the log is JSON; returns the exit code."""
    if not is_json(log_format):
        return _report_problems(problems)
    for problem in problems:
        logger.error(problem)
    return 1


def _report_problems(problems: list[str]) -> int:
    for problem in problems:
        print(f"reasoning-grpc: {problem}", file=sys.stderr)
    return 1
