"""Converts answers and route decisions to responses, and the progress of a failed call to a status detail.

A function that writes into a message takes the message first. A message inside another one is written in place, because
it takes longer to build it apart and to copy it.
"""

from reasoning_grpc.domain import RouteDecision
from reasoning_grpc.domain.errors import Progress
from reasoning_grpc.domain.fold import Completion
from reasoning_grpc.rpc.convert.agent import write_reasoning_finished, write_step
from reasoning_grpc.rpc.convert.answers import write_end, write_start
from reasoning_grpc.rpc.convert.conversation import write_message, write_paused_run
from reasoning_grpc.rpc.convert.orchestration import write_plan_created, write_task
from reasoning_grpc.rpc.convert.routing import write_route_decision
from reasoning_grpc.rpc.convert.settings import write_effective_setting
from reasoning_grpc.rpc.convert.usage import write_cost, write_usage
from reasoning_grpc.v1 import classification_pb2, completion_pb2, interruption_pb2


def complete_response(completion: Completion) -> completion_pb2.CompleteResponse:
    """Returns the complete answer."""
    response = completion_pb2.CompleteResponse()
    write_start(response, completion.started)
    write_message(response.message, completion.message)
    if completion.paused_run is not None:
        write_paused_run(response.message.content.add().paused_run, completion.paused_run)
    for step in completion.steps:
        write_step(response.steps.add(), step)
    if completion.reasoning_finished is not None:
        write_reasoning_finished(response.reasoning_finished, completion.reasoning_finished)
    for plan in completion.plans:
        write_plan_created(response.plans.add(), plan)
    for task in completion.tasks:
        write_task(response.tasks.add(), task)
    for setting in completion.effective_settings:
        write_effective_setting(response.effective_settings.add(), setting)
    write_end(response, completion.completed)
    return response


def classify_response(decision: RouteDecision) -> classification_pb2.ClassifyResponse:
    """Returns how a request would be routed."""
    response = classification_pb2.ClassifyResponse()
    write_route_decision(response.route_decision, decision)
    return response


def interruption(progress: Progress) -> interruption_pb2.Interruption:
    """Returns how far a failed call had come."""
    detail = interruption_pb2.Interruption(
        response_id=progress.response_id,
        model_call_count=progress.model_call_count,
        attempt_count=progress.attempt_count,
        last_sequence=progress.last_sequence,
        content_characters=progress.content_characters,
    )
    write_usage(detail.usage, progress.usage)
    if progress.cost is not None:
        write_cost(detail.cost, progress.cost)
    return detail
