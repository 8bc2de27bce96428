"""`mutate_message`: changes one field of a request, which changes of single bytes mostly break."""

from random import Random
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

_NUMBERS: Final = (0, 1, 2, 3, 7, -1, 16, 99, 127, 2**31 - 1, -(2**31))
_LONG_NUMBERS: Final = (*_NUMBERS, 2**31, 2**53, 2**63 - 1, -(2**63))
_FLOATS: Final = (0.0, -0.0, 0.5, 1.0, 2.0, 2.5, -1.0, 1e-30, 1e30, float("nan"), float("inf"), float("-inf"))
_TEXTS: Final = (
    *("", "a", "fake", "spare", "quick", "deep", "f", "get_weather", "x" * 65, "a\r\nb", "\x00", "é", "\u2028", "../x"),
    *("{}", "[]", '{"type":"object","properties":{"a":true}}', '{"type":"array"}', '{"$ref":"#"}', "null", "1", '"'),
    *('{"a":1}', '{"type":["object","null"],"anyOf":[]}', "image/png", "text/plain", "application/pdf", "audio/wav"),
    *("https://example.com/a.png", "max_tokens", "c1", "[" * 70, '{"type":"object","required":"a"}', "\U0001f642"),
    *('{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"$ref":"#/$defs/b"}}}', "2e999", "-"),
)
_BYTES: Final = (b"", b"x", b"\xff", b"\x89PNG", b"%PDF-1.4", b"aGk=")
_FLOAT_TYPES: Final = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
_MOST_DEPTH: Final = 5


def mutate_message(payload: bytes, kind: type[Message], random: Random) -> bytes:
    """Returns the message of this kind with one field set, cleared or repeated; bytes that are none as they are."""
    message = kind()
    try:
        message.ParseFromString(payload)
    except DecodeError:
        return payload
    _change(message, random, 0)
    return message.SerializeToString()


def _change(message: Any, random: Random, depth: int) -> None:
    """Changes one field of the message, or of a message in it."""
    fields = message.DESCRIPTOR.fields
    if not fields:
        return
    set_fields = [field for field, _ in message.ListFields()]
    field = random.choice(set_fields if set_fields and random.random() < 0.6 else fields)
    if random.random() < 0.1:
        message.ClearField(field.name)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        _change_map(getattr(message, field.name), field, random)
    elif field.message_type is not None:
        _change_child(message, field, random, depth)
    elif field.is_repeated:
        values = getattr(message, field.name)
        if values and random.random() < 0.3:
            del values[random.randrange(len(values))]
        else:
            values.extend(_draw(field, random) for _ in range(random.choice((1, 1, 2, 20))))
    else:
        setattr(message, field.name, _draw(field, random))


def _change_child(message: Any, field: FieldDescriptor, random: Random, depth: int) -> None:
    child = getattr(message, field.name)
    if field.is_repeated:
        if len(child) and random.random() < 0.3:
            child.add().CopyFrom(random.choice(child))
            return
        if len(child) and random.random() < 0.2:
            del child[random.randrange(len(child))]
            return
        child = child.add() if not len(child) or random.random() < 0.2 else random.choice(child)
    else:
        child.SetInParent()
    if depth < _MOST_DEPTH:
        _change(child, random, depth + 1)


def _change_map(entries: Any, field: FieldDescriptor, random: Random) -> None:
    assert field.message_type is not None
    names = field.message_type.fields_by_name
    key = _draw(names["key"], random)
    entries[key] = _draw(names["value"], random)


def _draw(field: FieldDescriptor, random: Random) -> Any:
    if field.cpp_type in _FLOAT_TYPES:
        return random.choice(_FLOATS)
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return random.random() < 0.5
        case FieldDescriptor.CPPTYPE_STRING:
            return random.choice(_BYTES if field.type == FieldDescriptor.TYPE_BYTES else _TEXTS)
        case FieldDescriptor.CPPTYPE_INT64:
            return random.choice(_LONG_NUMBERS)
        case FieldDescriptor.CPPTYPE_UINT32 | FieldDescriptor.CPPTYPE_UINT64:
            return random.choice([number for number in _NUMBERS if number >= 0])
        case _:
            return random.choice(_NUMBERS)
