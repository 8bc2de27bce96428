"""Walks through the fields of protobuf messages and of their types."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration


def list_fields(kind: Descriptor) -> set[str]:
    """Returns the full names of the fields of a type of message, and of the types inside it."""
    found: set[str] = set()
    kinds: list[Any] = [kind]
    while kinds:
        for field in kinds.pop().fields:
            if field.full_name not in found:
                found.add(field.full_name)
                kinds += [field.message_type] if _holds_messages(field) else []
    return found


def clear_each_field(message: Any) -> Iterator[tuple[FieldDescriptor, Any]]:
    """Yields each field of a message and of the messages inside it, and a copy of the message without this field."""
    for field, value in message.ListFields():
        copy = deepcopy(message)
        copy.ClearField(field.name)
        yield field, copy
        if not _holds_messages(field):
            continue
        for index, inner in enumerate(value if field.is_repeated else [value]):
            for inner_field, changed in clear_each_field(inner):
                copy = deepcopy(message)
                target = getattr(copy, field.name)
                (target[index] if field.is_repeated else target).CopyFrom(changed)
                yield inner_field, copy


def _holds_messages(field: FieldDescriptor) -> bool:
    """Returns whether a field holds messages that are no maps and no durations."""
    kind = field.message_type
    return kind is not None and kind is not Duration.DESCRIPTOR and not kind.GetOptions().map_entry


def list_given_fields(message: Any) -> set[str]:
    """Returns the full names of the fields that a message has, and of those that the messages inside it have."""
    return {field.full_name for field, _ in clear_each_field(message)}
