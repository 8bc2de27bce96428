"""Converts the events of a stream."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from reasoning_grpc.domain import events
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.agent import reasoning_finished, tool_execution
from reasoning_grpc.rpc.convert.routing import route_decision
from reasoning_grpc.rpc.convert.scalars import duration, milliseconds, token_count
from reasoning_grpc.rpc.convert.settings import effective_setting
from reasoning_grpc.rpc.convert.usage import attempt, model_call_usage, optional_cost, optional_usage, timings, usage
from reasoning_grpc.v1 import events_pb2


def stream_response(stamped: events.StreamEvent) -> events_pb2.StreamCompleteResponse:
    """Returns one event of a stream."""
    name, convert = _EVENTS[type(stamped.event)]
    payload: dict[str, Any] = {name: convert(stamped.event)}
    return events_pb2.StreamCompleteResponse(
        sequence=stamped.sequence,
        step=stamped.step,
        call=stamped.call,
        elapsed_ms=milliseconds(stamped.elapsed_seconds),
        **payload,
    )


def _started(event: events.Started) -> events_pb2.Started:
    return events_pb2.Started(
        response_id=event.response_id,
        trace_id=event.trace_id,
        route_decision=route_decision(event.route_decision),
        model=event.model,
        effective_settings=[effective_setting(setting) for setting in event.effective_settings],
    )


def _model_call_started(event: events.ModelCallStarted) -> events_pb2.ModelCallStarted:
    return events_pb2.ModelCallStarted(
        purpose=enums.MODEL_CALL_PURPOSE.to_proto[event.purpose],
        model=event.model,
        attempt=event.attempt,
    )


def _model_call_finished(event: events.ModelCallFinished) -> events_pb2.ModelCallFinished:
    return events_pb2.ModelCallFinished(
        purpose=enums.MODEL_CALL_PURPOSE.to_proto[event.purpose],
        model=event.model,
        attempt=event.attempt,
        finish_reason=enums.FINISH_REASON.to_proto[event.finish_reason],
        provider_finish_reason=event.provider_finish_reason,
        usage=usage(event.usage),
        omitted_messages=event.omitted_messages,
        omitted_tokens=token_count(event.omitted_tokens),
    )


def _model_call_failed(event: events.ModelCallFailed) -> events_pb2.ModelCallFailed:
    return events_pb2.ModelCallFailed(
        purpose=enums.MODEL_CALL_PURPOSE.to_proto[event.purpose],
        model=event.model,
        attempt=event.attempt,
        failure=enums.error_reason(event.failure),
        http_status=event.http_status,
    )


def _reasoning_delta(event: events.ReasoningDelta) -> events_pb2.ReasoningDelta:
    if event.redacted:
        return events_pb2.ReasoningDelta(redacted=event.redacted, signature=event.signature)
    return events_pb2.ReasoningDelta(text=event.text, signature=event.signature)


def _content_delta(event: events.ContentDelta) -> events_pb2.ContentDelta:
    return events_pb2.ContentDelta(
        text=event.text,
        logprobs=[_token_logprob(logprob) for logprob in event.logprobs],
        refusal=event.refusal,
        signature=event.signature,
    )


def _token_logprob(logprob: events.TokenLogprob) -> events_pb2.TokenLogprob:
    return events_pb2.TokenLogprob(
        token=logprob.token,
        logprob=logprob.logprob,
        raw_bytes=logprob.raw_bytes,
        alternatives=[
            events_pb2.AlternativeToken(token=other.token, logprob=other.logprob, raw_bytes=other.raw_bytes)
            for other in logprob.alternatives
        ],
    )


def _tool_call_delta(event: events.ToolCallDelta) -> events_pb2.ToolCallDelta:
    return events_pb2.ToolCallDelta(
        call_id=event.call_id,
        index=event.index,
        name=event.name,
        arguments=event.arguments,
        signature=event.signature,
    )


def _attempt_switched(event: events.AttemptSwitched) -> events_pb2.AttemptSwitched:
    return events_pb2.AttemptSwitched(
        from_model=event.from_model,
        to_model=event.to_model,
        next_attempt=event.next_attempt,
        failure=enums.error_reason(event.failure),
        http_status=event.http_status,
        delay=duration(event.delay_seconds),
        effective_settings=[effective_setting(setting) for setting in event.effective_settings],
    )


def _step_started(event: events.StepStarted) -> events_pb2.StepStarted:
    return events_pb2.StepStarted(max_steps=event.max_steps)


def _step_planned(event: events.StepPlanned) -> events_pb2.StepPlanned:
    return events_pb2.StepPlanned(
        thought=event.thought,
        next_action=enums.NEXT_ACTION.to_proto[event.next_action],
        tool_calls=[events_pb2.ToolCallPlan(call_id=call.id, name=call.name) for call in event.tool_calls],
        concurrent=event.concurrent,
        usage=optional_usage(event.usage),
    )


def _tool_started(event: events.ToolStarted) -> events_pb2.ToolStarted:
    return events_pb2.ToolStarted(call_id=event.call.id, name=event.call.name, arguments=event.call.arguments)


def _tool_finished(event: events.ToolFinished) -> events_pb2.ToolFinished:
    return events_pb2.ToolFinished(execution=tool_execution(event.execution))


def _step_finished(event: events.StepFinished) -> events_pb2.StepFinished:
    return events_pb2.StepFinished(
        outcome=enums.STEP_OUTCOME.to_proto[event.outcome], usage=optional_usage(event.usage)
    )


def _heartbeat(_event: events.Heartbeat) -> events_pb2.Heartbeat:
    return events_pb2.Heartbeat()


def _completed(event: events.Completed) -> events_pb2.Completed:
    return events_pb2.Completed(
        finish_reason=enums.FINISH_REASON.to_proto[event.finish_reason],
        provider_finish_reason=event.provider_finish_reason,
        model=event.model,
        usage=usage(event.usage),
        model_calls=[model_call_usage(entry) for entry in event.model_calls],
        cost=optional_cost(event.cost),
        timings=timings(event.timings),
        attempts=[attempt(made) for made in event.attempts],
    )


_EVENTS: Final[Mapping[type, tuple[str, Callable[[Any], Any]]]] = {
    events.Started: ("started", _started),
    events.ModelCallStarted: ("model_call_started", _model_call_started),
    events.ModelCallFinished: ("model_call_finished", _model_call_finished),
    events.ModelCallFailed: ("model_call_failed", _model_call_failed),
    events.ReasoningDelta: ("reasoning_delta", _reasoning_delta),
    events.ContentDelta: ("content_delta", _content_delta),
    events.ToolCallDelta: ("tool_call_delta", _tool_call_delta),
    events.StepStarted: ("step_started", _step_started),
    events.StepPlanned: ("step_planned", _step_planned),
    events.ToolStarted: ("tool_started", _tool_started),
    events.ToolFinished: ("tool_finished", _tool_finished),
    events.StepFinished: ("step_finished", _step_finished),
    events.ReasoningFinished: ("reasoning_finished", reasoning_finished),
    events.AttemptSwitched: ("attempt_switched", _attempt_switched),
    events.Heartbeat: ("heartbeat", _heartbeat),
    events.Completed: ("completed", _completed),
}
"""For each event class, its field in the oneof and its converter."""
