"""Which usage callers of both RPCs get, by the counts that the upstream reports."""

from typing import Any, Final

import pytest

from reasoning_grpc.v1 import usage_pb2
from tests.support.checked_server import BOTH_RPCS, PROMPT_TOKENS, CheckedServer
from tests.support.upstream import DEFAULT_USAGE, FakeUpstream, chunk, usage_chunk

FULL_USAGE: Final = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
FULL: Final = {
    "input_tokens": 11,
    "output_tokens": 7,
    "total_tokens": 18,
    "cached_input_tokens": 3,
    "cache_write_tokens": 1,
    "audio_input_tokens": 0,
    "reasoning_tokens": 2,
    "source": usage_pb2.USAGE_SOURCE_PROVIDER,
}
GUESSED: Final = {
    "input_tokens": PROMPT_TOKENS,
    "output_tokens": 2,
    "total_tokens": PROMPT_TOKENS + 2,
    "source": usage_pb2.USAGE_SOURCE_ESTIMATED,
}


def remove_fields(usage: dict[str, Any], *names: str) -> dict[str, Any]:
    """Returns the usage without these fields."""
    return {name: value for name, value in usage.items() if name not in names}


@BOTH_RPCS
@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        pytest.param(FULL_USAGE, FULL, id="full"),
        pytest.param("null", GUESSED, id="null"),
        pytest.param(None, GUESSED, id="none"),
        pytest.param({}, GUESSED, id="empty"),
        pytest.param(remove_fields(FULL_USAGE, "prompt_tokens"), FULL, id="no-prompt-tokens"),
        pytest.param(remove_fields(FULL_USAGE, "completion_tokens"), FULL, id="no-completion-tokens"),
        pytest.param(remove_fields(FULL_USAGE, "total_tokens"), FULL, id="no-total-tokens"),
        pytest.param(
            remove_fields(FULL_USAGE, "prompt_tokens_details"),
            remove_fields(FULL, "cached_input_tokens", "cache_write_tokens", "audio_input_tokens"),
            id="no-prompt-details",
        ),
        pytest.param(
            remove_fields(FULL_USAGE, "completion_tokens_details"),
            remove_fields(FULL, "reasoning_tokens"),
            id="no-completion-details",
        ),
        pytest.param(
            FULL_USAGE | {"prompt_tokens_details": None, "completion_tokens_details": 5},
            remove_fields(FULL, "cached_input_tokens", "cache_write_tokens", "audio_input_tokens", "reasoning_tokens"),
            id="details-null-or-number",
        ),
        pytest.param(
            {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623},
            {
                "input_tokens": 20,
                "output_tokens": 603,
                "total_tokens": 623,
                "source": usage_pb2.USAGE_SOURCE_PROVIDER,
            },
            id="output-that-only-the-total-has",
        ),
        pytest.param(
            {"prompt_tokens": 11},
            GUESSED | {"input_tokens": 11, "total_tokens": 13},
            id="prompt-tokens-only",
        ),
        pytest.param(
            {"completion_tokens": 7},
            GUESSED | {"output_tokens": 7, "total_tokens": PROMPT_TOKENS + 7},
            id="completion-tokens-only",
        ),
        pytest.param({"total_tokens": 18}, GUESSED, id="total-only"),
        pytest.param({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, GUESSED, id="zeros"),
        pytest.param(
            {"prompt_tokens": 11, "completion_tokens": 0},
            GUESSED | {"input_tokens": 11, "total_tokens": 13},
            id="output-zero",
        ),
        pytest.param(
            {"prompt_tokens": 0, "completion_tokens": 7, "total_tokens": 18},
            {
                "input_tokens": 11,
                "output_tokens": 7,
                "total_tokens": 18,
                "source": usage_pb2.USAGE_SOURCE_PROVIDER,
            },
            id="input-zero-that-the-total-has",
        ),
        pytest.param({"prompt_tokens": "11", "completion_tokens": -7, "total_tokens": 1.5}, GUESSED, id="wrong-types"),
        pytest.param(
            {"prompt_tokens": 11.0, "completion_tokens": 7},
            remove_fields(FULL, "cached_input_tokens", "cache_write_tokens", "audio_input_tokens", "reasoning_tokens"),
            id="whole-float",
        ),
    ],
)
async def test_usage_is_counted_or_estimated(
    upstream: FakeUpstream, checked_server: CheckedServer, rpc: str, reported: Any, expected: dict[str, Any]
) -> None:
    """Usage is the provider's where it counted input and output; missing counts are estimated, and marked so."""
    upstream.reply("Hel", "lo", usage=reported)

    answer = await checked_server.answer(rpc)

    usage = usage_pb2.Usage(**expected)
    call = usage_pb2.ModelCallUsage(call=1, purpose=usage_pb2.MODEL_CALL_PURPOSE_ANSWER, model="fake", usage=usage)
    assert answer.end.usage == usage
    assert list(answer.end.model_calls) == [call]


async def test_usage_of_a_litellm_proxy(upstream: FakeUpstream, checked_server: CheckedServer) -> None:
    """A usage chunk whose choices hold an empty delta is read like any other."""
    upstream.chunks(chunk({"content": "Hello"}, "stop"), usage_chunk(DEFAULT_USAGE, [{"delta": {}}]), done=True)

    answer = await checked_server.answer("StreamComplete")

    assert answer.text == "Hello"
    assert (answer.end.usage.input_tokens, answer.end.usage.output_tokens) == (11, 7)
    assert answer.end.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
