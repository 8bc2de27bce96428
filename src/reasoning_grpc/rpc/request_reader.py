"""`RequestReader`: reads the request of a call, and gives up on a client that takes too long to send it."""

import asyncio
from typing import Any

import grpc

from reasoning_grpc.domain import read_clock
from reasoning_grpc.domain.errors import FieldViolation, RequestTooLarge
from reasoning_grpc.llm import WaitTimers
from reasoning_grpc.rpc.admission import Admission
from reasoning_grpc.rpc.stream_writer import ClientGone

Context = grpc.aio.ServicerContext[Any, Any]


class RequestReader:
    """Reads requests, each within a limit of time.

    While a request is read, gRPC takes as much of it as the client sends, before its end is known to come. So each
    call whose request is being received is counted by the admission, which refuses calls beyond its bound.
    """

    def __init__(self, admission: Admission, request_timeout_seconds: float) -> None:
        self._admission = admission
        self._seconds = request_timeout_seconds
        self._timers = WaitTimers()

    async def read(self, context: Context) -> bytes:
        """Returns the only request of the call, not decoded.

        Raises ClientGone when the client has sent none, and RequestTooLarge when it has not sent all of it in time.
        """
        self._admission.begin_receiving()
        timer = self._timers.take()
        timer.start(read_clock() + self._seconds)
        try:
            payload = await context.read()
        except asyncio.CancelledError as exc:
            if not timer.has_expired():
                raise
            raise self._build_refusal() from exc
        finally:
            timer.stop()
            self._timers.give_back(timer)
            self._admission.end_receiving()
        if payload is grpc.aio.EOF:
            raise ClientGone
        request: bytes = payload
        return request

    def _build_refusal(self) -> RequestTooLarge:
        description = f"It had not arrived whole after {self._seconds:g} seconds, the longest time for that."
        return RequestTooLarge(violations=(FieldViolation("request", description),))
