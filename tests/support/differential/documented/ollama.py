"""Differences of Ollama's protocol."""

from typing import Final

from tests.support.differential.documented.row import row

_JOINED: Final = "The texts of a message are joined by an empty line, and so is its reasoning."
_PLACES: Final = (
    "A message has one place each for its reasoning, its text, its images and its tool calls, in this order."
)

ROWS: Final = (
    row("ollama_chat", "messages[].name|end_user|messages[].content[].reasoning.redacted", "missing", is_reported=True),
    row(
        "ollama_chat",
        "messages[].content[].text|messages[].content[].reasoning",
        "joined by an empty line",
        documented=_JOINED,
    ),
    row(
        "ollama_chat",
        "messages[].content[].text|messages[].content[].refusal",
        "changed|missing",
        documented="A refusal is sent as a text.",
        holds=lambda difference, _: not difference.left or "\n\n" in difference.left,
    ),
    row("ollama_chat", "messages[].content[].text", "moved", documented=_PLACES),
    row("ollama_chat", "messages[].content[].refusal", "as a text", documented="A refusal is sent as a text."),
    row(
        "ollama_chat",
        "messages[].content[].signature",
        "missing on .*",
        documented="`fireworks_ai/` and `ollama_chat/` get no signatures back",
    ),
    row(
        "ollama_chat",
        "messages[].content[].tool_call",
        "changed",
        documented="are sent as `malformed_arguments`, in an object",
        holds=lambda difference, _: "malformed_arguments" in difference.left["arguments"],
    ),
    row("ollama_chat", "messages[]", "missing", documented="Messages without content are left out."),
    row(
        "ollama_chat",
        "response_format.json_schema.name|response_format.json_schema.strict",
        "missing|changed",
        documented="The `name` of a format is not sent, and its schema always holds.",
    ),
    row(
        "ollama_chat",
        "response_format.json_schema.description",
        "missing",
        documented="Its `description` goes into the schema.",
    ),
    row(
        "ollama_chat",
        "tools[]|tool_choice",
        "missing",
        documented="With `tool_choice` NONE, the tools are left out, which is the same.",
        holds=lambda difference, _: difference.field != "tool_choice" or difference.asked == "none",
    ),
)
"""The rows of the table."""
