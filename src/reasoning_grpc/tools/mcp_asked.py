"""`AskedInput`: records the input that a server asks for while one of its tools runs.

The protocol before 2026-07-28 lets a server send requests to its client during a call. We declare none of the
capabilities for them, and the SDK refuses each one. When the call then fails, this is the reason.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any, Final

_METHODS: Final = frozenset({"elicitation/create", "sampling/createMessage", "roots/list"})
_MAX_REQUESTS: Final = 10

_asked: Final[ContextVar["list[Any] | None"]] = ContextVar("_asked", default=None)


class AskedInput:
    """The requests of one server, each with the call during which it came."""

    def __init__(self) -> None:
        self._calls: list[list[Any]] = []

    @contextmanager
    def record(self) -> Iterator[list[Any]]:
        """Records the requests that come during the call within the block."""
        asked: list[Any] = []
        self._calls.append(asked)
        token = _asked.set(asked)
        try:
            yield asked
        finally:
            _asked.reset(token)
            self._calls = [each for each in self._calls if each is not asked]

    def add(self, method: str, params: Any, context: Context | None) -> None:
        """Adds a request to the call that it belongs to.

        Over HTTP it comes with the answer to the call, so `context` is the context of the call. Over pipes nothing says
        which call it belongs to, so it is recorded only while a single call runs.
        """
        if method not in _METHODS:
            return
        asked = None if context is None else context.get(_asked)
        if asked is None and len(self._calls) == 1:
            asked = self._calls[0]
        if asked is not None and len(asked) < _MAX_REQUESTS:
            asked.append({"method": method, "params": params})
