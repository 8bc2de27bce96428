"""Loads and closes the router's embedding with the server."""

from reasoning_grpc.config import Config
from reasoning_grpc.domain import RoutingMode
from reasoning_grpc.router.embedding import EmbeddingUnusable
from reasoning_grpc.server.wiring import ServerParts


class RouterNotTrained(Exception):
    """The router's embedding cannot be used; the message says why."""


async def load_router_embedding(parts: ServerParts) -> None:
    """Loads the embedding and trains the router, where calls without a mode are to use it or the file asks for it.

    Elsewhere the first call in the mode AUTO loads it, so that a server which routes nothing does not pay for it.
    Raises RouterNotTrained.
    """
    if parts.router_embedding is None or not _is_needed_at_start(parts.config):
        return
    try:
        await parts.router_embedding.start()
    except EmbeddingUnusable as exc:
        raise RouterNotTrained(str(exc)) from exc


async def close_router_embedding(parts: ServerParts) -> None:
    """Ends a training that is in progress."""
    if parts.router_embedding is not None:
        await parts.router_embedding.aclose()


def _is_needed_at_start(config: Config) -> bool:
    leads_to_auto = config.settings.default_mode is RoutingMode.AUTO or any(
        rule.route == RoutingMode.AUTO.lower() for rule in config.rules
    )
    return leads_to_auto or config.classifier.is_strategy_given
