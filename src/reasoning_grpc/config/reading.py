"""Reads the configuration from flags, environment and file, and reports all problems together."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from reasoning_grpc.config.caller_entry import read_caller_entry
from reasoning_grpc.config.contradictions import find_contradictions
from reasoning_grpc.config.model_entry import ModelEntry, read_model_entry
from reasoning_grpc.config.option_values import convert_value
from reasoning_grpc.config.pause_keys import read_pause_keys
from reasoning_grpc.config.problems import remove_follow_ups, suggest
from reasoning_grpc.config.proxy_entry import PROXY_PREFIX, ProxyEntry, read_proxy_entry
from reasoning_grpc.config.routing import read_classifier_entry, read_route_entry, read_rule_entries
from reasoning_grpc.config.settings import ENVIRONMENT_PREFIX, Config, Settings, options
from reasoning_grpc.config.tools import McpServerEntry, read_mcp_server_entry, read_tool_entry
from reasoning_grpc.config.upstream_proxy import UpstreamProxyEntry, read_upstream_proxy

E = TypeVar("E")

CONFIG_VARIABLE: Final = ENVIRONMENT_PREFIX + "CONFIG"
DEFAULT_FILE: Final = Path("reasoning.toml")
CLIENT_VARIABLES: Final = frozenset({ENVIRONMENT_PREFIX + "TARGET", ENVIRONMENT_PREFIX + "TOKEN"})
"""The variables with our prefix that the client's commands read; the server ignores them."""
_TABLES: Final = ("models", "callers", "routes", "tools", "mcp_servers")
"""The tables of the file whose keys are names that the operator chooses."""


