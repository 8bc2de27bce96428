"""`route_cases` sends labelled prompts, and the report has the right figures."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.evaluation.case_reader import Case
from reasoning_grpc.evaluation.routing import ONE_ATTEMPT, Outcome, route_cases
from reasoning_grpc.evaluation.routing_figures import Latency, RoutingReport, Share, Tokens
from reasoning_grpc.evaluation.routing_report import build_routing_report
from reasoning_grpc.evaluation.statistics import compute_wilson_interval
from reasoning_grpc.v1 import errors_pb2, routing_pb2, usage_pb2
from reasoning_grpc.v1.completion_pb2 import CompleteRequest
from reasoning_grpc.v1.messages_pb2 import ROLE_USER, Message, Part
from tests.support.scripted_router import Script, build_decision, read_last_text, serve_script
from tests.support.serving import RunningServer

P: Final = "passthrough"
R: Final = "reasoning"


def build_cases(*labels: str, tags: tuple[str, ...] = ()) -> list[Case]:
    """Returns a case for each label, whose text is its index and the label: "0 reasoning"."""
    return [
        Case(str(place), label, (Message(role=ROLE_USER, content=[Part(text=f"{place} {label}")]),), tags)
        for place, label in enumerate(labels)
    ]


async def route_with(script: Script, cases: Sequence[Case], concurrency: int = 3) -> list[Outcome]:
    """Lets a scripted server route the cases, and returns the outcomes."""
    async with serve_script(script) as router, ReasoningClient(router.address, options=ONE_ATTEMPT) as client:
        return await route_cases(client, cases, concurrency=concurrency)


async def report_on(script: Script, cases: Sequence[Case]) -> RoutingReport:
    """Lets a scripted server route the cases, and returns the report."""
    return build_routing_report(await route_with(script, cases))


def read_label(request: CompleteRequest) -> str:
    """Returns the route that the request's text names."""
    return read_last_text(request).split()[1]


def build_share(hits: int, total: int) -> Share:
    """Returns a share with its interval."""
    return Share(hits, total, hits / total, compute_wilson_interval(hits, total))


async def test_each_case_is_sent_once() -> None:
    """Each case is sent once with mode and model, `on_outcome` follows each, and outcomes keep the cases' order."""
    counted: list[None] = []
    cases = build_cases(*[P, R] * 10)

    async with (
        serve_script(lambda request: build_decision(read_label(request))) as router,
        ReasoningClient(router.address, options=ONE_ATTEMPT) as client,
    ):
        outcomes = await route_cases(
            client, cases, mode=routing_pb2.ROUTING_MODE_AUTO, model="m", on_outcome=lambda: counted.append(None)
        )

    assert [outcome.case for outcome in outcomes] == cases
    assert all(outcome.is_right and outcome.seconds for outcome in outcomes)
    assert len(counted) == len(cases)
    assert {(request.model, request.routing.mode) for request in router.requests} == {
        ("m", routing_pb2.ROUTING_MODE_AUTO)
    }
    assert sorted(map(read_last_text, router.requests)) == sorted(case.messages[0].content[0].text for case in cases)


async def test_without_a_price_there_is_no_cost() -> None:
    """When the cost of one decision is unknown, the report has no cost."""

    def script(request: CompleteRequest) -> routing_pb2.RouteDecision:
        return build_decision(P, nano_usd=None if read_last_text(request).startswith("0") else 500)

    report = await report_on(script, build_cases(P, P))

    assert (report.tokens.decisions, report.cost_nano_usd) == (2, None)


async def test_a_report_counts_rightly() -> None:
    """Every figure of a report on known answers is what a person would count by hand."""

    def script(request: CompleteRequest) -> routing_pb2.RouteDecision | None:
        place = int(read_last_text(request).split()[0])
        match place:
            case 3:
                return None
            case 4:
                return build_decision(P, milliseconds=300)
            case 5:
                fallback = build_decision(P, milliseconds=2000, input_tokens=0)
                fallback.source = routing_pb2.ROUTE_SOURCE_CLASSIFIER_FALLBACK
                fallback.classification.failure = errors_pb2.ERROR_REASON_UPSTREAM_TIMEOUT
                fallback.classification.usage.source = usage_pb2.USAGE_SOURCE_ESTIMATED
                return fallback
            case 6:
                return routing_pb2.RouteDecision(route=R, source=routing_pb2.ROUTE_SOURCE_CACHE)
            case 7:
                other = build_decision("other", nano_usd=500)
                other.source = routing_pb2.ROUTE_SOURCE_CLASSIFIER_FALLBACK
                other.classification.flaw = errors_pb2.ANSWER_FLAW_REFUSED
                return other
            case _:
                return build_decision(read_label(request))

    # The expected routes are P P P P R R R R; the actual ones P P P failed, P P(fallback) R(cache) other.
    report = await report_on(script, build_cases(P, P, P, P, R, R, R, R, tags=("multi-turn",)))

    assert report.accuracy == build_share(4, 8)
    assert report.confusion == {P: {"other": 0, P: 3, R: 0}, R: {"other": 1, P: 2, R: 1}}
    assert (report.failed, report.failures) == ({P: 1}, {"SERVER_OVERLOADED": 1})
    assert report.fallbacks == {"REFUSED": 1, "UPSTREAM_TIMEOUT": 1}
    assert report.sources == {
        "CACHE": build_share(1, 1),
        "CLASSIFIER": build_share(3, 4),
        "CLASSIFIER_FALLBACK": build_share(0, 2),
    }
    assert report.tags == {"multi-turn": build_share(4, 8)}
    figures = {route: (each.precision, each.recall, each.f1, each.support) for route, each in report.routes.items()}
    assert figures == {
        P: (build_share(3, 5), build_share(3, 4), pytest.approx(2 / 3), 4),
        R: (build_share(1, 1), build_share(1, 4), pytest.approx(0.4), 4),
        "other": (build_share(0, 1), None, 0.0, 0),
    }
    assert report.classifier_latency == Latency(6, 0.1, 2.0, 2.0, 2.0)
    assert report.call_latency is not None
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
    """A router that always chooses the default has the accuracy of both controls."""
    report = await report_on(lambda _: build_decision(P), build_cases(*[P] * 30, *[R] * 10))

    always, shuffled = report.controls.always_default, report.controls.shuffled
    assert report.accuracy == always.accuracy == build_share(30, 40)
    assert (always.gain.difference, always.gain.p_value) == (0, 1)
    assert (shuffled.expected, shuffled.interval.low, shuffled.interval.high, shuffled.p_value) == (0.75, 0.75, 0.75, 1)


