"""`HttpTransport`: the HTTP of all model calls, over one pool of connections."""

from collections.abc import Mapping
from typing import Final

from reasoning_grpc.litellm_model.transport.connections import ConnectionPool
from reasoning_grpc.litellm_model.transport.exchange import DryExchange, Exchange, TransportLimits

_HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "application/json",
    "Accept": "text/event-stream, application/json",
    "User-Agent": "reasoning-grpc",
}


class HttpTransport:
    """Opens exchanges; all upstreams, callers and keys share its pool."""

    def __init__(self, limits: TransportLimits) -> None:
        self.limits = limits
        self.pool = ConnectionPool(
            limit=limits.connections,
            queue_seconds=limits.queue_seconds,
            connect_timeout_seconds=limits.connect_timeout_seconds,
            headers=_HEADERS,
            proxy=limits.proxy,
        )

    def open_exchange(self, headers: Mapping[str, str], owner: str = "") -> Exchange:
        """Returns an exchange whose request will carry these headers too. Owners share the connections fairly."""
        return Exchange(self.pool, self.limits, {**headers, "Accept-Encoding": "identity"}, owner)

    def open_dry_exchange(self) -> Exchange:
        """Returns an exchange that sends nothing, and whose answer is empty."""
        return DryExchange(self.pool, self.limits, {})

    async def aclose(self) -> None:
        """Closes every connection."""
        await self.pool.aclose()
