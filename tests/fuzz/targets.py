"""The targets of the fuzzing, by name."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from google.protobuf.message import Message

from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, models_pb2
from tests.fuzz import seeds
from tests.fuzz.answer_target import read_chat, read_gemini, read_messages, read_responses
from tests.fuzz.binary_target import read_binary_events
from tests.fuzz.in_process import METHODS
from tests.fuzz.json_mutator import mutate_json
from tests.fuzz.proto_mutator import mutate_message
from tests.fuzz.refusal_target import read_refusal
from tests.fuzz.wire_target import WITH_METADATA, read_request, send_request

CORPUS: Final = Path(__file__).parent / "corpus"


@dataclass(frozen=True, slots=True)
class Target:
    """What is fuzzed."""

    run: Callable[[bytes], None]
    """Raises for what must not happen."""
    list_seeds: Callable[[], Iterable[bytes]]
    mutate: Callable[[bytes, Random], bytes]
    """Changes one thing that the protocol knows."""


_KINDS: Final[Mapping[str, type[Message]]] = {
    "Complete": completion_pb2.CompleteRequest,
    "StreamComplete": events_pb2.StreamCompleteRequest,
    "Classify": classification_pb2.ClassifyRequest,
    "ListModels": models_pb2.ListModelsRequest,
}


def _mutate_request(data: bytes, random: Random) -> bytes:
    """Changes a field of the request; a first line of metadata stays."""
    options = data[:1] or b"\0"
    line, mark, payload = data[1:].partition(b"\n") if options[0] & WITH_METADATA else (b"", b"", data[1:])
    kind = _KINDS[METHODS[options[0] % len(METHODS)]]
    return options + line + mark + mutate_message(payload, kind, random)


def _mutate_answer(data: bytes, random: Random) -> bytes:
    return mutate_json(data, random, head_bytes=2)


def _mutate_refusal(data: bytes, random: Random) -> bytes:
    head, mark, body = data.partition(b"\n")
    return mutate_json(head + mark + body, random, head_bytes=len(head) + len(mark))


TARGETS: Final[Mapping[str, Target]] = {
    "wire": Target(read_request, seeds.list_requests, _mutate_request),
    "sent": Target(send_request, seeds.list_sent_requests, _mutate_request),
    "chat": Target(
        read_chat,
        lambda: seeds.list_answers("recorded/*.*", "promised/openai/*.sse", "promised/mistral/*.sse"),
        _mutate_answer,
    ),
    "responses": Target(
        read_responses,
        lambda: seeds.list_answers("families/openai-responses/*.sse", "families/openai-responses/*.answer.json"),
        _mutate_answer,
    ),
    "messages": Target(read_messages, lambda: seeds.list_answers("recorded_anthropic/*.*"), _mutate_answer),
    "gemini": Target(read_gemini, lambda: seeds.list_answers("recorded_gemini/*.*"), _mutate_answer),
    "binary": Target(
        read_binary_events,
        lambda: seeds.list_binary_events("promised/bedrock/*.jsonl"),
        lambda data, random: mutate_json(data, random, head_bytes=1),
    ),
    "refusals": Target(read_refusal, seeds.list_refusals, _mutate_refusal),
}


def list_corpus(name: str) -> list[Path]:
    """Returns the inputs of a target that the repository keeps."""
    return sorted((CORPUS / name).glob("*"))
