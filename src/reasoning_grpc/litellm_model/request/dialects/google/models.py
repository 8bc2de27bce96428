"""The models of Gemini's API, by what litellm and Google take from their names."""

import re
from typing import Final

_BEFORE_GEMINI_3: Final = re.compile(
    r"(gemini-(?:[12](?:\.\d+)?|exp|(?:pro|flash)(?!-(?:lite-)?latest$))|gemma)(?:-|$)",
)
_JSON_SCHEMAS: Final = re.compile(r"gemini-(?!1\b|exp\b)")
_TAKES_SYSTEM_MESSAGES: Final = re.compile(r"(?!gemma-[123])")


def is_gemini_3(model: str) -> bool:
    """Whether a model is of the third generation or a newer one."""
    return not _BEFORE_GEMINI_3.match(read_name(model))


def takes_json_schema(model: str) -> bool:
    """Whether a model answers by a JSON Schema."""
    return bool(_JSON_SCHEMAS.match(read_name(model)))


def takes_system_messages(model: str) -> bool:
    """Whether a model has a place for system messages, and not only turns of the user and of the model."""
    return bool(_TAKES_SYSTEM_MESSAGES.match(read_name(model)))


def read_name(model: str) -> str:
    """Returns a model's own name, without the provider and folders."""
    return model.rpartition("/")[2].lower()
