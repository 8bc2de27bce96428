"""The checker accepts histories without fault, and finds each kind of fault in others."""

from collections.abc import Callable
from dataclasses import replace

import grpc
import pytest

from reasoning_grpc.v1 import errors_pb2, events_pb2, usage_pb2
from tests.history.checker import find_violations
from tests.history.outcome_checks import check_outcome
from tests.history.plan import Fault, Rpc
from tests.history.records import CallRecord, Exchange, History, Purpose
from tests.history.samples import (
    a_call_plan,
    a_cost,
    a_cut_stream,
    a_failed_attempt,
    a_failure,
    a_finished_stream,
    a_finished_unary,
    a_paused_stream,
    a_refused_repeat,
    a_usage,
    an_answer,
    an_exchange,
    record_events,
)

Change = Callable[[CallRecord, list[Exchange], list[dict[str, object]]], object]


def find_problems(history: History) -> list[str]:
    """Returns the problems that the checker finds."""
    return [violation.problem for violation in find_violations(history)]


def join_histories(one: History, other: History) -> History:
    """Returns one history with the calls of both."""
    return History(
        seed=1,
        calls=[*one.calls, *other.calls],
        exchanges={**one.exchanges, **other.exchanges},
        lines={**one.lines, **other.lines},
    )


def retried_stream() -> History:
    """Builds the history of a stream whose first attempt got the status 500."""
    attempts = [
        a_failed_attempt(1, errors_pb2.ERROR_REASON_UPSTREAM_ERROR, 500),
        usage_pb2.Attempt(call=1, number=2, model="alpha"),
    ]
    exchanges = [an_exchange(0, 1, Fault.STATUS), an_exchange(0, 2)]
    return a_finished_stream(exchanges, attempts=attempts)


def uncounted_stream(*, estimated: bool = True) -> History:
    """Builds the history of a stream of whose tokens the upstream said nothing."""
    exchange = an_exchange(0, 1, Fault.NO_USAGE)
    usage = a_usage(20, 16, estimated=estimated)
    return a_finished_stream([exchange], **an_answer(usage))


@pytest.mark.parametrize(
    "history",
    [
        a_finished_stream(),
        a_finished_unary(),
        a_cut_stream(),
        retried_stream(),
        uncounted_stream(),
        a_paused_stream(),
        a_refused_repeat(),
    ],
    ids=["stream", "unary", "cut", "retried", "uncounted", "paused", "repeated"],
)
def test_a_true_history_has_no_violation(history: History) -> None:
    """Nothing is found in a history where all agree."""
    assert find_problems(history) == []


def test_twins_that_agree_have_no_violation() -> None:
    """A stream and the unary call of the same request may differ in the numbers of their tokens alone."""
    assert find_problems(join_histories(a_finished_stream(), a_finished_unary())) == []


def change_texts(*positions: int) -> Change:
    """Replaces the deltas of a stream by its tokens of these positions."""

    def change(call: CallRecord, exchanges: list[Exchange], _: object) -> None:
        texts = [exchanges[-1].pieces[position] for position in positions]
        first, last = call.messages[0], call.messages[-1]
        deltas = [{"content_delta": events_pb2.ContentDelta(text=text)} for text in texts]
        record_events(call, [{"started": first.started}, *deltas, {"completed": last.completed}])

    return change


def repeat_completed(call: CallRecord) -> None:
    """Adds a second `completed`."""
    kinds = [{str(kind): getattr(event, str(kind))} for event in call.messages if (kind := event.WhichOneof("kind"))]
    record_events(call, [*kinds, kinds[-1]])


def add_event_after_completed(call: CallRecord) -> None:
    """Adds a delta after `completed`."""
    kinds = [{str(kind): getattr(event, str(kind))} for event in call.messages if (kind := event.WhichOneof("kind"))]
    record_events(call, [*kinds, {"content_delta": events_pb2.ContentDelta()}])


def skip_sequence(call: CallRecord) -> None:
    """Leaves out a number among the events."""
    call.messages[-1].sequence += 1


def turn_back_time(call: CallRecord) -> None:
    """Gives the second event an earlier time than the first."""
    call.messages[0].elapsed_ms = 5


def use_other_tokens(call: CallRecord) -> None:
    """Reports another sum of tokens than the upstream."""
    call.messages[-1].completed.usage.output_tokens += 1
    call.messages[-1].completed.usage.total_tokens += 1


