"""`RunState`: all that a run of the agent needs to go on in another request, maybe in another process."""

from typing import Final

import msgspec
from msgspec import Struct

from reasoning_grpc.agent.budget import BudgetState
from reasoning_grpc.agent.planning import ModelPlan
from reasoning_grpc.agent.transcript import TranscriptState
from reasoning_grpc.domain import Cost, ReasoningEnd, ToolCall, ToolExecution, Usage
from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest

_CANNOT_GO_ON: Final = "The version or the configuration of the server has changed, so that the run cannot go on."


class Spent(Struct, frozen=True, array_like=True):
    """The tokens and the cost of the requests that served a run so far."""

    usage: Usage | None = None
    """None when no tokens were counted."""
    cost: Cost | None = None
    """None when there was no model call, or when a price is not known."""


class PausedStep(Struct, frozen=True, array_like=True):
    """The step in which a run paused."""

    number: int
    planned: ModelPlan
    calls: tuple[ToolCall, ...]
    """The tool calls within budget, in the order of the plan."""
    executions: tuple[ToolExecution, ...]
    """The calls that have ended."""
    end: ReasoningEnd | None
    """Why it is the last step; None while it is not."""


class RunState(Struct, frozen=True, array_like=True):
    """The state of a run that waits for its caller."""

    is_native: bool
    """Whether its steps are written as the provider's own tool calls."""
    transcript: TranscriptState
    call_ids: tuple[str, ...]
    """The ids of all calls so far."""
    budget: BudgetState
    spent: Spent
    elapsed_seconds: float
    """How long it has been thinking."""
    step: PausedStep


_DECODER: Final = msgspec.msgpack.Decoder(RunState)


def encode_run_state(state: RunState) -> bytes:
    """Returns the state as bytes."""
    return msgspec.msgpack.encode(state)


def decode_run_state(encoded: bytes) -> RunState | None:
    """Returns the state of these bytes; None when a version of the server wrote it that had another form of it."""
    try:
        return _DECODER.decode(encoded)
    except msgspec.DecodeError:
        return None


def refuse_state(path: str) -> InvalidRequest:
    """Returns the error for a state that the server has sealed, and with which it can no longer go on."""
    return InvalidRequest(violations=(FieldViolation(path, _CANNOT_GO_ON),))
