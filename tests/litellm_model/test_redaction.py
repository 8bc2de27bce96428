"""What is left out of the sentence of a provider: secrets, places, ids, and everything that repeats the request."""

import html
import json
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from reasoning_grpc.domain import (
    Deployment,
    Media,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Sampling,
    Secret,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from reasoning_grpc.litellm_model.failures.sentences import LONGEST_SENTENCE, PrivateTexts, redact_sentence
from reasoning_grpc.litellm_model.failures.sentences.words import is_known_word
from reasoning_grpc.llm import ModelCall

PROMPT: Final = "Please write to Aunt Matilda that the blue canary sings in the cellar at night"
SCHEMA: Final = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "The hometown of grandmother", "enum": ["Quito", "Oslo"]},
        "limit": {"type": "integer", "default": 4711},
    },
}
DEPLOYMENT: Final = Deployment(
    name="smart",
    litellm_model="azure/prod-chat-default",
    base_model="azure/gpt-5.6-luna",
    api_base="https://models.backend.internal:8443/openai",
    api_key=Secret("key of the operator"),
    headers={"X-Team": "hidden team name"},
)
CALL: Final = ModelCall(
    model="smart",
    messages=(
        Message(Role.SYSTEM, (Part(Text("You speak like a captain of the navy.")),)),
        Message(Role.USER, (Part(Text(PROMPT)), Part(Media("application/pdf", filename="divorce.pdf", data=b"x")))),
        Message(
            Role.ASSISTANT,
            (
                Part(Reasoning("the uncle must not know")),
                Part(ToolCall("call_of_ours", "lookup", json.dumps({"person": "Zo\u00eb Quill", "code": "fig tree"}))),
            ),
        ),
        Message(Role.TOOL, (Part(ToolResult("call_of_ours", "balance: 98765 crowns\nwire it to the bakery")),)),
    ),
    tools=(Tool("lookup", "Finds anybody by nickname", json.dumps(SCHEMA)),),
    response_format=ResponseFormat(ResponseFormatKind.JSON_SCHEMA, "card", json.dumps(SCHEMA), "A greeting card"),
    sampling=Sampling(stop_sequences=("the end of it",)),
    end_user="customer-melrose",
    provider_options={"note": '"sealed envelope"'},
)
PRIVATE: Final = PrivateTexts.collect(CALL, DEPLOYMENT)

