"""`build_embedded_model`: builds the embedded model that a configuration describes."""

from collections.abc import Callable

from reasoning_grpc.catalog import find_embedded_name
from reasoning_grpc.config import Config
from reasoning_grpc.embedded import EmbeddedEndpoint, EmbeddedModel


def build_embedded_model(
    config: Config, on_change: Callable[[EmbeddedEndpoint | None], None] = lambda _: None
) -> EmbeddedModel | None:
    """Builds it without starting it; returns None when the configuration does not run it.

    `on_change` is called with each address at which it answers, and with None when it does not.
    """
    name = find_embedded_name(config)
    if name is None:
        return None
    settings = config.settings
    return EmbeddedModel(
        name,
        slots=settings.embedded_slots,
        context_tokens=settings.embedded_context_tokens,
        weights=settings.embedded_weights,
        on_change=on_change,
    )
