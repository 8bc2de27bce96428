"""`ExchangeClient`: what litellm takes for its HTTP client, so that the connection of a call is ours."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Protocol

import httpx
import msgspec
from yarl import URL

from reasoning_grpc.litellm_model.protocols.by_path import choose_observer
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.litellm_model.transport.handler_client import HandlerClient
from reasoning_grpc.litellm_model.transport.relay import relay_stream, relay_whole


class Finisher(Protocol):
    """Changes a request after litellm has built it."""

    def restore_address(self, url: str) -> str:
        """Returns the URL to send to, from the URL that litellm has built."""
        ...

    @property
    def changes_body(self) -> bool:
        """Whether `finish_body` must see a body that litellm has already encoded."""
        ...

    def finish_body(self, body: dict[str, Any]) -> dict[str, Any]:
        """Returns the body to send."""
        ...

    async def sign_again(self, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """Returns the headers of a finished body. litellm signs some requests."""
        ...


class ExchangeClient(HandlerClient):
    """A client for one call, whose answer litellm reads."""

    def __init__(self, exchange: Exchange, finisher: Finisher) -> None:
        self._exchange = exchange
        self._finisher = finisher
        self.observer = Observer()
        """The observer of the answer."""
        self.is_used = False
        """Whether litellm has used it; litellm never does where it has to use a client of its own."""

    def _restore_address(self, url: str) -> str:
        """See `HandlerClient._restore_address`."""
        return self._finisher.restore_address(url)

    async def _answer(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        """Sends the request, once, and returns when the headers of the answer have arrived.

        Raises HttpFailure, or aiohttp's errors, for `failures` to read.
        """
        self.is_used = True
        body, sent_headers = await request.aread(), _select_end_to_end(request.headers)
        if self._finisher.changes_body:
            body = msgspec.json.encode(self._finisher.finish_body(msgspec.json.decode(body)))
            sent_headers = dict(await self._finisher.sign_again(str(request.url), sent_headers, body))
        # The URL is sent as it is: a second encoding would break its signature, where it has one.
        await self._exchange.send(URL(str(request.url), encoded=True), body, sent_headers)
        self.observer = choose_observer(request.url.path)
        relay = relay_stream if stream else relay_whole
        response = httpx.Response(
            self._exchange.status,
            headers=_select_end_to_end(self._exchange.headers),
            stream=_RelayedAnswer(relay(self._exchange, self.observer)),
            request=request,
        )
        if not stream:
            await response.aread()
        return response


class _RelayedAnswer(httpx.AsyncByteStream):
    """The answer as litellm reads it."""

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        """Stops reading."""
        await self._chunks.aclose()


def _select_end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns the headers that describe the message, without those of the connection that carries it."""
    ours = {"host", "connection", "content-length", "transfer-encoding", "content-encoding", "accept-encoding"}
    return {name: value for name, value in headers.items() if name.lower() not in ours}
