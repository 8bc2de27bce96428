"""OpenAI's tokenizers, as litellm's package has them: which model has which, and counting with them.

Measured on litellm 1.106.2: the files of these two are in its package; of the tokenizers for other models it fetches
some, and takes an old one for others, so that those are not known here.
"""

import re
from functools import partial
from typing import Final

from reasoning_grpc.litellm_model import library
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.llm.token_estimates import cautious_text_tokens, prompt_tokens

_PROVIDERS: Final = frozenset({"azure", "openai"})
_ENCODINGS: Final = (
    (re.compile(r"(ft:)?(chatgpt-4o|gpt-4o|gpt-4\.[15]|gpt-5|gpt-oss|o1|o3|o4)([-.:].*)?"), "o200k_base"),
    (re.compile(r"(ft:)?(gpt-4|gpt-3\.5-turbo|gpt-35-turbo)([-:].*)?"), "cl100k_base"),
)
"""OpenAI's models, by name, as tiktoken has them."""
_LIKE: Final = {"o200k_base": "gpt-4o", "cl100k_base": "gpt-4"}
"""A model that litellm counts with the encoding."""


def encoding_of(provider: str, key: str) -> str:
    """The encoding of a model of litellm's price map; empty where it is not known, or not in the package."""
    if provider not in _PROVIDERS:
        return ""
    name = key.rpartition("/")[2]
    return next((encoding for pattern, encoding in _ENCODINGS if pattern.fullmatch(name)), "")


def counted_prompt_tokens(call: ModelCall, encoding: str) -> int:
    """Tokens of the call's prompt by this encoding; with none, by a cautious estimate.

    The first count with an encoding reads its file, which takes half a second. A long text, 4 million characters,
    takes up to a second, and so does a longer one: litellm counts samples of it. The interpreter is free meanwhile.
    """
    if not encoding:
        return prompt_tokens(call, cautious_text_tokens)
    return prompt_tokens(call, partial(library.token_count, _LIKE[encoding]))
