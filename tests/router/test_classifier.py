"""The automatic mode: the request to the classifier, its decisions, and the route that is taken when it fails."""

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


def write_choice(route: str) -> str:
    """Writes the answer of a classifier that chooses this route."""
    return json.dumps({"route": route})


def build_schema(*routes: str) -> dict[str, Any]:
    """Builds the whole schema that a provider receives for these routes."""
    return {
        "type": "object",
        "properties": {"route": {"type": "string", "enum": list(routes)}},
        "required": ["route"],
        "additionalProperties": False,
    }


def add_big_model(config: Config, upstream: FakeUpstream) -> Config:
    """Adds a model of its own for the route "careful" to a configuration."""
    careful = replace(ROUTES["careful"], model="big")
    models = {**config.models, "big": model_entry(upstream.api_base, "big")}
    return replace(config, models=models, routes={**ROUTES, "careful": careful})


async def classify(
    running: RunningServer, token: str = "all", *, rules_only: bool = False, metadata: Any = (), **fields: Any
) -> routing_pb2.RouteDecision:
    """Returns the decision of `Classify`."""
    stub: Any = running.stub
    request = classification_pb2.ClassifyRequest(request=a_wire_request(**fields), rules_only=rules_only)
    response = await stub.Classify(request, metadata=(("authorization", f"Bearer {token}"), *metadata))
    decision: routing_pb2.RouteDecision = response.route_decision
    return decision


async def collect_events(running: RunningServer, **fields: Any) -> list[events_pb2.StreamCompleteResponse]:
    """Returns all events of an answer, with those of its model calls."""
    stub: Any = running.stub
    include = completion_pb2.IncludeOptions(model_calls=True)
    return [event async for event in stub.StreamComplete(a_stream_request(include=include, **fields))]


def list_kinds(events: list[events_pb2.StreamCompleteResponse]) -> list[str]:
    """Returns the kinds of the events in order."""
    return [str(event.WhichOneof("kind")) for event in events]


def read_prompt(request: CapturedRequest) -> tuple[str, list[dict[str, str]]]:
    """Returns the instructions of the classifier, and the messages of the conversation that it was given."""
    system, user = request.body["messages"][:2]
    assert (system["role"], user["role"]) == ("system", "user")
    first, *lines, last = user["content"].splitlines()
    assert (first, last) == ("<conversation>", "</conversation>")
    return system["content"], [json.loads(line) for line in lines]


# What goes over the wire.