REPETITIONS: Final[dict[str, tuple[str, str]]] = {
    "verbatim": (
        f"The content is not valid: {PROMPT}",
        "The content is not valid: [...]",
    ),
    "quoted": (f"Invalid value: '{PROMPT}'. It must be short.", "Invalid value: '[...]'. It must be short."),
    "in-other-quotes": (
        f"Invalid value: \u201c{PROMPT}\u201d. It must be short.",
        'Invalid value: "[...]". It must be short.',
    ),
    "in-escaped-quotes": (
        f'Invalid value: \\"{PROMPT}\\". It must be short.',
        'Invalid value: "[...]". It must be short.',
    ),
    "cut-off": (f'Invalid value: "{PROMPT[:40]}', 'Invalid value: "[...]'),
    "cut-in-a-word": ("Invalid value near rite to Aunt Mat", "Invalid value near [...]"),
    "with-other-blanks": (
        "Invalid value near that\n\tthe   blue\u00a0canary sings here",
        "Invalid value near [...] here",
    ),
    "in-capitals": ("Invalid value near THE BLUE CANARY SINGS here", "Invalid value near [...] here"),
    "with-entities": ("Invalid value near &quot;blue canary&quot; here", 'Invalid value near "[...]" here'),
    "with-marks-between": ("Invalid value near the-blue-canary_sings here", "Invalid value near [...] here"),
    "one-word": ("Invalid value near canary here", "Invalid value near [...] here"),
    "a-piece-of-a-word": ("Invalid value near cana here", "Invalid value near [...] here"),
    "glued": ("Invalid value near xxcanaryxx here", "Invalid value near [...] here"),
    "common-words": ("Invalid value: it sings in the cellar at night", "Invalid value: it [...]"),
    "system-message": ("Rejected as you speak like a captain", "Rejected as [...]"),
    "reasoning": ("Rejected, the uncle must not know that", "Rejected, [...] that"),
    "argument": ("Rejected: person must not be fig tree", "Rejected: [...] must not be [...]"),
    "argument-without-accents": ("Rejected: the name is Zoe Quill", "Rejected: the name is [...]"),
    "escaped-argument": ("Rejected: the name is Zo\\u00eb Quill", "Rejected: the name is [...]"),
    "result": ("The value was rejected: wire it to the bakery", "The value was rejected: [...]"),
    "number-of-a-result": ("Rejected, the value is 98765 or 98,765", "Rejected, the value is [...] or [...]"),
    "description-of-a-schema": ("Rejected: hometown of grandmother", ""),
    "value-of-a-schema": ("The value must not be Quito or oslo here", "The value must not be [...] or [...] here"),
    "description-of-a-tool": ("The tool finds anybody by nickname today", "The tool [...] today"),
    "description-of-a-format": ("The schema is a greeting card today", "The schema is [...] today"),
    "stop-sequence": ("A stop sequence must not be the end of it", "A stop sequence must not be [...]"),
    "end-user": ("The user customer-melrose is not allowed", "The user [...] is not allowed"),
    "provider-option": ("The value is a sealed envelope today", "The value is a [...] today"),
    "file-name": ("The file divorce.pdf is not valid", "The file [...] is not valid"),
    "call-id": ("There is no call_of_ours in the request", "There is no [...] in the request"),
    "deployment": ("The model prod-chat-default is not valid", "The model [...] is not valid"),
    "base-model": ("The model gpt-5.6-luna is not valid", "The model [...] is not valid"),
    "host": ("The host models.backend.internal:8443 is not valid", "The host [...] is not valid"),
    "key-of-plain-words": ("Rejected: key of the operator is not valid", "Rejected: [...] is not valid"),
    "header": ("Rejected: hidden team name is not valid", "Rejected: [...] is not valid"),
}

SECRETS: Final = [
    "sk-proj-Abc123def456",
    "sk-ant-api03-xyz",
    "AIzaSyD4f8example",
    "AKIAIOSFODNN7EXAMPLE",
    "Bearer abcdefghijklmnop",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "hunter2",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "org-9fK2LmQx",
    "proj_Qa81",
    "req_011CXs6hk18SX5aBxD3jchRc",
    "msg_bdrk_01",
    "resp_68af4030592c81938ec0a5fbab4a3e9f",
    "9b2d1f5e-6a0c-4b7e-8f35-1c2d3e4f5a6b",
    "https://api.example.com/v1/models?key=abc",
    "http://10.2.3.4:8000/v1",
    "10.2.3.4",
    "llm.corp.example.com",
    "localhost:11434",
    "/home/alice/models/weights.bin",
    "C:\\models\\weights",
    "alice@example.com",
    "+49 170 1234567",
    "4111 1111 1111 1111",
    "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/x1y2",
    "meta-llama/Llama-3.3-70B-Instruct",
    "iVBORw0KGgoAAAANSUhEUgAAAAUA",
]
WORDS_OF_FAULTS: Final = ["the", "value", "tool", "must", "not", "be", "a", "message", "request", "with", "model", "is"]

