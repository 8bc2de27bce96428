"""What fuzzing begins with: the recorded answers and the requests of the other tests, and the words in them."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from reasoning_grpc.v1 import classification_pb2, events_pb2, models_pb2
from reasoning_grpc.v1.completion_pb2 import CompleteRequest
from tests.fuzz.answer_target import CONTENT_TYPES, HAS_LONG_TEXT
from tests.fuzz.in_process import METHODS
from tests.fuzz.wire_target import APIS, WITH_METADATA
from tests.support.differential.requests import ALL_CASES

_SUPPORT: Final = Path(__file__).parents[1] / "support"
_MOST_BYTES: Final = 4096
"""Longer recordings say nothing that shorter ones do not, and slow the fuzzing down."""
_MOST_WORDS: Final = 400
_STREAM, _DOCUMENT, _LINES = (CONTENT_TYPES.index(kind) for kind in CONTENT_TYPES[:3])


def list_answers(*patterns: str) -> Iterator[bytes]:
    """Yields the recorded answers whose paths below tests/support match, as inputs of `answer_target`.

    Every fourth one has a long text.
    """
    count = 0
    for pattern in patterns:
        for path in sorted(_SUPPORT.glob(pattern)):
            body = path.read_bytes()
            if len(body) <= _MOST_BYTES:
                kind = _DOCUMENT if path.suffix == ".json" else _STREAM
                yield bytes([kind | HAS_LONG_TEXT * (count % 4 == 0), len(body) % 256]) + body
                count += 1


def list_binary_events(*patterns: str) -> Iterator[bytes]:
    """Yields recorded events in lines, as inputs of `binary_target`."""
    return (bytes([0]) + seed[2:] for seed in list_answers(*patterns))


def list_requests() -> Iterator[bytes]:
    """Yields a request for each method, and requests with each field, as inputs of `wire_target`."""
    requests = [case.request for case in ALL_CASES]
    for index, request in enumerate(_select_small(requests)):
        yield _write(METHODS[index % 3], request)
    for number in range(3):
        page = models_pb2.ListModelsRequest(page_size=number, page_token="a" * number)
        yield bytes([METHODS.index("ListModels")]) + page.SerializeToString()
    yield bytes([WITH_METADATA]) + b"req_1\n" + requests[0].SerializeToString()


def list_sent_requests() -> Iterator[bytes]:
    """Yields requests with each field for one API after the other, as inputs of `wire_target`."""
    for index, request in enumerate(_select_small([case.request for case in ALL_CASES])):
        sent = CompleteRequest()
        sent.CopyFrom(request)
        sent.model = APIS[index % len(APIS)]
        yield _write("Complete", sent)


def list_refusals() -> Iterator[bytes]:
    """Yields bodies of errors, as inputs of `refusal_target`."""
    sentence = "Rate limit reached. Please try again in 7.5s."
    for index, error in enumerate(
        [
            {"error": {"message": sentence, "type": "requests", "code": "rate_limit_exceeded", "param": "max_tokens"}},
            {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "34s"}]}},
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            {"detail": [{"loc": ["body", "model"], "msg": "Input should be a valid string", "type": "string_type"}]},
            {"message": "Too many tokens", "__type": "ThrottlingException"},
            [{"error": {"code": 400, "message": "API key not valid", "status": "INVALID_ARGUMENT"}}],
            {"errors": [{"message": "no"}], "code": 7, "error": "The model does not exist"},
        ]
    ):
        yield bytes([index * 3]) + b"7\t7000\t1s\tThrottling\n" + json.dumps(error).encode()


def list_words(seeds: Iterable[bytes]) -> list[bytes]:
    """Returns the words in the seeds, the most frequent first: names of fields and of values."""
    counts: dict[bytes, int] = {}
    for seed in seeds:
        for word in re.findall(rb'"[a-z_.]{2,32}"(?::)?|^[a-z]+: ', seed, re.MULTILINE):
            counts[word] = counts.get(word, 0) + 1
    return sorted(counts, key=lambda word: (-counts[word], word))[:_MOST_WORDS]


def _write(method: str, request: CompleteRequest) -> bytes:
    messages = {
        "Complete": request,
        "StreamComplete": events_pb2.StreamCompleteRequest(request=request),
        "Classify": classification_pb2.ClassifyRequest(request=request),
    }
    return bytes([METHODS.index(method)]) + messages[method].SerializeToString()


def _select_small(requests: Iterable[CompleteRequest]) -> Iterator[CompleteRequest]:
    return (request for request in requests if request.ByteSize() <= 512)
