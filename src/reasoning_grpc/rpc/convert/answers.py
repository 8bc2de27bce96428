"""Writes what a whole answer and the events of its stream both say: how it began, and how it ended."""

from reasoning_grpc.domain.events import Completed, Started
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.routing import write_route_decision
from reasoning_grpc.rpc.convert.usage import (
    write_attempt,
    write_cost,
    write_model_call_usage,
    write_timings,
    write_usage,
)
from reasoning_grpc.v1 import completion_pb2, events_pb2


def write_start(message: completion_pb2.CompleteResponse | events_pb2.Started, started: Started) -> None:
    """Writes the ids of the answer, and how the request was routed."""
    message.response_id = started.response_id
    message.trace_id = started.trace_id
    write_route_decision(message.route_decision, started.route_decision)


def write_end(message: completion_pb2.CompleteResponse | events_pb2.Completed, completed: Completed) -> None:
    """Writes why the answer ended, and what it used."""
    message.finish_reason = enums.FINISH_REASON.to_proto[completed.finish_reason]
    message.provider_finish_reason = completed.provider_finish_reason
    message.model = completed.model
    write_usage(message.usage, completed.usage)
    for entry in completed.model_calls:
        write_model_call_usage(message.model_calls.add(), entry)
    if completed.cost is not None:
        write_cost(message.cost, completed.cost)
    write_timings(message.timings, completed.timings)
    for made in completed.attempts:
        write_attempt(message.attempts.add(), made)
