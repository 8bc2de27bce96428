"""The metrics that the server exports over OpenTelemetry."""

from collections.abc import Iterable, Mapping
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from reasoning_grpc.litellm_model import ConnectionPool

OPEN_CONNECTIONS: Final = "http.client.open_connections"
"""OpenTelemetry's semantic conventions name the metric and its states; the attribute for the pool is our own."""
_STATE: Final = "http.connection.state"
_POOL: Final = "reasoning_grpc.pool"


def observe_connections(meter: Meter, pools: Mapping[str, ConnectionPool]) -> None:
    """Registers a gauge that counts the connections to upstreams, by pool and state, at each read of the metrics."""

    def observations(_options: CallbackOptions) -> Iterable[Observation]:
        for name, pool in pools.items():
            idle = pool.idle
            yield Observation(idle, {_POOL: name, _STATE: "idle"})
            yield Observation(max(0, pool.open - idle), {_POOL: name, _STATE: "active"})

    meter.create_observable_gauge(
        OPEN_CONNECTIONS, [observations], unit="{connection}", description="Open connections to upstreams."
    )
