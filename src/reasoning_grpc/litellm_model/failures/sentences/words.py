"""The words that a safe sentence may have: those in which providers describe what is wrong with a request.

No name of a person, a company, a model or a place is among them, so that they say nothing about anyone.
"""

import re
from collections.abc import Container, Iterator
from functools import cache
from importlib.resources import files
from typing import Final

BRANDS: Final = frozenset(
    {"ai21", "alibaba", "amazon", "anthropic", "aws", "azure", "baidu", "bedrock", "cerebras", "claude", "cloudflare"}
    | {"codestral", "cohere", "copilot", "dashscope", "databricks", "deepinfra", "deepseek", "fireworks", "friendli"}
    | {"gemini", "gemma", "glm", "google", "grok", "groq", "haiku", "huggingface", "kimi", "langchain", "litellm"}
    | {"llama", "magistral", "meta", "microsoft", "minimax", "mistral", "mixtral", "moonshot", "nebius", "nova"}
    | {"novita", "nvidia", "ollama", "openai", "openrouter", "opus", "oracle", "perplexity", "phi", "portkey", "qwen"}
    | {"replicate", "sagemaker", "sambanova", "sonar", "sonnet", "together", "triton", "vertex", "vllm", "volcengine"}
    | {"watsonx", "xai", "zai", "zhipu"}
)
"""Providers and families of models, in lower case. Callers know a model by its name in our table alone."""
_PARTS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
"""The words in a name such as maxOutputTokens or JSONSchema."""
_PATH: Final = re.compile(r"(?:#/)?\$?[A-Za-z_][\w$]*(?:(?:\.|\[|\]\.|\]\[|\]|-|/)\$?\w+)*\]?", re.ASCII)
"""A parameter, or the path to a member: temperature, messages.0.content, tools[0].function, #/tools/0."""
_SEGMENTS: Final = re.compile(r"[.\[\]/-]+")
_LONGEST_PATH: Final = 120
_MOST_DIGITS: Final = 4
_ENDS_OF_HOSTS: Final = frozenset(
    {"com", "org", "net", "io", "ai", "dev", "app", "cloud", "internal", "local", "localdomain", "svc"}
    | {"cluster", "lan", "corp", "home", "test", "example", "invalid", "localhost", "us", "uk", "eu", "cn"}
    | {"de", "fr", "co", "info", "biz", "tech", "site", "online"}
)
"""The last parts of the names of hosts, which else look like paths."""
_ALTERNATIVES: Final = frozenset(
    {"and", "or", "true", "false", "input", "output", "user", "assistant", "system", "tool", "model", "key", "value"}
    | {"request", "response", "on", "off"}
)
"""The words between which a slash may stand, which else makes a path."""
_MIME_TYPE: Final = re.compile(r"(?:image|audio|video|text|application)/(\*|[a-z]{2,12}[0-9]?)")
_ENDINGS: Final = (
    *(("'s", ""), ("ies", "y"), ("ied", "y"), ("es", ""), ("s", ""), ("ed", ""), ("ed", "e"), ("ing", "")),
    *(("ing", "e"), ("ly", ""), ("ally", ""), ("able", ""), ("able", "e"), ("n't", "")),
)
"""The endings of an English word, and what stands in their place in its base form."""


@cache
def _read_words() -> frozenset[str]:
    return frozenset(files(__package__).joinpath("words.txt").read_text("ascii").split())


def is_known_word(word: str) -> bool:
    """Whether a word, in whatever form and case, is one in which providers describe faults."""
    lower = word.lower()
    words = _read_words()
    return lower in words or any(base in words for base in _list_base_forms(lower))


def is_known_name(name: str, known_names: Container[str]) -> bool:
    """Whether a text is a parameter or the path to a member, made of known words and of the request's own names."""
    if name in known_names and _PATH.fullmatch(name) is not None and len(name) <= _LONGEST_PATH:
        return True
    if set(name.lower().split("/")) <= _ALTERNATIVES or (
        (mime := _MIME_TYPE.fullmatch(name)) and (mime[1] == "*" or is_known_word(mime[1]))
    ):
        return True
    if len(name) > _LONGEST_PATH or not _PATH.fullmatch(name) or ("/" in name and not name.startswith("#/")):
        return False
    segments = [segment for segment in _SEGMENTS.split(name.removeprefix("#/")) if segment]
    if "." in name and segments[-1].lower() in _ENDS_OF_HOSTS:
        return False
    return all(_is_known_segment(segment, known_names) for segment in segments)


def _is_known_segment(segment: str, known_names: Container[str]) -> bool:
    if segment in known_names or is_known_word(segment):
        return True
    if segment.isdigit():
        return len(segment) <= _MOST_DIGITS
    parts = _PARTS.findall(segment)
    return bool(parts) and all((len(part) == 1 and part.isalpha()) or is_known_word(part) for part in parts)


def _list_base_forms(word: str) -> Iterator[str]:
    """Yields the words of which this one may be a form."""
    for ending, replacement in _ENDINGS:
        base = word.removesuffix(ending)
        if len(base) >= 3 and base != word:
            yield base + replacement
            if not replacement and base[-1] == base[-2]:
                yield base[:-1]  # omitted, omit
