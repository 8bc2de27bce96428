"""The measure of a router: what is asked, and every figure of the report."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.evaluation.cases import Case
from reasoning_grpc.evaluation.routing import ONE_ATTEMPT, Outcome, route_cases
from reasoning_grpc.evaluation.routing_report import Latency, RoutingReport, Share, Tokens, routing_report
from reasoning_grpc.evaluation.statistics import wilson_interval
from reasoning_grpc.v1 import errors_pb2, routing_pb2, usage_pb2
from reasoning_grpc.v1.completion_pb2 import CompleteRequest
from reasoning_grpc.v1.messages_pb2 import ROLE_USER, Message, Part
from tests.support.scripted_router import Script, classified, routing_by, text_of
from tests.support.serving import RunningServer

P: Final = "passthrough"
R: Final = "reasoning"


def cases_of(*labels: str, tags: tuple[str, ...] = ()) -> list[Case]:
    """A case for each label; the text is its place and the label: "0 reasoning"."""
    return [
        Case(str(place), label, (Message(role=ROLE_USER, content=[Part(text=f"{place} {label}")]),), tags)
        for place, label in enumerate(labels)
    ]


async def outcomes_of(script: Script, cases: Sequence[Case], concurrency: int = 3) -> list[Outcome]:
    """What a scripted server does with the cases."""
    async with routing_by(script) as router, ReasoningClient(router.address, options=ONE_ATTEMPT) as client:
        return await route_cases(client, cases, concurrency=concurrency)


async def report_of(script: Script, cases: Sequence[Case]) -> RoutingReport:
    """The report on a scripted server."""
    return routing_report(await outcomes_of(script, cases))


def label_of(request: CompleteRequest) -> str:
    """The route that the request's text names."""
    return text_of(request).split()[1]


def share(hits: int, total: int) -> Share:
    """A share with its interval."""
    return Share(hits, total, hits / total, wilson_interval(hits, total))


async def test_what_is_asked() -> None:
    """Each conversation once, for the mode and model, with a count after each; the order is that of the cases."""
    counted: list[None] = []
    cases = cases_of(*[P, R] * 10)

    async with (
        routing_by(lambda request: classified(label_of(request))) as router,
        ReasoningClient(router.address, options=ONE_ATTEMPT) as client,
    ):
        outcomes = await route_cases(
            client, cases, mode=routing_pb2.ROUTING_MODE_AUTO, model="m", on_outcome=lambda: counted.append(None)
        )

    assert [outcome.case for outcome in outcomes] == cases
    assert all(outcome.is_right and outcome.seconds > 0 for outcome in outcomes)
    assert len(counted) == len(cases)
    assert {(request.model, request.routing.mode) for request in router.requests} == {
        ("m", routing_pb2.ROUTING_MODE_AUTO)
    }
    assert sorted(map(text_of, router.requests)) == sorted(case.messages[0].content[0].text for case in cases)


async def test_a_price_that_is_not_known() -> None:
    """A cost that is told of some decisions alone is not the cost."""

    def script(request: CompleteRequest) -> routing_pb2.RouteDecision:
        return classified(P, nano_usd=None if text_of(request).startswith("0") else 500)

    report = await report_of(script, cases_of(P, P))

    assert (report.tokens.decisions, report.cost_nano_usd) == (2, None)


async def test_a_report_of_known_answers() -> None:
    """Every count is what a person would count by hand."""

    def script(request: CompleteRequest) -> routing_pb2.RouteDecision | None:
        place = int(text_of(request).split()[0])
        match place:
            case 3:
                return None
            case 4:
                return classified(P, milliseconds=300)
            case 5:
                fallback = classified(P, milliseconds=2000, input_tokens=0)
                fallback.source = routing_pb2.ROUTE_SOURCE_CLASSIFIER_FALLBACK
                fallback.classification.failure = errors_pb2.ERROR_REASON_UPSTREAM_TIMEOUT
                fallback.classification.usage.source = usage_pb2.USAGE_SOURCE_ESTIMATED
                return fallback
            case 6:
                return routing_pb2.RouteDecision(route=R, source=routing_pb2.ROUTE_SOURCE_CACHE)
            case 7:
                other = classified("other", nano_usd=500)
                other.source = routing_pb2.ROUTE_SOURCE_CLASSIFIER_FALLBACK
                other.classification.flaw = errors_pb2.ANSWER_FLAW_REFUSED
                return other
            case _:
                return classified(label_of(request))

    # Expected P P P P, R R R R; taken P P P failed, P P(fallback) R(cache) other.
    report = await report_of(script, cases_of(P, P, P, P, R, R, R, R, tags=("multi-turn",)))

    assert report.accuracy == share(4, 8)
    assert report.confusion == {P: {"other": 0, P: 3, R: 0}, R: {"other": 1, P: 2, R: 1}}
    assert (report.failed, report.failures) == ({P: 1}, {"SERVER_OVERLOADED": 1})
    assert report.fallbacks == {"REFUSED": 1, "UPSTREAM_TIMEOUT": 1}
    assert report.sources == {"CACHE": share(1, 1), "CLASSIFIER": share(3, 4), "CLASSIFIER_FALLBACK": share(0, 2)}
    assert report.tags == {"multi-turn": share(4, 8)}
    figures = {route: (each.precision, each.recall, each.f1, each.support) for route, each in report.routes.items()}
    assert figures == {
        P: (share(3, 5), share(3, 4), pytest.approx(2 / 3), 4),
        R: (share(1, 1), share(1, 4), pytest.approx(0.4), 4),
        "other": (share(0, 1), None, 0.0, 0),
    }
    assert report.classifier_latency == Latency(6, 0.1, 2.0, 2.0, 2.0)
    assert report.call_latency.count == 8
    assert report.tokens == Tokens(input=250, output=24, decisions=6, estimated=True)
    assert report.cost_nano_usd == 5500
    assert report.classifier_models == ["small"]
    assert [(each.id, each.taken, each.source, each.failure) for each in report.prompts][3:6] == [
        ("3", None, "", "SERVER_OVERLOADED"),
        ("4", P, "CLASSIFIER", ""),
        ("5", P, "CLASSIFIER_FALLBACK", "UPSTREAM_TIMEOUT"),
    ]


