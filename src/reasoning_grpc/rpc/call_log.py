"""`CallLog`: the record of a call when it ends: one log line, its span and its counts, without content or secrets."""

import logging
import sys
from typing import Any, Final

import grpc
from opentelemetry.trace import Span

from reasoning_grpc.domain import CallContext, RouteDecision, RoutingMode, read_clock
from reasoning_grpc.telemetry import (
    ERROR_TYPE,
    PREFIX,
    FactsRecord,
    Metrics,
    OpenInference,
    ViewerKind,
    find_recording_span,
    mark_failed,
)

_STATUS_CODE: Final = "rpc.grpc.status_code"
_FAILURES: Final = frozenset(
    {"CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""The codes that make the span of a call an error. OpenTelemetry's conventions name all of them except CANCELLED, which
is here because the answer of a cancelled call is not complete. Other codes are the caller's fault, and a server's span
says so by its code alone."""
_NOT_ON_SPANS: Final = frozenset(
    {
        *("method", "code", "reason", "trace_id", "duration_ms", "first_token_ms", "overhead_ms", "http_status"),
        *("labels", "peer", "upstream_message"),
    }
)
"""Facts that a trace holds in another form, the callers' own labels and addresses, and the words of a provider."""
_WIRES: Final = ("chat", "responses")
"""The values of `wire` in a model's entry."""

_CLASSIFY: Final = "Classify"
"""The method that decides on a route and does not take it."""

logger = logging.getLogger("reasoning_grpc.calls")


class CallLog:
    """Records the calls of the service."""

    def __init__(self, metrics: Metrics) -> None:
        self._count = metrics.calls.record

    def record_end(
        self, method: str, call: CallContext, code: str, level: int, reason: str = "", *, exc_info: bool = False
    ) -> None:
        """Logs one line, completes the span of the call, and counts it. `code` is the name of the call's status."""
        now = read_clock()
        self._count(method, code, reason, call, now)
        span, is_logged = find_recording_span(call.trace), logger.isEnabledFor(level)
        if span is None and not is_logged:
            return
        facts = _collect_facts(method, call, code, reason, now)
        if span is not None:
            _complete_span(span, facts)
        if is_logged:
            logger.handle(FactsRecord(logger.name, level, "call", facts, sys.exc_info() if exc_info else None))


def _complete_span(span: Span, facts: dict[str, Any]) -> None:
    code, reason = facts["code"], facts.get("reason") or facts["code"]
    attributes = {PREFIX + name: value for name, value in facts.items() if name not in _NOT_ON_SPANS}
    if facts.get("mode") is RoutingMode.REASONING and facts["method"] != _CLASSIFY:
        attributes[OpenInference.SPAN_KIND], attributes[OpenInference.AGENT_NAME] = ViewerKind.AGENT, facts["route"]
    else:
        attributes[OpenInference.SPAN_KIND] = ViewerKind.CHAIN
    attributes[_STATUS_CODE] = grpc.StatusCode[code].value[0]
    span.set_attributes(attributes)
    if code in _FAILURES:
        mark_failed(span, reason)
    elif code != "OK":
        span.set_attribute(ERROR_TYPE, reason)


def _collect_facts(method: str, call: CallContext, code: str, reason: str, end_time: float) -> dict[str, Any]:
    """Returns what is known of the call, and nothing that is not. Enums stay as they are: they are strings."""
    facts: dict[str, Any] = {
        "method": method,
        "code": code,
        "request_id": call.request_id,
        "caller": call.caller.name,
        "peer": call.peer,
        "duration_ms": round((end_time - call.arrival_time) * 1_000_000) / 1000,
    }
    if reason:
        facts["reason"] = reason
    if call.trace_id:
        facts["trace_id"] = call.trace_id
    report = call.report
    if report.route_decision is not None:
        _add_decision(facts, report.route_decision)
    if report.model:
        facts["model"] = report.model
    if report.labels:
        facts["labels"] = dict(report.labels)
    if report.events:
        facts["events"] = report.events
    timings = report.timings
    if timings is not None:
        if timings.first_token_seconds is not None:
            facts["first_token_ms"] = round(timings.first_token_seconds * 1_000_000) / 1000
        facts["overhead_ms"] = round(timings.overhead_seconds * 1_000_000) / 1000
    attempts = report.attempts
    if attempts:
        facts["attempts"] = len(attempts)
        if attempts[-1].http_status:
            facts["http_status"] = attempts[-1].http_status
    if report.upstream_message:
        facts["upstream_message"] = report.upstream_message
    if report.required_wire:
        facts["required_wire"] = report.required_wire
        facts["advice"] = _advise(report.required_wire)
    if report.finish_reason is not None:
        facts["finish_reason"] = report.finish_reason
    if report.continued_state:
        facts["continued_state"] = report.continued_state
    if report.paused_state:
        facts["paused_state"] = report.paused_state
    usage = report.usage
    if usage is not None:
        facts["input_tokens"] = usage.input_tokens
        facts["output_tokens"] = usage.output_tokens
        facts["usage_source"] = usage.source
    if report.cost is not None:
        facts["cost_nano_usd"] = report.cost.total_nano_usd
    return facts


def _add_decision(facts: dict[str, Any], decision: RouteDecision) -> None:
    facts["route"] = decision.route
    facts["mode"] = decision.mode
    facts["route_source"] = decision.source
    if decision.confidence is not None:
        facts["route_confidence"] = round(decision.confidence, 4)
    if decision.rule_id:
        facts["rule_id"] = decision.rule_id
    classification = decision.classification
    if classification is not None and (failure := classification.failure or classification.flaw) is not None:
        facts["classifier_failure"] = failure


def _advise(required_wire: str) -> str:
    """Returns what an operator can do about a provider that takes a request only at another endpoint."""
    if required_wire in _WIRES:
        return f'set wire = "{required_wire}" in the entry of the model'
    return "serve another model: this server does not call the endpoint that this one needs"
