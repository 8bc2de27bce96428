"""`Recording`: an answer as a server sent it, which the fake upstream can play.

Recordings are files: server-sent events, lines of JSON, the events of Bedrock in JSON, which become binary messages
when they are read, or the whole body of an answer that is not streamed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.upstream import FakeUpstream
from tests.support.upstream.bedrock import Bedrock

CONTENT_TYPES: Final[Mapping[str, str]] = {
    ".sse": "text/event-stream; charset=utf-8",
    ".ndjson": "application/x-ndjson",
    ".jsonl": Bedrock.content_type,
    ".body": "application/json",
}
"""The content type of each kind of recording, by the ending of its file."""
_EVENT: Final = re.compile(rb".+?\r?\n\r?\n", re.DOTALL)
_LINE: Final = re.compile(rb".+?\n")


@dataclass(frozen=True, slots=True)
class Recording:
    """What a server sent, in pieces that are an event each."""

    events: tuple[bytes, ...]
    content_type: str

    def play(self, upstream: FakeUpstream, count: int | None = None) -> None:
        """Makes the upstream send the first events, or all of them, and then end the body."""
        upstream.body(b"".join(self.events[:count]), content_type=self.content_type)


def list_recordings(folder: Path) -> list[str]:
    """Returns the names of the recordings in a folder."""
    return sorted(file.stem for file in folder.iterdir() if file.suffix in CONTENT_TYPES)


def read_recording(folder: Path, name: str) -> Recording:
    """Reads the recording of this name from a folder."""
    (file,) = (file for file in folder.glob(f"{name}.*") if file.suffix in CONTENT_TYPES)
    return Recording(tuple(_split(file.read_bytes(), file.suffix)), CONTENT_TYPES[file.suffix])


def _split(content: bytes, suffix: str) -> list[bytes]:
    match suffix:
        case ".sse":
            return _EVENT.findall(content)
        case ".jsonl":
            return [Bedrock().event(json.loads(line)) for line in _LINE.findall(content)]
        case ".body":
            return [content]
        case _:
            return _LINE.findall(content)
