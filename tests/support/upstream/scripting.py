"""Scripts: a test describes the next answer of the fake upstream in one line."""

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from .answers import DEFAULT_ERROR, DEFAULT_USAGE, Completion, Failure, FakeToolCall, Json, numbered
from .changes import Changes
from .dialect import Dialect
from .openai import chunk

Cut = Literal["reset", "close", "end"]
"""reset: a TCP RST. close: the connection closes without the last chunk of the body. end: the body ends cleanly."""

_JSON: Final[dict[str, str]] = {"Content-Type": "application/json"}


class Gate:
    """Sends the steps of an answer one at a time. A step is a delta, or everything after the last delta."""

    def __init__(self, *, is_open: bool) -> None:
        self._changes = Changes()
        self._is_open = is_open
        self._permits = 0
        self.steps_sent = 0
        """The number of steps that were written, in all answers of the script together."""

    def open(self, steps: int = 1) -> None:
        """Lets the fake send the next steps."""
        self._permits += steps
        self._changes.notify()

    def open_all(self) -> None:
        """Lets the fake send all steps from now on."""
        self._is_open = True
        self._changes.notify()

    async def sent(self, steps: int) -> None:
        """Waits until this many steps were written to the connection."""
        await self._changes.expect(
            lambda: self.steps_sent >= steps,
            lambda: f"expected {steps} steps sent upstream, {self.steps_sent} were",
        )

    async def pass_through(self) -> None:
        """Waits until the next step may be sent; the server calls it."""
        await self._changes.wait_for(lambda: self._is_open or self._permits > 0)
        self._permits -= not self._is_open

    def count_step(self) -> None:
        """Counts a step that was written; the server calls it."""
        self.steps_sent += 1
        self._changes.notify()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one request: headers, deltas that are one write each, the ending, and the way it ends."""

    status: int = 200
    headers: Mapping[str, str] | None
    """With None nothing is sent at all."""
    pieces: Iterable[bytes] = ()
    ending: Iterable[bytes] = ()
    end: Cut | Literal["hang"] = "end"
    content_length: int | None = None
    """With None the body is chunked."""
    interval_seconds: float = 0.0
    """The pause before each delta."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The parts of a request that its answer depends on."""

    dialect: Dialect
    """The dialect of the answer."""
    stream: bool
    body: Json


Script = Callable[[Asked], Answer]
"""Builds the answer to one request."""


