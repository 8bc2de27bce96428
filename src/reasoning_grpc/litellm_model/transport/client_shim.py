"""What litellm takes for its HTTP client, so that the connection of a call is ours.

litellm knows two shapes of client. For the providers that speak the OpenAI protocol
it calls `client.chat.completions.with_raw_response.create(**body)`, and we read the
answer ourselves: our own wire. For most others it maps the request to the provider's
protocol, calls `client.post(url, ...)` and reads the answer through the response that
it gets: the plain path, over our connections. One object has both shapes, and knows
afterwards which one litellm used. Measured on litellm 1.106.2; `providers` has the list.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from enum import StrEnum
from typing import Any, Self

import httpx
import msgspec
from yarl import URL

from reasoning_grpc.litellm_model.protocols.by_path import choose_observer
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.litellm_model.transport.relay import relayed


class Shape(StrEnum):
    """A shape of client that litellm knows."""

    OPENAI = "OPENAI"
    """The client of the OpenAI SDK."""
    HTTP = "HTTP"
    """litellm's own `AsyncHTTPHandler`."""


Address = Callable[[Mapping[str, str]], tuple[str, Mapping[str, str]]]
"""Gives the URL and the headers of a call, when told what litellm wants in the query."""


class ExchangeClient:
    """A client for one call, whichever shape litellm asks for.

    litellm checks the class: `library.client_class` derives from this one and from what litellm wants.
    """

    def __init__(self, exchange: Exchange, address: Address, options: Mapping[str, Any]) -> None:
        """`address` is for the first shape; in the second litellm brings its own.

        `options` are merged into the body of the second shape; the first gets them from litellm.
        """
        self._exchange = exchange
        self._address = address
        self._options = options
        self.observer = Observer()
        """Of the answer, in the second shape."""
        self.used_as: Shape | None = None
        """None until litellm used it; it never does where it has to use a client of its own."""
        self._custom_query = _Query()
        self.api_key = "not-here"  # litellm looks, and logs; the real one goes into our own header alone

    @property
    def chat(self) -> Self:
        """The first step of the way to `create`."""
        return self

    @property
    def completions(self) -> Self:
        """The second step."""
        return self

    @property
    def with_raw_response(self) -> Self:
        """The third step."""
        return self

    async def create(
        self,
        *,
        timeout: object = None,  # noqa: ARG002, ASYNC109 - litellm's; our timers are in `resilience`
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> "_Unread":
        """Sends a request of the OpenAI protocol; returns when the answer's headers are here.

        Raises HttpFailure, or aiohttp's errors, for `failures` to read.
        """
        self.used_as = Shape.OPENAI
        url, headers = self._address(self._custom_query)
        payload = msgspec.json.encode(body | dict(extra_body or {}))
        await self._exchange.send(url, payload, dict(headers) | dict(extra_headers or {}))
        return _Unread(self._exchange.headers)

    async def post(
        self,
        url: str,
        data: Any = None,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: object = None,  # noqa: ARG002, ASYNC109 - litellm's; our timers are in `resilience`
        stream: bool = False,
        logging_obj: object = None,  # noqa: ARG002 - litellm's
        files: Any = None,
        content: Any = None,
    ) -> httpx.Response:
        """Sends a request as litellm mapped it, once; returns when the answer's headers are here.

        Raises HttpFailure, or aiohttp's errors, for `failures` to read.
        """
        self.used_as = Shape.HTTP
        if isinstance(data, str | bytes):
            data, content = None, data
        request = httpx.Request(
            "POST", url, data=data, json=json, params=params, headers=headers, files=files, content=content
        )
        body = _merged(await request.aread(), self._options)
        # The URL goes as it stands: a second encoding would break its signature, where it has one.
        await self._exchange.send(URL(str(request.url), encoded=True), body, _end_to_end(request.headers))
        self.observer = choose_observer(request.url.path)
        response = httpx.Response(
            self._exchange.status,
            headers=_end_to_end(self._exchange.headers),
            stream=_Relayed(
                relayed(self._exchange, self.observer) if stream else _whole(self._exchange, self.observer)
            ),
            request=request,
        )
        if not stream:
            await response.aread()
        return response


class _Query(dict[str, str]):
    """Where litellm puts Azure's api-version, after it has looked whether another one is there."""

    def __missing__(self, name: str) -> str:
        return ""


class _Unread:
    """The answer as litellm sees it in the first shape: nothing, since we read it ourselves."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def parse(self) -> Self:
        """What litellm hands on as its stream."""
        return self


class _Relayed(httpx.AsyncByteStream):
    """The answer as litellm reads it in the second shape."""

    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        """Stops reading."""
        await self._pieces.aclose()


def _merged(body: bytes, options: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(body, type=dict[str, Any]) | dict(options)) if options else body


async def _whole(exchange: Exchange, observer: Observer) -> AsyncGenerator[bytes, None]:
    """An answer that litellm wants whole, and only pretends to stream."""
    body = await exchange.read_whole()
    if observer.knows_protocol:
        observer.observe_whole(body)
    yield body


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    """Those headers that are about the message, not about the connection that carries it, or its encoding."""
    ours = {"host", "connection", "content-length", "transfer-encoding", "content-encoding", "accept-encoding"}
    return {name: value for name, value in headers.items() if name.lower() not in ours}
