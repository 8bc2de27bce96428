"""Reflection describes the services, needs no token, and can be turned off."""

from typing import Any, Final

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.server.listener import SERVICE
from tests.support.health import SERVING, check_health
from tests.support.serving import RunningServer, config_for, model_entry, serving, serving_upstream
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure, start_every_call

TOKEN: Final = "rgt_alice"


async def reflect(channel: Any, version: str = "v1", **question: Any) -> Any:
    """Returns the answer of the reflection service to one question, by this version of its protocol."""
    method: Any = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return await method(iter([reflection_pb2.ServerReflectionRequest(**question)])).read()


async def describe(channel: grpc.aio.Channel, **question: Any) -> dict[str, FileDescriptorProto]:
    """Returns the files that reflection answers with, by their names."""
    response = await reflect(channel, **question)
    files = map(FileDescriptorProto.FromString, response.file_descriptor_response.file_descriptor_proto)
    return {file.name: file for file in files}


def list_declarations(file: FileDescriptorProto) -> list[str]:
    """Returns what a file declares, line by line, without its comments and without the names in JSON, which follow."""
    declared = FileDescriptorProto()
    declared.CopyFrom(file)
    declared.ClearField("source_code_info")
    return [line for line in str(declared).splitlines() if "json_name" not in line]


async def list_services(channel: grpc.aio.Channel, version: str = "v1") -> list[str]:
    """Returns the names of the services that reflection lists."""
    response = await reflect(channel, version, list_services="")
    return [service.name for service in response.list_services_response.service]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_the_services(running_server: RunningServer, version: str) -> None:
    """Both versions of reflection list our service, health, and reflection itself."""
    assert await list_services(running_server.channel, version) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "reasoning_grpc.v1.ReasoningService",
    ]


@pytest.mark.parametrize("symbol", [SERVICE, f"{SERVICE}.Complete"])
async def test_reflection_describes_services_and_methods(running_server: RunningServer, symbol: str) -> None:
    """Reflection returns the file that declares our service, also for the name of a method, which ghz asks for."""
    files = await describe(running_server.channel, file_containing_symbol=symbol)

    assert "reasoning_grpc/v1/reasoning_service.proto" in files


async def test_every_listed_service_is_described(running_server: RunningServer) -> None:
    """Reflection describes every service that it lists, reflection itself included."""
    for service in await list_services(running_server.channel):
        files = (await describe(running_server.channel, file_containing_symbol=service)).values()

        assert service in [f"{file.package}.{declared.name}" for file in files for declared in file.service]


@pytest.mark.parametrize(
    "question",
    [
        pytest.param({"file_containing_symbol": SERVICE}, id="by symbol"),
        pytest.param({"file_by_filename": "reasoning_grpc/v1/reasoning_service.proto"}, id="by file name"),
    ],
)
async def test_reflection_has_the_comments_of_all_our_protos(
    running_server: RunningServer, question: dict[str, str]
) -> None:
    """Each of our files comes with its comments and is otherwise the file that the server runs with."""
    files = await describe(running_server.channel, **question)

    ours = {name: file for name, file in files.items() if file.package == "reasoning_grpc.v1"}
    assert len(ours) > 5
    for name, file in ours.items():
        assert any(location.leading_comments for location in file.source_code_info.location)
        served = FileDescriptorProto()
        descriptor_pool.Default().FindFileByName(name).CopyToProto(served)
        assert list_declarations(file) == list_declarations(served)
        assert not any(field.json_name for message in file.message_type for field in message.field)


async def test_an_unknown_symbol_is_not_found(running_server: RunningServer) -> None:
    """Reflection answers NOT_FOUND for a symbol that does not exist."""
    response = await reflect(running_server.channel, file_containing_symbol=f"{SERVICE}.Nowhere")

    assert response.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_reflection_can_be_turned_off(upstream: FakeUpstream) -> None:
    """Without reflection its methods are UNIMPLEMENTED, and health still answers."""
    async with serving_upstream(upstream, reflection=False) as running:
        failed = await expect_failure(list_services(running.channel))

        assert failed.code == grpc.StatusCode.UNIMPLEMENTED
        assert await check_health(running.channel) == SERVING


async def test_health_and_reflection_need_no_token(upstream: FakeUpstream) -> None:
    """Health and reflection answer without a token, while every method of our own refuses the call."""
    callers = {"alice": CallerEntry(name="alice", token_hash=hash_token(TOKEN))}

    async with serving(config_for(model_entry(upstream.api_base), callers=callers)) as running:
        assert await check_health(running.channel, SERVICE) == SERVING
        assert SERVICE in await list_services(running.channel)
        for _, call in start_every_call(running.channel):
            assert (await expect_failure(call)).reason == "CREDENTIALS_MISSING"
