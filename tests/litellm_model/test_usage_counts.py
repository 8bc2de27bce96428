"""How the counts that an upstream reports become our usage, with estimates for those that it leaves out."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.domain import Usage, UsageSource
from reasoning_grpc.litellm_model.answers import AnswerReader
from tests.support.answer_events import Json, a_call_json, read_events
from tests.support.upstream import chunk, usage_chunk


def _make_counted_usage(input_tokens: int, output_tokens: int, total_tokens: int, **parts: int) -> Usage:
    return Usage(input_tokens, output_tokens, total_tokens, UsageSource.PROVIDER, **parts)


def _make_estimated_usage(input_tokens: int, output_tokens: int, **parts: int) -> Usage:
    return Usage(input_tokens, output_tokens, input_tokens + output_tokens, UsageSource.ESTIMATED, **parts)


USAGES: Final[dict[str, tuple[Json | None, Usage]]] = {
    "whole": (
        {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2, "audio_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 1},
        },
        _make_counted_usage(
            11, 7, 18, cached_input_tokens=3, cache_write_tokens=2, reasoning_tokens=0, audio_input_tokens=4
        ),
    ),
    "in-the-words-of-responses": (
        {
            "input_tokens": 11,
            "output_tokens": 7,
            "input_tokens_details": {"cached_tokens": 3},
            "output_tokens_details": {"reasoning_tokens": 2},
        },
        _make_counted_usage(11, 7, 18, cached_input_tokens=3, reasoning_tokens=2),
    ),
    "in-the-words-of-deepseek": (
        {"prompt_tokens": 11, "completion_tokens": 7, "prompt_cache_hit_tokens": 4},
        _make_counted_usage(11, 7, 18, cached_input_tokens=4),
    ),
    "in-the-words-of-moonshot": (
        {"prompt_tokens": 11, "completion_tokens": 7, "cached_tokens": 4},
        _make_counted_usage(11, 7, 18, cached_input_tokens=4),
    ),
    "in-the-words-of-xai": (
        {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "total_tokens": 23,
            "completion_tokens_details": {"reasoning_tokens": 5},
        },
        _make_counted_usage(11, 12, 23, reasoning_tokens=5),
    ),
    "in-the-words-of-litellm": (
        {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 5,
            "prompt_tokens_details": None,
        },
        _make_counted_usage(11, 7, 18, cached_input_tokens=4, cache_write_tokens=5),
    ),
    "output-that-only-the-total-has": (
        {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623},
        _make_counted_usage(20, 603, 623),
    ),
    "output-that-only-the-total-has-beside-reasoning": (
        {
            "prompt_tokens": 20,
            "completion_tokens": 198,
            "total_tokens": 623,
            "completion_tokens_details": {"reasoning_tokens": 300},
        },
        _make_counted_usage(20, 603, 623, reasoning_tokens=300),
    ),
    "cache-beside-the-input": (
        {
            "prompt_tokens": 8,
            "completion_tokens": 7,
            "total_tokens": 45,
            "cache_read_input_tokens": 20,
            "cache_creation_input_tokens": 10,
        },
        _make_counted_usage(38, 7, 45, cached_input_tokens=20, cache_write_tokens=10),
    ),
    "cache-and-reasoning-beside": (
        {
            "prompt_tokens": 8,
            "completion_tokens": 7,
            "total_tokens": 40,
            "cached_tokens": 20,
            "reasoning_tokens": 5,
        },
        _make_counted_usage(28, 12, 40, cached_input_tokens=20, reasoning_tokens=5),
    ),
    "cache-above-the-input": (
        {"prompt_tokens": 8, "completion_tokens": 7, "total_tokens": 15, "cached_tokens": 20},
        _make_estimated_usage(28, 7, cached_input_tokens=20),
    ),
    "reasoning-above-the-output": (
        {"prompt_tokens": 8, "completion_tokens": 7, "reasoning_tokens": 20},
        _make_estimated_usage(8, 27, reasoning_tokens=20),
    ),
    "audio-above-the-input": (
        {"prompt_tokens": 8, "completion_tokens": 7, "prompt_tokens_details": {"audio_tokens": 9}},
        _make_estimated_usage(8, 7, audio_input_tokens=8),
    ),
    "total-below-the-sum": (
        {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 12},
        _make_estimated_usage(11, 7),
    ),
    "total-zero": ({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 0}, _make_counted_usage(11, 7, 18)),
    "cache-writes-by-duration": (
        {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 4},
        },
        _make_counted_usage(11, 7, 18, cache_write_tokens=10, long_cache_write_tokens=4),
    ),
    "cache-writes-by-duration-in-the-words-of-litellm": (
        {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "prompt_tokens_details": {
                "cache_creation_tokens": 10,
                "cache_creation_token_details": {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 4},
            },
        },
        _make_counted_usage(11, 7, 18, cache_write_tokens=10, long_cache_write_tokens=4),
    ),
    "no-total": ({"prompt_tokens": 11, "completion_tokens": 7}, _make_counted_usage(11, 7, 18)),
    "no-input": ({"completion_tokens": 7, "total_tokens": 18}, _make_counted_usage(11, 7, 18)),
    "no-output": ({"prompt_tokens": 11, "total_tokens": 18}, _make_counted_usage(11, 7, 18)),
    "total-below-a-part": ({"prompt_tokens": 11, "total_tokens": 5}, _make_estimated_usage(11, 2)),
    "input-alone": ({"prompt_tokens": 11}, _make_estimated_usage(11, 2)),
    "output-alone": ({"completion_tokens": 7}, _make_estimated_usage(100, 7)),
    "total-alone": ({"total_tokens": 18}, _make_estimated_usage(100, 2)),
    "details-alone": (
        {"prompt_tokens_details": {"cached_tokens": 3}},
        _make_estimated_usage(100, 2, cached_input_tokens=3),
    ),
    "missing": (None, _make_estimated_usage(100, 2)),
    "empty": ({}, _make_estimated_usage(100, 2)),
    "whole-floats": ({"prompt_tokens": 11.0, "completion_tokens": 7.0}, _make_counted_usage(11, 7, 18)),
    "zeros": ({"prompt_tokens": 0, "completion_tokens": 0}, _make_estimated_usage(100, 2)),
    "zeros-with-a-total": (
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        _make_estimated_usage(100, 2),
    ),
    "zeros-beside-a-total": (
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 18},
        _make_estimated_usage(100, 2),
    ),
    "output-zero": ({"prompt_tokens": 11, "completion_tokens": 0}, _make_estimated_usage(11, 2)),
    "output-zero-and-the-total-too": (
        {"prompt_tokens": 11, "completion_tokens": 0, "total_tokens": 11},
        _make_estimated_usage(11, 2),
    ),
    "output-zero-that-the-total-has": (
        {"prompt_tokens": 11, "completion_tokens": 0, "total_tokens": 18},
        _make_counted_usage(11, 7, 18),
    ),
    "output-zero-with-reasoning-beside": (
        {"prompt_tokens": 11, "completion_tokens": 0, "total_tokens": 16, "reasoning_tokens": 5},
        _make_counted_usage(11, 5, 16, reasoning_tokens=5),
    ),
    "input-zero": ({"prompt_tokens": 0, "completion_tokens": 7}, _make_estimated_usage(100, 7)),
    "input-zero-and-the-total-too": (
        {"prompt_tokens": 0, "completion_tokens": 7, "total_tokens": 7},
        _make_estimated_usage(100, 7),
    ),
    "input-zero-that-the-total-has": (
        {"prompt_tokens": 0, "completion_tokens": 7, "total_tokens": 18},
        _make_counted_usage(11, 7, 18),
    ),
    "input-zero-with-the-cache-beside": (
        {"prompt_tokens": 0, "completion_tokens": 7, "total_tokens": 27, "cached_tokens": 20},
        _make_counted_usage(20, 7, 27, cached_input_tokens=20),
    ),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES.keys())
def test_usage_is_counted_or_estimated(usage: Json | None, expected: Usage) -> None:
    """The upstream's counts are used; a count that is missing or odd is estimated, and the usage says so."""
    reader = AnswerReader()
    read_events(reader, chunk({"content": "12345678"}))

    read_events(reader, usage_chunk(usage))

    assert reader.build_usage(estimated_input_tokens=100) == expected


