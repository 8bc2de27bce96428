"""Valid protobuf messages with random fields, for hypothesis."""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

_MOST_DEPTH: Final = 6
_TEXTS: Final = st.sampled_from(
    [
        *("", "a", "f", "fake", "spare", "deep", "x" * 300, "a\r\nb", "{}", '{"type": "object"}', "[]", "nonsense"),
        *('{"type": "object", "properties": {"a": true}}', "https://example.com/a", "image/png", "é\u2028🙂", "\x00"),
    ]
) | st.text(max_size=5)
_SCALARS: Final[Mapping[int, st.SearchStrategy[Any]]] = {
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_ENUM: st.integers(0, 8) | st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT32: st.integers(-1, 20) | st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-1, 20) | st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(0, 2) | st.floats(),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(0, 2, width=32) | st.floats(width=32),
}


@st.composite
def random_messages(draw: st.DrawFn, kind: type[Message]) -> Message:
    """Draws a message of this kind; any field may be set, and to any value that protobuf takes."""
    message = kind()
    _fill(draw, message, _MOST_DEPTH)
    return message


def _fill(draw: st.DrawFn, message: Any, depth: int) -> None:
    kind: Descriptor = message.DESCRIPTOR
    for field in draw(st.lists(st.sampled_from(list(kind.fields)), max_size=4, unique_by=id)) if kind.fields else ():
        count = draw(st.integers(0, 3)) if field.is_repeated else 1
        for _ in range(count):
            _set(draw, message, field, depth)


def _set(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    """Sets a field, or adds a value to one that is repeated."""
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        key, value = (_draw_scalar(draw, inner.fields_by_name[name]) for name in ("key", "value"))
        getattr(message, field.name)[key] = value
    elif inner is not None:
        child = GetMessageClass(inner)()
        if depth:
            _fill(draw, child, depth - 1)
        if field.is_repeated:
            getattr(message, field.name).append(child)
        else:
            getattr(message, field.name).CopyFrom(child)
    elif field.is_repeated:
        getattr(message, field.name).append(_draw_scalar(draw, field))
    else:
        setattr(message, field.name, _draw_scalar(draw, field))


def _draw_scalar(draw: st.DrawFn, field: FieldDescriptor) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return draw(st.binary(max_size=5) if field.type == FieldDescriptor.TYPE_BYTES else _TEXTS)
    return draw(_SCALARS[field.cpp_type])
