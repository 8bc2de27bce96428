"""`ExchangeClient`: what litellm takes for its HTTP client, so that the connection of a call is ours.

litellm maps the request to the provider's protocol, calls `client.post(url, ...)` and reads the answer through the
response that it gets. Measured on litellm 1.106.2; `providers` lists for whom it does so.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Protocol

import httpx
import msgspec
from yarl import URL

from reasoning_grpc.litellm_model.protocols.by_path import choose_observer
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.transport.exchange import Exchange
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


class ExchangeClient:
    """A client for one call.

    litellm checks the class: `library.make_client_class` derives one from this class and from the class that
    litellm wants.
    """

    def __init__(self, exchange: Exchange, finisher: Finisher) -> None:
        self._exchange = exchange
        self._finisher = finisher
        self.observer = Observer()
        """The observer of the answer."""
        self.is_used = False
        """Whether litellm has used it; litellm never does where it has to use a client of its own."""

    async def post(
        self,
        url: str,
        data: Any = None,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: object = None,  # noqa: ARG002, ASYNC109 - litellm's; our own are in `llm.timeouts`
        stream: bool = False,
        logging_obj: object = None,  # noqa: ARG002 - litellm's
        files: Any = None,
        content: Any = None,
    ) -> httpx.Response:
        """Sends a request as litellm mapped it, once, and returns when the headers of the answer have arrived.

        Raises HttpFailure, or aiohttp's errors, for `failures` to read.
        """
        self.is_used = True
        if isinstance(data, str | bytes):
            data, content = None, data
        request = httpx.Request(
            "POST",
            self._finisher.restore_address(url),
            data=data,
            json=json,
            params=params,
            headers=headers,
            files=files,
            content=content,
        )
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
