"""`MappingClient`: what litellm takes for its HTTP client, while it only maps a request.

litellm knows two shapes of client: for most providers of the OpenAI protocol it calls
`client.chat.completions.with_raw_response.create(**body)`, and for the others `client.post(url, ...)`. One object has
both, sends nothing, and keeps what it got. Measured on litellm 1.106.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import httpx
import msgspec

from reasoning_grpc.litellm_model.transport.handler_client import HandlerClient

_NOT_OURS: Final = frozenset({"accept", "accept-encoding", "connection", "content-length", "content-type", "host"})
"""Headers of httpx, in place of which our exchange has its own."""


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as litellm has mapped it."""

    body: dict[str, Any]
    query: Mapping[str, str]
    """The query that litellm wants; only the first shape has one."""
    url: str = ""
    """Where to send it; empty in the first shape, whose client knows the address."""
    headers: Mapping[str, str] | None = None
    """None in the first shape, whose client knows the key."""


class MappingClient(HandlerClient):
    """A client in both shapes that records one request."""

    def __init__(self) -> None:
        self.recorded: RecordedRequest | None = None
        """None until litellm has used the client."""
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
        extra_headers: Mapping[str, str] | None = None,  # noqa: ARG002 - litellm's; none of them are ours
        **body: Any,
    ) -> "_NoAnswer":
        """Records a request in the first shape."""
        self.recorded = RecordedRequest(body | dict(extra_body or {}), self._custom_query)
        return _NoAnswer()

    async def _answer(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        """Records a request in the second shape."""
        own = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_OURS}
        body = msgspec.json.decode(await request.aread(), type=dict[str, Any])
        self.recorded = RecordedRequest(body, {}, str(request.url), own)
        return _NoAnswer().build_response(request, stream=stream)


class _Query(dict[str, str]):
    """The query into which litellm puts Azure's api-version, after it has looked whether another one is there."""

    def __missing__(self, name: str) -> str:
        return ""


class _NoAnswer:
    """What litellm takes for an answer, so that it ends well."""

    headers: Final[Mapping[str, str]] = {}

    def parse(self) -> Self:
        """Returns what litellm takes for its stream."""
        return self

    def model_dump(self) -> dict[str, Any]:
        """Returns what litellm takes for an answer that is not streamed; it asks some models of Azure for one."""
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]}

    def build_response(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        """Returns the answer in the second shape."""
        if stream:
            return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=b"", request=request)
        whole = {"id": "", "created": 0, "model": "", "service_tier": "auto", **self.model_dump()}
        return httpx.Response(200, json=whole, request=request)