def use_other_cost(call: CallRecord) -> None:
    """Reports a cost that is not the price of the tokens."""
    cost = call.messages[-1].completed.cost
    cost.items[0].nano_usd += 1
    cost.total_nano_usd += 1


def use_model_of_other_price(call: CallRecord) -> None:
    """Reports the cost of another model."""
    call.messages[-1].completed.cost.CopyFrom(a_cost(a_usage(), "beta"))


WRONG_STREAMS: list[tuple[str, Change, str]] = [
    ("a duplicated token", change_texts(0, 1, 1, 2, 3), "the text is not the upstream's"),
    ("a lost token", change_texts(0, 1, 3), "the text is not the upstream's"),
    ("a lost last token", change_texts(0, 1, 2), "the text is not the upstream's"),
    ("tokens in another order", change_texts(0, 2, 1, 3), "the text is not the upstream's"),
    ("two `completed`", lambda call, *_: repeat_completed(call), "has 2 `completed` events"),
    ("an event after `completed`", lambda call, *_: add_event_after_completed(call), "events follow `completed`"),
    ("OK without `completed`", lambda call, *_: call.events.pop(), "has 0 `completed` events"),
    ("no `started`", lambda call, *_: call.events.pop(0), "`started` is not the first event"),
    ("a gap in the sequence", lambda call, *_: skip_sequence(call), "the events have the sequences"),
    ("time that runs backwards", lambda call, *_: turn_back_time(call), "run backwards"),
    ("wrong usage", lambda call, *_: use_other_tokens(call), "the answer has 8 output tokens"),
    ("a wrong cost", lambda call, *_: use_other_cost(call), "at a price of 1000"),
    ("the cost of another model", lambda call, *_: use_model_of_other_price(call), "lacks 100 input tokens of alpha"),
    (
        "a request too many",
        lambda _, exchanges, __: exchanges.append(an_exchange(0, 2)),
        "called again after it had answered",
    ),
    (
        "a model call too many",
        lambda _, exchanges, __: exchanges.append(an_exchange(0, 2, prompt="another", purpose=Purpose.STEP)),
        "the upstream was called again after the answer",
    ),
    ("an attempt that nobody saw", lambda _, exchanges, __: exchanges.clear(), "are not the upstream's"),
    (
        "a model that was not requested",
        lambda _, exchanges, __: setattr(exchanges[0], "model", "gamma"),
        "the model gamma was called",
    ),
    ("no line in the log", lambda _, __, lines: lines.clear(), "the log has 0 lines"),
    ("two lines in the log", lambda _, __, lines: lines.append(lines[0]), "the log has 2 lines"),
    ("another status in the log", lambda _, __, lines: lines[0].update(code="CANCELLED"), "the log says CANCELLED"),
    ("other tokens in the log", lambda _, __, lines: lines[0].update(input_tokens=1), "other tokens"),
    ("another cost in the log", lambda _, __, lines: lines[0].update(cost_nano_usd=1), "another cost"),
    ("another number of attempts in the log", lambda _, __, lines: lines[0].update(attempts=2), "2 attempts"),
    ("an error of our own in the log", lambda _, __, lines: lines[0].update(level="error"), "error of our own"),
    (
        "OK although the answer was cut",
        lambda _, exchanges, __: exchanges.__setitem__(0, an_exchange(0, 1, Fault.RESET)),
        "the upstream's last answer did not finish",
    ),
]


@pytest.mark.parametrize(
    ("change", "problem"), [each[1:] for each in WRONG_STREAMS], ids=[each[0] for each in WRONG_STREAMS]
)
def test_a_wrong_stream_is_found(change: Change, problem: str) -> None:
    """Each way in which an OK stream can be wrong is found."""
    history = a_finished_stream()
    change(history.calls[0], history.exchanges[0], history.lines[0])  # type: ignore[arg-type]

    assert any(problem in found for found in find_problems(history)), find_problems(history)


def drop_interruption(call: CallRecord) -> None:
    """Leaves out the progress."""
    call.failure = a_failure("UPSTREAM_UNREACHABLE")


