"""Page tokens of the model list: a token holds the last name of a page, and a digest of the filter."""

import base64
import hashlib

from reasoning_grpc.domain import ModelFilter
from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest


def write_page_token(last_name: str, model_filter: ModelFilter) -> str:
    """Returns the token for the page after the model with this name."""
    return base64.urlsafe_b64encode(_digest(model_filter) + last_name.encode()).decode()


def read_page_token(page_token: str, model_filter: ModelFilter) -> str:
    """Returns the name that ended the page before, which may no longer be listed; empty for the first page.

    Raises InvalidRequest for a token that this server did not write for the same filter.
    """
    if not page_token:
        return ""
    digest = _digest(model_filter)
    try:
        decoded = base64.b64decode(page_token.encode("ascii"), altchars=b"-_", validate=True)
        if not decoded.startswith(digest):
            raise ValueError("the token belongs to another filter")
        return decoded.removeprefix(digest).decode()
    except ValueError:  # base64 and UTF-8 errors are ValueErrors, too
        violation = FieldViolation("page_token", "It is not a token of an earlier answer to the same filter.")
        raise InvalidRequest(violations=(violation,)) from None


def _digest(model_filter: ModelFilter) -> bytes:
    text = repr((model_filter.name_contains, sorted(model_filter.capabilities), sorted(model_filter.states)))
    return hashlib.sha256(text.encode()).digest()[:6]
