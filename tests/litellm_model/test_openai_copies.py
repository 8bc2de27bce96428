"""What leaves for the providers that copy OpenAI's protocol, where litellm alone would send something else."""

from typing import Any, Final

import pytest
from msgspec.structs import replace

from reasoning_grpc.domain import (
    Media,
    Message,
    Part,
    Reasoning,
    ReasoningEffort,
    ReasoningOptions,
    Refusal,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from reasoning_grpc.domain.errors import UpstreamParameterUnsupported
from reasoning_grpc.litellm_model.failures import convert_failure
from reasoning_grpc.litellm_model.promised import PROMISED
from reasoning_grpc.litellm_model.request import prepare_call
from tests.support.unsent import a_deployment, a_model_call, build_request

OPENAI: Final = sorted(provider for provider, protocol in PROMISED.items() if protocol == "OpenAI")
SCHEMA: Final = '{"type":"object","properties":{"m":{"type":"object","additionalProperties":{"type":"integer"}}}}'
WIRE_SCHEMA: Final = {
    "type": "object",
    "properties": {"m": {"type": "object", "additionalProperties": {"type": "integer"}}},
}
TOOL: Final = Tool("f", "d", SCHEMA)
WIRE_FUNCTION: Final = {"name": "f", "description": "d", "parameters": WIRE_SCHEMA}
WIRE_TOOL: Final = {"type": "function", "function": WIRE_FUNCTION}
FORMAT: Final = ResponseFormat(ResponseFormatKind.JSON_SCHEMA, name="n", schema=SCHEMA)
IMAGE: Final = Media("image/png", data=b"\x89PNG")
WIRE_IMAGE: Final = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}


def _user(*contents: Any, **fields: Any) -> Message:
    return Message(Role.USER, tuple(map(Part, contents)), **fields)


def _assistant(*contents: Any, **fields: Any) -> Message:
    return Message(Role.ASSISTANT, tuple(map(Part, contents)), **fields)


def _result(*call_ids: str, content: str = "42") -> Message:
    return Message(Role.TOOL, tuple(Part(ToolResult(call_id, content)) for call_id in call_ids))


HI: Final = _user(Text("hi"))
WIRE_HI: Final = {"role": "user", "content": "hi"}
CALL: Final = ToolCall("c1", "f", "{}")
WIRE_CALL: Final = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


async def _write(model: str, *messages: Message, base_model: str = "", **fields: Any) -> dict[str, Any]:
    """Returns the body that leaves for a call."""
    return (await build_request(a_deployment(model, base_model=base_model), a_model_call(*messages, **fields))).body


async def _find_refused(model: str, *messages: Message, **fields: Any) -> list[str]:
    """Returns the fields for which a call is refused before it is sent."""
    deployment = a_deployment(model)
    with pytest.raises(Exception) as failed:  # noqa: PT011 - litellm wraps the error, in various classes
        await build_request(deployment, a_model_call(*messages, **fields))
    error = convert_failure(failed.value, deployment, is_upstream_reached=False)
    assert isinstance(error, UpstreamParameterUnsupported)
    assert not error.is_upstream_reached
    return [violation.field for violation in error.violations]


def _list_settings(model: str, *messages: Message, **fields: Any) -> list[tuple[str, str, str]]:
    """Returns what is reported of a call."""
    settings = prepare_call(a_model_call(*messages, **fields), a_deployment(model)).settings
    return [(setting.field, setting.requested, setting.effective) for setting in settings]


@pytest.mark.parametrize("provider", OPENAI)
async def test_nothing_is_added_to_a_bare_request(provider: str) -> None:
    """A request without parameters leaves with its messages, and with what asks for a stream and its usage."""
    body = await _write(f"{provider}/some-model")

    assert body.pop("model")
    assert body.pop("messages") == [WIRE_HI]
    assert body.pop("stream") is True
    assert body.pop("stream_options", {"include_usage": True}) == {"include_usage": True}
    assert body == ({"usage": {"include": True}} if provider == "openrouter" else {})


