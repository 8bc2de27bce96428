"""Bytes of a request, through the interceptor, the checks and an engine, without a network.

An input is one byte that says which method is called and how, and the payload. In `read_request` the model answers at
once; in `send_request` the real adapter writes the request of one of several APIs, to an address that nobody serves.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

import grpc

from reasoning_grpc.domain import Capability
from reasoning_grpc.rpc import Caps
from reasoning_grpc.server.wiring import build_parts
from reasoning_grpc.telemetry import Telemetry
from tests.fuzz.in_process import METHODS, CallEnd, InProcessService, Metadata
from tests.fuzz.instant_model import build_instant_engine
from tests.fuzz.loop import run
from tests.support.serving import config_for, entry_at

WITH_METADATA: Final = 0b100
"""The option that the payload's first line is the value of metadata that the server reads."""
APIS: Final = ("openai", "responses", "anthropic", "gemini")
"""The APIs of `send_request`, and the names of its models."""
_READ_METADATA: Final = ("x-request-id", "traceparent", "authorization")
_MAX_REQUEST_BYTES: Final = 3 * 1024
_MAX_STATUS_BYTES: Final = 4096
_CAPS: Final = Caps(
    messages=32, parts=64, tools=8, stop_sequences=4, labels=4, json_bytes=1024, json_depth=16, media_bytes=256
)
"""Limits that short inputs reach."""


def read_request(data: bytes) -> None:
    """Makes a call that is answered at once, if it is valid."""
    _call(data, _build_instant_service())


def send_request(data: bytes) -> None:
    """Makes a call whose upstream cannot be reached; the model is one of `APIS`."""
    _call(data, _build_sending_service())


@cache
def _build_instant_service() -> InProcessService:
    return InProcessService(build_instant_engine(), caps=_CAPS, max_request_bytes=_MAX_REQUEST_BYTES)


@cache
def _build_sending_service() -> InProcessService:
    able = frozenset(Capability)
    entries = [entry_at("http://127.0.0.1:9/v1", api, api, capabilities=able) for api in APIS]
    parts = build_parts(config_for(*entries, max_retries=0), Telemetry())
    run(parts.model.warm_up())
    return InProcessService(parts.engine, caps=_CAPS, max_request_bytes=_MAX_REQUEST_BYTES)


def _call(data: bytes, service: InProcessService) -> None:
    if not data:
        return
    options, payload, metadata = data[0], data[1:], Metadata()
    if options & WITH_METADATA:
        line, _, payload = payload.partition(b"\n")
        value = "".join(chr(byte) for byte in line if 32 <= byte < 127)
        metadata = tuple((key, value) for key in _READ_METADATA)
    method = METHODS[options % len(METHODS)]

    with _raise_logged_faults():
        end = run(service.call(method, payload, metadata))

    _check_end(end, method)
    assert not service.calls_in_flight


class _Faults(logging.Handler):
    """Keeps the exceptions that are logged as errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.logged: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        if record.exc_info and record.exc_info[1] is not None:
            self.logged.append(record.exc_info[1])


@contextmanager
def _raise_logged_faults() -> Iterator[None]:
    """Raises what the block logs as a fault of ours, so that its traceback is shown."""
    logger, faults = logging.getLogger("reasoning_grpc"), _Faults()
    logger.addHandler(faults)
    try:
        yield
    finally:
        logger.removeHandler(faults)
    if faults.logged:
        raise AssertionError("a call ended as INTERNAL") from faults.logged[0]


def _check_end(end: CallEnd, method: str) -> None:
    """Checks that the call ended in one of the ways that the API promises."""
    assert end.code is not grpc.StatusCode.UNKNOWN
    if end.code is grpc.StatusCode.OK:
        assert end.responses
        return
    assert end.reason, end
    assert end.reason != "INTERNAL", end
    assert end.message
    assert sum(len(key) + len(value) for key, value in end.trailers) + len(end.message) < _MAX_STATUS_BYTES, end
    assert method == "StreamComplete" or not end.responses
