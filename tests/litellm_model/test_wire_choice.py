"""The API of OpenAI's through which a call goes, by facts about the model and the call."""

from typing import Any, Final

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from reasoning_grpc.catalog import find_entry_problems, find_wire
from reasoning_grpc.config import ModelEntry
from reasoning_grpc.domain import (
    Message,
    Part,
    Reasoning,
    ReasoningEffort,
    ReasoningOptions,
    Role,
    Sampling,
    Text,
    Tool,
    Wire,
)
from reasoning_grpc.litellm_model import find_price_map, library
from reasoning_grpc.litellm_model.origins import create_mark
from reasoning_grpc.litellm_model.request import choose_wire, prepare_call
from reasoning_grpc.litellm_model.request.openai_models import describe_openai_model
from reasoning_grpc.litellm_model.request.openai_options import OF_CHAT_ALONE, OF_RESPONSES_ALONE, VERBOSITY
from tests.support.openai_names import list_models
from tests.support.unsent import a_deployment, a_model_call

TOOLS: Final[dict[str, Any]] = {"tools": (Tool("f"),)}
INCLUDED: Final[dict[str, Any]] = {"include_reasoning": True}


def _with_effort(effort: ReasoningEffort) -> dict[str, Any]:
    return {"reasoning": ReasoningOptions(effort=effort), **TOOLS}


@pytest.mark.parametrize(
    ("model", "fields", "wire"),
    [
        ("openai/gpt-5.6", TOOLS, Wire.RESPONSES),
        ("openai/gpt-5.5", TOOLS, Wire.RESPONSES),
        ("openai/gpt-5.4", TOOLS, Wire.CHAT),
        ("openai/gpt-5.4", _with_effort(ReasoningEffort.LOW), Wire.RESPONSES),
        ("openai/gpt-5.4", _with_effort(ReasoningEffort.NONE), Wire.CHAT),
        ("openai/gpt-5.6", _with_effort(ReasoningEffort.NONE), Wire.CHAT),
        ("openai/gpt-5.6", {}, Wire.CHAT),
        ("openai/gpt-5.6", INCLUDED, Wire.RESPONSES),
        ("openai/gpt-5.6", {**INCLUDED, "sampling": Sampling(seed=1)}, Wire.CHAT),
        ("openai/gpt-5", _with_effort(ReasoningEffort.LOW), Wire.CHAT),
        ("openai/gpt-5.6-2026-11-20", TOOLS, Wire.RESPONSES),
        ("openai/gpt-5.5-cyber", TOOLS, Wire.RESPONSES),
        ("openai/ft:gpt-5.6:us::1", TOOLS, Wire.RESPONSES),
        ("openai/gpt-6.1-sol", TOOLS, Wire.RESPONSES),
        ("openai/gpt-35-turbo", TOOLS, Wire.CHAT),
        ("openai/gpt-oss-120b", TOOLS, Wire.CHAT),
        ("openai/openai/gpt-5.6", TOOLS, Wire.CHAT),
        ("openai/gpt-5.6", {**INCLUDED, "reasoning": ReasoningOptions(effort=ReasoningEffort.NONE)}, Wire.CHAT),
        ("openai/gpt-5.6", {**INCLUDED, "sampling": Sampling(max_output_tokens=8)}, Wire.CHAT),
        ("openai/gpt-5.6", {**INCLUDED, "end_user": "u" * 65}, Wire.CHAT),
        ("openai/gpt-5.6", {**TOOLS, "sampling": Sampling(seed=1)}, Wire.RESPONSES),
        ("openai/gpt-5.6", {"provider_options": {"truncation": '"auto"'}}, Wire.RESPONSES),
        ("openai/gpt-5.6", {"provider_options": {"service_tier": '"flex"'}}, Wire.CHAT),
        ("openai/gpt-5.6", {**INCLUDED, "provider_options": {"n": "1"}}, Wire.CHAT),
        ("openai/gpt-5.6", {**INCLUDED, "provider_options": {"verbosity": '"low"'}}, Wire.RESPONSES),
        ("openai/gpt-5-chat-latest", INCLUDED, Wire.CHAT),
        ("openai/chat-latest", INCLUDED, Wire.RESPONSES),
        ("openai/o4-mini", INCLUDED, Wire.CHAT),
        ("openai/o3", INCLUDED, Wire.RESPONSES),
        ("openai/gpt-5.2-codex-2026-12-01", {}, Wire.RESPONSES),
        ("openai/codex-mini-latest", {}, Wire.RESPONSES),
        ("openai/gpt-5.7-pro", {}, Wire.RESPONSES),
        ("openai/computer-use-preview", {}, Wire.RESPONSES),
        ("openai/gpt-audio-1.5", INCLUDED, Wire.CHAT),
        ("openai/gpt-5-pro", {}, Wire.RESPONSES),
        ("openai/gpt-4.1", INCLUDED, Wire.CHAT),
        ("openai/our-own", INCLUDED, Wire.CHAT),
        ("azure/eu/gpt-5.4", TOOLS, Wire.CHAT),
        ("azure/eu/gpt-5.4-mini", _with_effort(ReasoningEffort.LOW), Wire.RESPONSES),
        ("azure/us/gpt-5", INCLUDED, Wire.RESPONSES),
        ("azure/our-deployment", TOOLS, Wire.CHAT),
        ("litellm_proxy/gpt-5.6", {**TOOLS, **INCLUDED}, Wire.CHAT),
        ("azure/gpt-5.4", _with_effort(ReasoningEffort.LOW), Wire.RESPONSES),
        ("groq/openai/gpt-oss-20b", INCLUDED, Wire.CHAT),
        ("anthropic/claude-sonnet-4-5", TOOLS, Wire.CHAT),
    ],
)
def test_the_model_and_the_call_decide(model: str, fields: dict[str, Any], wire: Wire) -> None:
    """The Responses API gets what Chat Completions refuses, and what it does not return."""
    assert choose_wire(a_model_call(**fields), a_deployment(model)).wire is wire