class Scripting(ABC):
    """Adds the next answer by a call of one line; the protocol is that of the request.

    Each method returns the gate of the answer, which is open unless `gated` is true.
    """

    @abstractmethod
    def _add(self, script: Script, gate: Gate) -> None:
        """Adds the script."""

    def reply(
        self,
        *pieces: str,
        reasoning: Sequence[str] = (),
        reasoning_signature: str | None = None,
        redacted_reasoning: Sequence[str] = (),
        tool_calls: Sequence[FakeToolCall] = (),
        tool_signature: str | None = None,
        refusal: str | None = None,
        finish_reason: str | None = "auto",
        usage: Json | Literal["null"] | None = DEFAULT_USAGE,
        logprobs: Sequence[float] | None = None,
        model: str = "fake",
        reasoning_field: str = "reasoning_content",
        extra: Json | None = None,
        headers: Mapping[str, str] | None = None,
        done: bool = True,
        together: bool = False,
        interval_seconds: float = 0.0,
        gated: bool = False,
    ) -> Gate:
        """Sends a valid answer, as `Completion` explains; `together` writes the whole stream as one step.

        An interval is a pause before each delta of a stream.
        """
        completion = Completion(
            content=pieces,
            reasoning=reasoning,
            reasoning_signature=reasoning_signature,
            redacted_reasoning=redacted_reasoning,
            tool_calls=tool_calls,
            tool_signature=tool_signature,
            refusal=refusal,
            finish_reason=finish_reason,
            usage=usage,
            logprobs=logprobs,
            model=model,
            reasoning_field=reasoning_field,
            extra=extra or {},
        )
        more = dict(headers or {})

        def script(asked: Asked) -> Answer:
            dialect = asked.dialect
            if not asked.stream:
                return _whole(dialect.whole(completion), headers=_JSON | more)
            sent = tuple(dialect.pieces(completion))
            ending = (*dialect.ending(completion, asked.body), *_done(dialect, done))
            if together:
                return _streamed(asked, more, ending=(b"".join(sent + ending),))
            return _streamed(asked, more, pieces=sent, ending=ending, interval_seconds=interval_seconds)

        return self._play(script, gated=gated)

    def reply_by(self, say: Callable[[Json], str]) -> Gate:
        """Sends a valid answer of one delta, whose text `say` derives from the body of the request."""

        def script(asked: Asked) -> Answer:
            completion = Completion(content=(say(asked.body),))
            if not asked.stream:
                return _whole(asked.dialect.whole(completion))
            ending = (*asked.dialect.ending(completion, asked.body), *_done(asked.dialect, True))
            return _streamed(asked, pieces=tuple(asked.dialect.pieces(completion)), ending=ending)

        return self._play(script)

    def gated(self, *pieces: str, **options: Any) -> Gate:
        """Sends the headers of a `reply` at once; each delta, and then the ending, waits for the gate."""
        return self.reply(*pieces, gated=True, **options)

    def chunks(
        self, *chunks: Json, finish: str | None = None, done: bool = False, together: bool = False, gated: bool = False
    ) -> Gate:
        """Sends each object as an event. `chunk` and `usage_chunk` build OpenAI's; `finish` and `done` add the end."""
        ending = (chunk({}, finish),) if finish else ()
        return self._stream(chunks, ending, done=done, together=together, gated=gated)

    def lines(
        self, *lines: str | bytes | Json, done: bool = False, together: bool = False, gated: bool = False
    ) -> Gate:
        """Sends raw events: text gets the empty line that ends an event, bytes are unchanged, an object is an event."""
        return self._stream(lines, done=done, together=together, gated=gated)

    def error_in_stream(
        self, after: int = 0, error: Json | None = DEFAULT_ERROR, *, done: bool = False, gated: bool = False
    ) -> Gate:
        """Sends this many deltas, then the event of an error, which is null for None, and ends the body cleanly.

        The error has OpenAI's form. Other protocols derive its type from a `code` that is an HTTP status, or from its
        `type`.
        """

        def script(asked: Asked) -> Answer:
            ending = (asked.dialect.error_event(error), *_done(asked.dialect, done))
            return _streamed(asked, pieces=_content(asked, after), ending=ending)

        return self._play(script, gated=gated)

    def body(
        self,
        data: bytes,
        *,
        content_type: str = "application/json",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content_length: int | None = None,
    ) -> Gate:
        """Sends any body. After a body that is shorter than `content_length` the connection closes."""
        fields = {"Content-Type": content_type, **(headers or {})}
        return self._play(lambda _: _whole(data, status=status, headers=fields, content_length=content_length))

    def fail(
        self,
        status: int,
        *,
        code: str | None = None,
        error_type: str | None = None,
        message: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: Json | bytes | None = None,
        gated: bool = False,
    ) -> Gate:
        """Sends an HTTP error, whose text and type are derived from well-known codes. `body` replaces the error."""
        failure = Failure(status=status, code=code, error_type=error_type, message=message)

        def script(asked: Asked) -> Answer:
            data = asked.dialect.failure(failure) if body is None else body
            raw = data if isinstance(data, bytes) else json.dumps(data).encode()
            return _whole(raw, status=status, headers={**_JSON, **(headers or {})})

        return self._play(script, gated=gated)

    def redirect(self, location: str) -> Gate:
        """Sends a redirect (307) to another address."""
        return self.body(b"", status=307, headers={"Location": location})

    def compressed_bomb(self, megabytes: int = 128, event_megabytes: int = 1) -> Gate:
        """Sends a valid answer with this much text, in events of this size, which gzip makes small."""

        def script(asked: Asked) -> Answer:
            headers = (_stream_headers(asked) if asked.stream else _JSON) | {"Content-Encoding": "gzip"}
            data = asked.dialect.gzip_bomb(megabytes, event_megabytes, stream=asked.stream)
            return _whole(data, headers=headers)

        return self._play(script)

    def hang(self) -> Gate:
        """Receives the request and never answers, not even with headers."""
        return self._play(lambda _: Answer(headers=None, end="hang"))

    def hang_after(self, pieces: int, *, gated: bool = False) -> Gate:
        """Sends headers and this many deltas, and then nothing."""
        return self._play(_interrupted(pieces, "hang"), gated=gated)

    def cut_after(self, pieces: int, how: Cut = "reset", *, gated: bool = False) -> Gate:
        """Sends headers and this many deltas, then cuts. If it is gated, the cut is the last step."""
        return self._play(_interrupted(pieces, how), gated=gated)

    def drop(self, how: Literal["reset", "close"] = "close") -> Gate:
        """Receives the request, and ends the connection without an answer."""
        return self._play(lambda _: Answer(headers=None, end=how))

    def comments_forever(self, after: int = 0, interval_seconds: float = 0.01) -> Gate:
        """Sends this many deltas, then SSE comments without end."""

        def script(asked: Asked) -> Answer:
            comments = itertools.repeat(asked.dialect.comment)
            pieces = itertools.chain(_content(asked, after), comments)
            return _streamed(asked, pieces=pieces, interval_seconds=interval_seconds)

        return self._play(script)

    def drip(self, interval_seconds: float = 0.05) -> Gate:
        """Sends an endless valid stream byte by byte; without `stream` it sends a JSON body that never ends."""

        def script(asked: Asked) -> Answer:
            if not asked.stream:
                start = asked.dialect.whole(Completion(content=("x",)))[:-1]
                data = itertools.chain(start, itertools.repeat(ord(" ")))
                return Answer(headers=_JSON, pieces=_bytes(data), interval_seconds=interval_seconds)
            endless = Completion(content=(f"{number} " for number in itertools.count()))
            events = itertools.chain.from_iterable(asked.dialect.pieces(endless))
            return _streamed(asked, pieces=_bytes(events), interval_seconds=interval_seconds)

        return self._play(script)

    def _stream(
        self,
        lines: Sequence[str | bytes | Json],
        last: Sequence[str | bytes | Json] = (),
        *,
        done: bool,
        together: bool,
        gated: bool,
    ) -> Gate:
        def script(asked: Asked) -> Answer:
            pieces = [_raw_event(asked.dialect, line) for line in lines]
            ending = [*(_raw_event(asked.dialect, line) for line in last), *_done(asked.dialect, done)]
            if together:
                return _streamed(asked, ending=(b"".join(pieces + ending),))
            return _streamed(asked, pieces=pieces, ending=ending)

        return self._play(script, gated=gated)

    def _play(self, script: Script, *, gated: bool = False) -> Gate:
        gate = Gate(is_open=not gated)
        self._add(script, gate)
        return gate