WRONG_CUTS: list[tuple[str, History, str]] = [
    ("wrong last_sequence", a_cut_stream(last_sequence=3), "last_sequence 3"),
    ("wrong content_characters", a_cut_stream(content_characters=1), "counts 1 characters"),
    ("too many model calls", a_cut_stream(model_call_count=3), "counts 3 model calls"),
    ("no model call", a_cut_stream(model_call_count=0), "counts 0 model calls"),
    ("too few attempts", a_cut_stream(attempt_count=0), "counts 0 attempts"),
    ("too many attempts", a_cut_stream(attempt_count=3), "counts 3 attempts"),
    ("usage that is not marked", a_cut_stream(usage=a_usage(20, 8)), "is not ESTIMATED"),
    ("no tokens", a_cut_stream(usage=a_usage(0, 0, estimated=True)), "Interruption has 0 input tokens"),
    ("more tokens than were sent", a_cut_stream(usage=a_usage(20, 99, estimated=True)), "has 99 output tokens"),
]


@pytest.mark.parametrize(
    ("history", "problem"), [each[1:] for each in WRONG_CUTS], ids=[each[0] for each in WRONG_CUTS]
)
def test_a_wrong_interruption_is_found(history: History, problem: str) -> None:
    """Each wrong number in an Interruption is found."""
    assert any(problem in found for found in find_problems(history)), find_problems(history)


def fail_without_request(call: CallRecord, exchanges: list[Exchange]) -> None:
    """Leaves the upstream without a request, although the reason comes from an upstream."""
    exchanges.clear()
    replace_reason(call, "UPSTREAM_ERROR")


WRONG_FAILURES: list[tuple[str, Change, str]] = [
    ("no Interruption", lambda call, *_: drop_interruption(call), "no Interruption"),
    (
        "an Interruption without a request",
        lambda call, exchanges, _: fail_without_request(call, exchanges),
        "although the upstream got no request",
    ),
    (
        "text that was never sent",
        lambda call, *_: setattr(call.messages[-1].content_delta, "text", "other"),
        "no prefix of what was sent",
    ),
    ("a reason that nothing led to", lambda call, *_: replace_reason(call, "UPSTREAM_ERROR"), "after the upstream's"),
    ("a cancel by nobody", lambda call, *_: cancel(call), "CANCELLED is without details, and not from the client"),
    (
        "a request after the first token",
        lambda _, exchanges, __: exchanges.append(an_exchange(0, 2, Fault.RESET)),
        "no prefix of what was sent",
    ),
]


def replace_reason(call: CallRecord, reason: str) -> None:
    """Gives the failure another reason."""
    assert call.failure is not None
    call.failure = a_failure(reason, call.failure.interruption)


def cancel(call: CallRecord) -> None:
    """Ends the call in a bare CANCELLED."""
    call.code, call.failure = "CANCELLED", None


@pytest.mark.parametrize(
    ("change", "problem"), [each[1:] for each in WRONG_FAILURES], ids=[each[0] for each in WRONG_FAILURES]
)
def test_a_wrong_failure_is_found(change: Change, problem: str) -> None:
    """Each way in which a failure can be untruthful is found."""
    history = a_cut_stream()
    change(history.calls[0], history.exchanges[0], history.lines[0])  # type: ignore[arg-type]

    assert any(problem in found for found in find_problems(history)), find_problems(history)


def test_an_estimate_that_is_not_marked_is_found() -> None:
    """Tokens that the upstream did not count must be marked as estimated."""
    assert "the answer is not ESTIMATED, although the upstream did not count" in find_problems(
        uncounted_stream(estimated=False)
    )


def test_a_count_that_is_marked_as_an_estimate_is_found() -> None:
    """Tokens that the upstream counted must not be marked as estimated."""
    history = a_finished_stream(**an_answer(a_usage(estimated=True)))

    assert "the answer is ESTIMATED, although the upstream counted" in find_problems(history)


def test_a_retry_too_many_is_found() -> None:
    """A fourth attempt, and a second one after a failure that is never retried, are found."""
    often = [an_exchange(0, ordinal, Fault.STATUS) for ordinal in range(1, 4)]
    late = [an_exchange(0, 1, Fault.HANG_FIRST)]

    assert not any("attempt 4" in found for found in find_problems(a_finished_stream([*often[:2], an_exchange(0, 3)])))
    assert any("attempt 4" in found for found in find_problems(a_finished_stream([*often, an_exchange(0, 4)])))
    assert any("attempt 2" in found for found in find_problems(a_finished_stream([*late, an_exchange(0, 2)])))