def test_signed_reasoning_goes_back_to_where_it_comes_from() -> None:
    """A conversation with reasoning that the Responses API has signed goes on there."""
    call = a_model_call(*a_conversation('{"id":"rs_1","encrypted_content":"gAAA"}'), sampling=Sampling(seed=1))

    prepared = prepare_call(call, a_deployment("openai/gpt-5"))

    assert prepared.wire is Wire.RESPONSES
    assert [violation.field for violation in prepared.violations] == ["sampling.seed"]  # not lost, and not left out


@pytest.mark.parametrize("signature", ["", "c2ln", '{"phase":"commentary"}', "[1]"])
def test_other_reasoning_decides_nothing(signature: str) -> None:
    """Reasoning that the Responses API would not take back does not move a conversation there."""
    call = a_model_call(*a_conversation(signature))

    assert choose_wire(call, a_deployment("openai/gpt-5")).wire is Wire.CHAT


def test_reasoning_of_another_model_decides_nothing() -> None:
    """Reasoning that another model has signed is left out, so it does not decide."""
    other, own = a_deployment("openai/gpt-5.1"), a_deployment("openai/gpt-5")
    mark = create_mark(other.litellm_model, other.base_model)
    call = a_model_call(*a_conversation(f'{mark}{{"id":"rs_1","encrypted_content":"gAAA"}}'))

    assert prepare_call(call, other).wire is Wire.RESPONSES
    assert prepare_call(call, own).wire is Wire.CHAT


@pytest.mark.parametrize(
    ("base_model", "wire"),
    [("azure/eu/gpt-5.6", Wire.RESPONSES), ("azure/gpt-4.1", Wire.CHAT), ("azure/gpt-5-pro", Wire.RESPONSES)],
)
def test_the_base_model_decides(base_model: str, wire: Wire) -> None:
    """The model behind a deployment decides, and not the name of the deployment."""
    assert choose_wire(a_model_call(**TOOLS), a_deployment("azure/gpt-9", base_model=base_model)).wire is wire


def a_conversation(signature: str) -> tuple[Message, ...]:
    """Returns a conversation with an answer that has reasoning with this signature."""
    answer = Message(Role.ASSISTANT, (Part(Reasoning("hm"), signature=signature), Part(Text("Yes."))))
    return Message(Role.USER, (Part(Text("hi")),)), answer, Message(Role.USER, (Part(Text("why?")),))


@pytest.mark.parametrize("wire", Wire)
def test_the_entry_decides(wire: Wire) -> None:
    """The API that an entry names holds for all calls."""
    deployment = a_deployment("openai/gpt-5.6", wire=wire)

    assert {choose_wire(a_model_call(**fields), deployment).wire for fields in ({}, TOOLS, INCLUDED)} == {wire}


