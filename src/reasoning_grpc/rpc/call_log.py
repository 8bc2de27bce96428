"""The record of a call when it ends: one log line and its span. It holds no content and no secret."""

import asyncio
import logging
from typing import Any, Final

import grpc
from opentelemetry.trace import Span, get_current_span

from reasoning_grpc.domain import CallContext, RouteDecision
from reasoning_grpc.telemetry import ERROR_TYPE, PREFIX, mark_failed

_STATUS_CODE: Final = "rpc.grpc.status_code"
_FAILURES: Final = frozenset(
    {"CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""The codes that make the span of a call an error. OpenTelemetry's conventions name all of them except CANCELLED, which
is here because the answer of a cancelled call is not complete. Other codes are the caller's fault, and a server's span
says so by its code alone."""
_NOT_ON_SPANS: Final = frozenset({"method", "code", "reason", "trace_id", "duration_ms", "labels", "upstream_message"})
"""Facts that a span holds in another form, the callers' own labels, and the words of a provider."""
_WIRES: Final = ("chat", "responses")
"""The values of `wire` in a model's entry."""

logger = logging.getLogger("reasoning_grpc.calls")


def record_end(
    method: str, call: CallContext, code: str, level: int, reason: str = "", *, exc_info: bool = False
) -> None:
    """Logs one line and completes the current span. `code` is the name of the call's status."""
    span = get_current_span()
    if not (span.is_recording() or logger.isEnabledFor(level)):
        return
    facts = _collect_facts(method, call, code, reason)
    _complete_span(span, facts)
    logger.log(level, "call", extra=facts, exc_info=exc_info)


def _complete_span(span: Span, facts: dict[str, Any]) -> None:
    if not span.is_recording():
        return
    code, reason = facts["code"], facts.get("reason") or facts["code"]
    span.set_attributes({PREFIX + name: value for name, value in facts.items() if name not in _NOT_ON_SPANS})
    span.set_attribute(_STATUS_CODE, grpc.StatusCode[code].value[0])
    if code in _FAILURES:
        mark_failed(span, reason)
    elif code != "OK":
        span.set_attribute(ERROR_TYPE, reason)


def _collect_facts(method: str, call: CallContext, code: str, reason: str) -> dict[str, Any]:
    report = call.report
    facts: dict[str, Any] = {
        "method": method,
        "code": code,
        "reason": reason or None,
        "request_id": call.request_id,
        "trace_id": call.trace_id or None,
        "caller": call.caller.name,
        "duration_ms": round((asyncio.get_running_loop().time() - call.arrival_time) * 1000, 3),
        "model": report.model or None,
        "labels": dict(report.labels) or None,
        "events": report.events or None,
        "attempts": len(report.attempts) or None,
        "upstream_message": report.upstream_message or None,
        "required_wire": report.required_wire or None,
        "advice": _advise(report.required_wire) if report.required_wire else None,
    }
    if report.route_decision is not None:
        facts |= _facts_of_decision(report.route_decision)
    if report.finish_reason is not None:
        facts["finish_reason"] = report.finish_reason.value
    if report.usage is not None:
        facts |= {
            "input_tokens": report.usage.input_tokens,
            "output_tokens": report.usage.output_tokens,
            "usage_source": report.usage.source.value,
        }
    if report.cost is not None:
        facts["cost_nano_usd"] = report.cost.total_nano_usd
    return {name: value for name, value in facts.items() if value is not None}


def _facts_of_decision(decision: RouteDecision) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "route": decision.route,
        "mode": decision.mode.value,
        "route_source": decision.source.value,
        "rule_id": decision.rule_id or None,
    }
    if decision.classification is not None:
        facts["classifier_failure"] = decision.classification.failure or decision.classification.flaw
    return facts


def _advise(required_wire: str) -> str:
    """Returns what an operator can do about a provider that takes a request only at another endpoint."""
    if required_wire in _WIRES:
        return f'set wire = "{required_wire}" in the entry of the model'
    return "serve another model: this server does not call the endpoint that this one needs"
