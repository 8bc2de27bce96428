"""The metrics of the server, over OpenTelemetry."""

from collections.abc import Iterable, Mapping
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from reasoning_grpc.litellm_model.transport.connections import ConnectionPool

OPEN_CONNECTIONS: Final = "http.client.open_connections"
"""Name and states are those of the semantic conventions; the pool is ours to name."""
_STATE: Final = "http.connection.state"
_POOL: Final = "reasoning_grpc.pool"


def observe_connections(meter: Meter, pools: Mapping[str, ConnectionPool]) -> None:
    """Has the connections to upstreams counted, by pool and state, whenever metrics are read."""

    def observations(_options: CallbackOptions) -> Iterable[Observation]:
        for name, pool in pools.items():
            idle = pool.idle
            yield Observation(idle, {_POOL: name, _STATE: "idle"})
            yield Observation(max(0, pool.open - idle), {_POOL: name, _STATE: "active"})

    meter.create_observable_gauge(
        OPEN_CONNECTIONS, [observations], unit="{connection}", description="Open connections to upstreams."
    )