@pytest.mark.parametrize("provider", OPENAI)
async def test_every_stop_sequence_leaves(provider: str) -> None:
    """More stop sequences than OpenAI takes reach other servers, and are not cut to four."""
    sampling = Sampling(stop_sequences=("a", "b", "c", "d", "e"))
    if provider == "perplexity":
        assert await _find_refused("perplexity/sonar", sampling=sampling) == ["sampling.stop_sequences"]
    else:
        assert (await _write(f"{provider}/some-model", sampling=sampling))["stop"] == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("model", ["openai/o3-mini", "azure/o3-mini", "openai/o4-mini", "openai/gpt-5", "openai/o1"])
async def test_the_system_stays_the_system(model: str) -> None:
    """A message of the system does not become one of the user, for any model."""
    system = Message(Role.SYSTEM, (Part(Text("be brief")),))

    body = await _write(model, system, HI, system)

    wire_system = {"role": "system", "content": "be brief"}
    assert body["messages"] == [wire_system, WIRE_HI, wire_system]


@pytest.mark.parametrize("provider", ["databricks", "deepseek", "moonshot", "sambanova"])
async def test_texts_are_joined_with_a_break(provider: str) -> None:
    """Where a provider takes a list only for media, the texts of a message become one, with an empty line between."""
    body = await _write(f"{provider}/some-model", _user(Text("one"), Text("two")), _assistant(Text("a"), Text("b")), HI)

    assert [message["content"] for message in body["messages"]] == ["one\n\ntwo", "a\n\nb", "hi"]


@pytest.mark.parametrize("provider", sorted(set(OPENAI) - {"databricks", "deepseek", "moonshot", "sambanova"}))
async def test_texts_stay_apart(provider: str) -> None:
    """Elsewhere, the texts of a message leave as they are."""
    body = await _write(f"{provider}/some-model", _user(Text("one"), Text("two")))

    assert body["messages"][0]["content"] == [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]


@pytest.mark.parametrize("provider", sorted(set(OPENAI) - {"deepseek"}))
async def test_an_image_stays_between_its_texts(provider: str) -> None:
    """An image leaves in its place."""
    body = await _write(f"{provider}/some-model", _user(Text("one"), IMAGE, Text("two")))

    texts = ({"type": "text", "text": text} for text in ("one", "two"))
    assert body["messages"][0]["content"] == [next(texts), WIRE_IMAGE, next(texts)]


