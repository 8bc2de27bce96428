"""Reads the configuration: flags over environment over file over defaults, all problems together."""

import ipaddress
import math
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args

from reasoning_grpc.config.entries import (
    PROXY_PREFIX,
    CallerEntry,
    ModelEntry,
    ProxyEntry,
    caller_entry,
    model_entry,
    proxy_entry,
)
from reasoning_grpc.config.routing import classifier_entry, route_entry, rule_entries
from reasoning_grpc.config.settings import ENVIRONMENT_PREFIX, Config, Option, Settings, options
from reasoning_grpc.config.tools import mcp_server_entry, tool_entry
from reasoning_grpc.domain import RoutingMode

CONFIG_VARIABLE: Final = ENVIRONMENT_PREFIX + "CONFIG"
DEFAULT_FILE: Final = Path("reasoning.toml")
CLIENT_VARIABLES: Final = frozenset({ENVIRONMENT_PREFIX + "TARGET", ENVIRONMENT_PREFIX + "TOKEN"})
"""Variables with our prefix that the client's commands read, not the server."""
_DEFAULT_MODES: Final = frozenset({RoutingMode.PASSTHROUGH, RoutingMode.REASONING, RoutingMode.AUTO})
_LOG_LEVELS: Final = ("debug", "info", "warning", "error")
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False} | {
    "off": False
}


class ConfigError(Exception):
    """The configuration is not usable; one line a problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_config(*, flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None) -> Config:
    """The configuration from all its sources.

    `flags` maps option names to values, given as text or already typed; `file` is the
    one named on the command line, else `REASONING_CONFIG` names it, else `reasoning.toml`
    in the working directory is read if it is there. A LiteLLM proxy is named by its own
    variables, `LITELLM_BASE_URL` and `LITELLM_API_KEY`.

    Raises ConfigError with every problem found.
    """
    problems: list[str] = []
    table = _file_table(file, environment, problems)
    models_table, callers_table = table.pop("models", {}), table.pop("callers", {})
    routes_table = table.pop("routes", {})
    tools_table, mcp_servers_table = table.pop("tools", {}), table.pop("mcp_servers", {})
    rules = rule_entries(table.pop("rules", []), problems)
    classifier = classifier_entry(table.pop("classifier", {}), problems)
    settings = _settings(flags, environment, table, problems)
    proxy = proxy_entry(environment, problems)
    models: dict[str, ModelEntry] = {}
    callers: dict[str, CallerEntry] = {}
    for name, entry in _entries("models", models_table, problems):
        models[name] = _through(proxy, model_entry(name, entry, environment, problems))
    for name, entry in _entries("callers", callers_table, problems):
        callers[name] = caller_entry(name, entry, environment, problems)
    routes = {name: route_entry(name, entry, problems) for name, entry in _entries("routes", routes_table, problems)}
    tools = {name: tool_entry(name, entry, problems) for name, entry in _entries("tools", tools_table, problems)}
    mcp_servers = {
        name: mcp_server_entry(name, entry, environment, problems)
        for name, entry in _entries("mcp_servers", mcp_servers_table, problems)
    }
    config = Config(
        settings=settings,
        models=models,
        callers=callers,
        routes=routes,
        rules=rules,
        classifier=classifier,
        tools=tools,
        mcp_servers=mcp_servers,
        proxy=proxy,
    )
    if not problems:
        problems += _contradictions(config)
    if problems:
        raise ConfigError(problems)
    return config


def _through(proxy: ProxyEntry | None, entry: ModelEntry) -> ModelEntry:
    """The entry, with the address and the key of the proxy where it is to be reached there and has none of its own."""
    if proxy is None or entry.api_base or not entry.litellm_model.startswith(PROXY_PREFIX):
        return entry
    return replace(entry, api_base=proxy.api_base, api_key=entry.api_key or proxy.api_key)


def _file_table(file: Path | None, environment: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    named = file or (Path(variable) if (variable := environment.get(CONFIG_VARIABLE)) else None)
    chosen = named or DEFAULT_FILE
    try:
        return tomllib.loads(chosen.read_text("utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        if named is not None:
            problems.append(f"{chosen}: there is no such file")
    except OSError as exc:
        problems.append(f"{chosen}: cannot be read: {exc.strerror}")
    except UnicodeDecodeError:
        problems.append(f"{chosen}: is not UTF-8 text")
    except tomllib.TOMLDecodeError as exc:
        problems.append(f"{chosen}: is not TOML: {exc}")
    return {}


def _entries(name: str, table: object, problems: list[str]) -> list[tuple[str, object]]:
    if isinstance(table, dict):
        return list(table.items())
    problems.append(f"{name}: must be a table of tables, such as [{name}.NAME]")
    return []


def _settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], table: Mapping[str, Any], problems: list[str]
) -> Settings:
    values: dict[str, Any] = {}
    known = {option.name: option for option in options()}
    variables = {option.variable for option in known.values()} | {CONFIG_VARIABLE} | CLIENT_VARIABLES
    problems += [f"{key}: is not a known key" for key in table if key not in known]
    problems += [
        f"{name}: is not a known environment variable"
        for name in sorted(environment)
        if name.startswith(ENVIRONMENT_PREFIX) and name not in variables
    ]
    for option in known.values():
        for where, raw in (
            (option.flag, flags.get(option.name)),
            (option.variable, environment.get(option.variable)),
            (option.name, table.get(option.name)),
        ):
            if raw is None:
                continue
            try:
                values[option.name] = _typed(option, raw)
            except ValueError as exc:
                problems.append(f"{where}: {exc}")
            break
    return Settings(**values)


def _typed(option: Option, raw: Any) -> Any:
    """The value in the option's type. Raises ValueError with what it must be."""
    wanted = (
        next(kind for kind in get_args(option.type) if kind is not type(None)) if _is_union(option) else option.type
    )
    if wanted is bool:
        value: Any = raw if isinstance(raw, bool) else _TRUTHS.get(str(raw).lower())
        if value is None:
            raise ValueError("must be true or false")
    elif wanted is int or wanted is float:
        value = _number(raw, wanted)
        _check_range(option, value)
    elif issubclass(wanted, StrEnum):
        choices = {str(member.value).lower(): member for member in wanted}
        value = choices.get(str(raw).lower())
        if value is None:
            raise ValueError(f"must be one of {', '.join(choices)}")
    elif not isinstance(raw, str | Path):
        raise ValueError("must be a string")
    else:
        value = wanted(raw) if str(raw) or wanted is str else None
    if option.name == "log_level" and value not in _LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(_LOG_LEVELS)}")
    return value


