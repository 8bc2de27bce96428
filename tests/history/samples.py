"""Histories without fault, for tests of the checker: one call, its exchanges and its line in the log."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import grpc
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import estimate_tokens
from reasoning_grpc.v1 import completion_pb2, errors_pb2, events_pb2, interruption_pb2, messages_pb2, usage_pb2
from tests.history.plan import CallPlan, ExchangePlan, Fault, Mode, Rpc, Turn, find_number
from tests.history.records import OWN_TOOL, CallRecord, Exchange, History, Purpose, write_token
from tests.history.serving import PRICES

INPUT, OUTPUT = 100, 7
_PROMPT_ESTIMATE = 20
ANSWER = usage_pb2.MODEL_CALL_PURPOSE_ANSWER


def a_call_plan(number: int = 0, rpc: Rpc = Rpc.STREAM, **changes: Any) -> CallPlan:
    """Builds the plan of a direct call with a patient client."""
    values: dict[str, Any] = {
        "number": number,
        "rpc": rpc,
        "mode": Mode.PASSTHROUGH,
        "model": "alpha",
        "fallbacks": (),
        "prompt_words": 0,
        "includes_all": False,
        "tool_steps": 0,
    }
    return CallPlan(**values | changes)


def an_exchange(number: int = 0, ordinal: int = 1, fault: Fault = Fault.NONE, **changes: Any) -> Exchange:
    """Builds an exchange of four tokens, which was played to its end; after two of them where it has a fault."""
    pieces = tuple(write_token(number, ordinal, position) for position in range(4))
    plan = ExchangePlan(
        fault=fault,
        tokens=4,
        whole_tokens=2,
        input_tokens=INPUT,
        cached_tokens=0,
        output_tokens=OUTPUT,
        status=500 if fault is Fault.STATUS else 0,
    )
    values: dict[str, Any] = {
        "number": number,
        "ordinal": ordinal,
        "plan": plan,
        "model": "alpha",
        "purpose": Purpose.ANSWER,
        "prompt": "a prompt",
        "body_bytes": 400,
        "pieces": pieces,
        "sent": 0 if fault is Fault.STATUS else 4 if fault in {Fault.NONE, Fault.NO_USAGE} else 2,
        "is_usage_sent": fault is Fault.NONE,
        "is_over": True,
    }
    return Exchange(**values | changes)


def a_usage(input_tokens: int = INPUT, output_tokens: int = OUTPUT, *, estimated: bool = False) -> usage_pb2.Usage:
    """Builds token counts."""
    source = usage_pb2.USAGE_SOURCE_ESTIMATED if estimated else usage_pb2.USAGE_SOURCE_PROVIDER
    total = input_tokens + output_tokens
    return usage_pb2.Usage(input_tokens=input_tokens, output_tokens=output_tokens, total_tokens=total, source=source)


def a_cost(usage: usage_pb2.Usage, model: str = "alpha") -> usage_pb2.Cost:
    """Builds the cost of these tokens of a model."""
    kinds = (usage_pb2.TOKEN_KIND_INPUT, usage_pb2.TOKEN_KIND_OUTPUT)
    counts = (usage.input_tokens, usage.output_tokens)
    items = [
        usage_pb2.CostItem(model=model, kind=kind, tokens=count, nano_usd=count * price * 1000)
        for kind, count, price in zip(kinds, counts, PRICES[model], strict=True)
    ]
    return usage_pb2.Cost(total_nano_usd=sum(item.nano_usd for item in items), items=items)


def an_answer(usage: usage_pb2.Usage, attempts: Sequence[usage_pb2.Attempt] = ()) -> dict[str, Any]:
    """Builds the fields with the totals of an answer of one model call."""
    return {
        "finish_reason": completion_pb2.FINISH_REASON_STOP,
        "model": "alpha",
        "usage": usage,
        "model_calls": [usage_pb2.ModelCallUsage(call=1, purpose=ANSWER, model="alpha", usage=usage)],
        "cost": a_cost(usage),
        "attempts": attempts or [usage_pb2.Attempt(call=1, number=1, model="alpha")],
    }


def a_finished_stream(exchanges: Sequence[Exchange] = (), number: int = 0, **changes: Any) -> History:
    """Builds the history of a stream with status OK, which got each token in an event of its own."""
    exchanges = exchanges or [an_exchange(number)]
    fields = an_answer(a_usage()) | changes
    deltas = [{"content_delta": events_pb2.ContentDelta(text=text)} for text in exchanges[-1].pieces]
    kinds: list[dict[str, Any]] = [
        {"started": events_pb2.Started()},
        *deltas,
        {"completed": events_pb2.Completed(**fields)},
    ]
    call = CallRecord(plan=a_call_plan(number), code="OK")
    record_events(call, kinds)
    return a_history(call, exchanges, fields["usage"], fields["cost"], attempts=len(fields["attempts"]))


def a_finished_unary(number: int = 1) -> History:
    """Builds the history of a call of `Complete` with status OK."""
    exchange = an_exchange(number)
    fields = an_answer(a_usage())
    text = messages_pb2.Part(text="".join(exchange.pieces))
    message = messages_pb2.Message(role=messages_pb2.ROLE_ASSISTANT, content=[text])
    call = CallRecord(plan=a_call_plan(number, Rpc.COMPLETE), code="OK")
    call.response = completion_pb2.CompleteResponse(message=message, **fields)
    return a_history(call, [exchange], fields["usage"], fields["cost"])


def a_paused_stream(**changes: Any) -> History:
    """Builds the history of a stream whose run waits for the result of the caller's own tool."""
    exchange = an_exchange(purpose=Purpose.STEP)
    attempts = [usage_pb2.Attempt(call=1, number=1, model="alpha")]
    fields = an_answer(a_usage(), attempts) | {"finish_reason": completion_pb2.FINISH_REASON_TOOL_CALLS} | changes
    wanted = events_pb2.ToolCallDelta(call_id="call_1_1", name=OWN_TOOL, arguments='{"id": "0"}')
    call = CallRecord(plan=a_call_plan(mode=Mode.REASONING, has_own_tool=True), code="OK")
    kinds: list[dict[str, Any]] = [
        {"started": events_pb2.Started()},
        {"tool_call_delta": wanted},
        {"run_paused": messages_pb2.PausedRun(state=b"sealed")},
        {"completed": events_pb2.Completed(**fields)},
    ]
    record_events(call, kinds)
    history = a_history(call, [exchange], fields["usage"], fields["cost"])
    return replace(history, lines={0: [{**history.lines[0][0], "paused_state": "an id"}]})