REFUSED: Final[dict[str, tuple[str, tuple[Message, ...], dict[str, Any], list[str]]]] = {
    "an image for DeepSeek": (
        "deepseek/deepseek-chat",
        (HI, _user(Text("one"), IMAGE, Text("two"))),
        {},
        ["messages[1].content[1].media"],
    ),
    "a document for Fireworks": (
        "fireworks_ai/some-model",
        (_user(Media("application/pdf", data=b"%P"), IMAGE),),
        {},
        ["messages[0].content[0].media"],
    ),
    "an effort that litellm makes a prompt": (
        "mistral/magistral-medium-latest",
        (),
        {"reasoning": ReasoningOptions(effort=ReasoningEffort.HIGH)},
        ["reasoning.effort"],
    ),
    "a temperature that litellm leaves out": (
        "moonshot/kimi-k2.5",
        (),
        {"sampling": Sampling(temperature=0.3)},
        ["sampling.temperature"],
    ),
    "a temperature that litellm lowers": (
        "moonshot/moonshot-v1-128k",
        (),
        {"sampling": Sampling(temperature=1.5)},
        ["sampling.temperature"],
    ),
    "a forced call that litellm makes a message": (
        "moonshot/some-model",
        (),
        {"tools": (TOOL,), "tool_choice": ToolChoice(ToolChoiceMode.REQUIRED)},
        ["tool_choice"],
    ),
    "a schema beside tools, for Fireworks": (
        "fireworks_ai/some-model",
        (),
        {"tools": (TOOL,), "response_format": FORMAT},
        ["response_format"],
    ),
    "a schema beside tools, for Claude on Databricks": (
        "databricks/databricks-claude-sonnet-4",
        (),
        {"tools": (TOOL,), "response_format": FORMAT},
        ["response_format"],
    ),
    "JSON mode for Claude on Databricks": (
        "databricks/databricks-claude-sonnet-4",
        (),
        {"response_format": ResponseFormat(ResponseFormatKind.JSON_OBJECT)},
        ["response_format"],
    ),
    "a budget for another model on Databricks": (
        "databricks/databricks-meta-llama-3-3-70b-instruct",
        (),
        {"reasoning": ReasoningOptions(budget_tokens=2000)},
        ["reasoning.budget_tokens"],
    ),
    "weights of tokens for the series o": (
        "openai/o3-mini",
        (),
        {"sampling": Sampling(logit_bias={5: 1})},
        ["sampling.logit_bias"],
    ),
    "a stop sequence for o4-mini": (
        "azure/o4-mini",
        (),
        {"sampling": Sampling(stop_sequences=("x",))},
        ["sampling.stop_sequences"],
    ),
    "a stop sequence and penalties for xAI": (
        "xai/grok-build-latest",
        (),
        {"sampling": Sampling(stop_sequences=("x",), presence_penalty=0.5, frequency_penalty=0.5)},
        ["sampling.stop_sequences", "sampling.presence_penalty", "sampling.frequency_penalty"],
    ),
    "a strict tool for xAI": ("xai/grok-4", (), {"tools": (replace(TOOL, strict=True),)}, ["tools[0].strict"]),
    "a strict tool for Fireworks": (
        "fireworks_ai/some-model",
        (),
        {"tools": (TOOL, replace(TOOL, strict=True))},
        ["tools[1].strict"],
    ),
}


@pytest.mark.parametrize(("model", "messages", "fields", "refused"), REFUSED.values(), ids=REFUSED)
async def test_what_would_be_lost_is_refused(
    model: str, messages: tuple[Message, ...], fields: dict[str, Any], refused: list[str]
) -> None:
    """A field that the provider does not take, and that litellm would leave out or change, is refused by name."""
    assert await _find_refused(model, *messages, **fields) == refused


WRITTEN: Final[dict[str, tuple[str, dict[str, Any], dict[str, Any]]]] = {
    "a forced call, for Mistral": (
        "mistral/some-model",
        {"tools": (TOOL,), "tool_choice": ToolChoice(ToolChoiceMode.REQUIRED)},
        {"tool_choice": "required"},
    ),
    "a forced tool, for Mistral": (
        "mistral/some-model",
        {"tools": (TOOL,), "tool_choice": ToolChoice(tool="f")},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    ),
    "a seed, for Mistral": ("mistral/some-model", {"sampling": Sampling(seed=1)}, {"random_seed": 1}),
    "no call, for DeepInfra": (
        "deepinfra/some-model",
        {"tools": (TOOL,), "tool_choice": ToolChoice(ToolChoiceMode.NONE)},
        {"tool_choice": "none"},
    ),
    "no reasoning, for DeepSeek": (
        "deepseek/some-model",
        {"reasoning": ReasoningOptions(effort=ReasoningEffort.NONE)},
        {"thinking": {"type": "disabled"}},
    ),
    "reasoning, for DeepSeek": (
        "deepseek/some-model",
        {"reasoning": ReasoningOptions(effort=ReasoningEffort.LOW)},
        {"thinking": {"type": "enabled"}, "reasoning_effort": "low"},
    ),
    "a budget, for OpenRouter": (
        "openrouter/anthropic/claude-sonnet-4.5",
        {"reasoning": ReasoningOptions(budget_tokens=2000)},
        {"reasoning": {"max_tokens": 2000}, "usage": {"include": True}},
    ),
    "a strict tool with a map, for vLLM": (
        "hosted_vllm/some-model",
        {"tools": (replace(TOOL, strict=True),)},
        {"tools": [{"type": "function", "function": WIRE_FUNCTION | {"strict": True}}]},
    ),
    "a tool that is not strict, for xAI": ("xai/grok-4", {"tools": (replace(TOOL, strict=False),)}, {}),
    "a schema by a tool, for Groq": (
        "groq/llama-3.3-70b-versatile",
        {"response_format": FORMAT},
        {
            "tools": [{"type": "function", "function": {"name": "json_tool_call", "parameters": WIRE_SCHEMA}}],
            "tool_choice": {"type": "function", "function": {"name": "json_tool_call"}},
        },
    ),
    "a schema, for a model of Groq that takes it": (
        "groq/openai/gpt-oss-120b",
        {"response_format": FORMAT},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": WIRE_SCHEMA}}},
    ),
    "an effort, for Claude on Databricks": (
        "databricks/databricks-claude-sonnet-4",
        {"reasoning": ReasoningOptions(effort=ReasoningEffort.HIGH), "sampling": Sampling(max_output_tokens=9000)},
        {"thinking": {"type": "enabled", "budget_tokens": 4096}, "max_tokens": 9000},
    ),
    "plain text, for Claude on Databricks": (
        "databricks/databricks-claude-sonnet-4",
        {"response_format": ResponseFormat(ResponseFormatKind.TEXT)},
        {},
    ),
}


