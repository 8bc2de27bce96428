"""Runs the commands of the server's side: serve, check-config."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from reasoning_grpc.cli.config_report import build_summary, format_summary
from reasoning_grpc.cli.logs import is_json, name_worker_in_logs, set_up_logging
from reasoning_grpc.cli.pid_file import PidFile, PidFileError
from reasoning_grpc.cli.server_signals import ServerSignals, choose_delay, reload_when_due
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
    StartError,
    Supervisor,
    count_workers,
    end_process,
    find_config_problems,
    find_unknown_providers,
    supervise,
)
from reasoning_grpc.telemetry import Telemetry, TelemetryPlan, read_telemetry_plan

if TYPE_CHECKING:  # imports grpc, which a supervisor of workers must not
    from reasoning_grpc.server import Server, Trials

logger = logging.getLogger("reasoning_grpc.server")


def serve(flags: Mapping[str, Any], file: Path | None) -> int:
    """Runs the server until a signal, and ends the process with its exit code; a second signal ends it at once.

    Each signal of `list_server_signals` lets calls in progress end, and SIGHUP reloads the configuration. A server that
    was not even built returns its code.
    """
    config, plan, problems = _inspect_configuration(flags, file, find_config_problems)
    settings = config.settings
    set_up_logging(settings.log_level, settings.log_format)
    if problems:
        return _report_start_problems(problems, settings.log_format)
    pid_file = None if settings.pid_file is None else PidFile(settings.pid_file)
    source = _Source(flags, file, pid_file)
    if (workers := count_workers(settings)) > 1:
        return _serve_with_workers(config, plan, workers, source)
    return asyncio.run(_serve_alone(config, plan, source))


@dataclass(frozen=True)
class _Source:
    """Where the configuration was read at the start, and is read again."""

    flags: Mapping[str, Any]
    file: Path | None
    pid_file: PidFile | None
    """The file in which the number of this process and the outcome of reloads stand."""

    def locked(self) -> AbstractContextManager[object]:
        """Holds the file while this process serves. Raises PidFileError."""
        return nullcontext() if self.pid_file is None else self.pid_file.locked()

    def read(self, kept: Mapping[str, Any]) -> tuple[Config, list[str]]:
        """See `ReadConfig`."""
        return inspect_config(
            flags=self.flags, environment=os.environ, file=self.file, find_problems=_find_reload_problems, kept=kept
        )

    def build_reloader(self, config: Config, served: "Server | Supervisor", *, forks: bool = False) -> Reloader:
        """Builds what lets a server, which may be several processes, take a configuration that is read anew.

        `config` is as it was read at the start. For a process that `forks` see `Reloader`.
        """

        def report(status: ReloadStatus) -> None:
            served.reload_status = status
            settings = served.config.settings
            set_up_logging(settings.log_level, settings.log_format)
            if self.pid_file is not None and status.last_time is not None:
                self.pid_file.write_status(status.describe())

        return Reloader(config, self.read, served.prepare, report, reads_in_thread=not forks)


async def _serve_alone(config: Config, plan: TelemetryPlan, source: _Source) -> int:
    """Serves in this process."""
    from reasoning_grpc.server import Server

    log_format = config.settings.log_format
    try:
        telemetry = Telemetry(plan)
        server = Server(config, telemetry)
    except ConfigError as exc:
        return _report_start_problems(exc.problems, log_format)
    reloader = source.build_reloader(config, server)
    try:
        with source.locked():
            await _serve(server, reloader)
        code = 0
    except (PidFileError, StartError) as exc:
        code = _report_start_problems([str(exc)], log_format)
    finally:
        await telemetry.aclose()
    _log_exit(code)
    return end_process(code)


async def _serve(server: "Server", reloader: Reloader) -> None:
    """Serves until a signal. Raises StartError."""
    from reasoning_grpc.server import Stop, serve_alone

    signals, serving = ServerSignals(), asyncio.Event()
    stopping: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()
    reloading = asyncio.create_task(reload_when_due(signals.reload_due, serving, reloader))

    def stop(received: "asyncio.Future[signal.Signals]") -> None:
        reloading.cancel()
        settings = server.config.settings
        stopping.set_result(Stop(choose_delay(settings, received.result()), settings.grace_seconds))

    def on_serving(address: str) -> None:
        _announce(server.config.settings.log_format, address)
        serving.set()

    signals.stop.add_done_callback(stop)
    try:
        await serve_alone(stopping, server, server.config.settings, on_serving)
    finally:
        reloading.cancel()
        await asyncio.wait({reloading})


def _serve_with_workers(config: Config, plan: TelemetryPlan, workers: int, source: _Source) -> int:
    """Supervises workers in this process, which serve in others."""
    log_format = config.settings.log_format
    serving = asyncio.Event()

    def control(supervisor: Supervisor) -> None:
        signals = ServerSignals(on_second=supervisor.kill)
        reloader = source.build_reloader(config, supervisor, forks=True)
        reloading = supervisor.start_task(reload_when_due(signals.reload_due, serving, reloader), "reloads")

        def stop(received: "asyncio.Future[signal.Signals]") -> None:
            reloading.cancel()
            supervisor.stop(choose_delay(supervisor.config.settings, received.result()))

        signals.stop.add_done_callback(stop)

    def on_serving(address: str) -> None:
        _announce(log_format, address)
        serving.set()

    try:
        with source.locked():
            supervise(config, plan, workers, control=control, on_serving=on_serving, on_config=_set_up_worker)
        code = 0
    except (PidFileError, StartError) as exc:
        code = _report_start_problems([str(exc)], log_format)
    _log_exit(code)
    return end_process(code)


def _set_up_worker(number: int, config: Config) -> None:
    """Lets the log of a worker follow its configuration."""
    set_up_logging(config.settings.log_level, config.settings.log_format)
    name_worker_in_logs(number)


def _log_exit(code: int) -> None:
    if not code:
        logger.info("exit", extra={"code": code})


def _announce(log_format: LogFormat, address: str) -> None:
    """Prints the address to standard output, for a program that has started the server.

    Where the log goes to the same place, such as a terminal, it has the address already, so nothing is printed.
    """
    if logger.isEnabledFor(logging.INFO) and _is_same_file(sys.stdout, sys.stderr):
        return
    as_json = json.dumps({"message": "serving", "address": address}, separators=(",", ":"))
    print(as_json if is_json(log_format) else f"serving on {address}", flush=True)


def _is_same_file(one: TextIO, another: TextIO) -> bool:
    try:
        return os.path.sameopenfile(one.fileno(), another.fileno())
    except (OSError, ValueError):  # one of them is closed, or is no file
        return False


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
        from reasoning_grpc.server import Server

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