vocabulary = st.one_of(st.sampled_from(WORDS_OF_FAULTS), st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=9))
prompts = st.lists(vocabulary, min_size=4, max_size=30).map(" ".join)
wrappings = st.sampled_from(
    ["{}", "'{}'", '"{}"', "`{}`", "({})", "[{}]", "\\n{}\\n", "... {} ...", "value={}", "{{{}}}"]
)
UNHURRIED: Final = settings(deadline=None)
"""A busy machine may take long for one example."""
TRANSFORMATIONS: Final[dict[str, Callable[[str], str]]] = {
    "as it is": str,
    "in capitals": str.upper,
    "as titles": str.title,
    "as JSON": json.dumps,
    "as JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "as Python": repr,
    "as HTML": lambda text: html.escape(text.replace(" ", "\u00a0")),
    "as a URL": quote,
    "with escapes": lambda text: text.replace(" ", "\\n\\t").replace("a", "\\u0061"),
    "with lines": lambda text: text.replace(" ", "\r\n  "),
    "with hyphens": lambda text: text.replace(" ", "-"),
    "with quotes": lambda text: text.replace(" ", '" "'),
    "letter by letter": " ".join,
    "with marks of no width": "\u200b".join,
    "in another form of letters": lambda text: "".join(
        chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in text
    ),
    "cut off": lambda text: text[: len(text) * 2 // 3] + "...",
}
"""The forms in which a message may repeat a text."""


def letters_of(text: str) -> str:
    """Returns the letters and digits of a text in lower case."""
    return re.sub("[^a-z0-9]", "", text.lower())


@pytest.mark.parametrize(("sentence", "expected"), REPETITIONS.values(), ids=REPETITIONS)
def test_what_repeats_the_request_is_left_out(sentence: str, expected: str) -> None:
    """Whatever of the request, and of the model's entry, a sentence repeats in any form is a mark."""
    assert redact_sentence(sentence, PRIVATE) == expected


@pytest.mark.parametrize(
    "label", ["Bearer", "username", "client", "owner", "member", "node", "cluster", "namespace", "domain", "refused by"]
)
def test_names_after_a_label_are_left_out(label: str) -> None:
    """A name that looks like a plain word is a mark where the word before it introduces a name."""
    shown = redact_sentence(f"The request of {label} contosia is not valid.", PRIVATE)

    assert shown.endswith("[...] is not valid.")


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "frame", ["The value {} is not valid.", "The value '{}' is not valid.", "Invalid value: {}", "Invalid value ({})"]
)
def test_secrets_places_and_ids_are_left_out(frame: str, secret: str) -> None:
    """Keys, tokens, ids, hosts, paths and the names of models are marks, wherever they come from."""
    shown = redact_sentence(frame.format(secret), PRIVATE)

    assert "alid" in shown
    for part in re.findall(r"\w{3,}", secret):
        assert part not in shown


@pytest.mark.parametrize("transform", TRANSFORMATIONS.values(), ids=TRANSFORMATIONS)
@UNHURRIED
@example(prompt="value message the the", start=1, size=12, wrapping="value={}")
@given(prompt=prompts, start=st.integers(0, 200), size=st.integers(12, 200), wrapping=wrappings)
def test_no_passage_of_a_prompt_survives(
    transform: Callable[[str], str], prompt: str, start: int, size: int, wrapping: str
) -> None:
    """No twelve letters in a row that the sentence has from the prompt are left, and no word that is off the list."""
    passage = prompt[start % len(prompt) :][:size]
    sentence = "The content of the message is not valid: " + wrapping.format(transform(passage))

    shown = redact_sentence(sentence, PrivateTexts([prompt], ()))

    from_prompt = shown.partition(": ")[2].removeprefix(wrapping.partition("{}")[0])  # the prefix is the sentence's own
    kept = letters_of(from_prompt)
    assert all(kept[at : at + 12] not in letters_of(prompt) for at in range(len(kept) - 11))
    assert all(is_known_word(word) for word in re.findall(r"[A-Za-z]{2,}", shown.partition(":")[2]))


@UNHURRIED
@given(secret=st.text("abcdefABCDEF0123456789_-", min_size=12, max_size=64), wrapping=wrappings)
def test_no_random_token_survives(secret: str, wrapping: str) -> None:
    """A long token of letters and digits is left out as a whole."""
    assume(re.search("[0-9]", secret) and re.search("[a-fA-F]{2}", secret))

    shown = redact_sentence("The value is not valid: " + wrapping.format(secret), PRIVATE)

    assert all(len(part) < 3 for part in re.findall("[a-fA-F0-9]+", shown.partition(":")[2]) if part in secret)


@UNHURRIED
@given(st.text(st.characters(codec="utf-8"), max_size=400))
def test_any_text_becomes_one_short_line(text: str) -> None:
    """Whatever a provider sends becomes one line of printable ASCII within the limit."""
    shown = redact_sentence("The request is not valid: " + text, PRIVATE)

    assert shown.isascii()
    assert shown == "" or shown.isprintable()
    assert len(shown) <= LONGEST_SENTENCE
