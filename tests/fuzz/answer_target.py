"""Bytes of an answer, in any network reads, through each of our readers.

An input is one byte of options, one that says where the network cuts, and the body. However the body is cut, the
answer is the same; and what is read by types is what is read member by member. One of the options makes a text of
the body longer than most events are, and cuts the body into many small reads.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reasoning_grpc.domain import Usage
from reasoning_grpc.domain.events import Delta, ToolCallDelta
from reasoning_grpc.litellm_model import convert_failure
from reasoning_grpc.litellm_model.answers import (
    AnswerReader,
    AnswerRecord,
    ErrorInAnswer,
    GeminiReader,
    JsonToolReader,
    MalformedAnswer,
    MessagesReader,
    ResponsesReader,
)
from reasoning_grpc.litellm_model.own_reader import OwnAnswer
from reasoning_grpc.litellm_model.transport.errors import AnswerTooLarge, MalformedStream
from tests.fuzz.loop import run
from tests.support.factories import a_deployment
from tests.support.played_exchange import PlayedExchange, cut, cut_evenly

CONTENT_TYPES: Final = ("text/event-stream", "application/json", "application/x-ndjson", "", "text/html")
"""The types of an answer, by the first bits of the options."""
_KNOWS_END: Final = 0b1000
_BY_TOOL: Final = 0b10000
HAS_LONG_TEXT: Final = 0b100000
_LONG_TEXT: Final = b"y" * 6000
_TEXT_START: Final = re.compile(rb'":\s?"')
_OWN_ID: Final = re.compile(r"call_[0-9a-f]{32}")
_DEPLOYMENT: Final = a_deployment()


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was read of an answer; ids that we make are left out, since they are random."""

    deltas: list[object]
    failure: str
    """The reason of the error that ended it; empty without one."""
    finish: str
    usage: Usage
    has_answer: bool


def read_chat(data: bytes) -> None:
    """Reads an answer of the OpenAI protocol, of chat or of text completions."""
    _read(data, lambda by_tool: JsonToolReader() if by_tool else AnswerReader(), AnswerRecord.read_batch)


def read_responses(data: bytes) -> None:
    """Reads an answer of OpenAI's Responses API."""
    _read(data, lambda by_tool: ResponsesReader(is_stored=by_tool), AnswerRecord.read_batch)


def read_messages(data: bytes) -> None:
    """Reads an answer of Anthropic's Messages API."""
    _read(data, lambda by_tool: MessagesReader(answers_by_tool=by_tool), _read_messages_by_members)


def read_gemini(data: bytes) -> None:
    """Reads an answer of Google's Gemini API."""
    _read(data, lambda _: GeminiReader(), AnswerRecord.read_batch)


Batch = tuple[list[Delta], Exception | None]


def _read_messages_by_members(reader: Any, events: list[bytes]) -> Batch:
    deltas: list[Delta] = []
    try:
        for event in events:
            if reader.is_ended:
                break
            deltas += reader._read_event(event, None)
    except (MalformedAnswer, ErrorInAnswer) as exc:
        return deltas, exc
    return deltas, None


def _read(
    data: bytes, create: Callable[[bool], AnswerRecord], read_slowly: Callable[[AnswerRecord, list[bytes]], Batch]
) -> None:
    if len(data) < 2:
        return
    options, seed, body = data[0], data[1], data[2:]
    kind, by_tool = CONTENT_TYPES[(options & 0b111) % len(CONTENT_TYPES)], bool(options & _BY_TOOL)

    def play(reads: Sequence[bytes], reader: Any) -> Reading:
        exchange = PlayedExchange(reads, kind, knows_end=bool(options & _KNOWS_END))
        return run(_play(OwnAnswer(exchange, reader), reader))

    if options & HAS_LONG_TEXT:
        body = _lengthen_text(body, seed)
        reads = cut_evenly(body, 16 + seed)
    else:
        reads = cut(body, seed)
    one_read = [body] if body else []
    whole = play(one_read, create(by_tool))
    _compare(whole, play(reads, create(by_tool)), "network reads change the answer")
    _compare(whole, play(one_read, _SlowReader(create(by_tool), read_slowly)), "two ways of reading differ")
    _compare(whole, play(reads, _SlowReader(create(by_tool), read_slowly)), "two ways of reading differ")


def _lengthen_text(body: bytes, seed: int) -> bytes:
    """Returns the body with one of the texts in its JSON made long; the same body where it has none."""
    starts = [found.end() for found in _TEXT_START.finditer(body)]
    start = starts[seed % len(starts)] if starts else len(body)
    return body[:start] + _LONG_TEXT * bool(starts) + body[start:]


def _compare(first: Reading, second: Reading, fault: str) -> None:
    assert first == second, f"{fault}:\n{first}\n{second}"


class _SlowReader:
    """A reader that reads each event by itself, member by member."""

    def __init__(self, reader: AnswerRecord, read_slowly: Callable[[AnswerRecord, list[bytes]], Batch]) -> None:
        self._reader = reader
        self._read_slowly = read_slowly

    def read_batch(self, events: list[bytes]) -> Batch:
        """See `AnswerRecord.read_batch`."""
        return self._read_slowly(self._reader, events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


async def _play(answer: OwnAnswer, reader: AnswerRecord) -> Reading:
    deltas: list[Delta] = []
    failure = ""
    try:
        while (read := await answer.next_deltas()) is not None:
            deltas += read
    except (MalformedAnswer, MalformedStream, ErrorInAnswer, AnswerTooLarge) as exc:
        error = convert_failure(exc, _DEPLOYMENT, is_upstream_reached=True)
        failure = "nothing" if error is None else error.reason
    assert failure not in {"nothing", "INTERNAL"}
    finish = f"{reader.finish_reason} {reader.provider_finish_reason}"
    described = [_describe(delta) for delta in reader.join(deltas)]
    return Reading(described, failure, finish, reader.build_usage(7), reader.has_answer)


def _describe(delta: Delta) -> object:
    if not isinstance(delta, ToolCallDelta):
        return delta
    call_id = _OWN_ID.sub("", delta.call_id)
    return call_id, delta.index, delta.name, delta.arguments, delta.signature
