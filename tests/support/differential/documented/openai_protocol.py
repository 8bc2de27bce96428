"""Differences of providers that speak the OpenAI protocol."""

from typing import Final

from reasoning_grpc.litellm_model import PROMISED
from tests.support.differential.documented.row import row

_ALL: Final = " ".join(prefix for prefix, protocol in PROMISED.items() if protocol == "OpenAI")
_JOINING: Final = "databricks deepseek moonshot sambanova"

ROWS: Final = (
    row(
        "openrouter",
        "extras.usage",
        "added",
        documented="OpenRouter is asked for the usage of each answer",
        holds=lambda difference, _: difference.left == {"include": True},
    ),
    row(
        _ALL,
        "messages[].content[].reasoning",
        "moved|joined by an empty line",
        documented="all reasoning of a message stands together",
    ),
    row("azure databricks groq mistral", "messages[].content[].reasoning", "missing", is_reported=True),
    row(
        "azure databricks",
        "messages[].content[].reasoning.redacted",
        "missing",
        documented="The reasoning is left out, which is reported.",
    ),
    row(_ALL, "messages[].content[].text", "moved", documented="Texts stand before tool calls"),
    row(_ALL, "messages[].content[].signature", "missing on text", documented="Texts have no signatures"),
    row(
        _ALL,
        "messages[].content[].text",
        "missing",
        documented="A text without a character is left out of an answer",
        holds=lambda difference, _: difference.asked == "",
    ),
    row(_ALL, "messages", "empty added", documented="an answer without anything else is sent as an empty text"),
    row(
        _ALL,
        "messages[].content[].media.filename",
        "added",
        documented='A document without a `filename` gets the name "document" with the ending of its type',
        holds=lambda difference, _: str(difference.left).startswith("document"),
    ),
    row(
        "litellm_proxy openrouter",
        "messages[].content[].cache",
        "missing on reasoning",
        documented="A cache mark on reasoning is left out",
    ),
    row(
        "openrouter",
        "messages[].content[].cache",
        "missing on call",
        documented="get cache marks, and none on tool calls",
    ),
    row(
        "openrouter",
        "messages[].content[].cache",
        "missing on .*",
        documented="Only Claude, Gemini, GLM and MiniMax get cache marks",
        holds=lambda _, target: "claude" not in target.litellm_model,
    ),
    row(
        _JOINING,
        "messages[].content[].text",
        "joined by an empty line",
        documented="get the texts of a message as one text, with an empty line between",
    ),
    row(
        "mistral",
        "messages[].content[].media",
        "changed",
        documented="and audio as its data alone",
        holds=lambda difference, _: difference.asked["data"] == difference.left["data"],
    ),
    row(
        "cerebras",
        "reasoning.effort|reasoning.budget_tokens",
        "missing",
        is_reported=True,
        effective="on",
        holds=lambda difference, target: "glm" in target.litellm_model and difference.asked != "none",
    ),
    row("mistral databricks xai", "messages[].name", "missing", is_reported=True),
    row(
        "mistral databricks",
        "messages[].content[].refusal",
        "as a text|missing",
        documented="get a refusal as a text, and no answers without content",
    ),
    row(
        "databricks",
        "messages[].content[].text",
        "changed",
        documented="get a refusal as a text, and no answers without content",
        holds=lambda difference, _: str(difference.left).startswith(f"{difference.asked}\n\n"),
    ),
    row(
        "mistral databricks",
        "messages[]",
        "missing",
        documented="get a refusal as a text, and no answers without content",
    ),
    row(
        "azure cerebras databricks groq mistral",
        "messages[].content[].signature",
        "missing on .*",
        documented="get no signatures back",
    ),
    row(
        "cerebras groq mistral",
        "messages[].content[].reasoning.redacted",
        "missing",
        documented="get no signatures back",
    ),
    row(
        "hosted_vllm together_ai fireworks_ai",
        "messages[].content[].reasoning.redacted",
        "missing",
        documented="get no signatures back",
    ),
    row(
        "hosted_vllm together_ai fireworks_ai",
        "messages[].content[].signature",
        "missing on reasoning",
        documented="get no signatures back",
    ),
    row(
        "groq databricks",
        "response_format.json_schema.name|response_format.json_schema.description",
        "missing",
        documented="without its name and description",
    ),
    row(
        "groq databricks",
        "response_format.json_schema.strict",
        "missing",
        is_reported=True,
        holds=lambda difference, _: difference.asked is True,
    ),
    row(
        "groq databricks",
        "response_format.json_schema.strict",
        "missing",
        documented="get a JSON schema as that of a tool that they must call",
        holds=lambda difference, _: difference.asked is False,
    ),
    row(
        "databricks fireworks_ai xai",
        "tools[].strict",
        "missing",
        documented="`strict = false` of a tool is left out where strict tools are refused",
        holds=lambda difference, _: difference.asked is False,
    ),
    row(
        "databricks",
        "sampling.max_output_tokens",
        "added",
        documented="Beside a budget of reasoning tokens, Claude gets a limit for the whole answer",
    ),
    row(
        "databricks",
        "messages[]|messages[].content[].tool_call|messages[].content[].tool_result",
        "moved|split",
        documented="each tool call stands in a message of its own before its result",
    ),
    row(
        "deepseek moonshot",
        "messages",
        "reasoning added",
        documented="A blank stands for missing reasoning",
        holds=lambda difference, _: difference.left == " ",
    ),
)
"""The rows of the table."""
