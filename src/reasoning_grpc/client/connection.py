"""`connect` creates a channel with retries and keepalive; `ChannelPerLoop` keeps one for each event loop."""

import asyncio
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Final

import grpc

SERVICE_CONFIG: Final = files("reasoning_grpc.client").joinpath("service_config.json").read_text("utf-8")
"""The default service config, as JSON.

Calls are distributed over all addresses of a name. A call that fails with UNAVAILABLE before its first event is sent
again, after the time in the server's trailer `grpc-retry-pushback-ms`.
"""

CHANNEL_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),  # without it gRPC waits a minute for the answer to a ping
    ("grpc.http2.max_pings_without_data", 0),  # unlimited; by default gRPC stops after two pings, during a silent call
    ("grpc.max_receive_message_length", -1),
    ("grpc.per_rpc_retry_buffer_size", 1024 * 1024),  # a larger request is sent only once
)
"""The options that `connect` gives a channel, unless its own `options` override them."""


def connect(
    target: str,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, Any]] = (),
) -> grpc.aio.Channel:
    """Creates a channel for the generated stubs. The caller must close it.

    With `credentials` (from `grpc.ssl_channel_credentials`) the channel uses TLS, otherwise plaintext. `options` are
    gRPC's own channel options, and override `CHANNEL_OPTIONS`.
    """
    merged = list({**dict(CHANNEL_OPTIONS), **dict(options)}.items())
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=merged)
    return grpc.aio.secure_channel(target, credentials, options=merged)


class ChannelPerLoop:
    """Opens a channel for each event loop that asks for one, because a channel of grpc.aio belongs to its loop."""

    def __init__(self, open_channel: Callable[[], grpc.aio.Channel]) -> None:
        self._open_channel = open_channel
        self._channels: dict[asyncio.AbstractEventLoop, grpc.aio.Channel] = {}

    def find_or_open(self) -> grpc.aio.Channel:
        """Returns the channel of the running event loop. Raises RuntimeError when no loop is running."""
        loop = asyncio.get_running_loop()
        channel = self._channels.get(loop)
        if channel is None:
            # A loop that was closed makes no more calls; its channel is closed when nothing refers to it any more.
            self._channels = {other: kept for other, kept in self._channels.items() if not other.is_closed()}
            channel = self._channels[loop] = self._open_channel()
        return channel

    async def aclose(self) -> None:
        """Closes the channel of the running event loop, if it has one."""
        channel = self._channels.pop(asyncio.get_running_loop(), None)
        if channel is not None:
            await channel.close()
