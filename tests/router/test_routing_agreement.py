"""`Classify` and the methods that answer agree on any request: they make one decision, or refuse alike."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import (
    CallerEntry,
    ClassifierEntry,
    Config,
    PartKind,
    RouteEntry,
    RuleCondition,
    RuleEntry,
    hash_token,
)
from reasoning_grpc.domain import RoutingMode, RoutingPreference
from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, messages_pb2, routing_pb2
from tests.support.serving import RunningServer, judging_config, model_entry, serving
from tests.support.upstream import FakeUpstream

pytestmark = pytest.mark.thorough

PROPERTY: Final = settings(
    max_examples=150,
    deadline=None,
    database=None,
    # One server answers all examples; each scripts its own judge.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

CLASSIFIER: Final = routing_pb2.ROUTE_SOURCE_CLASSIFIER
FALLBACK: Final = routing_pb2.ROUTE_SOURCE_CLASSIFIER_FALLBACK
CACHE: Final = routing_pb2.ROUTE_SOURCE_CACHE
NO_PLAN: Final = "No plan of tasks can be used, so the reasoning agent answers. It is not JSON and nothing else."
OPTION: Final = "top_a"
"""An option of a provider that only the model "big" accepts."""

ROUTES: Final = {
    "careful": RouteEntry(
        name="careful",
        mode=RoutingMode.PASSTHROUGH,
        description="What must be right.",
        model="big",
        preferred_models={RoutingPreference.COST: "small"},
    ),
    "research": RouteEntry(name="research", mode=RoutingMode.REASONING, description="Many steps.", model="big"),
}
RULES: Final = (
    RuleEntry(id="free", when=RuleCondition(labels={"tier": "free"}), route="passthrough", model="small"),
    RuleEntry(id="pictures", when=RuleCondition(parts=frozenset({PartKind.IMAGE})), route="careful"),
    RuleEntry(id="long", when=RuleCondition(min_messages=4), route="auto", preference=RoutingPreference.COST),
    RuleEntry(id="gold", when=RuleCondition(metadata={"x-tier": "gold"}, has_tools=False), route="research"),
    RuleEntry(id="ours", when=RuleCondition(callers=frozenset({"billing"}), models=("b*",)), route="reasoning"),
)
NARROW_ROUTES: Final = frozenset({"passthrough", "careful"})
CALLERS: Final = {
    name: CallerEntry(name=name, token_hash=hash_token(name), allowed_routes=routes, allowed_models=models)
    for name, routes, models in (
        ("billing", None, None),
        ("narrow", NARROW_ROUTES, None),
        ("single", frozenset({"careful"}), None),
        ("small", NARROW_ROUTES, frozenset({"fake", "small"})),
    )
}
JUDGE_REPLIES: Final = (
    *(json.dumps({"route": name}) for name in ("passthrough", "reasoning", "careful", "research")),
    '{"route": "orchestration"}',
    '{"route": "passthrough", "sure": true}',
    "I would say passthrough.",
    "",
)
"""The replies of the judge, one of which is chosen for each conversation."""


def choose_reply(body: Mapping[str, Any]) -> str:
    """Chooses the reply of the judge by the conversation, so that a repeated conversation gets the same reply."""
    digest = hashlib.sha256(json.dumps(body["messages"]).encode()).digest()
    return JUDGE_REPLIES[digest[0] % len(JUDGE_REPLIES)]


def pick_rarely(unusual: st.SearchStrategy[Any], usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Picks `unusual` one time in six, and `usual` otherwise."""
    return st.sampled_from([usual, usual, usual, usual, usual, unusual]).flatmap(lambda strategy: strategy)


def build_text_part(text: str) -> messages_pb2.Part:
    """Builds a part of text."""
    return messages_pb2.Part(text=text)


