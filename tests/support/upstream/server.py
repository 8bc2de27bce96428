"""The HTTP server of the fake upstream: it receives requests, plays scripts, and records which clients leave."""

import asyncio
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

from aiohttp import web
from multidict import CIMultiDictProxy

from .answers import DEFAULT_PIECES, Json
from .anthropic import Anthropic
from .bedrock import Bedrock
from .changes import Changes
from .dialect import Dialect
from .gemini import Gemini
from .listing import ModelInfo, ModelList
from .openai import Azure, OpenAI
from .responses import Responses
from .scripting import Answer, Asked, Gate, Script, Scripting

Play = tuple[Script, Gate]

_OPENAI = OpenAI()
DIALECTS: Final[Mapping[str, Dialect]] = {
    "openai": _OPENAI,
    "hosted_vllm": _OPENAI,
    "azure": Azure(),
    "anthropic": Anthropic(),
    "gemini": Gemini(),
    "bedrock": Bedrock(),
    "responses": Responses(),
}
"""The dialects by the prefixes of litellm that use them; "responses" stands for OpenAI's Responses API."""

_AS_TOLD: Final = frozenset({"/api/chat", "/v1/responses"})
"""The paths of protocols that the fake does not know; the script writes such an answer itself."""

_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, kw_only=True)
class CapturedRequest:
    """A request as it was received."""

    method: str
    path: str
    """The path with its query."""
    headers: CIMultiDictProxy[str]
    body: Any
    """The parsed JSON, or None if the body is not JSON."""
    raw: bytes = field(repr=False)


class Standing(Scripting):
    """The last script that it got, which answers every request for which no script is queued."""

    play: Play

    def choose(self, choice: Callable[[Json], "Standing"]) -> None:
        """Answers each request with the script that `choice` selects by the body; that script's gate is ignored."""
        self._add(lambda asked: choice(asked.body).play[0](asked), Gate(is_open=True))

    def _add(self, script: Script, gate: Gate) -> None:
        self.play = (script, gate)


