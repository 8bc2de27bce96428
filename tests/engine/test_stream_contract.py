"""Every stream keeps the order that its comments promise, and `Complete` is the fold of `StreamComplete`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import Prices
from reasoning_grpc.v1 import completion_pb2, events_pb2, messages_pb2, usage_pb2
from tests.support.factories import a_wire_request
from tests.support.sequences import expected_sequences
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream, chunk

PROPERTY: Final = settings(
    max_examples=60,
    deadline=None,
    database=None,
    # One server answers all examples; each scripts its own answers.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

TEXT: Final = st.text(st.characters(codec="utf-8"), max_size=12)
TEXTS: Final = st.lists(TEXT, max_size=5)
COUNT: Final = st.integers(0, 2**40)
USAGE: Final = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "total_tokens": COUNT,
        "prompt_tokens_details": st.fixed_dictionaries({}, optional={"cached_tokens": COUNT}),
        "completion_tokens_details": st.fixed_dictionaries({}, optional={"reasoning_tokens": COUNT}),
    },
)


@st.composite
def tool_calls(draw: st.DrawFn) -> list[FakeToolCall]:
    """Draws calls of the caller's tools, whose arguments arrive in several chunks."""
    count = draw(st.integers(0, 3))
    indexed = draw(st.booleans())
    arguments = st.lists(TEXT, min_size=1, max_size=3)
    return [FakeToolCall(f"call_{n}", f"tool_{n}", draw(arguments), indexed=indexed) for n in range(count)]


SCRIPT: Final = st.fixed_dictionaries(
    {
        "tokens": TEXTS,
        "reasoning": TEXTS,
        "refusal": st.none() | TEXT,
        "tool_calls": tool_calls(),
        "usage": USAGE,
        "finish_reason": st.sampled_from(["auto", "length", "content_filter", "max_tokens", "eos", "odd", None]),
        "done": st.booleans(),
        "together": st.booleans(),
    }
)
DELTA: Final = st.one_of(
    st.fixed_dictionaries({"content": TEXT}),
    st.fixed_dictionaries({"reasoning_content": TEXT}),
    st.fixed_dictionaries({"refusal": TEXT}),
    st.builds(
        lambda index, arguments: {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]},
        st.integers(0, 2),
        TEXT,
    ),
    st.builds(
        lambda text, signature: {"thinking_blocks": [{"type": "thinking", "thinking": text, "signature": signature}]},
        TEXT,
        TEXT,
    ),
    st.builds(lambda data: {"thinking_blocks": [{"type": "redacted_thinking", "data": data}]}, TEXT),
)


@dataclass(slots=True)
class DeltaFold:
    """Folds the deltas of a stream by the comments of the proto, independently of the client's own fold."""

    parts: list[messages_pb2.Part] = field(default_factory=list)
    is_closed: bool = True

    def add(self, event: events_pb2.StreamCompleteResponse) -> None:
        """Adds one event."""
        match event.WhichOneof("kind"):
            case "content_delta" if event.content_delta.refusal:
                self._continue_or_begin("refusal").refusal += event.content_delta.text
            case "content_delta":
                self._continue_or_begin("text").text += event.content_delta.text
            case "reasoning_delta":
                self._add_reasoning(event.reasoning_delta)
            case "tool_call_delta":
                self._add_tool_call(event.tool_call_delta)

    def _continue_or_begin(self, kind: str) -> messages_pb2.Part:
        if self.is_closed or self.parts[-1].WhichOneof("kind") != kind:
            part = messages_pb2.Part()
            if kind == "reasoning":
                part.reasoning.text = ""
            else:
                setattr(part, kind, "")
            self.parts.append(part)
        self.is_closed = False
        return self.parts[-1]

    def _add_reasoning(self, delta: events_pb2.ReasoningDelta) -> None:
        if delta.WhichOneof("form") == "redacted":
            reasoning = messages_pb2.Reasoning(redacted=delta.redacted)
            self.parts.append(messages_pb2.Part(reasoning=reasoning, signature=delta.signature))
            self.is_closed = True
            return
        part = self._continue_or_begin("reasoning")
        part.reasoning.text += delta.text
        part.signature = delta.signature
        self.is_closed = bool(delta.signature)

    def _add_tool_call(self, delta: events_pb2.ToolCallDelta) -> None:
        for part in self.parts:
            if part.tool_call.id == delta.call_id:
                part.tool_call.arguments += delta.arguments
                return
        call = messages_pb2.ToolCall(id=delta.call_id, name=delta.name, arguments=delta.arguments)
        self.parts.append(messages_pb2.Part(tool_call=call))
        self.is_closed = True