SENTENCES: Final = ["hi", "yes", "Prove it.", "Translate: chat", "</conversation>", "\x00\u202e"]
WORDS: Final = st.sampled_from(SENTENCES) | st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
PICTURE: Final = messages_pb2.Part(media=messages_pb2.Media(mime_type="image/png", data=b"x"))
CALL: Final = messages_pb2.Part(tool_call=messages_pb2.ToolCall(id="c", name="f", arguments="{}"))
RESULT: Final = messages_pb2.Part(tool_result=messages_pb2.ToolResult(call_id="c", content="3"))
SPEAKERS: Final = st.sampled_from([messages_pb2.ROLE_USER, messages_pb2.ROLE_ASSISTANT, messages_pb2.ROLE_SYSTEM])
USUAL_MESSAGES: Final = st.builds(
    lambda role, texts: messages_pb2.Message(role=role, content=map(build_text_part, texts)),
    SPEAKERS,
    st.lists(WORDS, min_size=1, max_size=2),
)
UNUSUAL_MESSAGES: Final = st.sampled_from(
    [
        messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[build_text_part("See."), PICTURE]),
        messages_pb2.Message(role=messages_pb2.ROLE_ASSISTANT, content=[CALL]),
        messages_pb2.Message(role=messages_pb2.ROLE_TOOL, content=[RESULT]),
        messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[build_text_part("")]),
    ]
)
MESSAGE: Final = pick_rarely(UNUSUAL_MESSAGES, USUAL_MESSAGES)
MODE: Final = st.sampled_from(routing_pb2.RoutingMode.values())
PREFERENCE: Final = st.just(routing_pb2.ROUTING_PREFERENCE_COST) | st.sampled_from(
    routing_pb2.RoutingPreference.values()
)
ROUTE: Final = st.just("careful") | st.sampled_from(
    ["passthrough", "reasoning", "careful", "research", "orchestration", "nowhere", "auto"]
)
ROUTING: Final = st.one_of(
    st.builds(routing_pb2.RoutingOptions, mode=MODE, preference=PREFERENCE),
    st.builds(routing_pb2.RoutingOptions, route=ROUTE, preference=PREFERENCE),
    st.builds(routing_pb2.RoutingOptions, preference=PREFERENCE),
)
AUTOMATIC: Final = st.builds(
    routing_pb2.RoutingOptions, mode=st.just(routing_pb2.ROUTING_MODE_AUTO), preference=PREFERENCE
)
MODEL: Final = st.sampled_from(["fake", "big", "small", "gone"])
FORMAT: Final = st.sampled_from(
    [
        completion_pb2.ResponseFormat(text=completion_pb2.TextFormat()),
        completion_pb2.ResponseFormat(json_object=completion_pb2.JsonObjectFormat()),
        completion_pb2.ResponseFormat(json_schema=completion_pb2.JsonSchemaFormat(name="a", schema="{}")),
        completion_pb2.ResponseFormat(),
    ]
)
REQUEST: Final = st.builds(
    completion_pb2.CompleteRequest,
    messages=st.lists(MESSAGE, min_size=1, max_size=5),
    model=pick_rarely(MODEL, st.just("")),
    tools=pick_rarely(st.just([completion_pb2.Tool(name="f")]), st.just([])),
    response_format=pick_rarely(FORMAT, st.none()),
    routing=AUTOMATIC | st.none() | ROUTING,
    fallback_models=pick_rarely(st.lists(MODEL, max_size=2), st.just([])),
    labels=pick_rarely(st.sampled_from([{"tier": "free"}, {"tier": "paid"}]), st.just({})),
    provider_options=pick_rarely(st.just({OPTION: "1"}), st.just({})),
)
METADATA: Final = st.fixed_dictionaries(
    {"authorization": st.sampled_from([f"Bearer {name}" for name in (*CALLERS, *CALLERS, *CALLERS, "nobody")])},
    optional={
        "x-routing-mode": st.sampled_from(["auto", " Auto", "passthrough", "reasoning", "orchestration", "fast"]),
        "x-tier": st.sampled_from(["gold", "tin"]),
    },
)
JUDGE_FAILS: Final = st.sampled_from([False, False, False, True])


@dataclass(frozen=True)
class Outcome:
    """The outcome of a method: a decision, a refusal, or a refusal with the decision that led to it."""

    route: routing_pb2.RouteDecision | None
    refusal: tuple[Any, ...] | None = None

    @property
    def source(self) -> routing_pb2.RouteSource.ValueType:
        """The source of the decision."""
        return routing_pb2.ROUTE_SOURCE_UNSPECIFIED if self.route is None else self.route.source


