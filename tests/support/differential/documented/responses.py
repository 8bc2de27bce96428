"""Differences of the calls that go through OpenAI's Responses API."""

from functools import partial
from typing import Final

from tests.support.differential.documented.row import Documented, row
from tests.support.differential.targets import Target
from tests.support.wire_meaning import Difference

_ALL: Final = "openai azure litellm_proxy hosted_vllm"


def _may_go_there(_: Difference, target: Target) -> bool:
    return target.has_responses


_row: Final[partial[Documented]] = partial(row, _ALL, holds=_may_go_there)

ROWS: Final = (
    _row("messages[].name", "missing", is_reported=True),
    _row("messages[].content[].reasoning", "missing", is_reported=True),
    _row("messages[].content[].reasoning.redacted", "missing", is_reported=True),
    _row("reasoning.budget_tokens", "as an effort", is_reported=True),
    _row(
        "messages[].content[].signature",
        "missing on (call|text)",
        documented="The signatures of tool calls, and those of texts that are not its own, are not sent",
    ),
    row(
        "litellm_proxy hosted_vllm",
        "messages[].content[].refusal",
        "as a text",
        documented="Servers that are not OpenAI's get each text of an earlier answer as a message, and a refusal too",
        holds=_may_go_there,
    ),
    row(
        "litellm_proxy hosted_vllm",
        "messages[].content[].cache",
        "missing on .*",
        documented="No other model gets cache marks through this API",
        holds=_may_go_there,
    ),
)
"""The rows of the table."""