async def read_stream(
    running: RunningServer, request: completion_pb2.CompleteRequest
) -> tuple[list[events_pb2.StreamCompleteResponse], CallFailed | None]:
    """Returns the events of a stream, and its failure if it failed."""
    events: list[events_pb2.StreamCompleteResponse] = []
    try:
        async for event in running.client().stream(request):
            events.append(event)  # noqa: PERF401 - a comprehension would lose them when the stream fails
    except CallFailed as failure:
        return events, failure
    return events, None


def check_order(events: Sequence[events_pb2.StreamCompleteResponse], failure: CallFailed | None) -> None:
    """Checks what is true for the events of every stream."""
    kinds = [event.WhichOneof("kind") for event in events]
    elapsed = [event.elapsed_ms for event in events]
    assert [event.sequence for event in events] == expected_sequences(kinds)
    assert events[0].started.response_id.startswith("rsp_")
    assert [index for index, kind in enumerate(kinds) if kind == "started"] == [0]
    assert [index for index, kind in enumerate(kinds) if kind == "completed"] == ([] if failure else [len(kinds) - 1])
    assert elapsed == sorted(elapsed)
    assert None not in kinds


def check_timings(timings: usage_pb2.Timings) -> None:
    """Checks what is true for the times of every answer."""
    total = timings.total_duration.ToNanoseconds()
    assert total > 0
    assert 0 <= timings.overhead_duration.ToNanoseconds() <= total
    assert 0 < timings.routing_duration.ToNanoseconds() <= total
    assert timings.queue_duration.ToNanoseconds() == 0
    if timings.HasField("first_token_duration"):
        assert timings.routing_duration.ToNanoseconds() <= timings.first_token_duration.ToNanoseconds() <= total


async def check_fold(running: RunningServer, request: completion_pb2.CompleteRequest) -> None:
    """Checks that `StreamComplete` and `Complete` give the same answer, or the same failure, to a request."""
    events, failure = await read_stream(running, request)
    check_order(events, failure)
    if failure is not None:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(request)
        assert select_failure_facts(failed.value) == select_failure_facts(failure)
        return

    response = await running.client().complete(request)
    delta_fold = DeltaFold()
    for event in events:
        delta_fold.add(event)
    started, completed = events[0].started, events[-1].completed
    check_timings(completed.timings)
    check_timings(response.timings)
    ids = {
        id_: f"call {number}"
        for parts in (delta_fold.parts, response.message.content)
        for number, id_ in number_call_ids(parts)
    }
    assert rename_calls(response.message.content, ids) == rename_calls(delta_fold.parts, ids)
    assert response.message.role == messages_pb2.ROLE_ASSISTANT
    assert (response.route_decision, response.model) == (started.route_decision, completed.model)
    assert (response.finish_reason, response.provider_finish_reason) == (
        completed.finish_reason,
        completed.provider_finish_reason,
    )
    assert (response.usage, response.cost) == (completed.usage, completed.cost)
    assert response.HasField("cost") == completed.HasField("cost")
    assert [attempt.failure for attempt in response.attempts] == [attempt.failure for attempt in completed.attempts]


def select_failure_facts(failure: CallFailed) -> Any:
    """Returns what both RPCs must report of a failure: all but ids, and the numbers of events, which vary."""
    assert failure.interruption is not None
    progress = failure.interruption
    return (
        failure.code,
        failure.reason,
        failure.message,
        failure.metadata,
        failure.retry_after_seconds,
        progress.usage,
        progress.cost,
        progress.attempt_count,
        progress.model_call_count,
        progress.content_characters,
    )


def number_call_ids(parts: Sequence[messages_pb2.Part]) -> list[tuple[int, str]]:
    """Returns the ids of the tool calls with their numbers, because ids made by the server differ between answers."""
    return list(enumerate(part.tool_call.id for part in parts if part.HasField("tool_call")))


def rename_calls(parts: Sequence[messages_pb2.Part], ids: dict[str, str]) -> list[messages_pb2.Part]:
    """Returns copies of the parts, with other ids of tool calls."""
    copies = []
    for part in parts:
        copy = messages_pb2.Part()
        copy.CopyFrom(part)
        if copy.HasField("tool_call"):
            copy.tool_call.id = ids[copy.tool_call.id]
        copies.append(copy)
    return copies


