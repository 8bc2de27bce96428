"""`ProxyListing`: reads the list of a LiteLLM proxy's models over HTTP."""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp
from opentelemetry.context import get_current

from reasoning_grpc.catalog.proxy_facts import read_info_list, read_plain_list
from reasoning_grpc.config import PROXY_PREFIX, ProxyEntry, UpstreamProxyEntry
from reasoning_grpc.domain import Caller, Deployment, ModelInfo
from reasoning_grpc.domain.errors import UpstreamTimeout
from reasoning_grpc.litellm_model import (
    ConnectionPool,
    HttpFailure,
    MalformedAnswer,
    UpstreamAnswer,
    convert_failure,
)
from reasoning_grpc.llm import ServedModel
from reasoning_grpc.telemetry import build_trace_headers

_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "reasoning-grpc"}
_MAX_LIST_BYTES: Final = 64 * 1024 * 1024
"""The limit of a list: a model takes 7 KB, and a wildcard of the proxy stands for hundreds of models."""
_NOT_SERVED: Final = frozenset({400, 401, 403, 404, 405, 410, 501})
"""Statuses of `/model/info` that say it does not exist or needs another key; the plain list may still be served."""


class ListedModel:
    """A model that the proxy lists, and that is reached through the proxy."""

    def __init__(self, info: ModelInfo, proxy: ProxyEntry) -> None:
        self._info: Final = info
        self._deployment: Final = Deployment(
            name=info.name,
            litellm_model=f"{PROXY_PREFIX}{info.name}",
            api_base=proxy.api_base,
            api_key=proxy.api_key,
        )

    def describe(self) -> ModelInfo:
        """See `ServedModel.describe`."""
        return self._info

    def find_deployment(self, caller: Caller) -> Deployment:
        """See `ServedModel.find_deployment`."""
        return caller.use_own_key(self._deployment)


class ProxyListing:
    """Reads the list over one separate connection, so that calls and lists never wait for each other."""

    def __init__(
        self, proxy: ProxyEntry, *, timeout_seconds: float, upstream_proxy: UpstreamProxyEntry | None = None
    ) -> None:
        """The LiteLLM proxy is reached through `upstream_proxy`, an HTTP proxy, if that carries its host."""
        self._proxy = proxy
        self._timeout_seconds = timeout_seconds
        self.pool = ConnectionPool(limit=1, queue_seconds=timeout_seconds, headers=_HEADERS, proxy=upstream_proxy)

    async def read(self) -> Mapping[str, ServedModel]:
        """See `ModelListing.read`."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                infos = await self._read_infos()
        except TimeoutError as exc:
            raise UpstreamTimeout(model="") from exc
        except (HttpFailure, MalformedAnswer, aiohttp.ClientError, ConnectionError) as exc:
            proxy = Deployment(name="", litellm_model=PROXY_PREFIX, api_base=self._proxy.api_base)
            error = convert_failure(exc, proxy, is_upstream_reached=True)
            if error is None:
                raise
            raise error from exc
        return {name: ListedModel(info, self._proxy) for name, info in infos.items()}

    async def aclose(self) -> None:
        """See `ModelListing.aclose`."""
        await self.pool.aclose()

    async def _read_infos(self) -> dict[str, ModelInfo]:
        """Reads the list with limits and prices, or the plain list when that one is not served."""
        try:
            return read_info_list(await self._get("/model/info"))
        except MalformedAnswer:
            pass
        except HttpFailure as exc:
            if exc.status not in _NOT_SERVED:
                raise
        return read_plain_list(await self._get("/models"))

    async def _get(self, path: str) -> bytes:
        """Returns the body of the answer to a GET. Raises HttpFailure, MalformedAnswer, and aiohttp's errors."""
        key = self._proxy.api_key
        headers = build_trace_headers(get_current())
        if key:
            headers["Authorization"] = f"Bearer {key.reveal()}"
        url = f"{self._proxy.api_base}{path}"
        async with self.pool.request("GET", url, headers=headers) as answer:
            body = await _read_body(answer)
        if answer.status == 404:
            raise MalformedAnswer("the list does not exist")
        if answer.status != 200:
            raise HttpFailure(answer.status, answer.headers, body)
        return body


async def _read_body(answer: UpstreamAnswer) -> bytes:
    """Returns the whole body. Raises MalformedAnswer when it is longer than the limit."""
    chunks: list[bytes] = []
    size = 0
    while data := await answer.read():
        chunks.append(data)
        size += len(data)
        if size > _MAX_LIST_BYTES:
            raise MalformedAnswer("the list is too long")
    return b"".join(chunks)
