"""`HandlerClient`: a client in the shape of litellm's own HTTP handler, for whoever does something else with a request.

litellm calls `client.post(url, ...)` and reads the answer through the response that it gets. Measured on litellm
1.106.2; `providers` lists for whom it does so.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import httpx


class HandlerClient(ABC):
    """A client that gets each request as litellm has built it.

    litellm checks the class: `library.make_client_class` derives one from a subclass of this class and from the class
    that litellm wants.
    """

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
        """Builds the request and answers it. litellm asks for a `stream` where it reads the answer as one."""
        if isinstance(data, str | bytes):
            data, content = None, data
        request = httpx.Request(
            "POST",
            self._restore_address(url),
            data=data,
            json=json,
            params=params,
            headers=headers,
            files=files,
            content=content,
        )
        return await self._answer(request, stream=stream)

    def _restore_address(self, url: str) -> str:
        """Returns the URL to send to, from the URL that litellm has built."""
        return url

    @abstractmethod
    async def _answer(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        """Returns the answer that litellm reads."""
