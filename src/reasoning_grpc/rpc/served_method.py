"""`ServedMethod`: serves the calls of one RPC method: checks, parsing, statuses and the record of each call."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError, Message
from msgspec.structs import replace

from reasoning_grpc.domain import CallContext, read_clock
from reasoning_grpc.domain.errors import (
    FieldViolation,
    MalformedRequest,
    ReasoningError,
    RequestTooLarge,
    UpstreamError,
    find_shortage,
)
from reasoning_grpc.rpc.call_quota import CallQuota
from reasoning_grpc.rpc.convert.requests import REQUEST_ID
from reasoning_grpc.rpc.entrance import REQUEST_ID_METADATA, Context, Entrance, create_context
from reasoning_grpc.rpc.large_answers import LargeAnswers
from reasoning_grpc.rpc.status import CallStatus, call_status, internal_status
from reasoning_grpc.rpc.stream_writer import ClientGone, ClientStalled
from reasoning_grpc.v1.completion_pb2 import CompleteRequest

_LEAST_SECONDS: Final = 0.001
"""The shortest timeout that gRPC's own clients send, also for a call whose deadline is over."""
_TOO_LATE: Final = "The deadline was over before the call could begin."
_STALLED: Final = "The client did not read the answer."
_STALLED_REASON: Final = "CLIENT_STALLED"
"""What the log says of a stream that was given up. It is no reason of an error: the client reads nothing."""

_current_call: ContextVar[CallContext] = ContextVar("current_call")


def call_context(_context: Context) -> CallContext:
    """Returns the context of the current call, as `ServedMethod` created it."""
    return _current_call.get()


class _TooLate(Exception):
    """The deadline was over before the call could begin."""


@dataclass(frozen=True, slots=True)
class Way:
    """The way of a call of one method: through the entrance, to its parsed request, to its answer."""

    entrance: Entrance
    parse: Callable[[bytes], Message]
    answer: Callable[[Message, Context], Awaitable[bytes | None]]
    """Returns the encoded answer, or None when it has written all responses itself."""
    large_answers: LargeAnswers