@PROPERTY
@given(script=SCRIPT, include=st.booleans())
async def test_complete_is_the_fold_of_the_stream(
    upstream: FakeUpstream, running_server: RunningServer, script: dict[str, Any], include: bool
) -> None:
    """Whatever the upstream answers, cut or whole, both RPCs give the same answer, and the events keep their order."""
    upstream.always.reply(*script["tokens"], **{name: value for name, value in script.items() if name != "tokens"})
    request = a_wire_request(include=completion_pb2.IncludeOptions(reasoning=include))

    await check_fold(running_server, request)


@PROPERTY
@given(
    deltas=st.lists(DELTA, max_size=12),
    finish_reason=st.sampled_from(["stop", None]),
    together=st.booleans(),
    include=st.booleans(),
)
async def test_any_order_of_deltas_is_kept(
    upstream: FakeUpstream,
    running_server: RunningServer,
    deltas: list[dict[str, Any]],
    finish_reason: str | None,
    together: bool,
    include: bool,
) -> None:
    """Deltas of all kinds may come in any order, and the parts of the answer are in the same order."""
    upstream.always.chunks(*map(chunk, deltas), finish=finish_reason, done=True, together=together)
    request = a_wire_request(include=completion_pb2.IncludeOptions(reasoning=include))

    await check_fold(running_server, request)


@settings(PROPERTY, max_examples=30)
@given(tokens=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), min_size=1, max_size=6))
async def test_text_arrives_as_it_was_sent(
    upstream: FakeUpstream, running_server: RunningServer, tokens: list[str]
) -> None:
    """No character of the answer is lost or changed, however the upstream cuts the text into chunks."""
    upstream.reply(*tokens)

    response = await running_server.client().complete(a_wire_request())

    assert [part.text for part in response.message.content] == ["".join(tokens)]


