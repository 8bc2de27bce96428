"""A dialect writes the answers of scripts in the protocol of one provider."""

import json
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from .answers import Completion, Failure, Json


class Dialect(ABC):
    """Writes answers and errors in one protocol. A stream has deltas, an ending, and a mark that it is done."""

    base_path: ClassVar[str]
    """The path in the `api_base` that litellm gets."""
    path: ClassVar[re.Pattern[str]]
    """The paths of requests for completions."""
    done: ClassVar[bytes]
    """The last event of a stream; it is empty if the protocol has none."""
    content_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    """The MIME type of a stream."""
    comment: ClassVar[bytes] = b": keep-alive\n\n"
    """What a server sends to keep a stream open, and what is no part of an answer."""

    def streams(self, path: str, request: Json) -> bool:  # noqa: ARG002
        """Returns whether this request asks for a stream."""
        return bool(request.get("stream"))

    @abstractmethod
    def pieces(self, completion: Completion) -> Iterator[bytes]:
        """Yields the events of the answer; each is one write."""

    @abstractmethod
    def ending(self, completion: Completion, request: Json) -> Iterator[bytes]:
        """Yields the events after the answer, without `done`."""

    @abstractmethod
    def whole(self, completion: Completion) -> bytes:
        """Returns the body of the answer to a request that does not stream."""

    @abstractmethod
    def failure(self, failure: Failure) -> Json:
        """Returns the body of an HTTP error."""

    @abstractmethod
    def error_event(self, error: Json | None) -> bytes:
        """Returns the event of an error in a stream; `error` has OpenAI's form."""

    def event(self, data: Json) -> bytes:
        """Returns one event with `data` as JSON."""
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    def gzip_bomb(self, megabytes: int, event_megabytes: int, *, stream: bool) -> bytes:
        """Returns a small gzip body that expands to this much text, as valid JSON or as events of this size."""
        if not stream:
            return pack_bomb(inflate(self.whole(Completion(content=("@",))), megabytes))
        sample = Completion(content=("", "@"), usage=None)
        opening, template = self.pieces(sample)
        ending = b"".join(self.ending(sample, {})).replace(b"@", b"") + self.done  # some repeat the text there
        return pack_bomb([opening, *inflate(template, event_megabytes) * (megabytes // event_megabytes), ending])


def status_of(error: Json) -> int:
    """Returns the HTTP status that corresponds to an error in a stream."""
    code = error.get("code")
    return code if isinstance(code, int) else 500


def inflate(template: bytes, megabytes: int) -> list[bytes]:
    """Returns the parts of a text in which this many megabytes stand at the place of the @."""
    head, tail = template.split(b"@")
    return [head, *[b"x" * 2**20] * megabytes, tail]


def pack_bomb(plain: list[bytes]) -> bytes:
    """Returns the gzip body of these parts, of which equal ones are packed once."""
    # A block that ends in a full flush refers to nothing outside itself: packed once, it may be repeated.
    packed = {part: _flushed(part) for part in set(plain)}
    checksum = length = 0
    for part in plain:
        checksum, length = zlib.crc32(part, checksum), length + len(part)
    last = b"\x03\x00"  # an empty final deflate block
    trailer = checksum.to_bytes(4, "little") + (length % 2**32).to_bytes(4, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"".join(packed[part] for part in plain) + last + trailer


def _flushed(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)