@pytest.mark.parametrize(
    ("model", "fields", "wire", "reason"),
    [
        ("openai/gpt-5-pro", {}, "responses", "the model has no other API"),
        ("openai/gpt-4o", {}, "chat", "the model does not reason"),
        ("openai/o4-mini", {}, "chat", "the model is not known to have the Responses API"),
        ("azure/ours", {}, "chat", "the model is not known; base_model can say which one it is"),
        ("litellm_proxy/team", {}, "chat", "the entry does not say otherwise"),
        ("hosted_vllm/qwen", {"wire": Wire.RESPONSES}, "responses", "the entry says so"),
        (
            "openai/gpt-5-pro",
            {"wire": Wire.CHAT},
            "chat",
            "the entry says so, although litellm lists only the other API for this model",
        ),
        (
            "openai/gpt-5.6",
            {},
            "by call",
            "the Responses API for function tools while the model reasons, for reasoning that is included or comes"
            " back; else Chat Completions",
        ),
        (
            "openai/gpt-6-sol",
            {},
            "by call",
            "the Responses API for function tools while the model reasons, for the effort MAX, for reasoning that is"
            " included or comes back; else Chat Completions",
        ),
        (
            "openai/gpt-5",
            {},
            "by call",
            "the Responses API for reasoning that is included or comes back; else Chat Completions",
        ),
    ],
)
def test_an_operator_learns_the_api_of_a_model(model: str, fields: dict[str, Any], wire: str, reason: str) -> None:
    """The API of each model, and why, is said for people."""
    entry = ModelEntry(name="m", litellm_model=model, api_base="http://127.0.0.1:9", **fields)

    assert find_wire(entry) == (wire, reason)


def test_a_provider_with_one_api_has_nothing_to_choose() -> None:
    """Nothing is said about a provider with one API."""
    assert find_wire(ModelEntry(name="m", litellm_model="anthropic/claude-sonnet-4-5")) is None


@pytest.mark.parametrize(
    ("model", "fields", "problem"),
    [
        (
            "anthropic/claude-sonnet-4-5",
            {"wire": Wire.RESPONSES},
            "models.m.wire: the Responses API is called only with azure, hosted_vllm, litellm_proxy, openai",
        ),
        (
            "openai/gpt-4o",
            {"store": True},
            "models.m.store: leave it out; no call of this model goes through the Responses API",
        ),
        (
            "openai/gpt-5",
            {"store": True, "wire": Wire.CHAT},
            "models.m.store: leave it out; no call of this model goes through the Responses API",
        ),
        (
            "openai/responses/o4-mini",
            {},
            'models.m.litellm_model: leave out "responses/", and set wire = "responses"',
        ),
        ("openai/gpt-5", {"store": True}, None),
        ("openai/gpt-4o", {"store": True, "wire": Wire.RESPONSES}, None),
    ],
)
def test_problems_of_an_entry(model: str, fields: dict[str, Any], problem: str | None) -> None:
    """An entry that contradicts itself is refused with the key at fault."""
    entry = ModelEntry(name="m", litellm_model=model, api_base="http://127.0.0.1:9", **fields)

    assert list(find_entry_problems(entry, find_price_map())) == ([] if problem is None else [problem])


def test_the_names_agree_with_litellm() -> None:
    """The names whose Chat Completions refuses tools are those that litellm bridges."""
    library.import_litellm()
    from litellm.llms.openai.chat.gpt_5_transformation import OpenAIGPT5Config

    def is_bridged(name: str) -> bool:
        is_gpt_5 = OpenAIGPT5Config.is_model_gpt_5_model(name)
        return bool(is_gpt_5 and OpenAIGPT5Config.is_model_gpt_5_4_plus_model(name))

    names = list_models()
    ours = {model for model in names if describe_openai_model(model).refuses_tools}

    assert ours == {model for model in names if is_bridged(model.partition("/")[2])}
    assert len(ours) > 50


def test_no_model_is_bridged_behind_our_back() -> None:
    """Each call that litellm would bridge to the Responses API goes there by our own decision."""
    library.import_litellm()
    from litellm.main import responses_api_bridge_check

    bridged: set[str] = set()
    for model in list_models():
        provider, _, name = model.partition("/")
        for effort in (None, ReasoningEffort.LOW, ReasoningEffort.NONE):
            tools = [{"type": "function", "function": {"name": "f"}}]
            word = None if effort is None else effort.lower()
            facts, _ = responses_api_bridge_check(name, provider, tools=tools, reasoning_effort=word)
            call = a_model_call(**TOOLS, reasoning=ReasoningOptions(effort=effort))
            if facts.get("mode") == "responses":
                bridged.add(model)
                # litellm takes gpt-5.4 for a model that reasons by default, although its list has the effort "none".
                is_off = effort is None and describe_openai_model(model).default_effort == "none"
                may_stay = is_off or effort is ReasoningEffort.NONE
                assert may_stay or choose_wire(call, a_deployment(model)).wire is Wire.RESPONSES, model

    assert len(bridged) > 100


def test_the_options_of_one_api_are_those_of_the_sdk() -> None:
    """The options that only one of the APIs has are those of OpenAI's own types."""
    chat, responses = (set(each.__annotations__) for each in (CompletionCreateParamsBase, ResponseCreateParamsBase))

    assert chat - responses - {VERBOSITY} == OF_CHAT_ALONE
    assert responses - chat == OF_RESPONSES_ALONE
