"""The place at which each provider of the OpenAI protocol gets the reasoning of earlier answers."""

import json
from typing import Any, Final

import pytest
from msgspec.structs import replace

from reasoning_grpc.domain import Message, Part, Reasoning, Role, Text, Tool, ToolCall, ToolResult
from reasoning_grpc.litellm_model.request import build_arguments, prepare_call
from tests.support.unsent import a_deployment, a_model_call

TOOL: Final = Tool("f", "d", "{}")
HI: Final = Message(Role.USER, (Part(Text("hi")),))
CALL: Final = ToolCall("c1", "f", "{}")
RESULT: Final = Message(Role.TOOL, (Part(ToolResult("c1", "42")),))
CONTENT: Final = {"content": "t", "reasoning_content": "hm"}
RENAMED: Final = {"content": "t", "reasoning": "hm"}
BOTH: Final = CONTENT | RENAMED
PARTS: Final = {
    "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "t"}]
}
NONE: Final = {"content": "t"}


def _answer(*contents: Any) -> Message:
    return Message(Role.ASSISTANT, tuple(map(Part, contents)))


def _write(model: str, *messages: Message, api_base: str = "") -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Returns the messages of a call, and the settings that take effect otherwise, as fields and values."""
    deployment = replace(a_deployment(model), api_base=api_base)
    call = a_model_call(*messages, tools=(TOOL,))
    prepared = prepare_call(call, deployment)
    written: list[dict[str, Any]] = build_arguments(prepared.choose_call(call), deployment)["messages"]
    return written, [(setting.field, setting.effective) for setting in prepared.settings]


@pytest.mark.parametrize(
    ("model", "api_base", "expected"),
    [
        ("openai/gpt-4o", "", NONE),
        ("openai/gpt-4o", "https://api.openai.com/v1", NONE),
        ("openai/gpt-4o", "https://eu.api.openai.com/v1", NONE),
        ("openai/our-deployment", "https://our.openai.azure.com/openai/v1", NONE),
        ("openai/gemini-3.1-pro-preview", "https://generativelanguage.googleapis.com/v1beta/openai", NONE),
        ("openai/qwen3.8-max", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", CONTENT),
        ("openai/grok-4.7", "https://API.X.AI/v1", CONTENT),
        ("openai/our-model", "https://not-api.x.ai/v1", BOTH),
        ("openai/Qwen/Qwen3-8B", "http://127.0.0.1:8000/v1", BOTH),
        ("openai/our-model", "https://api.openai.com.example.org/v1", BOTH),
        ("custom_openai/our-model", "https://models.example.org", BOTH),
        ("openai/gpt-oss-120b", "https://api.cerebras.ai/v1", RENAMED),
        ("openai/openai/gpt-oss-120b", "https://api.groq.com/openai/v1", RENAMED),
        ("openai/llama-guard-3-8b", "https://api.groq.com/openai/v1", NONE),
        ("openai/mistral-medium-3-5", "https://api.mistral.ai/v1", PARTS),
        ("openai/deepseek-v4-pro", "https://api.deepseek.com", CONTENT),
        ("openai/kimi-k3", "https://api.moonshot.ai/v1", CONTENT),
        ("openai/google/gemini-3.1-pro-preview", "https://openrouter.ai/api/v1", CONTENT),
        ("openrouter/google/gemini-3.1-pro-preview", "", CONTENT),
        ("openai/glm-5", "https://api.fireworks.ai/inference/v1", CONTENT),
        ("azure/our-deployment", "https://our.openai.azure.com", NONE),
        ("hosted_vllm/our-model", "http://127.0.0.1:8000/v1", BOTH),
        ("cerebras/llama-3.3-70b", "", RENAMED),
        ("groq/openai/gpt-oss-120b", "", RENAMED),
        ("groq/llama-guard-3-8b", "", NONE),
        ("groq/a-model-of-tomorrow", "", RENAMED),
        ("mistral/magistral-medium-latest", "", PARTS),
        ("mistral/mistral-large-2512", "", NONE),
        ("mistral/a-model-of-tomorrow", "", PARTS),
        ("databricks/databricks-claude-sonnet-4", "", NONE),
        *((f"{prefix}/some-model", "", CONTENT) for prefix in ("dashscope", "deepseek", "moonshot", "xai", "zai")),
    ],
)
def test_the_place_of_reasoning(model: str, api_base: str, expected: dict[str, Any]) -> None:
    """The provider, or the address where the prefix is that of any server, decides the place of reasoning."""
    written, settings = _write(model, HI, _answer(Reasoning("hm"), Text("t")), HI, api_base=api_base)

    assert written[1] == {"role": "assistant"} | expected
    assert settings == ([("messages.content.reasoning", "0")] if expected is NONE else [])


@pytest.mark.parametrize(
    ("model", "api_base", "expected"),
    [
        ("deepseek/deepseek-v4-pro", "", [" ", "hm", " "]),
        ("openai/deepseek-v4-pro", "https://api.deepseek.com", [" ", "hm", " "]),
        ("moonshot/kimi-k3", "", [" ", "hm", None]),
        ("moonshot/kimi-k2-thinking", "", [" ", "hm", None]),
        ("openai/kimi-k3", "https://api.moonshot.cn/v1", [" ", "hm", None]),
        ("moonshot/moonshot-v1-8k", "", [None, "hm", None]),
        ("zai/glm-5", "", [None, "hm", None]),
    ],
)
def test_a_blank_for_missing_reasoning(model: str, api_base: str, expected: list[str | None]) -> None:
    """A blank stands for reasoning that a provider requires beside the tool calls of a turn."""
    turn = HI, _answer(CALL), RESULT, _answer(Reasoning("hm"), CALL), RESULT, _answer(Text("t")), HI

    written, _ = _write(model, *turn, api_base=api_base)

    answers = [message for message in written if message["role"] == "assistant"]
    assert [answer.get("reasoning_content") for answer in answers] == expected


def test_no_blank_in_a_turn_without_calls() -> None:
    """DeepSeek requires no reasoning between two questions where no tool was called."""
    written, _ = _write("deepseek/deepseek-v4-pro", HI, _answer(Text("t")), HI, _answer(CALL), RESULT)

    assert [message.get("reasoning_content") for message in written] == [None, None, None, " ", None]


def test_an_answer_of_nothing_but_reasoning() -> None:
    """Mistral gets an answer that was cut while the model was thinking as a part alone."""
    written, _ = _write("mistral/magistral-medium-latest", HI, _answer(Reasoning("hm")), HI)

    assert written[1]["content"] == [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]


SIGNED: Final = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0, "signature": "sig"}
ENCRYPTED: Final = {
    "type": "reasoning.encrypted",
    "id": "c1",
    "format": "google-gemini-v1",
    "index": 1,
    "data": "b3Bh",
}


def test_details_go_back_as_they_were() -> None:
    """OpenRouter gets what is signed or encrypted back with all its members, and no reasoning beside it."""
    answer = Message(
        Role.ASSISTANT,
        (
            Part(Reasoning("hm"), signature=json.dumps(SIGNED)),
            Part(Reasoning("so")),
            Part(Reasoning(redacted=json.dumps(ENCRYPTED).encode())),
            Part(Reasoning("bare"), signature="EqQB"),
            Part(Reasoning(redacted=b"opaque")),
            Part(CALL),
        ),
    )

    written, _ = _write("openrouter/google/gemini-3.1-pro-preview", HI, answer, RESULT)

    assert written[1].keys() == {"role", "tool_calls", "reasoning_details"}
    assert written[1]["reasoning_details"] == [
        SIGNED | {"text": "hm"},
        ENCRYPTED,
        {"type": "reasoning.text", "signature": "EqQB", "format": "anthropic-claude-v1", "text": "bare"},
        {"type": "reasoning.encrypted", "data": "opaque", "format": "anthropic-claude-v1"},
    ]


@pytest.mark.parametrize("opaque", ["[" * 20_000, '{"a":' * 20_000 + "1" + "}" * 20_000], ids=["cut", "whole"])
def test_deep_json_is_no_detail(opaque: str) -> None:
    """OpenRouter gets a signature, and redacted reasoning, as they are if they are JSON that is nested too deeply."""
    answer = _answer(Reasoning(redacted=opaque.encode()))
    answer = replace(answer, content=(Part(Reasoning("hm"), signature=opaque), *answer.content))

    written, _ = _write("openrouter/google/gemini-3.1-pro-preview", HI, answer, HI)

    assert written[1]["reasoning_details"] == [
        {"type": "reasoning.text", "signature": opaque, "format": "anthropic-claude-v1", "text": "hm"},
        {"type": "reasoning.encrypted", "data": opaque, "format": "anthropic-claude-v1"},
    ]
