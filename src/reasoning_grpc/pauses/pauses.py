"""`Pauses`: seals the states of runs that wait for their callers, and opens those that requests bring back."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from reasoning_grpc.domain import (
    CallerAnswer,
    CompletionRequest,
    Continuation,
    PausedRun,
    RouteDecision,
    RoutingMode,
    RoutingOptions,
    Suspension,
    UsedStates,
    WaitingCall,
    create_id,
)
from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest
from reasoning_grpc.pauses.answers import read_answers
from reasoning_grpc.pauses.binding import Binding, bind
from reasoning_grpc.pauses.keys import NotOurs, SealingKeys

_NOT_GIVEN: Final = "This server did not give this state to this caller, or can no longer read it."
_EXPIRED: Final = "It has expired; send the conversation again without it."
_USED: Final = "It has gone on already; send the conversation again without it."
_OTHER_MESSAGES: Final = "The messages before the paused run must be those of the request that it answered."
_OTHER_TOOLS: Final = "The tools, their choice and whether they run in parallel must be those of the paused run."
_OTHER_AGENT: Final = "The options of the agent must be those of the paused run."
_OTHER_MODEL: Final = "The paused run goes on only with the model that it began with."
_OTHER_ROUTE: Final = "The paused run goes on only by the route that it began with."

_logger = logging.getLogger("reasoning_grpc.pauses")


class _SealedState(Struct, frozen=True, array_like=True):
    """The content of a sealed state."""

    id: str
    expires: float
    """When the state expires, in seconds since 1970."""
    caller: str
    route: str
    mode: RoutingMode
    model: str
    binding: Binding
    first_messages: int
    """The number of messages in the request with which the run began."""
    calls: tuple[WaitingCall, ...]
    run: bytes


class OpenedPause(Struct, frozen=True):
    """The state of a paused run that a request continues, opened and checked."""

    state_id: str
    remaining_seconds: float
    route: str
    mode: RoutingMode
    model: str
    first_messages: int
    """The number of messages in the request with which the run began."""
    run: bytes
    """The state of the run, as its path has written it."""
    answers: Mapping[str, CallerAnswer]
    """The caller's answer to each call for which the run waits, by its id."""
    path: str
    """The field of the request that holds the state."""

    def choose_route(self, request: CompletionRequest) -> CompletionRequest:
        """Returns the request with the route and the model of the run. Raises InvalidRequest where it names others."""
        routing = request.routing
        if routing.route not in {"", self.route} or routing.mode not in {None, RoutingMode.AUTO, self.mode}:
            raise InvalidRequest(violations=(FieldViolation("routing", _OTHER_ROUTE),))
        if request.model not in {"", self.model}:
            raise InvalidRequest(violations=(FieldViolation("model", _OTHER_MODEL),))
        return replace(
            request, model=self.model, routing=RoutingOptions(route=self.route, preference=routing.preference)
        )

    def check_decision(self, decision: RouteDecision) -> None:
        """Checks what the router decided, since a rule may override the request. Raises InvalidRequest."""
        if decision.mode is not self.mode:
            raise InvalidRequest(violations=(FieldViolation("routing", _OTHER_ROUTE),))
        if decision.model != self.model:
            raise InvalidRequest(violations=(FieldViolation("model", _OTHER_MODEL),))


class Pauses:
    """Seals and opens the states of paused runs."""

    def __init__(
        self,
        keys: SealingKeys,
        used_states: UsedStates,
        *,
        lifetime_seconds: float,
        has_own_key: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`has_own_key` says that the server made the key when it started, so that no other server can go on.

        `clock` returns seconds since 1970, because several machines compare them.
        """
        self._keys: Final = keys
        self._used_states: Final = used_states
        self._lifetime_seconds: Final = lifetime_seconds
        self._warns = has_own_key
        self._clock: Final = clock

    def seal(
        self,
        suspension: Suspension,
        request: CompletionRequest,
        decision: RouteDecision,
        caller: str,
        opened: OpenedPause | None,
    ) -> PausedRun:
        """Seals the state of a run that waits. `opened` is the pause that the request continued, if it did."""
        if self._warns:
            self._warns = False
            _logger.warning(
                "a run pauses with a key of this server; no other one can go on with it, nor a restarted one"
            )
        expires, state_id = self._clock() + self._lifetime_seconds, create_id("")
        state = _SealedState(
            id=state_id,
            expires=expires,
            caller=caller,
            route=decision.route,
            mode=decision.mode,
            model=decision.model,
            binding=bind(request, request.messages),
            first_messages=len(request.messages) if opened is None else opened.first_messages,
            calls=suspension.calls,
            run=suspension.run,
        )
        return PausedRun(
            state_id,
            self._keys.seal(msgspec.msgpack.encode(state)),
            tuple(each.call.id for each in suspension.calls if each.needs_approval),
            datetime.fromtimestamp(expires, UTC),
        )

    def open(self, request: CompletionRequest, continuation: Continuation, caller: str) -> OpenedPause:
        """Opens the state that a request brings back, and reads the caller's answers.

        Raises InvalidRequest for a state that is not the caller's, altered or expired, and for a request that is not
        that of the paused run with the answers behind it.
        """
        path = f"messages[{continuation.message}].content[{continuation.part}].paused_run.state"
        state = self._read_state(continuation.state)
        if state is None or state.caller != caller:  # one sentence for both, so that it says nothing of other callers
            raise InvalidRequest(violations=(FieldViolation(path, _NOT_GIVEN),))
        remaining_seconds = state.expires - self._clock()
        if remaining_seconds <= 0:
            raise InvalidRequest(violations=(FieldViolation(path, _EXPIRED),))
        _check_binding(state.binding, bind(request, request.messages[: continuation.message]))
        return OpenedPause(
            state_id=state.id,
            remaining_seconds=remaining_seconds,
            route=state.route,
            mode=state.mode,
            model=state.model,
            first_messages=state.first_messages,
            run=state.run,
            answers=read_answers(request.messages, continuation.message, state.calls),
            path=path,
        )

    async def use(self, opened: OpenedPause) -> None:
        """Lets the state go on, once. Raises InvalidRequest when it has gone on before."""
        if not await self._used_states.use(opened.state_id, opened.remaining_seconds):
            raise InvalidRequest(violations=(FieldViolation(opened.path, _USED),))

    def release(self, opened: OpenedPause) -> None:
        """Lets the state go on again: the request failed before it did anything."""
        self._used_states.release(opened.state_id)

    def _read_state(self, sealed: bytes) -> _SealedState | None:
        try:
            return msgspec.msgpack.decode(self._keys.open(sealed), type=_SealedState)
        except (NotOurs, msgspec.DecodeError):
            return None


def _check_binding(of_run: Binding, of_request: Binding) -> None:
    pairs = (
        ("messages", _OTHER_MESSAGES, of_run.messages, of_request.messages),
        ("tools", _OTHER_TOOLS, of_run.tools, of_request.tools),
        ("agent", _OTHER_AGENT, of_run.agent, of_request.agent),
    )
    violations = tuple(FieldViolation(field, sentence) for field, sentence, ours, theirs in pairs if ours != theirs)
    if violations:
        raise InvalidRequest(violations=violations)
