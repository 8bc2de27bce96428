"""Adds the reflection service, which gives clients the descriptors of our protos with their comments.

grpcio-reflection has the protocol `grpc.reflection.v1alpha` alone. `grpc.reflection.v1` has the same messages under
another name, so the same servicer answers both.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection import aio as reflection_aio

V1_SERVICE: Final = reflection.SERVICE_NAME.replace("v1alpha", "v1")


def add_reflection(server: grpc.aio.Server, service_names: tuple[str, ...]) -> None:
    """Adds reflection about these services and about itself, in both versions of its protocol."""
    pool: Any = ReflectionPool()
    names = (*service_names, reflection.SERVICE_NAME, V1_SERVICE)
    servicer = reflection_aio.ReflectionServicer(names, pool=pool)
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method})
            for name in (reflection.SERVICE_NAME, V1_SERVICE)
        )
    )


class ReflectionPool:
    """The descriptors that grpc's reflection service reads.

    It differs from protobuf's default pool in three ways. It finds methods by their full names, as the protocol
    requires; without that `grpcurl describe` of a method fails, and so does ghz. Its files have their comments, which
    the generated Python code has not. And it has the service `grpc.reflection.v1`.
    """

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()
        self._reflection_pool = _build_reflection_pool()

    def FindFileByName(self, name: str) -> "CommentedFile":
        """Returns a file by its path. Raises KeyError."""
        try:
            return CommentedFile(self._pool.FindFileByName(name))
        except KeyError:
            return CommentedFile(self._reflection_pool.FindFileByName(name))

    def FindFileContainingSymbol(self, symbol: str) -> "CommentedFile":
        """Returns the file that declares a message, enum, service or method. Raises KeyError."""
        for pool in (self._pool, self._reflection_pool):
            try:
                return CommentedFile(pool.FindFileContainingSymbol(symbol))
            except KeyError:
                continue
        return CommentedFile(self._pool.FindMethodByName(symbol).containing_service.file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


class CommentedFile:
    """A file of the pool, as far as the reflection service uses it, which is copied with its comments."""

    def __init__(self, descriptor: FileDescriptor) -> None:
        self._descriptor = descriptor
        self.name = descriptor.name

    @property
    def dependencies(self) -> "list[CommentedFile]":
        """The files that this file imports."""
        return [CommentedFile(dependency) for dependency in self._descriptor.dependencies]

    def CopyToProto(self, proto: FileDescriptorProto) -> None:
        """Copies the file into the message, with its comments if it is one of our protos."""
        commented = _read_commented_files().get(self.name)
        if commented is None:
            self._descriptor.CopyToProto(proto)
        else:
            proto.CopyFrom(commented)


@cache
def _read_commented_files() -> Mapping[str, FileDescriptorProto]:
    """Reads our protos with their comments, by their paths; `make generate` writes the file."""
    descriptors = FileDescriptorSet.FromString(files("reasoning_grpc.v1").joinpath("descriptors.binpb").read_bytes())
    for file in descriptors.file:
        _clear_json_names(file.message_type)
    return {file.name: file for file in descriptors.file}


def _clear_json_names(messages: Iterable[DescriptorProto]) -> None:
    """Removes the `json_name` that protoc adds to fields: grpcurl would print it in place of the proto's name."""
    for message in messages:
        for field in message.field:
            field.ClearField("json_name")
        _clear_json_names(message.nested_type)


def _build_reflection_pool() -> descriptor_pool.DescriptorPool:
    """Returns a pool with the file of `grpc.reflection.v1`, which is that of v1alpha under another name."""
    alpha = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(text_format.MessageToString(alpha).replace("v1alpha", "v1"), FileDescriptorProto()))
    return pool
