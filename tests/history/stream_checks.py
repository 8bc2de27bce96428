"""Checks of one call's events and text: in order, once, complete when the status is OK, else a prefix."""

import json
import traceback
from collections.abc import Iterator, Sequence
from typing import Final

from reasoning_grpc.v1 import agent_pb2, classification_pb2
from tests.history.plan import Mode, Rpc
from tests.history.records import OWN_TOOL, CallRecord, Exchange, Purpose
from tests.support.agent_grammar import check_grammar
from tests.support.sequences import expected_sequences

_OUT_OF_TIME: Final = frozenset({agent_pb2.TOOL_STATUS_TIMED_OUT, agent_pb2.TOOL_STATUS_CANCELLED})
"""How a tool call ends when the agent has no time left to think, which depends on how fast the models were so far."""


def check_events(call: CallRecord) -> Iterator[str]:
    """Yields what is wrong with the order and the number of the events of a stream."""
    if call.plan.rpc is not Rpc.STREAM:
        return
    events = call.messages
    kinds = [event.WhichOneof("kind") for event in events]
    if None in kinds:
        yield "an event has no kind"
        return
    sequences = [event.sequence for event in events]
    if sequences != expected_sequences(kinds):
        yield f"the events have the sequences {sequences}"
    if [index for index, kind in enumerate(kinds) if kind == "started"] != ([0] if events else []):
        yield f"`started` is not the first event alone: {kinds}"
    ends = [index for index, kind in enumerate(kinds) if kind == "completed"]
    if call.code == "OK" and len(ends) != 1:
        yield f"a stream with status OK has {len(ends)} `completed` events"
    if call.code != "OK" and ends and call.is_ended_by_server:
        yield f"a stream with status {call.code} has a `completed` event"
    if ends and ends[0] != len(events) - 1:
        yield f"events follow `completed`: {kinds[ends[0] :]}"
    elapsed = [event.elapsed_ms for event in events]
    if elapsed != sorted(elapsed):
        yield f"the times of the events run backwards: {elapsed}"


def check_grammar_of_agent(call: CallRecord) -> Iterator[str]:
    """Yields how the events of the agent break their grammar, where the client saw all of them."""
    plan = call.plan
    if plan.rpc is not Rpc.STREAM or plan.mode is not Mode.REASONING or not plan.includes_all:
        return
    try:
        before = () if call.paused is None else call.paused.messages
        check_grammar(call.messages, ended_well=call.end is not None, before=before)
    except AssertionError as error:
        rule = traceback.extract_tb(error.__traceback__)[-1].line
        yield f"the events break the agent's grammar: {rule}"


def check_tools(call: CallRecord) -> Iterator[str]:
    """Yields which tool calls of a stream are another call's, or have another result."""
    for event in call.messages:
        if event.WhichOneof("kind") != "tool_finished":
            continue
        execution = event.tool_finished.execution
        expression = json.loads(execution.arguments)["expression"]
        product, _, step = expression.partition(" + ")
        if product != f"{call.plan.number} * 1000":
            yield f"a tool got the arguments of another call: {execution.arguments}"
        elif execution.status != agent_pb2.TOOL_STATUS_OK:
            if execution.status not in _OUT_OF_TIME:
                yield f"a tool failed: {execution.error}"
        elif call.plan.includes_all and f'"{call.plan.number * 1000 + int(step)}"' not in execution.result:
            yield f"a tool got {execution.arguments}, and its result is {execution.result!r}"


def check_text(call: CallRecord, exchanges: Sequence[Exchange]) -> Iterator[str]:
    """Yields how the text differs from the tokens that the upstream sent for this answer."""
    if any(exchange.is_mixed_up for exchange in exchanges):
        yield "the upstream got the prompt of one call with the person of another"
    answers = [exchange for exchange in exchanges if exchange.purpose is Purpose.ANSWER]
    if call.plan.rpc is Rpc.CLASSIFY:
        if answers:
            yield "a call of Classify reached the answering model"
        return
    if call.has_paused:
        yield from _check_pause(call, answers)
        return
    answer = answers[-1] if answers else None
    if call.code != "OK":
        sent = answer.sent_text if answer else ""
        if not sent.startswith(call.text):
            yield f"the text is no prefix of what was sent: {describe_difference(sent, call.text)}"
        return
    if answer is None:
        yield "the status is OK, but no answer was requested of the upstream"
        return
    if not answer.is_finished:
        yield f"the status is OK, but the upstream's last answer did not finish ({answer.plan.fault.value})"
    whole = "".join(answer.pieces)
    if call.text != whole:
        yield f"the text is not the upstream's: {describe_difference(whole, call.text)}"
    if exchanges[-1] is not answer and not call.plan.may_go_on_late:
        yield "the upstream was called again after the answer"


def _check_pause(call: CallRecord, answers: Sequence[Exchange]) -> Iterator[str]:
    """Yields what is wrong with an answer that is a run which waits for its caller."""
    if not call.plan.may_pause:
        yield "the run waits for its caller, and the upstream called no tool of the caller's"
    if answers:
        yield "the run waits for its caller, and the answering model was called"
    parts = call.read_message().content
    called = [(part.tool_call.name, part.tool_call.arguments) for part in parts[:-1]]
    if called != [(OWN_TOOL, json.dumps({"id": str(call.plan.number)}))] or not parts[-1].paused_run.state:
        yield f"the run waits for its caller, and its answer has {called} and no state"


def check_answer(call: CallRecord) -> Iterator[str]:
    """Yields what a unary call with status OK lacks, and what one with another status has too much."""
    if call.plan.rpc is Rpc.STREAM:
        return
    if (call.code == "OK") != (call.response is not None):
        yield f"the status is {call.code}, and there is {'no' if call.response is None else 'a'} response"
    if isinstance(call.response, classification_pb2.ClassifyResponse) and not call.response.route_decision.route:
        yield "the response of Classify names no route"


def describe_difference(expected: str, actual: str) -> str:
    """Says where two texts part, with some of each from there on."""
    place = next((n for n, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), None)
    if place is None:
        place = min(len(expected), len(actual))
    return f"at character {place} stands {actual[place : place + 40]!r} in place of {expected[place : place + 40]!r}"
