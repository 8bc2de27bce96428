"""`Case`: a request of the differential test, and which fields it sets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message as AnyMessage

from reasoning_grpc.v1 import messages_pb2
from reasoning_grpc.v1.completion_pb2 import CompleteRequest


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request, by a name that says which fields it sets."""

    name: str
    request: CompleteRequest

    @property
    def fields(self) -> frozenset[str]:
        """The paths of all fields that the request sets, without those of a plain conversation."""
        paths = frozenset(list_paths(self.request))
        if any(path.endswith((".tool_call", ".tool_result")) for path in paths):
            paths |= {"tools"}  # a provider may want them beside the calls of a conversation
        return paths - _OF_A_PLAIN_REQUEST if self.request.messages == _PLAIN.messages else paths


def list_paths(message: AnyMessage, path: str = "") -> Iterator[str]:
    """Yields the path of each field that is set, and of what it stands in."""
    for field, value in message.ListFields():
        name = f"{path}.{field.name}".removeprefix(".")
        yield name
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            yield from (f"{name}[{index}]" for index in range(len(value) if field.is_repeated else 0))
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            yield from (f"{name}[{key}]" for key in value)
            yield from (f"{name}.{key}" for key in value)
        elif field.is_repeated:
            for index, each in enumerate(value):
                yield f"{name}[{index}]"
                yield from list_paths(each, f"{name}[{index}]")
        else:
            yield from list_paths(value, name)


def merge(*requests: CompleteRequest) -> CompleteRequest:
    """Returns a request with the fields of all; the last conversation wins, and a plain message stands for none."""
    merged = CompleteRequest()
    for request in requests:
        if request.messages:
            del merged.messages[:]
        if request.tools:
            del merged.tools[:]
        merged.MergeFrom(request)
    if not merged.messages:
        merged.messages.add(role=messages_pb2.ROLE_USER).content.add(text="hi")
    return merged


_PLAIN: Final = merge()
_OF_A_PLAIN_REQUEST: Final = frozenset(list_paths(_PLAIN))
