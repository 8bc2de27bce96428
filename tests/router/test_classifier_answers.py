"""Bad answers of the classifier: at most one repair, and then the default mode."""

from dataclasses import replace
from typing import Any, Final

import pytest

from reasoning_grpc.domain import ThinkTags
from reasoning_grpc.v1 import errors_pb2, usage_pb2
from tests.support.classification import (
    ANSWER,
    AUTO,
    CLASSIFIER,
    FALLBACK,
    PASSTHROUGH,
    REPAIR,
    ROUTING,
    classify,
    write_choice,
)
from tests.support.factories import a_wire_request
from tests.support.serving import judging_config, serving
from tests.support.upstream import FakeToolCall, FakeUpstream

BAD: Final[dict[str, tuple[dict[str, Any], str, int]]] = {
    "not JSON": ({"deltas": ["I would say reasoning."]}, "NOT_JSON", 2),
    "words around a fence": ({"deltas": ["So:\n```json\n", write_choice("reasoning"), "\n```"]}, "NOT_JSON", 2),
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


@pytest.mark.parametrize(
    "fence", ["```json\n{}\n```", "```\n{}\n```\n", "\n~~~ json\n{}\n~~~", "````JSON {} ````", "```json{}```"]
)
async def test_one_outer_fence_is_taken_off(upstream: FakeUpstream, judge: FakeUpstream, fence: str) -> None:
    """A choice in a code fence decides at once, because many models put JSON into one."""
    judge.always.reply(*fence.replace("{}", write_choice("reasoning")))

    async with serving(judging_config(upstream, judge)) as running:
        decision = await classify(running, **AUTO)

    assert (decision.route, decision.source) == ("reasoning", CLASSIFIER)
    assert len(judge.requests) == 1


async def test_a_repaired_answer_decides(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The repaired answer decides, and both calls are counted; the repair got the first answer and its problem."""
    judge.reply("Reasoning, I think.")
    judge.reply(write_choice("reasoning"))

    async with serving(judging_config(upstream, judge)) as running:
        decision = await classify(running, **AUTO)

    assert (decision.route, decision.source) == ("reasoning", CLASSIFIER)
    assert decision.classification.usage.input_tokens == 22
    assert [each["role"] for each in judge.requests[1].body["messages"]] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("think_tags", "reply"),
    [
        pytest.param(ThinkTags.NONE, {"reasoning_field": "reasoning_content"}, id="reasoning-content"),
        pytest.param(ThinkTags.NONE, {"reasoning_field": "reasoning"}, id="reasoning"),
        pytest.param(ThinkTags.PAIR, None, id="think-tags"),
    ],
)
async def test_reasoning_before_the_decision_is_left_out(
    upstream: FakeUpstream, judge: FakeUpstream, think_tags: ThinkTags, reply: dict[str, Any] | None
) -> None:
    """A classifier that reasons first decides at once, whether its reasoning has a field or stands between tags."""
    if reply is None:
        judge.reply("<thi", "nk>{} is no route.</th", "ink>", write_choice("reasoning"))
    else:
        judge.reply(write_choice("reasoning"), reasoning=["{} is ", "no route."], **reply)
    config = judging_config(upstream, judge)
    entry = replace(config.models["judge"], think_tags=think_tags)

    async with serving(replace(config, models={**config.models, "judge": entry})) as running:
        decision = await classify(running, **AUTO)

    assert (decision.route, decision.source) == ("reasoning", CLASSIFIER)
    assert len(judge.requests) == 1


@pytest.mark.parametrize("usage", [None, "null", {}], ids=["none", "null", "empty"])
async def test_missing_usage_of_the_classifier_is_estimated(
    upstream: FakeUpstream, judge: FakeUpstream, usage: Any
) -> None:
    """A classifier whose provider counts nothing decides all the same, and its usage is marked as an estimate."""
    judge.reply(write_choice("reasoning"), usage=usage)

    async with serving(judging_config(upstream, judge)) as running:
        decision = await classify(running, **AUTO)

    assert (decision.route, decision.source) == ("reasoning", CLASSIFIER)
    assert decision.classification.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    assert decision.classification.usage.input_tokens > 0