@pytest.mark.parametrize(("model", "fields", "written"), WRITTEN.values(), ids=WRITTEN)
async def test_what_is_written_for_a_field(model: str, fields: dict[str, Any], written: dict[str, Any]) -> None:
    """A field leaves in the provider's own words."""
    body = await _write(model, **fields)

    for name in ("model", "messages", "stream", "stream_options"):
        body.pop(name, None)
    expected = written if "tools" in written or "tools" not in fields else {"tools": [WIRE_TOOL], **written}
    assert body == expected


REPORTED: Final[dict[str, tuple[str, tuple[Message, ...], dict[str, Any], list[tuple[str, str, str]]]]] = {
    "a strict schema by a tool": (
        "groq/llama-3.3-70b-versatile",
        (),
        {"response_format": replace(FORMAT, strict=True)},
        [("response_format.json_schema.strict", "true", "false")],
    ),
    "a strict schema": ("groq/openai/gpt-oss-120b", (), {"response_format": replace(FORMAT, strict=True)}, []),
    "a strict schema by a tool, for Claude on Databricks": (
        "databricks/databricks-claude-sonnet-4",
        (),
        {"response_format": replace(FORMAT, strict=True)},
        [("response_format.json_schema.strict", "true", "false")],
    ),
    "a name of a user": ("xai/grok-4", (_user(Text("hi"), name="ann"),), {}, []),
    "a name of an assistant": (
        "xai/grok-4",
        (HI, _assistant(Text("yes"), name="bot"), HI),
        {},
        [("messages[1].name", "bot", "")],
    ),
    "several names": (
        "mistral/some-model",
        (_user(Text("hi"), name="ann"), _assistant(Text("yes"), name="bot"), HI),
        {},
        [("messages[0].name", "ann", ""), ("messages[1].name", "bot", "")],
    ),
    "any name": ("mistral/some-model", (_user(Text("hi"), name="ann"),), {}, [("messages[0].name", "ann", "")]),
}


@pytest.mark.parametrize(("model", "messages", "fields", "settings"), REPORTED.values(), ids=REPORTED)
def test_what_is_reported(
    model: str, messages: tuple[Message, ...], fields: dict[str, Any], settings: list[tuple[str, str, str]]
) -> None:
    """What takes effect otherwise than requested is an effective setting."""
    assert _list_settings(model, *messages, **fields) == settings


async def test_names_leave_where_they_are_taken() -> None:
    """xAI gets the names of users alone, Mistral gets none, and OpenAI gets all."""
    conversation = _user(Text("hi"), name="ann"), _assistant(Text("yes"), name="bot"), HI

    names = {
        model: [message.get("name") for message in (await _write(model, *conversation))["messages"]]
        for model in ("openai/gpt-4o", "xai/grok-4", "mistral/some-model")
    }

    assert names == {
        "openai/gpt-4o": ["ann", "bot", None],
        "xai/grok-4": ["ann", None, None],
        "mistral/some-model": [None, None, None],
    }