def test_text_of_another_call_is_found() -> None:
    """A stream that got another call's tokens is found."""
    history, other = a_finished_stream(), a_finished_stream(number=2)
    history.calls[0].events = other.calls[0].events

    assert any("the text is not the upstream's" in found for found in find_problems(history))


def test_twins_that_differ_are_found() -> None:
    """A unary answer that is not the fold of the stream is found."""
    unary = a_finished_unary()
    unary.calls[0].response.finish_reason = 2  # type: ignore[union-attr]

    problems = find_problems(join_histories(a_finished_stream(), unary))

    assert [problem.partition(" is ")[0] for problem in problems] == ["finish reason"]


@pytest.mark.parametrize(
    ("faults", "seconds", "is_late"),
    [
        ([Fault.STATUS], 1.9, False),
        ([Fault.STATUS], 2.0, True),
        ([Fault.HANG_FIRST, Fault.STATUS], 3.9, False),
        ([Fault.HANG_FIRST, Fault.STATUS], 4.0, True),
    ],
)
def test_a_time_limit_explains_only_calls_that_last_as_long(
    faults: list[Fault], seconds: float, *, is_late: bool
) -> None:
    """A slow machine may read an answer so late that our own limit has passed, which takes as long as the limit."""
    call = CallRecord(plan=a_call_plan(0, Rpc.COMPLETE), code="DEADLINE_EXCEEDED", ended=seconds)
    call.failure = a_failure("UPSTREAM_TIMEOUT", code=grpc.StatusCode.DEADLINE_EXCEEDED)
    exchanges = [an_exchange(0, place, fault) for place, fault in enumerate(faults, 1)]

    assert (list(check_outcome(call, exchanges)) == []) is is_late


def test_an_answering_model_behind_classify_is_found() -> None:
    """`Classify` never calls the answering model."""
    history = a_finished_stream(number=6)
    history.calls[0].plan = a_call_plan(6, Rpc.CLASSIFY)

    assert "a call of Classify reached the answering model" in find_problems(history)


def test_what_stands_beside_the_log_is_found() -> None:
    """A traceback on standard error is found, and what libraries write without us is not."""
    warning = [
        "base_events.py:1907: RuntimeWarning: coroutine 'OpenAIChatCompletion.async_streaming' was never awaited\n",
        "  handle = self._ready.popleft()\n",
        "RuntimeWarning: Enable tracemalloc to get the object allocation traceback\n",
    ]
    response = '{"logger": "grpc._cython.cygrpc", "traceback": "_handle_rpc ExecuteBatchError"}\n'
    history = replace(a_finished_stream(), stray_lines=[*warning, response, "Traceback (most recent call last):\n"])

    assert [str(violation) for violation in find_violations(history)] == [
        "seed 1: standard error has 'Traceback (most recent call last):\\n'"
    ]


def test_a_pause_without_reason_is_found() -> None:
    """A run may wait for its caller only where the upstream called the caller's own tool, and with a state."""
    history = a_paused_stream()
    (call,) = history.calls
    call.plan = replace(call.plan, has_own_tool=False)
    call.messages[2].run_paused.Clear()

    assert find_problems(history) == [
        "the run waits for its caller, and the upstream called no tool of the caller's",
        "the run waits for its caller, and its answer has [('lookup', '{\"id\": \"0\"}')] and no state",
    ]


def test_an_answer_of_a_paused_run_is_found() -> None:
    """A run that waits does not answer, and its line in the log has its state."""
    history = a_paused_stream()
    history.exchanges[0][0].purpose = Purpose.ANSWER
    unlogged = {name: value for name, value in history.lines[0][0].items() if name != "paused_state"}

    problems = find_problems(replace(history, lines={0: [unlogged]}))

    assert problems == [
        "the run waits for its caller, and the answering model was called",
        f"the log has no paused_state: {unlogged}",
    ]


def test_a_state_that_goes_on_twice_is_found() -> None:
    """A state that has gone on already must be refused before any model is called."""
    history = a_refused_repeat()
    number = history.calls[0].plan.number

    problems = find_problems(replace(history, exchanges={number: [an_exchange(number)]}))

    assert "a state that had gone on already went on again" in problems