def test_an_output_of_zero_without_text_is_a_count() -> None:
    """An answer without any text may have no output tokens."""
    reader = AnswerReader()

    read_events(reader, usage_chunk({"prompt_tokens": 11, "completion_tokens": 0, "total_tokens": 11}))

    assert reader.build_usage(100) == _make_counted_usage(11, 0, 11)


@pytest.mark.parametrize(
    "odd", [None, "11", -1, 1.5, True, [], {}, 2**31, 10**400, 1e300], ids=lambda odd: f"{odd!r:.12}"
)
def test_an_odd_count_counts_as_absent(odd: Any) -> None:
    """A count that cannot be a number of tokens is estimated; an odd detail is not reported."""
    without_counts, without_details = AnswerReader(), AnswerReader()
    details = {"prompt_tokens_details": {"cached_tokens": odd}, "completion_tokens_details": odd}

    read_events(without_counts, usage_chunk({"prompt_tokens": odd, "completion_tokens": odd, "total_tokens": odd}))
    read_events(without_details, usage_chunk({"prompt_tokens": 11, "completion_tokens": 7, **details}))

    assert without_counts.build_usage(100) == _make_estimated_usage(100, 0)
    assert without_details.build_usage(100) == _make_counted_usage(11, 7, 18)


@pytest.mark.parametrize(
    "events",
    [
        [usage_chunk({"prompt_tokens": 11, "completion_tokens": 7})],
        [usage_chunk({"prompt_tokens": 11, "completion_tokens": 7}, choices=[{"delta": {}}])],
        [{"usage": {"prompt_tokens": 11, "completion_tokens": 7}}],
        [chunk({}, "stop", usage={"prompt_tokens": 11, "completion_tokens": 7})],
        [chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 11, "completion_tokens": 7}})],
        [{"choices": [{"delta": {}, "usage": {"prompt_tokens": 11, "completion_tokens": 7}}]}],
        [usage_chunk({"prompt_tokens": 11, "completion_tokens": 7}), usage_chunk(None)],
        [usage_chunk({"prompt_tokens": 11, "completion_tokens": 1}), usage_chunk({"completion_tokens": 7})],
        [
            usage_chunk({"prompt_tokens": 11, "completion_tokens": 1, "total_tokens": 12}),
            usage_chunk({"completion_tokens": 7}),
        ],
    ],
    ids=[
        "openai",
        "proxy",
        "without-choices",
        "with-the-finish",
        "groq",
        "moonshot",
        "null-after-it",
        "growing",
        "total-of-before",
    ],
)
def test_usage_is_found_in_every_place(events: list[Json]) -> None:
    """Usage is found wherever a server puts it, and the latest count wins."""
    reader = AnswerReader()

    assert read_events(reader, *events) == []
    assert reader.build_usage(100) == _make_counted_usage(11, 7, 18)


