"""A client that reads the first delta of a stream, says so, and reads nothing more: `python -m ... ADDRESS`."""

import sys
import time

import grpc

from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.factories import a_stream_request

if __name__ == "__main__":
    with grpc.insecure_channel(sys.argv[1]) as channel:
        events = ReasoningServiceStub(channel).StreamComplete(a_stream_request())  # kept: it cancels when it is dropped
        for event in events:
            if event.WhichOneof("kind") == "content_delta":
                break
        sys.stdout.write("reads no more\n")
        sys.stdout.flush()
        while True:
            time.sleep(60)
