"""A dialect: how one provider's protocol writes what a script answers."""

import json
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from .answers import Completion, Failure, Json


class Dialect(ABC):
    """Writes answers and errors in one protocol. A stream is its pieces, its ending, and what says that it is done."""

    base_path: ClassVar[str]
    """What follows the host in the `api_base` that litellm is given."""
    path: ClassVar[re.Pattern[str]]
    """Where requests for completions go."""
    done: ClassVar[bytes]
    """The event after which nothing comes, empty if the protocol has none."""

    def streams(self, path: str, request: Json) -> bool:  # noqa: ARG002
        """Whether this request is to be answered by a stream."""
        return bool(request.get("stream"))

    @abstractmethod
    def pieces(self, completion: Completion) -> Iterator[bytes]:
        """The events that carry the answer, one write each."""

    @abstractmethod
    def ending(self, completion: Completion, request: Json) -> Iterator[bytes]:
        """The events after the answer, without `done`."""

    @abstractmethod
    def whole(self, completion: Completion) -> bytes:
        """The body of the same answer to a request that does not stream."""

    @abstractmethod
    def failure(self, failure: Failure) -> Json:
        """The body of an HTTP error."""

    @abstractmethod
    def error_event(self, error: Json | None) -> bytes:
        """An error in a stream, told in OpenAI's words."""

    def event(self, data: Json) -> bytes:
        """One event with `data` as JSON."""
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    def gzip_bomb(self, megabytes: int, event_megabytes: int, *, stream: bool) -> bytes:
        """A small gzip body: valid JSON, or SSE in events of the given size, that expands to `megabytes` of text."""
        if not stream:
            return _bomb(b"", self.whole(Completion(content=("@",))), b"", 1, megabytes)
        sample = Completion(content=("", "@"), usage=None)
        opening, template = self.pieces(sample)
        ending = b"".join(self.ending(sample, {})) + self.done
        return _bomb(opening, template, ending, megabytes // event_megabytes, event_megabytes)


def status_of(error: Json) -> int:
    """The HTTP status that an error in a stream stands for."""
    code = error.get("code")
    return code if isinstance(code, int) else 500


def _bomb(opening: bytes, template: bytes, ending: bytes, count: int, size: int) -> bytes:
    head, tail = template.split(b"@")
    text = b"x" * 2**20
    plain = [opening, *[head, *[text] * size, tail] * count, ending]

    # A block that ends in a full flush refers to nothing outside itself: packed once, it may be repeated.
    packed = {part: _flushed(part) for part in {opening, head, text, tail, ending}}
    checksum = length = 0
    for part in plain:
        checksum, length = zlib.crc32(part, checksum), length + len(part)
    last = b"\x03\x00"  # an empty final deflate block
    trailer = checksum.to_bytes(4, "little") + (length % 2**32).to_bytes(4, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"".join(packed[part] for part in plain) + last + trailer


def _flushed(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)
