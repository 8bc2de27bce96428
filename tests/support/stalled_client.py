"""A client that begins a call and stops caring for it: `python -m tests.support.stalled_client ADDRESS KIND`.

The kind is `stream`, `unary` or `agent`. A stream is read up to its first delta, and a run of the agent up to its first
step. Then the client says so and reads nothing more. A unary answer is read by gRPC itself, unless the process is
stopped: the client then says how many bytes it has. Its window is narrow, so
it holds little of what it has not read.
"""

import sys
import time
from typing import Any, Final

import grpc

from reasoning_grpc.v1 import events_pb2, routing_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.narrow_window import NARROW

_REASONING: Final = routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_REASONING)


def begin_call(stub: ReasoningServiceStub, kind: str) -> Any:
    """Begins a call of this kind, and returns it: a call that is dropped is cancelled."""
    if kind == "unary":
        unary: Any = stub.Complete
        return unary.future(a_wire_request())
    if kind == "agent":
        return read_up_to(stub.StreamComplete(a_stream_request(routing=_REASONING)), "step_started")
    return read_up_to(stub.StreamComplete(a_stream_request()), "content_delta")


def read_up_to(events: Any, kind: str) -> object:
    """Reads a stream up to the first event of this kind, and returns it."""
    event: events_pb2.StreamCompleteResponse
    for event in events:
        if event.WhichOneof("kind") == kind:
            break
    return events


if __name__ == "__main__":
    with grpc.insecure_channel(sys.argv[1], options=[*NARROW, ("grpc.max_receive_message_length", -1)]) as channel:
        call = begin_call(ReasoningServiceStub(channel), sys.argv[2])
        sys.stdout.write("reads no more\n")
        sys.stdout.flush()
        if sys.argv[2] == "unary":
            sys.stdout.write(f"{call.result().ByteSize()} bytes\n")
            sys.stdout.flush()
        while True:
            time.sleep(60)
