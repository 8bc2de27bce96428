"""Sensible pairs of fields: those that providers do not take together, or that litellm converts together."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Final

from reasoning_grpc.v1.completion_pb2 import CompleteRequest
from tests.support.differential.case import merge
from tests.support.differential.conversations import CONVERSATIONS
from tests.support.differential.values import (
    BUDGETS,
    CHOICES,
    EFFORTS,
    FORMATS,
    OTHERS,
    PARALLEL,
    SAMPLING,
    TOOLS,
)

Values = Mapping[str, CompleteRequest]


def _choose(values: Values, *names: str) -> dict[str, CompleteRequest]:
    return {name: values[name] for name in names}


_LIMITS: Final = _choose(SAMPLING, "limit 1", "limit 50", "limit 2000")
_SOME_EFFORTS: Final = _choose(EFFORTS, "effort none", "effort low", "effort high")
_SOME_FORMATS: Final = _choose(FORMATS, "json_object", "schema", "strict schema")
_SOME_SAMPLING: Final = _choose(
    SAMPLING,
    "temperature 0",
    "temperature 0.2",
    "temperature 1",
    "top_p 0.5",
    "top_k 40",
    "logprobs",
    "presence_penalty 1.5",
    "one stop",
    "seed 7",
)

_OF_MODELS: Final[tuple[tuple[Values, Values], ...]] = (
    (_SOME_EFFORTS, _LIMITS),
    (_choose(BUDGETS, "budget 1024", "budget 10000"), _LIMITS),
    (_choose(EFFORTS, "effort none", "effort high"), _SOME_SAMPLING),
    (_choose(BUDGETS, "budget 2048"), _choose(SAMPLING, "temperature 0.2", "top_p 0.5", "top_k 40")),
    (_choose(EFFORTS, "effort high", "effort none"), CHOICES),
    (_choose(EFFORTS, "effort high"), {**_SOME_FORMATS, **PARALLEL}),
    (_choose(BUDGETS, "budget 2048"), _choose({**CHOICES, **FORMATS}, "choice required", "choice by name", "schema")),
    (_choose(CHOICES, "choice none", "choice required"), _choose(FORMATS, "json_object", "schema")),
    (_choose(SAMPLING, "temperature 0.2"), _choose(SAMPLING, "top_p 0.5", "limit 50", "seed 7")),
)
"""Pairs of parameters that a model may not take together."""

_OF_PROVIDERS: Final[tuple[tuple[Values, Values], ...]] = (
    (CHOICES, _SOME_FORMATS),
    (PARALLEL, {**_SOME_FORMATS, **CHOICES}),
    (_choose(TOOLS, "tool", "strict tool"), _choose(FORMATS, "schema", "strict schema", "json_object")),
    (_choose(TOOLS, "tool"), _choose(SAMPLING, "logprobs", "one stop", "limit 50")),
    (_choose(FORMATS, "schema"), _LIMITS),
    (_choose(SAMPLING, "top_k 40", "seed 7", "one stop", "logprobs"), _choose(FORMATS, "json_object", "schema")),
    (_choose(OTHERS, "end_user", "provider option"), {**_SOME_EFFORTS, **_SOME_FORMATS, **_choose(TOOLS, "tool")}),
    (_choose(OTHERS, "end_user"), _choose(OTHERS, "provider option")),
)
"""Pairs of parameters that the protocol of a provider may not carry together."""

_OF_CONVERSATIONS: Final[tuple[tuple[Values, Values], ...]] = (
    (
        _choose(
            CONVERSATIONS,
            "call and result",
            "signed reasoning and call",
            "unsigned reasoning and call",
            "two calls and results",
            "later system",
            "last answer",
            "empty answer",
        ),
        {
            **_choose(TOOLS, "tool"),
            **_choose(CHOICES, "choice none", "choice required"),
            **_choose(PARALLEL, "not parallel"),
            **_choose(FORMATS, "schema", "json_object"),
            **_choose(EFFORTS, "effort high", "effort none"),
            **_choose(BUDGETS, "budget 2048"),
        },
    ),
    (
        _choose(
            CONVERSATIONS, "cache on everything", "five cache marks", "eight cache marks", "cached first of two results"
        ),
        _choose(TOOLS, "tool", "two tools"),
    ),
    (
        _choose(CONVERSATIONS, "image by data", "texts around an image", "pdf", "plain document"),
        {**_choose(FORMATS, "schema"), **_choose(TOOLS, "tool")},
    ),
    (
        _choose(CONVERSATIONS, "system", "two systems", "every name", "refusal", "answer first", "system alone"),
        {**_choose(FORMATS, "json_object", "schema"), **_choose(TOOLS, "tool"), **_choose(EFFORTS, "effort high")},
    ),
    (
        _choose(
            CONVERSATIONS,
            "failed result",
            "failed empty result",
            "empty result",
            "blank result",
            "result last",
            "call and text",
            "calls between texts",
            "malformed arguments",
            "arguments of null",
            "arguments of long numbers",
            "arguments of no number",
            "arguments of an endless number",
            "arguments with half a character",
            "arguments with a name twice",
            "call without a result",
            "result without a call",
            "two calls of one id",
            "results in another order",
            "results in two messages",
            "call of another tool",
            "system after a result",
            "odd call id",
            "long call id",
        ),
        _choose(TOOLS, "tool"),
    ),
)
"""Pairs of a conversation and a parameter."""


def list_model_pairs() -> Iterator[tuple[str, CompleteRequest]]:
    """Yields the pairs of parameters that matter to a model, and a few of three, with their names."""
    yield from _combine(_OF_MODELS)
    for choice in ("choice auto", "choice required"):
        for effort in EFFORTS:
            name = f"{choice} + {effort} + limit 2000"
            yield name, merge(CHOICES[choice], EFFORTS[effort], SAMPLING["limit 2000"])


def list_provider_pairs() -> Iterator[tuple[str, CompleteRequest]]:
    """Yields the pairs of parameters that matter to a provider, with their names."""
    yield from _combine(_OF_PROVIDERS)


def list_conversation_pairs() -> Iterator[tuple[str, CompleteRequest]]:
    """Yields the pairs of a conversation and a parameter, with their names."""
    yield from _combine(_OF_CONVERSATIONS)


def _combine(pairs: tuple[tuple[Values, Values], ...]) -> Iterator[tuple[str, CompleteRequest]]:
    for ones, others in pairs:
        for (name, one), (other_name, other) in product(ones.items(), others.items()):
            yield f"{name} + {other_name}", merge(one, other)
