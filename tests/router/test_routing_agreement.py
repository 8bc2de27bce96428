"""`Classify` runs the code of `Complete`: whatever is asked, every method decides the same, or refuses the same."""

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
OPTION: Final = "top_a"
"""An option of a provider that only the model "big" takes."""

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
ANSWERED: Final = frozenset({"passthrough", "careful"})
CALLERS: Final = {
    name: CallerEntry(name=name, token_hash=hash_token(name), allowed_routes=routes, allowed_models=models)
    for name, routes, models in (
        ("billing", None, None),
        ("narrow", ANSWERED, None),
        ("single", frozenset({"careful"}), None),
        ("small", ANSWERED, frozenset({"fake", "small"})),
    )
}
SAID: Final = (
    *(json.dumps({"route": name}) for name in ("passthrough", "reasoning", "careful", "research")),
    '{"route": "orchestration"}',
    '{"route": "passthrough", "sure": true}',
    "I would say passthrough.",
    "",
)
"""What the judge says, one of them for each conversation."""


def said(body: Mapping[str, Any]) -> str:
    """What the judge says of a conversation: always the same, asked once or again."""
    digest = hashlib.sha256(json.dumps(body["messages"]).encode()).digest()
    return SAID[digest[0] % len(SAID)]


def rarely(unusual: st.SearchStrategy[Any], usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly the usual."""
    return st.sampled_from([usual, usual, usual, usual, usual, unusual]).flatmap(lambda strategy: strategy)


def text_part(text: str) -> messages_pb2.Part:
    """A text."""
    return messages_pb2.Part(text=text)


SENTENCES: Final = ["hi", "yes", "Prove it.", "Translate: chat", "</conversation>", "\x00\u202e"]
WORDS: Final = st.sampled_from(SENTENCES) | st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
PICTURE: Final = messages_pb2.Part(media=messages_pb2.Media(mime_type="image/png", data=b"x"))
CALL: Final = messages_pb2.Part(tool_call=messages_pb2.ToolCall(id="c", name="f", arguments="{}"))
RESULT: Final = messages_pb2.Part(tool_result=messages_pb2.ToolResult(call_id="c", content="3"))
SPEAKERS: Final = st.sampled_from([messages_pb2.ROLE_USER, messages_pb2.ROLE_ASSISTANT, messages_pb2.ROLE_SYSTEM])
SPOKEN: Final = st.builds(
    lambda role, texts: messages_pb2.Message(role=role, content=map(text_part, texts)),
    SPEAKERS,
    st.lists(WORDS, min_size=1, max_size=2),
)
OTHERS: Final = st.sampled_from(
    [
        messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[text_part("See."), PICTURE]),
        messages_pb2.Message(role=messages_pb2.ROLE_ASSISTANT, content=[CALL]),
        messages_pb2.Message(role=messages_pb2.ROLE_TOOL, content=[RESULT]),
        messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[text_part("")]),
    ]
)
MESSAGE: Final = rarely(OTHERS, SPOKEN)
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
    model=rarely(MODEL, st.just("")),
    tools=rarely(st.just([completion_pb2.Tool(name="f")]), st.just([])),
    response_format=rarely(FORMAT, st.none()),
    routing=AUTOMATIC | st.none() | ROUTING,
    fallback_models=rarely(st.lists(MODEL, max_size=2), st.just([])),
    labels=rarely(st.sampled_from([{"tier": "free"}, {"tier": "paid"}]), st.just({})),
    provider_options=rarely(st.just({OPTION: "1"}), st.just({})),
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
class Told:
    """What a method makes of a request: a decision, a refusal, or a refusal with the decision that it follows from."""

    route: routing_pb2.RouteDecision | None
    refusal: tuple[Any, ...] | None = None

    @property
    def source(self) -> routing_pb2.RouteSource.ValueType:
        """What decided."""
        return routing_pb2.ROUTE_SOURCE_UNSPECIFIED if self.route is None else self.route.source


def timeless(decision: routing_pb2.RouteDecision) -> routing_pb2.RouteDecision:
    """The decision but for how long it took."""
    copy = routing_pb2.RouteDecision()
    copy.CopyFrom(decision)
    if copy.HasField("classification"):
        copy.classification.ClearField("latency")
    return copy


def refused(failure: CallFailed) -> Told:
    """The refusal, as far as every method must tell it."""
    route = None if failure.route_decision is None else timeless(failure.route_decision)
    return Told(route, (failure.code, failure.reason, failure.message, failure.metadata, failure.violations))


async def told(call: Any) -> Told:
    """What a call with one answer comes to."""
    try:
        return Told(timeless((await call).route_decision))
    except grpc.aio.AioRpcError as error:
        return refused(CallFailed(error))


async def told_by_events(call: Any) -> Told:
    """What a stream comes to: the decision in the first of its events."""
    try:
        started, *_ = [event.started async for event in call]
    except grpc.aio.AioRpcError as error:
        return refused(CallFailed(error))
    return Told(timeless(started.route_decision))


@dataclass(frozen=True)
class Methods:
    """What every method makes of one request."""

    classify: Told
    complete: Told
    stream: Told
    rules: Told


async def ask_every_method(
    running: RunningServer, judge: FakeUpstream, request: completion_pb2.CompleteRequest, metadata: Mapping[str, str]
) -> Methods:
    """Asks them one after the other; by rules alone, nobody asks the judge."""
    stub: Any = running.stub
    pairs = tuple(metadata.items())
    classify = await told(stub.Classify(classification_pb2.ClassifyRequest(request=request), metadata=pairs))
    complete = await told(stub.Complete(request, metadata=pairs))
    streamed = events_pb2.StreamCompleteRequest(request=request)
    stream = await told_by_events(stub.StreamComplete(streamed, metadata=pairs))
    asked = len(judge.requests)
    by_rules = classification_pb2.ClassifyRequest(request=request, rules_only=True)
    rules = await told(stub.Classify(by_rules, metadata=pairs))
    assert len(judge.requests) == asked
    return Methods(classify, complete, stream, rules)


def check_answering(classify: Told, answer: Told, request: completion_pb2.CompleteRequest) -> None:
    """What a method that answers tells, where `Classify` told this of the same request."""
    decision = classify.route
    if classify.refusal is not None or decision is None:
        assert answer == classify
    elif request.provider_options and {decision.model, *request.fallback_models} != {"big"}:
        assert answer.refusal is not None
        assert answer.refusal[1] == "UNSUPPORTED_PARAMETER"
        assert {violation.field for violation in answer.refusal[-1]} == {f"provider_options[{OPTION}]"}
    else:
        assert answer == classify


def remembered(told: Told) -> Told:
    """The same decision, when it is taken from the cache."""
    if told.route is None or told.source != CLASSIFIER:
        return told
    copy = timeless(told.route)
    copy.ClearField("classification")
    copy.source, copy.reason = CACHE, "The classifier chose it before, for the same conversation."
    return Told(copy, told.refusal)


def undecided(rules: Told) -> routing_pb2.RouteDecision:
    """What rules alone leave to a classifier."""
    assert rules.route is not None
    assert rules.refusal is None
    assert (rules.route.route, rules.route.mode) == ("auto", routing_pb2.ROUTING_MODE_AUTO)
    classification = rules.route.classification
    assert classification.skipped
    assert (classification.failure, classification.flaw, classification.failure_detail) == (0, 0, "")
    assert not classification.HasField("usage")
    assert rules.source not in {CLASSIFIER, FALLBACK, CACHE}
    return rules.route


def check_rules(classify: Told, rules: Told) -> None:
    """What rules alone decide, where the judge, who remembers nothing, was asked otherwise."""
    if classify.source in {CLASSIFIER, FALLBACK}:
        left = undecided(rules)
        assert classify.route is not None
        assert (left.rule_id, left.classification.model) == (classify.route.rule_id, "judge")
        assert left.classification.routes == classify.route.classification.routes
    else:
        assert rules == classify


def configured(upstream: FakeUpstream, judge: FakeUpstream, default_mode: RoutingMode, **classifier: Any) -> Config:
    """A configuration of everything that routes; its judge has all the time it needs."""
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


def script(judge: FakeUpstream, fails: bool) -> None:
    """Has the judge fail, or answer by what it is shown."""
    if fails:
        judge.always.fail(500)
    else:
        judge.always.reply_by(said)


@pytest.fixture(params=[RoutingMode.PASSTHROUGH, RoutingMode.AUTO], ids=["passthrough", "auto"])
async def forgetful(
    request: pytest.FixtureRequest, upstream: FakeUpstream, judge: FakeUpstream
) -> AsyncIterator[RunningServer]:
    """A server of this default mode that asks the judge every time."""
    async with serving(configured(upstream, judge, request.param, cache_entries=0)) as running:
        yield running


@pytest.fixture
async def remembering(upstream: FakeUpstream, judge: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server that remembers what the judge said."""
    async with serving(configured(upstream, judge, RoutingMode.AUTO)) as running:
        yield running


@PROPERTY
@given(request=REQUEST, metadata=METADATA, judge_fails=JUDGE_FAILS)
async def test_every_method_decides_the_same(
    forgetful: RunningServer,
    judge: FakeUpstream,
    request: completion_pb2.CompleteRequest,
    metadata: dict[str, str],
    judge_fails: bool,
) -> None:
    """Whatever is asked, by whom, and whatever the judge says, the decisions or refusals are equal."""
    script(judge, judge_fails)

    methods = await ask_every_method(forgetful, judge, request, metadata)

    assert methods.classify.source != CACHE
    check_answering(methods.classify, methods.complete, request)
    check_answering(methods.classify, methods.stream, request)
    check_rules(methods.classify, methods.rules)


@PROPERTY
@given(request=REQUEST, metadata=METADATA, judge_fails=JUDGE_FAILS)
async def test_a_cache_changes_no_decision(
    remembering: RunningServer,
    judge: FakeUpstream,
    request: completion_pb2.CompleteRequest,
    metadata: dict[str, str],
    judge_fails: bool,
) -> None:
    """What the classifier said once is taken from the cache by every method, rules alone too; the rest is equal."""
    script(judge, judge_fails)

    methods = await ask_every_method(remembering, judge, request, metadata)

    again = remembered(methods.classify)
    check_answering(again, methods.complete, request)
    check_answering(again, methods.stream, request)
    if again.source == FALLBACK:
        undecided(methods.rules)
    else:
        assert methods.rules == again
