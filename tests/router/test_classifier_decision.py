"""The decision of the classifier, and its usage and events in the answer."""

from reasoning_grpc.v1 import completion_pb2, routing_pb2, usage_pb2
from tests.support.classification import (
    ANSWER,
    AUTO,
    CLASSIFIER,
    NO_CACHE,
    PASSTHROUGH,
    REASONING,
    REPAIR,
    ROUTING,
    classify,
    collect_events,
    list_kinds,
    write_choice,
)
from tests.support.factories import a_wire_request
from tests.support.serving import judging_config, serving
from tests.support.upstream import FakeUpstream


async def test_the_decision_describes_the_classification(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The decision has the model, the routes, the time, the cost and the rejected routes of the classification."""
    judge.reply(write_choice("passthrough"))

    async with serving(judging_config(upstream, judge)) as running:
        decision = await classify(running, **AUTO)

    work = decision.classification
    assert work.latency.ToTimedelta().total_seconds() > 0
    work.ClearField("latency")
    assert decision == routing_pb2.RouteDecision(
        route="passthrough",
        mode=PASSTHROUGH,
        model="fake",
        source=CLASSIFIER,
        reason="The classifier chose it.",
        classification=routing_pb2.Classification(
            model="judge",
            routes=["passthrough", "reasoning"],
            usage=usage_pb2.Usage(
                input_tokens=11,
                cached_input_tokens=3,
                output_tokens=7,
                reasoning_tokens=2,
                total_tokens=18,
                source=usage_pb2.USAGE_SOURCE_PROVIDER,
            ),
            cost=work.cost,
        ),
        rejected_routes=[
            routing_pb2.RejectedRoute(
                route="reasoning",
                cause=routing_pb2.ROUTE_REJECTION_CAUSE_NOT_CHOSEN,
                reason="The classifier chose another.",
            )
        ],
    )
    assert work.cost.total_nano_usd == 11 * 1000 + 7 * 2000


async def test_the_answer_has_the_decision_and_its_usage(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """`started` and `CompleteResponse` have the decision, and the usage of routing is a model call of its own."""
    judge.always.reply(write_choice("passthrough"))

    async with serving(judging_config(upstream, judge, classifier=NO_CACHE)) as running:
        answer = await running.client().complete(a_wire_request(**AUTO))
        events = await collect_events(running, **AUTO)

    assert [answer.route_decision.source, events[0].started.route_decision.source] == [CLASSIFIER, CLASSIFIER]
    completed = events[-1].completed
    for end in (answer, completed):
        usage, cost = end.usage, end.cost
        assert [(each.call, each.purpose, each.model) for each in end.model_calls] == [
            (1, ROUTING, "judge"),
            (2, ANSWER, "fake"),
        ]
        assert (usage.input_tokens, usage.output_tokens, cost.total_nano_usd) == (22, 14, 2 * 25_000)
    routing = completed.timings.routing_duration.ToTimedelta()
    assert routing <= completed.timings.first_token_duration.ToTimedelta()
    assert routing >= events[0].started.route_decision.classification.latency.ToTimedelta()


async def test_the_events_of_routing_come_after_started(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The events of the routing's model calls follow `started`, with the numbers of their calls."""
    judge.reply("Hm.")
    judge.reply(write_choice("passthrough"))

    async with serving(judging_config(upstream, judge)) as running:
        events = await collect_events(running, **AUTO)

    assert list_kinds(events) == [
        "started",
        *("model_call_started", "model_call_finished") * 2,
        "model_call_started",
        *("content_delta",) * 2,
        "model_call_finished",
        "completed",
    ]
    purposes = [event.model_call_started.purpose for event in events if event.HasField("model_call_started")]
    assert purposes == [ROUTING, REPAIR, ANSWER]
    assert [event.call for event in events[1:-1]] == [1, 1, 2, 2, 3, 3, 3, 3]
    assert [event.sequence for event in events] == list(range(len(events)))


async def test_events_of_routing_need_model_calls(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """No event of the classifier's work is sent unless the request includes model calls."""
    judge.reply(write_choice("passthrough"), reasoning=("Let me see.",))

    async with serving(judging_config(upstream, judge)) as running:
        request = a_wire_request(include=completion_pb2.IncludeOptions(reasoning=True), **AUTO)
        events = [event async for event in running.client().stream(request)]

    assert list_kinds(events) == ["started", "content_delta", "content_delta", "completed"]


async def test_the_classifier_can_choose_the_agent(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """`Classify` returns the decision for the agent, and `Complete` acts on it."""
    judge.always.reply(write_choice("reasoning"))

    async with serving(judging_config(upstream, judge, classifier=NO_CACHE)) as running:
        alone = await classify(running, **AUTO)
        answer = await running.client().complete(a_wire_request(**AUTO))

    assert (alone.route, alone.mode, alone.source) == ("reasoning", REASONING, CLASSIFIER)
    assert (answer.route_decision.route, answer.route_decision.source) == ("reasoning", CLASSIFIER)
    assert answer.HasField("reasoning_finished")
    assert answer.model_calls[0].purpose == ROUTING
