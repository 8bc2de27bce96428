"""The failures of a call's HTTP exchange. `failures` converts them to our errors."""

from collections.abc import Mapping

import aiohttp


class HttpFailure(Exception):
    """The upstream answered with a status that is not a success. `failures` reads it, and nothing else does."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body


class ExchangeClosed(Exception):
    """The caller has left before the request was sent, so it is not sent."""


class NoFreeConnection(Exception):
    """All connections of the pool stayed in use, which says nothing about the upstream. Nothing was sent."""


class AnswerTooLarge(ValueError):
    """An answer is longer than `max_answer_bytes`, or its compression is broken or unknown."""


class MalformedStream(ValueError):
    """The bytes are not an event stream of the OpenAI dialect."""


class TunnelNotOpened(aiohttp.ClientConnectionError):
    """The HTTP proxy broke off before it had opened the tunnel to the upstream."""
