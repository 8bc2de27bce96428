"""Recorded conversations of models that reason, as steps of the agent: what the model signed goes back at its place.

tests/support/families has the recordings. The agent runs the tools that the model calls.
"""

from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import pytest

from tests.support.agent import OWN, SHARED, agent_config, collect_events, join_text, list_outcomes, reasoning_request
from tests.support.agent_grammar import check_grammar
from tests.support.model_families import QUESTIONS, Json, ModelFamily, read_family
from tests.support.serving import serving
from tests.support.upstream import FakeUpstream

TOOLS: Final = {"weather": SHARED + "weather", "clock": OWN + "clock"}
FAMILIES: Final = ("anthropic-adaptive", "anthropic-budgeted", "anthropic-preserved", "gemini-3")

OPENAI_PROTOCOL: Final = ("deepseek", "groq", "kimi", "mistral", "openrouter", "vllm")
"""Families whose recorded conversation has one step with tools."""


def read_turns(family: ModelFamily, body: Json) -> list[Any]:
    """Returns the turns of a body, in the protocol of the family."""
    turns: list[Any] = body["contents" if family.name.startswith("gemini") else "messages"]
    return turns


def select_answers(family: ModelFamily, body: Json) -> list[Any]:
    """Returns the model's own turns of a body."""
    return [turn for turn in read_turns(family, body) if turn["role"] in {"assistant", "model"}]


@pytest.mark.parametrize("name", FAMILIES)
async def test_reasoning_goes_back_with_its_step(upstream: FakeUpstream, name: str) -> None:
    """Each step has the model's earlier steps as it wrote them, with every signature at its place."""
    family = read_family(name)
    for turn in family.turns:
        family.read(turn).play(upstream)
    entry = replace(family.build_entry(upstream), native_tools=True)
    request = reasoning_request(QUESTIONS[0], reasoning=family.build_request().reasoning)

    async with serving(agent_config(upstream, entry=entry, tools=TOOLS)) as running:
        events = await collect_events(running, request)

    check_grammar(events, ended_well=True)
    assert list_outcomes(events) == ["DONE"] * 3
    assert join_text(events) == "Cold."
    bodies = [captured.body for captured in upstream.requests]
    for body, turn in zip(bodies, family.turns, strict=True):
        assert select_answers(family, body) == select_answers(family, family.read_request(turn))


@pytest.mark.parametrize("name", FAMILIES)
async def test_a_run_only_adds_to_its_conversation(upstream: FakeUpstream, name: str) -> None:
    """Each call of a run begins like the one before, because some models bind their reasoning to what precedes it."""
    family = read_family(name)
    for turn in family.turns:
        family.read(turn).play(upstream)
    entry = replace(family.build_entry(upstream), native_tools=True)

    async with serving(agent_config(upstream, entry=entry, tools=TOOLS)) as running:
        await collect_events(running, reasoning_request(QUESTIONS[0]))

    bodies = [captured.body for captured in upstream.requests]
    assert len(bodies) == 4
    for earlier, later in pairwise(bodies):
        turns = read_turns(family, earlier)
        assert read_turns(family, later)[: len(turns)] == turns
        for member in ("system", "system_instruction", "tools"):
            assert later.get(member) == earlier.get(member)


@pytest.mark.parametrize("name", OPENAI_PROTOCOL)
async def test_reasoning_goes_back_in_the_form_of_its_provider(upstream: FakeUpstream, name: str) -> None:
    """The step after tool calls has the calls with their reasoning, in the form that the provider reads."""
    family = read_family(name)
    for turn in family.turns:
        family.read(turn).play(upstream)
    entry = replace(family.build_entry(upstream), native_tools=True)

    async with serving(agent_config(upstream, entry=entry, tools=TOOLS)) as running:
        events = await collect_events(running, reasoning_request(QUESTIONS[0]))

    check_grammar(events, ended_well=True)
    assert list_outcomes(events) == ["DONE"] * 2
    answers = [select_answers(family, captured.body) for captured in upstream.requests]
    assert answers[1] == select_answers(family, family.read_request("2"))
    assert answers[2][:1] == answers[1]
