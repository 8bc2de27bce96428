"""Bytes of Amazon's binary event stream: a byte that says where the network cuts, and the stream."""

from collections.abc import Sequence

from reasoning_grpc.litellm_model.transport.binary_events import BinaryEventDecoder, encode_binary_event
from tests.support.played_exchange import cut


def read_binary_events(data: bytes) -> None:
    """Decodes a stream; the events are the same wherever the network cuts it.

    Where the input is no stream, each of its lines is one event of JSON, which is encoded first: fuzzing finds no
    checksums.
    """
    if not data:
        return
    seed, body = data[0], data[1:]
    if body.startswith(b"{"):
        body = b"".join(_encode(line) for line in body.split(b"\n"))
    assert _decode(cut(body, seed)) == _decode([body]), "network reads change the events"


def _encode(line: bytes) -> bytes:
    try:
        return encode_binary_event(line)
    except (ValueError, AttributeError):  # it is no object of one member
        return line


def _decode(reads: Sequence[bytes]) -> tuple[list[tuple[type, bytes]], str]:
    decoder = BinaryEventDecoder(max_event_bytes=64 * 1024)
    events: list[bytes] = []
    for read in reads:
        if decoder.failure is None:
            events += decoder.feed(read)
    if decoder.failure is None:
        events += decoder.finish()
    return [(type(event), event) for event in events], str(decoder.failure or "")
