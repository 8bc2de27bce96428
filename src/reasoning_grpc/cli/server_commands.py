"""The commands of the server's side: serve, check-config."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from reasoning_grpc.cli.logs import set_up_logging
from reasoning_grpc.config import Config, ConfigError, ModelEntry, read_config
from reasoning_grpc.litellm_model import installed_price_map
from reasoning_grpc.models.configured import listed_facts
from reasoning_grpc.models.embedded import MODEL_NAME, embedded_problem
from reasoning_grpc.server import Server, StartError, config_problems
from reasoning_grpc.telemetry import Export, Telemetry, TelemetryPlan, telemetry_plan
from reasoning_grpc.types import Prices

_PRICES: Final = {
    "entry": "priced by its entry",
    "litellm": "priced by litellm's map",
    "unknown": "of unknown price",
}


async def serve(flags: Mapping[str, Any], file: Path | None) -> int:
    """Runs the server until SIGTERM or SIGINT; a second signal ends the process at once."""
    try:
        config, plan = _read(flags, file)
        set_up_logging(config.settings.log_level, config.settings.log_format)
        telemetry = Telemetry(plan)
        server = Server(config, telemetry)
    except ConfigError as exc:
        return _complain(exc.problems)
    try:
        return await _serve(server, config.settings.grace_seconds)
    finally:
        await telemetry.aclose()


async def _serve(server: Server, grace_seconds: float) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, stopping)
    starting = asyncio.create_task(server.start())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
    try:
        await starting
    except StartError as exc:
        return _complain([str(exc)])
    except asyncio.CancelledError:
        return 0  # stopped before it had started
    finally:
        stopped.cancel()
    print(f"serving on {server.address}", flush=True)
    await stopping.wait()
    await server.stop(grace_seconds)
    return 0


def check_config(flags: Mapping[str, Any], file: Path | None, as_json: bool) -> int:
    """Says what the configuration makes, or everything that is wrong with it."""
    try:
        config, plan = _read(flags, file)
        problems = config_problems(config)
        if config.runs_embedded and (problem := embedded_problem(config.settings.embedded_weights)):
            problems.append(f"embedded: {problem}")
    except ConfigError as exc:
        problems = exc.problems
    if problems:
        if as_json:
            print(json.dumps({"problems": problems}))
        return _complain(problems)
    print(json.dumps(_summary(config, plan)) if as_json else _summary_text(config, plan))
    return 0


def _read(flags: Mapping[str, Any], file: Path | None) -> tuple[Config, TelemetryPlan]:
    """The configuration, and what OpenTelemetry's variables ask for. Raises ConfigError for both together."""
    problems: list[str] = []
    config, plan = Config(), TelemetryPlan()
    try:
        config = read_config(flags=flags, environment=os.environ, file=file)
    except ConfigError as exc:
        problems += exc.problems
    try:
        plan = telemetry_plan(os.environ)
    except ConfigError as exc:
        problems += exc.problems
    if problems:
        raise ConfigError(problems)
    return config, plan


def _on_signal(number: signal.Signals, stopping: asyncio.Event) -> None:
    if stopping.is_set():
        os._exit(128 + number)  # a second signal; the embedded model's process notices by itself
    stopping.set()


def _complain(problems: list[str]) -> int:
    for problem in problems:
        print(f"reasoning-grpc: {problem}", file=sys.stderr)
    return 1


def _summary(config: Config, plan: TelemetryPlan) -> dict[str, Any]:
    settings = config.settings
    models = [
        {
            "name": entry.name,
            "litellm_model": entry.litellm_model,
            "api_base": entry.api_base,
            "wire": "own",
            "prices": _origin_of_prices(entry),
        }
        for entry in config.models.values()
    ]
    if config.runs_embedded:
        models.append({"name": MODEL_NAME, "litellm_model": "", "api_base": "", "wire": "embedded", "prices": "free"})
    return {
        "listen": settings.listen,
        "tls": settings.tls_certificate is not None,
        "callers": sorted(config.callers),
        "models": models,
        "proxy": None
        if config.proxy is None
        else {"api_base": config.proxy.api_base, "key": bool(config.proxy.api_key)},
        "traces": _exported(plan.traces),
        "metrics": _exported(plan.metrics),
        "captures_content": plan.captures_content,
    }


def _origin_of_prices(entry: ModelEntry) -> str:
    """Who says what a model costs; "unknown" when nobody does."""
    if entry.prices != Prices():
        return "entry"
    facts = listed_facts(entry, installed_price_map())
    return "litellm" if facts is not None and facts.prices != Prices() else "unknown"


def _exported(export: Export) -> dict[str, Any]:
    return {"exporters": list(export.exporters), "endpoint": export.endpoint}


def _summary_text(config: Config, plan: TelemetryPlan) -> str:
    summary = _summary(config, plan)
    lines = [
        "The configuration is sound.",
        f"listen   {summary['listen']}{' with TLS' if summary['tls'] else ''}",
        f"callers  {', '.join(summary['callers']) or 'anyone, without a token'}",
    ]
    for model in summary["models"]:
        reached = f"{model['litellm_model']} {model['api_base']}".strip() or "in a process of this server"
        prices = "" if model["prices"] == "free" else f", {_PRICES[model['prices']]}"
        lines.append(f"model    {model['name']}: {reached}{prices}")
    if proxy := summary["proxy"]:
        lines.append(f"proxy    {proxy['api_base']}, {'with' if proxy['key'] else 'without'} a key")
    lines += [
        f"{signal_name:8} {' and '.join(exporters)} {summary[signal_name]['endpoint']}".rstrip()
        for signal_name in ("traces", "metrics")
        if (exporters := summary[signal_name]["exporters"])
    ]
    if summary["captures_content"]:
        lines.append("content  what is said stands in the traces")
    return "\n".join(lines)
