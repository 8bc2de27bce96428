"""The automatic mode: what the classifier is asked, what comes of its answers, and what stands in when it fails."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import (
    CallerEntry,
    ClassifierEntry,
    Config,
    ProxyEntry,
    RouteEntry,
    RuleCondition,
    RuleEntry,
    hash_token,
)
from reasoning_grpc.domain import Capability, RoutingMode
from reasoning_grpc.v1 import (
    classification_pb2,
    completion_pb2,
    errors_pb2,
    events_pb2,
    messages_pb2,
    routing_pb2,
    usage_pb2,
)
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import (
    RunningServer,
    config_for,
    judging_config,
    model_entry,
    provider_entry,
    serving,
)
from tests.support.upstream import CapturedRequest, FakeToolCall, FakeUpstream, refusing_api_base

PASSTHROUGH: Final = routing_pb2.ROUTING_MODE_PASSTHROUGH
REASONING: Final = routing_pb2.ROUTING_MODE_REASONING
AUTO: Final[dict[str, Any]] = {"routing": routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_AUTO)}
CLASSIFIER: Final = routing_pb2.ROUTE_SOURCE_CLASSIFIER
FALLBACK: Final = routing_pb2.ROUTE_SOURCE_CLASSIFIER_FALLBACK
CACHE: Final = routing_pb2.ROUTE_SOURCE_CACHE
ROUTING: Final = usage_pb2.MODEL_CALL_PURPOSE_ROUTING
REPAIR: Final = usage_pb2.MODEL_CALL_PURPOSE_REPAIR
ANSWER: Final = usage_pb2.MODEL_CALL_PURPOSE_ANSWER

ROUTES: Final = {
    "careful": RouteEntry(name="careful", mode=RoutingMode.PASSTHROUGH, description="What must be right."),
    "research": RouteEntry(name="research", mode=RoutingMode.REASONING, description="Many sources."),
}
CALLERS: Final = {
    name: CallerEntry(name=name, token_hash=hash_token(name), allowed_routes=routes)
    for name, routes in {
        "all": None,
        "plain": frozenset({"passthrough"}),
        "thinking": frozenset({"reasoning", "careful"}),
        "nothing": frozenset({"orchestration"}),
    }.items()
}
NO_CACHE: Final = ClassifierEntry(model="judge", cache_entries=0)


def says(route: str) -> str:
    """The answer of a classifier that chooses this route."""
    return json.dumps({"route": route})


def schema_of(*routes: str) -> dict[str, Any]:
    """All that a provider may see of the schema, and all of it."""
    return {
        "type": "object",
        "properties": {"route": {"type": "string", "enum": list(routes)}},
        "required": ["route"],
        "additionalProperties": False,
    }


def with_big(config: Config, upstream: FakeUpstream) -> Config:
    """The configuration, and a model of its own for the route "careful"."""
    careful = replace(ROUTES["careful"], model="big")
    models = {**config.models, "big": model_entry(upstream.api_base, "big")}
    return replace(config, models=models, routes={**ROUTES, "careful": careful})


async def classified(
    running: RunningServer, token: str = "all", *, rules_only: bool = False, metadata: Any = (), **fields: Any
) -> routing_pb2.RouteDecision:
    """The decision that `Classify` tells."""
    stub: Any = running.stub
    asked = classification_pb2.ClassifyRequest(request=a_wire_request(**fields), rules_only=rules_only)
    told = await stub.Classify(asked, metadata=(("authorization", f"Bearer {token}"), *metadata))
    decision: routing_pb2.RouteDecision = told.route_decision
    return decision


async def streamed(running: RunningServer, **fields: Any) -> list[events_pb2.StreamCompleteResponse]:
    """Every event of an answer, those of model calls too."""
    stub: Any = running.stub
    include = completion_pb2.IncludeOptions(model_calls=True)
    return [event async for event in stub.StreamComplete(a_stream_request(include=include, **fields))]


def kinds(events: list[events_pb2.StreamCompleteResponse]) -> list[str]:
    """What happened, in order."""
    return [str(event.WhichOneof("kind")) for event in events]


def prompt_of(request: CapturedRequest) -> tuple[str, list[dict[str, str]]]:
    """The instructions that the classifier got, and the messages of the conversation that it was shown."""
    system, user = request.body["messages"][:2]
    assert (system["role"], user["role"]) == ("system", "user")
    first, *lines, last = user["content"].splitlines()
    assert (first, last) == ("<conversation>", "</conversation>")
    return system["content"], [json.loads(line) for line in lines]


# What goes over the wire.


async def test_what_the_classifier_is_asked(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """One small call: instructions, the conversation as data, and a strict schema of the routes' names."""
    judge.reply(says("reasoning"))

    async with serving(judging_config(upstream, judge, routes=ROUTES)) as running:
        await classified(running, text="Plan my week.", end_user="user-1", **AUTO)

    (request,) = judge.requests
    prompt, conversation = prompt_of(request)
    assert {name: value for name, value in request.body.items() if name != "messages"} == {
        "model": "judge",
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "route",
                "schema": schema_of("passthrough", "reasoning", "careful", "research"),
                "strict": True,
            },
        },
        "temperature": 0.0,
        "max_tokens": 1024,
        "user": "user-1",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert "- careful: What must be right.\n- research: Many sources.\n" in prompt
    assert "orchestration" not in request.raw.decode()
    assert conversation == [{"role": "user", "text": "Plan my week."}]
    assert upstream.requests == []


