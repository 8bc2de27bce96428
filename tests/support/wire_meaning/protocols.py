"""Chooses the reader of a body by the path of its request."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from tests.support.wire_meaning.amounts import find_broken_amounts
from tests.support.wire_meaning.anthropic import read_anthropic
from tests.support.wire_meaning.bedrock import read_bedrock
from tests.support.wire_meaning.gemini import read_gemini
from tests.support.wire_meaning.meaning import Json, Meaning, UnreadableBody
from tests.support.wire_meaning.members import refuse_unknown_members
from tests.support.wire_meaning.ollama import read_ollama
from tests.support.wire_meaning.openai import read_openai
from tests.support.wire_meaning.responses import read_responses

_OF_CALLERS: Final = frozenset({"generationConfig", "generation_config", "additionalModelRequestFields", "x_option"})
"""Members that are read to their end, or have data of the caller's own."""
Reader = Callable[[Json, str, str], Meaning]

_READERS: Final[tuple[tuple[re.Pattern[str], Reader], ...]] = (
    (re.compile(r"/messages$"), read_anthropic),
    (re.compile(r":streamGenerateContent$"), read_gemini),
    (re.compile(r"/converse(-stream)?$"), read_bedrock),
    (re.compile(r"/api/chat$"), read_ollama),
    (re.compile(r"/chat/completions$"), read_openai),
    (re.compile(r"/responses$"), read_responses),
)


def read_body(path: str, body: Any, described_model: str) -> Meaning:
    """Returns the meaning of a captured body. Raises UnreadableBody for what the protocol's reader does not know."""
    bare, _, _ = path.partition("?")
    for pattern, read in _READERS:
        if pattern.search(bare):
            try:
                refuse_unknown_members(bare, {name: value for name, value in body.items() if name not in _OF_CALLERS})
                meaning = read(body, path, described_model)
            except (LookupError, TypeError, AttributeError, ValueError) as exc:
                raise UnreadableBody(f"{type(exc).__name__}: {exc}") from exc
            amounts = [meaning.parameters.get(f"reasoning.{form}") for form in ("effort", "budget_tokens")]
            broken = (rule for amount in amounts for rule in find_broken_amounts(amount, described_model))
            return replace(meaning, broken_rules=(*meaning.broken_rules, *broken))
    raise UnreadableBody(f"the path {bare}")
