"""Finds the contradictions in a configuration: values that are valid alone, but not together."""

import ipaddress
from collections.abc import Iterator
from typing import Final

from reasoning_grpc.config.model_entry import MODEL_NAME, MODEL_NAME_RULE
from reasoning_grpc.config.problems import suggest
from reasoning_grpc.config.settings import Config, OrchestrationUse, Settings
from reasoning_grpc.domain import RoutingMode

_LARGEST_PORT: Final = 65535
_BUILT_IN_ROUTES: Final = frozenset(mode.value.lower() for mode in RoutingMode if mode is not RoutingMode.AUTO)


def find_contradictions(config: Config) -> list[str]:
    """Returns a sentence for each set of values that do not go together."""
    return [
        *_find_tls_problems(config),
        *_find_model_problems(config),
        *_find_routing_problems(config),
        *_find_caller_problems(config),
        *_find_listen_problems(config),
        *_find_admin_problems(config.settings),
    ]


def _find_model_problems(config: Config) -> Iterator[str]:
    for entry in config.models.values():
        if entry.name in entry.fallback_models:
            yield f"models.{entry.name}.fallback_models: {entry.name!r} is not another model"
    if (name := config.settings.embedded_name) and not MODEL_NAME.fullmatch(name):
        yield f"embedded_name: {MODEL_NAME_RULE}"
    if not config.models and config.proxy is None and not config.runs_embedded:
        yield "there is no model: configure one, or set embedded to on"


def _find_tls_problems(config: Config) -> Iterator[str]:
    settings = config.settings
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        yield "tls_certificate and tls_key: give both or neither"
    if settings.tls_client_ca and not settings.tls_certificate:
        yield "tls_client_ca: needs tls_certificate and tls_key"


def _find_routing_problems(config: Config) -> Iterator[str]:
    """Yields unknown names of routes and callers; only the server's wiring can find unknown names of models."""
    settings = config.settings
    if settings.default_mode is RoutingMode.ORCHESTRATION and settings.orchestration is OrchestrationUse.OFF:
        yield "default_mode: is orchestration, which the option orchestration switches off"
    known = _BUILT_IN_ROUTES | config.routes.keys()
    for rule in config.rules:
        if rule.route not in known | {RoutingMode.AUTO.value.lower()}:
            yield f"rules.{rule.id}.then.route: {rule.route!r} is not a route{suggest(rule.route, known)}"
    for rule in config.rules:
        for name in sorted(rule.when.callers - config.callers.keys()):
            yield f"rules.{rule.id}.when.callers: {name!r} is not a caller{suggest(name, config.callers)}"
    for caller in config.callers.values():
        if caller.allowed_routes is None:
            continue
        if not caller.allowed_routes:
            yield f"callers.{caller.name}.allowed_routes: is empty; leave it out to allow all routes"
        for name in sorted(caller.allowed_routes - known):
            yield f"callers.{caller.name}.allowed_routes: {name!r} is not a route{suggest(name, known)}"


def _find_caller_problems(config: Config) -> Iterator[str]:
    """Yields what keeps a caller from being recognized, or from being told from another one."""
    hashes = [value for entry in config.callers.values() for value in set(entry.list_token_hashes())]
    if len(set(hashes)) < len(hashes):
        yield "callers: two callers have the same token_hash"
    names = [value for entry in config.callers.values() for value in set(entry.certificate_names)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"callers: two callers have the certificate name {name!r}"
    for entry in config.callers.values():
        if entry.certificate_names and not config.settings.tls_client_ca:
            yield f"callers.{entry.name}.certificate_names: needs tls_client_ca, which checks the certificates"


def _find_listen_problems(config: Config) -> Iterator[str]:
    settings = config.settings
    if not _is_address(settings.listen):
        yield "listen: must be HOST:PORT, such as 127.0.0.1:50051 or [::]:50051"
        return
    host = settings.listen.rpartition(":")[0]
    missing = [what for what, have in (("callers", config.callers), ("TLS", settings.tls_certificate)) if not have]
    if missing and not _is_loopback(host) and not settings.allow_insecure:
        yield f"listen: {host} is not loopback, so {' and '.join(missing)} must be configured; see allow_insecure"


def _find_admin_problems(settings: Settings) -> Iterator[str]:
    addresses = {"admin_listen": settings.admin_listen, "health_listen": settings.health_listen}
    for name, address in addresses.items():
        if address and not _is_address(address) and not _is_port(address):
            yield f"{name}: must be HOST:PORT, such as 127.0.0.1:9464 or [::]:9464, or PORT alone"


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and _is_port(port)


def _is_port(text: str) -> bool:
    return text.isdecimal() and int(text) <= _LARGEST_PORT


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
