"""Starts the servers that runners call, by the names that the scenarios have for their addresses."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import grpc
import trustme

from clients.conformance.configuration import HELD_MODEL, LIMITED_TOKEN
from clients.conformance.other_servers import (
    CrowdedServer,
    FrontServer,
    NewerServer,
    create_faulty_server,
    create_full_server,
)
from clients.conformance.relay import Relay
from clients.conformance.scenario import DEFAULT_TOKEN
from reasoning_grpc.client import ReasoningClient, text_request
from reasoning_grpc.config import Config, OrchestrationUse
from reasoning_grpc.server import Server
from reasoning_grpc.v1 import events_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import (
    ReasoningServiceStub,
    add_ReasoningServiceServicer_to_server,
)

_DRAIN_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers that are running."""

    addresses: Mapping[str, str]
    """The address of each server, by its name in the scenarios."""
    measured: Relay
    """The relay behind the address "measured"."""


async def start_servers(stack: AsyncExitStack, config: Config, authority: trustme.CA, directory: Path) -> Servers:
    """Starts every server. The stack stops them."""
    server = await _start(stack, config)
    secure = await _start(stack, _add_tls(config, authority, directory))
    relay = await stack.enter_async_context(Relay(server))
    addresses = {
        "server": server,
        "measured": relay.address,
        "tls": f"localhost:{secure.rpartition(':')[2]}",
        "without_orchestration": await _start(stack, _leave_out_orchestration(config)),
        "draining": await _start_draining(stack, config),
        "limited": await _start_limited(stack, config),
        "newer": await _start_in_front(stack, server, NewerServer),
        "crowded": await _start_in_front(stack, server, CrowdedServer),
        "faulty": await _listen(stack, create_faulty_server()),
        "full": await _listen(stack, create_full_server()),
    }
    return Servers(addresses, relay)


async def _start(stack: AsyncExitStack, config: Config) -> str:
    """Starts a server of ours; returns its address."""
    server = Server(config)
    await server.start()
    stack.push_async_callback(server.stop, grace_seconds=1)
    return server.address


def _leave_out_orchestration(config: Config) -> Config:
    return replace(config, settings=replace(config.settings, orchestration=OrchestrationUse.OFF))


def _add_tls(config: Config, authority: trustme.CA, directory: Path) -> Config:
    certificate, key = directory / "server.pem", directory / "server.key"
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    return replace(config, settings=replace(config.settings, tls_certificate=certificate, tls_key=key))


async def _start_draining(stack: AsyncExitStack, config: Config) -> str:
    """Starts a server that is stopping, with a call in progress that lasts until all runners have ended."""
    server = Server(_make_patient(config))
    await server.start()
    held = await _hold_call(stack, server, DEFAULT_TOKEN)
    stopping = asyncio.create_task(server.stop(_DRAIN_SECONDS))

    async def end() -> None:
        await held.aclose()
        with suppress(asyncio.CancelledError):
            await stopping

    stack.push_async_callback(end)
    return server.address


async def _start_limited(stack: AsyncExitStack, config: Config) -> str:
    """Starts a server at which the limited caller has a call in flight, which is all that it may have."""
    server = Server(_make_patient(config))
    await server.start()
    stack.push_async_callback(server.stop, grace_seconds=1)
    held = await _hold_call(stack, server, LIMITED_TOKEN)
    stack.push_async_callback(held.aclose)
    return server.address


def _make_patient(config: Config) -> Config:
    """Returns the configuration of a server whose upstreams may be silent for as long as the runners take."""
    patient = replace(
        config.settings, first_token_timeout_seconds=_DRAIN_SECONDS, model_call_timeout_seconds=_DRAIN_SECONDS
    )
    return replace(config, settings=patient)


async def _hold_call(
    stack: AsyncExitStack, server: Server, token: str
) -> AsyncGenerator[events_pb2.StreamCompleteResponse, None]:
    """Begins a call that does not end by itself, and returns its events."""
    client = await stack.enter_async_context(ReasoningClient(server.address, token=token))
    held = client.stream(text_request("hold", model=HELD_MODEL))
    await anext(held)
    return held


async def _start_in_front(stack: AsyncExitStack, address: str, kind: type[FrontServer]) -> str:
    """Starts a server of this kind that forwards its calls to the address; returns its own address."""
    options = [("grpc.max_receive_message_length", -1)]
    channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=options))
    server = grpc.aio.server(options=options)
    add_ReasoningServiceServicer_to_server(kind(ReasoningServiceStub(channel)), server)
    return await _listen(stack, server)


async def _listen(stack: AsyncExitStack, server: grpc.aio.Server) -> str:
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stack.push_async_callback(server.stop, None)
    return f"127.0.0.1:{port}"
