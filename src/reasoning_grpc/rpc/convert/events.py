"""Converts the events of a stream. Each kind of event is written into its field of the response, which becomes set."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from reasoning_grpc.domain import events
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.agent import write_reasoning_finished, write_tool_execution
from reasoning_grpc.rpc.convert.answers import write_end, write_start
from reasoning_grpc.rpc.convert.conversation import write_paused_run
from reasoning_grpc.rpc.convert.orchestration import (
    write_plan_created,
    write_route_changed,
    write_task_finished,
    write_task_started,
)
from reasoning_grpc.rpc.convert.scalars import LARGEST_INT32, token_count, write_duration
from reasoning_grpc.rpc.convert.settings import write_effective_setting
from reasoning_grpc.rpc.convert.usage import write_usage
from reasoning_grpc.v1 import events_pb2, messages_pb2


def stream_response(stamped: events.StreamEvent) -> events_pb2.StreamCompleteResponse:
    """Returns one event of a stream."""
    response = events_pb2.StreamCompleteResponse()
    response.sequence = stamped.sequence
    response.step = stamped.step
    response.call = stamped.call
    if stamped.task:
        response.task = stamped.task
    response.elapsed_ms = min(int(stamped.elapsed_seconds * 1000), LARGEST_INT32)  # which is 24 days
    event = stamped.event
    name, write = _EVENTS[type(event)]
    write(getattr(response, name), event)
    return response


def _write_started(message: events_pb2.Started, event: events.Started) -> None:
    write_start(message, event)
    message.model = event.model
    for setting in event.effective_settings:
        write_effective_setting(message.effective_settings.add(), setting)


def _write_model_call_started(message: events_pb2.ModelCallStarted, event: events.ModelCallStarted) -> None:
    message.purpose = enums.MODEL_CALL_PURPOSE.to_proto[event.purpose]
    message.model = event.model
    message.attempt = event.attempt


def _write_model_call_finished(message: events_pb2.ModelCallFinished, event: events.ModelCallFinished) -> None:
    message.purpose = enums.MODEL_CALL_PURPOSE.to_proto[event.purpose]
    message.model = event.model
    message.attempt = event.attempt
    message.finish_reason = enums.FINISH_REASON.to_proto[event.finish_reason]
    message.provider_finish_reason = event.provider_finish_reason
    write_usage(message.usage, event.usage)
    message.omitted_messages = event.omitted_messages
    message.omitted_tokens = token_count(event.omitted_tokens)


def _write_model_call_failed(message: events_pb2.ModelCallFailed, event: events.ModelCallFailed) -> None:
    message.purpose = enums.MODEL_CALL_PURPOSE.to_proto[event.purpose]
    message.model = event.model
    message.attempt = event.attempt
    message.failure = enums.error_reason(event.failure)
    message.http_status = event.http_status


def _write_reasoning_delta(message: events_pb2.ReasoningDelta, event: events.ReasoningDelta) -> None:
    if event.redacted:
        message.redacted = event.redacted
    else:
        message.text = event.text
    message.signature = event.signature


def _write_content_delta(message: events_pb2.ContentDelta, event: events.ContentDelta) -> None:
    message.text = event.text
    for logprob in event.logprobs:
        _write_token_logprob(message.logprobs.add(), logprob)
    if event.refusal:
        message.refusal = True
    if event.signature:
        message.signature = event.signature


def _write_token_logprob(message: events_pb2.TokenLogprob, logprob: events.TokenLogprob) -> None:
    message.token = logprob.token
    message.logprob = logprob.logprob
    message.raw_bytes = logprob.raw_bytes
    for other in logprob.alternatives:
        message.alternatives.add(token=other.token, logprob=other.logprob, raw_bytes=other.raw_bytes)


def _write_tool_call_delta(message: events_pb2.ToolCallDelta, event: events.ToolCallDelta) -> None:
    message.call_id = event.call_id
    message.index = event.index
    message.name = event.name
    message.arguments = event.arguments
    message.signature = event.signature


def _write_attempt_switched(message: events_pb2.AttemptSwitched, event: events.AttemptSwitched) -> None:
    message.from_model = event.from_model
    message.to_model = event.to_model
    message.next_attempt = event.next_attempt
    message.failure = enums.error_reason(event.failure)
    message.http_status = event.http_status
    write_duration(message.delay, event.delay_seconds)
    for setting in event.effective_settings:
        write_effective_setting(message.effective_settings.add(), setting)


def _write_step_started(message: events_pb2.StepStarted, event: events.StepStarted) -> None:
    message.max_steps = event.max_steps


def _write_step_planned(message: events_pb2.StepPlanned, event: events.StepPlanned) -> None:
    message.thought = event.thought
    message.next_action = enums.NEXT_ACTION.to_proto[event.next_action]
    for call in event.tool_calls:
        message.tool_calls.add(call_id=call.id, name=call.name)
    message.concurrent = event.concurrent
    if event.usage is not None:
        write_usage(message.usage, event.usage)


def _write_tool_started(message: events_pb2.ToolStarted, event: events.ToolStarted) -> None:
    message.call_id = event.call.id
    message.name = event.call.name
    message.arguments = event.call.arguments


def _write_tool_finished(message: events_pb2.ToolFinished, event: events.ToolFinished) -> None:
    write_tool_execution(message.execution, event.execution)


def _write_step_finished(message: events_pb2.StepFinished, event: events.StepFinished) -> None:
    message.outcome = enums.STEP_OUTCOME.to_proto[event.outcome]
    if event.usage is not None:
        write_usage(message.usage, event.usage)


def _write_run_paused(message: messages_pb2.PausedRun, event: events.RunPaused) -> None:
    write_paused_run(message, event.paused_run)


def _write_heartbeat(message: events_pb2.Heartbeat, _event: events.Heartbeat) -> None:
    message.SetInParent()  # it has no field by which it would become set


_EVENTS: Final[Mapping[type, tuple[str, Callable[[Any, Any], None]]]] = {
    events.Started: ("started", _write_started),
    events.ModelCallStarted: ("model_call_started", _write_model_call_started),
    events.ModelCallFinished: ("model_call_finished", _write_model_call_finished),
    events.ModelCallFailed: ("model_call_failed", _write_model_call_failed),
    events.ReasoningDelta: ("reasoning_delta", _write_reasoning_delta),
    events.ContentDelta: ("content_delta", _write_content_delta),
    events.ToolCallDelta: ("tool_call_delta", _write_tool_call_delta),
    events.StepStarted: ("step_started", _write_step_started),
    events.StepPlanned: ("step_planned", _write_step_planned),
    events.ToolStarted: ("tool_started", _write_tool_started),
    events.ToolFinished: ("tool_finished", _write_tool_finished),
    events.StepFinished: ("step_finished", _write_step_finished),
    events.ReasoningFinished: ("reasoning_finished", write_reasoning_finished),
    events.RunPaused: ("run_paused", _write_run_paused),
    events.AttemptSwitched: ("attempt_switched", _write_attempt_switched),
    events.Heartbeat: ("heartbeat", _write_heartbeat),
    events.Completed: ("completed", write_end),
    events.PlanCreated: ("plan_created", write_plan_created),
    events.TaskStarted: ("task_started", write_task_started),
    events.TaskFinished: ("task_finished", write_task_finished),
    events.RouteChanged: ("route_changed", write_route_changed),
}
"""For each event class, its field in the oneof and the function that writes it."""