async def test_a_model_without_schemas_gets_it_in_the_prompt(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Then JSON is asked for, and the schema stands in the instructions."""
    entry = model_entry(judge.api_base, "judge", capabilities=frozenset({Capability.JSON_OBJECT}))
    judge.reply(says("passthrough"))

    config = config_for(model_entry(upstream.api_base), entry)
    async with serving(replace(config, classifier=ClassifierEntry(model="judge"))) as running:
        decision = await classified(running, **AUTO)

    prompt, _ = prompt_of(judge.requests[0])
    assert judge.requests[0].body["response_format"] == {"type": "json_object"}
    assert prompt.endswith(json.dumps(schema_of("passthrough", "reasoning")))
    assert (decision.route, decision.source) == ("passthrough", CLASSIFIER)


@pytest.mark.parametrize("provider", ["hosted_vllm", "anthropic", "gemini"])
async def test_a_classifier_that_litellm_translates_for(
    upstream: FakeUpstream, judge: FakeUpstream, provider: str
) -> None:
    """Its answer decides too, and its tokens are told."""
    schemas = frozenset({Capability.JSON_SCHEMA})
    name = {"anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-pro"}.get(provider, "judge")
    entry = provider_entry(judge, provider, "judge", litellm_model=f"{provider}/{name}", capabilities=schemas)
    judge.reply(says("reasoning"))

    config = config_for(model_entry(upstream.api_base), entry)
    async with serving(replace(config, classifier=ClassifierEntry(model="judge"))) as running:
        decision = await classified(running, **AUTO)

    assert (decision.route, decision.mode, decision.source) == ("reasoning", REASONING, CLASSIFIER)
    assert decision.classification.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert json.dumps(["passthrough", "reasoning"]) in judge.requests[0].raw.decode().replace('","', '", "')


async def test_a_prompt_of_ones_own(upstream: FakeUpstream, judge: FakeUpstream, tmp_path: Path) -> None:
    """It is sent as it is, with the routes where it wants them."""
    file = tmp_path / "prompt.txt"
    file.write_text('Sort, {"as": "you like"}:\n{routes}\nThank you: \u00e9.', "utf-8")
    judge.reply(says("passthrough"))

    entry = ClassifierEntry(model="judge", prompt_file=file)
    async with serving(judging_config(upstream, judge, classifier=entry)) as running:
        await classified(running, **AUTO)

    prompt, _ = prompt_of(judge.requests[0])
    assert prompt.startswith('Sort, {"as": "you like"}:\n- passthrough: Anything')
    assert prompt.endswith("proofs.\nThank you: \u00e9.")


async def test_the_window_is_bounded(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """So many messages, so many characters; what a short last word answers to is among them."""
    judge.always.reply(says("reasoning"))
    texts = ["old", "Shall I compare all twelve suppliers?", "yes"]
    messages = [
        messages_pb2.Message(role=role, content=[messages_pb2.Part(text=text)])
        for role, text in zip(
            (messages_pb2.ROLE_USER, messages_pb2.ROLE_ASSISTANT, messages_pb2.ROLE_USER), texts, strict=True
        )
    ]

    entry = ClassifierEntry(model="judge", window_messages=2, window_characters=200)
    async with serving(judging_config(upstream, judge, classifier=entry)) as running:
        await classified(running, messages=messages, **AUTO)
        await classified(running, text="x" * 300_000, **AUTO)

    assert prompt_of(judge.requests[0])[1] == [
        {"role": "assistant", "text": texts[1]},
        {"role": "user", "text": "yes"},
    ]
    assert len(prompt_of(judge.requests[1])[1][0]["text"]) < 200


@pytest.mark.parametrize(("tokens", "asked"), [(256, False), (1024, True), (128_000, True)])
async def test_a_small_context(upstream: FakeUpstream, judge: FakeUpstream, tokens: int, asked: bool) -> None:
    """What is shown fits into the window of the classifier's model; where nothing would, it is not asked."""
    judge.always.reply(says("reasoning"))
    config = judging_config(upstream, judge)
    small = replace(config.models["judge"], context_window_tokens=tokens)

    async with serving(replace(config, models={**config.models, "judge": small})) as running:
        decision = await classified(running, text="x9Q" * 70_000, **AUTO)

    assert decision.source == (CLASSIFIER if asked else FALLBACK)
    assert [len(request.raw) < min(4 * tokens, 8000) for request in judge.requests] == [True] * asked
    if not asked:
        assert decision.classification.failure == errors_pb2.ERROR_REASON_CONTEXT_WINDOW_EXCEEDED


# What comes of its answer.


async def test_the_decision_of_the_classifier(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """It says who was asked about what, how long it took, what it cost, and what was not taken."""
    judge.reply(says("passthrough"))

    async with serving(judging_config(upstream, judge)) as running:
        decision = await classified(running, **AUTO)

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


async def test_the_answer_carries_the_decision(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """`started` and `CompleteResponse` have it; the tokens of routing are part of the answer's, and told apart."""
    judge.always.reply(says("passthrough"))

    async with serving(judging_config(upstream, judge, classifier=NO_CACHE)) as running:
        answer = await running.client().complete(a_wire_request(**AUTO))
        events = await streamed(running, **AUTO)

    assert [answer.route_decision.source, events[0].started.route_decision.source] == [CLASSIFIER, CLASSIFIER]
    completed = events[-1].completed
    for told in (answer, completed):
        usage, cost = told.usage, told.cost
        assert [(each.call, each.purpose, each.model) for each in told.model_calls] == [
            (1, ROUTING, "judge"),
            (2, ANSWER, "fake"),
        ]
        assert (usage.input_tokens, usage.output_tokens, cost.total_nano_usd) == (22, 14, 2 * 25_000)
    routing = completed.timings.routing_duration.ToTimedelta()
    assert routing <= completed.timings.first_token_duration.ToTimedelta()
    assert routing >= events[0].started.route_decision.classification.latency.ToTimedelta()


async def test_the_events_of_routing_come_after_started(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """They happened before it, and `started` is first; each knows its model call."""
    judge.reply("Hm.")
    judge.reply(says("passthrough"))

    async with serving(judging_config(upstream, judge)) as running:
        events = await streamed(running, **AUTO)

    assert kinds(events) == [
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


async def test_without_asking_for_them_they_stay_out(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Nothing of the classifier's work is among the events."""
    judge.reply(says("passthrough"), reasoning=("Let me see.",))

    async with serving(judging_config(upstream, judge)) as running:
        request = a_wire_request(include=completion_pb2.IncludeOptions(reasoning=True), **AUTO)
        events = [event async for event in running.client().stream(request)]

    assert kinds(events) == ["started", "content_delta", "content_delta", "completed"]


async def test_the_agent_answers_where_the_classifier_sends_it(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """`Classify` tells the decision, and the methods that answer act on it."""
    judge.always.reply(says("reasoning"))

    async with serving(judging_config(upstream, judge, classifier=NO_CACHE)) as running:
        told = await classified(running, **AUTO)
        answer = await running.client().complete(a_wire_request(**AUTO))

    assert (told.route, told.mode, told.source) == ("reasoning", REASONING, CLASSIFIER)
    assert (answer.route_decision.route, answer.route_decision.source) == ("reasoning", CLASSIFIER)
    assert answer.HasField("reasoning_finished")
    assert answer.model_calls[0].purpose == ROUTING


# Who asks for it, and what it may choose.


@pytest.mark.parametrize("asked_by", ["metadata", "default", "rule"])
async def test_whoever_asks_for_auto(upstream: FakeUpstream, judge: FakeUpstream, asked_by: str) -> None:
    """The classifier is asked; a rule that sent the request to it is named, and so is what it overrode."""
    judge.reply(says("careful"))
    rule = RuleEntry(id="ask", when=RuleCondition(labels={"a": "b"}), route="auto")
    metadata = (("x-routing-mode", "auto"),) if asked_by == "metadata" else ()
    mode = RoutingMode.AUTO if asked_by == "default" else RoutingMode.PASSTHROUGH
    fields: dict[str, Any] = (
        {"labels": {"a": "b"}, "routing": routing_pb2.RoutingOptions(mode=REASONING)} if asked_by == "rule" else {}
    )

    config = with_big(judging_config(upstream, judge, routes=ROUTES, rules=(rule,)), upstream)
    async with serving(replace(config, settings=replace(config.settings, default_mode=mode))) as running:
        decision = await classified(running, metadata=metadata, **fields)

    assert (decision.route, decision.mode, decision.model) == ("careful", PASSTHROUGH, "big")
    assert (decision.source, decision.rule_id) == (CLASSIFIER, "ask" if asked_by == "rule" else "")
    assert decision.requested_mode == (REASONING if asked_by == "rule" else 0)


async def test_the_model_that_is_asked_for_stays(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The route's own model is for requests that name none."""
    judge.reply(says("careful"))

    async with serving(with_big(judging_config(upstream, judge, routes=ROUTES), upstream)) as running:
        decision = await classified(running, model="fake", **AUTO)

    assert (decision.route, decision.model) == ("careful", "fake")


async def test_a_caller_is_offered_what_it_may_take(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """No other route is in the schema, in the prompt, or in the decision."""
    judge.reply(says("careful"))

    config = with_big(judging_config(upstream, judge, routes=ROUTES, callers=CALLERS), upstream)
    async with serving(config) as running:
        decision = await classified(running, "thinking", **AUTO)

    schema = judge.requests[0].body["response_format"]["json_schema"]["schema"]
    assert schema == schema_of("reasoning", "careful")
    assert "- research:" not in prompt_of(judge.requests[0])[0]
    assert list(decision.classification.routes) == ["reasoning", "careful"]
    assert [each.route for each in decision.rejected_routes] == ["reasoning"]


async def test_where_there_is_one_route_nobody_is_asked(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A question with one answer costs nothing."""
    async with serving(judging_config(upstream, judge, routes=ROUTES, callers=CALLERS)) as running:
        decision = await classified(running, "plain", **AUTO)

    assert decision == routing_pb2.RouteDecision(
        route="passthrough",
        mode=PASSTHROUGH,
        model="fake",
        source=routing_pb2.ROUTE_SOURCE_REQUEST,
        reason="It is the only route that this request may take.",
    )
    assert judge.requests == []


async def test_a_route_whose_model_is_not_the_callers(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """It is not offered; where there is no other, the refusal names the model, and nobody was asked."""
    token = {name: hash_token(name) for name in ("one", "none")}
    callers = {
        "one": CallerEntry(name="one", token_hash=token["one"], allowed_models=frozenset({"fake"})),
        "none": CallerEntry(name="none", token_hash=token["none"], allowed_models=frozenset({"judge"})),
    }
    judge.reply(says("research"))

    async with serving(with_big(judging_config(upstream, judge, callers=callers), upstream)) as running:
        decision = await classified(running, "one", **AUTO)
        with pytest.raises(CallFailed) as failed:
            await running.client(token="none").complete(a_wire_request(**AUTO))

    assert list(decision.classification.routes) == ["passthrough", "reasoning", "research"]
    assert (failed.value.reason, failed.value.metadata) == ("MODEL_NOT_ALLOWED", {"model": "fake"})
    assert len(judge.requests) == 1


async def test_where_there_is_no_route_the_caller_is_refused(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A caller whose only routes cannot be served is told so."""
    async with serving(judging_config(upstream, judge, callers=CALLERS)) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client(token="nothing").complete(a_wire_request(**AUTO))

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROUTE_NOT_ALLOWED")
    assert failed.value.metadata == {"route": "auto"}
    assert judge.requests == []


async def test_the_agent_is_not_offered_for_the_callers_tools(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A rule may send a request with tools to the classifier, which then chooses among what can run them."""
    judge.reply(says("careful"))
    rule = RuleEntry(id="ask", when=RuleCondition(has_tools=True), route="auto")

    config = with_big(judging_config(upstream, judge, routes=ROUTES, rules=(rule,)), upstream)
    async with serving(config) as running:
        decision = await classified(running, tools=[completion_pb2.Tool(name="f")])

    assert list(decision.classification.routes) == ["passthrough", "careful"]
    unable = (routing_pb2.ROUTE_REJECTION_CAUSE_CALLER_TOOLS, "The reasoning agent cannot run the caller's own tools.")
    assert {(each.route, each.cause, each.reason) for each in decision.rejected_routes} == {
        ("reasoning", *unable),
        ("research", *unable),
        ("passthrough", routing_pb2.ROUTE_REJECTION_CAUSE_NOT_CHOSEN, "The classifier chose another."),
    }


@pytest.mark.parametrize("fields", [{"model": "nobody"}, {"fallback_models": ["nobody"]}], ids=["model", "fallback"])
async def test_nobody_is_asked_about_what_cannot_be_answered(
    upstream: FakeUpstream, judge: FakeUpstream, fields: dict[str, Any]
) -> None:
    """A model that is not there is told before anything is spent."""
    async with serving(judging_config(upstream, judge)) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(a_wire_request(**AUTO, **fields))

    assert (failed.value.reason, failed.value.metadata["model"]) == ("MODEL_NOT_FOUND", "nobody")
    assert judge.requests == []


async def test_rules_alone(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Where the classifier would be asked, `rules_only` says who, and what it would have to choose from."""
    async with serving(judging_config(upstream, judge, routes=ROUTES)) as running:
        decision = await classified(running, rules_only=True, **AUTO)

    assert decision == routing_pb2.RouteDecision(
        route="auto",
        mode=routing_pb2.ROUTING_MODE_AUTO,
        source=routing_pb2.ROUTE_SOURCE_REQUEST,
        reason="The request asks for this mode.",
        classification=routing_pb2.Classification(
            model="judge", routes=["passthrough", "reasoning", "careful", "research"], skipped=True
        ),
    )
    assert judge.requests == []


# The cache.


async def test_the_same_conversation_is_asked_once(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The second time the decision is remembered, by rules alone too; another conversation is another question."""
    judge.always.reply(says("passthrough"))

    async with serving(judging_config(upstream, judge)) as running:
        first = await classified(running, text="one", **AUTO)
        second = await classified(running, text="one", **AUTO)
        by_rules = await classified(running, text="one", rules_only=True, **AUTO)
        other = await classified(running, text="two", **AUTO)

    assert [each.source for each in (first, second, by_rules, other)] == [CLASSIFIER, CACHE, CACHE, CLASSIFIER]
    assert second == by_rules
    assert not second.HasField("classification")
    assert (second.route, second.reason) == (
        "passthrough",
        "The classifier chose it before, for the same conversation.",
    )
    assert len(judge.requests) == 2


async def test_callers_share_no_answers(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """What one caller asked, another cannot find out; and each has its own routes."""
    judge.always.reply(says("reasoning"))

    config = with_big(judging_config(upstream, judge, routes=ROUTES, callers=CALLERS), upstream)
    async with serving(config) as running:
        decisions = [await classified(running, token, **AUTO) for token in ("all", "thinking", "all")]

    assert [each.source for each in decisions] == [CLASSIFIER, CLASSIFIER, CACHE]


async def test_without_a_cache_everything_is_asked(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """`cache_entries = 0` remembers nothing."""
    judge.always.reply(says("passthrough"))

    async with serving(judging_config(upstream, judge, classifier=NO_CACHE)) as running:
        decisions = [await classified(running, **AUTO) for _ in range(2)]

    assert [each.source for each in decisions] == [CLASSIFIER, CLASSIFIER]


async def test_a_failure_is_not_remembered(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The next request asks again."""
    judge.fail(400)
    judge.reply(says("reasoning"))

    async with serving(judging_config(upstream, judge)) as running:
        decisions = [await classified(running, **AUTO) for _ in range(2)]

    assert [each.source for each in decisions] == [FALLBACK, CLASSIFIER]


# When it fails.

BAD: Final[dict[str, tuple[dict[str, Any], str, int]]] = {
    "not JSON": ({"pieces": ["I would say reasoning."]}, "NOT_JSON", 2),
    "fenced JSON": ({"pieces": ["```json\n", says("reasoning"), "\n```"]}, "NOT_JSON", 2),
    "two answers": ({"pieces": [says("reasoning") * 2]}, "NOT_JSON", 2),
    "extra keys": ({"pieces": ['{"route": "reasoning", "why": "so"}']}, "WRONG_SHAPE", 2),
    "out of the enum": ({"pieces": [says("orchestration")]}, "WRONG_SHAPE", 2),
    "in another case": ({"pieces": [says("Reasoning")]}, "WRONG_SHAPE", 2),
    "another type": ({"pieces": ['{"route": ["reasoning"]}']}, "WRONG_SHAPE", 2),
    "no object": ({"pieces": ['"reasoning"']}, "WRONG_SHAPE", 2),
    "a tool call": ({"pieces": [], "tool_calls": [FakeToolCall("c", "route", "{}")]}, "WRONG_SHAPE", 1),
    "empty": ({"pieces": [], "finish_reason": "stop"}, "EMPTY", 1),
    "white space": ({"pieces": [" \n"]}, "EMPTY", 1),
    "cut": ({"pieces": ['{"rou'], "finish_reason": "length"}, "TRUNCATED", 2),
    "endless": ({"pieces": [says("reasoning")[:-1] + " " * 5000]}, "TRUNCATED", 2),
    "a refusal": ({"pieces": [], "refusal": "I will not."}, "REFUSED", 1),
    "filtered": ({"pieces": ['{"route":'], "finish_reason": "content_filter"}, "FILTERED", 1),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_answer_falls_back(upstream: FakeUpstream, judge: FakeUpstream, name: str) -> None:
    """The default mode answers, the cause is told, and one repair at most was tried, counted like the rest."""
    options, flaw, calls = BAD[name]
    judge.always.reply(*options["pieces"], **{key: value for key, value in options.items() if key != "pieces"})

    async with serving(judging_config(upstream, judge)) as running:
        told = await classified(running, **AUTO)
        answer = await running.client().complete(a_wire_request(**AUTO))

    for decision in (told, answer.route_decision):
        assert (decision.route, decision.mode, decision.source) == ("passthrough", PASSTHROUGH, FALLBACK)
        assert decision.reason == "The classifier failed; this is the default."
        assert errors_pb2.AnswerFlaw.Name(decision.classification.flaw) == f"ANSWER_FLAW_{flaw}"
        assert decision.classification.failure_detail
        assert not decision.classification.failure
        assert not decision.rejected_routes
    assert len(judge.requests) == 2 * calls
    purposes = [each.purpose for each in answer.model_calls]
    assert purposes == [*(ROUTING, REPAIR)[:calls], ANSWER]
    assert answer.message.content[0].text == "Hello world"


async def test_a_repair_that_helps(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The second answer decides, and both are counted; it was shown the first one and its problem."""
    judge.reply("Reasoning, I think.")
    judge.reply(says("reasoning"))

    async with serving(judging_config(upstream, judge)) as running:
        decision = await classified(running, **AUTO)

    assert (decision.route, decision.source) == ("reasoning", CLASSIFIER)
    assert decision.classification.usage.input_tokens == 22
    assert [each["role"] for each in judge.requests[1].body["messages"]] == ["system", "user", "assistant", "user"]


def fails(status: int, **options: Any) -> Callable[[FakeUpstream], object]:
    """A judge that answers with this HTTP status."""
    return lambda judge: judge.always.fail(status, **options)


FAILURES: Final[dict[str, tuple[Callable[[FakeUpstream], object], str, bool]]] = {
    "400": (fails(400), "UPSTREAM_REJECTED_REQUEST", False),
    "401": (fails(401), "UPSTREAM_CREDENTIALS_REJECTED", False),
    "404": (fails(404), "UPSTREAM_MODEL_MISSING", False),
    "429": (fails(429, headers={"Retry-After": "3600"}), "UPSTREAM_RATE_LIMITED", False),
    "503": (fails(503), "UPSTREAM_OVERLOADED", False),
    "context window": (fails(400, code="context_length_exceeded"), "CONTEXT_WINDOW_EXCEEDED", False),
    "malformed": (
        lambda judge: judge.always.body(b"<html>", content_type="text/html"),
        "UPSTREAM_MALFORMED_RESPONSE",
        True,
    ),
    "truncated": (lambda judge: judge.always.cut_after(1, "end"), "UPSTREAM_STREAM_TRUNCATED", True),
    "dropped": (lambda judge: judge.always.drop(), "UPSTREAM_UNREACHABLE", True),
    "silent": (lambda judge: judge.always.hang(), "UPSTREAM_TIMEOUT", True),
    "stalled": (lambda judge: judge.always.hang_after(1), "UPSTREAM_TIMEOUT", True),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failing_upstream_falls_back(upstream: FakeUpstream, judge: FakeUpstream, name: str) -> None:
    """The default mode answers, with the cause, the attempts, and what may have been spent."""
    misbehave, reason, estimated = FAILURES[name]
    misbehave(judge)
    silent = reason == "UPSTREAM_TIMEOUT"
    entry = ClassifierEntry(model="judge", timeout_seconds=0.3 if silent else 60)

    config = judging_config(upstream, judge, classifier=entry)
    async with serving(replace(config, settings=replace(config.settings, max_retries=0))) as running:
        events = await streamed(running, **AUTO)
        if silent:
            await judge.disconnect()

    decision, completed = events[0].started.route_decision, events[-1].completed
    assert (decision.route, decision.source) == ("passthrough", FALLBACK)
    assert errors_pb2.ErrorReason.Name(decision.classification.failure) == f"ERROR_REASON_{reason}"
    assert decision.classification.failure_detail
    assert decision.classification.HasField("latency")
    assert decision.classification.flaw == errors_pb2.ANSWER_FLAW_UNSPECIFIED
    assert kinds(events)[-6:] == [
        "model_call_failed",
        "model_call_started",
        *("content_delta",) * 2,
        "model_call_finished",
        "completed",
    ]
    failed = events[-6].model_call_failed
    assert (failed.purpose, failed.model, failed.failure) == (ROUTING, "judge", decision.classification.failure)
    assert failed.http_status == (0 if estimated else judge_status(name))
    last = completed.attempts[-2]
    assert (last.model, last.failure, last.call) == ("judge", decision.classification.failure, 1)
    assert decision.classification.HasField("usage") == estimated
    if estimated:
        assert decision.classification.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
        assert decision.classification.usage.input_tokens > 50
    assert completed.timings.overhead_duration.ToTimedelta() < completed.timings.total_duration.ToTimedelta()


def judge_status(name: str) -> int:
    """The HTTP status that this failure has."""
    return int(name) if name.isdigit() else 400


async def test_an_upstream_that_is_down(upstream: FakeUpstream) -> None:
    """Refused connections were retried, cost nothing, and the answer comes."""
    with refusing_api_base() as api_base:
        down = model_entry(api_base, "judge")
        config = config_for(model_entry(upstream.api_base), down)
        async with serving(replace(config, classifier=ClassifierEntry(model="judge"))) as running:
            events = await streamed(running, **AUTO)

    decision = events[0].started.route_decision
    assert (decision.source, decision.classification.failure) == (
        FALLBACK,
        errors_pb2.ERROR_REASON_UPSTREAM_UNREACHABLE,
    )
    assert decision.classification.failure_detail == 'The upstream of the model "judge" cannot be reached.'
    assert not decision.classification.HasField("usage")
    assert "attempt_switched" in kinds(events)
    assert events[-1].completed.usage.input_tokens == 11


async def test_a_model_that_is_not_there(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Where requests have to name a model, and no entry names the classifier's, it cannot be asked."""
    config = config_for(model_entry(upstream.api_base), proxy=ProxyEntry(base_url=f"http://127.0.0.1:{judge.port}"))
    config = replace(config, settings=replace(config.settings, default_model=""))
    judge.model_list.lists("one", "two")
    async with serving(config) as running:
        decision = await classified(running, model="fake", **AUTO)

    assert (decision.route, decision.model, decision.source) == ("passthrough", "fake", FALLBACK)
    assert decision.classification.failure == errors_pb2.ERROR_REASON_MODEL_NOT_FOUND


async def test_the_fallback_is_one_that_the_caller_may_take(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Where the default is not allowed, it is the first route that is."""
    judge.always.fail(400)

    async with serving(judging_config(upstream, judge, routes=ROUTES, callers=CALLERS)) as running:
        decision = await classified(running, "thinking", **AUTO)

    assert (decision.route, decision.source) == ("reasoning", FALLBACK)
    assert decision.reason == "The classifier failed; this is the first route that the caller may take."


@pytest.mark.slow
async def test_the_callers_deadline_leaves_time_to_answer(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A classifier that would wait longer than the caller gets a share of the time; the rest is the answer's."""
    judge.always.hang()
    entry = ClassifierEntry(model="judge", timeout_seconds=600)

    async with serving(judging_config(upstream, judge, classifier=entry)) as running:
        answer = await running.client().complete(a_wire_request(**AUTO), timeout_seconds=8)

    assert answer.route_decision.source == FALLBACK
    assert answer.message.content[0].text == "Hello world"
    assert answer.route_decision.classification.latency.ToTimedelta().total_seconds() < 8


async def test_a_cancel_reaches_the_classifier(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A caller that leaves while it is asked ends its call, and nobody is answered."""
    judge.always.hang()
    entry = ClassifierEntry(model="judge", timeout_seconds=600)

    async with serving(judging_config(upstream, judge, classifier=entry)) as running:
        call: Any = running.stub.StreamComplete(a_stream_request(**AUTO))
        await judge.request()
        call.cancel()
        await judge.disconnect()

    assert upstream.requests == []


async def test_no_heartbeat_comes_before_started(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """However long the classifier takes, `started` is the first event."""
    gate = judge.gated(says("passthrough"))
    options = events_pb2.StreamOptions(heartbeat_interval=Duration(nanos=100_000_000))
    request = events_pb2.StreamCompleteRequest(request=a_wire_request(**AUTO), stream_options=options)
    entry = ClassifierEntry(model="judge", timeout_seconds=600)
    waits = upstream.gated("Hello")

    async with serving(judging_config(upstream, judge, classifier=entry)) as running:
        call: Any = running.stub.StreamComplete(request)
        first = asyncio.ensure_future(call.read())
        await judge.request()
        await asyncio.wait({first}, timeout=0.5)
        assert not first.done()
        gate.open_all()
        assert (await first).HasField("started")
        assert (await call.read()).HasField("heartbeat")
        waits.open_all()
        last = await call.read()
        while last is not grpc.aio.EOF:
            event, last = last, await call.read()
        assert event.HasField("completed")


# What is left of it elsewhere.


async def test_the_log_tells_the_decision(
    upstream: FakeUpstream, judge: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """Each call's line has the route, what decided, the tokens, and why the classifier failed; no words."""
    caplog.set_level("INFO", "reasoning_grpc.calls")
    judge.reply("secret nonsense")
    judge.always.reply("secret nonsense")

    async with serving(judging_config(upstream, judge)) as running:
        await classified(running, text="secret question", **AUTO)
        await running.client().complete(a_wire_request(text="secret question", **AUTO))

    lines = [vars(record) for record in caplog.records if record.name == "reasoning_grpc.calls"]
    for line in lines:
        assert (line["route"], line["mode"]) == ("passthrough", "PASSTHROUGH")
        assert (line["route_source"], line["classifier_failure"]) == ("CLASSIFIER_FALLBACK", "NOT_JSON")
    assert [line["input_tokens"] for line in lines] == [22, 33]
    assert "secret" not in str(lines)


async def test_a_cancelled_call_tells_what_was_spent(
    upstream: FakeUpstream, judge: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The tokens of a classification that was cut are estimated, not forgotten."""
    caplog.set_level("INFO", "reasoning_grpc.calls")
    judge.always.hang_after(1)
    entry = ClassifierEntry(model="judge", timeout_seconds=600)

    async with serving(judging_config(upstream, judge, classifier=entry)) as running:
        stub: Any = running.stub
        call = stub.Classify(classification_pb2.ClassifyRequest(request=a_wire_request(**AUTO)))
        await judge.request()
        call.cancel()
        await judge.disconnect()

    (line,) = [vars(record) for record in caplog.records if record.name == "reasoning_grpc.calls"]
    assert (line["code"], line["usage_source"]) == ("CANCELLED", "ESTIMATED")
    assert line["input_tokens"] > 50


# The real ones.


@pytest.fixture
async def embedded() -> AsyncIterator[RunningServer]:
    """A server with nothing but the embedded model, which classifies as slowly as the machine wants it."""
    async with serving(replace(config_for(), classifier=ClassifierEntry(timeout_seconds=600))) as running:
        yield running


@pytest.mark.process
async def test_the_embedded_model_classifies(embedded: RunningServer) -> None:
    """It is often wrong, but its answer is a route; it costs nothing, and says how long it took."""
    decision = await classified(embedded, text="What is the capital of France?", **AUTO)

    assert decision.source == CLASSIFIER
    assert decision.route in {"passthrough", "reasoning"}
    assert decision.classification.model == "smollm2-135m-instruct"
    assert decision.classification.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert decision.classification.cost.total_nano_usd == 0
    assert decision.classification.latency.ToTimedelta().total_seconds() > 0


@pytest.mark.process
@pytest.mark.parametrize("text", ["\u6f22\U0001f389", "x9Q"], ids=["dense", "random"])
async def test_whatever_is_said_fits_its_window(embedded: RunningServer, text: str) -> None:
    """Its context is small, and no conversation is too long or too dense to be classified."""
    decision = await classified(embedded, text=text * 50_000, **AUTO)

    assert decision.source == CLASSIFIER
    assert decision.classification.usage.input_tokens < 4096
