"""`connect`: a channel with retries and keepalive."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import grpc

SERVICE_CONFIG: Final = files("reasoning_grpc.client").joinpath("service_config.json").read_text("utf-8")
"""The default service config, as JSON: calls are spread over the addresses of a name, and a call that ended with
UNAVAILABLE before its first event is sent again, when the server's `grpc-retry-pushback-ms` says so."""

CHANNEL_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),  # no limit; gRPC's own ends them after two, in the midst of a silent call
    ("grpc.max_receive_message_length", -1),
    ("grpc.per_rpc_retry_buffer_size", 1024 * 1024),  # larger requests are sent once
)
"""What `connect` gives a channel, unless told otherwise."""


def connect(
    target: str,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, Any]] = (),
) -> grpc.aio.Channel:
    """A channel for the generated stubs; whoever asks for it closes it.

    `credentials` turn TLS on (`grpc.ssl_channel_credentials`). `options` are gRPC's own, and override
    `CHANNEL_OPTIONS`.
    """
    merged = list({**dict(CHANNEL_OPTIONS), **dict(options)}.items())
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=merged)
    return grpc.aio.secure_channel(target, credentials, options=merged)