class ConfigError(Exception):
    """The configuration cannot be used; `problems` has one line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_config(*, flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None) -> Config:
    """Reads the configuration from all its sources: a flag wins over the environment, which wins over the file.

    `flags` maps option names to values, as text or already typed. The file is `file`, else the one that
    `REASONING_CONFIG` names, else `reasoning.toml` in the working directory if it exists. `LITELLM_BASE_URL` and
    `LITELLM_API_KEY` name a LiteLLM proxy.

    Raises ConfigError with every problem.
    """
    config, problems = inspect_config(flags=flags, environment=environment, file=file)
    if problems:
        raise ConfigError(problems)
    return config


def inspect_config(
    *,
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    file: Path | None = None,
    find_problems: Callable[[Config], Iterable[str]] = lambda _: (),
    kept: Mapping[str, Any] | None = None,
) -> tuple[Config, list[str]]:
    """Reads the configuration like `read_config`, and returns what could be read of it, and every problem.

    `find_problems` finds further problems of a configuration, such as those of models that cannot be served. Problems
    that follow from others are left out. `kept` has the values of options that a running server keeps, whatever the
    sources say of them.
    """
    problems: list[str] = []
    file_table = _read_file(file, environment, problems)
    is_readable = not problems
    tables = {name: file_table.pop(name, {}) for name in _TABLES}
    rules = read_rule_entries(file_table.pop("rules", []), problems)
    classifier = read_classifier_entry(file_table.pop("classifier", {}), problems)
    settings = replace(_read_settings(flags, environment, file_table, problems), **(kept or {}))
    proxy = read_proxy_entry(environment, problems)
    upstream_proxy = read_upstream_proxy(
        settings.upstream_proxy,
        settings.upstream_proxy_exclude,
        settings.upstream_proxy_credentials_env,
        environment,
        lambda key, problem: problems.append(f"{key}: {problem}"),
    )

    pause_keys = read_pause_keys(
        settings.pause_keys_env,
        settings.pause_keys_file,
        environment,
        lambda key, problem: problems.append(f"{key}: {problem}"),
    )

    def read_table(name: str, read_entry: Callable[[str, object], E]) -> dict[str, E]:
        return {key: read_entry(key, entry) for key, entry in _list_entries(name, tables[name], problems)}

    config = Config(
        settings=settings,
        models=read_table(
            "models", lambda key, entry: _fill_from_proxy(proxy, read_model_entry(key, entry, environment, problems))
        ),
        callers=read_table("callers", lambda key, entry: read_caller_entry(key, entry, environment, problems)),
        routes=read_table("routes", lambda key, entry: read_route_entry(key, entry, problems)),
        rules=rules,
        classifier=classifier,
        tools=read_table("tools", lambda key, entry: read_tool_entry(key, entry, problems)),
        mcp_servers=read_table(
            "mcp_servers",
            lambda key, entry: _put_behind_proxy(
                upstream_proxy, read_mcp_server_entry(key, entry, environment, problems)
            ),
        ),
        pause_keys=pause_keys,
        proxy=proxy,
        upstream_proxy=upstream_proxy,
    )
    if not is_readable:  # nothing else can be said about a file that cannot be read
        return config, problems
    return config, remove_follow_ups(problems, [*find_contradictions(config), *find_problems(config)])


def _read_file(file: Path | None, environment: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    """Returns the table of the configuration file; empty when there is none, or when it cannot be read."""
    named = file or (Path(variable) if (variable := environment.get(CONFIG_VARIABLE)) else None)
    path = named or DEFAULT_FILE
    try:
        return tomllib.loads(path.read_text("utf-8-sig"), parse_float=Decimal)  # some editors write a byte order mark
    except FileNotFoundError:
        if named is not None:
            problems.append(f"{path}: there is no such file")
    except OSError as exc:
        problems.append(f"{path}: cannot be read: {exc.strerror}")
    except UnicodeDecodeError:
        problems.append(f"{path}: is not UTF-8 text")
    except tomllib.TOMLDecodeError as exc:
        problems.append(f"{path}: is not TOML: {exc}")
    return {}


def _list_entries(name: str, table: object, problems: list[str]) -> list[tuple[str, object]]:
    """Returns the entries of a table of tables by their names."""
    if isinstance(table, dict):
        return list(table.items())
    problems.append(f"{name}: must be a table of tables, such as [{name}.NAME]")
    return []


def _fill_from_proxy(proxy: ProxyEntry | None, entry: ModelEntry) -> ModelEntry:
    """Adds the proxy's address and key to the entry of a model behind the proxy that has no address of its own."""
    if proxy is None or entry.api_base or not entry.litellm_model.startswith(PROXY_PREFIX):
        return entry
    return replace(entry, api_base=proxy.api_base, api_key=entry.api_key or proxy.api_key)


def _put_behind_proxy(proxy: UpstreamProxyEntry | None, entry: McpServerEntry) -> McpServerEntry:
    """Adds the HTTP proxy to the entry of an MCP server whose address is reached through it."""
    try:
        host = urlsplit(entry.url).hostname
    except ValueError:  # another problem of the entry says that it is no address
        return entry
    return replace(entry, upstream_proxy=proxy) if proxy is not None and host and proxy.carries(host) else entry


def _read_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], table: Mapping[str, Any], problems: list[str]
) -> Settings:
    """Reads every option from the first source that has it, and reports the keys and variables that are no option."""
    values: dict[str, Any] = {}
    known = {option.name: option for option in options()}
    variables = {option.variable for option in known.values()} | {CONFIG_VARIABLE} | CLIENT_VARIABLES
    keys = {*known, *_TABLES, "rules", "classifier"}
    problems += [f"{key}: is not a known key{suggest(key, keys)}" for key in table if key not in known]
    problems += [
        f"{name}: is not a known environment variable{suggest(name, variables, prefix=ENVIRONMENT_PREFIX)}"
        for name in sorted(environment)
        if name.startswith(ENVIRONMENT_PREFIX) and name not in variables
    ]
    for option in known.values():
        for source, value in (
            (option.flag, flags.get(option.name)),
            (option.variable, environment.get(option.variable)),
            (option.name, table.get(option.name)),
        ):
            if value is None:
                continue
            try:
                values[option.name] = convert_value(option, value)
            except ValueError as exc:
                problems.append(f"{source}: {exc}")
            break
    return Settings(**values)