async def test_chunks_of_one_network_read_are_sent_together(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """Chunks of the same kind that arrive in one network read leave as one delta."""
    upstream.reply("a", "b", "c", reasoning=("x", "y"), together=True)
    request = a_wire_request(include=completion_pb2.IncludeOptions(reasoning=True))

    events = [event async for event in running_server.client().stream(request)]

    deltas = [(event.WhichOneof("kind"), event.reasoning_delta.text + event.content_delta.text) for event in events]
    assert deltas == [("started", ""), ("reasoning_delta", "xy"), ("content_delta", "abc"), ("completed", "")]


async def test_each_delta_is_sent_at_once(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A delta reaches the caller before the upstream sends the next chunk."""
    gate = upstream.gated("one", "two", "three")
    received = []

    async for event in running_server.client().stream(a_wire_request()):
        received.append((event.WhichOneof("kind"), event.content_delta.text, gate.steps_sent))
        gate.open()

    assert received[:4] == [
        ("started", "", 0),
        ("content_delta", "one", 1),
        ("content_delta", "two", 2),
        ("content_delta", "three", 3),
    ]
    assert [kind for kind, _, _ in received[4:]] == ["completed"]


async def test_heartbeats_fill_silence(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """Heartbeats fill the silence before and between the deltas; each repeats the number of the event before it."""
    gate = upstream.gated("one", "two")
    events: list[events_pb2.StreamCompleteResponse] = []
    beats_in_a_row = 0

    async for event in running_server.client().stream(a_wire_request(), heartbeat_seconds=0.1):
        events.append(event)
        beats_in_a_row = beats_in_a_row + 1 if event.WhichOneof("kind") == "heartbeat" else 0
        if beats_in_a_row == 2:
            gate.open()

    check_order(events, None)
    kinds = [event.WhichOneof("kind") for event in events]
    first, second = (index for index, kind in enumerate(kinds) if kind == "content_delta")
    assert kinds[1:3] == ["heartbeat", "heartbeat"]
    assert set(kinds[1:first]) == set(kinds[first + 1 : second]) == {"heartbeat"}
    assert second - first > 2
    assert {event.sequence for event in events[:first]} == {0}
    assert {event.sequence for event in events[first:second]} == {1}
    assert {event.sequence for event in events[second:-1]} == {2}
    assert events[-1].sequence == 3


async def test_a_long_interval_sends_no_heartbeats(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A stream with an hour between heartbeats has the same events as a stream without heartbeats."""
    upstream.always.reply("one", together=True)
    client = running_server.client()

    plain = [event.WhichOneof("kind") async for event in client.stream(a_wire_request())]
    rare = [event.WhichOneof("kind") async for event in client.stream(a_wire_request(), heartbeat_seconds=3600)]

    assert plain == rare == ["started", "content_delta", "completed"]


async def test_heartbeats_end_with_a_failure(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A failure during heartbeats ends the stream, and the last sequence of its interruption does not count them."""
    gate = upstream.cut_after(0, "end", gated=True)
    upstream.always.cut_after(0, "end")
    events: list[events_pb2.StreamCompleteResponse] = []

    async def read() -> None:
        async for event in running_server.client().stream(a_wire_request(), heartbeat_seconds=0.1):
            events.append(event)
            if event.WhichOneof("kind") == "heartbeat":
                gate.open_all()

    with pytest.raises(CallFailed) as failed:
        await read()

    check_order(events, failed.value)
    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INTERNAL, "UPSTREAM_EMPTY_RESPONSE")
    assert failed.value.interruption is not None
    assert failed.value.interruption.last_sequence == events[-1].sequence == 1


async def test_model_calls_are_sent_when_included(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """With `include.model_calls` each attempt has an event, and the event at the end of the call has its usage."""
    upstream.fail(503)
    upstream.reply("Hello", together=True, finish_reason="length")
    request = a_wire_request(include=completion_pb2.IncludeOptions(model_calls=True))

    events = [event async for event in running_server.client().stream(request)]

    check_order(events, None)
    kinds = [event.WhichOneof("kind") for event in events]
    assert kinds == [
        "started",
        "model_call_started",
        "attempt_switched",
        "model_call_started",
        "content_delta",
        "model_call_finished",
        "completed",
    ]
    assert [event.call for event in events] == [0, 1, 1, 1, 1, 1, 1]
    answer = usage_pb2.MODEL_CALL_PURPOSE_ANSWER
    assert events[1].model_call_started == events_pb2.ModelCallStarted(purpose=answer, model="fake", attempt=1)
    assert events[3].model_call_started == events_pb2.ModelCallStarted(purpose=answer, model="fake", attempt=2)
    assert events[5].model_call_finished == events_pb2.ModelCallFinished(
        purpose=answer,
        model="fake",
        attempt=2,
        finish_reason=completion_pb2.FINISH_REASON_LENGTH,
        provider_finish_reason="length",
        usage=usage_pb2.Usage(
            input_tokens=11,
            cached_input_tokens=3,
            output_tokens=7,
            reasoning_tokens=2,
            total_tokens=18,
            source=usage_pb2.USAGE_SOURCE_PROVIDER,
        ),
    )


async def test_events_that_are_not_included_leave_no_gap(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """Events that the caller did not request leave no gap in the sequence."""
    upstream.reply("42", reasoning=("hm",), together=True)

    events = [event async for event in running_server.client().stream(a_wire_request())]

    assert [(event.sequence, event.WhichOneof("kind")) for event in events] == [
        (0, "started"),
        (1, "content_delta"),
        (2, "completed"),
    ]


@pytest.mark.parametrize("wire_id", [pytest.param("call_x", id="given"), pytest.param("", id="made-up")])
async def test_ids_of_tool_calls_are_stable(
    upstream: FakeUpstream, running_server: RunningServer, wire_id: str
) -> None:
    """Every delta of a tool call has the id of the first one, which the server makes up if the upstream gave none."""
    first = {"tool_calls": [{"index": 0, "id": wire_id, "function": {"name": "find", "arguments": '{"q"'}}]}
    more = [{"tool_calls": [{"index": 0, "function": {"arguments": text}}]} for text in (": ", '"x"}')]
    gate = upstream.chunks(*map(chunk, (first, *more)), finish="tool_calls", done=True, gated=True)
    deltas: list[events_pb2.ToolCallDelta] = []

    async for event in running_server.client().stream(a_wire_request()):
        gate.open()
        if event.WhichOneof("kind") == "tool_call_delta":
            deltas.append(event.tool_call_delta)

    (call_id,) = {delta.call_id for delta in deltas}
    assert call_id == wire_id if wire_id else call_id.startswith("call_")
    assert [(delta.name, delta.arguments) for delta in deltas] == [("find", '{"q"'), ("", ": "), ("", '"x"}')]
    assert {delta.index for delta in deltas} == {0}
    assert json.loads("".join(delta.arguments for delta in deltas)) == {"q": "x"}


@pytest.mark.parametrize(
    ("prices", "items"),
    [
        pytest.param(
            Prices(input=150_000_000, output=600_000_000, cached_input=75_000_000),
            [("INPUT", 8, 1200), ("CACHED_INPUT", 3, 225), ("OUTPUT", 7, 4200)],
            id="every-kind-has-a-price",
        ),
        pytest.param(
            Prices(input=150_000_000, output=600_000_000),
            [("INPUT", 8, 1200), ("CACHED_INPUT", 3, 450), ("OUTPUT", 7, 4200)],
            id="cached-at-the-price-of-input",
        ),
        pytest.param(
            Prices(input=0, output=0),
            [("INPUT", 8, 0), ("CACHED_INPUT", 3, 0), ("OUTPUT", 7, 0)],
            id="free",
        ),
        pytest.param(
            Prices(input=312_500, output=500_000, cached_input=500_000),
            [("INPUT", 8, 2), ("CACHED_INPUT", 3, 2), ("OUTPUT", 7, 4)],
            id="rounded-half-to-even",
        ),
        pytest.param(
            Prices(input=150_000_000, output=600_000_000, reasoning=800_000_000),
            [("INPUT", 8, 1200), ("CACHED_INPUT", 3, 450), ("OUTPUT", 5, 3000), ("REASONING", 2, 1600)],
            id="reasoning-has-a-price",
        ),
        pytest.param(
            Prices(input=1, output=1).add_tiers({10: {"input": 150_000_000, "output": 600_000_000}}),
            [("INPUT", 8, 1200), ("CACHED_INPUT", 3, 450), ("OUTPUT", 7, 4200)],
            id="a-long-prompt",
        ),
        pytest.param(Prices(input=150_000_000), None, id="output-unknown"),
        pytest.param(Prices(output=600_000_000), None, id="input-unknown"),
        pytest.param(Prices(), None, id="unknown"),
    ],
)
async def test_an_answer_has_its_exact_cost(
    upstream: FakeUpstream, prices: Prices, items: list[tuple[str, int, int]] | None
) -> None:
    """The cost of an answer is exact in nano-dollars for each kind of token, and absent when a price is not known."""
    upstream.always.reply("Hello")

    async with serving(config_for(model_entry(upstream.api_base, prices=prices))) as running:
        response = await running.client().complete(a_wire_request())
        await check_fold(running, a_wire_request())

    assert response.HasField("cost") == (items is not None)
    reported = [
        (usage_pb2.TokenKind.Name(item.kind).removeprefix("TOKEN_KIND_"), item.tokens, item.nano_usd)
        for item in response.cost.items
    ]
    assert reported == (items or [])
    assert response.cost.total_nano_usd == sum(nano_usd for _, _, nano_usd in reported)


async def test_an_interruption_has_the_cost_so_far(upstream: FakeUpstream) -> None:
    """The interruption of a cut answer has the cost of its estimated usage."""
    upstream.cut_after(3, "end")
    prices = Prices(input=1_000_000, output=10_000_000)

    async with serving(config_for(model_entry(upstream.api_base, prices=prices))) as running:
        _, failure = await read_stream(running, a_wire_request(text="x" * 400))

    assert failure is not None
    assert failure.interruption is not None
    assert failure.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    assert [(item.tokens, item.nano_usd) for item in failure.interruption.cost.items] == [(100, 100), (5, 50)]
    assert failure.interruption.cost.total_nano_usd == 150


async def test_waiting_for_the_upstream_is_not_overhead(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """The time of waiting for the upstream counts in the total and in the first token, but not in the overhead."""
    gate = upstream.gated("one", "two")
    events: list[events_pb2.StreamCompleteResponse] = []

    async for event in running_server.client().stream(a_wire_request(), heartbeat_seconds=0.1):
        events.append(event)
        if event.WhichOneof("kind") == "heartbeat":
            gate.open()

    check_timings(events[-1].completed.timings)
    timings = events[-1].completed.timings
    wait_nanoseconds = 2 * 0.1e9
    assert timings.first_token_duration.ToNanoseconds() >= wait_nanoseconds / 2
    assert timings.total_duration.ToNanoseconds() >= wait_nanoseconds
    assert timings.overhead_duration.ToNanoseconds() <= timings.total_duration.ToNanoseconds() - wait_nanoseconds