def _is_union(option: Option) -> bool:
    return isinstance(option.type, UnionType)


def _number(raw: Any, wanted: type[int] | type[float]) -> int | float:
    kind = "whole number" if wanted is int else "number"
    allowed = int if wanted is int else int | float | Decimal
    if isinstance(raw, bool) or not isinstance(raw, str | allowed):
        raise ValueError(f"must be a {kind}")
    try:
        return wanted(raw)
    except (ValueError, OverflowError):
        raise ValueError(f"must be a {kind}") from None


def _check_range(option: Option, value: float) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    lowest, highest = option.minimum, option.maximum
    if (lowest is not None and value < lowest) or (highest is not None and value > highest):
        bounds = [f"at least {lowest:.15g}"] if lowest is not None else []
        bounds += [f"at most {highest:.15g}"] if highest is not None else []
        raise ValueError(f"must be {' and '.join(bounds)}")


def _contradictions(config: Config) -> list[str]:
    """What single values cannot show."""
    settings, problems = config.settings, []
    problems += [
        f"models.{entry.name}.fallback_models: {entry.name!r} is not another model"
        for entry in config.models.values()
        if entry.name in entry.fallback_models
    ]
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        problems.append("tls_certificate and tls_key: give both or neither")
    if settings.tls_client_ca and not settings.tls_certificate:
        problems.append("tls_client_ca: needs tls_certificate and tls_key")
    if settings.default_mode not in _DEFAULT_MODES:
        problems.append("default_mode: no build serves orchestration yet")
    problems += _routing_problems(config)
    if not config.models and config.proxy is None and not config.runs_embedded:
        problems.append("there is no model: configure one, or set embedded to on")
    if config.proxy is None and not any(
        model.litellm_model.startswith(PROXY_PREFIX) for model in config.models.values()
    ):
        problems += [
            f"callers.{caller.name}.upstream_key_env: no model is reached through a LiteLLM proxy"
            for caller in config.callers.values()
            if caller.upstream_key is not None
        ]
    hashes = [entry.token_hash for entry in config.callers.values()]
    if len(set(hashes)) < len(hashes):
        problems.append("callers: two have the same token_hash")
    return problems + _listen_problems(config)


def _routing_problems(config: Config) -> list[str]:
    """Names of routes and callers that nothing bears; those of models only the wiring can know."""
    built_in = {mode.value.lower() for mode in (RoutingMode.PASSTHROUGH, RoutingMode.REASONING)}
    known = built_in | config.routes.keys()
    problems = [
        f"rules.{rule.id}.then.route: {rule.route!r} is not a route"
        for rule in config.rules
        if rule.route not in known | {RoutingMode.AUTO.value.lower()}
    ]
    problems += [
        f"rules.{rule.id}.when.callers: {name!r} is not a caller"
        for rule in config.rules
        for name in sorted(rule.when.callers - config.callers.keys())
    ]
    for caller in config.callers.values():
        allowed = caller.allowed_routes
        if allowed is not None and not allowed:
            problems.append(f"callers.{caller.name}.allowed_routes: is empty; leave it out for all")
        problems += [
            f"callers.{caller.name}.allowed_routes: {name!r} is not a route"
            for name in sorted((allowed or set()) - known)
        ]
    return problems


def _listen_problems(config: Config) -> list[str]:
    settings = config.settings
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        return ["listen: must be HOST:PORT, such as 127.0.0.1:50051 or [::]:50051"]
    if _is_loopback(host) or settings.allow_insecure:
        return []
    missing = [what for what, have in (("callers", config.callers), ("TLS", settings.tls_certificate)) if not have]
    if not missing:
        return []
    return [f"listen: {host} is not loopback, which wants {' and '.join(missing)}; see allow_insecure"]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
