"""`UpstreamSession`: sends requests to upstreams, through the HTTP proxy where it carries their hosts."""

import base64
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from reasoning_grpc.config import UpstreamProxyEntry

_USER_AGENT: Final[Mapping[str, str]] = {"User-Agent": "reasoning-grpc"}


class UpstreamSession:
    """An HTTP session that follows no redirects, and knows the proxy."""

    def __init__(self, session: aiohttp.ClientSession, proxy: UpstreamProxyEntry | None) -> None:
        self._session = session
        self._proxy = proxy

    async def send(
        self, method: str, url: str | URL, *, headers: Mapping[str, str], data: Any = None
    ) -> aiohttp.ClientResponse:
        """Sends a request, and returns when the headers of the answer have arrived. Raises aiohttp's errors."""
        url = URL(url) if isinstance(url, str) else url
        sent: CIMultiDict[str] = CIMultiDict(headers)
        options: dict[str, Any] = {}
        if self._proxy is not None and self._proxy.carries(url.raw_host or ""):
            own = _build_proxy_headers(self._proxy)
            options["proxy"] = self._proxy.url
            if url.scheme == "https":
                options["proxy_headers"] = {**_USER_AGENT, **own}  # of the tunnel; the upstream does not see them
            else:
                sent.update(own)  # aiohttp adds the headers of the proxy to nothing but tunnels
        return await self._session.request(method, url, data=data, headers=sent, allow_redirects=False, **options)


def _build_proxy_headers(proxy: UpstreamProxyEntry) -> dict[str, str]:
    if not proxy.credentials:
        return {}
    encoded = base64.b64encode(proxy.credentials.reveal().encode()).decode()
    return {"Proxy-Authorization": f"Basic {encoded}"}
