"""Reflection describes the services, needs no token, and can be turned off."""

from typing import Any, Final

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.server.listener import SERVICE
from tests.support.health import SERVING, check_health
from tests.support.serving import RunningServer, config_for, model_entry, serving, serving_upstream
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure, start_every_call

TOKEN: Final = "rgt_alice"


async def reflect(channel: Any, **question: Any) -> Any:
    """Returns the answer of the reflection service to one question."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    return await stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**question)])).read()


async def list_services(channel: grpc.aio.Channel) -> list[str]:
    """Returns the names of the services that reflection lists."""
    response = await reflect(channel, list_services="")
    return [service.name for service in response.list_services_response.service]


async def test_reflection_lists_the_services(running_server: RunningServer) -> None:
    """Reflection lists our service, health, and reflection itself."""
    assert await list_services(running_server.channel) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "reasoning_grpc.v1.ReasoningService",
    ]


@pytest.mark.parametrize("symbol", [SERVICE, f"{SERVICE}.Complete"])
async def test_reflection_describes_services_and_methods(running_server: RunningServer, symbol: str) -> None:
    """Reflection returns the file that declares our service, also for the name of a method, which ghz asks for."""
    response = await reflect(running_server.channel, file_containing_symbol=symbol)

    files = response.file_descriptor_response.file_descriptor_proto
    assert "reasoning_grpc/v1/reasoning_service.proto" in [FileDescriptorProto.FromString(file).name for file in files]


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