@pytest.mark.parametrize("model", ["databricks/some-model", "mistral/mistral-large-2512"])
async def test_what_an_assistant_said_is_kept(model: str) -> None:
    """A refusal goes back as text, an answer without content is left out, and an empty result stays."""
    conversation = (
        HI,
        _assistant(Refusal("no")),
        HI,
        _assistant(Text("t"), Refusal("but no")),
        HI,
        _assistant(Reasoning("hm")),
        HI,
        _assistant(CALL),
        _result("c1", content=""),
    )

    body = await _write(model, *conversation, tools=(TOOL,))

    joined = "t\n\nbut no" if model.startswith("databricks") else [{"type": "text", "text": t} for t in ("t", "but no")]
    assert body["messages"] == [
        WIRE_HI,
        {"role": "assistant", "content": "no"},
        WIRE_HI,
        {"role": "assistant", "content": joined},
        WIRE_HI,
        WIRE_HI,
        {"role": "assistant", "tool_calls": [WIRE_CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": ""},
    ]


async def test_audio_in_mistrals_form() -> None:
    """Audio leaves for Mistral as its data alone."""
    body = await _write("mistral/voxtral-small-latest", _user(Text("what is this?"), Media("audio/wav", data=b"w")))

    assert body["messages"][0]["content"][1] == {"type": "input_audio", "input_audio": "dw=="}


async def test_parallel_calls_on_databricks() -> None:
    """Each call of a message stands before its own result, because Databricks requires it of most models."""
    calls = _assistant(Text("wait"), CALL, ToolCall("c2", "g", "{}"))
    conversation = HI, calls, _result("c1", "c2")
    second = {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}

    llama = await _write("databricks/databricks-meta-llama-3-3-70b-instruct", *conversation)
    claude = await _write("databricks/databricks-claude-sonnet-4", *conversation)

    results = [{"role": "tool", "tool_call_id": call_id, "content": "42"} for call_id in ("c1", "c2")]
    assert llama["messages"][1:] == [
        {"role": "assistant", "content": "wait", "tool_calls": [WIRE_CALL]},
        results[0],
        {"role": "assistant", "tool_calls": [second]},
        results[1],
    ]
    assert claude["messages"][1:] == [
        {"role": "assistant", "content": "wait", "tool_calls": [WIRE_CALL, second]},
        *results,
    ]


async def test_reasoning_before_calls_for_moonshot() -> None:
    """A blank stands for reasoning that a reasoning model of Moonshot requires before earlier calls."""
    conversation = HI, _assistant(CALL), _result("c1"), _assistant(Reasoning("hm"), CALL), _result("c1")

    body = await _write("moonshot/kimi-k2.5", *conversation, tools=(TOOL,))

    assert [message.get("reasoning_content") for message in body["messages"]] == [None, " ", None, "hm", None]


@pytest.mark.parametrize(("model", "is_marked"), [("anthropic/claude-sonnet-4.5", True), ("openai/gpt-5", False)])
async def test_cache_marks_for_openrouter(model: str, is_marked: bool) -> None:
    """Marks reach the models that take them, within the content."""
    marked = Message(Role.USER, (Part(Text("long"), cache=True),))
    result = Message(Role.TOOL, (Part(ToolResult("c1", "42"), cache=True),))

    body = await _write(f"openrouter/{model}", marked, _assistant(CALL), result, tools=(TOOL,))

    mark = {"cache_control": {"type": "ephemeral"}} if is_marked else {}
    assert body["messages"][0]["content"] == [{"type": "text", "text": "long", **mark}]
    assert body["messages"][2] == {
        "role": "tool",
        "tool_call_id": "c1",
        "content": [{"type": "text", "text": "42", **mark}] if is_marked else "42",
    }
