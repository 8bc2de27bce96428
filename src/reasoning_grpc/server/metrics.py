"""Adds to the metrics what the parts of a server know at each moment: connections, upstreams, discovery, providers."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from reasoning_grpc.catalog import ProxyModels
from reasoning_grpc.config import CallerEntry, Config
from reasoning_grpc.domain import OPTION_NAMES, QuotaKind
from reasoning_grpc.domain.errors import ReasoningError
from reasoning_grpc.litellm_model import ConnectionPool
from reasoning_grpc.llm import PROVIDERS, BreakerState, ResilientModel, UpstreamGuards
from reasoning_grpc.quotas import MemoryQuotas
from reasoning_grpc.server.reload_status import ReloadStatus, add_reloads
from reasoning_grpc.server.wiring import ServerParts
from reasoning_grpc.telemetry import Metrics, SnapshotBuilder, families

_STATES: Final = tuple(BreakerState)
_NANO_USD: Final = 1_000_000_000


def observe_parts(metrics: Metrics, parts: ServerParts, get_config: Callable[[], Config]) -> "Providers":
    """Lets each snapshot of the metrics ask the parts of the server. Returns what finds the providers of its models.

    `get_config` returns the configuration of the moment of a snapshot.
    """
    providers = Providers(parts.model)
    metrics.calls.find_provider = providers.find
    # These outlive a configuration, and the other parts do not.
    pools, guards, quotas = parts.pools, parts.guards, parts.quotas
    metrics.add_source(lambda builder: _add_connections(builder, pools))
    metrics.add_source(lambda builder: _add_upstreams(builder, guards))
    metrics.add_source(lambda builder: _add_callers(builder, get_config().callers, quotas))
    if (proxy := parts.proxy) is not None:
        metrics.add_source(lambda builder: _add_discovery(builder, proxy))
    return providers


def observe_reloads(metrics: Metrics, get_status: Callable[[], ReloadStatus | None]) -> None:
    """Lets each snapshot of the metrics ask what became of the reloads; None: nothing reloads this server."""

    metrics.add_source(lambda builder: add_reloads(builder, get_status()))


def _add_connections(builder: SnapshotBuilder, pools: Mapping[str, ConnectionPool]) -> None:
    for name, pool in pools.items():
        idle = pool.idle
        builder.add(families.OPEN_CONNECTIONS, idle, "idle", name)
        builder.add(families.OPEN_CONNECTIONS, max(0, pool.open - idle), "active", name)


def _add_upstreams(builder: SnapshotBuilder, guards: UpstreamGuards) -> None:
    for guard in guards.list_guards():
        for state in _STATES:
            builder.add(families.BREAKER_STATE, int(guard.state is state), guard.model, state.value)
        builder.add(families.BREAKER_OPENINGS, guard.openings, guard.model)
        builder.add(families.UPSTREAM_IN_FLIGHT, guard.slots.in_use, guard.model)
        builder.add(families.UPSTREAM_QUEUED, guard.slots.waiting, guard.model)
        builder.add(families.UPSTREAM_LIMIT, guard.slots.limit, guard.model)


def _add_callers(builder: SnapshotBuilder, callers: Mapping[str, CallerEntry], quotas: MemoryQuotas) -> None:
    for name, entry in callers.items():
        if entry.limits is None:
            continue
        for kind, limit, remaining in quotas.count_remaining(name, entry.limits):
            unit = _NANO_USD if kind is QuotaKind.COST else 1
            builder.add(families.CALLER_LIMIT, limit / unit, name, OPTION_NAMES[kind])
            builder.add(families.CALLER_REMAINING, remaining / unit, name, OPTION_NAMES[kind])


def _add_discovery(builder: SnapshotBuilder, proxy: ProxyModels) -> None:
    status = proxy.get_status()
    builder.add(families.DISCOVERY_FAILING, int(status.stale))
    if status.update_time is not None:
        builder.add(families.DISCOVERY_AGE, (datetime.now(UTC) - status.update_time).total_seconds())


class Providers:
    """Finds the providers of models, and remembers those of models that leave the model table."""

    def __init__(self, model: ResilientModel) -> None:
        self._model = model
        self._known: dict[str, str] = {}

    def switch(self, model: ResilientModel, former_names: Iterable[str]) -> None:
        """Finds the providers of the models of another configuration, and remembers those of the former models."""
        former = {name: self.find(name) for name in (*self._known, *former_names)}
        self._model, self._known = model, {}
        self._known = {name: self.find(name) or provider for name, provider in former.items()}

    def find(self, model: str) -> str:
        """Returns the provider of a model as the conventions of OpenTelemetry name it; empty where it is not known."""
        provider = self._known.get(model)
        if provider is None:
            try:
                provider = self._model.describe(model).provider
            except ReasoningError:
                return ""
            provider = self._known[model] = PROVIDERS.get(provider, provider)
        return provider