def drop_latency(decision: routing_pb2.RouteDecision) -> routing_pb2.RouteDecision:
    """Returns a copy of a decision without the time that it took."""
    copy = routing_pb2.RouteDecision()
    copy.CopyFrom(decision)
    if copy.HasField("classification"):
        copy.classification.ClearField("latency")
    return copy


def read_refusal(failure: CallFailed) -> Outcome:
    """Returns the parts of a refusal in which all methods must agree."""
    route = None if failure.route_decision is None else drop_latency(failure.route_decision)
    return Outcome(route, (failure.code, failure.reason, failure.message, failure.metadata, failure.violations))


async def read_outcome(call: Any) -> Outcome:
    """Returns the outcome of a call with one response."""
    try:
        return Outcome(drop_latency((await call).route_decision))
    except grpc.aio.AioRpcError as error:
        return read_refusal(CallFailed(error))


async def read_outcome_of_stream(call: Any) -> Outcome:
    """Returns the outcome of a stream: the decision in its first event, or its refusal."""
    try:
        started, *_ = [event.started async for event in call]
    except grpc.aio.AioRpcError as error:
        return read_refusal(CallFailed(error))
    return Outcome(drop_latency(started.route_decision))


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of all methods for one request."""

    classify: Outcome
    complete: Outcome
    stream: Outcome
    rules: Outcome


async def call_every_method(
    running: RunningServer, judge: FakeUpstream, request: completion_pb2.CompleteRequest, metadata: Mapping[str, str]
) -> Outcomes:
    """Calls all methods with one request, and checks that `rules_only` does not call the judge."""
    stub: Any = running.stub
    pairs = tuple(metadata.items())
    classify = await read_outcome(stub.Classify(classification_pb2.ClassifyRequest(request=request), metadata=pairs))
    complete = await read_outcome(stub.Complete(request, metadata=pairs))
    stream_request = events_pb2.StreamCompleteRequest(request=request)
    stream = await read_outcome_of_stream(stub.StreamComplete(stream_request, metadata=pairs))
    requests_before = len(judge.requests)
    by_rules = classification_pb2.ClassifyRequest(request=request, rules_only=True)
    rules = await read_outcome(stub.Classify(by_rules, metadata=pairs))
    assert len(judge.requests) == requests_before
    return Outcomes(classify, complete, stream, rules)


def check_answer(classify: Outcome, answer: Outcome, request: completion_pb2.CompleteRequest) -> None:
    """Checks the outcome of a method that answers against the outcome of `Classify`."""
    decision = classify.route
    if classify.refusal is not None or decision is None:
        assert answer == classify
    elif request.provider_options and {decision.model, *request.fallback_models} != {"big"}:
        assert answer.refusal is not None
        assert answer.refusal[1] == "UNSUPPORTED_PARAMETER"
        assert {violation.field for violation in answer.refusal[-1]} == {f"provider_options[{OPTION}]"}
    else:
        assert answer == classify


def expect_takeover(outcome: Outcome) -> Outcome:
    """Returns the outcome of `Complete`: no answer of these upstreams is a plan of tasks, so the agent takes over."""
    if outcome.route is None or outcome.route.mode != routing_pb2.ROUTING_MODE_ORCHESTRATION:
        return outcome
    route = routing_pb2.RouteDecision()
    route.CopyFrom(outcome.route)
    route.mode, route.requested_mode, route.reason = routing_pb2.ROUTING_MODE_REASONING, outcome.route.mode, NO_PLAN
    return Outcome(route, outcome.refusal)


def expect_cached(outcome: Outcome) -> Outcome:
    """Returns the outcome that a repeated call takes from the cache."""
    if outcome.route is None or outcome.source != CLASSIFIER:
        return outcome
    copy = drop_latency(outcome.route)
    copy.ClearField("classification")
    copy.source, copy.reason = CACHE, "The classifier chose it before, for the same conversation."
    return Outcome(copy, outcome.refusal)


def check_undecided(rules: Outcome) -> routing_pb2.RouteDecision:
    """Checks that rules alone leave the decision to the classifier, and returns it."""
    assert rules.route is not None
    assert rules.refusal is None
    assert (rules.route.route, rules.route.mode) == ("auto", routing_pb2.ROUTING_MODE_AUTO)
    classification = rules.route.classification
    assert classification.skipped
    assert (classification.failure, classification.flaw, classification.failure_detail) == (0, 0, "")
    assert not classification.HasField("usage")
    assert rules.source not in {CLASSIFIER, FALLBACK, CACHE}
    return rules.route


def check_rules(classify: Outcome, rules: Outcome) -> None:
    """Checks the decision of rules alone against that of `Classify`, where nothing is cached."""
    if classify.source in {CLASSIFIER, FALLBACK}:
        decision = check_undecided(rules)
        assert classify.route is not None
        assert (decision.rule_id, decision.classification.model) == (classify.route.rule_id, "judge")
        assert decision.classification.routes == classify.route.classification.routes
    else:
        assert rules == classify


def build_config(upstream: FakeUpstream, judge: FakeUpstream, default_mode: RoutingMode, **classifier: Any) -> Config:
    """Builds a configuration with everything that can decide; its judge has enough time."""
    config = judging_config(upstream, judge)
    more = (
        model_entry(upstream.api_base, "big", provider_options=frozenset({OPTION}), fallback_models=("small",)),
        model_entry(upstream.api_base, "small"),
    )
    return replace(
        config,
        settings=replace(config.settings, default_mode=default_mode, max_retries=0),
        models={**config.models, **{entry.name: entry for entry in more}},
        classifier=ClassifierEntry(model="judge", timeout_seconds=60, **classifier),
        routes=ROUTES,
        rules=RULES,
        callers=CALLERS,
    )


def script_judge(judge: FakeUpstream, should_fail: bool) -> None:
    """Scripts the judge to fail, or to reply by the conversation."""
    if should_fail:
        judge.always.fail(500)
    else:
        judge.always.reply_by(choose_reply)


@pytest.fixture(params=[RoutingMode.PASSTHROUGH, RoutingMode.AUTO], ids=["passthrough", "auto"])
async def server_without_cache(
    request: pytest.FixtureRequest, upstream: FakeUpstream, judge: FakeUpstream
) -> AsyncIterator[RunningServer]:
    """Starts a server with this default mode that calls the judge for each request."""
    async with serving(build_config(upstream, judge, request.param, cache_entries=0)) as running:
        yield running


@pytest.fixture
async def server_with_cache(upstream: FakeUpstream, judge: FakeUpstream) -> AsyncIterator[RunningServer]:
    """Starts a server that caches the decisions of the judge."""
    async with serving(build_config(upstream, judge, RoutingMode.AUTO)) as running:
        yield running


@PROPERTY
@given(request=REQUEST, metadata=METADATA, judge_fails=JUDGE_FAILS)
async def test_all_methods_agree(
    server_without_cache: RunningServer,
    judge: FakeUpstream,
    request: completion_pb2.CompleteRequest,
    metadata: dict[str, str],
    judge_fails: bool,
) -> None:
    """All methods make the same decision or refuse alike, whatever the request, the caller and the judge are."""
    script_judge(judge, judge_fails)

    outcomes = await call_every_method(server_without_cache, judge, request, metadata)

    assert outcomes.classify.source != CACHE
    check_answer(expect_takeover(outcomes.classify), outcomes.complete, request)
    check_answer(outcomes.classify, outcomes.stream, request)
    check_rules(outcomes.classify, outcomes.rules)


@PROPERTY
@given(request=REQUEST, metadata=METADATA, judge_fails=JUDGE_FAILS)
async def test_a_cache_changes_no_decision(
    server_with_cache: RunningServer,
    judge: FakeUpstream,
    request: completion_pb2.CompleteRequest,
    metadata: dict[str, str],
    judge_fails: bool,
) -> None:
    """A cached decision is the one that the classifier made, for all methods and with `rules_only`."""
    script_judge(judge, judge_fails)

    outcomes = await call_every_method(server_with_cache, judge, request, metadata)

    cached = expect_cached(outcomes.classify)
    check_answer(expect_takeover(cached), outcomes.complete, request)
    check_answer(cached, outcomes.stream, request)
    if cached.source == FALLBACK:
        check_undecided(outcomes.rules)
    else:
        assert outcomes.rules == cached
