"""`IncomingMessages`: the messages of an MCP server, made readable for the SDK before it checks them.

Over the pipes of a process, the SDK drops a line that it cannot read, and whoever waits for the answer in it waits in
vain. So such a line is read less strictly here, or becomes an error for its request, or is skipped with a line in the
log.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp.shared.message import SessionMessage
from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError, JSONRPCRequest, JSONRPCResponse, jsonrpc_message_adapter
from pydantic import ValidationError

from reasoning_grpc.tools.mcp_asked import AskedInput
from reasoning_grpc.tools.mcp_call_results import prepare_call_result
from reasoning_grpc.tools.mcp_defaults import fill_in_discovery, fill_in_result_type, fill_in_tool_list
from reasoning_grpc.tools.mcp_listed_tools import ReportLeftOut, has_tool_list, select_callable_tools
from reasoning_grpc.tools.mcp_negotiation import Negotiation

SDK_CLOSED: Final = "Connection closed"
"""The text of the SDK's own error when a connection was lost, which never comes through the stream."""
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ID: Final = re.compile(r'"id"\s*:\s*(\d{1,15})\s*[,}]')
_ID_PLACE_CHARACTERS: Final = 1000
"""The id of an answer stands near the beginning or the end of its line."""

_logger = logging.getLogger("reasoning_grpc.tools")


class IncomingMessages:
    """A stream of messages for the SDK's client."""

    def __init__(
        self,
        inner: Any,
        mcp_server: str,
        *,
        asked: AskedInput,
        negotiation: Negotiation,
        on_end: Callable[[], None],
        on_left_out: ReportLeftOut,
    ) -> None:
        """`asked` records the requests of the server, and `negotiation` knows the version of the connection.

        `on_end` is called when the stream has ended. `on_left_out` receives the tools that are left out of lists.
        """
        self._inner = inner
        self._mcp_server = mcp_server
        self._asked = asked
        self._negotiation = negotiation
        self._on_end = on_end
        self._on_left_out = on_left_out
        self._has_logged = False

    @property
    def last_context(self) -> Any:
        """See the SDK's streams."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> Any:
        """See the SDK's streams."""
        return self._prepare(await self._inner.receive())

    async def aclose(self) -> None:
        """See the SDK's streams."""
        await self._inner.aclose()

    def __aiter__(self) -> "IncomingMessages":
        return self

    async def __anext__(self) -> Any:
        try:
            return self._prepare(await self._inner.__anext__())
        except BaseException:
            self._on_end()
            raise

    async def __aenter__(self) -> "IncomingMessages":
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> Any:
        return await self._inner.__aexit__(*exc_info)

    def _prepare(self, received: Any) -> Any:
        """Returns the message as the SDK is to see it. It ignores an exception that it gets as a message."""
        if isinstance(received, ValidationError):
            received = _read_leniently(received) or received
        if isinstance(received, Exception):
            self._log_skipped()
            return received
        message = received.message
        if isinstance(message, JSONRPCResponse):
            self._prepare_result(message.result)
        if isinstance(message, JSONRPCRequest):
            self._asked.add(message.method, message.params, self.last_context)
        if isinstance(message, JSONRPCError) and message.error.message.startswith(SDK_CLOSED):
            message.error.message = "The server's own error."  # so that it does not look like the SDK's
        return received

    def _prepare_result(self, result: dict[str, Any]) -> None:
        """Changes a result so that the SDK reads all of it that can be read."""
        if has_tool_list(result):
            result["tools"] = select_callable_tools(
                result["tools"], self._on_left_out, has_header_arguments=self._negotiation.is_modern
            )
            if self._negotiation.is_modern:
                fill_in_tool_list(result)
            return
        if self._negotiation.is_modern:
            fill_in_result_type(result)
        fill_in_discovery(result)
        prepare_call_result(result)

    def _log_skipped(self) -> None:
        """Logs once for each connection, because a server may write its whole log among its messages."""
        if not self._has_logged:
            _logger.warning("unreadable message of an mcp server is skipped", extra={"mcp_server": self._mcp_server})
        self._has_logged = True


def _read_leniently(failure: ValidationError) -> SessionMessage | None:
    """Reads the line that the SDK could not read.

    Lone surrogates and control characters are no reason to lose an answer. An answer that still cannot be read becomes
    an error for its request. Returns None for a line that is no answer.
    """
    values = [error["input"] for error in failure.errors(include_url=False, include_context=False)]
    line = next((value for value in values if isinstance(value, str)), "")
    message: Any = next((value for value in values if isinstance(value, dict)), None)
    if message is None:
        try:
            message = _replace_surrogates(json.loads(line.removeprefix("\ufeff"), strict=False))
            return SessionMessage(jsonrpc_message_adapter.validate_python(message, by_name=False))
        except (ValueError, RecursionError):
            pass
    request = _find_id(line) if not isinstance(message, dict) else message.get("id")
    if isinstance(message, dict) and "method" in message:
        return None
    if not isinstance(request, int) or isinstance(request, bool):
        return None
    error = ErrorData(code=PARSE_ERROR, message="The answer cannot be read.")
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=request, error=error))


def _find_id(line: str) -> int | None:
    """Returns the id in a line that is not JSON but begins like an answer; the SDK counts its requests."""
    ends = line[:_ID_PLACE_CHARACTERS] + line[_ID_PLACE_CHARACTERS:][-_ID_PLACE_CHARACTERS:]
    if not line.lstrip().startswith("{") or '"method"' in ends:
        return None
    found = _ID.search(ends)
    return int(found[1]) if found else None


def _replace_surrogates(value: Any) -> Any:
    """Replaces lone surrogates, which no UTF-8 text may contain, wherever they stand in a JSON value."""
    match value:
        case str():
            return _SURROGATE.sub(_REPLACEMENT, value)
        case list():
            return [_replace_surrogates(each) for each in value]
        case Mapping():
            return {_replace_surrogates(name): _replace_surrogates(each) for name, each in value.items()}
        case _:
            return value
