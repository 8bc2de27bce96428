"""`ExchangeClient`: what litellm takes for its HTTP client, so that the connection of a call is ours.

litellm knows two shapes of client. For the providers that speak the OpenAI protocol
it calls `client.chat.completions.with_raw_response.create(**body)`, and we read the
answer ourselves. For most others it maps the request to the provider's protocol, calls
`client.post(url, ...)` and reads the answer through the response that it gets. One
object has both shapes, and knows afterwards which one litellm used. Measured on
litellm 1.106.2; `providers` has the list.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from enum import StrEnum
from typing import Any, Protocol, Self

import httpx
import msgspec
from yarl import URL

from reasoning_grpc.litellm_model.protocols.by_path import choose_observer
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.litellm_model.transport.relay import relay_stream, relay_whole


class Shape(StrEnum):
    """A shape of client that litellm knows."""

    OPENAI = "OPENAI"
    """The client of the OpenAI SDK."""
    HTTP = "HTTP"
    """litellm's own `AsyncHTTPHandler`."""


class Finisher(Protocol):
    """Changes a request after litellm has built it."""

    def build_address(self, query: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
        """Returns the URL and the headers of a call, from the query that litellm wants. It is for the first shape."""
        ...

    def restore_address(self, url: str) -> str:
        """Returns the URL to send to, from the URL that litellm has built. It is for the second shape."""
        ...

    @property
    def changes_body(self) -> bool:
        """Whether `finish_body` must see a body that litellm has already encoded."""
        ...

    @property
    def own_members(self) -> Collection[str]:
        """The members of the body that `finish_body` replaces without reading them."""
        ...

    def finish_body(self, body: dict[str, Any]) -> dict[str, Any]:
        """Returns the body to send. Raises UpstreamParameterUnsupported."""
        ...

    async def sign_again(self, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """Returns the headers of a finished body. It is for the second shape, in which litellm signs some requests."""
        ...


class ExchangeClient:
    """A client for one call, in whichever shape litellm uses it.

    litellm checks the class: `library.make_client_class` derives one from this class and from the class that
    litellm wants.
    """

    def __init__(self, exchange: Exchange, finisher: Finisher) -> None:
        self._exchange = exchange
        self._finisher = finisher
        self.observer = Observer()
        """The observer of the answer, in the second shape."""
        self.used_as: Shape | None = None
        """None until litellm has used it; litellm never does where it has to use a client of its own."""
        self._custom_query = _Query()
        # litellm looks for a key and an address, and logs them; the real ones are only in our own request
        self.api_key = "not-here"
        self._base_url = httpx.URL("http://not-here")

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
        timeout: object = None,  # noqa: ARG002, ASYNC109 - litellm's; our own are in `llm.timeouts`
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> "_UnreadAnswer":
        """Sends a request of the OpenAI protocol, and returns when the headers of the answer have arrived.

        Raises HttpFailure, or aiohttp's errors, for `failures` to read.
        """
        self.used_as = Shape.OPENAI
        url, headers = self._finisher.build_address(self._custom_query)
        encoded = msgspec.json.encode(self._finisher.finish_body(body | dict(extra_body or {})))
        await self._exchange.send(url, encoded, dict(headers) | dict(extra_headers or {}))
        return _UnreadAnswer(self._exchange.headers)

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
        self.used_as = Shape.HTTP
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
            body = msgspec.json.encode(self._finisher.finish_body(_decode_body(body, self._finisher.own_members)))
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


class _Query(dict[str, str]):
    """The query into which litellm puts Azure's api-version, after it has looked whether another one is there."""

    def __missing__(self, name: str) -> str:
        return ""


class _UnreadAnswer:
    """The answer as litellm sees it in the first shape: without content, since we read it ourselves."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def parse(self) -> Self:
        """Returns what litellm takes for its stream."""
        return self

    def model_dump(self) -> dict[str, Any]:
        """Returns what litellm takes for an answer that is not streamed; it asks some models of Azure for one."""
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]}


class _RelayedAnswer(httpx.AsyncByteStream):
    """The answer as litellm reads it in the second shape."""

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        """Stops reading."""
        await self._chunks.aclose()


def _decode_body(body: bytes, skipped: Collection[str]) -> dict[str, Any]:
    """Decodes a body, but for some of its members, which may hold megabytes."""
    members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return {name: raw if name in skipped else msgspec.json.decode(raw) for name, raw in members.items()}


def _select_end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns the headers that describe the message, without those of the connection that carries it."""
    ours = {"host", "connection", "content-length", "transfer-encoding", "content-encoding", "accept-encoding"}
    return {name: value for name, value in headers.items() if name.lower() not in ours}