@pytest.mark.parametrize(
    ("delta", "tokens"),
    [
        ({"content": "12345"}, 2),
        ({"content": "\u20ac\u20ac"}, 2),
        ({"refusal": "1234"}, 1),
        ({"reasoning_content": "1234"}, 1),
        ({"content": [{"text": "12"}, {"thinking": "34"}]}, 1),
        ({"tool_calls": [a_call_json(0, "c", "12", "34")]}, 1),
        ({}, 0),
    ],
    ids=["content", "not-ascii", "refusal", "reasoning", "parts", "tool-call", "nothing"],
)
def test_the_estimate_counts_every_text(delta: Json, tokens: int) -> None:
    """Without a count, output is estimated as one token for each four bytes that the model wrote, rounded up."""
    reader = AnswerReader()
    read_events(reader, chunk(delta))

    assert reader.build_usage(100).output_tokens == tokens


@given(*[st.none() | st.integers(0, 50)] * 7)
def test_the_counts_always_add_up(
    prompt: int | None,
    completion: int | None,
    total: int | None,
    cached: int | None,
    written: int | None,
    reasoning: int | None,
    audio: int | None,
) -> None:
    """Whatever an upstream reports, the parts fit into their wholes, and the total is the sum."""
    reader = AnswerReader()
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": audio},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }

    read_events(reader, usage_chunk(usage))

    read = reader.build_usage(10)
    assert read.total_tokens == read.input_tokens + read.output_tokens
    assert (read.cached_input_tokens or 0) + (read.cache_write_tokens or 0) <= read.input_tokens
    assert (read.reasoning_tokens or 0) <= read.output_tokens
    assert (read.audio_input_tokens or 0) <= read.input_tokens
    if read.source is UsageSource.PROVIDER and total:
        assert read.total_tokens == total
