"""Converts answers and route decisions to responses, and the progress of a failed call to a status detail."""

from reasoning_grpc.domain import RouteDecision
from reasoning_grpc.domain.errors import Progress
from reasoning_grpc.domain.fold import Completion
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.agent import reasoning_finished, step_proto
from reasoning_grpc.rpc.convert.conversation import message_proto
from reasoning_grpc.rpc.convert.routing import route_decision
from reasoning_grpc.rpc.convert.settings import effective_setting
from reasoning_grpc.rpc.convert.usage import attempt, model_call_usage, optional_cost, timings, usage
from reasoning_grpc.v1 import classification_pb2, completion_pb2, interruption_pb2


def complete_response(completion: Completion) -> completion_pb2.CompleteResponse:
    """Returns the complete answer."""
    started, completed, finished = completion.started, completion.completed, completion.reasoning_finished
    return completion_pb2.CompleteResponse(
        response_id=started.response_id,
        trace_id=started.trace_id,
        route_decision=route_decision(started.route_decision),
        model=completed.model,
        message=message_proto(completion.message),
        steps=[step_proto(step) for step in completion.steps],
        reasoning_finished=None if finished is None else reasoning_finished(finished),
        finish_reason=enums.FINISH_REASON.to_proto[completed.finish_reason],
        provider_finish_reason=completed.provider_finish_reason,
        usage=usage(completed.usage),
        model_calls=[model_call_usage(entry) for entry in completed.model_calls],
        cost=optional_cost(completed.cost),
        timings=timings(completed.timings),
        attempts=[attempt(made) for made in completed.attempts],
        effective_settings=[effective_setting(setting) for setting in completion.effective_settings],
    )


def classify_response(decision: RouteDecision) -> classification_pb2.ClassifyResponse:
    """Returns how a request would be routed."""
    return classification_pb2.ClassifyResponse(route_decision=route_decision(decision))


def interruption(progress: Progress) -> interruption_pb2.Interruption:
    """Returns how far a failed call had come."""
    return interruption_pb2.Interruption(
        response_id=progress.response_id,
        usage=usage(progress.usage),
        cost=optional_cost(progress.cost),
        model_call_count=progress.model_call_count,
        attempt_count=progress.attempt_count,
        last_sequence=progress.last_sequence,
        content_characters=progress.content_characters,
    )
