"""`limit_fields`: refuses a request of very many fields before it is parsed.

Parsed, each field takes memory of its own: sixteen megabytes of empty messages would become half a gigabyte, and stop
all other calls for a quarter of a second.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import Descriptor

from reasoning_grpc.domain.errors import FieldViolation, RequestTooLarge

M = TypeVar("M")

_UNCOUNTED_BYTES: Final = 64 * 1024
"""A request of fewer bytes is small, however many fields it has."""


def limit_fields(parse: Callable[[bytes], M], kind: Descriptor, most: int) -> Callable[[bytes], M]:
    """Returns `parse` for messages of this kind, which raises RequestTooLarge for one with more than `most` fields.

    The fields of all messages in it count. Bytes that are no message are left to `parse`.
    """

    def parse_limited(payload: bytes) -> M:
        if len(payload) > _UNCOUNTED_BYTES and has_more_fields(payload, kind, most):
            violation = FieldViolation("request", f"It has more than {most} fields, which are not accepted.")
            raise RequestTooLarge(violations=(violation,))
        return parse(payload)

    return parse_limited


def has_more_fields(payload: bytes, kind: Descriptor, most: int) -> bool:
    """Returns whether a serialized message has more than `most` fields, together with the messages in it."""
    count = 0
    pending: list[tuple[int, int, Descriptor]] = [(0, len(payload), kind)]
    while pending:
        position, end, message = pending.pop()
        known: Any = message.fields_by_number
        while position < end:
            count += 1
            if count > most:
                return True
            tag, position = _read_varint(payload, position, end)
            match tag & 7:
                case 0:
                    _, position = _read_varint(payload, position, end)
                case 1:
                    position += 8
                case 2:
                    length, position = _read_varint(payload, position, end)
                    field = known.get(tag >> 3)
                    if field is not None and field.message_type is not None and position + length <= end:
                        pending.append((position, position + length, field.message_type))
                    position += length
                case 5:
                    position += 4
                case _:
                    pass  # the fields of a group, which no message of ours has, are counted like those around it
    return False


def _read_varint(payload: bytes, position: int, end: int) -> tuple[int, int]:
    """Returns the number at a position, and the position behind it; behind the end where the number is cut."""
    value = shift = 0
    while position < end:
        byte = payload[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            break
    return value, end