class FakeUpstream(Scripting):
    """Answers each chat request with the next script, or with "Hello", " world" if there is none.

    It knows every protocol of DIALECTS; the path of a request shows its protocol.
    """

    def __init__(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self._port = port
        self._tls = tls
        self._scripts: deque[Play] = deque()
        self.always = Standing()
        """Answers every request for which no script is queued."""
        self.always.reply(*DEFAULT_PIECES)
        self.requests: list[CapturedRequest] = []
        """All requests to any path, in the order in which they arrived."""
        self.connections = 0
        """The number of connections that were accepted."""
        self.model_info, self.model_list = ModelInfo(), ModelList()
        """The lists of models of a LiteLLM proxy."""
        self._routes: dict[tuple[str, str], Callable[[CapturedRequest], Play]] = {
            ("GET", "/v1/model/info"): lambda _: self.model_info.play,
            ("GET", "/v1/models"): lambda _: self.model_list.play,
        }
        self._unknown, self._malformed = Standing(), Standing()
        self._unknown.fail(404, message="no such path")
        self._malformed.fail(400, message="the body is no JSON object")
        self._changes = Changes()
        self._open: dict[web.RequestHandler, asyncio.Transport] = {}
        self._busy: set[asyncio.Transport] = set()
        self._disconnected: list[CapturedRequest] = []
        self._accepting = True
        self._closing = False

    async def start(self) -> Self:
        """Listens on 127.0.0.1, on the given port or a free one."""
        self._http = _Http(self._handle, self._connection_made, self._connection_lost)
        self._listener = await asyncio.get_running_loop().create_server(
            self._http, "127.0.0.1", self._port, backlog=1024, ssl=self._tls
        )
        self.port: int = self._listener.sockets[0].getsockname()[1]
        return self

    async def aclose(self) -> None:
        """Ends every connection and stops listening."""
        self._closing = True
        self._listener.close()
        for transport in list(self._open.values()):
            transport.abort()
        await self._until(lambda: not self._open and not self._busy, "every connection ended")
        await self._http.shutdown(timeout=1)
        await self._listener.wait_closed()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def api_base(self) -> str:
        """The `api_base` of a model behind the fake."""
        return self.api_base_for("openai")

    def api_base_for(self, provider: str) -> str:
        """Returns the `api_base` of a model with this prefix of litellm."""
        return f"http://127.0.0.1:{self.port}{DIALECTS[provider].base_path}"

    @property
    def open_connections(self) -> int:
        """The number of open connections."""
        return len(self._open)

    @property
    def active(self) -> int:
        """The number of requests whose answer is in progress."""
        return len(self._busy)

    @property
    def disconnects(self) -> int:
        """The number of clients that left before their answer was complete."""
        return len(self._disconnected)

    async def request(self, n: int = 1) -> CapturedRequest:
        """Waits for the n-th request, and returns it."""
        await self._until(lambda: len(self.requests) >= n, f"request {n}")
        return self.requests[n - 1]

    async def disconnect(self, n: int = 1) -> CapturedRequest:
        """Waits until n clients have left before their answer was complete; returns the request of the n-th."""
        await self._until(lambda: self.disconnects >= n, f"disconnect {n}")
        return self._disconnected[n - 1]

    def forget(self) -> None:
        """Removes the queued scripts, and the record of requests and disconnects."""
        self._scripts.clear()
        self.requests.clear()
        self._disconnected.clear()

    async def idle(self) -> None:
        """Waits until no answer is in progress."""
        await self._until(lambda: not self._busy, "no active request")

    async def all_closed(self) -> None:
        """Waits until no connection is open."""
        await self._until(lambda: not self._open, "no open connection")

    def close_on_accept(self) -> None:
        """Closes idle connections now, and each new connection at once."""
        self._accepting = False
        for transport in set(self._open.values()) - self._busy:
            transport.abort()

    def accept(self) -> None:
        """Accepts connections again after `close_on_accept`."""
        self._accepting = True

    def _add(self, script: Script, gate: Gate) -> None:
        self._scripts.append((script, gate))

    def _chat(self, captured: CapturedRequest) -> Play:
        if not isinstance(captured.body, dict):
            return self._malformed.play
        return self._scripts.popleft() if self._scripts else self.always.play

    def _play_for(self, method: str, path: str, captured: CapturedRequest) -> Play:
        if method == "POST" and (_dialect_at(path) or path in _AS_TOLD):
            return self._chat(captured)
        route = self._routes.get((method, path))
        return route(captured) if route else self._unknown.play

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        captured = await _captured(request)
        script, gate = self._play_for(request.method, request.path, captured)
        answer = script(_asked(request.path, captured))
        exchange = _Exchange(request, answer, gate)
        self._busy.add(exchange.transport)
        self.requests.append(captured)
        self._changes.notify()
        try:
            await exchange.run()
        except (asyncio.CancelledError, ConnectionError) as exc:
            if not exchange.finished and not self._closing:
                self._disconnected.append(captured)
            if isinstance(exc, asyncio.CancelledError):
                raise
        finally:
            self._busy.discard(exchange.transport)
            self._changes.notify()
        return exchange.response

    def _connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        self.connections += 1
        self._open[handler] = transport
        if not self._accepting or self._closing:
            transport.abort()
        self._changes.notify()

    def _connection_lost(self, handler: web.RequestHandler) -> None:
        self._open.pop(handler, None)
        self._changes.notify()

    async def _until(self, predicate: Callable[[], bool], what: str) -> None:
        await self._changes.expect(predicate, lambda: f"the fake upstream did not see {what}; it saw {self._seen()}")

    def _seen(self) -> str:
        counts = {
            "requests": len(self.requests),
            "active": self.active,
            "disconnects": self.disconnects,
            "connections": self.connections,
            "open": self.open_connections,
        }
        return ", ".join(f"{name} {count}" for name, count in counts.items())


class _Exchange:
    """One request whose answer is in progress."""

    def __init__(self, request: web.BaseRequest, answer: Answer, gate: Gate) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client left while its request was read")
        self.transport: asyncio.Transport = transport
        self.response = web.StreamResponse(status=answer.status, headers=answer.headers)
        self.response.content_length = answer.content_length
        self.finished = False
        """Whether the answer is complete; a client that leaves later is not a disconnect."""
        self._request, self._answer, self._gate = request, answer, gate

    async def run(self) -> None:
        """Sends the headers, the deltas and the ending, and ends as the script says."""
        if self._answer.headers is not None:
            await self.response.prepare(self._request)
        for piece in self._answer.pieces:
            await self._gate.pass_through()
            await asyncio.sleep(self._answer.interval_seconds)  # with 0 too: it lets others run
            await self.response.write(piece)
            self._gate.count_step()
        if self._answer.end == "hang":
            await asyncio.Event().wait()
        await self._gate.pass_through()
        for piece in self._answer.ending:
            await self.response.write(piece)
        await self._end()

    async def _end(self) -> None:
        self.finished = True
        self._gate.count_step()
        if self._answer.end == "end":
            await self.response.write_eof()
            return
        if self._answer.end == "reset":
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.transport.abort()
        else:
            self.transport.close()
        # Returning would let aiohttp complete the answer; the lost connection cancels this instead.
        await asyncio.Event().wait()


class _Http(web.Server):
    """aiohttp's low-level server. It reports connections, and cancels a handler when its client leaves."""

    def __init__(
        self,
        handle: Callable[[web.BaseRequest], Any],
        made: Callable[[web.RequestHandler, asyncio.Transport], None],
        lost: Callable[[web.RequestHandler], None],
    ) -> None:
        super().__init__(handle, handler_cancellation=True, access_log=None)
        self._made, self._lost = made, lost

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._made(handler, transport)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._lost(handler)


@contextmanager
def refusing_api_base() -> Iterator[str]:
    """Yields the address of a port that is bound but does not listen, so that it refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


async def _captured(request: web.BaseRequest) -> CapturedRequest:
    raw = await request.content.read()  # request.read() refuses what is over a megabyte
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    return CapturedRequest(method=request.method, path=request.path_qs, headers=request.headers, body=body, raw=raw)


def _dialect_at(path: str) -> Dialect | None:
    return next((dialect for dialect in DIALECTS.values() if dialect.path.fullmatch(path)), None)


def _asked(path: str, captured: CapturedRequest) -> Asked:
    dialect = _dialect_at(path) or DIALECTS["openai"]
    body = captured.body if isinstance(captured.body, dict) else {}
    return Asked(dialect=dialect, stream=dialect.streams(path, body), body=body)