def a_refused_repeat() -> History:
    """Builds the history of a stream whose state has gone on already."""
    number = find_number(0, Turn.REPEAT)
    call = CallRecord(plan=a_call_plan(number, mode=Mode.REASONING, has_own_tool=True), code="INVALID_ARGUMENT")
    call.failure = a_failure("INVALID_FIELD", None, grpc.StatusCode.INVALID_ARGUMENT)
    line = {"level": "info", "code": call.code, "reason": "INVALID_FIELD"}
    return History(seed=1, calls=[call], exchanges={}, lines={number: [line]})


def a_cut_stream(**changes: Any) -> History:
    """Builds the history of a stream that the upstream reset after two of its four tokens."""
    exchange = an_exchange(0, 1, Fault.RESET)
    call = CallRecord(plan=a_call_plan(0), code="UNAVAILABLE")
    deltas = [{"content_delta": events_pb2.ContentDelta(text=text)} for text in exchange.pieces[:2]]
    record_events(call, [{"started": events_pb2.Started()}, *deltas])
    usage = a_usage(_PROMPT_ESTIMATE, estimate_tokens(len(exchange.sent_text.encode())), estimated=True)
    values: dict[str, Any] = {
        "usage": usage,
        "cost": a_cost(usage),
        "model_call_count": 1,
        "attempt_count": 1,
        "last_sequence": 2,
        "content_characters": len(exchange.sent_text),
    }
    values |= changes
    call.failure = a_failure("UPSTREAM_UNREACHABLE", interruption_pb2.Interruption(**values))
    return a_history(call, [exchange], values["usage"], values["cost"], code="UNAVAILABLE")


def a_failure(
    reason: str,
    interruption: interruption_pb2.Interruption | None = None,
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE,
) -> CallFailed:
    """Builds the error that a client gets."""
    status = Status(code=code.value[0], message="It failed.")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="reasoning-grpc"))
    if interruption is not None:
        status.details.add().Pack(interruption)
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return CallFailed(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, "It failed."))


def record_events(call: CallRecord, kinds: Sequence[dict[str, Any]]) -> None:
    """Gives a call these events, numbered, a millisecond apart."""
    call.events = [
        (number / 1000, events_pb2.StreamCompleteResponse(sequence=number, elapsed_ms=number, **kind))
        for number, kind in enumerate(kinds)
    ]


def a_history(
    call: CallRecord,
    exchanges: Sequence[Exchange],
    usage: usage_pb2.Usage,
    cost: usage_pb2.Cost,
    *,
    code: str = "OK",
    attempts: int = 1,
) -> History:
    """Builds the history of one call, with the line that the server logs of it."""
    line = {
        "level": "info",
        "code": code,
        "attempts": attempts,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "usage_source": usage_pb2.UsageSource.Name(usage.source).removeprefix("USAGE_SOURCE_"),
        "cost_nano_usd": cost.total_nano_usd,
    }
    if call.failure is not None:
        line["reason"] = call.failure.reason
    number = call.plan.number
    return History(seed=1, calls=[call], exchanges={number: list(exchanges)}, lines={number: [line]})


def a_failed_attempt(number: int, reason: errors_pb2.ErrorReason.ValueType, http_status: int = 0) -> usage_pb2.Attempt:
    """Builds an attempt at the first model call that failed."""
    return usage_pb2.Attempt(call=1, number=number, model="alpha", failure=reason, http_status=http_status)
