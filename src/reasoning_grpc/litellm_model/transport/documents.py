"""Decides whether a successful answer is one JSON document, by its MIME type and by how it begins."""

from typing import Final

from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.litellm_model.transport.sse import reports_error

LINE_TYPES: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
"""MIME types of answers in which each line is a JSON document."""
_DOCUMENT_TYPE: Final = "application/json"
_BEGINNINGS: Final = (b"{", b"[")
"""How the documents begin: some answers of Google's are a list."""


async def is_document(exchange: Exchange) -> bool:
    """Returns whether the answer is one JSON document, whose bytes `Exchange.read_whole` then returns.

    Many servers and gateways send JSON under another type, also under that of event streams. No event stream begins
    with `{` or `[`, except for an error that stands in a line of its own.

    Raises what `Exchange.read` raises.
    """
    if exchange.content_type == _DOCUMENT_TYPE:
        return True
    if exchange.content_type in LINE_TYPES:
        return False
    first_line = await exchange.peek_line(_BEGINNINGS)
    return first_line.startswith(_BEGINNINGS) and not reports_error(first_line)