class ServedMethod:
    """Serves the calls of one RPC method: checks them, parses the request, and reports how each call ends."""

    def __init__(self, name: str, way: Way) -> None:
        self.name = name
        self.way = way
        """The way of the calls that begin now. Each call looks at it once, so another one may take its place."""

    async def serve(self, _requests: object, context: Context) -> Any:
        """Returns the encoded response, if the method has one.

        grpc looks at each call whether this is a coroutine function. It finds that out for a method of an object in a
        tenth of the time that it takes for a `partial`.
        """
        method, way = self.name, self.way
        entrance = way.entrance
        record_end = entrance.log.record_end
        metadata = tuple(context.invocation_metadata() or ())
        call = create_context(context, metadata)
        caller = call.caller
        quota: CallQuota | None = None
        try:
            entrance.tracker.begin(call)
            admitted = None
            is_large = False
            try:
                caller = entrance.callers.authenticate(metadata, context)
                entrance.admission.refuse_if_full(caller.name, caller.priority)
                if caller.limits is not None:
                    quota = CallQuota(entrance.quotas, caller.name, caller.limits)
                    await quota.begin()
                payload = await entrance.requests.read(context)
                queue_seconds = 0.0
                if not entrance.admission.try_admit(caller.name):
                    queue_seconds = await entrance.admission.wait(caller.name, caller.priority)
                admitted = caller.name
                if not entrance.openings.take_turn():
                    queue_seconds += await entrance.openings.wait_for_turn()
                _check_time(call)
                call = replace(call, caller=caller, queue_seconds=queue_seconds)
                request = _parse_request(payload, way)
                if request_id := _find_request_id(request):
                    call = replace(call, request_id=request_id)
                _current_call.set(call)
                response = await way.answer(request, context)
                is_large = way.large_answers.is_large(response)
            finally:
                if quota is not None:
                    quota.end()
                if is_large:
                    way.large_answers.watch(method, call, partial(_release, entrance, caller.name))
                else:
                    if admitted is not None:
                        entrance.admission.end(admitted)
                    entrance.tracker.end()
                if call.caller is not caller:  # a call that is refused has a caller, too
                    call = replace(call, caller=caller)
            trailers = () if quota is None else quota.list_trailers()
            context.set_trailing_metadata(((REQUEST_ID_METADATA, call.request_id), *trailers))
            record_end(method, call, "OK", logging.INFO)
            return response
        except _TooLate:
            record_end(method, call, "DEADLINE_EXCEEDED", logging.INFO)
            status = CallStatus(grpc.StatusCode.DEADLINE_EXCEEDED, message=_TOO_LATE)
        except ReasoningError as error:
            status = call_status(error, call.request_id, passes_upstream_messages=entrance.passes_upstream_messages)
            level = logging.WARNING if isinstance(error, UpstreamError) else logging.INFO
            record_end(method, call, status.code.name, level, status.reason)
        except asyncio.CancelledError:
            if (cut := entrance.tracker.take_back_cut(call.report)) is not None:
                status = call_status(cut, call.request_id)
                record_end(method, call, status.code.name, logging.INFO, status.reason)
            elif _is_own_cancellation():
                record_end(method, call, call.infer_end_status(), logging.INFO)
                raise
            else:  # if it were passed on, the client would wait until its deadline
                status = internal_status(call.request_id, call.report.read_progress())
                record_end(method, call, "INTERNAL", logging.ERROR, status.reason, exc_info=True)
        except (ClientGone, grpc.aio.InternalError):  # the latter, when the initial metadata could not be sent
            record_end(method, call, call.infer_end_status(), logging.INFO)
            status = CallStatus(grpc.StatusCode.CANCELLED)
        except ClientStalled:  # the status waits behind what the client has not read, and nothing else is held for it
            record_end(method, call, grpc.StatusCode.CANCELLED.name, logging.WARNING, _STALLED_REASON)
            status = CallStatus(grpc.StatusCode.CANCELLED, message=_STALLED)
        except grpc.aio.AbortError:
            raise
        except Exception as exc:
            if (shortage := find_shortage(exc)) is not None:
                shortage.progress = call.report.read_progress()
                status = call_status(shortage, call.request_id)
                record_end(method, call, status.code.name, logging.WARNING, status.reason, exc_info=True)
            else:
                status = internal_status(call.request_id, call.report.read_progress())
                record_end(method, call, "INTERNAL", logging.ERROR, status.reason, exc_info=True)
        abortion = _abort(context, status, () if quota is None else quota.list_trailers())
        del context, _requests  # both hold the error that ends this frame, whose traceback holds the frame
        return await abortion


def _release(entrance: Entrance, admitted: str, task: asyncio.Task[Any]) -> None:
    """Ends a call whose task has ended, and with it the writing of its answer."""
    entrance.admission.end(admitted)
    entrance.tracker.end(task)


def _parse_request(payload: bytes, way: Way) -> Message:
    limit = way.entrance.max_request_bytes
    if len(payload) > limit:
        violation = FieldViolation("request", f"It has {len(payload)} bytes; at most {limit} are accepted.")
        raise RequestTooLarge(violations=(violation,))
    try:
        return way.parse(payload)
    except DecodeError as exc:
        raise MalformedRequest from exc


async def _abort(context: Context, status: CallStatus, trailers: Sequence[tuple[str, str]] = ()) -> None:
    """Ends the call with this status, and these trailers beside its own.

    A client that has left in this moment gets none, which is nobody's error. grpc would log it as one, with a
    traceback. A cancellation is how it ends the calls of clients that left earlier.
    """
    try:
        await context.abort(status.code, status.message, (*status.trailing_metadata, *trailers))
    except grpc.aio.InternalError as exc:
        raise asyncio.CancelledError from exc
    finally:
        del context  # see `ServedMethod.serve`


def _check_time(call: CallContext) -> None:
    """Raises _TooLate when the deadline is over: gRPC's own cancellation may come too late."""
    if call.deadline is not None and call.deadline - read_clock() <= _LEAST_SECONDS:
        raise _TooLate


def _find_request_id(request: Any) -> str:
    """Returns the request id of the message if it has a valid one, or else an empty string."""
    completion = request if isinstance(request, CompleteRequest) else getattr(request, "request", None)
    if completion is None or not completion.request_id:
        return ""
    request_id: str = completion.request_id
    return request_id if REQUEST_ID.fullmatch(request_id) else ""


def _is_own_cancellation() -> bool:
    """Returns whether this call itself is cancelled, and not only something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
