"""Pauses of a run: the calls that wait, the caller's answers, and the port that lets each state go on once."""

from datetime import datetime
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from reasoning_grpc.domain.conversation import ToolCall, ToolResult

_ENVELOPE_BYTES: Final = 4096
"""More than all else in a sealed state has: names, digests, times and what the encryption adds."""


class WaitingCall(Struct, frozen=True):
    """A tool call whose result only the caller can give."""

    call: ToolCall
    needs_approval: bool
    """Whether it is a call of a server's tool that waits for approval, not one of the caller's own tools."""
    signature: str = ""
    """The provider's signature of the call."""


class Approval(Struct, frozen=True):
    """The caller's answer to a call of a server's tool."""

    approved: bool
    reason: str = ""


class PausedRun(Struct, frozen=True):
    """A run that waits for the results of tool calls, as its caller receives it: no model does."""

    state_id: str
    """Names the state in logs and traces. Callers do not receive it, and nobody can go on with it."""
    state: bytes
    """The sealed state of the run, which only the server can read."""
    approval_call_ids: tuple[str, ...]
    """The calls of the server's own tools, which wait for approval."""
    expire_time: datetime
    """When the state expires."""


CallerAnswer = ToolResult | Approval
"""The caller's answer to a waiting call: the result of its own tool, or its approval of a server's."""


class Suspension(Struct, frozen=True):
    """The end of a run that waits for its caller."""

    calls: tuple[WaitingCall, ...]
    run: bytes
    """The state of the run, as its path has written it."""

    def measure(self) -> int:
        """Returns the most bytes that its sealed state has."""
        return len(self.run) + len(msgspec.msgpack.encode(self.calls)) + _ENVELOPE_BYTES


class UsedStates(Protocol):
    """Knows which states of paused runs have gone on, so that each goes on once.

    An implementation that replicas share waits for its store in `use` alone.
    """

    async def use(self, state_id: str, seconds: float) -> bool:
        """Records that the state goes on, and returns whether it did not before. It expires after these seconds."""
        ...

    def release(self, state_id: str) -> None:
        """Forgets that the state went on: the call failed before it did anything."""
        ...