async def test_a_router_that_always_takes_the_default_gains_nothing() -> None:
    """Its accuracy is that of the label's mix, and both controls are exactly as good."""
    report = await report_of(lambda _: classified(P), cases_of(*[P] * 30, *[R] * 10))

    always, shuffled = report.controls.always_default, report.controls.shuffled
    assert report.accuracy == always.accuracy == share(30, 40)
    assert (always.gain.difference, always.gain.p_value) == (0, 1)
    assert (shuffled.expected, shuffled.interval.low, shuffled.interval.high, shuffled.p_value) == (0.75, 0.75, 0.75, 1)


async def test_a_router_that_is_right_beats_the_controls() -> None:
    """The difference from each control is far from 0, and cannot be chance."""
    report = await report_of(lambda request: classified(label_of(request)), cases_of(*[P, R] * 20))

    always, shuffled = report.controls.always_default, report.controls.shuffled
    assert report.accuracy == share(40, 40)
    assert (always.accuracy, always.gain.difference) == (share(20, 40), 0.5)
    assert always.gain.interval.low > 0.3
    assert always.gain.p_value == pytest.approx(2 / 2**20)
    assert (shuffled.expected, shuffled.p_value) == (0.5, 1 / 2001)


async def test_calls_that_fail_are_wrong() -> None:
    """Whoever answers only the easy half is no better than half right."""
    report = await report_of(lambda request: classified(P) if label_of(request) == P else None, cases_of(*[P, R] * 10))

    assert report.accuracy == share(10, 20)
    assert report.failures == {"SERVER_OVERLOADED": 10}
    assert (report.controls.always_default.gain.difference, report.controls.always_default.gain.p_value) == (0, 1)


async def test_another_default_route() -> None:
    """The control takes the route that it is told to take."""
    outcomes = await outcomes_of(lambda _: classified(R), cases_of(P, R, R, R))

    always = routing_report(outcomes, default_route=R).controls.always_default

    assert (always.route, always.accuracy, always.gain.difference) == (R, share(3, 4), 0)


async def test_no_classifier_was_asked() -> None:
    """There is no latency of a classifier, and no token."""
    decision = routing_pb2.RouteDecision(route=P, source=routing_pb2.ROUTE_SOURCE_DEFAULT)

    report = await report_of(lambda _: decision, cases_of(P))

    assert (report.classifier_latency, report.classifier_models) == (None, [])
    assert report.tokens == Tokens(input=0, output=0, decisions=0, estimated=False)


async def test_values_of_a_newer_server() -> None:
    """A source and a failure that these stubs do not know are told by their numbers."""
    decision = classified(P)
    decision.source, decision.classification.failure = 99, 999  # type: ignore[assignment]

    report = await report_of(lambda _: decision, cases_of(P))

    assert (list(report.sources), report.fallbacks) == (["99"], {"999": 1})


async def test_the_report_is_json() -> None:
    """Its fields are plain values, under their own names."""
    report = await report_of(lambda _: classified(P), cases_of(P, R))

    told = json.loads(json.dumps(dataclasses.asdict(report)))

    assert told["accuracy"]["hits"] == 1
    assert told["controls"]["always_default"]["gain"].keys() == {"difference", "interval", "p_value"}
    assert told["prompts"][1]["taken"] == P


async def test_nobody_answers() -> None:
    """The first call says so; there is no second."""
    counted: list[None] = []
    async with ReasoningClient("127.0.0.1:1") as client:
        with pytest.raises(CallFailed) as told:
            await route_cases(client, cases_of(P, R, P), on_outcome=lambda: counted.append(None))

    assert (told.value.code, told.value.reason, len(counted)) == (grpc.StatusCode.UNAVAILABLE, "", 1)


async def test_no_prompt_is_answered() -> None:
    """A server that refuses every prompt gives no figures, but its reason."""
    async with routing_by(lambda _: None) as router, ReasoningClient(router.address, options=ONE_ATTEMPT) as client:
        with pytest.raises(CallFailed) as told:
            await route_cases(client, cases_of(P, R, P))

    assert told.value.reason == "SERVER_OVERLOADED"
    assert len(router.requests) == 3


async def test_our_own_server_is_measured(running_server: RunningServer) -> None:
    """The decisions of the real router, here for the mode that is asked for."""
    outcomes = await route_cases(
        running_server.client(), cases_of(P, R, P, P), mode=routing_pb2.ROUTING_MODE_PASSTHROUGH, concurrency=2
    )

    report = routing_report(outcomes)

    assert report.accuracy == share(3, 4)
    assert list(report.sources) == ["REQUEST"]
