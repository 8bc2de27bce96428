"""Our types -> responses."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from reasoning_grpc.domain import (
    Attempt,
    Classification,
    Cost,
    EffectiveSetting,
    ModelCallUsage,
    ModelInfo,
    ModelPage,
    ModelSource,
    Prices,
    RouteDecision,
    Step,
    Timings,
    TokenPrices,
    ToolExecution,
    Usage,
    events,
)
from reasoning_grpc.domain.errors import Progress
from reasoning_grpc.domain.fold import Completion
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.conversation import message_proto
from reasoning_grpc.v1 import (
    agent_pb2,
    classification_pb2,
    completion_pb2,
    events_pb2,
    interruption_pb2,
    models_pb2,
    routing_pb2,
    usage_pb2,
)

_NANO: Final = 1_000_000_000
_MOST_TOKENS: Final = 2**31 - 1


def complete_response(completion: Completion) -> completion_pb2.CompleteResponse:
    """The whole answer."""
    started, completed, finished = completion.started, completion.completed, completion.reasoning_finished
    return completion_pb2.CompleteResponse(
        response_id=completion.response_id,
        trace_id=started.trace_id,
        route=route_decision(started.route),
        model=completed.model,
        message=message_proto(completion.message),
        steps=[_step(step) for step in completion.steps],
        reasoning_finished=None if finished is None else _reasoning_finished(finished),
        finish_reason=enums.FINISH_REASON.to_proto[completed.finish_reason],
        provider_finish_reason=completed.provider_finish_reason,
        usage=_usage(completed.usage, completed.model_calls),
        cost=None if completed.cost is None else _cost(completed.cost),
        timings=_timings(completed.timings),
        attempts=[_attempt(attempt) for attempt in completed.attempts],
        effective_settings=[_effective_setting(setting) for setting in started.effective_settings],
    )


def stream_response(stamped: events.StreamEvent) -> events_pb2.StreamCompleteResponse:
    """One event."""
    name, convert = _EVENTS[type(stamped.event)]
    payload: dict[str, Any] = {name: convert(stamped.event)}
    return events_pb2.StreamCompleteResponse(
        response_id=stamped.response_id,
        sequence=stamped.sequence,
        elapsed=_duration(stamped.elapsed_seconds),
        step=stamped.step,
        call=stamped.call,
        **payload,
    )


def classify_response(decision: RouteDecision) -> classification_pb2.ClassifyResponse:
    """How a request would be routed."""
    return classification_pb2.ClassifyResponse(route=route_decision(decision))


def list_models_response(page: ModelPage) -> models_pb2.ListModelsResponse:
    """A page of models."""
    return models_pb2.ListModelsResponse(
        models=[_model(info) for info in page.models],
        next_page_token=page.next_page_token,
        sources=[_source(source) for source in page.sources],
    )


def route_decision(decision: RouteDecision) -> routing_pb2.RouteDecision:
    """A decision, also for the details of a status."""
    asked: Any = 0 if decision.asked_mode is None else enums.ROUTING_MODE.to_proto[decision.asked_mode]
    return routing_pb2.RouteDecision(
        route=decision.route,
        mode=enums.ROUTING_MODE.to_proto[decision.mode],
        model=decision.model,
        source=enums.ROUTE_SOURCE.to_proto[decision.source],
        rule_id=decision.rule_id,
        reason=decision.reason,
        asked_mode=asked,
        asked_route=decision.asked_route,
        classification=None if decision.classification is None else _classification(decision.classification),
        rejected_routes=[
            routing_pb2.RejectedRoute(route=rejected.route, reason=rejected.reason)
            for rejected in decision.rejected_routes
        ],
    )


def interruption(progress: Progress) -> interruption_pb2.Interruption:
    """How far a failed call had come, for the details of a status."""
    return interruption_pb2.Interruption(
        response_id=progress.response_id,
        usage=_usage(progress.usage, ()),
        cost=None if progress.cost is None else _cost(progress.cost),
        model_call_count=progress.model_call_count,
        attempt_count=progress.attempt_count,
        last_sequence=progress.last_sequence,
        content_characters=progress.content_characters,
    )


def _classification(classification: Classification) -> routing_pb2.Classification:
    latency = classification.latency_seconds
    flaw: Any = 0 if classification.flaw is None else enums.ANSWER_FLAW.to_proto[classification.flaw]
    return routing_pb2.Classification(
        model=classification.model,
        routes=classification.routes,
        skipped=classification.skipped,
        latency=None if latency is None else _duration(latency),
        usage=_optional_usage(classification.usage),
        cost=None if classification.cost is None else _cost(classification.cost),
        failure=enums.error_reason(classification.failure),
        flaw=flaw,
        failure_detail=classification.failure_detail,
    )


def _started(event: events.Started) -> events_pb2.Started:
    return events_pb2.Started(
        route=route_decision(event.route),
        model=event.model,
        trace_id=event.trace_id,
        effective_settings=[_effective_setting(setting) for setting in event.effective_settings],
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
        usage=_usage(event.usage, ()),
        omitted_messages=event.omitted_messages,
        omitted_tokens=_tokens(event.omitted_tokens),
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
        attempt=event.attempt,
        failure=enums.error_reason(event.failure),
        http_status=event.http_status,
        delay=_duration(event.delay_seconds),
    )


def _step_started(event: events.StepStarted) -> events_pb2.StepStarted:
    return events_pb2.StepStarted(max_steps=event.max_steps)


def _step_planned(event: events.StepPlanned) -> events_pb2.StepPlanned:
    return events_pb2.StepPlanned(
        thought=event.thought,
        next_action=enums.NEXT_ACTION.to_proto[event.next_action],
        tool_calls=[events_pb2.ToolCallPlan(call_id=call.id, name=call.name) for call in event.tool_calls],
        concurrent=event.concurrent,
        usage=_optional_usage(event.usage),
    )


def _tool_started(event: events.ToolStarted) -> events_pb2.ToolStarted:
    return events_pb2.ToolStarted(call_id=event.call.id, name=event.call.name, arguments=event.call.arguments)


def _tool_finished(event: events.ToolFinished) -> events_pb2.ToolFinished:
    return events_pb2.ToolFinished(execution=_tool_execution(event.execution))


def _step_finished(event: events.StepFinished) -> events_pb2.StepFinished:
    return events_pb2.StepFinished(
        outcome=enums.STEP_OUTCOME.to_proto[event.outcome], usage=_optional_usage(event.usage)
    )


def _reasoning_finished(event: events.ReasoningFinished) -> agent_pb2.ReasoningFinished:
    return agent_pb2.ReasoningFinished(
        reason=enums.REASONING_END.to_proto[event.reason],
        step_count=event.step_count,
        tool_call_count=event.tool_call_count,
        usage=_optional_usage(event.usage),
        cost=None if event.cost is None else _cost(event.cost),
        duration=_duration(event.duration_seconds),
    )


def _heartbeat(_event: events.Heartbeat) -> events_pb2.Heartbeat:
    return events_pb2.Heartbeat()


def _completed(event: events.Completed) -> events_pb2.Completed:
    return events_pb2.Completed(
        finish_reason=enums.FINISH_REASON.to_proto[event.finish_reason],
        provider_finish_reason=event.provider_finish_reason,
        model=event.model,
        usage=_usage(event.usage, event.model_calls),
        cost=None if event.cost is None else _cost(event.cost),
        timings=_timings(event.timings),
        attempts=[_attempt(attempt) for attempt in event.attempts],
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
    events.ReasoningFinished: ("reasoning_finished", _reasoning_finished),
    events.AttemptSwitched: ("attempt_switched", _attempt_switched),
    events.Heartbeat: ("heartbeat", _heartbeat),
    events.Completed: ("completed", _completed),
}
"""Each event class: its field in the oneof, and its converter."""


def _step(step: Step) -> agent_pb2.Step:
    action: Any = 0 if step.next_action is None else enums.NEXT_ACTION.to_proto[step.next_action]
    return agent_pb2.Step(
        number=step.number,
        thought=step.thought,
        next_action=action,
        tool_executions=[_tool_execution(execution) for execution in step.tool_executions],
        outcome=enums.STEP_OUTCOME.to_proto[step.outcome],
        usage=_optional_usage(step.usage),
    )


def _tool_execution(execution: ToolExecution) -> agent_pb2.ToolExecution:
    return agent_pb2.ToolExecution(
        call_id=execution.call_id,
        name=execution.name,
        arguments=execution.arguments,
        status=enums.TOOL_STATUS.to_proto[execution.status],
        result=execution.result,
        result_truncated=execution.result_truncated,
        error=execution.error,
        duration=_duration(execution.duration_seconds),
    )


def _optional_usage(usage: Usage | None) -> usage_pb2.Usage | None:
    return None if usage is None else _usage(usage, ())


def _usage(usage: Usage, model_calls: tuple[ModelCallUsage, ...]) -> usage_pb2.Usage:
    return usage_pb2.Usage(
        **_counts(usage),
        model_calls=[
            usage_pb2.ModelCallUsage(
                call=entry.call,
                purpose=enums.MODEL_CALL_PURPOSE.to_proto[entry.purpose],
                model=entry.model,
                **_counts(entry.usage),
            )
            for entry in model_calls
        ],
    )


def _counts(usage: Usage) -> dict[str, Any]:
    """The fields that `Usage` and `ModelCallUsage` share; None leaves one unset."""
    return {
        "input_tokens": _tokens(usage.input_tokens),
        "cached_input_tokens": _tokens(usage.cached_input_tokens),
        "cache_write_tokens": _tokens(usage.cache_write_tokens),
        "output_tokens": _tokens(usage.output_tokens),
        "reasoning_tokens": _tokens(usage.reasoning_tokens),
        "audio_input_tokens": _tokens(usage.audio_input_tokens),
        "total_tokens": _tokens(usage.total_tokens),
        "source": enums.USAGE_SOURCE.to_proto[usage.source],
    }


def _tokens(count: int | None) -> Any:
    """A number of tokens, as far as an int32 goes: what is over it, only a broken upstream reports."""
    return None if count is None else min(count, _MOST_TOKENS)


def _cost(cost: Cost) -> usage_pb2.Cost:
    return usage_pb2.Cost(
        total_nano_usd=cost.total_nano_usd,
        items=[
            usage_pb2.CostItem(
                model=item.model,
                kind=enums.TOKEN_KIND.to_proto[item.kind],
                tokens=_tokens(item.tokens),
                nano_usd=item.nano_usd,
            )
            for item in cost.items
        ],
    )


def _timings(timings: Timings) -> usage_pb2.Timings:
    first_token = timings.first_token_seconds
    return usage_pb2.Timings(
        queue=_duration(timings.queue_seconds),
        routing=_duration(timings.routing_seconds),
        first_token=None if first_token is None else _duration(first_token),
        total=_duration(timings.total_seconds),
        overhead=_duration(timings.overhead_seconds),
    )


def _attempt(attempt: Attempt) -> usage_pb2.Attempt:
    return usage_pb2.Attempt(
        call=attempt.call,
        number=attempt.number,
        model=attempt.model,
        started=_duration(attempt.started_seconds),
        duration=_duration(attempt.duration_seconds),
        failure=enums.error_reason(attempt.failure),
        http_status=attempt.http_status,
    )


def _effective_setting(setting: EffectiveSetting) -> completion_pb2.EffectiveSetting:
    return completion_pb2.EffectiveSetting(
        field=setting.field, asked=setting.asked, effective=setting.effective, reason=setting.reason
    )


def _model(info: ModelInfo) -> models_pb2.Model:
    return models_pb2.Model(
        name=info.name,
        description=info.description,
        source=enums.MODEL_SOURCE_KIND.to_proto[info.source],
        provider=info.provider,
        is_default=info.is_default,
        state=enums.MODEL_STATE.to_proto[info.state],
        capabilities=sorted(enums.MODEL_CAPABILITY.to_proto[capability] for capability in info.capabilities),
        limits=models_pb2.ModelLimits(
            context_window_tokens=_tokens(info.context_window_tokens), max_output_tokens=_tokens(info.max_output_tokens)
        ),
        prices=_prices(info.prices),
        fallback_models=info.fallback_models,
        provider_options=sorted(info.provider_options),
    )


def _prices(prices: Prices) -> models_pb2.ModelPrices | None:
    if prices == Prices():
        return None
    tiers = [
        models_pb2.ModelPriceTier(above_input_tokens=_tokens(tier.above_input_tokens), **_token_prices(tier))
        for tier in prices.tiers
    ]
    return models_pb2.ModelPrices(**_token_prices(prices), tiers=tiers)


def _token_prices(prices: TokenPrices) -> dict[str, Any]:
    """The fields that `ModelPrices` and `ModelPriceTier` share; None leaves one unset."""
    return {
        "input_nano_usd_per_million": prices.input,
        "cached_input_nano_usd_per_million": prices.cached_input,
        "cache_write_nano_usd_per_million": prices.cache_write,
        "output_nano_usd_per_million": prices.output,
        "reasoning_nano_usd_per_million": prices.reasoning,
        "audio_input_nano_usd_per_million": prices.audio_input,
    }


def _source(source: ModelSource) -> models_pb2.ModelSource:
    return models_pb2.ModelSource(
        kind=enums.MODEL_SOURCE_KIND.to_proto[source.kind],
        updated_at=None if source.updated_at is None else _timestamp(source.updated_at),
        stale=source.stale,
        failure=enums.error_reason(source.failure),
        model_count=source.model_count,
    )


def _duration(seconds: float) -> Duration:
    whole, nanos = divmod(round(seconds * _NANO), _NANO)
    return Duration(seconds=whole, nanos=nanos)


def _timestamp(when: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(when)
    return timestamp