def _stream_headers(asked: Asked) -> dict[str, str]:
    return {"Content-Type": asked.dialect.content_type}


def _streamed(asked: Asked, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
    """Returns a stream of events in the dialect of the request."""
    return Answer(headers={**_stream_headers(asked), **(headers or {})}, **fields)


def _whole(
    data: bytes, *, status: int = 200, headers: Mapping[str, str] = _JSON, content_length: int | None = None
) -> Answer:
    length = len(data) if content_length is None else content_length
    end: Cut = "close" if length > len(data) else "end"
    return Answer(status=status, headers=headers, ending=(data,), content_length=length, end=end)


def _interrupted(pieces: int, end: Cut | Literal["hang"]) -> Script:
    def script(asked: Asked) -> Answer:
        if asked.stream:
            return _streamed(asked, pieces=_content(asked, pieces), end=end)
        whole = asked.dialect.whole(Completion(content=numbered(pieces)))
        return Answer(headers=_JSON, pieces=(whole[: len(whole) // 2],), end=end)

    return script


def _content(asked: Asked, pieces: int) -> tuple[bytes, ...]:
    return tuple(asked.dialect.pieces(Completion(content=numbered(pieces))))


def _done(dialect: Dialect, done: bool) -> tuple[bytes, ...]:
    return (dialect.done,) if done and dialect.done else ()


def _raw_event(dialect: Dialect, line: str | bytes | Json) -> bytes:
    if isinstance(line, bytes):
        return line
    return f"{line}\n\n".encode() if isinstance(line, str) else dialect.event(line)


def _bytes(data: Iterable[int]) -> Iterable[bytes]:
    return (bytes((byte,)) for byte in data)