async def test_a_router_that_is_right_beats_the_controls() -> None:
    """A router that is always right differs significantly from both controls."""
    report = await report_on(lambda request: build_decision(read_label(request)), build_cases(*[P, R] * 20))

    always, shuffled = report.controls.always_default, report.controls.shuffled
    assert report.accuracy == build_share(40, 40)
    assert (always.accuracy, always.gain.difference) == (build_share(20, 40), 0.5)
    assert always.gain.interval.low > 0.3
    assert always.gain.p_value == pytest.approx(2 / 2**20)
    assert (shuffled.expected, shuffled.p_value) == (0.5, 1 / 2001)


async def test_calls_that_fail_are_wrong() -> None:
    """Failed calls count as wrong answers, so that answering only one half gives half the accuracy."""
    report = await report_on(
        lambda request: build_decision(P) if read_label(request) == P else None, build_cases(*[P, R] * 10)
    )

    assert report.accuracy == build_share(10, 20)
    assert report.failures == {"SERVER_OVERLOADED": 10}
    assert (report.controls.always_default.gain.difference, report.controls.always_default.gain.p_value) == (0, 1)


async def test_the_default_route_can_be_chosen() -> None:
    """The control uses the default route that the caller of the report chooses."""
    outcomes = await route_with(lambda _: build_decision(R), build_cases(P, R, R, R))

    always = build_routing_report(outcomes, default_route=R).controls.always_default

    assert (always.route, always.accuracy, always.gain.difference) == (R, build_share(3, 4), 0)


async def test_a_report_without_a_classifier() -> None:
    """A report on decisions without a classifier has no classifier's latency and no tokens."""
    decision = routing_pb2.RouteDecision(route=P, source=routing_pb2.ROUTE_SOURCE_DEFAULT)

    report = await report_on(lambda _: decision, build_cases(P))

    assert (report.classifier_latency, report.classifier_models) == (None, [])
    assert report.tokens == Tokens(input=0, output=0, decisions=0, estimated=False)


async def test_values_of_a_newer_server_are_numbers() -> None:
    """A source and a failure that these stubs do not know are reported as their numbers."""
    decision = build_decision(P)
    decision.source, decision.classification.failure = 99, 999  # type: ignore[assignment]

    report = await report_on(lambda _: decision, build_cases(P))

    assert (list(report.sources), report.fallbacks) == (["99"], {"999": 1})


async def test_the_report_is_json() -> None:
    """A report can be written as JSON, with the names of its fields."""
    report = await report_on(lambda _: build_decision(P), build_cases(P, R))

    decoded = json.loads(json.dumps(dataclasses.asdict(report)))

    assert decoded["accuracy"]["hits"] == 1
    assert decoded["controls"]["always_default"]["gain"].keys() == {"difference", "interval", "p_value"}
    assert decoded["prompts"][1]["taken"] == P


async def test_without_a_server_the_first_call_fails() -> None:
    """Without a server the failure of the first call is raised, and there is no second call."""
    counted: list[None] = []
    async with ReasoningClient("127.0.0.1:1") as client:
        with pytest.raises(CallFailed) as failed:
            await route_cases(client, build_cases(P, R, P), on_outcome=lambda: counted.append(None))

    assert (failed.value.code, failed.value.reason, len(counted)) == (grpc.StatusCode.UNAVAILABLE, "", 1)


async def test_without_any_answer_the_failure_is_raised() -> None:
    """When a server refuses every prompt, its failure is raised instead of a report."""
    async with serve_script(lambda _: None) as router, ReasoningClient(router.address, options=ONE_ATTEMPT) as client:
        with pytest.raises(CallFailed) as failed:
            await route_cases(client, build_cases(P, R, P))

    assert failed.value.reason == "SERVER_OVERLOADED"
    assert len(router.requests) == 3


async def test_our_own_server_is_measured(running_server: RunningServer) -> None:
    """The report on our own server has the decisions of the real router, here for the requested mode."""
    outcomes = await route_cases(
        running_server.client(), build_cases(P, R, P, P), mode=routing_pb2.ROUTING_MODE_PASSTHROUGH, concurrency=2
    )

    report = build_routing_report(outcomes)

    assert report.accuracy == build_share(3, 4)
    assert list(report.sources) == ["REQUEST"]
