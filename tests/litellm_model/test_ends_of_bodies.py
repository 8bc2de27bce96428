"""The end of an answer's body: what still belongs to the answer does not depend on how the network cuts it."""

import json
from typing import Any, Final

import pytest

from reasoning_grpc.domain import FinishReason, UsageSource
from reasoning_grpc.domain.events import ContentDelta, Delta
from reasoning_grpc.litellm_model.answers import AnswerReader, AnswerRecord, GeminiReader, MalformedAnswer
from reasoning_grpc.litellm_model.own_reader import OwnAnswer
from tests.support.played_exchange import PlayedExchange


def _event(**members: Any) -> bytes:
    return b"data: " + json.dumps(members).encode() + b"\n\n"


def _text(text: str, word: str | None = None) -> bytes:
    return _event(id="c1", choices=[{"index": 0, "delta": {"content": text}, "finish_reason": word}])


def _response(text: str, word: str) -> bytes:
    return _event(candidates=[{"content": {"parts": [{"text": text}]}, "finishReason": word}], responseId="r1")


USAGE: Final = _event(id="c1", choices=[], usage={"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8})


async def read(body: bytes, reader: AnswerRecord, size: int) -> list[Delta]:
    """Returns the joined deltas of an answer that arrives in reads of this size."""
    reads = [body[start : start + size] for start in range(0, len(body), size)]
    answer = OwnAnswer(PlayedExchange(reads, "text/event-stream", knows_end=False), reader)
    deltas: list[Delta] = []
    while (read := await answer.next_deltas()) is not None:
        deltas += read
    return reader.join(deltas)


SIZES: Final = pytest.mark.parametrize("size", [1, 7, 10_000])


@SIZES
async def test_usage_without_an_empty_line_at_the_end_is_read(size: int) -> None:
    """The last event needs no empty line, behind the finish reason as before it."""
    for end in (b"\n\n", b"\n", b""):
        reader = AnswerReader()

        deltas = await read(_text("a") + _text("b", "stop") + USAGE.rstrip() + end, reader, size)

        assert deltas == [ContentDelta("ab")]
        assert reader.finish_reason is FinishReason.STOP
        usage = reader.build_usage(1)
        assert (usage.output_tokens, usage.source) == (5, UsageSource.PROVIDER)


@SIZES
async def test_half_an_event_behind_the_finish_reason_is_left_out(size: int) -> None:
    """An answer that has finished is whole, even where the body breaks off behind it."""
    for rest in (USAGE[:30], USAGE[:3], b"event: error\ndata: {", b"junk"):
        reader = AnswerReader()

        deltas = await read(_text("a") + _text("b", "stop") + rest, reader, size)

        assert deltas == [ContentDelta("ab")]
        assert reader.finish_reason is FinishReason.STOP


@SIZES
async def test_text_in_the_last_event_is_read_where_each_event_has_a_finish_reason(size: int) -> None:
    """Where content has followed a finish reason, the last event counts as well, though no empty line ends it."""
    reader = GeminiReader()
    first, second, third = (_response(text, "STOP") for text in "abc")

    deltas = await read(first + second.rstrip() + b"\n" + third.rstrip() + b"\nretry: 1\n", reader, size)

    assert deltas == [ContentDelta("abc")]


@SIZES
async def test_half_an_event_before_the_finish_reason_is_an_error(size: int) -> None:
    """Text may be lost in half an event, so the answer is malformed."""
    with pytest.raises(MalformedAnswer):
        await read(_text("a") + _text("b")[:40], AnswerReader(), size)
