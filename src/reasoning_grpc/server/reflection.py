"""`ReflectionPool`: the descriptors that the reflection service reads, methods included."""

from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor


class ReflectionPool:
    """Protobuf's default pool, in which grpc's reflection service finds methods by their full names too.

    The protocol of reflection requires that, but protobuf's own `FindFileContainingSymbol` does not find methods.
    Without it `grpcurl describe` of a method fails, and so does ghz.
    """

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        """Returns the file that declares a message, enum, service or method. Raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)
