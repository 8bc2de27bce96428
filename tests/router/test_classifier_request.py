"""The request to the classifier: its prompt, its schema, and the window of the conversation."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reasoning_grpc.config import ClassifierEntry
from reasoning_grpc.domain import Capability
from reasoning_grpc.v1 import errors_pb2, messages_pb2, usage_pb2
from tests.support.classification import (
    AUTO,
    CLASSIFIER,
    FALLBACK,
    REASONING,
    ROUTES,
    build_schema,
    classify,
    read_prompt,
    write_choice,
)
from tests.support.serving import config_for, judging_config, model_entry, name_model, provider_entry, serving
from tests.support.upstream import FakeUpstream


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
    """A classifier model without JSON schemas has to answer in JSON, and its instructions contain the schema."""
    entry = model_entry(judge.api_base, "judge", capabilities=frozenset({Capability.JSON_OBJECT}))
    judge.reply(write_choice("passthrough"))

    config = config_for(model_entry(upstream.api_base), entry)
    async with serving(replace(config, classifier=ClassifierEntry(model="judge", timeout_seconds=60.0))) as running:
        decision = await classify(running, **AUTO)

    prompt, _ = read_prompt(judge.requests[0])
    assert judge.requests[0].body["response_format"] == {"type": "json_object"}
    assert prompt.endswith(json.dumps(build_schema("passthrough", "reasoning")))
    assert (decision.route, decision.source) == ("passthrough", CLASSIFIER)


@pytest.mark.parametrize("provider", ["hosted_vllm", "anthropic", "gemini", "bedrock"])
async def test_a_translated_provider_can_classify(upstream: FakeUpstream, judge: FakeUpstream, provider: str) -> None:
    """A classifier whose provider litellm translates for decides as well, and its tokens are reported."""
    schemas = frozenset({Capability.JSON_SCHEMA})
    name = {"anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-pro"}.get(provider, "judge")
    entry = provider_entry(judge, provider, "judge", litellm_model=name_model(provider, name), capabilities=schemas)
    judge.reply(write_choice("reasoning"))

    config = config_for(model_entry(upstream.api_base), entry)
    async with serving(replace(config, classifier=ClassifierEntry(model="judge", timeout_seconds=60.0))) as running:
        decision = await classify(running, **AUTO)

    assert (decision.route, decision.mode, decision.source) == ("reasoning", REASONING, CLASSIFIER)
    assert decision.classification.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert json.dumps(["passthrough", "reasoning"]) in judge.requests[0].raw.decode().replace('\\"', '"').replace(
        '","', '", "'
    )


async def test_a_configured_prompt_is_used(upstream: FakeUpstream, judge: FakeUpstream, tmp_path: Path) -> None:
    """A configured prompt is sent unchanged, with the routes at the place that it marks."""
    file = tmp_path / "prompt.txt"
    file.write_text('Sort, {"as": "you like"}:\n{routes}\nThank you: \u00e9.', "utf-8")
    judge.reply(write_choice("passthrough"))

    entry = ClassifierEntry(model="judge", timeout_seconds=60.0, prompt_file=file)
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

    entry = ClassifierEntry(model="judge", timeout_seconds=60.0, window_messages=2, window_characters=200)
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
