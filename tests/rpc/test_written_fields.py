"""Every field of a response is written from the values of the domain, so that a new field cannot be forgotten."""

from datetime import UTC, datetime
from typing import Final

import pytest
from google.protobuf.duration_pb2 import Duration

from reasoning_grpc import domain
from reasoning_grpc.domain import events
from reasoning_grpc.domain.errors import Progress
from reasoning_grpc.domain.fold import Completion
from reasoning_grpc.rpc import convert
from reasoning_grpc.v1 import completion_pb2, events_pb2, interruption_pb2
from tests.support.wire_fields import list_fields, list_given_fields

NEVER_WRITTEN: Final = {"reasoning_grpc.v1.RouteDecision.confidence"}
"""No classifier measures how sure it is."""
LARGEST_INT32: Final = 2**31 - 1

USAGE: Final = domain.Usage(1, 2, 3, domain.UsageSource.PROVIDER, 4, 5, 6, 7, 8)
COST: Final = domain.Cost((domain.CostItem("m", domain.TokenKind.INPUT, 1, 2),))
SETTING: Final = domain.EffectiveSetting(
    "sampling.seed", "1", "2", domain.EffectiveSettingCause.PROVIDER_LIMIT, "The provider takes another."
)
ROUTED_SETTING: Final = domain.EffectiveSetting(
    "model", "a", "b", domain.EffectiveSettingCause.FALLBACK, "The model failed."
)
CLASSIFICATION: Final = domain.Classification(
    model="small",
    routes=("fast",),
    skipped=True,
    latency_seconds=0.5,
    usage=USAGE,
    cost=COST,
    failure="UPSTREAM_OVERLOADED",
    flaw=domain.AnswerFlaw.NOT_JSON,
    failure_detail="It is not JSON.",
)
DECISION: Final = domain.RouteDecision(
    mode=domain.RoutingMode.PASSTHROUGH,
    model="m",
    source=domain.RouteSource.RULE,
    reason="A rule matched.",
    rule_id="rule",
    requested_mode=domain.RoutingMode.AUTO,
    requested_route="slow",
    classification=CLASSIFICATION,
    rejected_routes=(domain.RejectedRoute("slow", domain.RouteRejectionCause.NOT_CHOSEN, "It was not chosen."),),
)
STARTED: Final = events.Started("rsp_1", DECISION, "m", "trace", (SETTING,))
COMPLETED: Final = events.Completed(
    finish_reason=domain.FinishReason.STOP,
    provider_finish_reason="stop",
    model="m",
    usage=USAGE,
    model_calls=(domain.ModelCallUsage(1, domain.ModelCallPurpose.ANSWER, "m", USAGE, 1),),
    cost=COST,
    timings=domain.Timings(0.0, 0.1, 0.2, 1.5, 0.3),
    attempts=(domain.Attempt(1, 2, "m", 0.1, 0.2, "UPSTREAM_OVERLOADED", 503),),
)
FINISHED: Final = events.ReasoningFinished(domain.ReasoningEnd.FINISHED, 1, 1, USAGE, COST, 0.5)
EXECUTION: Final = domain.ToolExecution(
    call_id="call_1",
    name="clock",
    arguments="{}",
    status=domain.ToolStatus.FAILED,
    result="noon",
    result_truncated=True,
    error="The tool failed.",
    duration_seconds=0.5,
)
STEP: Final = domain.Step(
    number=1,
    thought="Look at the clock.",
    next_action=domain.NextAction.USE_TOOLS,
    tool_executions=(EXECUTION,),
    outcome=domain.StepOutcome.DONE,
    usage=USAGE,
)
PLAN: Final = events.PlanCreated(1, (domain.PlannedTask("t2", "Look at it.", ("t1",), ("clock",), "m"),), 4)
TASK: Final = domain.Task(
    number=1,
    id="t2",
    attempt=1,
    model="m",
    outcome=domain.TaskOutcome.FAILED,
    result="noon",
    result_truncated=True,
    failure="UPSTREAM_OVERLOADED",
    stop_reason=domain.ReasoningEnd.DEADLINE,
    usage=USAGE,
    cost=COST,
    duration_seconds=0.5,
    steps=(STEP,),
    reasoning_finished=FINISHED,
)
CONTENTS: Final[list[domain.PartContent]] = [
    domain.Text("noon"),
    domain.Media("image/png", uri="https://example.com/a.png", filename="a.png"),
    domain.Media("image/png", data=b"png"),
    domain.Reasoning("A question."),
    domain.Reasoning(redacted=b"opaque"),
    domain.ToolCall("call_1", "greet", "{}"),
    domain.ToolResult("call_1", "hello", is_error=True),
    domain.Refusal("No."),
]
PAUSED_RUN: Final = domain.PausedRun("state", b"sealed", ("call_1",), datetime(2026, 1, 1, 0, 0, 0, 5000, UTC))
COMPLETION: Final = Completion(
    started=STARTED,
    completed=COMPLETED,
    message=domain.Message(
        domain.Role.ASSISTANT, tuple(domain.Part(content, "signed", cache=True) for content in CONTENTS), "ann"
    ),
    steps=(STEP,),
    reasoning_finished=FINISHED,
    paused_run=PAUSED_RUN,
    effective_settings=(SETTING, ROUTED_SETTING),
    plans=(PLAN,),
    tasks=(TASK,),
)
LOGPROB: Final = events.TokenLogprob("a", -0.5, b"a", (events.AlternativeToken("b", -0.7, b"b"),))
EVENTS: Final[list[events.Event]] = [
    STARTED,
    events.ModelCallStarted(domain.ModelCallPurpose.ANSWER, "m"),
    events.ModelCallFinished(
        domain.ModelCallPurpose.ANSWER, "m", 1, domain.FinishReason.STOP, "stop", USAGE, 0.5, 1, 2
    ),
    events.ModelCallFailed(domain.ModelCallPurpose.STEP, "m", 1, "UPSTREAM_OVERLOADED", 503),
    events.AttemptSwitched("a", "b", 2, "UPSTREAM_OVERLOADED", 503, 0.5, effective_settings=(SETTING,)),
    events.StepStarted(1, 5),
    events.StepPlanned("Look.", domain.NextAction.USE_TOOLS, (domain.ToolCall("c", "clock", "{}"),), True, USAGE),
    events.ToolStarted(domain.ToolCall("c", "clock", "{}")),
    events.ToolFinished(EXECUTION),
    events.StepFinished(domain.StepOutcome.DONE, USAGE),
    FINISHED,
    events.RunPaused(PAUSED_RUN, "m"),
    events.ReasoningDelta("A question.", signature="signed"),
    events.ReasoningDelta(redacted=b"opaque"),
    events.ContentDelta("noon", (LOGPROB,), refusal=True, signature="signed"),
    events.ToolCallDelta("c", 1, "greet", "{}", "signed"),
    events.Heartbeat(),
    PLAN,
    events.TaskStarted("t2", 1, "m"),
    events.TaskFinished(TASK),
    events.RouteChanged(DECISION, domain.RouteChangeCause.PLAN_LATE),
    COMPLETED,
]
EMPTY_EVENTS: Final[list[tuple[events.Event, str]]] = [
    (events.ContentDelta(""), "content_delta"),
    (events.ReasoningDelta(), "reasoning_delta"),
    (events.ToolCallDelta("", 0), "tool_call_delta"),
    (events.StepStarted(0, 0), "step_started"),
    (events.Heartbeat(), "heartbeat"),
]


