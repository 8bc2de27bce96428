"""`AskedInput`: records the input that a server asks for while one of its tools runs.

The protocol before 2026-07-28 lets a server send requests to its client during a call. We declare none of the
capabilities for them, and the SDK refuses each one. When the call then fails, this is the reason.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

_METHODS: Final = frozenset({"elicitation/create", "sampling/createMessage", "roots/list"})
_MAX_REQUESTS: Final = 10
_GRACE_SECONDS: Final = 2.0
"""The time that a call has to end after a request whose refusal cannot reach it."""


@dataclass(slots=True)
class CallInput:
    """The requests that a server sends during one call."""

    limit: asyncio.Timeout
    """Ends the call where it would wait in vain. It has no time until then."""
    requests: list[Any] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nobody waits for the result of the call any more."""


_call: Final[ContextVar["CallInput | None"]] = ContextVar("_call", default=None)


def get_current_call() -> CallInput | None:
    """Returns the call within which this code runs; None outside of calls."""
    return _call.get()


class AskedInput:
    """The requests of one server, each with the call during which it came."""

    def __init__(self) -> None:
        self._calls: list[CallInput] = []
        self.receives_answers = True
        """Whether the refusal of a request reaches the call that waits for it.

        Over HTTP it is a request of its own, so a server without sessions cannot know to which call it belongs.
        """

    @contextmanager
    def record(self, limit: asyncio.Timeout) -> Iterator[CallInput]:
        """Records the requests that come during the call within the block, which `limit` may end."""
        call = CallInput(limit)
        self._calls.append(call)
        token = _call.set(call)
        try:
            yield call
        finally:
            call.ended.set()
            _call.reset(token)
            self._calls = [each for each in self._calls if each is not call]

    def add(self, method: str, params: Any, context: Context | None) -> None:
        """Adds a request to the call that it belongs to.

        Over HTTP it comes with the answer to the call, so `context` is the context of the call. Over pipes nothing says
        which call it belongs to, so it is recorded only while a single call runs.
        """
        if method not in _METHODS:
            return
        call = None if context is None else context.get(_call)
        if call is None and len(self._calls) == 1:
            call = self._calls[0]
        if call is None or len(call.requests) >= _MAX_REQUESTS:
            return
        call.requests.append({"method": method, "params": params})
        if not self.receives_answers and call.limit.when() is None:
            call.limit.reschedule(asyncio.get_running_loop().time() + _GRACE_SECONDS)