async def test_the_request_to_the_classifier(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The classifier gets one call: instructions, the conversation as data, and a strict schema of the route names."""
    judge.reply(write_choice("reasoning"))

    async with serving(judging_config(upstream, judge, routes=ROUTES)) as running:
        await classify(running, text="Plan my week.", end_user="user-1", **AUTO)

    (request,) = judge.requests
    prompt, conversation = read_prompt(request)
    assert {name: value for name, value in request.body.items() if name != "messages"} == {
        "model": "judge",
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "route",
                "schema": build_schema("passthrough", "reasoning", "careful", "research"),
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


async def test_a_model_without_schemas_gets_the_schema_in_the_prompt(
    upstream: FakeUpstream, judge: FakeUpstream
) -> None:
    """A classifier model without JSON schemas is asked for JSON, and the schema stands in its instructions."""
    entry = model_entry(judge.api_base, "judge", capabilities=frozenset({Capability.JSON_OBJECT}))
    judge.reply(write_choice("passthrough"))

    config = config_for(model_entry(upstream.api_base), entry)
    async with serving(replace(config, classifier=ClassifierEntry(model="judge"))) as running:
        decision = await classify(running, **AUTO)

    prompt, _ = read_prompt(judge.requests[0])
    assert judge.requests[0].body["response_format"] == {"type": "json_object"}
    assert prompt.endswith(json.dumps(build_schema("passthrough", "reasoning")))
    assert (decision.route, decision.source) == ("passthrough", CLASSIFIER)


@pytest.mark.parametrize("provider", ["hosted_vllm", "anthropic", "gemini"])
async def test_a_translated_provider_can_classify(upstream: FakeUpstream, judge: FakeUpstream, provider: str) -> None:
    """A classifier whose provider litellm translates for decides as well, and its tokens are reported."""
    schemas = frozenset({Capability.JSON_SCHEMA})
    name = {"anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-pro"}.get(provider, "judge")
    entry = provider_entry(judge, provider, "judge", litellm_model=f"{provider}/{name}", capabilities=schemas)
    judge.reply(write_choice("reasoning"))

    config = config_for(model_entry(upstream.api_base), entry)
    async with serving(replace(config, classifier=ClassifierEntry(model="judge"))) as running:
        decision = await classify(running, **AUTO)

    assert (decision.route, decision.mode, decision.source) == ("reasoning", REASONING, CLASSIFIER)
    assert decision.classification.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert json.dumps(["passthrough", "reasoning"]) in judge.requests[0].raw.decode().replace('","', '", "')


async def test_a_configured_prompt_is_used(upstream: FakeUpstream, judge: FakeUpstream, tmp_path: Path) -> None:
    """A configured prompt is sent unchanged, with the routes at the place that it marks."""
    file = tmp_path / "prompt.txt"
    file.write_text('Sort, {"as": "you like"}:\n{routes}\nThank you: \u00e9.', "utf-8")
    judge.reply(write_choice("passthrough"))

    entry = ClassifierEntry(model="judge", prompt_file=file)
    async with serving(judging_config(upstream, judge, classifier=entry)) as running:
        await classify(running, **AUTO)

    prompt, _ = read_prompt(judge.requests[0])
    assert prompt.startswith('Sort, {"as": "you like"}:\n- passthrough: Anything')
    assert prompt.endswith("proofs.\nThank you: \u00e9.")


async def test_the_window_is_bounded(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The classifier gets the last messages within a limit, so it reads what a short reply refers to."""
    judge.always.reply(write_choice("reasoning"))
    texts = ["old", "Shall I compare all twelve suppliers?", "yes"]
    messages = [
        messages_pb2.Message(role=role, content=[messages_pb2.Part(text=text)])
        for role, text in zip(
            (messages_pb2.ROLE_USER, messages_pb2.ROLE_ASSISTANT, messages_pb2.ROLE_USER), texts, strict=True
        )
    ]

    entry = ClassifierEntry(model="judge", window_messages=2, window_characters=200)
    async with serving(judging_config(upstream, judge, classifier=entry)) as running:
        await classify(running, messages=messages, **AUTO)
        await classify(running, text="x" * 300_000, **AUTO)

    assert read_prompt(judge.requests[0])[1] == [
        {"role": "assistant", "text": texts[1]},
        {"role": "user", "text": "yes"},
    ]
    assert len(read_prompt(judge.requests[1])[1][0]["text"]) < 200


@pytest.mark.parametrize(("tokens", "is_called"), [(256, False), (1024, True), (128_000, True)])
async def test_the_window_fits_the_context_of_the_model(
    upstream: FakeUpstream, judge: FakeUpstream, tokens: int, is_called: bool
) -> None:
    """The window fits the context of the classifier's model; where nothing would fit, the model is not called."""
    judge.always.reply(write_choice("reasoning"))
    config = judging_config(upstream, judge)
    small = replace(config.models["judge"], context_window_tokens=tokens)

    async with serving(replace(config, models={**config.models, "judge": small})) as running:
        decision = await classify(running, text="x9Q" * 70_000, **AUTO)

    assert decision.source == (CLASSIFIER if is_called else FALLBACK)
    assert [len(request.raw) < min(4 * tokens, 8000) for request in judge.requests] == [True] * is_called
    if not is_called:
        assert decision.classification.failure == errors_pb2.ERROR_REASON_CONTEXT_WINDOW_EXCEEDED


# What comes of its answer.


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


# Who asks for it, and what it may choose.


@pytest.mark.parametrize("requested_by", ["metadata", "default", "rule"])
async def test_each_way_to_request_auto(upstream: FakeUpstream, judge: FakeUpstream, requested_by: str) -> None:
    """Metadata, the default mode and a rule can request AUTO; the decision names the rule and the overridden mode."""
    judge.reply(write_choice("careful"))
    rule = RuleEntry(id="ask", when=RuleCondition(labels={"a": "b"}), route="auto")
    metadata = (("x-routing-mode", "auto"),) if requested_by == "metadata" else ()
    mode = RoutingMode.AUTO if requested_by == "default" else RoutingMode.PASSTHROUGH
    fields: dict[str, Any] = (
        {"labels": {"a": "b"}, "routing": routing_pb2.RoutingOptions(mode=REASONING)} if requested_by == "rule" else {}
    )

    config = add_big_model(judging_config(upstream, judge, routes=ROUTES, rules=(rule,)), upstream)
    async with serving(replace(config, settings=replace(config.settings, default_mode=mode))) as running:
        decision = await classify(running, metadata=metadata, **fields)

    assert (decision.route, decision.mode, decision.model) == ("careful", PASSTHROUGH, "big")
    assert (decision.source, decision.rule_id) == (CLASSIFIER, "ask" if requested_by == "rule" else "")
    assert decision.requested_mode == (REASONING if requested_by == "rule" else 0)


async def test_a_requested_model_is_kept(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The model of a route applies only to requests that name no model."""
    judge.reply(write_choice("careful"))

    async with serving(add_big_model(judging_config(upstream, judge, routes=ROUTES), upstream)) as running:
        decision = await classify(running, model="fake", **AUTO)

    assert (decision.route, decision.model) == ("careful", "fake")


async def test_the_classifier_chooses_among_allowed_routes(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A route that the caller may not use is neither in the schema, nor in the prompt, nor in the decision."""
    judge.reply(write_choice("careful"))

    config = add_big_model(judging_config(upstream, judge, routes=ROUTES, callers=CALLERS), upstream)
    async with serving(config) as running:
        decision = await classify(running, "thinking", **AUTO)

    schema = judge.requests[0].body["response_format"]["json_schema"]["schema"]
    assert schema == build_schema("reasoning", "careful")
    assert "- research:" not in read_prompt(judge.requests[0])[0]
    assert list(decision.classification.routes) == ["reasoning", "careful"]
    assert [each.route for each in decision.rejected_routes] == ["reasoning"]


async def test_a_single_route_needs_no_classifier(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The classifier is not called where the caller may use one route only."""
    async with serving(judging_config(upstream, judge, routes=ROUTES, callers=CALLERS)) as running:
        decision = await classify(running, "plain", **AUTO)

    assert decision == routing_pb2.RouteDecision(
        route="passthrough",
        mode=PASSTHROUGH,
        model="fake",
        source=routing_pb2.ROUTE_SOURCE_REQUEST,
        reason="It is the only route that this request may take.",
    )
    assert judge.requests == []


async def test_a_route_with_a_forbidden_model_is_left_out(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A route whose model the caller may not use is left out; where no route remains, the refusal names the model."""
    token = {name: hash_token(name) for name in ("one", "none")}
    callers = {
        "one": CallerEntry(name="one", token_hash=token["one"], allowed_models=frozenset({"fake"})),
        "none": CallerEntry(name="none", token_hash=token["none"], allowed_models=frozenset({"judge"})),
    }
    judge.reply(write_choice("research"))

    async with serving(add_big_model(judging_config(upstream, judge, callers=callers), upstream)) as running:
        decision = await classify(running, "one", **AUTO)
        with pytest.raises(CallFailed) as failed:
            await running.client(token="none").complete(a_wire_request(**AUTO))

    assert list(decision.classification.routes) == ["passthrough", "reasoning", "research"]
    assert (failed.value.reason, failed.value.metadata) == ("MODEL_NOT_ALLOWED", {"model": "fake"})
    assert len(judge.requests) == 1


async def test_a_caller_without_a_route_is_refused(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A caller none of whose routes can be served is refused before the classifier is called."""
    async with serving(judging_config(upstream, judge, callers=CALLERS)) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client(token="nothing").complete(a_wire_request(**AUTO))

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROUTE_NOT_ALLOWED")
    assert failed.value.metadata == {"route": "auto"}
    assert judge.requests == []


async def test_routes_of_the_agent_are_left_out_for_the_callers_tools(
    upstream: FakeUpstream, judge: FakeUpstream
) -> None:
    """For a request with tools, the classifier chooses among the routes that can use them."""
    judge.reply(write_choice("careful"))
    rule = RuleEntry(id="ask", when=RuleCondition(has_tools=True), route="auto")

    config = add_big_model(judging_config(upstream, judge, routes=ROUTES, rules=(rule,)), upstream)
    async with serving(config) as running:
        decision = await classify(running, tools=[completion_pb2.Tool(name="f")])

    assert list(decision.classification.routes) == ["passthrough", "careful"]
    caller_tools = (
        routing_pb2.ROUTE_REJECTION_CAUSE_CALLER_TOOLS,
        "The reasoning agent cannot run the caller's own tools.",
    )
    assert {(each.route, each.cause, each.reason) for each in decision.rejected_routes} == {
        ("reasoning", *caller_tools),
        ("research", *caller_tools),
        ("passthrough", routing_pb2.ROUTE_REJECTION_CAUSE_NOT_CHOSEN, "The classifier chose another."),
    }


@pytest.mark.parametrize("fields", [{"model": "nobody"}, {"fallback_models": ["nobody"]}], ids=["model", "fallback"])
async def test_an_unknown_model_is_refused_before_the_classifier(
    upstream: FakeUpstream, judge: FakeUpstream, fields: dict[str, Any]
) -> None:
    """A request for an unknown model is refused before the classifier is called."""
    async with serving(judging_config(upstream, judge)) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(a_wire_request(**AUTO, **fields))

    assert (failed.value.reason, failed.value.metadata["model"]) == ("MODEL_NOT_FOUND", "nobody")
    assert judge.requests == []


async def test_rules_only_names_the_classifier(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """With `rules_only`, the decision names the classifier's model and the routes without a call."""
    async with serving(judging_config(upstream, judge, routes=ROUTES)) as running:
        decision = await classify(running, rules_only=True, **AUTO)

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


async def test_a_decision_is_cached(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The decision for a repeated conversation comes from the cache, with `rules_only` as well."""
    judge.always.reply(write_choice("passthrough"))

    async with serving(judging_config(upstream, judge)) as running:
        first = await classify(running, text="one", **AUTO)
        second = await classify(running, text="one", **AUTO)
        by_rules = await classify(running, text="one", rules_only=True, **AUTO)
        other = await classify(running, text="two", **AUTO)

    assert [each.source for each in (first, second, by_rules, other)] == [CLASSIFIER, CACHE, CACHE, CLASSIFIER]
    assert second == by_rules
    assert not second.HasField("classification")
    assert (second.route, second.reason) == (
        "passthrough",
        "The classifier chose it before, for the same conversation.",
    )
    assert len(judge.requests) == 2


async def test_callers_share_no_cached_decisions(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The decision that is cached for one caller is not used for another."""
    judge.always.reply(write_choice("reasoning"))

    config = add_big_model(judging_config(upstream, judge, routes=ROUTES, callers=CALLERS), upstream)
    async with serving(config) as running:
        decisions = [await classify(running, token, **AUTO) for token in ("all", "thinking", "all")]

    assert [each.source for each in decisions] == [CLASSIFIER, CLASSIFIER, CACHE]


async def test_a_cache_of_no_entries_caches_nothing(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """With `cache_entries = 0`, the classifier is called for each request."""
    judge.always.reply(write_choice("passthrough"))

    async with serving(judging_config(upstream, judge, classifier=NO_CACHE)) as running:
        decisions = [await classify(running, **AUTO) for _ in range(2)]

    assert [each.source for each in decisions] == [CLASSIFIER, CLASSIFIER]


async def test_a_failure_is_not_cached(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """After a failure of the classifier, the next request calls it again."""
    judge.fail(400)
    judge.reply(write_choice("reasoning"))

    async with serving(judging_config(upstream, judge)) as running:
        decisions = [await classify(running, **AUTO) for _ in range(2)]

    assert [each.source for each in decisions] == [FALLBACK, CLASSIFIER]


# When it fails.

BAD: Final[dict[str, tuple[dict[str, Any], str, int]]] = {
    "not JSON": ({"deltas": ["I would say reasoning."]}, "NOT_JSON", 2),
    "fenced JSON": ({"deltas": ["```json\n", write_choice("reasoning"), "\n```"]}, "NOT_JSON", 2),
    "two answers": ({"deltas": [write_choice("reasoning") * 2]}, "NOT_JSON", 2),
    "extra keys": ({"deltas": ['{"route": "reasoning", "why": "so"}']}, "WRONG_SHAPE", 2),
    "out of the enum": ({"deltas": [write_choice("orchestration")]}, "WRONG_SHAPE", 2),
    "in another case": ({"deltas": [write_choice("Reasoning")]}, "WRONG_SHAPE", 2),
    "another type": ({"deltas": ['{"route": ["reasoning"]}']}, "WRONG_SHAPE", 2),
    "no object": ({"deltas": ['"reasoning"']}, "WRONG_SHAPE", 2),
    "a tool call": ({"deltas": [], "tool_calls": [FakeToolCall("c", "route", "{}")]}, "WRONG_SHAPE", 1),
    "empty": ({"deltas": [], "finish_reason": "stop"}, "EMPTY", 1),
    "white space": ({"deltas": [" \n"]}, "EMPTY", 1),
    "cut": ({"deltas": ['{"rou'], "finish_reason": "length"}, "TRUNCATED", 2),
    "endless": ({"deltas": [write_choice("reasoning")[:-1] + " " * 5000]}, "TRUNCATED", 2),
    "a refusal": ({"deltas": [], "refusal": "I will not."}, "REFUSED", 1),
    "filtered": ({"deltas": ['{"route":'], "finish_reason": "content_filter"}, "FILTERED", 1),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_answer_falls_back(upstream: FakeUpstream, judge: FakeUpstream, name: str) -> None:
    """After a bad answer and at most one repair, the default mode answers, and the flaw and usage are reported."""
    options, flaw, calls = BAD[name]
    judge.always.reply(*options["deltas"], **{key: value for key, value in options.items() if key != "deltas"})

    async with serving(judging_config(upstream, judge)) as running:
        alone = await classify(running, **AUTO)
        answer = await running.client().complete(a_wire_request(**AUTO))

    for decision in (alone, answer.route_decision):
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


async def test_a_repaired_answer_decides(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The repaired answer decides, and both calls are counted; the repair got the first answer and its problem."""
    judge.reply("Reasoning, I think.")
    judge.reply(write_choice("reasoning"))

    async with serving(judging_config(upstream, judge)) as running:
        decision = await classify(running, **AUTO)

    assert (decision.route, decision.source) == ("reasoning", CLASSIFIER)
    assert decision.classification.usage.input_tokens == 22
    assert [each["role"] for each in judge.requests[1].body["messages"]] == ["system", "user", "assistant", "user"]


def script_failure(status: int, **options: Any) -> Callable[[FakeUpstream], object]:
    """Returns a function that scripts a judge to answer with this HTTP status."""
    return lambda judge: judge.always.fail(status, **options)


FAILURES: Final[dict[str, tuple[Callable[[FakeUpstream], object], str, bool]]] = {
    "400": (script_failure(400), "UPSTREAM_REJECTED_REQUEST", False),
    "401": (script_failure(401), "UPSTREAM_CREDENTIALS_REJECTED", False),
    "404": (script_failure(404), "UPSTREAM_MODEL_MISSING", False),
    "429": (script_failure(429, headers={"Retry-After": "3600"}), "UPSTREAM_RATE_LIMITED", False),
    "503": (script_failure(503), "UPSTREAM_OVERLOADED", False),
    "context window": (script_failure(400, code="context_length_exceeded"), "CONTEXT_WINDOW_EXCEEDED", False),
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
    """When the classifier's upstream fails, the default mode answers, and cause, attempts and usage are reported."""
    misbehave, reason, estimated = FAILURES[name]
    misbehave(judge)
    silent = reason == "UPSTREAM_TIMEOUT"
    entry = ClassifierEntry(model="judge", timeout_seconds=0.3 if silent else 60)

    config = judging_config(upstream, judge, classifier=entry)
    async with serving(replace(config, settings=replace(config.settings, max_retries=0))) as running:
        events = await collect_events(running, **AUTO)
        if silent:
            await judge.disconnect()

    decision, completed = events[0].started.route_decision, events[-1].completed
    assert (decision.route, decision.source) == ("passthrough", FALLBACK)
    assert errors_pb2.ErrorReason.Name(decision.classification.failure) == f"ERROR_REASON_{reason}"
    assert decision.classification.failure_detail
    assert decision.classification.HasField("latency")
    assert decision.classification.flaw == errors_pb2.ANSWER_FLAW_UNSPECIFIED
    assert list_kinds(events)[-6:] == [
        "model_call_failed",
        "model_call_started",
        *("content_delta",) * 2,
        "model_call_finished",
        "completed",
    ]
    failed = events[-6].model_call_failed
    assert (failed.purpose, failed.model, failed.failure) == (ROUTING, "judge", decision.classification.failure)
    assert failed.http_status == (0 if estimated else read_status(name))
    last = completed.attempts[-2]
    assert (last.model, last.failure, last.call) == ("judge", decision.classification.failure, 1)
    assert decision.classification.HasField("usage") == estimated
    if estimated:
        assert decision.classification.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
        assert decision.classification.usage.input_tokens > 50
    assert completed.timings.overhead_duration.ToTimedelta() < completed.timings.total_duration.ToTimedelta()


def read_status(name: str) -> int:
    """Returns the HTTP status of this failure."""
    return int(name) if name.isdigit() else 400


async def test_an_unreachable_classifier_falls_back(upstream: FakeUpstream) -> None:
    """A classifier whose connections are refused is retried and costs nothing, and the default mode answers."""
    with refusing_api_base() as api_base:
        down = model_entry(api_base, "judge")
        config = config_for(model_entry(upstream.api_base), down)
        async with serving(replace(config, classifier=ClassifierEntry(model="judge"))) as running:
            events = await collect_events(running, **AUTO)

    decision = events[0].started.route_decision
    assert (decision.source, decision.classification.failure) == (
        FALLBACK,
        errors_pb2.ERROR_REASON_UPSTREAM_UNREACHABLE,
    )
    assert decision.classification.failure_detail == 'The upstream of the model "judge" cannot be reached.'
    assert not decision.classification.HasField("usage")
    assert "attempt_switched" in list_kinds(events)
    assert events[-1].completed.usage.input_tokens == 11


async def test_a_classifier_without_a_model_falls_back(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Where requests must name a model and no entry names that of the classifier, the default mode answers."""
    config = config_for(model_entry(upstream.api_base), proxy=ProxyEntry(base_url=f"http://127.0.0.1:{judge.port}"))
    config = replace(config, settings=replace(config.settings, default_model=""))
    judge.model_list.lists("one", "two")
    async with serving(config) as running:
        decision = await classify(running, model="fake", **AUTO)

    assert (decision.route, decision.model, decision.source) == ("passthrough", "fake", FALLBACK)
    assert decision.classification.failure == errors_pb2.ERROR_REASON_MODEL_NOT_FOUND


async def test_the_fallback_is_an_allowed_route(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Where the caller may not use the default mode, the fallback is the first route that it may use."""
    judge.always.fail(400)

    async with serving(judging_config(upstream, judge, routes=ROUTES, callers=CALLERS)) as running:
        decision = await classify(running, "thinking", **AUTO)

    assert (decision.route, decision.source) == ("reasoning", FALLBACK)
    assert decision.reason == "The classifier failed; this is the first route that the caller may take."


@pytest.mark.slow
async def test_the_callers_deadline_leaves_time_to_answer(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A classifier that would use the whole deadline is stopped early enough for the answer to come in time."""
    judge.always.hang()
    entry = ClassifierEntry(model="judge", timeout_seconds=600)

    async with serving(judging_config(upstream, judge, classifier=entry)) as running:
        answer = await running.client().complete(a_wire_request(**AUTO), timeout_seconds=8)

    assert answer.route_decision.source == FALLBACK
    assert answer.message.content[0].text == "Hello world"
    assert answer.route_decision.classification.latency.ToTimedelta().total_seconds() < 8


async def test_a_cancel_reaches_the_classifier(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A caller that cancels while the classifier works ends its model call, and no answer is made."""
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
    gate = judge.gated(write_choice("passthrough"))
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


async def test_the_log_has_the_decision(
    upstream: FakeUpstream, judge: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The line of each call has the route, its source, the tokens and the classifier's flaw, without content."""
    caplog.set_level("INFO", "reasoning_grpc.calls")
    judge.reply("secret nonsense")
    judge.always.reply("secret nonsense")

    async with serving(judging_config(upstream, judge)) as running:
        await classify(running, text="secret question", **AUTO)
        await running.client().complete(a_wire_request(text="secret question", **AUTO))

    lines = [vars(record) for record in caplog.records if record.name == "reasoning_grpc.calls"]
    for line in lines:
        assert (line["route"], line["mode"]) == ("passthrough", "PASSTHROUGH")
        assert (line["route_source"], line["classifier_failure"]) == ("CLASSIFIER_FALLBACK", "NOT_JSON")
    assert [line["input_tokens"] for line in lines] == [22, 33]
    assert "secret" not in str(lines)


async def test_the_log_of_a_cancelled_call_has_its_usage(
    upstream: FakeUpstream, judge: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The tokens of a cancelled classification are estimated, and stand in the log."""
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
async def embedded_server() -> AsyncIterator[RunningServer]:
    """Starts a server with only the embedded model, which may take its time to classify."""
    async with serving(replace(config_for(), classifier=ClassifierEntry(timeout_seconds=600))) as running:
        yield running


@pytest.mark.process
async def test_the_embedded_model_classifies(embedded_server: RunningServer) -> None:
    """The embedded model chooses one of the routes, costs nothing, and its time is reported."""
    decision = await classify(embedded_server, text="What is the capital of France?", **AUTO)

    assert decision.source == CLASSIFIER
    assert decision.route in {"passthrough", "reasoning"}
    assert decision.classification.model == "smollm2-135m-instruct"
    assert decision.classification.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert decision.classification.cost.total_nano_usd == 0
    assert decision.classification.latency.ToTimedelta().total_seconds() > 0


@pytest.mark.process
@pytest.mark.parametrize("text", ["\u6f22\U0001f389", "x9Q"], ids=["dense", "random"])
async def test_any_conversation_fits_the_embedded_model(embedded_server: RunningServer, text: str) -> None:
    """No conversation is too long or too dense for the small context of the embedded model."""
    decision = await classify(embedded_server, text=text * 50_000, **AUTO)

    assert decision.source == CLASSIFIER
    assert decision.classification.usage.input_tokens < 4096