def _stream_response(event: events.Event) -> events_pb2.StreamCompleteResponse:
    return convert.stream_response(events.StreamEvent(1, 0.5, 1, event, 1, 1))


def test_every_field_of_an_answer_is_written() -> None:
    """A response to an answer that has every value has every field."""
    response = convert.complete_response(COMPLETION)

    fields = list_fields(completion_pb2.CompleteResponse.DESCRIPTOR)
    assert list_given_fields(response) == fields - NEVER_WRITTEN


def test_every_field_of_an_event_is_written() -> None:
    """The responses for events that have every value have every field together."""
    given: set[str] = set().union(*(list_given_fields(_stream_response(event)) for event in EVENTS))

    assert given == list_fields(events_pb2.StreamCompleteResponse.DESCRIPTOR) - NEVER_WRITTEN


def test_every_field_of_an_interruption_is_written() -> None:
    """The detail of a failed call that had made progress has every field."""
    detail = convert.interruption(Progress("rsp_1", USAGE, COST, 1, 2, 3, 4, has_sent_output=True))

    assert list_given_fields(detail) == list_fields(interruption_pb2.Interruption.DESCRIPTOR)


def test_an_answer_and_its_last_event_agree() -> None:
    """The response to an answer and the event of its end have the same usage, cost, times and attempts."""
    response, end = convert.complete_response(COMPLETION), _stream_response(COMPLETED).completed

    assert [getattr(response, field.name) for field in end.DESCRIPTOR.fields] == [
        value for _, value in end.ListFields()
    ]


@pytest.mark.parametrize(("event", "kind"), EMPTY_EVENTS, ids=[kind for _, kind in EMPTY_EVENTS])
def test_an_empty_event_has_its_kind(event: events.Event, kind: str) -> None:
    """An event of which every value is empty still says which event it is."""
    assert _stream_response(event).WhichOneof("kind") == kind


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, Duration()),
        (0.25, Duration(nanos=250_000_000)),
        (0.9999999999, Duration(seconds=1)),
        (3600.5, Duration(seconds=3600, nanos=500_000_000)),
    ],
)
def test_a_duration_is_exact_to_the_nanosecond(seconds: float, expected: Duration) -> None:
    """A duration is rounded to nanoseconds, and is present even when it is zero."""
    event = _stream_response(events.AttemptSwitched("a", "b", 2, "", delay_seconds=seconds)).attempt_switched

    assert event.HasField("delay")
    assert event.delay == expected


def test_counts_of_a_broken_upstream_are_limited() -> None:
    """Counts of tokens that no message takes become the nearest one that it takes, and the other counts stay."""
    usage = domain.Usage(5, 2**40, 2**40, domain.UsageSource.PROVIDER, -(2**40), reasoning_tokens=2**31)
    event = events.ModelCallFinished(domain.ModelCallPurpose.ANSWER, "m", 1, domain.FinishReason.STOP, "stop", usage)

    written = _stream_response(event).model_call_finished.usage

    assert (written.input_tokens, written.output_tokens) == (5, LARGEST_INT32)
    assert (written.total_tokens, written.reasoning_tokens) == (LARGEST_INT32, LARGEST_INT32)
    assert written.HasField("cached_input_tokens")
    assert written.cached_input_tokens == 0
    assert not written.HasField("cache_write_tokens")
