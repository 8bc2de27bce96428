"""How the tokens of a prompt are counted: by OpenAI's tokenizers for OpenAI's models, else by an estimate."""

import asyncio
import json
import sys
from typing import Final

import pytest
import tiktoken

from reasoning_grpc.catalog.configured import ConfiguredModel
from reasoning_grpc.catalog.proxy_facts import read_info_list
from reasoning_grpc.litellm_model import find_price_map
from reasoning_grpc.litellm_model.encodings import find_encoding
from tests.support.serving import model_entry

TEXTS: Final = ["Hello world", "汉字处理", "naïve café", "<|endoftext|>", "x9Qz7Lk2", "    return 1\n", "😀😀", ""]
COUNTS: Final = {
    "o200k_base": [2, 3, 4, 7, 8, 5, 2, 0],
    "cl100k_base": [2, 4, 4, 7, 8, 5, 4, 0],
    "": [4, 6, 5, 5, 5, 6, 4, 0],
}
"""Tokens of each text: by tiktoken, and by the cautious estimate."""
OFFLINE: Final = """
import json, sys

def guard(event, arguments):
    if event in {"socket.getaddrinfo", "socket.connect"}:
        print("outbound", event, arguments, flush=True)
        raise OSError("the network is blocked")

sys.addaudithook(guard)

from reasoning_grpc.litellm_model.encodings import count_prompt_tokens
from tests.support.factories import a_call, a_message

empty = count_prompt_tokens(a_call(messages=(a_message(""),)), "")
texts, encodings = json.loads(sys.argv[1])
calls = [a_call(messages=(a_message(text),)) for text in texts]
print(json.dumps({each: [count_prompt_tokens(call, each) - empty for call in calls] for each in encodings}))
"""


@pytest.mark.process
async def test_counts_need_no_network() -> None:
    """Tokens are counted correctly without a network, even if a variable names another folder for tokenizers."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OFFLINE, json.dumps([TEXTS, list(COUNTS)])),
        env={"PYTHONPATH": ":".join(sys.path), "CUSTOM_TIKTOKEN_CACHE_DIR": "/nowhere/at/all"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()

    assert json.loads(output) == COUNTS


ENTRIES: Final = [
    pytest.param({"litellm_model": "openai/gpt-4o-mini", "api_base": ""}, "o200k_base", id="OpenAI"),
    pytest.param({"litellm_model": "openai/gpt-4", "api_base": ""}, "cl100k_base", id="an older one"),
    pytest.param({"litellm_model": "openai/gpt-4o-mini"}, "", id="a name at another address"),
    pytest.param({"base_model": "openai/gpt-4o"}, "o200k_base", id="by its base"),
    pytest.param({"litellm_model": "azure/our", "base_model": "azure/eu/gpt-4o-2024-08-06"}, "o200k_base", id="Azure"),
    pytest.param({"litellm_model": "openai/ft:gpt-4o-2024-08-06:us::1", "api_base": ""}, "o200k_base", id="tuned"),
    pytest.param({"litellm_model": "openai/gpt-99", "api_base": ""}, "", id="nobody knows it"),
    pytest.param({"litellm_model": "anthropic/claude-sonnet-4-5", "api_base": ""}, "", id="Anthropic"),
    pytest.param({"litellm_model": "gemini/gemini-2.5-pro", "api_base": ""}, "", id="Gemini"),
]


@pytest.mark.parametrize(("entry", "encoding"), ENTRIES)
def test_which_models_tokenizer_is_known(entry: dict[str, str], encoding: str) -> None:
    """A tokenizer is known for entries that name a model of OpenAI's, and for no other."""
    model = ConfiguredModel(model_entry(**{"api_base": "http://127.0.0.1:9/v1", **entry}), find_price_map())

    assert model.describe().encoding == encoding


def _proxy_row(name: str, key: object, provider: object = "openai") -> dict[str, object]:
    return {"model_name": name, "model_info": {"key": key, "litellm_provider": provider}}


def test_tokenizers_of_a_proxys_models() -> None:
    """The model that a proxy names decides about the tokenizer; two deployments of one name must agree on it."""
    rows = [
        _proxy_row("one", "gpt-4o"),
        _proxy_row("other", "claude-3-haiku-20240307", "anthropic"),
        _proxy_row("malformed", 7, None),
        *(_proxy_row("same", "gpt-4o"), _proxy_row("same", "azure/gpt-4o-mini", "azure")),
        *(_proxy_row("mixed", "gpt-4o"), _proxy_row("mixed", "gpt-4")),
    ]

    models = read_info_list(json.dumps({"data": rows}).encode())

    assert {name: model.encoding for name, model in models.items()} == {
        "one": "o200k_base",
        "other": "",
        "malformed": "",
        "same": "o200k_base",
        "mixed": "",
    }


def test_tiktoken_agrees() -> None:
    """tiktoken has the same encoding for each of OpenAI's models; harmony differs only in its special tokens."""
    ours = {name: find_encoding("openai", name) for name in (*_LISTED, *tiktoken.model.MODEL_TO_ENCODING)}
    known = {name: encoding for name, encoding in ours.items() if encoding}

    theirs = {name: tiktoken.encoding_name_for_model(name) for name in known}

    assert len(known) > 20
    assert known == {name: encoding.replace("harmony", "base") for name, encoding in theirs.items()}


_LISTED: Final = (
    *("gpt-3.5-turbo-0125", "gpt-4-turbo", "gpt-4-0613", "gpt-4o-2024-08-06", "gpt-4o-mini", "chatgpt-4o-latest"),
    *("gpt-4.1-nano", "gpt-4.5-preview", "gpt-5-mini", "gpt-5.1", "gpt-oss-120b", "o1-preview", "o3-mini"),
    *("o4-mini", "ft:gpt-3.5-turbo", "ft:gpt-4o", "ft:gpt-4"),
)
