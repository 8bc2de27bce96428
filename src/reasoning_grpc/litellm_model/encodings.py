"""The tokenizers of OpenAI's models: which model has which, and the counts of tokens by them.

Measured on litellm 1.106.2: the files of these two tokenizers are in its package. For other models, litellm fetches
a tokenizer or takes an old one, so we know no others.
"""

import re
from functools import partial
from typing import Final

from reasoning_grpc.litellm_model import library
from reasoning_grpc.llm import ModelCall, estimate_text_tokens_cautiously, sum_prompt_tokens

_PROVIDERS: Final = frozenset({"azure", "openai"})
_ENCODINGS: Final = (
    (re.compile(r"(ft:)?(chatgpt-4o|gpt-4o|gpt-4\.[15]|gpt-5|gpt-oss|o1|o3|o4)([-.:].*)?"), "o200k_base"),
    (re.compile(r"(ft:)?(gpt-4|gpt-3\.5-turbo|gpt-35-turbo)([-:].*)?"), "cl100k_base"),
)
"""The encoding of each of OpenAI's models, by name, as in tiktoken."""
_EXAMPLE_MODELS: Final = {"o200k_base": "gpt-4o", "cl100k_base": "gpt-4"}
"""For each encoding, a model that litellm counts with it."""


def find_encoding(provider: str, key: str) -> str:
    """Returns the encoding of a model of litellm's price map; empty where it is unknown or not in the package."""
    if provider not in _PROVIDERS:
        return ""
    name = key.rpartition("/")[2]
    return next((encoding for pattern, encoding in _ENCODINGS if pattern.fullmatch(name)), "")


def count_prompt_tokens(call: ModelCall, encoding: str) -> int:
    """Returns the tokens of the call's prompt in this encoding; without one, a cautious estimate.

    The first count with an encoding reads its file, which takes half a second. A text of 4 million characters or
    more takes up to a second, because litellm counts samples of a longer one. Other threads can run meanwhile.
    """
    if not encoding:
        return sum_prompt_tokens(call, estimate_text_tokens_cautiously)
    return sum_prompt_tokens(call, partial(library.count_tokens, _EXAMPLE_MODELS[encoding]))
