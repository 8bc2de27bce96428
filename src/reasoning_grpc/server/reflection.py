"""`ReflectionPool`: the descriptors that reflection tells, methods included."""

from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor


class ReflectionPool:
    """The default pool, for grpc's reflection: it finds methods by their full names too.

    protobuf's own `FindFileContainingSymbol` does not, though reflection's protocol wants it to: `grpcurl describe` of
    a method, and ghz, fail without it.
    """

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        """The file of a message, an enum, a service, a method. Raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)
