"""Checks of the server's own log: one line for each call that reached it, with the facts of the other two histories."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from reasoning_grpc.v1 import usage_pb2
from tests.history.plan import Rpc, Turn
from tests.history.records import CallRecord, Exchange
from tests.history.total_checks import bill_call
from tests.history.usage_checks import check_usage

_SOURCES: Final = {
    "PROVIDER": usage_pb2.USAGE_SOURCE_PROVIDER,
    "ESTIMATED": usage_pb2.USAGE_SOURCE_ESTIMATED,
}


def check_lines(call: CallRecord, exchanges: Sequence[Exchange], lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields how the log differs from what the client and the upstream saw of a call."""
    if len(lines) > 1 or (not lines and (exchanges or call.is_ended_by_server)):
        yield f"the log has {len(lines)} lines of the call"
        return
    for line in lines:
        if call.is_ended_by_server:
            reason = call.failure.reason if call.failure else None
            if (line["code"], line.get("reason")) != (call.code, reason):
                yield f"the log says {line['code']} {line.get('reason')}, and the client got {call.code} {reason}"
            yield from _check_facts(call, line)
        elif line["code"] in {"CANCELLED", "DEADLINE_EXCEEDED"} and not line.get("reason"):
            yield from _check_usage_of_cut_call(call, exchanges, line)
        if line.get("reason") == "INTERNAL" or line["level"] == "error" or "exc_info" in line:
            yield f"the log has an error of our own: {line}"


def _check_facts(call: CallRecord, line: Mapping[str, Any]) -> Iterator[str]:
    """Yields which totals in the log are not those that the client got."""
    progress = call.failure.interruption if call.failure else None
    totals = call.end or progress
    if call.plan.rpc is Rpc.CLASSIFY or totals is None:
        return
    if call.end is not None:
        yield from _check_states(call, line)
    usage = totals.usage
    if (line.get("input_tokens", 0), line.get("output_tokens", 0)) != (usage.input_tokens, usage.output_tokens):
        yield f"the log has other tokens than the client: {line}"
    if line.get("cost_nano_usd", 0) != totals.cost.total_nano_usd:
        yield f"the log has another cost than the client: {line}"
    attempts = progress.attempt_count if progress else len(call.end.attempts) if call.end else 0
    if line.get("attempts", 0) != attempts:
        yield f"the log has {line.get('attempts')} attempts, and the client {attempts}"


def _check_states(call: CallRecord, line: Mapping[str, Any]) -> Iterator[str]:
    """Yields which state of a paused run is missing in the log of an answer, or is there without reason."""
    states = [("paused_state", call.has_paused), ("continued_state", call.plan.turn is not Turn.FIRST)]
    for name, is_expected in states:
        if (name in line) is not is_expected:
            yield f"the log has {'no' if is_expected else 'a'} {name}: {line}"


def _check_usage_of_cut_call(call: CallRecord, exchanges: Sequence[Exchange], line: Mapping[str, Any]) -> Iterator[str]:
    """Yields how the log of a call that its client ended differs from the ledger."""
    if not exchanges:
        return
    if "input_tokens" not in line:
        bill = bill_call(call, exchanges)
        if bill.least != (0, 0):
            yield f"the log has no tokens of a call that the upstream worked on: {line}"
        return
    usage = usage_pb2.Usage(
        input_tokens=line["input_tokens"],
        output_tokens=line["output_tokens"],
        total_tokens=line["input_tokens"] + line["output_tokens"],
        source=_SOURCES[line["usage_source"]],
    )
    yield from check_usage(usage, bill_call(call, exchanges), "the log")
