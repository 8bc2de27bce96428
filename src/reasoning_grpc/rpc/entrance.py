"""`Entrance`: the checks through which every call begins, and the refusal of calls that a full server cannot serve."""

import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc

from reasoning_grpc.domain import ANONYMOUS, CallContext, Caller, CallerQuotas, TurnQueue, create_id, read_clock
from reasoning_grpc.domain.errors import CredentialsInvalid, CredentialsMissing, ServerOverloaded
from reasoning_grpc.rpc.admission import Admission
from reasoning_grpc.rpc.authentication import Callers
from reasoning_grpc.rpc.call_log import CallLog
from reasoning_grpc.rpc.calls_in_flight import CallTracker
from reasoning_grpc.rpc.convert.requests import REQUEST_ID
from reasoning_grpc.rpc.request_reader import RequestReader
from reasoning_grpc.rpc.status import CallStatus, call_status
from reasoning_grpc.telemetry import find_trace

REQUEST_ID_METADATA: Final = "x-request-id"

Context = grpc.aio.ServicerContext[Any, Any]
Refusal = Coroutine[Any, Any, None]
"""What ends a call that is refused."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """The checks through which every call begins, and how a failure of the upstream is reported."""

    callers: Callers
    tracker: CallTracker
    admission: Admission
    quotas: CallerQuotas
    openings: TurnQueue
    requests: RequestReader
    log: CallLog
    max_request_bytes: int
    passes_upstream_messages: bool

    def refuse_at_arrival(self, method: str, context: Context) -> Refusal | None:
        """Records a call that is refused because the server is full, and returns what ends it.

        None: it may wait, or another check refuses it, which the usual way finds.
        """
        if self.tracker.is_draining:
            return None
        metadata = tuple(context.invocation_metadata() or ())
        try:
            caller = self.callers.authenticate(metadata, context)
        except (CredentialsMissing, CredentialsInvalid):
            return None
        try:
            self.admission.refuse_at_arrival(caller.name, caller.priority)
        except ServerOverloaded as error:
            call = create_context(context, metadata, caller)
            status = call_status(error, call.request_id)
            self.log.record_end(method, call, status.code.name, logging.INFO, status.reason)
            return _end(context, status)
        return None


async def _end(context: Context, status: CallStatus) -> None:
    """Ends a call that has no handler, which nothing waits for. A client that has left gets no status."""
    try:
        await context.abort(status.code, status.message, status.trailing_metadata)
    except grpc.aio.AbortError as error:
        # gRPC keeps the error with the call, and its traceback would keep the call. Such circles would be destroyed in
        # hundreds, by the garbage collector, in a turn of the loop that takes up to 70 ms.
        error.__traceback__ = None
    except grpc.aio.InternalError:
        pass  # the client has left


def create_context(
    context: Context, sent: Sequence[tuple[str, str | bytes]], caller: Caller = ANONYMOUS
) -> CallContext:
    """Creates the context of a call with the metadata that was sent, and its caller, once that is known."""
    now = read_clock()
    remaining = context.time_remaining()
    metadata = {key: value for key, value in reversed(sent) if isinstance(value, str)}  # the first of a key counts
    sent_id = metadata.get(REQUEST_ID_METADATA)
    trace, trace_id = find_trace(metadata)
    return CallContext(
        caller=caller,
        request_id=sent_id if sent_id and REQUEST_ID.fullmatch(sent_id) else create_id("req_"),
        arrival_time=now,
        deadline=None if remaining is None else now + remaining,
        metadata=metadata,
        trace=trace,
        trace_id=trace_id,
        peer=context.peer(),
    )
