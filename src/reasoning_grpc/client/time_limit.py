"""`PunctualChannel`: fails calls that have no time left, because gRPC now and then still sends their requests."""

from collections.abc import Callable
from typing import Any, Final

import grpc

_TOO_LATE: Final = "Deadline Exceeded"
"""The words of gRPC itself."""


class PunctualChannel:
    """The part of a channel that a generated stub uses.

    A call with a timeout of 0 or less raises AioRpcError with DEADLINE_EXCEEDED when it is created, and is not sent.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def unary_unary(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        """Returns a method with one response."""
        return _check_timeout(self._channel.unary_unary(*arguments, **options))

    def unary_stream(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        """Returns a method with a stream of responses."""
        return _check_timeout(self._channel.unary_stream(*arguments, **options))


def _check_timeout(method: Callable[..., Any]) -> Callable[..., Any]:
    def start(request: Any, *, timeout: float | None = None, **options: Any) -> Any:
        if timeout is not None and not timeout > 0:
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, nothing, nothing, _TOO_LATE)
        return method(request, timeout=timeout, **options)

    return start
