"""`BodyFrame`: the bytes of a body around its messages, for the next call that differs in nothing but them."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Self

import msgspec

from reasoning_grpc.llm import ModelCall

_MESSAGES: Final = "messages"
_LONG_BYTES: Final = 512
"""From this length on, a digest stands for the parameters; schemas of tools may be long."""
_encode_json: Final = msgspec.json.Encoder().encode
_encode_parameters: Final = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class BodyFrame:
    """The bytes of a body before and after its messages."""

    before: bytes
    after: bytes

    @property
    def size(self) -> int:
        """The number of its bytes."""
        return len(self.before) + len(self.after)

    @classmethod
    def cut(cls, body: Mapping[str, Any]) -> Self:
        """Returns the frame of a body that has messages."""
        names = list(body)
        place = names.index(_MESSAGES)
        head, tail = ({name: body[name] for name in some} for some in (names[:place], names[place + 1 :]))
        return cls(
            _encode_json({**head, _MESSAGES: 0}).removesuffix(b"0}"),
            b"," + _encode_json(tail)[1:] if tail else b"}",
        )

    def write(self, messages: list[dict[str, Any]]) -> bytes:
        """Returns the whole body with these messages."""
        return b"".join((self.before, _encode_json(messages), self.after))


def describe_parameters(call: ModelCall) -> Hashable:
    """Returns all that a call says beside its messages: calls with equal parameters have equal frames."""
    parameters = _encode_parameters(
        (
            call.sampling,
            call.tools,
            call.tool_choice,
            call.parallel_tool_calls,
            call.response_format,
            call.reasoning,
            call.include_reasoning,
            call.end_user,
            call.provider_options,
        )
    )
    return parameters if len(parameters) < _LONG_BYTES else sha256(parameters).digest()
